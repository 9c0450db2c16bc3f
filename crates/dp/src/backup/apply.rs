//! Carries out what `plan` decided for a Backup.

use super::plan::{self, Observed, Plan};
use super::targets::Targets;
use super::{continuous, delete, inputs, run, start, status};
use crate::context::Context;
use crate::error::{Error, Stop};
use api_types::contract::{FINALIZER, labels};
use api_types::dp::{Backup, BackupStatus};
use controller_kit::Key;
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::api::PropagationPolicy;
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
            Plan::Leave => self.targets.awaited.forget(&Key::of(backup)),
            Plan::Blocked(stop) => {
                self.block(backup, &stop).await?;
                return Ok(by(plan::waits_until(seen)));
            }
            Plan::Refuse(stop) => self.refuse(backup, &stop).await?,
            Plan::Mark(labels) => self.mark(backup, &labels).await?,
            Plan::AskForRepo(stop) => {
                self.block(backup, &stop).await?;
                self.ask_for_repo(backup).await?;
                return Ok(by(plan::waits_until(seen)));
            }
            Plan::Start(ready) => {
                start::start(self, seen, *ready, context).await?;
                return Ok(by(plan::waits_until(seen)));
            }
            Plan::Run(run) => return Box::pin(run::run(self, seen, *run, context)).await,
            Plan::Follow => return Box::pin(continuous::apply::follow(self, seen, context)).await,
            Plan::CleanUp => self.stop_workloads(backup, context).await?,
            Plan::Cancel(jobs) => self.cancel(backup, &jobs).await?,
            Plan::Delete(plan) => {
                if !matches!(plan, delete::plan::Plan::Release { .. }) {
                    self.targets.awaited.forget(&Key::of(backup));
                }
                delete::apply::apply(self, seen, plan, context).await?;
            }
        }
        Ok(Again::OnEvent)
    }

    /// The backups of its namespace.
    pub fn api(&self, backup: &Backup) -> Api<Backup> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }

    /// Stores a status; true if it differed.
    pub async fn store(&self, backup: &Backup, next: &BackupStatus) -> Result<bool, Error> {
        let old = backup.status.clone().unwrap_or_default();
        let stored = self.writer.store_status(&self.api(backup), backup, &old, next).await?;
        Ok(stored.is_some())
    }

    /// Tells what the backup waits for.
    pub async fn block(&self, backup: &Backup, stop: &Stop) -> Result<(), Error> {
        let mut next = backup.status.clone().unwrap_or_default();
        status::left_queue(next.queue.as_mut(), clock::now());
        status::blocked(&mut next, stop, backup.metadata.generation, clock::now());
        if self.store(backup, &next).await? {
            self.events.warning(backup, stop.reason, &stop.message).await;
        }
        Ok(())
    }

    async fn refuse(&self, backup: &Backup, stop: &Stop) -> Result<(), Error> {
        let mut next = backup.status.clone().unwrap_or_default();
        // Said once: an archive that can not start is looked at again.
        let said = next.failure_reason == Some(status::refusal(stop));
        if !said {
            status::refused(&mut next, stop, clock::now());
            inputs::ended(&mut next.inputs);
        }
        if self.store(backup, &next).await? {
            self.events.warning(backup, stop.reason, &stop.message).await;
        }
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

    /// Asks the repository's controller for what pods of this namespace need.
    pub async fn ask_for_repo(&self, backup: &Backup) -> Result<(), Error> {
        if backup.labels().contains_key(labels::WAIT_REPO_PREPARATION) {
            return Ok(());
        }
        let body = json!({"metadata": {"uid": backup.uid(), "labels": {labels::WAIT_REPO_PREPARATION: "true"}}});
        self.writer.merge(&self.api(backup), &backup.name_any(), &body).await?;
        Ok(())
    }

    /// Deletes everything that works for the backup.
    pub async fn stop_workloads(&self, backup: &Backup, context: &Context) -> Result<(), Error> {
        let uid = backup.uid().unwrap_or_default();
        for job in super::jobs_of(&context.stores, backup) {
            job_runtime::cancel(&self.writer, &job, &uid).await?;
        }
        for set in continuous::sets_of(&context.stores, backup) {
            self.delete_set(&set).await?;
        }
        Ok(())
    }

    /// Deletes a StatefulSet with its pods.
    pub async fn delete_set(&self, set: &StatefulSet) -> Result<(), Error> {
        if set.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        let api = self.writer.namespaced::<StatefulSet>(&set.namespace().unwrap_or_default());
        let uid = set.uid().unwrap_or_default();
        self.writer.delete(&api, &set.name_any(), &uid, PropagationPolicy::Background).await?;
        Ok(())
    }

    /// Deletes Jobs of actions that were given up.
    pub async fn cancel(&self, backup: &Backup, jobs: &[ObjectReference]) -> Result<(), Error> {
        let uid = backup.uid().unwrap_or_default();
        for reference in jobs {
            let api = self.writer.namespaced::<Job>(reference.namespace.as_deref().unwrap_or_default());
            let name = reference.name.as_deref().unwrap_or_default();
            if let Some(job) = self.writer.get(&api, name).await? {
                job_runtime::cancel(&self.writer, &job, &uid).await?;
            }
        }
        Ok(())
    }
}

/// At the next event, or at that moment.
pub fn by(at: Option<Timestamp>) -> Again {
    at.map_or(Again::OnEvent, |at| {
        let left = at.duration_since(clock::now());
        Again::After(std::time::Duration::try_from(left).unwrap_or_default())
    })
}
