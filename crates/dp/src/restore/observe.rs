//! Reads what a Restore depends on from the caches.

use super::build::job_name;
use super::plan::{ClaimSeen, JobSeen, Observed};
use crate::action::mover::Repository;
use crate::context::Stores;
use crate::error::Error;
use crate::repo::reach::{self, Purpose};
use api_types::contract::names::JOB_OBJECT_KEY_PREFIX;
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{Restore, RestoreActionPhase};
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
    let status = backup.as_ref().and_then(|b| b.status.as_ref());
    let method = status.and_then(|s| s.backup_method.as_ref());
    let action_set = method.and_then(|m| stores.action_sets.get("", m.action_set_name()?));
    let repo = status.and_then(|s| stores.repos.get("", s.backup_repo_name.as_deref()?));
    let fresh = restore.status.as_ref().is_none_or(|s| s.phase.is_none());
    let repo_here = match repo.as_deref().and_then(|r| Some((r, reach::repository(r, &namespace, Purpose::Read)?))) {
        Some((_, Repository::Mounted { claim })) => stores.claims.get(&namespace, &claim).is_some(),
        // Secrets are not cached; a restore that has started does not ask again.
        Some((repo, Repository::Tool { .. })) if fresh => {
            reach::is_prepared(repo, &namespace, Purpose::Read, writer).await?
        }
        _ => false,
    };
    let job = look_at_job(&restore, stores, &namespace);
    let claims = look_at_claims(&restore, stores, &namespace, writer).await?;
    let mut seen = Observed { restore, backup, action_set, repo, repo_here, claims, job, allowed_accounts };
    confirm_vanished(&mut seen, writer).await?;
    Ok(seen)
}

fn look_at_job(restore: &Restore, stores: &Stores, namespace: &str) -> JobSeen {
    let uid = restore.uid().unwrap_or_default();
    let name = job_name(restore, &restore.spec.backup.name, 0);
    let Some(job) = stores.jobs.get(namespace, &name) else {
        return JobSeen::default();
    };
    let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
    let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    job_seen(&job, &uid, &pods)
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
    let actions = seen.restore.status.as_ref().and_then(|s| s.actions.as_ref());
    let Some(action) = actions.and_then(|a| a.prepare_data.first()) else {
        return Ok(());
    };
    let known = seen.job.uid.is_some() && seen.job.uid == action.job_uid;
    if action.status != RestoreActionPhase::Processing || known {
        return Ok(());
    }
    let owner = seen.restore.uid().unwrap_or_default();
    let name = action.object_key.trim_start_matches(JOB_OBJECT_KEY_PREFIX);
    let api = writer.namespaced::<Job>(&seen.restore.namespace().unwrap_or_default());
    if let Some(job) = writer.get(&api, name).await? {
        // Nothing is known of its pods; they are in the cache when it is.
        seen.job = JobSeen { turn: None, ..job_seen(&job, &owner, &[]) };
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
