//! Runtime that the operators share: client, stores, queue, writes with deadlines, lease,
//! conditions, events, metrics and the admin server.
//!
//! Nothing here knows a kind of ours. A controller is a folder of its operator; this crate gives it
//! a [`queue::Queue`] to be woken through, [`stores::Store`]s to look at and a [`writes::Writer`]
//! to act with.
pub mod access;
pub mod admin;
pub mod clock;
pub mod conditions;
pub mod diff;
pub mod drive;
pub mod error;
pub mod events;
pub mod lease;
pub mod metrics;
pub mod names;
pub mod pauses;
pub mod queue;
pub mod run;
pub mod served;
pub mod stores;
pub mod telemetry;
pub mod writes;

/// A namespaced name; the namespace is empty for cluster-scoped objects.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct Key {
    /// Namespace, empty for cluster-scoped objects.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key of a namespaced object.
    pub fn new(namespace: impl Into<String>, name: impl Into<String>) -> Self {
        Key { namespace: namespace.into(), name: name.into() }
    }

    /// The key of any object; what it lacks is empty.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        let meta = object.meta();
        Key::new(meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
    }

    /// The key of an object's first owner of that kind; owners lie in their objects' namespace.
    pub fn of_owner<K: kube::Resource>(object: &K, kind: &str) -> Option<Self> {
        let meta = object.meta();
        let owner = meta.owner_references.iter().flatten().find(|o| o.kind == kind)?;
        Some(Key::new(meta.namespace.clone().unwrap_or_default(), owner.name.clone()))
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() { f.write_str(&self.name) } else { write!(f, "{}/{}", self.namespace, self.name) }
    }
}
