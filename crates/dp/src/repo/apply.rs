//! Carries out what `plan` decided for a BackupRepo.

use super::plan::{Observed, Plan, Step, Waiting};
use super::{claim, observe, precheck};
use crate::context::Context;
use crate::error::Error;
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{Backup, BackupRepo, Restore};
use controller_kit::drive::Again;
use controller_kit::writes::Writer;
use job_runtime::Ensured;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};
use kube::api::PropagationPolicy;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
}

impl Hands {
    /// Carries out `plan`, then stores the status.
    pub async fn apply(&self, seen: &Observed, plan: Plan, context: &Context) -> Result<Again, Error> {
        let repo = seen.repo.as_ref();
        let mut failed = None;
        let mut unserved = BTreeSet::new();
        for step in &plan.steps {
            let namespace = step.namespace();
            if namespace.is_some_and(|ns| unserved.contains(ns)) {
                continue;
            }
            match (self.take(repo, step, &plan.digest, context).await, namespace) {
                (Ok(()), _) => {}
                // One namespace that can not be served (a quota, its deletion) holds back no other.
                (Err(error), Some(namespace)) => {
                    unserved.insert(namespace);
                    failed = failed.or((!error.is_namespace_terminating()).then_some(error));
                }
                (Err(error), None) => return Err(error),
            }
        }
        if !plan.steps.iter().any(|s| matches!(s, Step::Mark | Step::Release)) {
            self.store(repo, &plan).await?;
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(plan.again.map_or(Again::OnEvent, Again::After)),
        }
    }

    /// The steps before may have changed the object; a conflict only means another look.
    async fn store(&self, repo: &BackupRepo, plan: &Plan) -> Result<(), Error> {
        let old = repo.status.clone().unwrap_or_default();
        let api: Api<BackupRepo> = self.writer.cluster();
        self.writer.store_status(&api, repo, &old, &plan.status).await?;
        Ok(())
    }

    async fn take(&self, repo: &BackupRepo, step: &Step, digest: &str, context: &Context) -> Result<(), Error> {
        let api: Api<BackupRepo> = self.writer.cluster();
        let uid = repo.uid().unwrap_or_default();
        let own = &context.own_namespace;
        match step {
            Step::Mark => {
                let mut finalizers = repo.finalizers().to_vec();
                finalizers.push(FINALIZER.into());
                self.patch_finalizers(repo, &finalizers).await?;
            }
            Step::Release => {
                let kept: Vec<String> = repo.finalizers().iter().filter(|f| *f != FINALIZER).cloned().collect();
                self.patch_finalizers(repo, &kept).await?;
            }
            Step::StartCheck(spec) => {
                let name = precheck::name(repo);
                self.create_claim(repo, &name, own, spec, digest).await?;
                let job = precheck::job(repo, own, digest, &context.pods);
                // Taken or refused: the check stays Unknown, and the log says why at each look.
                match job_runtime::ensure(&self.writer, &job, &uid).await? {
                    Ensured::Created(_) | Ensured::Present(_) => {}
                    Ensured::NameTaken => tracing::error!(job = name, "the name belongs to another owner"),
                    Ensured::Refused(why) => tracing::error!(job = name, "refused: {why}"),
                }
            }
            Step::EndCheck => {
                let name = precheck::name(repo);
                let jobs: Api<Job> = self.writer.namespaced(own);
                if let Some(job) = context.stores.jobs.get(own, &name) {
                    let uid = job.uid().unwrap_or_default();
                    self.writer.delete(&jobs, &name, &uid, PropagationPolicy::Background).await?;
                }
                if let Some(claim) = context.stores.claims.get(own, &name) {
                    self.delete_claim(&claim).await?;
                }
            }
            Step::StoreDigest(digest) => {
                let body = json!({"metadata": {"annotations": {annotations::BACKUP_REPO_DIGEST: digest}}});
                self.writer.merge(&api, &repo.name_any(), &body).await?;
            }
            Step::CreateClaim { namespace, spec } => {
                let name = repo.status.as_ref().and_then(|s| s.backup_pvc_name.clone());
                let name = name.unwrap_or_else(|| claim::name(repo));
                self.create_claim(repo, &name, namespace, spec, digest).await?;
            }
            Step::Wake(waiting) => self.wake(waiting).await?,
            Step::DeleteClaims => {
                for claim in observe::claims_of(&context.stores, &uid) {
                    self.delete_claim(&claim).await?;
                }
            }
        }
        Ok(())
    }

    async fn patch_finalizers(&self, repo: &BackupRepo, finalizers: &[String]) -> Result<(), Error> {
        let api: Api<BackupRepo> = self.writer.cluster();
        let body = json!({"metadata": {
            "uid": repo.uid(), "resourceVersion": repo.resource_version(), "finalizers": finalizers,
        }});
        self.writer.merge(&api, &repo.name_any(), &body).await?;
        Ok(())
    }

    async fn create_claim(
        &self,
        repo: &BackupRepo,
        name: &str,
        namespace: &str,
        spec: &PersistentVolumeClaimSpec,
        digest: &str,
    ) -> Result<(), Error> {
        let object = claim::build(repo, name, namespace, spec.clone(), digest);
        let api: Api<PersistentVolumeClaim> = self.writer.namespaced(namespace);
        match self.writer.create(&api, &object).await {
            Err(error) if !error.is_already_exists() => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn delete_claim(&self, claim: &PersistentVolumeClaim) -> Result<(), Error> {
        if claim.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let api: Api<PersistentVolumeClaim> = self.writer.namespaced(&claim.namespace().unwrap_or_default());
        let uid = claim.uid().unwrap_or_default();
        self.writer.delete(&api, &claim.name_any(), &uid, PropagationPolicy::Background).await?;
        Ok(())
    }

    async fn wake(&self, waiting: &Waiting) -> Result<(), Error> {
        let body = json!({"metadata": {"labels": {labels::WAIT_REPO_PREPARATION: null}}});
        let result = if waiting.is_backup {
            let api: Api<Backup> = self.writer.namespaced(&waiting.namespace);
            self.writer.merge(&api, &waiting.name, &body).await.map(|_| ())
        } else {
            let api: Api<Restore> = self.writer.namespaced(&waiting.namespace);
            self.writer.merge(&api, &waiting.name, &body).await.map(|_| ())
        };
        match result {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}
