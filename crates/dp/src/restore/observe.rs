//! Reads what a Restore depends on from the caches.

use super::build::job_name;
use super::chain::confirm::{Caches, confirmed};
use super::chain::{self, Chain, Step};
use super::plan::{self, ClaimSeen, JobSeen, Observed, RepoSeen};
use crate::action::mover::Repository;
use crate::context::Stores;
use crate::error::{Error, Stop};
use crate::repo::reach::{self, Purpose};
use api_types::contract::names::JOB_OBJECT_KEY_PREFIX;
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{Backup, Restore, RestoreActionPhase, RestoreStatusAction};
use controller_kit::writes::Writer;
use job_runtime::{observe::observe as observe_job, owned_by, stop};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use std::sync::Arc;

/// One look at the caches. Claims of a user's Restore are nobody's special objects and not cached:
/// the server is asked for those.
pub async fn observe(
    restore: Arc<Restore>,
    stores: &Stores,
    allowed_accounts: Vec<String>,
    writer: &Writer,
) -> Result<Observed, Error> {
    let namespace = restore.namespace().unwrap_or_default();
    let wanted = &restore.spec.backup;
    let backup = stores.backups.get(&wanted.namespace, &wanted.name);
    let chain = look_for_chain(&restore, backup.as_ref(), stores, writer).await?;
    let steps: Vec<&Step> = chain.iter().filter_map(|c| c.as_ref().ok()).flat_map(Chain::filling).collect();
    let repos = look_at_repos(&restore, &steps, stores, writer).await?;
    let expected: Vec<String> = match plan::recorded(&restore) {
        [] => steps.iter().map(|s| job_name(&restore, &s.backup.name_any(), 0)).collect(),
        recorded => recorded.iter().map(|a| job_of(a).to_owned()).collect(),
    };
    let jobs = expected.iter().map(|name| look_at_job(&restore, stores, name)).collect();
    let claims = look_at_claims(&restore, stores, &namespace, writer).await?;
    let mut seen = Observed { restore, backup, chain, repos, claims, jobs, allowed_accounts };
    confirm_vanished(&mut seen, writer).await?;
    Ok(seen)
}

/// Name of the Job of a recorded action.
pub fn job_of(action: &RestoreStatusAction) -> &str {
    action.object_key.trim_start_matches(JOB_OBJECT_KEY_PREFIX)
}

/// What restores the backup, while a Job is still to be made. The base that is recorded stays the base.
async fn look_for_chain(
    restore: &Restore,
    backup: Option<&Arc<Backup>>,
    stores: &Stores,
    writer: &Writer,
) -> Result<Option<Result<Chain, Stop>>, Error> {
    let wanted = &restore.spec.backup;
    let own = restore.namespace().as_deref() == Some(&wanted.namespace);
    let Some(backup) = backup.filter(|_| own && plan::is_to_begin(restore)) else {
        return Ok(None);
    };
    let first = plan::recorded(restore).first().map(|a| a.backup_name.as_str());
    let base = first.filter(|name| *name != wanted.name);
    let caches = Caches { stores, namespace: &wanted.namespace };
    let resolved = chain::resolve(backup, restore.spec.restore_time.as_deref(), base, &caches);
    Ok(Some(confirmed(resolved, writer).await?))
}

async fn look_at_repos(
    restore: &Restore,
    steps: &[&Step],
    stores: &Stores,
    writer: &Writer,
) -> Result<Vec<RepoSeen>, Error> {
    let namespace = restore.namespace().unwrap_or_default();
    let fresh = restore.status.as_ref().is_none_or(|s| s.phase.is_none());
    let mut seen: Vec<RepoSeen> = Vec::new();
    for step in steps {
        let name = step.backup.status.as_ref().and_then(|s| s.backup_repo_name.clone()).unwrap_or_default();
        let repo = stores.repos.get("", &name);
        let known = seen.iter().find(|r| r.name == name).map(|r| r.here);
        let reached = repo.as_deref().and_then(|r| Some((r, reach::repository(r, &namespace, Purpose::Read)?)));
        let here = match (known, reached) {
            (Some(here), _) => here,
            (None, Some((_, Repository::Mounted { claim }))) => stores.claims.get(&namespace, &claim).is_some(),
            // Secrets are not cached; a restore that has started does not ask again.
            (None, Some((repo, Repository::Tool { .. }))) if fresh => {
                reach::is_prepared(repo, &namespace, Purpose::Read, writer).await?
            }
            _ => false,
        };
        seen.push(RepoSeen { name, repo, here });
    }
    Ok(seen)
}

fn look_at_job(restore: &Restore, stores: &Stores, name: &str) -> JobSeen {
    let Some(job) = stores.jobs.get(&restore.namespace().unwrap_or_default(), name) else {
        return JobSeen::default();
    };
    let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    job_seen(&job, &restore.uid().unwrap_or_default(), &pods)
}

fn job_seen(job: &Job, owner: &str, pods: &[&Pod]) -> JobSeen {
    if !owned_by(job, owner) {
        return JobSeen { taken: true, ..JobSeen::default() };
    }
    JobSeen {
        uid: job.uid(),
        held: stop::held(job),
        turn: stop::turn(job, pods, pods::CONTAINER_RESTORE),
        state: Some(observe_job(job, pods, pods::CONTAINER_RESTORE)),
        taken: false,
    }
}

async fn look_at_claims(
    restore: &Restore,
    stores: &Stores,
    namespace: &str,
    writer: &Writer,
) -> Result<Vec<ClaimSeen>, Error> {
    let config = restore.spec.prepare_data_config.as_ref();
    let of_execution = restore.annotations().contains_key(annotations::PRIME_UID);
    let mut seen = Vec::new();
    for claim in config.map(|c| c.volume_claims.as_slice()).unwrap_or_default() {
        let name = claim.metadata.name.as_deref().unwrap_or_default();
        let found = if of_execution {
            stores.claims.get(namespace, name)
        } else if restore.status.as_ref().is_some_and(|s| s.phase.is_some()) {
            None // started: the claims were there
        } else {
            let api = writer.namespaced::<PersistentVolumeClaim>(namespace);
            writer.get(&api, name).await?.map(Arc::new)
        };
        let alive = found.filter(|c| c.metadata.deletion_timestamp.is_none());
        seen.push(ClaimSeen { uid: alive.and_then(|c| c.uid()) });
    }
    Ok(seen)
}

/// A recorded Job that the cache lacks may be younger than the cache: the server is asked before it
/// counts as vanished.
async fn confirm_vanished(seen: &mut Observed, writer: &Writer) -> Result<(), Error> {
    let owner = seen.restore.uid().unwrap_or_default();
    let api = writer.namespaced::<Job>(&seen.restore.namespace().unwrap_or_default());
    for (action, job) in plan::recorded(&seen.restore).iter().zip(&mut seen.jobs) {
        let known = action.job_uid.is_none() || action.job_uid == job.uid;
        if action.status != RestoreActionPhase::Processing || known {
            continue;
        }
        if let Some(found) = writer.get(&api, job_of(action)).await? {
            // Nothing is known of its pods; they are in the cache when it is.
            *job = JobSeen { turn: None, ..job_seen(&found, &owner, &[]) };
        }
    }
    Ok(())
}

/// Label value that ties pods to the restore of that name.
pub fn pods_of<'a>(stores: &Stores, namespace: &'a str, restore: &'a str) -> Vec<Arc<Pod>> {
    stores.pods.select(|p| {
        p.namespace().as_deref() == Some(namespace)
            && p.labels().get(labels::RESTORE).map(String::as_str) == Some(restore)
    })
}
