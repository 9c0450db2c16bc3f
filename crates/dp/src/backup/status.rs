//! What a backup's status says, folded from its Jobs. Pure.

use crate::backup::build::{action_name, job_name};
use crate::error::Stop;
use api_types::contract::{BACKUP_FORMAT_VERSION, conditions};
use api_types::dp::{
    ActionPhase, ActionStatus, ActionType, Backup, BackupPhase, BackupStatus, BackupStatusTarget, BackupTimeRange,
    EncryptionConfig,
};
use api_types::retention::Retention;
use controller_kit::conditions::{self as kit, Status};
use controller_kit::error::Class;
use jiff::Timestamp;
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use mover_protocol::{ActionInfo, RunResult};

/// One blocker, in the only condition a Backup has: it is there exactly while something blocks.
pub fn blocked(status: &mut BackupStatus, stop: &Stop, generation: Option<i64>, now: Timestamp) {
    kit::set(
        &mut status.conditions,
        conditions::backup::PROGRESSING,
        if stop.class == Class::Terminal { Status::False } else { Status::Unknown },
        stop.reason,
        stop.message.clone(),
        generation,
        now,
    );
}

/// Nothing blocks.
pub fn unblocked(status: &mut BackupStatus) {
    status.conditions.retain(|c| c.type_ != conditions::backup::PROGRESSING);
}

/// Ends a backup that can never work.
pub fn refused(status: &mut BackupStatus, stop: &Stop, now: Timestamp) {
    status.phase = Some(BackupPhase::Failed);
    status.failure_reason = Some(format!("{}: {}", stop.reason, stop.message));
    status.completion_timestamp = Some(Time(now));
    unblocked(status);
}

/// Ends one action that can never be started; the others go on.
pub fn refused_action(status: &mut BackupStatus, index: usize, stop: &Stop, now: Timestamp) {
    if let Some(action) = status.actions.get_mut(index) {
        fail(action, now, format!("{}: {}", stop.reason, stop.message));
    }
}

/// What is known when a backup starts.
pub struct Start {
    /// Its method, copied whole.
    pub method: api_types::dp::BackupMethod,
    /// Repository.
    pub repo: String,
    /// Claim of the repository in the backup's namespace, where it is mounted.
    pub claim: Option<String>,
    /// How its objects are encrypted.
    pub encryption: Option<EncryptionConfig>,
    /// Its directory in the repository.
    pub path: String,
    /// Targets with the pods chosen.
    pub targets: Vec<BackupStatusTarget>,
    /// The policy lists several targets, or one.
    pub several: bool,
}

/// The status a backup runs under: written before anything of it exists (design D8).
pub fn started(backup: &Backup, start: Start, now: Timestamp) -> BackupStatus {
    let mut status = backup.status.clone().unwrap_or_default();
    unblocked(&mut status);
    status.format_version = Some(BACKUP_FORMAT_VERSION.into());
    status.phase = Some(BackupPhase::Running);
    status.start_timestamp = Some(Time(now));
    status.path = Some(start.path);
    status.backup_method = Some(start.method);
    status.backup_repo_name = Some(start.repo);
    status.persistent_volume_claim_name = start.claim;
    status.encryption_config = start.encryption;
    status.actions = start.targets.iter().flat_map(|t| new_actions(backup, t)).collect();
    if start.several {
        status.targets = start.targets;
    } else {
        status.target = start.targets.into_iter().next();
    }
    status.expiration = expiration(backup, now);
    status
}

fn new_actions(backup: &Backup, target: &BackupStatusTarget) -> Vec<ActionStatus> {
    let one = |(i, pod): (usize, &String)| {
        let name = action_name(target.name(), i);
        ActionStatus {
            object_ref: Some(ObjectReference {
                api_version: Some("batch/v1".into()),
                kind: Some("Job".into()),
                name: Some(job_name(backup, &name)),
                namespace: backup.namespace(),
                ..ObjectReference::default()
            }),
            name: Some(name),
            target_pod_name: Some(pod.clone()),
            phase: Some(ActionPhase::New),
            action_type: Some(ActionType::Job),
            ..ActionStatus::default()
        }
    };
    target.selected_target_pods.iter().enumerate().map(one).collect()
}

/// `base` plus the retention of the backup; `None` keeps it for ever.
pub fn expiration(backup: &Backup, base: Timestamp) -> Option<Time> {
    let text = backup.spec.retention_period.as_deref().unwrap_or_default();
    let period = text.parse::<Retention>().ok()?.duration()?;
    let seconds = i64::try_from(period.as_secs()).ok()?;
    let at = base.as_second().checked_add(seconds)?;
    Timestamp::from_second(at).ok().map(Time)
}

/// What one action's Job came to.
pub struct ActionOutcome {
    /// UID of the Job, once it exists.
    pub job_uid: Option<String>,
    /// Its state; `None` before it exists.
    pub state: Option<JobState>,
    /// What it needs before its result counts.
    pub turn: Option<Turn>,
}

