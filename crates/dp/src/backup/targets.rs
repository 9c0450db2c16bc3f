//! Finds the pods a backup works on, and wakes it when one that it waits for is there. Database pods
//! are not cached: they are asked for when a backup starts, and watched only while one waits.

use super::select;
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::dp::{Backup, BackupStatusTarget, BackupTarget, PodSelectionStrategy};
use controller_kit::Key;
use controller_kit::queue::Queue;
use controller_kit::writes::Writer;
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::Selector;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, ResourceExt};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Longest a watch for target pods is kept open before the backup is looked at again.
const POD_WATCH: Duration = Duration::from_secs(540);

/// The database pods of all namespaces, as this controller reaches them.
#[derive(Clone)]
pub struct Targets {
    /// Calls.
    pub writer: Writer,
    /// The controller's queue, for waits that end with a pod.
    pub queue: Arc<Queue>,
    /// Backups for which a watch is open.
    pub waiting: Arc<Mutex<HashSet<Key>>>,
}

impl Targets {
    /// The pods of one target, or what to wait for.
    pub async fn choose(
        &self,
        backup: &Backup,
        target: &BackupTarget,
    ) -> Result<Result<BackupStatusTarget, Stop>, Error> {
        let Some(selector) = selector_of(target) else {
            return Ok(Err(Stop::wait(
                reasons::TARGET_POD_NOT_FOUND,
                "target.podSelector is empty; set matchLabels in the BackupPolicy",
            )));
        };
        let api: Api<Pod> = self.writer.namespaced(&backup.namespace().unwrap_or_default());
        let found = self.writer.list(&api, &ListParams::default().labels_from(&selector)).await?;
        let first = select::target_pods(target, found);
        let fallback = target.pod_selector.as_ref().and_then(|s| s.fallback_label_selector.clone());
        let (Err(_), Some(fallback)) = (&first, fallback.and_then(|s| Selector::try_from(s).ok())) else {
            return Ok(first);
        };
        let found = self.writer.list(&api, &ListParams::default().labels_from(&fallback)).await?;
        Ok(select::target_pods(target, found))
    }

    /// One pod that was chosen before.
    pub async fn get(&self, backup: &Backup, pod: &str) -> Result<Option<Pod>, Error> {
        let api: Api<Pod> = self.writer.namespaced(&backup.namespace().unwrap_or_default());
        Ok(self.writer.get(&api, pod).await?)
    }

    /// Looks at the backup again when a pod of the target can be backed up.
    pub fn wake_on_any(&self, backup: &Backup, target: &BackupTarget) {
        let Some(selector) = selector_of(target) else {
            return;
        };
        let all = target.strategy() == PodSelectionStrategy::All; // these need not be Ready
        self.wake(backup, watcher::Config::default().labels_from(&selector), move |pod| {
            all || select::is_available(pod)
        });
    }

    /// Looks at the backup again when the pod of that name is back.
    pub fn wake_on(&self, backup: &Backup, pod: &str) {
        self.wake(backup, watcher::Config::default().fields(&format!("metadata.name={pod}")), |_| true);
    }

    /// Opens one watch per backup; it ends with the first pod that `enough` holds for.
    fn wake(&self, backup: &Backup, config: watcher::Config, enough: impl Fn(&Pod) -> bool + Send + Sync + 'static) {
        let key = Key::of(backup);
        if !lock(&self.waiting).insert(key.clone()) {
            return;
        }
        let api: Api<Pod> = self.writer.namespaced(&key.namespace);
        let (queue, waiting) = (Arc::clone(&self.queue), Arc::clone(&self.waiting));
        tokio::spawn(async move {
            let mut pods = std::pin::pin!(watcher(api, config).default_backoff().applied_objects());
            let there = async {
                while let Some(event) = pods.next().await {
                    if event.is_ok_and(|pod| enough(&pod)) {
                        return;
                    }
                }
            };
            // Elapsed or not, the backup is looked at again.
            let _ = tokio::time::timeout(POD_WATCH, there).await;
            lock(&waiting).remove(&key);
            queue.add(key);
        });
    }
}

fn selector_of(target: &BackupTarget) -> Option<Selector> {
    let selector = target.pod_selector.as_ref()?.label_selector();
    let parsed = Selector::try_from(selector).ok()?;
    (!parsed.selects_all()).then_some(parsed)
}

fn lock(set: &Mutex<HashSet<Key>>) -> std::sync::MutexGuard<'_, HashSet<Key>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}
