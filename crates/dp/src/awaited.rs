//! Wakes what waits for an object that is not cached: one watch for as long as somebody waits.

use controller_kit::Key;
use controller_kit::queue::Queue;
use controller_kit::writes::Object;
use futures::StreamExt;
use kube::Api;
use kube::runtime::{WatchStreamExt, watcher};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Longest such a watch is kept open before the object that waits is looked at again.
const LONGEST: Duration = Duration::from_secs(540);

/// Waits of one controller.
#[derive(Clone)]
pub struct Awaited {
    queue: Arc<Queue>,
    waiting: Arc<Mutex<HashSet<Key>>>,
}

impl Awaited {
    /// Waits that end with a look at a key of `queue`.
    pub fn new(queue: Arc<Queue>) -> Self {
        Awaited { queue, waiting: Arc::default() }
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

    fn waiting(&self) -> MutexGuard<'_, HashSet<Key>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
