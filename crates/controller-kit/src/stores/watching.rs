//! How a store follows what the API server tells of its kind.

use super::packed::Entry;
use super::{Scope, Store};
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
use std::sync::{Arc, PoisonError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Objects asked for at once of a kind that others own: their objects may be large, and are decoded before they are trimmed.
const FOREIGN_PAGE: u32 = 20;

impl<K> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
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
        let mut listed: Option<HashMap<Key, Entry<K>>> = None;
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
                        list.insert(Key::of(&object), self.0.packing.hold(Arc::new(object)));
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
