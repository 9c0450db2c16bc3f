//! Reads what a BackupRepo depends on from the caches.

use super::plan::{Observed, Waiting};
use super::precheck;
use crate::context::Stores;
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{Backup, BackupRepo};
use jiff::SignedDuration;
use job_runtime::{observe::observe as observe_job, owned_by};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::{Resource, ResourceExt};
use std::sync::Arc;

/// One look; no call to the API server.
pub fn observe(repo: Arc<BackupRepo>, stores: &Stores, own_namespace: &str, retry: SignedDuration) -> Observed {
    let name = repo.name_any();
    let uid = repo.uid().unwrap_or_default();
    let check_name = precheck::name(&repo);
    let check = stores.jobs.get(own_namespace, &check_name).filter(|job| owned_by(job, &uid)).map(|job| {
        let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
        let pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
        let digest = job.annotations().get(annotations::BACKUP_REPO_DIGEST).cloned().unwrap_or_default();
        (observe_job(&job, &pods, pods::CONTAINER_PRE_CHECK), digest)
    });
    let claim = repo.status.as_ref().and_then(|s| s.backup_pvc_name.clone()).unwrap_or_default();
    let here = |namespace: &str| stores.claims.get(namespace, &claim).is_some();
    let backups = stores.backups.select(|b| waits(b, &name));
    let restores = stores.restores.select(|r| waits(r, &name));
    let mut waiting: Vec<Waiting> = backups.iter().map(|b| waiting(b.as_ref(), true, here)).collect();
    waiting.extend(restores.iter().map(|r| self::waiting(r.as_ref(), false, here)));
    let lies_in = |b: &Backup| {
        let recorded = b.status.as_ref().and_then(|s| s.backup_repo_name.as_deref());
        recorded.or(b.labels().get(labels::BACKUP_REPO_NAME).map(String::as_str)) == Some(&name)
    };
    let mut used: Vec<String> = stores
        .backups
        .select(lies_in)
        .iter()
        .map(|b| format!("{}/{}", b.namespace().unwrap_or_default(), b.name_any()))
        .collect();
    used.sort();
    Observed {
        provider: stores.providers.get("", &repo.spec.storage_provider_ref),
        check,
        check_claim: stores.claims.get(own_namespace, &check_name).is_some(),
        waiting,
        backups: used,
        claims_left: claims_of(stores, &uid).len(),
        retry,
        repo,
    }
}

/// Claims that this repository owns, the pre-check's among them.
pub fn claims_of(stores: &Stores, uid: &str) -> Vec<Arc<PersistentVolumeClaim>> {
    stores.claims.select(|c| c.owner_references().iter().any(|o| o.uid == uid))
}

fn waits<K: Resource>(object: &K, repo: &str) -> bool {
    let labels = object.labels();
    labels.contains_key(labels::WAIT_REPO_PREPARATION)
        && labels.get(labels::BACKUP_REPO_NAME).map(String::as_str) == Some(repo)
}

fn waiting<K: Resource>(object: &K, is_backup: bool, here: impl Fn(&str) -> bool) -> Waiting {
    let namespace = object.namespace().unwrap_or_default();
    Waiting { is_backup, claim_here: here(&namespace), name: object.name_any(), namespace }
}
