//! Wakes what waits for an object that is not cached: one watch for as long as somebody waits.

use controller_kit::Key;
use controller_kit::queue::Queue;
use controller_kit::writes::Object;
use futures::StreamExt;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Longest such a watch is kept open before the object that waits is looked at again.
const LONGEST: Duration = Duration::from_secs(540);

/// Waits of one controller.
#[derive(Clone)]
pub struct Awaited {
    queue: Arc<Queue>,
    waiting: Arc<Mutex<HashSet<Key>>>,
    /// Watches for changes, by what they look at.
    followed: Arc<Mutex<HashMap<(Key, String), AbortHandle>>>,
}

/// What of each object matters, by name.
pub type Marks = BTreeMap<String, String>;

impl Awaited {
    /// Waits that end with a look at a key of `queue`.
    pub fn new(queue: Arc<Queue>) -> Self {
        Awaited { queue, waiting: Arc::default(), followed: Arc::default() }
    }

    /// Looks at `key` again when the object of that name is there and `enough` holds for it.
    pub fn object<K: Object>(
        &self,
        key: Key,
        api: Api<K>,
        name: &str,
        enough: impl Fn(&K) -> bool + Send + Sync + 'static,
    ) {
        self.any(key, api, watcher::Config::default().fields(&format!("metadata.name={name}")), enough);
    }

    /// Looks at `key` again when an object for which `enough` holds is there. One watch per key; it ends with the
    /// first such object.
    pub fn any<K: Object>(
        &self,
        key: Key,
        api: Api<K>,
        config: watcher::Config,
        enough: impl Fn(&K) -> bool + Send + Sync + 'static,
    ) {
        if !self.waiting().insert(key.clone()) {
            return;
        }
        let of = self.clone();
        tokio::spawn(async move {
            let mut objects = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
            let there = async {
                while let Some(event) = objects.next().await {
                    if event.is_ok_and(|object| enough(&object)) {
                        return;
                    }
                }
            };
            // Elapsed or not, it is looked at again.
            let _ = tokio::time::timeout(LONGEST, there).await;
            of.waiting().remove(&key);
            of.queue.add(key);
        });
    }

    /// Looks at `key` again when the objects of a watch are no longer those of `seen`: another one is there, one is
    /// gone, or `mark` gives another text for one; objects without a text do not matter. One watch per key and
    /// `topic`, for as long as nothing changes.
    pub fn changes<K: Object>(
        &self,
        key: Key,
        topic: &str,
        api: Api<K>,
        config: watcher::Config,
        seen: Marks,
        mark: impl Fn(&K) -> Option<String> + Send + Sync + 'static,
    ) {
        let mut followed = self.followed();
        let id = (key.clone(), topic.to_owned());
        if followed.get(&id).is_some_and(|task| !task.is_finished()) {
            return; // it was made before this look, so it knows of every change since
        }
        let queue = Arc::clone(&self.queue);
        let task = tokio::spawn(async move {
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            let mut now: Marks = BTreeMap::new();
            let mut listed = false;
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Init) => (now, listed) = (BTreeMap::new(), false),
                    Ok(watcher::Event::InitApply(object) | watcher::Event::Apply(object)) => {
                        match mark(&object) {
                            Some(text) => now.insert(object.name_any(), text),
                            None => now.remove(&object.name_any()),
                        };
                    }
                    Ok(watcher::Event::Delete(object)) => {
                        now.remove(&object.name_any());
                    }
                    Ok(watcher::Event::InitDone) => listed = true,
                    Err(_) => continue, // its kind may not be installed
                }
                if listed && now != seen {
                    break;
                }
            }
            queue.add(key);
        });
        followed.retain(|_, task| !task.is_finished());
        followed.insert(id, task.abort_handle());
    }

    /// Ends the watches for changes of `key`.
    pub fn forget(&self, key: &Key) {
        self.followed().retain(|(of, _), task| {
            let other = of != key;
            if !other {
                task.abort();
            }
            other
        });
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<(Key, String), AbortHandle>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
