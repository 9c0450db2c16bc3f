//! Carries out what `plan` decided for a schedule.

use super::cron_job;
use super::observe::Observed;
use super::plan::{Farewell, Follow, Plan};
use super::reconfigure::{Request, Step};
use crate::awaited::{Awaited, Marks};
use crate::error::Error;
use api_types::contract::{FINALIZER, annotations, events::schedule as event, labels};
use api_types::dp::{Backup, BackupSchedule, BackupScheduleStatus};
use api_types::operations::OpsRequest;
use controller_kit::Key;
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::error::chain;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use jiff::Timestamp;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;

/// Longest a timer runs before the clock on the wall is asked again: it may have been set, or the machine asleep.
const LONGEST: Duration = Duration::from_secs(600);

/// How this controller acts.
#[derive(Clone)]
pub struct Hands {
    /// Writes.
    pub writer: Writer,
    /// Events.
    pub events: Events,
    /// OpsRequests that are waited for.
    pub awaited: Awaited,
}

impl Hands {
    /// Carries out `plan`: the status first, then what it announces, then that it is there.
    pub async fn apply(&self, seen: &Observed, plan: Plan) -> Result<Again, Error> {
        let schedule = seen.schedule.as_ref();
        let api = self.api(schedule);
        let old = schedule.status.clone().unwrap_or_default();
        let stored = self.writer.store_status(&api, schedule, &old, &plan.status).await?;
        if stored.is_some() {
            self.tell(schedule, &old, &plan).await;
        }
        let current = match stored {
            Some(stored) => stored,
            // A cache that lags shows a run as about to start that was recorded, and whose Backup was deleted since.
            None if !plan.runs.is_empty() && self.has_changed(schedule).await? => return Ok(Again::OnEvent),
            None => schedule.clone(),
        };
        let current = self.label(current).await?;
        let current = self.reconfigure(current, plan.reconfigure.as_ref()).await?;
        for job in &plan.remove {
            cron_job::remove(&self.writer, job).await?;
            let note = format!("CronJob {} of the other operator was removed; its runs go on here", job.name_any());
            self.events.normal(schedule, event::CRON_JOB_ADOPTED, &note).await;
        }
        for follow in &plan.continuous {
            self.follow(follow).await?;
        }
        let (mut settled, mut failed) = (plan.status.clone(), None);
        for run in &plan.runs {
            match self.run(schedule, run).await {
                Ok(()) => settle(&mut settled, run),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        self.writer.store_status(&api, &current, &plan.status, &settled).await?;
        match failed {
            Some(error) => Err(error),
            None => Ok(wait(plan.wake, clock::now())),
        }
    }

    /// Lets a schedule go that is being deleted.
    pub async fn farewell(&self, seen: &Observed, farewell: Farewell) -> Result<Again, Error> {
        match farewell {
            Farewell::Nothing => {}
            Farewell::Remove(jobs) => {
                for job in &jobs {
                    cron_job::remove(&self.writer, job).await?;
                }
            }
            Farewell::Release => {
                let schedule = seen.schedule.as_ref();
                let kept: Vec<&String> = schedule.finalizers().iter().filter(|f| *f != FINALIZER).collect();
                let body = json!({"metadata": {
                    "uid": schedule.uid(), "resourceVersion": schedule.resource_version(), "finalizers": kept,
                }});
                match self.writer.merge(&self.api(schedule), &schedule.name_any(), &body).await {
                    Err(error) if !error.is_not_found() => return Err(error.into()),
                    _ => {}
                }
            }
        }
        Ok(Again::OnEvent)
    }

    fn api(&self, schedule: &BackupSchedule) -> Api<BackupSchedule> {
        self.writer.namespaced(&schedule.namespace().unwrap_or_default())
    }

    fn backups(&self, backup: &Backup) -> Api<Backup> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }

    async fn has_changed(&self, schedule: &BackupSchedule) -> Result<bool, Error> {
        let fresh = self.writer.get(&self.api(schedule), &schedule.name_any()).await?;
        Ok(fresh.is_none_or(|s| s.uid() != schedule.uid() || s.resource_version() != schedule.resource_version()))
    }

    async fn tell(&self, schedule: &BackupSchedule, old: &BackupScheduleStatus, plan: &Plan) {
        let why = plan.status.failure_reason.as_ref();
        if let Some(why) = why.filter(|why| old.failure_reason.as_ref() != Some(why)) {
            self.events.warning(schedule, event::HANDLE_FAILED, why).await;
        }
        for (reason, note) in &plan.warnings {
            self.events.warning(schedule, reason, note).await;
        }
        for (name, entry) in &plan.status.schedules {
            let before = old.schedules.get(name).and_then(|e| e.reason.as_ref());
            let left_out = plan.warnings.iter().any(|(_, note)| Some(note) == entry.message.as_ref());
            if let (Some(reason), Some(message)) = (&entry.reason, &entry.message)
                && before != Some(reason)
                && !left_out
            {
                self.events.normal(schedule, reason, message).await;
            }
        }
    }

    /// The label by which others find the schedules of a policy.
    async fn label(&self, schedule: BackupSchedule) -> Result<BackupSchedule, Error> {
        let policy = &schedule.spec.backup_policy_name;
        // A longer name is no label value, and the API server would refuse it for ever.
        let fits = policy.len() <= controller_kit::names::LIMIT;
        if !fits || policy.is_empty() || schedule.labels().get(labels::BACKUP_POLICY) == Some(policy) {
            return Ok(schedule);
        }
        let body = json!({"metadata": {
            "uid": schedule.uid(), "resourceVersion": schedule.resource_version(),
            "labels": {labels::BACKUP_POLICY: policy},
        }});
        Ok(self.writer.merge(&self.api(&schedule), &schedule.name_any(), &body).await?)
    }

    /// The OpsRequest of that name, as the server has it.
    ///
    /// # Errors
    /// The server's, but for a kind it does not know.
    pub async fn request(&self, schedule: &BackupSchedule, name: &str) -> Result<Request, Error> {
        match self.writer.find(&self.requests(schedule), name).await {
            Ok(None) => Ok(Request::Absent),
            Ok(Some(there)) => Ok(Request::There(Box::new(there))),
            Err(error) if error.is_not_found() => Ok(Request::NotServed),
            Err(error) => Err(error.into()),
        }
    }

    fn requests(&self, schedule: &BackupSchedule) -> Api<OpsRequest> {
        self.writer.namespaced(&schedule.namespace().unwrap_or_default())
    }

    async fn reconfigure(&self, schedule: BackupSchedule, step: Option<&Step>) -> Result<BackupSchedule, Error> {
        let key = Key::of(&schedule);
        match step {
            None => {}
            Some(Step::Note(annotations)) => {
                let body = json!({"metadata": {
                    "uid": schedule.uid(), "resourceVersion": schedule.resource_version(), "annotations": annotations,
                }});
                return Ok(self.writer.merge(&self.api(&schedule), &schedule.name_any(), &body).await?);
            }
            Some(Step::Send(request)) => {
                let (api, name) = (self.requests(&schedule), request.name_any());
                match self.writer.create(&api, request.as_ref()).await {
                    Ok(_) => {
                        let note = format!("created OpsRequest {name}, which sets its database for an entry");
                        self.events.normal(&schedule, event::RECONFIGURING, &note).await;
                    }
                    // Made before a crash, or by somebody else: the next look tells.
                    Err(error) if error.is_already_exists() => {}
                    Err(error) => return Err(error.into()),
                }
                self.follow_request(key, &name, Marks::new(), api);
            }
            Some(Step::Follow(request)) => {
                let seen = Marks::from([(request.name_any(), phase(request))]);
                self.follow_request(key, &request.name_any(), seen, self.requests(&schedule));
            }
        }
        Ok(schedule)
    }

    fn follow_request(&self, key: Key, name: &str, seen: Marks, api: Api<OpsRequest>) {
        let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
        self.awaited.changes(key, name, api, config, seen, |request| Some(phase(request)));
    }

    /// Creates a Backup. One of that name that is there is the same run, made before a crash, or the reason to look
    /// again: then the cache shows it.
    async fn run(&self, schedule: &BackupSchedule, run: &Backup) -> Result<(), Error> {
        let (api, name) = (self.backups(run), run.name_any());
        match self.writer.create(&api, run).await {
            Ok(_) => {
                let entry = run.annotations().get(annotations::SCHEDULE_ENTRY).cloned().unwrap_or_default();
                let note = format!("created Backup {name} of entry {entry}");
                self.events.normal(schedule, event::BACKUP_STARTED, &note).await;
                Ok(())
            }
            Err(error) if error.is_already_exists() => {
                let there = self.writer.get(&api, &name).await?;
                let same = |b: &Backup| {
                    b.annotations().get(annotations::SCHEDULE_UID) == run.annotations().get(annotations::SCHEDULE_UID)
                };
                if there.is_some_and(|b| same(&b)) { Ok(()) } else { Err(error.into()) }
            }
            Err(error) => {
                self.events.warning(schedule, event::HANDLE_FAILED, &chain(&error)).await;
                Err(error.into())
            }
        }
    }

    async fn follow(&self, follow: &Follow) -> Result<(), Error> {
        match follow {
            Follow::Resume(backup) => {
                let body = json!({
                    "metadata": {"uid": backup.uid(), "resourceVersion": backup.resource_version()},
                    "status": {"phase": "Running", "failureReason": null, "expiration": null,
                        "completionTimestamp": null, "duration": null, "keptBecause": null},
                });
                self.writer.merge_status(&self.backups(backup), &backup.name_any(), &body).await?;
            }
            Follow::Retain(backup, period) => {
                let body = json!({"metadata": {"uid": backup.uid()}, "spec": {"retentionPeriod": period}});
                self.writer.merge(&self.backups(backup), &backup.name_any(), &body).await?;
            }
        }
        Ok(())
    }
}

fn phase(request: &OpsRequest) -> String {
    let phase = request.status.as_ref().and_then(|s| s.phase.as_ref());
    phase.map(|p| p.as_str().to_owned()).unwrap_or_default()
}

/// The run is there: its name moves from what is about to be to what was.
fn settle(status: &mut BackupScheduleStatus, run: &Backup) {
    let name = run.name_any();
    let starting = status.schedules.values_mut().find(|e| e.starting_backup_name.as_ref() == Some(&name));
    if let Some(entry) = starting {
        entry.last_backup_name = entry.starting_backup_name.take();
    }
}

fn wait(wake: Option<Timestamp>, now: Timestamp) -> Again {
    let Some(wake) = wake else { return Again::OnEvent };
    let left = wake.duration_since(now).max(jiff::SignedDuration::ZERO);
    Again::After(Duration::from_secs(left.as_secs().unsigned_abs()).min(LONGEST))
}
