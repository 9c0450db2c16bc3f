//! What a backup's status says when it waits, starts or is refused. Pure.

use super::build::job_name;
use super::chain::{self, Step, Work};
use super::lineage::Lineage;
use super::{continuous, inputs};
use crate::error::Stop;
use crate::reasons;
use crate::turn::claim::JobOf;
use crate::turn::order::Held;
use crate::turn::place;
use api_types::contract::{BACKUP_FORMAT_VERSION, conditions};
use api_types::dp::{
    ActionPhase, ActionStatus, Backup, BackupInputs, BackupMethod, BackupPhase, BackupStatus, BackupStatusTarget,
    BackupType, EncryptionConfig, Queued,
};
use api_types::retention::Retention;
use controller_kit::conditions::{self as kit, Status};
use controller_kit::error::Class;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

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

/// It waits for its turn: since when is kept while it does.
pub fn queued(status: &mut BackupStatus, held: &Held, first: &JobOf, generation: Option<i64>, now: Timestamp) {
    let before = status.queue.take().filter(|q| q.waits()).and_then(|q| q.since);
    status.queue = Some(Box::new(Queued {
        since: before.or(Some(Time(now))),
        left: None,
        repo_name: first.repo.clone(),
        node_name: first.node.clone(),
    }));
    blocked(status, &Stop::wait(reasons::WAITING_FOR_TURN, place::message(held)), generation, now);
}

/// It waits for its turn no longer.
pub fn left_queue(queue: Option<&mut Box<Queued>>, now: Timestamp) {
    if let Some(queue) = queue.filter(|q| q.waits()) {
        queue.left = Some(Time(now));
    }
}

/// A condition that says what it said before says so since then.
pub fn keep_transition(before: Option<&BackupStatus>, next: &mut BackupStatus) {
    for condition in &mut next.conditions {
        let old = before.and_then(|s| kit::get(&s.conditions, &condition.type_));
        if let Some(old) = old.filter(|old| old.status == condition.status) {
            condition.last_transition_time = old.last_transition_time.clone();
        }
    }
}

/// Nothing blocks.
pub fn unblocked(status: &mut BackupStatus) {
    status.conditions.retain(|c| c.type_ != conditions::backup::PROGRESSING);
}

/// Ends a backup that can never work.
pub fn refused(status: &mut BackupStatus, stop: &Stop, now: Timestamp) {
    status.phase = Some(BackupPhase::Failed);
    status.failure_reason = Some(refusal(stop));
    status.completion_timestamp = Some(Time(now));
    inputs::ended(&mut status.inputs);
    unblocked(status);
}

/// `status.failureReason` of a backup that was refused.
pub fn refusal(stop: &Stop) -> String {
    format!("{}: {}", stop.reason, stop.message)
}

/// What is known when a backup starts.
pub struct Start {
    /// Its method, copied whole.
    pub method: BackupMethod,
    /// Policy and ActionSet as they are now.
    pub inputs: BackupInputs,
    /// Repository; a snapshot has none.
    pub store: Option<Storage>,
    /// Backup it builds on.
    pub parent: Option<Lineage>,
    /// Targets with the pods chosen.
    pub targets: Vec<BackupStatusTarget>,
    /// The policy lists several targets, or one.
    pub several: bool,
    /// Namespace of the Jobs that exec.
    pub exec_namespace: String,
    /// The Jobs that write its data, each with whether its turn has come.
    pub jobs: Vec<(JobOf, bool)>,
}

/// Where the data goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Storage {
    /// Repository.
    pub repo: String,
    /// Claim of the repository in the backup's namespace, with Mount access.
    pub claim: Option<String>,
    /// Its directory in the repository.
    pub path: String,
    /// Directory of the deduplicating repository, where one is used.
    pub deduplicated: Option<String>,
    /// Encryption of the data.
    pub encryption: Option<EncryptionConfig>,
}

/// The status a backup runs under: written before anything of it exists (design D8).
pub fn started(backup: &Backup, start: Start, now: Timestamp) -> BackupStatus {
    let mut status = backup.status.clone().unwrap_or_default();
    unblocked(&mut status);
    status.format_version = Some(BACKUP_FORMAT_VERSION.into());
    status.phase = Some(BackupPhase::Running);
    status.start_timestamp = Some(Time(now));
    status.failure_reason = None;
    status.completion_timestamp = None;
    status.duration = None;
    if let Some(storage) = start.store {
        status.path = Some(storage.path);
        status.backup_repo_name = Some(storage.repo);
        status.persistent_volume_claim_name = storage.claim;
        status.kopia_repo_path = storage.deduplicated;
        status.encryption_config = storage.encryption;
    }
    if let Some(parent) = start.parent {
        status.parent_backup_name = Some(parent.parent);
        status.base_backup_name = Some(parent.base);
    }
    let actions = start.inputs.action_set.as_deref();
    let chains = chain::chains(&start.targets, &start.method, actions);
    status.actions = chains.iter().flatten().map(|step| new_action(backup, step, &start.exec_namespace)).collect();
    left_queue(status.queue.as_mut(), now);
    for (job, turn) in start.jobs {
        let action = status.actions.iter_mut().find(|a| a.name.as_deref() == Some(job.action.as_str()));
        let Some(action) = action else { continue };
        action.node_name = job.node;
        action.queue = (!turn).then(|| Box::new(Queued { since: Some(Time(now)), ..Queued::default() }));
    }
    let continuous = actions.is_some_and(|a| a.backup_type == BackupType::Continuous);
    status.backup_method = Some(start.method);
    status.inputs = Some(start.inputs);
    if start.several {
        (status.target, status.targets) = (None, start.targets);
    } else {
        (status.target, status.targets) = (start.targets.into_iter().next(), vec![]);
    }
    // An archive that is being written never expires (behaviour-backup §4, D1).
    status.expiration = if continuous { None } else { expiration(backup, now) };
    status
}

/// The record of an action that has not begun.
pub fn new_action(backup: &Backup, step: &Step<'_>, exec_namespace: &str) -> ActionStatus {
    let object = |api_version: &str, kind: &str, name: String, namespace: Option<String>| ObjectReference {
        api_version: Some(api_version.into()),
        kind: Some(kind.into()),
        name: Some(name),
        namespace,
        ..ObjectReference::default()
    };
    let reference = match step.work {
        Work::Hook(_) | Work::Data(_) => {
            let namespace = if step.is_exec() { Some(exec_namespace.to_owned()) } else { backup.namespace() };
            Some(object("batch/v1", "Job", job_name(backup, &step.name), namespace))
        }
        Work::Archive(_) => {
            let name = continuous::build::name(backup, step);
            Some(object("apps/v1", "StatefulSet", name, backup.namespace()))
        }
        Work::Snapshot => None,
    };
    ActionStatus {
        object_ref: reference,
        name: Some(step.name.clone()),
        target_pod_name: Some(step.pod.to_owned()),
        phase: Some(ActionPhase::New),
        action_type: Some(step.action_type()),
        ..ActionStatus::default()
    }
}

/// `base` plus the retention of the backup; `None` keeps it for ever.
pub fn expiration(backup: &Backup, base: Timestamp) -> Option<Time> {
    let text = backup.spec.retention_period.as_deref().unwrap_or_default();
    let period = text.parse::<Retention>().ok()?.duration()?;
    let seconds = i64::try_from(period.as_secs()).ok()?;
    let at = base.as_second().checked_add(seconds)?;
    Timestamp::from_second(at).ok().map(Time)
}
