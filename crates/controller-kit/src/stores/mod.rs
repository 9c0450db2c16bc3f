//! Caches of watched objects. One store per kind and process, shared by all controllers.
//!
//! A store keeps only the objects it is told to keep and drops the fields nobody reads, so its size
//! follows what we work on and not what lies in the cluster. Objects of a kind of which most have ended can be held as
//! bytes while they are at rest. Controllers attach hooks that turn a changed object into keys of their queues.

mod packed;
mod watching;

use crate::Key;
use crate::served::Presence;
use kube::Resource;
use packed::{Entry, Packing};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;

type Hook<K> = Box<dyn Fn(&K) + Send + Sync>;

struct Inner<K> {
    objects: RwLock<HashMap<Key, Entry<K>>>,
    packing: Packing<K>,
    hooks: RwLock<Vec<Hook<K>>>,
    deleted: RwLock<Vec<Hook<K>>>,
    settled: RwLock<Vec<Box<dyn Fn() + Send + Sync>>>,
    presence: Mutex<Option<watch::Receiver<Presence>>>,
    keep: fn(&K) -> bool,
    trim: fn(&mut K),
    ready: watch::Sender<usize>,
    scopes: Mutex<usize>,
}

/// A cache of one kind.
pub struct Store<K>(Arc<Inner<K>>);

impl<K> Clone for Store<K> {
    fn clone(&self) -> Self {
        Store(Arc::clone(&self.0))
    }
}

/// Which objects of a kind are watched.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Namespaces; empty means all, and is what cluster-scoped kinds take.
    pub namespaces: Vec<String>,
    /// Label selector, evaluated by the server.
    pub labels: Option<&'static str>,
}

/// Size and readiness of one store, for `/debug/state`.
#[derive(Clone, Debug, serde::Serialize)]
pub struct StoreState {
    /// Kind.
    pub kind: String,
    /// Objects kept.
    pub objects: usize,
    /// Every watch has listed once.
    pub ready: bool,
}

/// What the runtime needs of a store, whatever its kind.
pub trait Watched: Send + Sync {
    /// Size and readiness.
    fn state(&self) -> StoreState;
}