/// The status after a look at every action's Job. `outcomes` is parallel to `status.actions`.
pub fn folded(backup: &Backup, outcomes: &[ActionOutcome], now: Timestamp) -> BackupStatus {
    let mut status = backup.status.clone().unwrap_or_default();
    unblocked(&mut status);
    let mut infos = Vec::new();
    for (action, outcome) in status.actions.iter_mut().zip(outcomes) {
        infos.extend(fold_action(action, outcome, now));
    }
    if let Some(blocked_by) = outcomes.iter().find_map(diagnosis) {
        blocked(&mut status, &blocked_by, backup.metadata.generation, now);
    }
    let phase_is = |phase: ActionPhase| move |a: &ActionStatus| a.phase.as_ref() == Some(&phase);
    let ended = |a: &ActionStatus| matches!(a.phase, Some(ActionPhase::Completed | ActionPhase::Failed));
    if !status.actions.iter().all(ended) {
        return status;
    }
    unblocked(&mut status);
    let at = status.actions.iter().filter_map(|a| a.completion_timestamp.as_ref()).map(|t| t.0).max().unwrap_or(now);
    status.completion_timestamp = Some(Time(at));
    let start = status.start_timestamp.as_ref().map_or(at, |t| t.0);
    status.duration = Some(api_types::duration::format(at.duration_since(start)));
    if status.actions.iter().any(phase_is(ActionPhase::Failed)) {
        status.phase = Some(BackupPhase::Failed);
        status.failure_reason = Some(failures(&status.actions));
        return status;
    }
    gather(&mut status, infos);
    status.phase = Some(BackupPhase::Completed);
    status.expiration = expiration(backup, at);
    status
}

fn diagnosis(outcome: &ActionOutcome) -> Option<Stop> {
    match outcome.state.as_ref()? {
        JobState::Running { blocked: Some(d) } => Some(Stop::wait(d.trouble.reason(), d.message.clone())),
        _ => None,
    }
}

fn failures(actions: &[ActionStatus]) -> String {
    let failed = actions.iter().filter(|a| a.phase == Some(ActionPhase::Failed));
    let texts: Vec<String> = failed
        .map(|a| {
            let name = a.name.as_deref().unwrap_or_default();
            format!("{name}: {}", a.failure_reason.as_deref().unwrap_or("failed"))
        })
        .collect();
    format!("there are failed actions: {}", texts.join("; "))
}

fn fold_action(action: &mut ActionStatus, outcome: &ActionOutcome, now: Timestamp) -> Option<ActionInfo> {
    let recorded = action.object_ref.as_ref().and_then(|r| r.uid.clone());
    if matches!(action.phase, Some(ActionPhase::Completed | ActionPhase::Failed)) {
        return None; // a result is stored once (behaviour-backup D24)
    }
    if let (Some(uid), Some(reference)) = (&outcome.job_uid, &mut action.object_ref) {
        reference.uid = Some(uid.clone());
    }
    let Some(state) = &outcome.state else {
        if recorded.is_some() {
            fail(action, now, "its Job was deleted before it finished".into());
        }
        return None;
    };
    action.start_timestamp.get_or_insert(Time(now));
    match state {
        JobState::Running { .. } => {
            action.phase = Some(ActionPhase::Running);
            None
        }
        JobState::Failed { at, why, message } => {
            let told = message.as_deref().and_then(RunResult::parse);
            let text = told.map_or_else(|| why.clone(), |r| r.failure(why));
            fail(action, at.unwrap_or(now), text);
            None
        }
        JobState::Succeeded { at, message } => {
            action.phase = Some(ActionPhase::Completed);
            action.completion_timestamp = Some(Time(at.unwrap_or(now)));
            let info = message.as_deref().and_then(RunResult::parse).and_then(|r| r.info)?;
            action.total_size.clone_from(&info.total_size);
            action.time_range = info.time_range.as_ref().map(time_range);
            Some(info)
        }
    }
}

fn fail(action: &mut ActionStatus, at: Timestamp, why: String) {
    action.phase = Some(ActionPhase::Failed);
    action.completion_timestamp = Some(Time(at));
    action.failure_reason = Some(why);
}

fn time_range(told: &mover_protocol::TimeRange) -> BackupTimeRange {
    let instant = |text: &Option<String>| text.as_ref()?.parse::<Timestamp>().ok().map(Time);
    BackupTimeRange { time_zone: told.time_zone.clone(), start: instant(&told.start), end: instant(&told.end) }
}

/// Sizes add up, ranges span (behaviour-backup D6: several pods overwrote each other).
fn gather(status: &mut BackupStatus, infos: Vec<ActionInfo>) {
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
    let extras: Vec<_> = infos.into_iter().flat_map(|i| i.extras).collect();
    if !extras.is_empty() {
        status.extras = extras;
    }
}
