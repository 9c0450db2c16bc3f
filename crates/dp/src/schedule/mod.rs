//! Backup schedules: observe → plan → apply → status. The operator is the clock; no CronJob is made.

pub mod apply;
pub mod build;
pub mod cron;
pub mod cron_job;
pub mod due;
pub mod entries;
pub mod observe;
pub mod plan;
pub mod reconfigure;
pub mod status;

use crate::cluster::Cluster;
use crate::context::{Context, Stores};
use crate::error::Error;
use api_types::contract::labels;
use api_types::contract::reasons::schedule::{NOT_RECONFIGURED, WAIT_FOR_RESTORE};
use api_types::dp::{Backup, BackupSchedule};
use controller_kit::Key;
use controller_kit::clock;
use controller_kit::drive::Again;
use kube::ResourceExt;
use std::sync::Arc;

/// One look at one schedule.
pub async fn reconcile(key: Key, context: Arc<Context>, hands: apply::Hands) -> Result<Again, Error> {
    let Some(schedule) = context.stores.schedules.get(&key.namespace, &key.name) else {
        return Ok(Again::OnEvent);
    };
    let leaving = schedule.metadata.deletion_timestamp.is_some();
    let mut seen = observe::observe(schedule, &context.stores);
    if leaving {
        let farewell = plan::farewell(&seen, &context.schedules);
        return hands.farewell(&seen, farewell).await;
    }
    if let Some(name) = reconfigure::request_name(&seen.schedule, &plan::switches(&seen)) {
        seen.request = hands.request(&seen.schedule, &name).await?;
    }
    let plan = plan::plan(&seen, &context.schedules, clock::now());
    Box::pin(hands.apply(&seen, plan)).await
}

/// Whether a Backup was made for a schedule of that name.
pub fn is_made_for(backup: &Backup, schedule: &BackupSchedule) -> bool {
    backup.namespace() == schedule.namespace()
        && backup.labels().get(labels::BACKUP_SCHEDULE) == Some(&schedule.name_any())
}

/// The schedule a Backup was made for.
pub fn key_of(backup: &Backup) -> Option<Key> {
    let name = backup.labels().get(labels::BACKUP_SCHEDULE)?;
    Some(Key::new(backup.namespace().unwrap_or_default(), name))
}

/// Schedules of a namespace that a restore holds back.
pub fn held_by_restore(stores: &Stores, namespace: &str) -> Vec<Arc<BackupSchedule>> {
    waiting(stores, namespace, WAIT_FOR_RESTORE)
}

/// Schedules of a Cluster that is to be reconfigured for one of their entries.
pub fn held_by_cluster(stores: &Stores, cluster: &Cluster) -> Vec<Arc<BackupSchedule>> {
    let mut all = waiting(stores, &cluster.namespace().unwrap_or_default(), NOT_RECONFIGURED);
    all.retain(|s| s.labels().get(labels::INSTANCE) == Some(&cluster.name_any()));
    all
}

fn waiting(stores: &Stores, namespace: &str, reason: &str) -> Vec<Arc<BackupSchedule>> {
    stores.schedules.select(|s| {
        let entries = s.status.iter().flat_map(|s| s.schedules.values());
        s.namespace().as_deref() == Some(namespace) && entries.into_iter().any(|e| e.reason.as_deref() == Some(reason))
    })
}
