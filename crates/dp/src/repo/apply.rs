//! Carries out what `plan` decided for a BackupRepo.

use super::check::Subject;
use super::claim::ClaimTemplate;
use super::plan::{Conditions, Observed, Plan, Step, Waiting};
use super::secret::Wanted;
use super::watches::Watches;
use super::{claim, precheck, reach};
use crate::context::Context;
use crate::error::Error;
use api_types::contract::reasons::repo::PRE_CHECK_FAILED;
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{Backup, BackupRepo, BackupRepoPhase, Restore};
use controller_kit::clock;
use controller_kit::conditions::Status;
use controller_kit::drive::Again;
use controller_kit::error::chain;
use controller_kit::writes::Writer;
use job_runtime::Ensured;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::PropagationPolicy;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeSet;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Changes of Secrets that repositories name.
    pub watches: Watches,
}

impl Hands {
    /// Carries out `plan`, then stores the status.
    pub async fn apply(&self, seen: &Observed, mut plan: Plan, context: &Context) -> Result<Again, Error> {
        let repo = seen.repo.as_ref();
        let mut failed = None;
        let mut unserved = BTreeSet::new();
        for step in std::mem::take(&mut plan.steps) {
            let namespace = step.namespace();
            if namespace.is_some_and(|ns| unserved.contains(ns)) || (step == Step::Refreshed && failed.is_some()) {
                continue;
            }
            match (self.take(seen, &step, &plan.digest, context).await, namespace) {
                (Ok(()), _) => {}
                // One namespace that can not be served (a quota, its deletion) holds back no other.
                (Err(error), Some(namespace)) => {
                    unserved.insert(namespace.to_owned());
                    failed = failed.or((!error.is_namespace_gone()).then_some(error));
                }
                (Err(error), None) => {
                    self.tell_fault(repo, &mut plan, &step, &error).await?;
                    return Err(error);
                }
            }
            if matches!(step, Step::Mark | Step::Release) {
                return Ok(Again::OnEvent);
            }
        }
        self.store(repo, &plan).await?;
        match failed {
            Some(error) => Err(error),
            None => Ok(plan.again.map_or(Again::OnEvent, Again::After)),
        }
    }

    /// What can not be made goes into the condition of that step; it is tried again with backoff.
    async fn tell_fault(&self, repo: &BackupRepo, plan: &mut Plan, step: &Step, error: &Error) -> Result<(), Error> {
        let Some((type_, reason)) = step.fault() else {
            return Ok(());
        };
        let mut write =
            Conditions { status: &mut plan.status, generation: repo.metadata.generation, now: clock::now() };
        // A pre-check that could not be started has found nothing out.
        let status = if reason == PRE_CHECK_FAILED { Status::Unknown } else { Status::False };
        let reason = if reason == PRE_CHECK_FAILED { "UnknownError" } else { reason };
        write.set(type_, status, reason, &chain(error));
        if status == Status::False {
            plan.status.phase = Some(BackupRepoPhase::Failed);
        }
        self.store(repo, plan).await
    }

    /// The steps before may have changed the object; a conflict only means another look.
    async fn store(&self, repo: &BackupRepo, plan: &Plan) -> Result<(), Error> {
        let old = repo.status.clone().unwrap_or_default();
        let api: Api<BackupRepo> = self.writer.cluster();
        self.writer.store_status(&api, repo, &old, &plan.status).await?;
        Ok(())
    }

