//! Reads what a Backup depends on, from the caches and where these lack it from the API server.

use super::build::name_label;
use super::fold::{ActionOutcome, Limits, Progress};
use super::plan::Observed;
use super::{continuous, delete, select, snapshot};
use crate::backup::apply::Hands;
use crate::context::{Context, Stores};
use crate::error::Error;
use crate::repo::reach::{self, Purpose};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{
    AccessMethod, ActionPhase, ActionStatus, ActionType, Backup, BackupPhase, BackupRepo, BackupType, RestorePhase,
};
use controller_kit::writes::Writer;
use jiff::Timestamp;
use job_runtime::observe::{JobState, observe as observe_job};
use job_runtime::{owned_by, stall, stop};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::sync::Arc;

/// One look; no call to the API server.
pub fn observe(backup: Arc<Backup>, context: &Context) -> Observed {
    let stores = &context.stores;
    let namespace = backup.namespace().unwrap_or_default();
    let policy = stores.policies.get(&namespace, &backup.spec.backup_policy_name);
    let recorded = backup.status.as_ref().and_then(|s| s.backup_method.clone());
    let method = recorded.or_else(|| policy.as_ref()?.spec.method(&backup.spec.backup_method).cloned());
    let action_set = method.as_ref().and_then(|m| stores.action_sets.get("", m.action_set_name()?));
    let schedule = backup.labels().get(labels::BACKUP_SCHEDULE).and_then(|s| stores.schedules.get(&namespace, s));
    let default_repos = default_repos(&stores.repos.select(|r| r.is_ready() && is_default(r)));
    let recorded_repo = backup.status.as_ref().and_then(|s| s.backup_repo_name.clone());
    let repo_name = recorded_repo.or_else(|| select::repo_name(&backup, policy.as_ref()?, &default_repos).ok());
    let repo = repo_name.and_then(|name| stores.repos.get("", &name));
    let recorded_claim = backup.status.as_ref().and_then(|s| s.persistent_volume_claim_name.clone());
    let claim = recorded_claim.or_else(|| repo.as_ref()?.status.as_ref()?.backup_pvc_name.clone());
    let repo_here = claim.is_some_and(|c| stores.claims.get(&namespace, &c).is_some());
    let pods = pods_of(stores, &backup);
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let outcomes = outcomes(&backup, stores, &pods);
    let deleting = backup.metadata.deletion_timestamp.is_some();
    let jobs_left = !super::jobs_of(stores, &backup).is_empty();
    let mut seen = Observed {
        family: family(&backup, stores, action_set.as_ref().map(|a| &a.spec.backup_type)),
        workloads_left: jobs_left || !continuous::sets_of(stores, &backup).is_empty(),
        limits: limits(&backup, context.limits),
        deletion: delete::plan::Seen { pods_left: !pods.is_empty(), ..delete::plan::Seen::default() },
        backup,
        policy,
        action_set,
        schedule,
        default_repos,
        repo,
        repo_here,
        outcomes,
    };
    if deleting {
        observe_deletion(&mut seen, stores);
    }
    seen
}

/// The operator's limits, but for what the Backup itself says.
fn limits(backup: &Backup, of_operator: Limits) -> Limits {
    let told = backup.annotations().get(annotations::ACTION_DEADLINE);
    match told.and_then(|text| api_types::duration::parse(text).ok()) {
        Some(limit) => Limits { action: (limit.is_positive()).then_some(limit), ..of_operator },
        None => of_operator,
    }
}

/// Pods that work for this backup, in its namespace and in the operator's.
pub fn pods_of(stores: &Stores, backup: &Backup) -> Vec<Arc<Pod>> {
    let label = name_label(&backup.name_any());
    let namespace = backup.namespace();
    stores.pods.select(|p| {
        p.labels().get(labels::BACKUP_NAME) == Some(&label)
            && match p.labels().get(labels::BACKUP_NAMESPACE) {
                Some(of) => Some(of) == namespace.as_ref(),
                None => p.namespace() == namespace,
            }
    })
}

