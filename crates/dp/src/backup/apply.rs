//! Carries out what `plan` decided for a Backup.

use super::build;
use super::env::Source;
use super::origin::Origin;
use super::plan::{JobTurn, Observed, Plan, Ready};
use super::select::Chosen;
use super::targets::Targets;
use super::{delete, status};
use crate::action::mover::Storage;
use crate::action::pod::PodSettings;
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::repo::reach::Purpose;
use api_types::contract::{FINALIZER, events as event_reasons, labels};
use api_types::dp::{Backup, BackupPhase, BackupStatus, BackupStatusTarget};
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::error::Class;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use job_runtime::{Ensured, stop};
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// Database pods.
    pub targets: Targets,
}

impl Hands {
    /// Carries out `plan`.
    pub async fn apply(&self, seen: &Observed, plan: Plan, context: &Context) -> Result<Again, Error> {
        let backup = seen.backup.as_ref();
        match plan {
            Plan::Leave => {}
            Plan::Blocked(stop) => self.block(backup, &stop).await?,
            Plan::Refuse(stop) => self.refuse(backup, &stop).await?,
            Plan::Mark(labels) => self.mark(backup, &labels).await?,
            Plan::AskForRepo(stop) => {
                self.block(backup, &stop).await?;
                self.ask_for_repo(backup).await?;
            }
            Plan::Start(ready) => self.start(backup, *ready, context).await?,
            Plan::Run { create, turns, status } => {
                self.turn_jobs(backup, &turns).await?;
                self.run(seen, &create, *status, context).await?;
            }
            Plan::CleanUp | Plan::StopWorkloads => self.stop_workloads(backup, context).await?,
            Plan::BeginDeletion => {
                let mut next = backup.status.clone().unwrap_or_default();
                next.phase = Some(BackupPhase::Deleting);
                status::unblocked(&mut next);
                self.store(backup, &next).await?;
            }
            Plan::DeleteFiles { path, repository } => {
                let job = delete::job(backup, &path, &repository, &context.pods);
                self.delete_files(backup, &job).await?;
            }
            Plan::DeletionFailed(why) => self.files_not_deleted(backup, &why).await?,
            Plan::Release => self.release(backup).await?,
        }
        Ok(Again::OnEvent)
    }

