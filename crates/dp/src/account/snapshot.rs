//! The Cluster as annotation `kubeblocks.io/cluster-snapshot` of its Backup holds it (behaviour-apps §6), and what of the
//! two annotations fits. Pure.

use crate::cluster::{Cluster, VERSION};
use crate::context::LAST_APPLIED;
use api_types::contract::{APPS_GROUP, annotations};
use kube::{Resource, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Most bytes that keys and values of all annotations of an object may have together; the API server's limit.
pub const LIMIT: usize = 256 * 1024;

/// On a Cluster: requests under way, which a copy of it must not carry on.
const OPS_REQUEST: &str = "kubeblocks.io/ops-request";

/// Name, namespace, annotations but those of requests and of kubectl, and the whole spec.
pub fn snapshot(cluster: &Cluster) -> String {
    let mut metadata = json!({"name": cluster.name_any(), "namespace": cluster.namespace()});
    let kept: BTreeMap<&String, &String> =
        cluster.annotations().iter().filter(|(key, _)| *key != OPS_REQUEST && *key != LAST_APPLIED).collect();
    if !kept.is_empty()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.insert("annotations".into(), json!(kept));
    }
    let object: Value = json!({
        "apiVersion": format!("{APPS_GROUP}/{VERSION}"), "kind": Cluster::kind(&()),
        "metadata": metadata, "spec": cluster.spec,
    });
    object.to_string()
}

/// The annotations that go onto a Backup.
#[derive(Debug, PartialEq, Eq)]
pub struct Fitted {
    /// Those that fit beside what is there.
    pub notes: BTreeMap<&'static str, String>,
    /// Keys of those that do not, and their bytes.
    pub left_out: Vec<(&'static str, usize)>,
}

/// What fits beside `present`, the accounts first: without them nobody can log in to what was restored, while the Cluster
/// can be written again.
pub fn fit(present: &BTreeMap<String, String>, accounts: String, snapshot: String) -> Fitted {
    let ours = [annotations::ENCRYPTED_SYSTEM_ACCOUNTS, annotations::CLUSTER_SNAPSHOT];
    let size = |key: &str, value: &str| key.len() + value.len();
    let foreign = present.iter().filter(|(key, _)| !ours.contains(&key.as_str()));
    let mut free = LIMIT.saturating_sub(foreign.map(|(key, value)| size(key, value)).sum());
    let mut fitted = Fitted { notes: BTreeMap::new(), left_out: vec![] };
    for (key, value) in ours.into_iter().zip([accounts, snapshot]) {
        let bytes = size(key, &value);
        if bytes <= free {
            free -= bytes;
            fitted.notes.insert(key, value);
        } else {
            fitted.left_out.push((key, bytes));
        }
    }
    fitted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_has_no_labels_and_no_requests_and_the_whole_spec() {
        let cluster: Cluster = serde_json::from_value(json!({
            "metadata": {"name": "c", "namespace": "n", "uid": "u", "labels": {"a": "b"}, "annotations": {
                "keep": "me", OPS_REQUEST: "[]", LAST_APPLIED: "{}"}},
            "spec": {"restore": {"source": {"name": "b"}}, "unknown": [1, null]}, "status": {"phase": "Running"},
        }))
        .unwrap();
        let taken: Value = serde_json::from_str(&snapshot(&cluster)).unwrap();
        assert_eq!(
            taken,
            json!({
                "apiVersion": "apps.kubeblocks.io/v1", "kind": "Cluster",
                "metadata": {"name": "c", "namespace": "n", "annotations": {"keep": "me"}},
                "spec": {"restore": {"source": {"name": "b"}}, "unknown": [1, null]},
            })
        );
    }

    #[test]
    fn what_does_not_fit_is_named_and_the_accounts_come_first() {
        let (accounts, snapshot) = (annotations::ENCRYPTED_SYSTEM_ACCOUNTS, annotations::CLUSTER_SNAPSHOT);
        let present = BTreeMap::from([("a".to_owned(), "b".repeat(99)), (snapshot.to_owned(), "x".repeat(LIMIT))]);
        let room = LIMIT - 100 - accounts.len() - "{}".len() - snapshot.len();
        let fits = fit(&present, "{}".into(), "s".repeat(room));
        assert_eq!((fits.notes.len(), fits.left_out.len()), (2, 0), "one that is there already is replaced");
        let over = fit(&present, "{}".into(), "s".repeat(room + 1));
        assert_eq!(over.notes.keys().collect::<Vec<_>>(), [&accounts]);
        assert_eq!(over.left_out, [(snapshot, room + 1 + snapshot.len())]);
    }
}
