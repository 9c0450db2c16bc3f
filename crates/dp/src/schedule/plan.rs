//! What is to be done about a schedule. Pure.

use super::build;
use super::cron_job;
use super::due::{self, Bearer, Decision, Facts};
use super::entries::{self, Entry, Mode};
use super::observe::Observed;
use super::reconfigure;
use super::status;
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{Backup, BackupPhase, BackupSchedule, BackupScheduleStatus, ScheduleStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::CronJob;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What of the operator's settings decides here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// The reference's lease is held, so its CronJobs are ours to take over.
    pub holds_foreign_lease: bool,
    /// How much later than its slot a run may start, where the schedule does not say.
    pub jitter: SignedDuration,
}

/// What to do.
#[derive(Debug, Default)]
pub struct Plan {
    /// The status; stored before anything is created.
    pub status: BackupScheduleStatus,
    /// Backups to create, or to go on with.
    pub runs: Vec<Backup>,
    /// Continuous Backups whose spec or status follows their entry.
    pub continuous: Vec<Follow>,
    /// What sets the database of a continuous entry that was switched.
    pub reconfigure: Option<reconfigure::Step>,
    /// CronJobs to remove once the status is stored.
    pub remove: Vec<Arc<CronJob>>,
    /// Reason and note of warnings, told when the status changes.
    pub warnings: Vec<(&'static str, String)>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// A continuous Backup that follows its entry.
#[derive(Clone, Debug)]
pub enum Follow {
    /// It completed and its entry is on again.
    Resume(Arc<Backup>),
    /// Its retention changed.
    Retain(Arc<Backup>, String),
}

/// What to do about a schedule that is being deleted.
#[derive(Debug, PartialEq)]
pub enum Farewell {
    /// Nothing of ours holds it.
    Nothing,
    /// Remove these CronJobs; their end wakes it.
    Remove(Vec<Arc<CronJob>>),
    /// Take back the reference's finalizer.
    Release,
}

/// The schedule is on its way out: its Backups stay, the reference's CronJobs and finalizer go.
pub fn farewell(seen: &Observed, settings: &Settings) -> Farewell {
    let schedule = &seen.schedule;
    if !schedule.finalizers().iter().any(|f| f == FINALIZER) {
        return Farewell::Nothing;
    }
    if seen.cron_jobs.is_empty() {
        return Farewell::Release;
    }
    let adopt = may_adopt(schedule, settings);
    Farewell::Remove(seen.cron_jobs.iter().filter(|j| cron_job::is_removable(j, adopt)).cloned().collect())
}

/// What to do about a schedule.
pub fn plan(seen: &Observed, settings: &Settings, now: Timestamp) -> Plan {
    let schedule = seen.schedule.as_ref();
    let old = schedule.status.clone().unwrap_or_default();
    let adopt = may_adopt(schedule, settings);
    let refused = entries::refusal(schedule, seen.policy.as_deref());
    let (Some(policy), None) = (seen.policy.as_deref(), &refused) else {
        let why = refused.into_iter().collect::<Vec<String>>();
        let told = old.schedules.iter().map(|(name, entry)| (name.clone(), seen.settled(entry.clone()))).collect();
        let status = status::folded(schedule, told, &why);
        return Plan { status, ..Plan::default() };
    };
    let all = entries::entries(schedule, policy, &seen.action_sets);
    let mut problems: Vec<String> = all.iter().filter_map(|e| e.mode.as_ref().err().cloned()).collect();
    let jitter = jitter(schedule, settings).unwrap_or_else(|why| {
        problems.push(why);
        SignedDuration::ZERO
    });
    let mut set = reconfigure::plan(schedule, &switched(&all), seen.cluster.as_ref(), &seen.request);
    problems.append(&mut set.problems);
    let mut plan = Plan { reconfigure: set.step, ..Plan::default() };
    let mut told = BTreeMap::new();
    for entry in &all {
        let before = old.schedules.get(&entry.name).cloned().unwrap_or_default();
        let made = seen.made_for(entry);
        let after = match &entry.mode {
            Err(why) => status::refused(seen.settled(before), why),
            Ok(Mode::Off) => status::off(before, &made),
            Ok(Mode::Continuous { enabled }) => {
                let bearer = seen.continuous(entry);
                plan.follow(seen, entry, *enabled, bearer.as_ref());
                status::continuous(before, bearer.as_deref(), *enabled, set.told.remove(&entry.spec.backup_method))
            }
            Ok(Mode::Timed { .. }) => {
                let offset = due::offset(&schedule.uid().unwrap_or_default(), &entry.name, jitter);
                let Decision { status, run, warning, wake } = seen.decide(entry, &before, offset, adopt, now);
                plan.runs.extend(run.map(|r| build::backup(schedule, entry, &r.name, r.slot)));
                plan.warnings.extend(warning);
                plan.wake = plan.wake.into_iter().chain(wake).min();
                status::timed(status, &made)
            }
        };
        told.insert(entry.name.clone(), after);
    }
    plan.remove = seen.cron_jobs.iter().filter(|j| cron_job::is_removable(j, adopt)).cloned().collect();
    plan.status = status::folded(schedule, told, &problems);
    plan
}

/// The continuous entries of a schedule.
pub fn switches(seen: &Observed) -> Vec<reconfigure::Switch> {
    let policy = seen.policy.as_deref();
    policy.map(|policy| switched(&entries::entries(&seen.schedule, policy, &seen.action_sets))).unwrap_or_default()
}

fn switched(entries: &[Entry]) -> Vec<reconfigure::Switch> {
    let switch = |e: &Entry| match &e.mode {
        Ok(Mode::Continuous { enabled }) => Some((e.spec.backup_method.clone(), *enabled)),
        _ => None,
    };
    entries.iter().filter_map(switch).collect()
}

fn may_adopt(schedule: &BackupSchedule, settings: &Settings) -> bool {
    let asked = schedule.annotations().get(annotations::ADOPT).map(String::as_str) == Some(labels::TRUE);
    settings.holds_foreign_lease || asked
}

fn jitter(schedule: &BackupSchedule, settings: &Settings) -> Result<SignedDuration, String> {
    let Some(text) = schedule.annotations().get(annotations::SCHEDULE_JITTER) else {
        return Ok(settings.jitter);
    };
    let parsed = api_types::duration::parse(text).ok().filter(|d| !d.is_negative());
    parsed.ok_or_else(|| {
        format!("metadata.annotations[{}]: {text:?} is no duration such as 10m or 1h", annotations::SCHEDULE_JITTER)
    })
}

impl Plan {
    fn follow(&mut self, seen: &Observed, entry: &Entry, enabled: bool, bearer: Option<&Arc<Backup>>) {
        let (Some(policy), true) = (&seen.policy, enabled) else { return };
        let Some(backup) = bearer else {
            let names = build::continuous_names(&seen.schedule, &entry.spec.backup_method);
            self.runs.extend(names.last().map(|n| build::continuous(&seen.schedule, policy, entry, n)));
            return;
        };
        if backup.metadata.deletion_timestamp.is_some() {
            return; // Made again when it is gone: that wakes the schedule.
        }
        if backup.phase() == BackupPhase::Completed {
            self.continuous.push(Follow::Resume(Arc::clone(backup)));
        }
        let wanted = entry.spec.retention_period();
        if backup.spec.retention_period.as_deref() != Some(wanted) {
            self.continuous.push(Follow::Retain(Arc::clone(backup), wanted.to_owned()));
        }
    }
}

impl Observed {
    /// Backups that are runs of an entry, also those that the reference's CronJob made.
    fn made_for(&self, entry: &Entry) -> Vec<&Backup> {
        let own = |b: &&Arc<Backup>| super::is_made_for(b, &self.schedule) && is_run_of(b, entry);
        self.runs.own.iter().filter(own).map(AsRef::as_ref).collect()
    }

    /// The Backup of a continuous entry, under any of its names.
    fn continuous(&self, entry: &Entry) -> Option<Arc<Backup>> {
        let names = build::continuous_names(&self.schedule, &entry.spec.backup_method);
        let fits = |b: &&Arc<Backup>, name: &str| {
            b.name_any() == name
                && super::is_made_for(b, &self.schedule)
                && b.spec.backup_method == entry.spec.backup_method
                && b.spec.backup_policy_name == self.schedule.spec.backup_policy_name
        };
        names.iter().find_map(|name| self.runs.own.iter().find(|b| fits(b, name)).cloned())
    }

    fn bearer(&self, name: &str) -> Bearer {
        match self.runs.names.get(name) {
            None => Bearer::Nobody,
            Some(true) => Bearer::Run,
            Some(false) => Bearer::Other,
        }
    }

    /// An entry that can not run now still records the run that is there.
    fn settled(&self, mut status: ScheduleStatus) -> ScheduleStatus {
        due::settle(&mut status, &|name| self.bearer(name));
        status
    }

    fn decide(
        &self,
        entry: &Entry,
        before: &ScheduleStatus,
        offset: SignedDuration,
        adopt: bool,
        now: Timestamp,
    ) -> Decision {
        let (Ok(Mode::Timed { cron, builds_on }), Some(policy)) = (&entry.mode, &self.policy) else {
            return Decision { status: before.clone(), ..Decision::default() };
        };
        let schedule = self.schedule.as_ref();
        let created = schedule.creation_timestamp().map_or(now, |t| t.0);
        let seen_before = schedule.status.as_ref().is_some_and(|s| s.observed_generation.is_some());
        let base = build::base_name(schedule, policy);
        let running = |b: &&Backup| {
            matches!(b.phase(), BackupPhase::New | BackupPhase::InProgress | BackupPhase::Running)
                && b.metadata.deletion_timestamp.is_none()
        };
        let starting = before.starting_backup_name.as_deref();
        let unfinished = self.made_for(entry).into_iter().filter(running).map(ResourceExt::name_any);
        let bearer = |name: &str| self.bearer(name);
        let facts = Facts {
            cron,
            anchor: created,
            since: if seen_before { now } else { created.min(now) },
            deadline: schedule.spec.starting_deadline_minutes.map(SignedDuration::from_mins),
            offset,
            foreign: cron_job::of_entry(self.cron_jobs.iter().map(AsRef::as_ref), schedule, entry, adopt),
            unfinished: unfinished.filter(|n| Some(n.as_str()) != starting).min(),
            restored_by: self.restored_by.clone(),
            nothing_to_build_on: builds_on.as_ref().and_then(|on| self.nothing_to_build_on(on)),
            name: &|slot, hashed| build::backup_name(schedule, &base, &entry.name, slot, hashed),
            bearer: &bearer,
        };
        due::decide(before, &facts, now)
    }

    /// BD28: why an incremental backup has nothing to build on.
    fn nothing_to_build_on(&self, method: &str) -> Option<String> {
        let policy = &self.schedule.spec.backup_policy_name;
        if method.is_empty() {
            return Some(format!("BackupPolicy {policy}: the method names no compatibleMethod to build on"));
        }
        (!self.runs.completed.contains(method)).then(|| {
            format!(
                "BackupPolicy {policy} has no completed Backup of method {method} to build on; the next run looks again"
            )
        })
    }
}

/// Whether a Backup is a run of that entry: it says so, or, as those of the reference, its name does.
fn is_run_of(backup: &Backup, entry: &Entry) -> bool {
    if backup.spec.backup_method != entry.spec.backup_method {
        return false;
    }
    if let Some(own) = backup.annotations().get(annotations::SCHEDULE_ENTRY) {
        return *own == entry.name;
    }
    let name = backup.name_any();
    let head = name.trim_end_matches(|c: char| c.is_ascii_digit());
    name.len() == head.len() + 14 && head.ends_with(&format!("-{}-", entry.name))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // literals of `json!`
mod tests;
