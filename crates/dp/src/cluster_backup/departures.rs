//! Clusters whose deletion this process saw.
//!
//! Only what the API server told of as a deletion comes in here, with the last state of the Cluster. That a Cluster is not
//! in a cache, or not in a list, is no evidence: a watch may have failed, a kind may be gone.

use crate::cluster::{Cluster, TerminationPolicy};
use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How long a Cluster without backups is remembered: one may be on its way.
const MEMORY: SignedDuration = SignedDuration::from_mins(15);

/// The end of one Cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Namespace of the Cluster.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// When it was made.
    pub made: Timestamp,
    /// What its user wanted for its backups, at the end.
    pub policy: TerminationPolicy,
    /// When its deletion was seen.
    pub seen: Timestamp,
}

/// All of them, by UID.
#[derive(Clone, Default)]
pub struct Departures(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    all: HashMap<String, Departure>,
    /// Backups of these are being deleted.
    pending: HashSet<String>,
}

impl Departures {
    /// Takes the last state of a Cluster that the server told of as deleted.
    pub fn note(&self, cluster: &Cluster, now: Timestamp) {
        let (Some(uid), Some(made)) = (cluster.uid(), cluster.creation_timestamp()) else {
            return;
        };
        let departure = Departure {
            namespace: cluster.namespace().unwrap_or_default(),
            name: cluster.name_any(),
            uid: uid.clone(),
            made: made.0,
            policy: cluster.termination_policy(),
            seen: now,
        };
        self.seen().all.insert(uid, departure);
    }

    /// The end of the Cluster of that UID.
    pub fn get(&self, uid: &str) -> Option<Departure> {
        self.seen().all.get(uid).cloned()
    }

    /// All of them.
    pub fn list(&self) -> Vec<Departure> {
        self.seen().all.values().cloned().collect()
    }

    /// What the last leader had not finished.
    pub fn resume(&self, departures: Vec<Departure>) {
        let mut seen = self.seen();
        for departure in departures {
            seen.pending.insert(departure.uid.clone());
            seen.all.insert(departure.uid.clone(), departure);
        }
    }

    /// Whether Backups of it are being deleted from now on.
    pub fn set_pending(&self, uid: &str, pending: bool) {
        let mut seen = self.seen();
        if pending {
            seen.pending.insert(uid.to_owned());
        } else {
            seen.pending.remove(uid);
        }
    }

    /// Those whose Backups are being deleted.
    pub fn pending(&self) -> Vec<Departure> {
        let seen = self.seen();
        seen.pending.iter().filter_map(|uid| seen.all.get(uid).cloned()).collect()
    }

    /// It was no departure, or nothing is left of it.
    pub fn forget(&self, uid: &str) {
        let mut seen = self.seen();
        seen.all.remove(uid);
        seen.pending.remove(uid);
    }

    /// Nothing is left, and nothing is to come any more.
    pub fn is_over(departure: &Departure, now: Timestamp) -> bool {
        now.duration_since(departure.seen) >= MEMORY
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
