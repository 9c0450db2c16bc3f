//! Reads what a Backup depends on from the caches.

use super::build::{job_name, name_label};
use super::plan::Observed;
use super::status::ActionOutcome;
use super::{delete, select};
use crate::context::Stores;
use crate::error::Error;
use crate::repo::reach::{self, Purpose};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{AccessMethod, ActionPhase, Backup, BackupPhase, BackupRepo, RestorePhase};
use controller_kit::writes::Writer;
use job_runtime::{observe::observe as observe_job, owned_by, stop};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::sync::Arc;

/// One look; no call to the API server.
pub fn observe(backup: Arc<Backup>, stores: &Stores) -> Observed {
    let namespace = backup.namespace().unwrap_or_default();
    let name = backup.name_any();
    let uid = backup.uid().unwrap_or_default();
    let policy = stores.policies.get(&namespace, &backup.spec.backup_policy_name);
    let recorded = backup.status.as_ref().and_then(|s| s.backup_method.clone());
    let method = recorded.or_else(|| policy.as_ref()?.spec.method(&backup.spec.backup_method).cloned());
    let action_set = method.as_ref().and_then(|m| stores.action_sets.get("", m.action_set_name()?));
    let default_repos = default_repos(&stores.repos.select(|r| r.is_ready() && is_default(r)));
    let recorded_repo = backup.status.as_ref().and_then(|s| s.backup_repo_name.clone());
    let repo_name = recorded_repo.or_else(|| select::repo_name(&backup, policy.as_ref()?, &default_repos).ok());
    let repo = repo_name.and_then(|name| stores.repos.get("", &name));
    let recorded_claim = backup.status.as_ref().and_then(|s| s.persistent_volume_claim_name.clone());
    let claim = recorded_claim.or_else(|| repo.as_ref()?.status.as_ref()?.backup_pvc_name.clone());
    let repo_here = claim.is_some_and(|c| stores.claims.get(&namespace, &c).is_some());

    let label = name_label(&name);
    let pods = stores.pods.select(|p| {
        p.namespace().as_deref() == Some(&namespace) && p.labels().get(labels::BACKUP_NAME) == Some(&label)
    });
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    let outcomes = outcomes(&backup, stores, &pods, &namespace);
    let jobs_left = !super::jobs_of(stores, &namespace, &uid).is_empty();
    let delete_job =
        stores.jobs.get(&namespace, &delete::job_name(&backup)).filter(|job| owned_by(job, &uid)).map(|job| {
            let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
            observe_job(&job, &pods.iter().map(AsRef::as_ref).collect::<Vec<&Pod>>(), pods::CONTAINER_DELETER)
        });
    Observed {
        read_by: running_reader(stores, &namespace, &name),
        pods_left: !pods.is_empty(),
        backup,
        policy,
        action_set,
        default_repos,
        repo,
        repo_here,
        outcomes,
        jobs_left,
        delete_job,
    }
}

fn outcomes(backup: &Backup, stores: &Stores, pods: &[&Pod], namespace: &str) -> Vec<ActionOutcome> {
    let uid = backup.uid().unwrap_or_default();
    let actions = backup.status.iter().flat_map(|s| &s.actions);
    let look = |action: &api_types::dp::ActionStatus| {
        let name = job_name(backup, action.name.as_deref().unwrap_or_default());
        let job = stores.jobs.get(namespace, &name).filter(|job| owned_by(job, &uid));
        ActionOutcome {
            job_uid: job.as_ref().and_then(|j| j.uid()),
            turn: job.as_ref().and_then(|j| stop::turn(j, pods, pods::CONTAINER_BACKUP_DATA)),
            state: job.map(|job| observe_job(&job, pods, pods::CONTAINER_BACKUP_DATA)),
        }
    };
    actions.map(look).collect()
}

/// A recorded Job that the cache lacks may be younger than the cache: the server is asked before
/// the backup is called failed.
pub async fn confirm_vanished(seen: &mut Observed, writer: &Writer) -> Result<(), Error> {
    let backup = Arc::clone(&seen.backup);
    let uid = backup.uid().unwrap_or_default();
    let api = writer.namespaced::<Job>(&backup.namespace().unwrap_or_default());
    let actions = backup.status.iter().flat_map(|s| &s.actions);
    for (action, outcome) in actions.zip(&mut seen.outcomes) {
        let ended = matches!(action.phase, Some(ActionPhase::Completed | ActionPhase::Failed));
        let recorded = action.object_ref.as_ref().is_some_and(|r| r.uid.is_some());
        if ended || !recorded || outcome.state.is_some() {
            continue;
        }
        let name = job_name(&backup, action.name.as_deref().unwrap_or_default());
        if let Some(job) = writer.get(&api, &name).await?.filter(|job| owned_by(job, &uid)) {
            outcome.job_uid = job.uid();
            outcome.state = Some(observe_job(&job, &[] as &[Pod], pods::CONTAINER_BACKUP_DATA));
        }
    }
    Ok(())
}

/// Of a repository that the mover reaches by a configuration, the server knows whether that is in the namespace:
/// Secrets are not cached. Asked for while something is to begin.
pub async fn look_for_configuration(seen: &mut Observed, writer: &Writer) -> Result<(), Error> {
    let backup = &seen.backup;
    let begins = matches!(backup.phase(), BackupPhase::New | BackupPhase::InProgress | BackupPhase::Deleting);
    let purpose = if backup.phase() == BackupPhase::Deleting { Purpose::Delete } else { Purpose::Write };
    let Some(repo) = seen.repo.as_deref().filter(|r| begins && r.spec.access_method() == AccessMethod::Tool) else {
        return Ok(());
    };
    let namespace = backup.namespace().unwrap_or_default();
    seen.repo_here = reach::is_prepared(repo, &namespace, purpose, writer).await?;
    Ok(())
}

fn running_reader(stores: &Stores, namespace: &str, backup: &str) -> Option<String> {
    let reads = stores.restores.select(|r| {
        let running = r.status.as_ref().and_then(|s| s.phase.as_ref()) == Some(&RestorePhase::Running);
        running && r.spec.backup.name == backup && r.spec.backup.namespace == namespace
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
