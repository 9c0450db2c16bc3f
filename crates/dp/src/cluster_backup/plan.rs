//! What becomes of the Backups of a deleted Cluster (behaviour-backup §10.1). Pure.

use super::departures::Departure;
use crate::cluster::TerminationPolicy;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupPhase, BackupType, DeletionPolicy};
use jiff::Timestamp;
use kube::ResourceExt;

/// What the API server says about a Cluster whose deletion was seen; read past the caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// UID of the Cluster that has the name now.
    pub now: Option<String>,
    /// When the CRD of Clusters was made; `None` where it is missing or on its way out.
    pub kind_since: Option<Timestamp>,
}

/// What the proof means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was deleted by itself.
    Deleted,
    /// It lives.
    Alive,
    /// Its kind was taken away with all Clusters, or was away since: nobody deleted this one.
    KindRemoved,
}

/// Whether the Cluster was deleted for its own sake. Read in this order: first the Cluster, then the CRD; then a kind that
/// is away for a moment can not be taken for a missing Cluster.
pub fn verdict(departure: &Departure, proof: &Proof) -> Verdict {
    if proof.now.as_deref() == Some(&departure.uid) {
        return Verdict::Alive;
    }
    // A Cluster is younger than its kind, unless the kind was removed and came back.
    match proof.kind_since {
        Some(since) if since <= departure.made => Verdict::Deleted,
        _ => Verdict::KindRemoved,
    }
}

/// Whether a Backup goes with its Cluster.
///
/// Only Backups that carry the Cluster's UID are asked about. `WipeOut` takes all but those to be retained; `Delete` takes
/// what failed and holds nothing, continuous archives not among them; everything else takes nothing.
pub fn goes(departure: &Departure, backup: &Backup) -> bool {
    let label = |key: &str| backup.labels().get(key).map(String::as_str);
    let of_cluster = label(labels::CLUSTER_UID) == Some(&departure.uid)
        && backup.namespace().as_deref() == Some(&departure.namespace);
    let kept = backup.spec.deletion_policy == DeletionPolicy::Retain || backup.metadata.deletion_timestamp.is_some();
    if !of_cluster || kept {
        return false;
    }
    match departure.policy {
        TerminationPolicy::WipeOut => true,
        TerminationPolicy::Delete => {
            let continuous = BackupType::Continuous;
            backup.phase() == BackupPhase::Failed
                && label(labels::BACKUP_TYPE).is_some_and(|type_| type_ != continuous.as_str())
        }
        TerminationPolicy::DoNotTerminate | TerminationPolicy::Other => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn departure(policy: TerminationPolicy) -> Departure {
        Departure { namespace: "n".into(), name: "c".into(), uid: "u".into(), made: at(100), policy, seen: at(200) }
    }

    fn backup(uid: Option<&str>, type_: &str, phase: &str, deletion: &str) -> Backup {
        let mut object = json!({
            "metadata": {"name": "b", "namespace": "n", "labels": {"app.kubernetes.io/instance": "c"}},
            "spec": {"deletionPolicy": deletion}, "status": {"phase": phase},
        });
        if let Some(uid) = uid {
            object["metadata"]["labels"][labels::CLUSTER_UID] = json!(uid);
        }
        if !type_.is_empty() {
            object["metadata"]["labels"][labels::BACKUP_TYPE] = json!(type_);
        }
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn bd32_the_policy_of_the_cluster_decides() {
        use TerminationPolicy::{Delete, DoNotTerminate, Other, WipeOut};
        for (policy, backup, goes_with) in vec![
            (WipeOut, backup(Some("u"), "Full", "Completed", "Delete"), true),
            (WipeOut, backup(Some("u"), "Continuous", "Running", "Delete"), true),
            (WipeOut, backup(Some("u"), "Full", "Completed", "Retain"), false),
            (WipeOut, backup(Some("other"), "Full", "Completed", "Delete"), false),
            // Same name, no UID: the label is used by every chart, this may be anybody's.
            (WipeOut, backup(None, "Full", "Completed", "Delete"), false),
            (Delete, backup(Some("u"), "Full", "Completed", "Delete"), false),
            (Delete, backup(Some("u"), "Full", "Running", "Delete"), false),
            (Delete, backup(Some("u"), "Full", "Failed", "Delete"), true),
            (Delete, backup(Some("u"), "Full", "Failed", "Retain"), false),
            (Delete, backup(Some("u"), "Continuous", "Failed", "Delete"), false),
            (Delete, backup(Some("u"), "", "Failed", "Delete"), false),
            (DoNotTerminate, backup(Some("u"), "Full", "Failed", "Delete"), false),
            (Other, backup(Some("u"), "Full", "Failed", "Delete"), false),
        ] {
            assert_eq!(goes(&departure(policy), &backup), goes_with, "{policy:?} {:?}", backup.metadata.labels);
        }
        let mut elsewhere = backup(Some("u"), "Full", "Completed", "Delete");
        elsewhere.metadata.namespace = Some("m".into());
        assert!(!goes(&departure(WipeOut), &elsewhere));
    }

    #[test]
    fn bd32_only_a_cluster_that_was_deleted_by_itself_is_gone() {
        let gone = departure(TerminationPolicy::WipeOut);
        let proof =
            |now: Option<&str>, since: Option<i64>| Proof { now: now.map(Into::into), kind_since: since.map(at) };
        for (proof, wanted) in [
            (proof(None, Some(100)), Verdict::Deleted),
            (proof(Some("another"), Some(50)), Verdict::Deleted),
            (proof(Some("u"), Some(50)), Verdict::Alive),
            (proof(None, None), Verdict::KindRemoved),
            (proof(None, Some(101)), Verdict::KindRemoved),
            (proof(Some("another"), Some(150)), Verdict::KindRemoved),
        ] {
            assert_eq!(verdict(&gone, &proof), wanted, "{proof:?}");
        }
    }
}