    async fn take(&self, seen: &Observed, step: &Step, digest: &str, context: &Context) -> Result<(), Error> {
        let repo = seen.repo.as_ref();
        let api: Api<BackupRepo> = self.writer.cluster();
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
            Step::ApplySecret(wanted) => self.apply_secret(repo, wanted, digest).await?,
            Step::CreateClass(class) => {
                let classes: Api<StorageClass> = self.writer.cluster();
                match self.writer.create(&classes, class).await {
                    Err(error) if !error.is_already_exists() => return Err(error.into()),
                    _ => {} // whose it is shows with the next look
                }
            }
            Step::StartCheck(subject) => self.start_check(repo, subject, digest, context).await?,
            Step::EndCheck => self.end_check(repo, context).await?,
            Step::StoreDigest { digest, stale } => {
                let mut notes = json!({annotations::BACKUP_REPO_DIGEST: digest});
                if let (true, Some(notes)) = (stale, notes.as_object_mut()) {
                    notes.insert(annotations::NEED_UPDATE_TOOL_CONFIG.into(), labels::TRUE.into());
                }
                self.writer.merge(&api, &repo.name_any(), &json!({"metadata": {"annotations": notes}})).await?;
            }
            Step::Refreshed => {
                let body = json!({"metadata": {
                    "uid": repo.uid(), "resourceVersion": repo.resource_version(),
                    "annotations": {annotations::NEED_UPDATE_TOOL_CONFIG: "false"},
                }});
                self.writer.merge(&api, &repo.name_any(), &body).await?;
            }
            Step::CreateClaim { namespace, template } => {
                let name = repo.status.as_ref().and_then(|s| s.backup_pvc_name.clone()).unwrap_or_default();
                self.create_claim(repo, &name, namespace, template, digest).await?;
            }
            Step::Wake(waiting) => self.wake(waiting).await?,
            Step::DeleteClaims => {
                for claim in &seen.claims {
                    self.delete_claim(claim).await?;
                }
            }
            Step::DeleteRest => self.delete_rest(seen, own).await?,
        }
        Ok(())
    }

    /// Leaves a Secret alone that has its content already; one of somebody else is an error that names it.
    async fn apply_secret(&self, repo: &BackupRepo, wanted: &Wanted, digest: &str) -> Result<(), Error> {
        let api: Api<Secret> = self.writer.namespaced(&wanted.namespace);
        let found = self.writer.get(&api, &wanted.name).await?;
        if let Some(found) = &found {
            if !reach::is_ours(found, repo) {
                return Err(taken("Secret", &wanted.namespace, &wanted.name));
            }
            let data = found.data.iter().flatten();
            let same = data.clone().count() == wanted.data.len()
                && data.into_iter().all(|(key, bytes)| wanted.data.get(key).is_some_and(|t| t.as_bytes() == bytes.0));
            if same {
                return Ok(());
            }
        }
        let body = wanted.body(repo, digest, found.and_then(|f| f.uid()));
        self.writer.apply(&api, &wanted.name, &body).await?;
        Ok(())
    }

    async fn start_check(
        &self,
        repo: &BackupRepo,
        subject: &Subject,
        digest: &str,
        context: &Context,
    ) -> Result<(), Error> {
        let own = &context.own_namespace;
        let name = precheck::name(repo);
        match subject {
            Subject::Claim(template) => self.create_claim(repo, &name, own, template, digest).await?,
            Subject::Configuration(_) => {
                if let Some(wanted) = precheck::configuration(repo, own, subject) {
                    self.apply_secret(repo, &wanted, digest).await?;
                }
            }
        }
        let job = precheck::job(repo, own, subject, digest, &context.pods);
        match job_runtime::ensure(&self.writer, &job, &repo.uid().unwrap_or_default()).await? {
            Ensured::Created(_) | Ensured::Present(_) => Ok(()),
            Ensured::NameTaken => Err(taken("Job", own, &name)),
            Ensured::Refused(why) => Err(Error::Refused { why }),
        }
    }

    async fn end_check(&self, repo: &BackupRepo, context: &Context) -> Result<(), Error> {
        let own = &context.own_namespace;
        let name = precheck::name(repo);
        let jobs: Api<Job> = self.writer.namespaced(own);
        let repo_uid = repo.uid().unwrap_or_default();
        if let Some(job) = context.stores.jobs.get(own, &name).filter(|job| job_runtime::owned_by(job, &repo_uid)) {
            let uid = job.uid().unwrap_or_default();
            self.writer.delete(&jobs, &name, &uid, PropagationPolicy::Background).await?;
        }
        if let Some(claim) = context.stores.claims.get(own, &name) {
            self.delete_claim(&claim).await?;
        }
        if repo.spec.access_method() == api_types::dp::AccessMethod::Tool {
            self.delete_secret(repo, own, &name).await?;
        }
        Ok(())
    }

    /// Classes and Secrets of this very repository. Secrets can not be listed: where they are is recorded.
    async fn delete_rest(&self, seen: &Observed, own: &str) -> Result<(), Error> {
        let repo = seen.repo.as_ref();
        let classes: Api<StorageClass> = self.writer.cluster();
        for class in &seen.classes {
            let uid = class.uid().unwrap_or_default();
            self.writer.delete(&classes, &class.name_any(), &uid, PropagationPolicy::Background).await?;
        }
        let status = repo.status.clone().unwrap_or_default();
        for namespace in &status.prepared_namespaces {
            for name in reach::all_configurations(repo) {
                self.delete_secret(repo, namespace, &name).await?;
            }
        }
        if let Some(secret) = status.generated_csi_driver_secret {
            let (namespace, name) = super::rendered::place(&secret, own);
            self.delete_secret(repo, &namespace, &name).await?;
        }
        self.delete_secret(repo, own, &precheck::name(repo)).await
    }

    /// By label and owner: a Secret of that name that somebody else made stays.
    async fn delete_secret(&self, repo: &BackupRepo, namespace: &str, name: &str) -> Result<(), Error> {
        let api: Api<Secret> = self.writer.namespaced(namespace);
        let Some(secret) = self.writer.get(&api, name).await? else {
            return Ok(());
        };
        if reach::is_ours(&secret, repo) && secret.labels().get(labels::BACKUP_REPO_NAME) == Some(&repo.name_any()) {
            let uid = secret.uid().unwrap_or_default();
            self.writer.delete(&api, name, &uid, PropagationPolicy::Background).await?;
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
        template: &ClaimTemplate,
        digest: &str,
    ) -> Result<(), Error> {
        let object = claim::build(repo, name, namespace, template, digest);
        let api: Api<PersistentVolumeClaim> = self.writer.namespaced(namespace);
        match self.writer.create(&api, &object).await {
            Err(error) if error.is_already_exists() => {
                let found = self.writer.get(&api, name).await?;
                // Gone between the two calls: made with the next look.
                if found.is_some_and(|c| !reach::is_ours(&c, repo)) {
                    return Err(taken("PersistentVolumeClaim", namespace, name));
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
            Ok(_) => Ok(()),
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

fn taken(kind: &'static str, namespace: &str, name: &str) -> Error {
    Error::NameTaken { kind, namespace: namespace.to_owned(), name: name.to_owned() }
}