fn outcomes(backup: &Backup, stores: &Stores, pods: &[&Pod]) -> Vec<ActionOutcome> {
    let uid = backup.uid().unwrap_or_default();
    let look = |action: &ActionStatus| {
        let reference = action.object_ref.as_ref().filter(|_| action.action_type == Some(ActionType::Job));
        let job = reference.and_then(|r| stores.jobs.get(r.namespace.as_deref()?, r.name.as_deref()?));
        job.filter(|job| owned_by(job, &uid)).map(|job| of_job(&job, pods)).unwrap_or_default()
    };
    backup.status.iter().flat_map(|s| &s.actions).map(look).collect()
}

fn of_job(job: &Job, pods: &[&Pod]) -> ActionOutcome {
    let container = main_container(job);
    let state = observe_job(job, pods, &container);
    ActionOutcome {
        object_uid: job.uid(),
        turn: stop::turn(job, pods, &container),
        without_pod_since: stall::without_pod_since(job, pods),
        failing_since: stall::failing_since(job),
        alive: matches!(state, JobState::Running { .. }) && job.metadata.deletion_timestamp.is_none(),
        progress: Some(state.into()),
    }
}

fn main_container(job: &Job) -> String {
    let containers = job.spec.as_ref().and_then(|s| s.template.spec.as_ref()).map(|s| s.containers.as_slice());
    let first = containers.and_then(|c| c.first()).map(|c| c.name.clone());
    first.unwrap_or_else(|| pods::CONTAINER_BACKUP_DATA.into())
}

/// A recorded Job that the cache lacks may be younger than the cache: the server is asked before the backup is called
/// failed. Snapshots are in no cache.
pub async fn confirm(seen: &mut Observed, hands: &Hands, now: Timestamp) -> Result<(), Error> {
    let backup = Arc::clone(&seen.backup);
    let status = backup.status.as_ref();
    let ended = |a: &ActionStatus| matches!(a.phase, Some(ActionPhase::Completed | ActionPhase::Failed));
    if backup.phase() != BackupPhase::Running || backup.metadata.deletion_timestamp.is_some() {
        return Ok(());
    }
    let uid = backup.uid().unwrap_or_default();
    for (action, outcome) in status.iter().flat_map(|s| &s.actions).zip(&mut seen.outcomes) {
        let recorded = action.action_type == Some(ActionType::Job);
        let reference = action.object_ref.as_ref().filter(|r| recorded && r.uid.is_some());
        let Some(reference) = reference.filter(|_| !ended(action) && outcome.progress.is_none()) else { continue };
        let api = hands.writer.namespaced::<Job>(reference.namespace.as_deref().unwrap_or_default());
        let name = reference.name.as_deref().unwrap_or_default();
        if let Some(job) = hands.writer.get(&api, name).await?.filter(|job| owned_by(job, &uid)) {
            *outcome = of_job(&job, &[]);
        }
    }
    let snapshots = |a: &&ActionStatus| a.action_type == Some(ActionType::VolumeSnapshot) && !ended(a);
    let Some(actions) = status.map(|s| s.actions.as_slice()).filter(|a| a.iter().any(|a| snapshots(&a))) else {
        return Ok(());
    };
    let Some(found) = snapshot::apply::list(hands, &backup).await? else { return Ok(()) };
    let mut awaited = false;
    for (action, outcome) in actions.iter().zip(&mut seen.outcomes).filter(|(a, _)| snapshots(a)) {
        let wanted = snapshot::plan::expected_of(&backup, action);
        let begun = action.phase == Some(ActionPhase::Running);
        let of_action: Vec<_> =
            found.iter().filter(|s| wanted.iter().any(|w| w.name == s.name_any())).cloned().collect();
        outcome.progress = snapshot::fold::progress(&wanted, &of_action, &uid, begun, seen.limits, now);
        let late = snapshot::fold::late_at(&of_action, seen.limits).filter(|_| begun);
        // The deadline of a snapshot is told as the moment its Job would be late.
        outcome.without_pod_since = late.and_then(|at| at.checked_sub(seen.limits.start).ok());
        awaited |= matches!(outcome.progress, Some(Progress::Running { .. }));
    }
    if awaited {
        snapshot::apply::follow(hands, &backup, &found);
    }
    Ok(())
}

