//! What the fakes share: a local copy of watched objects, and steps that run once per object version.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::{BoxStream, FuturesUnordered, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

/// `namespace/name`, or `name` for a cluster object.
pub(crate) fn key_of<K: Resource>(object: &K) -> String {
    let name = object.meta().name.as_deref().unwrap_or_default();
    object.meta().namespace.as_deref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

/// An endless watch; errors are retried and not shown.
pub(crate) fn events<K>(api: Api<K>, config: watcher::Config) -> BoxStream<'static, Event<K>>
where
    K: Resource + Clone + DeserializeOwned + std::fmt::Debug + Send + 'static,
{
    watch(api, config).default_backoff().filter_map(async |item| item.ok()).boxed()
}

/// The watched objects by [`key_of`], never older than what was seen before.
pub(crate) struct Mirror<K> {
    objects: HashMap<String, K>,
    /// Keys of a list that is just arriving.
    listed: HashSet<String>,
}

impl<K> Default for Mirror<K> {
    fn default() -> Self {
        Self { objects: HashMap::new(), listed: HashSet::new() }
    }
}

impl<K: Resource> Mirror<K> {
    /// Takes an event in; gives the keys that changed or went.
    pub fn absorb(&mut self, event: Event<K>) -> Vec<String> {
        match event {
            Event::Init => {
                self.listed.clear();
                vec![]
            }
            Event::InitApply(object) => {
                self.listed.insert(key_of(&object));
                self.put(object)
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let gone: Vec<String> = self.objects.keys().filter(|key| !listed.contains(*key)).cloned().collect();
                for key in &gone {
                    self.objects.remove(key);
                }
                gone
            }
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => {
                let key = key_of(&object);
                self.objects.remove(&key);
                vec![key]
            }
        }
    }

    fn put(&mut self, object: K) -> Vec<String> {
        let key = key_of(&object);
        let newer = self
            .objects
            .get(&key)
            .is_none_or(|old| old.meta().uid != object.meta().uid || version_number(old) < version_number(&object));
        if newer {
            self.objects.insert(key.clone(), object);
            vec![key]
        } else {
            vec![]
        }
    }

    pub fn get(&self, key: &str) -> Option<&K> {
        self.objects.get(key)
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    /// Keys of the objects for which `wanted` holds.
    pub fn keys_where(&self, wanted: impl Fn(&K) -> bool) -> Vec<String> {
        self.objects.iter().filter(|(_, object)| wanted(object)).map(|(key, _)| key.clone()).collect()
    }
}

fn version_number<K: Resource>(object: &K) -> u64 {
    object.resource_version().and_then(|version| version.parse().ok()).unwrap_or_default()
}

type Finished<S> = (String, String, S, bool);

/// Steps under way: at most one per key, and none twice for the same version of its object.
///
/// A step that changed its object will be followed by a newer version; a step that changed nothing would run for ever.
pub(crate) struct Steps<S> {
    running: FuturesUnordered<BoxFuture<'static, Finished<S>>>,
    busy: HashSet<String>,
    done: HashMap<String, (String, S)>,
}

impl<S: Clone + PartialEq + Send + 'static> Steps<S> {
    pub fn new() -> Self {
        Self { running: FuturesUnordered::new(), busy: HashSet::new(), done: HashMap::new() }
    }

    /// Begins `step` for the object `key` of `version`, unless it would repeat itself or another one is under way.
    pub fn begin<F>(&mut self, key: &str, version: &str, step: S, act: F)
    where
        F: Future<Output = kube::Result<()>> + Send + 'static,
    {
        let repeated = self.done.get(key).is_some_and(|(v, s)| v == version && *s == step);
        if repeated || !self.busy.insert(key.to_owned()) {
            return;
        }
        let (key, version) = (key.to_owned(), version.to_owned());
        self.running.push(Box::pin(async move {
            let succeeded = match act.await {
                Ok(()) => true,
                Err(e) => {
                    wait_after(&e, &key).await;
                    false
                }
            };
            (key, version, step, succeeded)
        }));
    }

    /// `true` while a step for `key` is under way.
    pub fn is_busy(&self, key: &str) -> bool {
        self.busy.contains(key)
    }

    /// `true` when nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.running.is_empty()
    }

    /// Waits for one step to end and gives its key, which is due for another look. Ask only when not idle.
    pub async fn next(&mut self) -> Option<String> {
        let (key, version, step, succeeded) = self.running.next().await?;
        self.busy.remove(&key);
        if succeeded {
            self.done.insert(key.clone(), (version, step));
        }
        Some(key)
    }

    /// Forgets an object that is gone.
    pub fn forget(&mut self, key: &str) {
        self.done.remove(key);
    }
}

/// A conflict or a missing object is news that is still on its way; anything else is worth a line.
async fn wait_after(error: &kube::Error, key: &str) {
    let expected = matches!(error, kube::Error::Api(status) if status.code == 409 || status.code == 404);
    if !expected {
        eprintln!("test-kit: {key}: {error}");
    }
    tokio::time::sleep(Duration::from_millis(if expected { 10 } else { 200 })).await;
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Pod;

    use super::*;

    fn pod(name: &str, uid: &str, version: u64) -> Pod {
        let mut pod = Pod::default();
        pod.metadata.name = Some(name.to_owned());
        pod.metadata.uid = Some(uid.to_owned());
        pod.metadata.resource_version = Some(version.to_string());
        pod
    }

    #[test]
    fn never_goes_back_and_drops_what_a_new_list_lacks() {
        let mut mirror = Mirror::default();
        assert_eq!(mirror.absorb(Event::Apply(pod("a", "1", 9))), ["a"]);
        assert!(mirror.absorb(Event::Apply(pod("a", "1", 8))).is_empty(), "older");
        assert_eq!(mirror.absorb(Event::Apply(pod("a", "2", 3))), ["a"], "another object of that name");
        mirror.absorb(Event::Apply(pod("b", "3", 10)));
        mirror.absorb(Event::Init);
        mirror.absorb(Event::InitApply(pod("b", "3", 10)));
        assert_eq!(mirror.absorb(Event::InitDone), ["a"]);
        assert_eq!(mirror.keys(), ["b"]);
    }
}
