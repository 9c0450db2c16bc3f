//! What a Restore's status says. Pure.

use super::build::job_name;
use super::chain::Step;
use super::plan::{self, JobSeen, Observed};
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

/// Running, with the expected Jobs recorded, and the UIDs of those that are there.
pub fn recorded(seen: &Observed, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    let expected = plan::recorded(&seen.restore);
    if expected.is_empty() {
        begin(seen, &mut status, now);
    }
    let actions = status.actions.get_or_insert_default();
    for (action, job) in actions.prepare_data.iter_mut().zip(&seen.jobs) {
        if action.job_uid.is_none() && job.uid.is_some() {
            action.job_uid.clone_from(&job.uid);
            action.start_time = Some(Time(now));
            action.message = Some(format!("\"{}\" is processing", action.object_key));
        }
    }
    status
}

fn begin(seen: &Observed, status: &mut RestoreStatus, now: Timestamp) {
    let generation = seen.restore.metadata.generation;
    status.phase = Some(RestorePhase::Running);
    status.start_timestamp = Some(Time(now));
    let steps = plan::steps(seen);
    let action = |(place, step): (usize, &&Step)| {
        let backup = step.backup.name_any();
        let name = job_name(&seen.restore, &backup, 0);
        RestoreStatusAction {
            name: format!("{PREPARE_DATA_ACTION_PREFIX}{place}"),
            backup_name: backup,
            object_key: format!("{JOB_OBJECT_KEY_PREFIX}{name}"),
            status: RestoreActionPhase::Processing,
            ..RestoreStatusAction::default()
        }
    };
    let prepare_data: Vec<RestoreStatusAction> = steps.iter().enumerate().map(action).collect();
    let processing = processing(&prepare_data);
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
    set(conditions::restore::PREPARE_DATA, Status::False, reasons::PROCESSING, &processing);
    status.actions = Some(RestoreStatusActions { prepare_data, post_ready: vec![] });
}

/// How far the stage is; of one Job there is nothing to tell.
fn processing(actions: &[RestoreStatusAction]) -> String {
    const STAGE: &str = "processing prepareData stage.";
    let open = actions.iter().enumerate().find(|(_, a)| a.status == RestoreActionPhase::Processing);
    match open {
        Some((place, action)) if actions.len() > 1 => {
            format!("{STAGE} Step {} of {}: Backup {}", place + 1, actions.len(), action.backup_name)
        }
        _ => STAGE.to_owned(),
    }
}

fn set_stage(status: &mut RestoreStatus, seen: &Observed, reason: &str, message: String, now: Timestamp) {
    let generation = seen.restore.metadata.generation;
    let type_ = conditions::restore::PREPARE_DATA;
    kit::set(&mut status.conditions, type_, Status::False, reason, message, generation, now);
}

/// It runs, and its next Job waits for something.
pub fn held(seen: &Observed, stop: &Stop, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    set_stage(&mut status, seen, stop.reason, stop.message.clone(), now);
    status
}

/// It ran, and its next Job can never be made.
pub fn given_up(seen: &Observed, stop: &Stop, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    set_stage(&mut status, seen, stop.reason, stop.message.clone(), now);
    let mut why = Some(stop.message.as_str());
    for action in status.actions.iter_mut().flat_map(|a| &mut a.prepare_data) {
        if action.status == RestoreActionPhase::Processing {
            fail(action, why.take().unwrap_or(NOT_BEGUN), now);
        }
    }
    ended(&mut status, now);
    status
}

/// Said of a step after one that failed.
const NOT_BEGUN: &str = "not begun: the step before it failed";

fn fail(action: &mut RestoreStatusAction, why: &str, at: Timestamp) {
    action.status = RestoreActionPhase::Failed;
    action.end_time = Some(Time(at));
    action.message = Some(why.to_owned());
}

fn ended(status: &mut RestoreStatus, now: Timestamp) {
    let all = status.actions.as_ref().map(|a| a.prepare_data.as_slice()).unwrap_or_default();
    let at = all.iter().filter_map(|a| a.end_time.as_ref()).map(|t| t.0).max().unwrap_or(now);
    let failed = all.iter().any(|a| a.status == RestoreActionPhase::Failed);
    let start = status.start_timestamp.as_ref().map_or(at, |t| t.0);
    status.phase = Some(if failed { RestorePhase::Failed } else { RestorePhase::Completed });
    status.completion_timestamp = Some(Time(at));
    status.duration = Some(api_types::duration::format(at.duration_since(start)));
}

/// The status after a look at every recorded Job: a stage is done when all of them are, and when one failed: none is
/// begun after that.
pub fn folded(seen: &Observed, now: Timestamp) -> RestoreStatus {
    let mut status = current(seen);
    let generation = seen.restore.metadata.generation;
    let mut actions = status.actions.take().unwrap_or_default();
    let mut trouble = None;
    let mut vanished = false;
    let none = JobSeen::default();
    for (place, action) in actions.prepare_data.iter_mut().enumerate() {
        let outcome = fold_action(action, seen.jobs.get(place).unwrap_or(&none), now);
        trouble = trouble.or(outcome.trouble);
        vanished |= outcome.vanished;
    }
    let all = &mut actions.prepare_data;
    let failed = all.iter().find(|a| a.status == RestoreActionPhase::Failed).and_then(|a| a.end_time.clone());
    let begun = |a: &RestoreStatusAction| a.job_uid.is_some();
    if let Some(at) = failed {
        all.iter_mut()
            .filter(|a| a.status == RestoreActionPhase::Processing && !begun(a))
            .for_each(|a| fail(a, NOT_BEGUN, at.0));
    }
    let over = all.iter().all(|a| a.status != RestoreActionPhase::Processing);
    let failed = all.iter().find(|a| a.status == RestoreActionPhase::Failed);
    let (verdict, reason, message) = match (over, failed) {
        (false, _) => (Status::False, reasons::PROCESSING, trouble.unwrap_or_else(|| processing(all))),
        (true, Some(_)) if vanished => {
            (Status::False, reasons::JOB_VANISHED, "a Job was deleted before its result was stored".into())
        }
        (true, Some(action)) => (Status::False, reasons::FAILED, action.message.clone().unwrap_or_default()),
        (true, None) => (Status::True, reasons::SUCCEED, "prepare data successfully".into()),
    };
    kit::set(&mut status.conditions, conditions::restore::PREPARE_DATA, verdict, reason, message, generation, now);
    status.actions = Some(actions);
    if over {
        ended(&mut status, now);
    }
    status
}

#[derive(Default)]
struct Folded {
    trouble: Option<String>,
    vanished: bool,
}

fn fold_action(action: &mut RestoreStatusAction, job: &JobSeen, now: Timestamp) -> Folded {
    let mut folded = Folded::default();
    if action.status != RestoreActionPhase::Processing || action.job_uid.is_none() {
        return folded; // a result is stored once, and one that is not begun has none
    }
    let same = action.job_uid == job.uid;
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