    fn api(&self, backup: &Backup) -> Api<Backup> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }

    async fn store(&self, backup: &Backup, next: &BackupStatus) -> Result<bool, Error> {
        let old = backup.status.clone().unwrap_or_default();
        let stored = self.writer.store_status(&self.api(backup), backup, &old, next).await?;
        Ok(stored.is_some())
    }

    async fn block(&self, backup: &Backup, stop: &Stop) -> Result<(), Error> {
        let mut next = backup.status.clone().unwrap_or_default();
        status::blocked(&mut next, stop, backup.metadata.generation, clock::now());
        if self.store(backup, &next).await? {
            self.events.warning(backup, stop.reason, &stop.message).await;
        }
        Ok(())
    }

    async fn refuse(&self, backup: &Backup, stop: &Stop) -> Result<(), Error> {
        let mut next = backup.status.clone().unwrap_or_default();
        status::refused(&mut next, stop, clock::now());
        self.store(backup, &next).await?;
        self.events.warning(backup, stop.reason, &stop.message).await;
        Ok(())
    }

    async fn mark(&self, backup: &Backup, labels: &BTreeMap<String, String>) -> Result<(), Error> {
        let mut finalizers: Vec<String> = backup.finalizers().to_vec();
        if !finalizers.iter().any(|f| f == FINALIZER) {
            finalizers.push(FINALIZER.into());
        }
        let body = json!({"metadata": {
            "uid": backup.uid(), "resourceVersion": backup.resource_version(),
            "labels": labels, "finalizers": finalizers,
        }});
        self.writer.merge(&self.api(backup), &backup.name_any(), &body).await?;
        Ok(())
    }

    async fn ask_for_repo(&self, backup: &Backup) -> Result<(), Error> {
        if backup.labels().contains_key(labels::WAIT_REPO_PREPARATION) {
            return Ok(());
        }
        let body = json!({"metadata": {"uid": backup.uid(), "labels": {labels::WAIT_REPO_PREPARATION: "true"}}});
        self.writer.merge(&self.api(backup), &backup.name_any(), &body).await?;
        Ok(())
    }

    async fn start(&self, backup: &Backup, ready: Ready, context: &Context) -> Result<(), Error> {
        let mut chosen: Vec<Chosen> = Vec::new();
        for target in &ready.targets {
            match self.targets.choose(backup, target).await? {
                Ok(recorded) => chosen.push(recorded),
                Err(stop) => {
                    self.block(backup, &stop).await?;
                    self.targets.wake_on_any(backup, target);
                    return Ok(());
                }
            }
        }
        let origin = Origin { writer: &self.writer, events: &self.events, keys: &context.keys };
        let Some(backup) = origin.record(backup, &chosen).await? else {
            return Ok(());
        };
        let targets = chosen.into_iter().map(|c| c.target).collect();
        let next = status::started(&backup, ready.into_start(targets), clock::now());
        self.store(&backup, &next).await?;
        Ok(())
    }

    async fn run(
        &self,
        seen: &Observed,
        create: &[usize],
        mut next: BackupStatus,
        context: &Context,
    ) -> Result<(), Error> {
        let backup = seen.backup.as_ref();
        let namespace = backup.namespace().unwrap_or_default();
        if !create.is_empty() {
            context.workers.ensure(&self.writer, &namespace).await?;
        }
        for index in create {
            match self.create_job(seen, *index, &mut next, &context.pods).await? {
                Ok(()) => {}
                Err(stop) if stop.class == Class::Terminal => {
                    status::refused_action(&mut next, *index, &stop, clock::now());
                }
                Err(stop) => status::blocked(&mut next, &stop, backup.metadata.generation, clock::now()),
            }
        }
        let ended = matches!(next.phase, Some(BackupPhase::Completed | BackupPhase::Failed));
        if self.store(backup, &next).await? && ended {
            self.tell_end(backup, &next).await;
        }
        Ok(())
    }

    async fn turn_jobs(&self, backup: &Backup, turns: &[JobTurn]) -> Result<(), Error> {
        let namespace = backup.namespace().unwrap_or_default();
        for JobTurn { name, uid, turn } in turns {
            stop::take(&self.writer, &namespace, name, uid, turn).await?;
        }
        Ok(())
    }

    async fn tell_end(&self, backup: &Backup, status: &BackupStatus) {
        if status.phase == Some(BackupPhase::Completed) {
            let size = status.total_size.as_deref().unwrap_or("unknown");
            let took = status.duration.as_deref().unwrap_or_default();
            self.events
                .normal(backup, event_reasons::backup::CREATED, &format!("backed up {size} bytes in {took}"))
                .await;
        } else {
            let why = status.failure_reason.as_deref().unwrap_or_default();
            self.events.warning(backup, event_reasons::backup::JOB_FAILED, why).await;
        }
    }

    async fn create_job(
        &self,
        seen: &Observed,
        index: usize,
        next: &mut BackupStatus,
        settings: &PodSettings,
    ) -> Result<Result<(), Stop>, Error> {
        let backup = seen.backup.as_ref();
        let Some((action, target)) = action_and_target(backup, index) else {
            return Ok(Err(Stop::terminal(reasons::TARGET_NOT_FOUND, "status.actions does not fit status.target")));
        };
        let (Some(action_set), Some(method)) =
            (&seen.action_set, backup.status.as_ref().and_then(|s| s.backup_method.as_ref()))
        else {
            return Ok(Err(Stop::wait(reasons::ACTION_SET_NOT_FOUND, "the ActionSet of this backup's method is gone")));
        };
        let pod_name = action.target_pod_name.clone().unwrap_or_default();
        let Some(pod) = self.targets.get(backup, &pod_name).await? else {
            self.targets.wake_on(backup, &pod_name);
            return Ok(Err(Stop::wait(
                reasons::TARGET_POD_NOT_FOUND,
                format!("target pod {pod_name} is gone; its backup starts when it is back"),
            )));
        };
        let repo_name = backup.status.as_ref().and_then(|s| s.backup_repo_name.clone()).unwrap_or_default();
        let Some(repository) = super::plan::repository(seen, Purpose::Write) else {
            return Ok(Err(Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, format!("there is no BackupRepo {repo_name}"))));
        };
        let storage = Storage::of(backup, repository);
        let source = Source { backup, action_set, method, target, pod: &pod };
        let name = action.name.as_deref().unwrap_or_default();
        let backoff = seen.policy.as_ref().map_or(2, |p| p.spec.backoff_limit());
        let job = match build::data_job(&source, name, &storage, backoff, settings) {
            Ok(job) => job,
            Err(stop) => return Ok(Err(stop)),
        };
        match job_runtime::ensure(&self.writer, &job, &backup.uid().unwrap_or_default()).await? {
            Ensured::NameTaken => Ok(Err(Stop::terminal(
                reasons::JOB_NAME_COLLISION,
                format!("Job {} belongs to somebody else; delete it or rename the Backup", job.name_any()),
            ))),
            Ensured::Refused(why) => Ok(Err(Stop::terminal(reasons::JOB_REFUSED, why))),
            Ensured::Created(job) | Ensured::Present(job) => {
                let reference = next.actions.get_mut(index).and_then(|a| a.object_ref.as_mut());
                if let Some(reference) = reference {
                    reference.uid = job.uid();
                }
                Ok(Ok(()))
            }
        }
    }

    async fn stop_workloads(&self, backup: &Backup, context: &Context) -> Result<(), Error> {
        let (namespace, uid) = (backup.namespace().unwrap_or_default(), backup.uid().unwrap_or_default());
        for job in super::jobs_of(&context.stores, &namespace, &uid) {
            job_runtime::cancel(&self.writer, &job, &uid).await?;
        }
        Ok(())
    }

    async fn delete_files(&self, backup: &Backup, job: &Job) -> Result<(), Error> {
        let name = job.name_any();
        match job_runtime::ensure(&self.writer, job, &backup.uid().unwrap_or_default()).await {
            Ok(Ensured::NameTaken) => {
                self.deletion_failed(backup, format!("Job {name} belongs to somebody else; delete it")).await
            }
            Ok(Ensured::Refused(why)) => self.deletion_failed(backup, why).await,
            Ok(Ensured::Created(_) | Ensured::Present(_)) => {
                let mut next = backup.status.clone().unwrap_or_default();
                next.deletion_failure_reason = None;
                status::unblocked(&mut next);
                self.store(backup, &next).await?;
                Ok(())
            }
            Err(error) if error.is_namespace_terminating() => {
                let why = "the namespace is being deleted, no Job can delete the files from it; \
                           set spec.deletionPolicy to Retain to let the object go and keep the files";
                self.deletion_failed(backup, why.to_owned()).await
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn files_not_deleted(&self, backup: &Backup, why: &str) -> Result<(), Error> {
        self.deletion_failed(backup, format!("{why}; delete Job {} to try again", delete::job_name(backup))).await
    }

    async fn deletion_failed(&self, backup: &Backup, why: String) -> Result<(), Error> {
        let mut next = backup.status.clone().unwrap_or_default();
        next.deletion_failure_reason = Some(why.clone());
        status::unblocked(&mut next);
        if self.store(backup, &next).await? {
            self.events.warning(backup, event_reasons::backup::DELETE_FILES_FAILED, &why).await;
        }
        Ok(())
    }

    async fn release(&self, backup: &Backup) -> Result<(), Error> {
        let kept: Vec<&String> = backup.finalizers().iter().filter(|f| *f != FINALIZER).collect();
        let body = json!({"metadata": {
            "uid": backup.uid(), "resourceVersion": backup.resource_version(), "finalizers": kept,
        }});
        match self.writer.merge(&self.api(backup), &backup.name_any(), &body).await {
            Err(error) if !error.is_not_found() => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn action_and_target(backup: &Backup, index: usize) -> Option<(&api_types::dp::ActionStatus, &BackupStatusTarget)> {
    let status = backup.status.as_ref()?;
    let action = status.actions.get(index)?;
    let pod = action.target_pod_name.as_ref()?;
    let name = action.name.as_deref()?;
    let target = status.targets().iter().find(|t| {
        let at = t.selected_target_pods.iter().position(|p| p == pod);
        at.is_some_and(|at| build::action_name(t.name(), at) == name)
    })?;
    Some((action, target))
}
