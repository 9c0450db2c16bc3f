//! Caches of watched objects. One store per kind and process, shared by all controllers.
//!
//! A store keeps only the objects it is told to keep and drops the fields nobody reads, so its size
//! follows what we work on and not what lies in the cluster. Controllers attach hooks that turn a
//! changed object into keys of their queues.

use crate::Key;
use crate::metrics::{Kind, Metrics};
use crate::served::Presence;
use futures::StreamExt;
use kube::core::DeserializeGuard;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

type Hook<K> = Box<dyn Fn(&K) + Send + Sync>;

/// Objects asked for at once of a kind that others own: their objects may be large, and are decoded before they are trimmed.
const FOREIGN_PAGE: u32 = 20;

struct Inner<K> {
    objects: RwLock<HashMap<Key, Arc<K>>>,
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
        Store(Arc::new(Inner {
            objects: RwLock::default(),
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
        self.read(|objects| objects.get(&Key::new(namespace, name)).cloned())
    }

    /// All objects for which `wanted` holds, in no order.
    pub fn select(&self, wanted: impl Fn(&K) -> bool) -> Vec<Arc<K>> {
        self.read(|objects| objects.values().filter(|o| wanted(o)).cloned().collect())
    }

    fn read<T>(&self, look: impl FnOnce(&HashMap<Key, Arc<K>>) -> T) -> T {
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

    /// Starts the watches of this store; they end with `stop`.
    pub fn watch_namespaced(&self, client: &Client, scope: &Scope, metrics: &Metrics, stop: &CancellationToken)
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    {
        let apis: Vec<Api<DeserializeGuard<K>>> = if scope.namespaces.is_empty() {
            vec![Api::all(client.clone())]
        } else {
            let one = |ns: &String| Api::namespaced(client.clone(), ns);
            scope.namespaces.iter().map(one).collect()
        };
        self.watch(apis, scope, metrics, stop);
    }

    /// Starts the watch of a cluster-scoped kind; it ends with `stop`.
    pub fn watch_cluster(&self, client: &Client, scope: &Scope, metrics: &Metrics, stop: &CancellationToken) {
        self.watch(vec![Api::all(client.clone())], scope, metrics, stop);
    }

    /// The objects of this kind are watched only while the kind is served; [`Store::is_settled`] tells what that means
    /// for what this store shows. To be called before the watch is started.
    pub fn while_served(&self, presence: watch::Receiver<Presence>) {
        *self.0.presence.lock().unwrap_or_else(PoisonError::into_inner) = Some(presence);
    }

    fn watch(&self, apis: Vec<Api<DeserializeGuard<K>>>, scope: &Scope, metrics: &Metrics, stop: &CancellationToken) {
        *self.0.scopes.lock().unwrap_or_else(PoisonError::into_inner) = apis.len();
        let alone = apis.len() == 1;
        let presence = self.0.presence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (i, api) in apis.into_iter().enumerate() {
            let namespace = if alone { None } else { scope.namespaces.get(i).cloned() };
            // Small pages: a page of foreign objects is decoded before it is dropped.
            let page = if presence.is_some() { FOREIGN_PAGE } else { 100 };
            let mut config = watcher::Config::default().page_size(page);
            if let Some(labels) = scope.labels {
                config = config.labels(labels);
            }
            let (store, metrics, stop, presence) = (self.clone(), metrics.clone(), stop.clone(), presence.clone());
            tokio::spawn(async move {
                let watching = async {
                    match presence {
                        None => store.follow(&api, &config, namespace.as_deref(), &metrics).await,
                        Some(presence) => {
                            store.follow_while_served(&api, &config, namespace.as_deref(), &metrics, presence).await;
                        }
                    }
                };
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = watching => {}
                }
            });
        }
    }

    async fn follow_while_served(
        &self,
        api: &Api<DeserializeGuard<K>>,
        config: &watcher::Config,
        namespace: Option<&str>,
        metrics: &Metrics,
        mut presence: watch::Receiver<Presence>,
    ) {
        loop {
            let now = presence.borrow_and_update().clone();
            match &now {
                Presence::Unknown => {}
                Presence::Absent => self.settled(),
                Presence::Present(_) => {
                    let other = async { presence.wait_for(|p| *p != now).await.is_ok() };
                    let go_on = tokio::select! {
                        () = self.follow(api, config, namespace, metrics) => true,
                        changed = other => changed,
                    };
                    self.replace(namespace, HashMap::new());
                    if go_on {
                        continue;
                    }
                    return;
                }
            }
            if presence.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow(
        &self,
        api: &Api<DeserializeGuard<K>>,
        config: &watcher::Config,
        namespace: Option<&str>,
        metrics: &Metrics,
    ) {
        let kind = Kind { kind: K::kind(&()).into_owned() };
        let mut events = std::pin::pin!(watcher(api.clone(), config.clone()).default_backoff());
        let mut listed: Option<HashMap<Key, Arc<K>>> = None;
        let mut complete = Listed { of: self, counted: false };
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Apply(object)) => {
                    if let Some(object) = self.accept(object, &kind, metrics) {
                        self.put(object);
                    }
                }
                Ok(watcher::Event::Delete(object)) => {
                    self.drop_object(&Key::of(&object));
                    if let Some(object) = self.accept(object, &kind, metrics) {
                        self.deleted(&object);
                    }
                }
                Ok(watcher::Event::Init) => listed = Some(HashMap::new()),
                Ok(watcher::Event::InitApply(object)) => {
                    if let Some(object) = self.accept(object, &kind, metrics)
                        && let Some(list) = &mut listed
                    {
                        list.insert(Key::of(&object), Arc::new(object));
                    }
                }
                Ok(watcher::Event::InitDone) => {
                    self.replace(namespace, listed.take().unwrap_or_default());
                    complete.count();
                    self.settled();
                }
                Err(error) => {
                    metrics.watch_restarts.get_or_create(&kind).inc();
                    tracing::debug!(kind = kind.kind, "watch: {}", crate::error::chain(&error));
                }
            }
        }
    }

    /// The object, trimmed, if it is one to keep; an object that can not be decoded is said once per
    /// change and passed over, the watch goes on.
    fn accept(&self, object: DeserializeGuard<K>, kind: &Kind, metrics: &Metrics) -> Option<K> {
        match object.0 {
            Ok(mut object) => (self.0.keep)(&object).then(|| {
                object.meta_mut().managed_fields = None;
                (self.0.trim)(&mut object);
                object
            }),
            Err(invalid) => {
                metrics.undecodable.get_or_create(kind).inc();
                let name = invalid.metadata.name.unwrap_or_default();
                tracing::error!(kind = kind.kind, object = name, "can not be decoded: {}", invalid.error);
                None
            }
        }
    }

    fn put(&self, object: K) {
        let object = Arc::new(object);
        self.0
            .objects
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Key::of(object.as_ref()), Arc::clone(&object));
        self.tell(&object);
    }

