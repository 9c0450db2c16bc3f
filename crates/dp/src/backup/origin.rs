//! Records on a Backup whose it is: labels of the pods it is made of, the Cluster as it is now and its accounts
//! (behaviour-apps §6, behaviour-backup §3.3). Written after the pods are chosen and before any Job exists.

use super::select::Chosen;
use crate::account::keyring::{KeyRing, nonce};
use crate::account::{collect, sealed, snapshot};
use crate::cluster::Cluster;
use crate::error::Error;
use api_types::contract::{annotations, events as event_reasons, labels};
use api_types::dp::Backup;
use controller_kit::events::Events;
use controller_kit::writes::Writer;
use kube::{Api, ResourceExt};
use serde_json::json;
use std::collections::BTreeMap;

/// Labels of a pod that say whose it is.
const IDENTITY: [&str; 3] = [labels::INSTANCE, labels::COMPONENT_NAME, labels::SHARDING_NAME];

/// How this controller reaches the Cluster.
pub struct Origin<'a> {
    /// Reads and writes.
    pub writer: &'a Writer,
    /// Events.
    pub events: &'a Events,
    /// The operator's keys.
    pub keys: &'a KeyRing,
}

/// What the pods of the last target say (behaviour-backup §3.2).
fn identity(chosen: &[Chosen]) -> BTreeMap<String, String> {
    let of = chosen.last().map(|c| &c.labels);
    let known = |key: &str| Some((key.to_owned(), of?.get(key).filter(|v| !v.is_empty())?.clone()));
    IDENTITY.into_iter().filter_map(known).collect()
}

impl Origin<'_> {
    /// Gives the Backup as it then is; the same where its pods are of no Cluster. `None` where it has changed since it was
    /// read: what is written here wakes a look of its own, which may come before the cache has seen the start.
    pub async fn record(&self, backup: &Backup, chosen: &[Chosen]) -> Result<Option<Backup>, Error> {
        let mut labels_now = identity(chosen);
        let Some(instance) = labels_now.get(labels::INSTANCE).cloned() else {
            return Ok(Some(backup.clone()));
        };
        let namespace = backup.namespace().unwrap_or_default();
        let api: Api<Backup> = self.writer.namespaced(&namespace);
        let cluster = self.writer.get(&self.writer.namespaced::<Cluster>(&namespace), &instance).await?;
        let mut notes = BTreeMap::new();
        if let Some(cluster) = &cluster {
            labels_now.insert(labels::CLUSTER_UID.into(), cluster.uid().unwrap_or_default());
            // The cache drops what is big, and all of it counts towards the limit.
            let fresh = self.writer.get(&api, &backup.name_any()).await?;
            let Some(fresh) = fresh.filter(|b| b.resource_version() == backup.resource_version()) else {
                return Ok(None);
            };
            notes = self.notes(&fresh, cluster, chosen).await?;
        } else if labels_now.iter().all(|(key, value)| backup.labels().get(key) == Some(value)) {
            return Ok(Some(backup.clone()));
        }
        let body = json!({"metadata": {
            "uid": backup.uid(), "resourceVersion": backup.resource_version(),
            "labels": labels_now, "annotations": notes,
        }});
        Ok(Some(self.writer.merge(&api, &backup.name_any(), &body).await?))
    }

    async fn notes(
        &self,
        backup: &Backup,
        cluster: &Cluster,
        chosen: &[Chosen],
    ) -> Result<BTreeMap<&'static str, String>, Error> {
        let pods: Vec<BTreeMap<String, String>> = chosen.iter().map(|c| c.labels.clone()).collect();
        let collected = collect::collect(self.writer, cluster, &pods).await?;
        let ciphers = self.keys.ciphers(self.writer).await?;
        let accounts = sealed::seal(&collected.accounts, &ciphers, nonce)?;
        if !collected.missing.is_empty() {
            let what = collected.missing.join(", ");
            let note =
                format!("the backup does not hold all accounts of Cluster {}: missing {what}", cluster.name_any());
            self.events.warning(backup, event_reasons::backup::ACCOUNTS_INCOMPLETE, &note).await;
        }
        let fitted = snapshot::fit(backup.annotations(), accounts, snapshot::snapshot(cluster));
        for (key, bytes) in fitted.left_out {
            let note = format!(
                "annotation {key} is left out: with its {bytes} bytes the annotations would be over {}",
                snapshot::LIMIT
            );
            self.events.warning(backup, event_reasons::backup::CLUSTER_NOT_SAVED, &note).await;
        }
        Ok(fitted.notes)
    }
}

/// What the cache keeps of the annotations this file writes: that there are accounts, not which.
pub fn trim(backup: &mut Backup) {
    let notes = backup.annotations_mut();
    notes.remove(annotations::CLUSTER_SNAPSHOT);
    if let Some(text) = notes.get_mut(annotations::ENCRYPTED_SYSTEM_ACCOUNTS) {
        if sealed::is_empty(text) {
            notes.remove(annotations::ENCRYPTED_SYSTEM_ACCOUNTS);
        } else {
            text.clear();
            text.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A label without a value made `KB_COMP_NAME` empty where it was to be absent.
    #[test]
    fn rule_17_only_labels_that_the_pod_has_are_copied() {
        let chosen = |own: &[(&str, &str)]| Chosen {
            target: api_types::dp::BackupStatusTarget::default(),
            labels: own.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
            claims: vec![],
            nodes: vec![],
        };
        let of = identity(&[chosen(&[(labels::INSTANCE, "c"), (labels::COMPONENT_NAME, ""), ("app", "db")])]);
        assert_eq!(of, BTreeMap::from([(labels::INSTANCE.to_owned(), "c".to_owned())]));
        assert!(identity(&[]).is_empty());
    }
}
