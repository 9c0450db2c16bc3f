//! Carries out what `plan` decided for a Backup that is being deleted.

use super::plan::Plan;
use super::{job, pre_delete};
use crate::backup::apply::Hands;
use crate::backup::plan::Observed;
use crate::backup::{inputs, snapshot, status, storage};
use crate::context::Context;
use crate::error::{Error, Stop};
use crate::reasons;
use crate::repo::reach::Purpose;
use api_types::contract::{FINALIZER, annotations, events as event_reasons, labels};
use api_types::dp::{Backup, BackupPhase, BackupSchedule};
use job_runtime::Ensured;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::PropagationPolicy;
use serde_json::json;

/// Carries out `plan`.
pub async fn apply(hands: &Hands, seen: &Observed, plan: Plan, context: &Context) -> Result<(), Error> {
    let backup = seen.backup.as_ref();
    match plan {
        Plan::Leave => {}
        Plan::Blocked(stop) => hands.block(backup, &stop).await?,
        Plan::Begin => begin(hands, seen).await?,
        Plan::Dependents(all) => {
            for dependent in all.iter().filter(|d| d.metadata.deletion_timestamp.is_none()) {
                let uid = dependent.uid().unwrap_or_default();
                let api = hands.api(dependent);
                hands.writer.delete(&api, &dependent.name_any(), &uid, PropagationPolicy::Background).await?;
            }
            let what = "backups that build on this one are deleted before it";
            let stop = Stop::wait(reasons::DELETING_DEPENDENTS, what);
            hands.block(backup, &stop).await?;
        }
        Plan::StopWorkloads => hands.stop_workloads(backup, context).await?,
        Plan::AskForRepo(stop) => {
            hands.block(backup, &stop).await?;
            hands.ask_for_repo(backup).await?;
        }
        Plan::PreDelete(places) => {
            for place in places {
                run_before(hands, seen, place, context).await?;
            }
        }
        Plan::Files { path } => {
            if let Some(storage) = storage::reached(backup, seen.repo.as_deref(), Purpose::Delete) {
                let job = job::job(backup, &path, &storage, &context.pods);
                ensure(hands, backup, &job).await?;
            }
        }
        Plan::Failed { job, why } => {
            failed(hands, backup, format!("{why}; delete Job {job} to try again")).await?;
        }
        Plan::Release { with_snapshots } => {
            if let Some(schedule) = about_to_record(hands, backup).await? {
                let what = format!("BackupSchedule {schedule} has not recorded this run yet, and would run it again");
                return hands.block(backup, &Stop::wait(reasons::RUN_NOT_RECORDED, what)).await;
            }
            if !with_snapshots || snapshot::apply::all_gone(hands, backup).await? {
                release(hands, backup).await?;
            }
        }
    }
    Ok(())
}

async fn begin(hands: &Hands, seen: &Observed) -> Result<(), Error> {
    let backup = seen.backup.as_ref();
    let mut next = backup.status.clone().unwrap_or_default();
    next.phase = Some(BackupPhase::Deleting);
    status::unblocked(&mut next);
    let named = next.backup_method.as_ref().and_then(|m| m.action_set_name()).map(str::to_owned);
    if hands.store(backup, &next).await?
        && inputs::kept(backup).is_none()
        && seen.action_set.is_none()
        && let Some(name) = named
    {
        let note = format!("ActionSet {name} is gone: if it has a preDelete action, it is not run");
        hands.events.warning(backup, reasons::ACTION_SET_NOT_FOUND, &note).await;
    }
    Ok(())
}

async fn run_before(hands: &Hands, seen: &Observed, place: usize, context: &Context) -> Result<(), Error> {
    let backup = seen.backup.as_ref();
    let Some(actions) = seen.actions() else { return Ok(()) };
    let pod = database(hands, backup, place).await?;
    let storage = storage::reached(backup, seen.repo.as_deref(), Purpose::Delete);
    match pre_delete::job(backup, actions, place, pod.as_ref(), storage.as_ref(), &context.pods) {
        Ok(Some(job)) => {
            let namespace = backup.namespace().unwrap_or_default();
            match context.workers.ensure(&hands.writer, &namespace).await {
                Err(error) if error.is_namespace_terminating() => return terminating(hands, backup).await,
                other => other?,
            }
            ensure(hands, backup, &job).await
        }
        Ok(None) => Ok(()),
        Err(stop) => failed(hands, backup, format!("{}: {}", stop.reason, stop.message)).await,
    }
}

