//! Begins actions, stops Jobs whose result counts, and stores what came of it.

use super::apply::{Hands, by};
use super::chain::{self, Step, Work};
use super::env::Source;
use super::plan::{Due, Observed, Run};
use super::{build, fold, inputs, snapshot, status, storage, turn};
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::repo::reach::Purpose;
use api_types::contract::events as event_reasons;
use api_types::dp::{ActionSet, ActionSetSpec, Backup, BackupPhase, BackupStatus};
use controller_kit::clock;
use controller_kit::drive::Again;
use controller_kit::error::Class;
use jiff::Timestamp;
use job_runtime::{Ensured, stop};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;

/// One look at a backup that is at work.
pub async fn run(hands: &Hands, seen: &Observed, run: Run, context: &Context) -> Result<Again, Error> {
    let backup = seen.backup.as_ref();
    let Run { begin, turns, cancel, status: mut next, mut look_by } = run;
    for turn in &turns {
        let (namespace, name) = (turn.job.namespace.as_deref(), turn.job.name.as_deref());
        let uid = turn.job.uid.as_deref().unwrap_or_default();
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        stop::take(&hands.writer, namespace, name, uid, &turn.turn).await?;
    }
    for due in &begin {
        let late_at = due.since.and_then(|since| since.checked_add(seen.limits.start).ok());
        look_by = refuse_or_wait(hands, seen, due, late_at, &mut next, context).await?.into_iter().chain(look_by).min();
    }
    let ended = matches!(next.phase, Some(BackupPhase::Completed | BackupPhase::Failed));
    if !ended {
        turn::go_on(&context.turns, seen, &mut next);
        status::keep_transition(backup.status.as_ref(), &mut next);
    }
    if turn::store(hands, backup, &next, &context.turns).await? && ended {
        tell_end(hands, backup, &next).await;
    }
    // After the result is stored: a Job that is gone would otherwise be the result. The crash test of a backup by Job fails
    // where any of them is removed before.
    hands.cancel(backup, &cancel).await?;
    Ok(by(look_by))
}

/// Begins one action. What it waits for goes into the status, and after its time it is given up; gives that moment.
async fn refuse_or_wait(
    hands: &Hands,
    seen: &Observed,
    due: &Due,
    late_at: Option<Timestamp>,
    next: &mut BackupStatus,
    context: &Context,
) -> Result<Option<Timestamp>, Error> {
    let backup = seen.backup.as_ref();
    let now = clock::now();
    let stop = match begin(hands, seen, due.place, next, context).await? {
        Ok(()) => return Ok(None),
        Err(stop) => stop,
    };
    if stop.class == Class::Terminal {
        fold::refused_action(next, due.place, &stop, now);
    } else if late_at.is_some_and(|at| at <= now) {
        let why = format!("it could not begin in time; {}: {}", stop.reason, stop.message);
        fold::refused_action(next, due.place, &Stop::terminal(reasons::DEADLINE_EXCEEDED, why), now);
    } else {
        status::blocked(next, &stop, backup.metadata.generation, now);
        return Ok(late_at);
    }
    // What ends with it is folded at the next look, which the change of the status brings.
    Ok(None)
}

async fn tell_end(hands: &Hands, backup: &Backup, status: &BackupStatus) {
    if status.phase == Some(BackupPhase::Completed) {
        let size = status.total_size.as_deref().unwrap_or("unknown");
        let took = status.duration.as_deref().unwrap_or_default();
        let note = format!("backed up {size} bytes in {took}");
        hands.events.normal(backup, event_reasons::backup::CREATED, &note).await;
    } else {
        let why = status.failure_reason.as_deref().unwrap_or_default();
        hands.events.warning(backup, event_reasons::backup::JOB_FAILED, why).await;
    }
}

