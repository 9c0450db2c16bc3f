//! What a backup's actions came to, folded into its status. Pure.

use super::chain::{self, Chain, Next};
use super::{inputs, status as record};
use crate::error::Stop;
use crate::reasons;
use api_types::contract::names::BACKUP_DATA_PREFIX;
use api_types::dp::{
    ActionPhase, ActionStatus, Backup, BackupPhase, BackupStatus, BackupTimeRange, VolumeSnapshotStatus,
};
use jiff::{SignedDuration, Timestamp};
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use mover_protocol::{ActionInfo, RunResult};
use std::collections::BTreeMap;

/// How long what has begun may take to get on.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the moment an action may begin, or its Job is made, until a pod of it runs.
    pub start: SignedDuration,
    /// The whole of one action, and what a Backup may wait before it begins; none is no limit.
    pub action: Option<SignedDuration>,
}

/// A Job that is lost but waits for its pods: time for them to end by themselves.
const ENDING: SignedDuration = SignedDuration::from_secs(60);

/// What an action left behind.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Yield {
    /// Size of its data.
    pub total_size: Option<String>,
    /// The times its data can restore.
    pub time_range: Option<BackupTimeRange>,
    /// Facts for the restore.
    pub extras: Vec<BTreeMap<String, String>>,
    /// Snapshots it took.
    pub snapshots: Vec<VolumeSnapshotStatus>,
}

/// How far one action is.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// At work; what keeps it, if anything does.
    Running {
        /// The one blocker.
        blocked: Option<Stop>,
    },
    /// Done.
    Succeeded {
        /// When.
        at: Option<Timestamp>,
        /// What it left.
        left: Yield,
    },
    /// Given up.
    Failed {
        /// When.
        at: Option<Timestamp>,
        /// Why, for people.
        why: String,
    },
}

impl From<JobState> for Progress {
    fn from(state: JobState) -> Self {
        match state {
            JobState::Running { blocked } => {
                Progress::Running { blocked: blocked.map(|d| Stop::wait(d.trouble.reason(), d.message)) }
            }
            JobState::Succeeded { at, message } => {
                let info = message.as_deref().and_then(RunResult::parse).and_then(|r| r.info);
                Progress::Succeeded { at, left: info.map(told).unwrap_or_default() }
            }
            JobState::Failed { at, why, message } => Progress::Failed { at, why: failure(&why, message.as_deref()) },
        }
    }
}

/// Why an action failed: what its wrapper says, else the last output where that is its message, else what the pod and
/// the Job say.
fn failure(why: &str, message: Option<&str>) -> String {
    match (message.and_then(RunResult::parse), message.map(str::trim).filter(|m| !m.is_empty())) {
        (Some(told), _) => told.failure(why),
        (None, Some(output)) => format!("{why}; last output: {output}"),
        (None, None) => why.to_owned(),
    }
}

/// What an action says of its data.
pub fn told(info: ActionInfo) -> Yield {
    let instant = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok().map(Time);
    let range = info.time_range.as_ref().map(|told| BackupTimeRange {
        time_zone: told.time_zone.clone(),
        start: instant(&told.start),
        end: instant(&told.end),
    });
    Yield { total_size: info.total_size, time_range: range, extras: info.extras, snapshots: vec![] }
}

/// What is seen of one action's object.
#[derive(Debug, Default)]
pub struct ActionOutcome {
    /// UID of the object, once it exists.
    pub object_uid: Option<String>,
    /// How far it is; `None` before the object exists.
    pub progress: Option<Progress>,
    /// What a Job needs before its result counts.
    pub turn: Option<Turn>,
    /// Since when a Job has no pod that runs.
    pub without_pod_since: Option<Timestamp>,
    /// Since when a Job is lost but waits for its pods.
    pub failing_since: Option<Timestamp>,
    /// The object is still there and has not ended.
    pub alive: bool,
}