/// A pod of the database, while the Cluster that was backed up is still there; its absence holds back nothing.
async fn database(hands: &Hands, backup: &Backup, place: usize) -> Result<Option<Pod>, Error> {
    let Some(uid) = backup.labels().get(labels::CLUSTER_UID) else { return Ok(None) };
    let Some(instance) = backup.labels().get(labels::INSTANCE) else { return Ok(None) };
    let namespace = backup.namespace().unwrap_or_default();
    let api = hands.writer.namespaced::<crate::cluster::Cluster>(&namespace);
    let cluster = hands.writer.get(&api, instance).await?;
    if cluster.and_then(|c| c.uid()).as_ref() != Some(uid) {
        return Ok(None);
    }
    match pre_delete::target(backup, place) {
        Some(target) => hands.targets.any_available(backup, target).await,
        None => Ok(None),
    }
}

async fn ensure(hands: &Hands, backup: &Backup, job: &Job) -> Result<(), Error> {
    let name = job.name_any();
    match job_runtime::ensure(&hands.writer, job, &backup.uid().unwrap_or_default()).await {
        Ok(Ensured::NameTaken) => {
            failed(hands, backup, format!("Job {name} belongs to somebody else; delete it")).await
        }
        Ok(Ensured::Refused(why)) => failed(hands, backup, why).await,
        Ok(Ensured::Created(_) | Ensured::Present(_)) => {
            let mut next = backup.status.clone().unwrap_or_default();
            next.deletion_failure_reason = None;
            status::unblocked(&mut next);
            hands.store(backup, &next).await?;
            Ok(())
        }
        Err(error) if error.is_namespace_terminating() => terminating(hands, backup).await,
        Err(error) => Err(error.into()),
    }
}

async fn terminating(hands: &Hands, backup: &Backup) -> Result<(), Error> {
    let why = "the namespace is being deleted, no Job can delete the files from it; \
               set spec.deletionPolicy to Retain to let the object go and keep the files";
    failed(hands, backup, why.to_owned()).await
}

async fn failed(hands: &Hands, backup: &Backup, why: String) -> Result<(), Error> {
    let mut next = backup.status.clone().unwrap_or_default();
    next.deletion_failure_reason = Some(why.clone());
    status::unblocked(&mut next);
    if hands.store(backup, &next).await? {
        hands.events.warning(backup, event_reasons::backup::DELETE_FILES_FAILED, &why).await;
    }
    Ok(())
}

/// The schedule that made this run and does not know yet that it did. Asked at the server: once the Backup is gone,
/// nothing tells that the run has been.
async fn about_to_record(hands: &Hands, backup: &Backup) -> Result<Option<String>, Error> {
    let (name, of) =
        (backup.labels().get(labels::BACKUP_SCHEDULE), backup.annotations().get(annotations::SCHEDULE_UID));
    let (Some(name), Some(of)) = (name, of) else { return Ok(None) };
    let api = hands.writer.namespaced::<BackupSchedule>(&backup.namespace().unwrap_or_default());
    let schedule = hands.writer.get(&api, name).await?.filter(|s| s.uid().as_ref() == Some(of));
    let schedule = schedule.filter(|s| s.metadata.deletion_timestamp.is_none());
    let own = backup.name_any();
    let entries = schedule.iter().flat_map(|s| &s.status).flat_map(|s| s.schedules.values());
    let starting = entries.filter_map(|e| e.starting_backup_name.as_ref()).any(|starting| *starting == own);
    Ok(starting.then(|| name.clone()))
}

async fn release(hands: &Hands, backup: &Backup) -> Result<(), Error> {
    let kept: Vec<&String> = backup.finalizers().iter().filter(|f| *f != FINALIZER).collect();
    let body = json!({"metadata": {
        "uid": backup.uid(), "resourceVersion": backup.resource_version(), "finalizers": kept,
    }});
    match hands.writer.merge(&hands.api(backup), &backup.name_any(), &body).await {
        Err(error) if !error.is_not_found() => Err(error.into()),
        _ => Ok(()),
    }
}