impl<K> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    /// A store that keeps the objects for which `keep` holds, after `trim` has dropped what is not
    /// read. `keep` must not turn false again while the object lives.
    pub fn new(keep: fn(&K) -> bool, trim: fn(&mut K)) -> Self {
        Self::holding(keep, trim, Packing::none())
    }

    /// As [`Store::new`]; objects for which `at_rest` holds are kept as bytes, and made anew for each who asks for them.
    pub fn packed(keep: fn(&K) -> bool, trim: fn(&mut K), at_rest: fn(&K) -> bool) -> Self
    where
        K: Serialize + PartialEq,
    {
        Self::holding(keep, trim, Packing::of(at_rest))
    }

    fn holding(keep: fn(&K) -> bool, trim: fn(&mut K), packing: Packing<K>) -> Self {
        Store(Arc::new(Inner {
            objects: RwLock::default(),
            packing,
            hooks: RwLock::default(),
            deleted: RwLock::default(),
            settled: RwLock::default(),
            presence: Mutex::default(),
            keep,
            trim,
            ready: watch::channel(0).0,
            scopes: Mutex::new(0),
        }))
    }

    /// Calls `hook` with each object that was added, changed or deleted, after the store shows it.
    pub fn on_change(&self, hook: impl Fn(&K) + Send + Sync + 'static) {
        self.0.hooks.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Calls `hook` with the last state of each object whose deletion the server told of. An object that is only missing
    /// from a later list is not among them: nobody saw its end.
    pub fn on_deleted(&self, hook: impl Fn(&K) + Send + Sync + 'static) {
        self.0.deleted.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Calls `hook` whenever all objects of the kind were listed, and when the kind is no longer served.
    pub fn on_settled(&self, hook: impl Fn() + Send + Sync + 'static) {
        self.0.settled.write().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    /// Whether this store shows what is there: every watch has listed, or the kind is known not to be served.
    pub fn is_settled(&self) -> bool {
        let presence = self.0.presence.lock().unwrap_or_else(PoisonError::into_inner);
        let presence = presence.as_ref().map(|p| p.borrow().clone());
        match presence {
            Some(Presence::Unknown) => false,
            Some(Presence::Absent) => true,
            Some(Presence::Present(_)) | None => *self.0.ready.borrow() >= self.scopes(),
        }
    }

    /// The object of that key.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.read(|objects| self.0.packing.open(objects.get(&Key::new(namespace, name))?))
    }

    /// All objects for which `wanted` holds, in no order. Unpacks every object at rest: for what is rare.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.select_by(|_| true, wanted)
    }

    /// Those of one namespace.
    pub fn select_in(&self, namespace: &str, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.select_by(|key| key.namespace == namespace, wanted)
    }

    /// Those of certain keys; no other object is looked at.
    pub fn select_by(&self, of: impl Fn(&Key) -> bool, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read(|objects| {
            let of = objects.iter().filter(|(key, _)| of(key));
            of.filter_map(|(_, entry)| self.0.packing.open(entry)).filter(|object| wanted(object)).collect()
        })
    }

    /// Those that are not at rest, and cost nothing to look at.
    pub fn select_active(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        let active = |entry: &Entry<K>| match entry {
            Entry::Active(object) => wanted(object).then(|| Arc::clone(object)),
            Entry::AtRest(_) => None,
        };
        self.read(|objects| objects.values().filter_map(active).collect())
    }

    /// Shows all objects, one after the other, so that no more than one at rest is unpacked at any time.
    pub fn visit(&self, look: impl FnMut(&Arc<K>)) {
        self.visit_by(|_| true, look);
    }

    /// Those of one namespace.
    pub fn visit_in(&self, namespace: &str, look: impl FnMut(&Arc<K>)) {
        self.visit_by(|key| key.namespace == namespace, look);
    }

    fn visit_by(&self, of: impl Fn(&Key) -> bool, mut look: impl FnMut(&Arc<K>)) {
        self.read(|objects| {
            let of = objects.iter().filter(|(key, _)| of(key));
            of.filter_map(|(_, entry)| self.0.packing.open(entry)).for_each(|object| look(&object));
        });
    }

    /// The keys that are wanted; no object is looked at.
    pub fn keys(&self, wanted: impl Fn(&Key) -> bool) -> Vec<Key> {
        self.read(|objects| objects.keys().filter(|key| wanted(key)).cloned().collect())
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<Key, Entry<K>>) -> T) -> T {
        look(&self.0.objects.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits until every watch of this store has listed once.
    pub async fn ready(&self) {
        let mut ready = self.0.ready.subscribe();
        // The sender lives in the store itself, so waiting can not fail while we hold it.
        let _ = ready.wait_for(|listed| *listed >= self.scopes()).await;
    }

    fn scopes(&self) -> usize {
        *self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, object: K) {
        let object = Arc::new(object);
        let entry = self.0.packing.hold(Arc::clone(&object));
        self.0.objects.write().unwrap_or_else(PoisonError::into_inner).insert(Key::of(object.as_ref()), entry);
        self.tell(&object);
    }

    fn drop_object(&self, key: &Key) {
        let gone = self.0.objects.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(gone) = gone.and_then(|entry| self.0.packing.open(&entry)) {
            self.tell(&gone);
        }
    }

    /// Swaps in a fresh list of one scope; hooks hear of all objects, also of those that are gone.
    fn replace(&self, namespace: Option<&str>, fresh: HashMap<Key, Entry<K>>) {
        let listed: Vec<Key> = fresh.keys().cloned().collect();
        let gone: Vec<Entry<K>> = {
            let mut objects = self.0.objects.write().unwrap_or_else(PoisonError::into_inner);
            let old = objects.extract_if(|key, _| namespace.is_none_or(|ns| ns == key.namespace));
            let gone = old.filter(|(key, _)| !fresh.contains_key(key)).map(|(_, entry)| entry).collect();
            objects.extend(fresh);
            gone
        };
        if self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return;
        }
        for key in listed {
            if let Some(object) = self.get(&key.namespace, &key.name) {
                self.tell(&object);
            }
        }
        for entry in &gone {
            if let Some(object) = self.0.packing.open(entry) {
                self.tell(&object);
            }
        }
    }

    fn deleted(&self, object: &K) {
        for hook in self.0.deleted.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook(object);
        }
    }

    fn settled(&self) {
        for hook in self.0.settled.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook();
        }
    }

    fn tell(&self, object: &K) {
        for hook in self.0.hooks.read().unwrap_or_else(PoisonError::into_inner).iter() {
            hook(object);
        }
    }
}

