//! Whether the target of a backup is being restored (design D13, behaviour-backup §16.31). Pure but for the caches.

use super::select::Chosen;
use crate::cluster::Cluster;
use crate::context::Stores;
use crate::populate;
use api_types::contract::{annotations, labels};
use api_types::dp::{Backup, RestorePhase};
use kube::ResourceExt;

/// Whether a schedule made it, and not a person.
pub fn is_scheduled(backup: &Backup) -> bool {
    let labels = backup.labels();
    labels.contains_key(labels::BACKUP_SCHEDULE)
        || labels.get(labels::AUTO_BACKUP).map(String::as_str) == Some(labels::TRUE)
}

/// What is being restored of the pods that were chosen, as a sentence; `None` if nothing is, or nobody is to ask.
pub fn restoring(backup: &Backup, chosen: &[Chosen], cluster: Option<&Cluster>, stores: &Stores) -> Option<String> {
    if backup.annotations().get(annotations::SKIP_RESTORATION_CHECK).map(String::as_str) == Some(labels::TRUE) {
        return None;
    }
    if let Some(cluster) = cluster.filter(|c| c.is_being_restored()) {
        return Some(format!("Cluster {} is being restored", cluster.name_any()));
    }
    let namespace = backup.namespace().unwrap_or_default();
    let mounted = |name: &str| chosen.iter().any(|c| c.claims.iter().any(|claim| claim == name));
    let filled = stores.claims.select(|c| {
        c.namespace().as_deref() == Some(&namespace) && mounted(&c.name_any()) && populate::is_unsettled(c)
    });
    if let Some(claim) = filled.first() {
        return Some(format!("PersistentVolumeClaim {} of its pod is being restored", claim.name_any()));
    }
    let instance = chosen.last().and_then(|c| c.labels.get(labels::INSTANCE)).filter(|i| !i.is_empty())?;
    let running = stores.restores.select(|r| {
        let runs = r.status.as_ref().and_then(|s| s.phase.as_ref()) == Some(&RestorePhase::Running);
        runs && r.namespace().as_deref() == Some(&namespace) && r.labels().get(labels::INSTANCE) == Some(instance)
    });
    running.first().map(|r| format!("Restore {} of {instance} is running", r.name_any()))
}

/// What of a Cluster holds a backup back, or ends it.
pub fn mark(cluster: &Cluster) -> Option<String> {
    let uid = cluster.uid().unwrap_or_default();
    Some(format!("{uid} {} {} {}", cluster.phase(), cluster.is_going(), cluster.is_being_restored()))
}