    fn drop_object(&self, key: &Key) {
        let gone = self.0.objects.write().unwrap_or_else(PoisonError::into_inner).remove(key);
        if let Some(gone) = gone {
            self.tell(&gone);
        }
    }

    /// Swaps in a fresh list of one scope; hooks hear of all objects, also of those that are gone.
    fn replace(&self, namespace: Option<&str>, fresh: HashMap<Key, Arc<K>>) {
        let mut touched: Vec<Arc<K>> = fresh.values().cloned().collect();
        {
            let mut objects = self.0.objects.write().unwrap_or_else(PoisonError::into_inner);
            objects.retain(|key, old| {
                if namespace.is_some_and(|ns| ns != key.namespace) {
                    return true;
                }
                if !fresh.contains_key(key) {
                    touched.push(Arc::clone(old));
                }
                false
            });
            objects.extend(fresh);
        }
        for object in &touched {
            self.tell(object);
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

/// A watch that has listed once counts as ready for as long as it runs.
struct Listed<'a, K> {
    of: &'a Store<K>,
    counted: bool,
}

impl<K> Listed<'_, K> {
    fn count(&mut self) {
        if !self.counted {
            self.counted = true;
            self.of.0.ready.send_modify(|n| *n += 1);
        }
    }
}

impl<K> Drop for Listed<'_, K> {
    fn drop(&mut self) {
        if self.counted {
            self.of.0.ready.send_modify(|n| *n = n.saturating_sub(1));
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
