//! Carries out what `plan` decided for a Restore.

use super::chain::Chain;
use super::observe::job_of;
use super::plan::{self, Observed, Plan};
use super::{build, status};
use crate::action::mover::Storage;
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::repo::reach::{self, Purpose};
use api_types::contract::{annotations, events as event_reasons, labels};
use api_types::dp::{Restore, RestorePhase, RestoreStatus};
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use job_runtime::Ensured;
use job_runtime::stop::{self, Turn};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::{Api, ResourceExt};
use serde_json::json;

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
}

impl Hands {
    /// Carries out `plan`.
    pub async fn apply(&self, seen: &mut Observed, plan: Plan, context: &Context) -> Result<Again, Error> {
        let now = clock::now();
        match plan {
            Plan::Leave => {}
            Plan::Blocked(stop) => self.block(seen, &stop).await?,
            Plan::Refuse(stop) => self.refuse(seen, &stop).await?,
            Plan::Mark => {
                let body = json!({"metadata": {"uid": seen.restore.uid(), "labels": {labels::MANAGED_BY: labels::MANAGED_BY_DP}}});
                self.writer.merge(&self.api(seen), &seen.restore.name_any(), &body).await?;
            }
            Plan::AsDataSource => {
                self.store(seen, &status::as_data_source(seen)).await?;
            }
            Plan::AskForRepo(repo, stop) => {
                self.block(seen, &stop).await?;
                self.ask_for_repo(seen, &repo).await?;
            }
            Plan::CreateClaims(missing) => self.create_claims(seen, &missing).await?,
            Plan::CreateJob(place) => self.create_job(seen, place, context).await?,
            Plan::Record => self.record(seen).await?,
            Plan::TurnJob(place, turn) => self.turn_job(seen, place, &turn).await?,
            Plan::Held(stop) => {
                self.store(seen, &status::held(seen, &stop, now)).await?;
            }
            Plan::GiveUp(stop) => self.give_up(seen, &stop).await?,
            Plan::Store => {
                let next = status::folded(seen, now);
                if self.store(seen, &next).await? {
                    self.tell(seen, &next).await;
                }
            }
            Plan::CleanUp => self.clean_up(seen, context).await?,
        }
        Ok(Again::OnEvent)
    }

    fn api(&self, seen: &Observed) -> Api<Restore> {
        self.writer.namespaced(&seen.restore.namespace().unwrap_or_default())
    }

    async fn store(&self, seen: &Observed, next: &RestoreStatus) -> Result<bool, Error> {
        let old = seen.restore.status.clone().unwrap_or_default();
        let stored = self.writer.store_status(&self.api(seen), seen.restore.as_ref(), &old, next).await?;
        Ok(stored.is_some())
    }

    async fn block(&self, seen: &Observed, stop: &Stop) -> Result<(), Error> {
        if self.store(seen, &status::blocked(seen, stop, clock::now())).await? {
            self.events.warning(seen.restore.as_ref(), stop.reason, &stop.message).await;
        }
        Ok(())
    }

    async fn refuse(&self, seen: &Observed, stop: &Stop) -> Result<(), Error> {
        if self.store(seen, &status::refused(seen, stop, clock::now())).await? {
            self.events.warning(seen.restore.as_ref(), event_reasons::restore::FAILED, &stop.message).await;
        }
        Ok(())
    }

    async fn tell(&self, seen: &Observed, status: &RestoreStatus) {
        let restore = seen.restore.as_ref();
        let text = status::summary(seen, status);
        match status.phase {
            Some(RestorePhase::Completed) => {
                self.events.normal(restore, event_reasons::restore::COMPLETED, &text).await;
            }
            Some(RestorePhase::Failed) => self.events.warning(restore, event_reasons::restore::FAILED, &text).await,
            _ => {}
        }
    }

    /// The expected Jobs; from now on what was chosen stays.
    async fn record(&self, seen: &Observed) -> Result<(), Error> {
        if !self.store(seen, &status::recorded(seen, clock::now())).await? {
            return Ok(());
        }
        let restore = seen.restore.as_ref();
        let text = format!("restoring from Backup {}", restore.spec.backup.name);
        self.events.normal(restore, event_reasons::restore::STARTING, &text).await;
        if let Some(Ok(chain)) = seen.chain.as_ref().filter(|c| c.as_ref().is_ok_and(Chain::skips_base)) {
            let base = chain.named.base.as_ref().map(|b| b.name_any()).unwrap_or_default();
            let actions = chain.named.action_set.name_any();
            let text = format!("ActionSet {actions} restores Backup {base} itself, which is the base");
            self.events.normal(restore, event_reasons::restore::SKIP_BASE_BACKUP, &text).await;
        }
        Ok(())
    }

    /// The next Job can never be made.
    async fn give_up(&self, seen: &Observed, stop: &Stop) -> Result<(), Error> {
        if self.store(seen, &status::given_up(seen, stop, clock::now())).await? {
            self.events.warning(seen.restore.as_ref(), event_reasons::restore::FAILED, &stop.message).await;
        }
        Ok(())
    }