/// The status after a look, and when to look again at the latest.
pub struct Folded {
    /// To be stored.
    pub status: BackupStatus,
    /// The next deadline of an action.
    pub look_by: Option<Timestamp>,
}

/// The status after a look at every action's object. `outcomes` is parallel to `status.actions`; `chains` says which
/// action follows which.
pub fn folded(
    backup: &Backup,
    chains: &[Chain<'_>],
    outcomes: &[ActionOutcome],
    limits: Limits,
    now: Timestamp,
) -> Folded {
    let mut status = backup.status.clone().unwrap_or_default();
    record::unblocked(&mut status);
    let mut extras = Vec::new();
    let mut look_by: Option<Timestamp> = None;
    for (action, outcome) in status.actions.iter_mut().zip(outcomes) {
        extras.extend(fold_action(action, outcome, limits, now));
        if action.phase == Some(ActionPhase::Running) {
            let due = outcome.without_pod_since.and_then(|since| since.checked_add(limits.start).ok());
            let lost = outcome.failing_since.and_then(|since| since.checked_add(ENDING).ok());
            look_by = [look_by, due, lost].into_iter().flatten().min();
        }
    }
    // The only action says it all, the last time for what its sidecar said before; several add to one another.
    if !extras.is_empty() && status.actions.iter().filter(|a| counts(a)).count() == 1 {
        status.extras.clear();
    }
    for fact in extras {
        if !status.extras.contains(&fact) {
            status.extras.push(fact);
        }
    }
    if let Some(blocked_by) = outcomes.iter().find_map(blocker) {
        record::blocked(&mut status, blocked_by, backup.metadata.generation, now);
    }
    if !all_over(chains, &status.actions) {
        return Folded { status, look_by };
    }
    end(backup, chains, &mut status, now);
    Folded { status, look_by: None }
}

/// Whether no action is at work and none is to begin. A backup of an older operator has no chains: then every action
/// counts for itself.
fn all_over(chains: &[Chain<'_>], actions: &[ActionStatus]) -> bool {
    if chains.is_empty() {
        return actions.iter().all(|a| matches!(a.phase, Some(ActionPhase::Completed | ActionPhase::Failed)));
    }
    chains.iter().all(|chain| chain::next(chain, actions) == Next::Over)
}

fn blocker(outcome: &ActionOutcome) -> Option<&Stop> {
    match outcome.progress.as_ref()? {
        Progress::Running { blocked } => blocked.as_ref(),
        _ => None,
    }
}

fn end(backup: &Backup, chains: &[Chain<'_>], status: &mut BackupStatus, now: Timestamp) {
    record::unblocked(status);
    let at = status.actions.iter().filter_map(|a| a.completion_timestamp.as_ref()).map(|t| t.0).max().unwrap_or(now);
    status.completion_timestamp = Some(Time(at));
    let start = status.start_timestamp.as_ref().map_or(at, |t| t.0);
    status.duration = Some(api_types::duration::format(at.duration_since(start)));
    inputs::ended(&mut status.inputs);
    let forgiven = |name: Option<&str>| chains.iter().flatten().any(|s| Some(s.name.as_str()) == name && s.may_fail());
    let failed: Vec<&ActionStatus> = status
        .actions
        .iter()
        .filter(|a| a.phase == Some(ActionPhase::Failed) && !forgiven(a.name.as_deref()))
        .collect();
    if !failed.is_empty() {
        status.failure_reason = Some(failures(&failed));
        status.phase = Some(BackupPhase::Failed);
        return;
    }
    if !status.actions.iter().any(|a| counts(a) && a.phase == Some(ActionPhase::Completed)) {
        status.failure_reason = Some(format!("{}: no action of it wrote data", reasons::NO_BACKUP_ACTION));
        status.phase = Some(BackupPhase::Failed);
        return;
    }
    gather(status);
    status.phase = Some(BackupPhase::Completed);
    status.expiration = record::expiration(backup, at);
}

fn failures(failed: &[&ActionStatus]) -> String {
    let text = |a: &&ActionStatus| {
        let name = a.name.as_deref().unwrap_or_default();
        format!("{name}: {}", a.failure_reason.as_deref().unwrap_or("failed"))
    };
    format!("there are failed actions: {}", failed.iter().map(text).collect::<Vec<_>>().join("; "))
}

/// Gives the extras of an action that has just succeeded.
fn fold_action(
    action: &mut ActionStatus,
    outcome: &ActionOutcome,
    limits: Limits,
    now: Timestamp,
) -> Vec<BTreeMap<String, String>> {
    if matches!(action.phase, Some(ActionPhase::Completed | ActionPhase::Failed)) {
        return vec![]; // a result is stored once (behaviour-backup D24)
    }
    let recorded = action.object_ref.as_ref().is_some_and(|r| r.uid.is_some());
    if let (Some(uid), Some(reference)) = (&outcome.object_uid, &mut action.object_ref) {
        reference.uid = Some(uid.clone());
    }
    let Some(progress) = &outcome.progress else {
        if recorded {
            fail(action, now, "its Job was deleted before it finished".into());
        }
        return vec![];
    };
    action.start_timestamp.get_or_insert(Time(now));
    match progress {
        Progress::Running { blocked } => {
            action.phase = Some(ActionPhase::Running);
            if let Some(why) = overdue(blocked.as_ref(), outcome, limits, now) {
                fail(action, now, why);
            }
            vec![]
        }
        Progress::Failed { at, why } => {
            fail(action, at.unwrap_or(now), why.clone());
            vec![]
        }
        Progress::Succeeded { at, left } => {
            action.phase = Some(ActionPhase::Completed);
            action.completion_timestamp = Some(Time(at.unwrap_or(now)));
            if !counts(action) {
                return vec![]; // a hook's report is its own
            }
            action.total_size.clone_from(&left.total_size);
            action.time_range.clone_from(&left.time_range);
            action.volume_snapshots.clone_from(&left.snapshots);
            left.extras.clone()
        }
    }
}

/// Folds the Job of a hook that stands before an archive; gives its next deadline.
pub fn fold_hook(
    action: &mut ActionStatus,
    outcome: &ActionOutcome,
    limits: Limits,
    now: Timestamp,
) -> Option<Timestamp> {
    fold_action(action, outcome, limits, now);
    let at_work = action.phase == Some(ActionPhase::Running);
    outcome.without_pod_since.filter(|_| at_work).and_then(|since| since.checked_add(limits.start).ok())
}

/// Whether an action holds data of the backup: it does not merely run before or after it.
fn counts(action: &ActionStatus) -> bool {
    let name = action.name.as_deref().unwrap_or_default();
    name.starts_with(BACKUP_DATA_PREFIX) || name.starts_with(api_types::contract::names::CREATE_VOLUME_SNAPSHOT_PREFIX)
}

/// Why an action that is at work has no hope any more (users-and-reliability K12, behaviour-backup D3).
fn overdue(blocked: Option<&Stop>, outcome: &ActionOutcome, limits: Limits, now: Timestamp) -> Option<String> {
    let what = blocked.map_or("nothing is known of why", |stop| stop.message.as_str());
    let past = |since: Option<Timestamp>, limit| since.is_some_and(|since| now.duration_since(since) >= limit);
    if past(outcome.failing_since, ENDING) {
        return Some("its Job failed and a pod of it does not end; its node may be gone".to_owned());
    }
    past(outcome.without_pod_since, limits.start).then(|| {
        let after = api_types::duration::format(limits.start);
        format!("{}: no pod of its Job ran within {after}: {what}", reasons::DEADLINE_EXCEEDED)
    })
}

/// Ends one action that can never be started; the others go on.
pub fn refused_action(status: &mut BackupStatus, place: usize, stop: &Stop, now: Timestamp) {
    if let Some(action) = status.actions.get_mut(place) {
        fail(action, now, format!("{}: {}", stop.reason, stop.message));
    }
}

fn fail(action: &mut ActionStatus, at: Timestamp, why: String) {
    action.phase = Some(ActionPhase::Failed);
    action.completion_timestamp = Some(Time(at));
    action.failure_reason = Some(why);
}

/// Sizes add up, ranges span (behaviour-backup D6: several pods overwrote each other).
pub fn gather(status: &mut BackupStatus) {
    let sizes: Vec<&String> = status.actions.iter().filter_map(|a| a.total_size.as_ref()).collect();
    match sizes.as_slice() {
        [] => {}
        [only] => status.total_size = Some((*only).clone()),
        several => {
            let sum: u64 = several.iter().filter_map(|s| s.parse::<u64>().ok()).sum();
            status.total_size = Some(sum.to_string());
        }
    }
    let ranges: Vec<&BackupTimeRange> = status.actions.iter().filter_map(|a| a.time_range.as_ref()).collect();
    if let Some(first) = ranges.first() {
        let start = ranges.iter().filter_map(|r| r.start.as_ref()).map(|t| t.0).min();
        let end = ranges.iter().filter_map(|r| r.end.as_ref()).map(|t| t.0).max();
        status.time_range =
            Some(BackupTimeRange { time_zone: first.time_zone.clone(), start: start.map(Time), end: end.map(Time) });
    }
}

/// Ends a backup at work: what has not ended is given up.
pub fn abort(status: &mut BackupStatus, stop: &Stop, now: Timestamp) {
    for action in &mut status.actions {
        if !matches!(action.phase, Some(ActionPhase::Completed | ActionPhase::Failed)) {
            fail(action, now, format!("{}: {}", stop.reason, stop.message));
        }
    }
    record::refused(status, stop, now);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every look at a Completed action gave it a new end, and the backup another expiration.
    #[test]
    fn bd24_an_action_ends_when_its_job_did_and_that_is_stored_once() {
        let limits = Limits { start: SignedDuration::from_secs(600), action: None };
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let ended = |second: i64| ActionOutcome {
            progress: Some(Progress::Succeeded { at: Some(at(second)), left: Yield::default() }),
            ..ActionOutcome::default()
        };
        let mut action = ActionStatus { name: Some("dp-backup-0".into()), ..ActionStatus::default() };
        fold_action(&mut action, &ended(5), limits, at(9));
        assert_eq!(action.completion_timestamp, Some(Time(at(5))), "the Job says when, not the look");
        let first = action.clone();
        for outcome in [ended(7), ActionOutcome::default()] {
            assert!(fold_action(&mut action, &outcome, limits, at(99)).is_empty());
            assert_eq!(action, first, "nor when its Job is gone");
        }
    }

    /// The last output of a failed pod was lost with the next merge of the status.
    #[test]
    fn rule_23_the_last_output_survives_later_looks() {
        let limits = Limits { start: SignedDuration::from_secs(600), action: None };
        let why = "exit code 1; last output: no space left on device";
        let failed = Progress::Failed { at: None, why: why.into() };
        let mut action = ActionStatus { name: Some("dp-backup-0".into()), ..ActionStatus::default() };
        let now = Timestamp::from_second(5).unwrap();
        fold_action(&mut action, &ActionOutcome { progress: Some(failed), ..ActionOutcome::default() }, limits, now);
        let blank = Progress::Failed { at: None, why: "the pod is gone".into() };
        for progress in [Some(blank), None] {
            fold_action(&mut action, &ActionOutcome { progress, ..ActionOutcome::default() }, limits, now);
            assert_eq!(action.failure_reason.as_deref(), Some(why));
        }
        assert!(failures(&[&action]).contains(why), "and the Backup repeats it");
    }
}