impl<K> Watched for Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    fn state(&self) -> StoreState {
        StoreState { kind: K::kind(&()).into_owned(), objects: self.read(HashMap::len), ready: self.is_settled() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use std::collections::BTreeSet;

    fn config_map(namespace: &str, name: &str, at_rest: bool) -> ConfigMap {
        let mut made = ConfigMap { immutable: Some(at_rest), ..ConfigMap::default() };
        (made.metadata.namespace, made.metadata.name) = (Some(namespace.into()), Some(name.into()));
        made
    }

    fn names(found: &[Arc<ConfigMap>]) -> BTreeSet<&str> {
        found.iter().filter_map(|m| m.metadata.name.as_deref()).collect()
    }

    #[test]
    fn objects_at_rest_are_found_as_all_others_and_hooks_hear_of_their_end() {
        let store = Store::packed(|_| true, |_| {}, |m: &ConfigMap| m.immutable == Some(true));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&heard);
        store.on_change(move |m: &ConfigMap| to.lock().unwrap().push(m.metadata.name.clone().unwrap()));
        for (namespace, name, at_rest) in [("a", "rests", true), ("a", "works", false), ("b", "also", true)] {
            store.put(config_map(namespace, name, at_rest));
        }
        assert_eq!(*store.get("a", "rests").unwrap(), config_map("a", "rests", true));
        assert_eq!(names(&store.select(|_| true)), BTreeSet::from(["also", "rests", "works"]));
        assert_eq!(names(&store.select_in("a", |_| true)), BTreeSet::from(["rests", "works"]));
        assert_eq!(names(&store.select_active(|_| true)), BTreeSet::from(["works"]));
        assert_eq!(store.keys(|key| key.namespace == "b"), [Key::new("b", "also")]);
        let mut seen = BTreeSet::new();
        store.visit(|m| assert!(seen.insert(m.metadata.name.clone())));
        assert_eq!(seen.len(), 3);

        // It works again, one is gone, and a list without the third comes.
        store.put(config_map("a", "rests", false));
        assert_eq!(names(&store.select_active(|_| true)), BTreeSet::from(["rests", "works"]));
        store.drop_object(&Key::new("a", "works"));
        heard.lock().unwrap().clear();
        let fresh = [config_map("a", "rests", true)].map(|m| (Key::of(&m), store.0.packing.hold(Arc::new(m))));
        store.replace(None, fresh.into_iter().collect());
        assert_eq!(*heard.lock().unwrap(), ["rests", "also"], "what is there first, then what is gone");
        assert_eq!(names(&store.select(|_| true)), BTreeSet::from(["rests"]));
        // Lists of one namespace leave the others alone.
        store.put(config_map("b", "also", true));
        store.replace(Some("a"), HashMap::new());
        assert_eq!(names(&store.select(|_| true)), BTreeSet::from(["also"]));
    }
}
