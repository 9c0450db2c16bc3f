//! Finds the pods a backup works on, and wakes it when one that it waits for is there. Database pods
//! are not cached: they are asked for when a backup starts, and watched only while one waits.

use super::select::{self, Chosen};
use crate::awaited::{Awaited, Marks};
use crate::error::{Error, Stop};
use crate::reasons;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupStatusTarget, BackupTarget, PodSelectionStrategy};
use controller_kit::Key;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use kube::core::{Expression, Selector};
use kube::runtime::watcher;
use kube::{Api, ResourceExt};
use std::collections::BTreeSet;

/// What of a pod matters to who waits; pods without a text do not.
pub type Mark = fn(&Pod) -> Option<String>;

/// The pods of a target.
#[derive(Default)]
pub struct Matching {
    /// Those that its selector matches.
    pub first: Vec<Pod>,
    /// Those that its fallback matches, where it was asked.
    pub second: Option<Vec<Pod>>,
}

impl Matching {
    /// Those to choose from: the fallback's only where one of them is available.
    pub fn in_force(self) -> Vec<Pod> {
        match self.second {
            Some(second) if second.iter().any(select::is_available) => second,
            _ => self.first,
        }
    }
}

/// The database pods of all namespaces, as this controller reaches them.
#[derive(Clone)]
pub struct Targets {
    /// Calls.
    pub writer: Writer,
    /// Waits that end with a pod.
    pub awaited: Awaited,
}

impl Targets {
    /// The pods of one target, or what to wait for; where `before` names pods, these and no others.
    pub async fn choose(
        &self,
        backup: &Backup,
        target: &BackupTarget,
        before: &[String],
    ) -> Result<Result<Chosen, Stop>, Error> {
        if !before.is_empty() {
            let mut found = Vec::new();
            for name in before {
                found.extend(self.get(backup, name).await?);
            }
            return Ok(select::same_pods(target, before, &found));
        }
        let Some(selector) = selector_of(target) else {
            return Ok(Err(Stop::wait(
                reasons::TARGET_POD_NOT_FOUND,
                "target.podSelector is empty; set matchLabels in the BackupPolicy",
            )));
        };
        let first = select::target_pods(target, self.list(backup, &selector).await?);
        let (Err(_), Some(fallback)) = (&first, fallback_of(target)) else {
            return Ok(first);
        };
        Ok(select::target_pods(target, self.list(backup, &fallback).await?))
    }

    /// The pods that the selector of a target matches, and where none of them is available, those that its fallback
    /// does. Empty without a selector.
    pub async fn matching(&self, backup: &Backup, target: &BackupTarget) -> Result<Matching, Error> {
        let Some(selector) = selector_of(target) else { return Ok(Matching::default()) };
        let first = self.list(backup, &selector).await?;
        let second = match fallback_of(target) {
            Some(fallback) if !first.iter().any(select::is_available) => Some(self.list(backup, &fallback).await?),
            _ => None,
        };
        Ok(Matching { first, second })
    }

    /// An available pod of a target that was recorded.
    pub async fn any_available(&self, backup: &Backup, target: &BackupStatusTarget) -> Result<Option<Pod>, Error> {
        let target = BackupTarget {
            name: target.name.clone(),
            pod_selector: target.pod_selector.clone(),
            ..BackupTarget::default()
        };
        let mut found = self.matching(backup, &target).await?.in_force();
        found.sort_by_key(ResourceExt::name_any);
        Ok(found.into_iter().find(select::is_available))
    }

    async fn list(&self, backup: &Backup, selector: &Selector) -> Result<Vec<Pod>, Error> {
        let params = ListParams::default().labels_from(selector);
        Ok(self.writer.list(&self.pods(backup), &params).await?)
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

    /// Looks at the backup again when `mark` changes for a pod that the selector of its target of that number, or its
    /// fallback, matches.
    pub fn follow(&self, backup: &Backup, number: usize, target: &BackupTarget, seen: &Matching, mark: Mark) {
        let marks = |pods: &[Pod]| -> Marks { pods.iter().filter_map(|p| Some((p.name_any(), mark(p)?))).collect() };
        let watch = |topic: String, selector: &Selector, seen: Marks| {
            let config = watcher::Config::default().labels_from(selector);
            self.awaited.changes(Key::of(backup), &topic, self.pods(backup), config, seen, mark);
        };
        if let Some(selector) = selector_of(target) {
            watch(format!("target-{number}"), &selector, marks(&seen.first));
        }
        if let (Some(second), Some(fallback)) = (&seen.second, fallback_of(target)) {
            watch(format!("fallback-{number}"), &fallback, marks(second));
        }
    }

    fn pods(&self, backup: &Backup) -> Api<Pod> {
        self.writer.namespaced(&backup.namespace().unwrap_or_default())
    }
}

fn fallback_of(target: &BackupTarget) -> Option<Selector> {
    let fallback = target.pod_selector.as_ref()?.fallback_label_selector.clone()?;
    Some(without_workers(Selector::try_from(fallback).ok()?))
}

/// The selector of a target, if it has one that does not match every pod.
fn selector_of(target: &BackupTarget) -> Option<Selector> {
    let selector = target.pod_selector.as_ref()?.label_selector();
    let parsed = Selector::try_from(selector).ok()?;
    (!parsed.selects_all()).then(|| without_workers(parsed))
}

/// Pods of ours carry labels of the database they work for: none of them is ever taken for it.
fn without_workers(mut selector: Selector) -> Selector {
    let ours = BTreeSet::from([labels::MANAGED_BY_DP.to_owned()]);
    selector.extend([Expression::NotIn(labels::MANAGED_BY.to_owned(), ours)]);
    selector
}