/// Of a repository that the mover reaches by a configuration, the server knows whether that is in the namespace:
/// Secrets are not cached. Asked for while something is to begin.
pub async fn look_for_configuration(seen: &mut Observed, writer: &Writer) -> Result<(), Error> {
    let backup = &seen.backup;
    let fresh = matches!(backup.phase(), BackupPhase::New | BackupPhase::InProgress | BackupPhase::Deleting);
    // An archive begins again after it failed to, and after it was completed.
    let begins = fresh || continuous::is(backup) && backup.phase() != BackupPhase::Running;
    let purpose = if backup.phase() == BackupPhase::Deleting { Purpose::Delete } else { Purpose::Write };
    let Some(repo) = seen.repo.as_deref().filter(|r| begins && r.spec.access_method() == AccessMethod::Tool) else {
        return Ok(());
    };
    let namespace = backup.namespace().unwrap_or_default();
    seen.repo_here = reach::is_prepared(repo, &namespace, purpose, writer).await?;
    Ok(())
}

/// Other backups of the namespace, where the backup builds on others, or others may build on it.
fn family(backup: &Backup, stores: &Stores, type_: Option<&BackupType>) -> Vec<Arc<Backup>> {
    let status = backup.status.as_ref();
    let recorded = status.is_some_and(|s| s.parent_backup_name.is_some() || s.base_backup_name.is_some());
    let builds_on = recorded || matches!(type_, Some(BackupType::Incremental | BackupType::Differential));
    let ended = matches!(backup.phase(), BackupPhase::Completed | BackupPhase::Failed);
    if !builds_on || ended {
        return vec![];
    }
    stores.backups.select_in(&backup.namespace().unwrap_or_default(), |_| true)
}

fn observe_deletion(seen: &mut Observed, stores: &Stores) {
    let backup = Arc::clone(&seen.backup);
    let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
    let uid = backup.uid().unwrap_or_default();
    let dependents = stores.backups.select_in(&namespace, |b| builds_on(b, &name));
    let readers = dependents.iter().map(|b| b.name_any()).chain([name.clone()]);
    let read_by = readers.into_iter().find_map(|of| running_reader(stores, &namespace, &of));
    let state = |job: &str| {
        let job = stores.jobs.get(&namespace, job).filter(|job| owned_by(job, &uid))?;
        let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        Some(observe_job(&job, &pods, pods::CONTAINER_DELETER))
    };
    let names = delete::pre_delete::names(&backup, seen.actions());
    seen.deletion.pre_delete_jobs = names.iter().map(|name| state(name)).collect();
    seen.deletion.delete_job = state(&delete::job::job_name(&backup));
    seen.deletion.dependents = dependents;
    seen.deletion.read_by = read_by;
}

/// Whether `backup` continues the chain of the one of that name.
fn builds_on(backup: &Backup, name: &str) -> bool {
    let status = backup.status.as_ref();
    let of = |field: Option<&String>| field.map(String::as_str) == Some(name);
    of(status.and_then(|s| s.parent_backup_name.as_ref())) || of(status.and_then(|s| s.base_backup_name.as_ref()))
}

fn running_reader(stores: &Stores, namespace: &str, backup: &str) -> Option<String> {
    let reads = stores.restores.select(|r| {
        let running = r.status.as_ref().and_then(|s| s.phase.as_ref()) == Some(&RestorePhase::Running);
        running && crate::restore::reads(r, namespace, backup)
    });
    reads.first().map(|r| format!("{}/{}", r.namespace().unwrap_or_default(), r.name_any()))
}

fn is_default(repo: &BackupRepo) -> bool {
    repo.annotations().get(annotations::IS_DEFAULT_REPO).map(String::as_str) == Some("true")
}

fn default_repos(repos: &[Arc<BackupRepo>]) -> Vec<String> {
    let mut names: Vec<String> = repos.iter().map(|r| r.name_any()).collect();
    names.sort();
    names
}
