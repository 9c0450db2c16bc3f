//! What a Restore's status says. Pure.

use super::build::job_name;
use super::plan::{JobSeen, Observed};
use crate::error::Stop;
use crate::reasons;
use api_types::contract::conditions;
use api_types::contract::names::{JOB_OBJECT_KEY_PREFIX, PREPARE_DATA_ACTION_PREFIX};
use api_types::dp::{RestoreActionPhase, RestorePhase, RestoreStatus, RestoreStatusAction, RestoreStatusActions};
use controller_kit::conditions::{self as kit, Status};
use controller_kit::error::Class;
use jiff::Timestamp;
use job_runtime::observe::JobState;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use mover_protocol::RunResult;

fn current(seen: &Observed) -> RestoreStatus {
    seen.restore.status.clone().unwrap_or_default()
}

/// The condition a blocker belongs to: the repository has one of its own.
fn condition_of(reason: &str) -> &'static str {
    match reason {
        reasons::BACKUP_REPO_NOT_FOUND | reasons::BACKUP_REPO_NOT_READY | reasons::WAIT_FOR_BACKUP_REPO => {
            conditions::restore::CHECK_BACKUP_REPO
        }
        _ => conditions::restore::VALIDATION_PASSED,
    }
}

/// One blocker; nothing has started.
pub fn blocked(seen: &Observed, stop: &Stop, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    let verdict = match (stop.class, stop.reason) {
        (Class::Terminal, _) | (_, reasons::WAIT_FOR_BACKUP_REPO) => Status::False,
        _ => Status::Unknown,
    };
    let generation = seen.restore.metadata.generation;
    kit::set(
        &mut status.conditions,
        condition_of(stop.reason),
        verdict,
        stop.reason,
        stop.message.clone(),
        generation,
        now,
    );
    status
}

/// It can never work.
pub fn refused(seen: &Observed, stop: &Stop, now: Timestamp) -> RestoreStatus {
    let mut status = blocked(seen, stop, now);
    status.phase = Some(RestorePhase::Failed);
    status.completion_timestamp = Some(Time(now));
    status
}

/// It only describes volumes for others.
pub fn as_data_source(seen: &Observed) -> RestoreStatus {
    let mut status = current(seen);
    status.phase = Some(RestorePhase::AsDataSource);
    status
}

/// Running, with the expected Job recorded.
pub fn recorded(seen: &Observed, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    let generation = seen.restore.metadata.generation;
    let backup = seen.restore.spec.backup.name.clone();
    status.phase = Some(RestorePhase::Running);
    status.start_timestamp = Some(Time(now));
    let mut set = |type_, verdict, reason: &str, message: &str| {
        kit::set(&mut status.conditions, type_, verdict, reason, message, generation, now);
    };
    set(conditions::restore::CHECK_BACKUP_REPO, Status::True, reasons::CHECK_BACKUP_REPO_SUCCESSFULLY, "");
    set(
        conditions::restore::VALIDATION_PASSED,
        Status::True,
        reasons::VALIDATE_SUCCESSFULLY,
        "validate restore spec successfully",
    );
    set(conditions::restore::PREPARE_DATA, Status::False, reasons::PROCESSING, "processing prepareData stage.");
    let name = job_name(&seen.restore, &backup, 0);
    status.actions = Some(RestoreStatusActions {
        prepare_data: vec![RestoreStatusAction {
            name: format!("{PREPARE_DATA_ACTION_PREFIX}0"),
            backup_name: backup,
            object_key: format!("{JOB_OBJECT_KEY_PREFIX}{name}"),
            status: RestoreActionPhase::Processing,
            message: Some(format!("\"Job/{name}\" is processing")),
            start_time: Some(Time(now)),
            end_time: None,
            job_uid: seen.job.uid.clone(),
        }],
        post_ready: vec![],
    });
    status
}

/// The status after a look at every recorded Job: a stage is done when all of them are.
pub fn folded(seen: &Observed, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    let generation = seen.restore.metadata.generation;
    let mut actions = status.actions.take().unwrap_or_default();
    let mut trouble = None;
    let mut vanished = false;
    for action in &mut actions.prepare_data {
        let outcome = fold_action(action, &seen.job, now);
        trouble = trouble.or(outcome.trouble);
        vanished |= outcome.vanished;
    }
    let all = &actions.prepare_data;
    let ended = all.iter().all(|a| a.status != RestoreActionPhase::Processing);
    let failed = all.iter().find(|a| a.status == RestoreActionPhase::Failed);
    let (verdict, reason, message) = match (ended, failed) {
        (false, _) => {
            (Status::False, reasons::PROCESSING, trouble.unwrap_or_else(|| "processing prepareData stage.".into()))
        }
        (true, Some(_)) if vanished => {
            (Status::False, reasons::JOB_VANISHED, "a Job was deleted before its result was stored".into())
        }
        (true, Some(action)) => (Status::False, reasons::FAILED, action.message.clone().unwrap_or_default()),
        (true, None) => (Status::True, reasons::SUCCEED, "prepare data successfully".into()),
    };
    kit::set(&mut status.conditions, conditions::restore::PREPARE_DATA, verdict, reason, message, generation, now);
    if ended {
        let at = all.iter().filter_map(|a| a.end_time.as_ref()).map(|t| t.0).max().unwrap_or(now);
        let start = status.start_timestamp.as_ref().map_or(at, |t| t.0);
        status.phase = Some(if failed.is_some() { RestorePhase::Failed } else { RestorePhase::Completed });
        status.completion_timestamp = Some(Time(at));
        status.duration = Some(api_types::duration::format(at.duration_since(start)));
    }
    status.actions = Some(actions);
    status
}

#[derive(Default)]
struct Folded {
    trouble: Option<String>,
    vanished: bool,
}

fn fold_action(action: &mut RestoreStatusAction, job: &JobSeen, now: Timestamp) -> Folded {
    let mut folded = Folded::default();
    if action.status != RestoreActionPhase::Processing {
        return folded; // a result is stored once
    }
    let same = action.job_uid.is_some() && action.job_uid == job.uid;
    let mut end = |status, at: Option<Timestamp>, message: String| {
        action.status = status;
        action.end_time = Some(Time(at.unwrap_or(now)));
        action.message = Some(message);
    };
    match job.state.as_ref().filter(|_| same) {
        None => {
            folded.vanished = true;
            end(RestoreActionPhase::Failed, None, "its Job was deleted before its result was stored".into());
        }
        Some(JobState::Running { blocked }) => folded.trouble = blocked.as_ref().map(|d| d.message.clone()),
        Some(JobState::Succeeded { at, .. }) => {
            let text = format!("successfully processed the \"{}\"", action.object_key);
            end(RestoreActionPhase::Completed, *at, text);
        }
        Some(JobState::Failed { at, why, message }) => {
            let told = message.as_deref().and_then(RunResult::parse);
            end(RestoreActionPhase::Failed, *at, told.map_or_else(|| why.clone(), |r| r.failure(why)));
        }
    }
    folded
}

/// Name for events: the restore and what it came to.
pub fn summary(seen: &Observed, status: &RestoreStatus) -> String {
    let backup = &seen.restore.spec.backup.name;
    let took = status.duration.as_deref().unwrap_or_default();
    format!("restore {} from Backup {backup} ended in {took}", seen.restore.name_any())
}
