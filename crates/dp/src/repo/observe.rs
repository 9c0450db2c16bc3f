//! Reads what a BackupRepo depends on: caches, the Secrets it names, and events where a pre-check failed.

use super::plan::{Observed, Waiting};
use super::rendered::{SecretSeen, Secrets, named_secrets};
use super::{check, precheck, reach};
use crate::context::{Context, Stores};
use crate::error::Error;
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{AccessMethod, BackupRepo};
use controller_kit::clock;
use controller_kit::error::chain;
use controller_kit::writes::Writer;
use job_runtime::observe::JobState;
use job_runtime::{observe::observe as observe_job, owned_by};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod, Secret};
use kube::api::ListParams;
use kube::{Resource, ResourceExt};
use std::sync::Arc;

/// Longest that events of one object are quoted, in bytes.
const EVENTS_LIMIT: usize = 4096;

/// One look.
pub async fn observe(repo: Arc<BackupRepo>, context: &Context, writer: &Writer) -> Result<Observed, Error> {
    let stores = &context.stores;
    let own = &context.own_namespace;
    let name = repo.name_any();
    let uid = repo.uid().unwrap_or_default();
    let status = repo.status.clone().unwrap_or_default();
    let claim = status.backup_pvc_name.unwrap_or_default();
    let here = |namespace: &str| {
        let found = stores.claims.get(namespace, &claim);
        found.is_some_and(|c| reach::is_ours(c.as_ref(), &repo))
    };
    let backups = stores.backups.select_active(|b| waits(b, &name));
    let restores = stores.restores.select(|r| waits(r, &name));
    let mut waiting: Vec<Waiting> = backups.iter().map(|b| waiting(b.as_ref(), true, here)).collect();
    waiting.extend(restores.iter().map(|r| self::waiting(r.as_ref(), false, here)));
    waiting.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let going = repo.metadata.deletion_timestamp.is_some();
    let is_tool = repo.spec.access_method() == AccessMethod::Tool;
    let class = status.generated_storage_class_name.and_then(|c| stores.classes.get("", &c));
    let check_name = precheck::name(&repo);
    Ok(Observed {
        provider: stores.providers.get("", &repo.spec.storage_provider_ref),
        secrets: if going { Secrets::new() } else { secrets(&repo, own, writer).await? },
        class,
        check: look_at_check(&repo, stores, own, writer).await?,
        check_claim: !is_tool && stores.claims.get(own, &check_name).is_some(),
        waiting,
        backups: if going { backups_in(stores, &name) } else { vec![] },
        claims: claims_of(stores, &uid),
        classes: stores
            .classes
            .select(|c| c.labels().get(labels::BACKUP_REPO_NAME) == Some(&name) && reach::is_ours(c, &repo)),
        retry: context.check_retry,
        own_namespace: own.clone(),
        repo,
    })
}

/// Each Secret that the repository names, from the server: none is cached (design D12).
async fn secrets(repo: &BackupRepo, own: &str, writer: &Writer) -> Result<Secrets, Error> {
    let mut all = Secrets::new();
    for (namespace, name) in named_secrets(repo, own) {
        let seen = match writer.get(&writer.namespaced::<Secret>(&namespace), &name).await {
            Ok(None) => SecretSeen::Missing,
            Ok(Some(secret)) => texts(secret),
            Err(error) if error.code() == Some(403) => SecretSeen::Unusable(chain(&error)),
            Err(error) => return Err(error.into()),
        };
        all.insert((namespace, name), seen);
    }
    Ok(all)
}

fn texts(secret: Secret) -> SecretSeen {
    let mut all = super::parameters::Texts::new();
    for (key, value) in secret.data.unwrap_or_default() {
        match String::from_utf8(value.0) {
            Ok(text) => all.insert(key, text),
            Err(_) => return SecretSeen::Unusable(format!("key {key} is no text in UTF-8")),
        };
    }
    SecretSeen::Found(all)
}

async fn look_at_check(
    repo: &BackupRepo,
    stores: &Stores,
    own: &str,
    writer: &Writer,
) -> Result<Option<check::Seen>, Error> {
    let uid = repo.uid().unwrap_or_default();
    let name = precheck::name(repo);
    let mut job = stores.jobs.get(own, &name);
    if job.is_none() && stores.claims.get(own, &name).is_some() {
        // The Job that was just made may be younger than the cache; without it the claim would be taken for a left-over.
        job = writer.get(&writer.namespaced::<Job>(own), &name).await?.map(Arc::new);
    }
    let Some(job) = job.filter(|job| owned_by(job, &uid)) else {
        return Ok(None);
    };
    let pods = stores.pods.select(|p| p.owner_references().iter().any(|o| Some(&o.uid) == job.uid().as_ref()));
    let mut pods: Vec<&Pod> = pods.iter().map(AsRef::as_ref).collect();
    pods.sort_by_key(|p| p.creation_timestamp());
    let mut seen = check::Seen {
        state: observe_job(&job, &pods, pods::CONTAINER_PRE_CHECK),
        digest: job.annotations().get(annotations::BACKUP_REPO_DIGEST).cloned().unwrap_or_default(),
        created: job.creation_timestamp().map_or_else(clock::now, |t| t.0),
        events: String::new(),
    };
    if matches!(seen.state, JobState::Failed { .. }) || seen.is_late(clock::now()) {
        let claim = stores.claims.get(own, &precheck::name(repo)).and_then(|c| c.uid());
        let of = [pods.last().and_then(|p| p.uid()), claim, job.uid()];
        seen.events = events(own, of.into_iter().flatten(), writer).await;
    }
    Ok(Some(seen))
}

/// Warnings about those objects, as text. Asked for on failure only: no cache of events. Best effort.
async fn events(namespace: &str, of: impl Iterator<Item = String>, writer: &Writer) -> String {
    let api = writer.namespaced::<Event>(namespace);
    let mut told: Vec<String> = Vec::new();
    for uid in of {
        let params = ListParams::default().fields(&format!("involvedObject.uid={uid},type=Warning")).limit(20);
        let Ok(found) = writer.list(&api, &params).await else {
            continue;
        };
        let mut text: String = found
            .iter()
            .map(|e| {
                format!("{}: {}", e.reason.as_deref().unwrap_or_default(), e.message.as_deref().unwrap_or_default())
            })
            .collect::<Vec<_>>()
            .join("; ");
        text.truncate(text.floor_char_boundary(EVENTS_LIMIT));
        if !text.is_empty() && !told.contains(&text) {
            told.push(text);
        }
    }
    told.join("; ")
}

/// Every Backup whose files lie in it, or are to, in any phase.
fn backups_in(stores: &Stores, name: &str) -> Vec<String> {
    let mut used = Vec::new();
    stores.backups.visit(|b| {
        let recorded = b.status.as_ref().and_then(|s| s.backup_repo_name.as_deref());
        if recorded.or(b.labels().get(labels::BACKUP_REPO_NAME).map(String::as_str)) == Some(name) {
            used.push(format!("{}/{}", b.namespace().unwrap_or_default(), b.name_any()));
        }
    });
    used.sort();
    used
}

/// Claims that this repository owns, the pre-check's among them.
pub fn claims_of(stores: &Stores, uid: &str) -> Vec<Arc<PersistentVolumeClaim>> {
    stores.claims.select(|c| {
        c.labels().contains_key(labels::BACKUP_REPO_NAME) && c.owner_references().iter().any(|o| o.uid == uid)
    })
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
