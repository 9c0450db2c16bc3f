//! Finds the pods a backup works on, and wakes it when one that it waits for is there. Database pods
//! are not cached: they are asked for when a backup starts, and watched only while one waits.

use super::select::{self, Chosen};
use crate::awaited::Awaited;
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::dp::{Backup, BackupTarget, PodSelectionStrategy};
use controller_kit::Key;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::Selector;
use kube::runtime::watcher;
use kube::{Api, ResourceExt};

/// The database pods of all namespaces, as this controller reaches them.
#[derive(Clone)]
pub struct Targets {
    /// Calls.
    pub writer: Writer,
    /// Waits that end with a pod.
    pub awaited: Awaited,
}

impl Targets {
    /// The pods of one target, or what to wait for.
    pub async fn choose(&self, backup: &Backup, target: &BackupTarget) -> Result<Result<Chosen, Stop>, Error> {
        let Some(selector) = selector_of(target) else {
            return Ok(Err(Stop::wait(
                reasons::TARGET_POD_NOT_FOUND,
                "target.podSelector is empty; set matchLabels in the BackupPolicy",
            )));
        };
        let api = self.pods(backup);
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
        Ok(self.writer.get(&self.pods(backup), pod).await?)
    }

    /// Looks at the backup again when a pod of the target can be backed up.
    pub fn wake_on_any(&self, backup: &Backup, target: &BackupTarget) {
        let Some(selector) = selector_of(target) else {
            return;
        };
        let all = target.strategy() == PodSelectionStrategy::All; // these need not be Ready
        let config = watcher::Config::default().labels_from(&selector);
        self.awaited.any(Key::of(backup), self.pods(backup), config, move |pod| all || select::is_available(pod));
    }

    /// Looks at the backup again when the pod of that name is back.
    pub fn wake_on(&self, backup: &Backup, pod: &str) {
        self.awaited.object(Key::of(backup), self.pods(backup), pod, |_| true);
    }

    fn pods(&self, backup: &Backup) -> Api<Pod> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }
}

fn selector_of(target: &BackupTarget) -> Option<Selector> {
    let selector = target.pod_selector.as_ref()?.label_selector();
    let parsed = Selector::try_from(selector).ok()?;
    (!parsed.selects_all()).then_some(parsed)
}