/// Begins the action at that place of `next`.
pub async fn begin(
    hands: &Hands,
    seen: &Observed,
    place: usize,
    next: &mut BackupStatus,
    context: &Context,
) -> Result<Result<(), Stop>, Error> {
    let backup = seen.backup.as_ref();
    let actions = seen.actions().cloned();
    let recorded = next.clone();
    let chains = chain::recorded(&recorded, actions.as_ref());
    let name = recorded.actions.get(place).and_then(|a| a.name.clone()).unwrap_or_default();
    let Some(step) = chains.iter().flatten().find(|s| s.name == name) else {
        return Ok(Err(Stop::wait(reasons::ACTION_SET_NOT_FOUND, "the ActionSet of this backup's method is gone")));
    };
    let Some(pod) = hands.targets.get(backup, step.pod).await? else {
        hands.targets.wake_on(backup, step.pod);
        return Ok(Err(Stop::wait(
            reasons::TARGET_POD_NOT_FOUND,
            format!("target pod {} is gone; its backup starts when it is back", step.pod),
        )));
    };
    let of = chains.iter().find(|c| c.iter().any(|s| s.name == name));
    let on = pod.spec.as_ref().and_then(|s| s.node_name.as_deref());
    if of.is_some_and(|chain| chain::is_fresh(chain, &recorded.actions) && turn::moved(&context.turns, next, chain, on))
    {
        return Ok(Ok(())); // the change of the status brings the look that asks for the turn
    }
    let Some(method) = &recorded.backup_method else {
        return Ok(Err(Stop::terminal(reasons::BACKUP_METHOD_NOT_FOUND, "status.backupMethod is empty")));
    };
    if matches!(step.work, Work::Snapshot) {
        // A cache that lags shows an action as new whose snapshot was made, and deleted since: it is not taken again.
        let fresh = hands.writer.get(&hands.api(backup), &backup.name_any()).await?;
        if fresh.is_none_or(|b| b.resource_version() != backup.resource_version()) {
            return Ok(Ok(())); // what has changed brings another look
        }
        let wanted = snapshot::plan::expected(backup, method, step.target, step.pod_index);
        let taken = snapshot::apply::take(hands, backup, method, &wanted, &pod).await?;
        if taken.is_ok() {
            let found = snapshot::apply::list(hands, backup).await?.unwrap_or_default();
            snapshot::apply::follow(hands, backup, &found);
            if let Some(action) = next.actions.get_mut(place) {
                action.phase = Some(api_types::dp::ActionPhase::Running);
                action
                    .start_timestamp
                    .get_or_insert(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(clock::now()));
            }
        }
        return Ok(taken);
    }
    let none = ActionSetSpec::default();
    // Only while it still says what this backup was started with.
    let same = |set: &&ActionSet| Some(inputs::backup_half(&set.spec)) == actions.as_ref().map(inputs::backup_half);
    let action_set = seen.action_set.as_deref().filter(same);
    let actions = actions.as_ref().unwrap_or(&none);
    let source = Source { backup, actions, action_set, method, target: step.target, pod: &pod };
    let job = match job_of(seen, step, &source, context) {
        Ok(job) => job,
        Err(refused) => return Ok(Err(refused)),
    };
    let namespace = backup.namespace().unwrap_or_default();
    if step.is_exec() {
        context.workers.ensure_exec(&hands.writer, &context.exec, &namespace).await?;
    } else {
        context.workers.ensure(&hands.writer, &namespace).await?;
    }
    match job_runtime::ensure(&hands.writer, &job, &backup.uid().unwrap_or_default()).await? {
        Ensured::NameTaken => Ok(Err(Stop::terminal(
            reasons::JOB_NAME_COLLISION,
            format!("Job {} belongs to somebody else; delete it or rename the Backup", job.name_any()),
        ))),
        Ensured::Refused(why) => Ok(Err(Stop::terminal(reasons::JOB_REFUSED, why))),
        Ensured::Created(job) | Ensured::Present(job) => {
            let reference = next.actions.get_mut(place).and_then(|a| a.object_ref.as_mut());
            if let Some(reference) = reference {
                reference.uid = job.uid();
            }
            Ok(Ok(()))
        }
    }
}

fn job_of(seen: &Observed, step: &Step<'_>, source: &Source<'_>, context: &Context) -> Result<Job, Stop> {
    let backup = seen.backup.as_ref();
    let kept = inputs::kept(backup).and_then(|i| i.backoff_limit);
    let bounds = build::Bounds {
        backoff_limit: kept.or_else(|| Some(seen.policy.as_ref()?.spec.backoff_limit())).unwrap_or(2),
        deadline: seen.limits.action.map(|limit| limit.as_secs().max(1)),
    };
    let storage = storage::reached(backup, seen.repo.as_deref(), Purpose::Write);
    let repo = backup.status.as_ref().and_then(|s| s.backup_repo_name.as_deref());
    if let (Some(repo), None) = (repo, &storage) {
        return Err(Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, format!("there is no BackupRepo {repo}")));
    }
    let storage = storage.as_ref();
    match step.work {
        Work::Data(data) => build::data_job(source, &step.name, data, storage, bounds, &context.pods),
        Work::Hook(hook) => match (&hook.exec, &hook.job) {
            (Some(exec), _) => Ok(build::exec::job(
                backup,
                &step.name,
                exec,
                source.pod,
                bounds.deadline,
                &context.exec,
                context.pods.zero_resources,
            )),
            (None, Some(job)) => build::hook_job(source, &step.name, job, storage, bounds, &context.pods),
            (None, None) => {
                Err(Stop::terminal(reasons::INVALID_ACTION, format!("{}: it has neither exec nor job", step.name)))
            }
        },
        Work::Archive(_) | Work::Snapshot => {
            Err(Stop::terminal(reasons::INVALID_ACTION, format!("{}: it is not run by a Job", step.name)))
        }
    }
}