    /// Refuses what has not begun, gives up what has.
    async fn end(&self, seen: &Observed, stop: &Stop) -> Result<(), Error> {
        if plan::recorded(&seen.restore).is_empty() {
            self.refuse(seen, stop).await
        } else {
            self.give_up(seen, stop).await
        }
    }

    async fn ask_for_repo(&self, seen: &Observed, repo: &str) -> Result<(), Error> {
        if seen.restore.labels().contains_key(labels::WAIT_REPO_PREPARATION) {
            return Ok(());
        }
        let body = json!({"metadata": {"uid": seen.restore.uid(), "labels": {
            labels::WAIT_REPO_PREPARATION: "true", labels::BACKUP_REPO_NAME: repo,
        }}});
        self.writer.merge(&self.api(seen), &seen.restore.name_any(), &body).await?;
        Ok(())
    }

    async fn create_claims(&self, seen: &Observed, missing: &[usize]) -> Result<(), Error> {
        let restore = seen.restore.as_ref();
        let config = restore.spec.prepare_data_config.as_ref();
        let wanted = config.map(|c| c.volume_claims.as_slice()).unwrap_or_default();
        let api: Api<PersistentVolumeClaim> = self.writer.namespaced(&restore.namespace().unwrap_or_default());
        for claim in missing.iter().filter_map(|i| wanted.get(*i)) {
            let object = build::claim(claim, restore);
            match self.writer.create(&api, &object).await {
                Ok(_) => {
                    let text = format!("created PersistentVolumeClaim {}", object.name_any());
                    self.events.normal(restore, event_reasons::restore::CREATE_PVC, &text).await;
                }
                Err(error) if error.is_already_exists() => {}
                Err(error) if error.is_invalid() => {
                    let why = controller_kit::error::chain(&error);
                    return self.refuse(seen, &Stop::terminal(reasons::INVALID_CLAIM, why)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        // A user's claims are not watched by us; the label write below is our own wake-up.
        let body = json!({"metadata": {"uid": restore.uid(), "annotations": {annotations::CLAIMS_CREATED: "true"}}});
        self.writer.merge(&self.api(seen), &restore.name_any(), &body).await?;
        Ok(())
    }

    async fn create_job(&self, seen: &mut Observed, place: usize, context: &Context) -> Result<(), Error> {
        let namespace = seen.restore.namespace().unwrap_or_default();
        context.workers.ensure(&self.writer, &namespace).await?;
        let steps = plan::steps(seen);
        let (Some(read), Some(found)) = (steps.get(place), seen.repos.get(place)) else {
            return Ok(());
        };
        let repository = found.repo.as_ref().and_then(|r| reach::repository(r, &namespace, Purpose::Read));
        let storage = repository.map(|repository| Storage::of(&read.backup, repository));
        let set = read.set(plan::source_pod(&seen.restore));
        let job = match build::prepare_data_job(&seen.restore, &set, 0, storage.as_ref(), &context.pods) {
            Ok(job) => job,
            Err(stop) => return self.end(seen, &stop).await,
        };
        match job_runtime::ensure(&self.writer, &job, &seen.restore.uid().unwrap_or_default()).await? {
            Ensured::NameTaken => {
                let text = format!("Job {} belongs to somebody else", job.name_any());
                self.end(seen, &Stop::terminal(reasons::JOB_NAME_COLLISION, text)).await
            }
            Ensured::Refused(why) => self.end(seen, &Stop::terminal(reasons::JOB_REFUSED, why)).await,
            Ensured::Created(job) | Ensured::Present(job) => {
                if let Some(expected) = seen.jobs.get_mut(place) {
                    expected.uid = job.uid();
                }
                self.store(seen, &status::recorded(seen, clock::now())).await?;
                Ok(())
            }
        }
    }

    /// Turns the recorded Job; one of another UID under its name is left alone.
    async fn turn_job(&self, seen: &Observed, place: usize, turn: &Turn) -> Result<(), Error> {
        let Some(action) = plan::recorded(&seen.restore).get(place) else {
            return Ok(());
        };
        let namespace = seen.restore.namespace().unwrap_or_default();
        let uid = action.job_uid.as_deref().unwrap_or_default();
        stop::take(&self.writer, &namespace, job_of(action), uid, turn).await?;
        Ok(())
    }

    async fn clean_up(&self, seen: &Observed, context: &Context) -> Result<(), Error> {
        let restore = seen.restore.as_ref();
        let namespace = restore.namespace().unwrap_or_default();
        for action in plan::recorded(restore) {
            if let Some(job) = context.stores.jobs.get(&namespace, job_of(action)) {
                job_runtime::cancel(&self.writer, &job, &restore.uid().unwrap_or_default()).await?;
            }
        }
        Ok(())
    }
}
