//! Continuous backups: an archive is written for as long as the schedule wants it and the database is there
//! (behaviour-backup §3.13).

pub mod apply;
pub mod build;
#[cfg(test)]
mod explore;
pub mod fold;
pub mod pick;
pub mod plan;

use super::plan::Observed;
use crate::context::Stores;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::labels;
use api_types::dp::{ActionType, Backup, BackupMethod, BackupType, SchedulePolicy};
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::ResourceExt;
use std::sync::Arc;

/// Whether a backup is one, as far as it says so itself.
pub fn is(backup: &Backup) -> bool {
    let labelled =
        backup.labels().get(labels::BACKUP_TYPE).map(String::as_str) == Some(BackupType::Continuous.as_str());
    let actions = backup.status.iter().flat_map(|s| &s.actions);
    labelled || actions.into_iter().any(|a| a.action_type == Some(ActionType::StatefulSet))
}

/// The entry of the schedule that wants it; one that does not say whether it is enabled is.
pub fn entry(seen: &Observed) -> Option<&SchedulePolicy> {
    let entries = seen.schedule.as_ref().map(|s| s.spec.schedules.as_slice()).unwrap_or_default();
    entries.iter().find(|e| e.backup_method == seen.backup.spec.backup_method && e.enabled != Some(false))
}

/// Whether its schedule wants it to be written.
pub fn is_wanted(seen: &Observed) -> bool {
    entry(seen).is_some()
}

/// Whether it may begin.
///
/// # Errors
/// Terminal where no schedule made it, Wait until its schedule is there and wants it.
pub fn check(seen: &Observed, method: &BackupMethod) -> Result<(), Stop> {
    let Some(schedule) = seen.backup.labels().get(labels::BACKUP_SCHEDULE) else {
        return Err(Stop::terminal(
            reasons::SCHEDULE_MISSING,
            format!(
                "method {} is continuous; only a BackupSchedule can make such a backup (label {})",
                method.name,
                labels::BACKUP_SCHEDULE
            ),
        ));
    };
    if seen.schedule.is_none() {
        return Err(Stop::wait(reasons::SCHEDULE_NOT_FOUND, format!("there is no BackupSchedule {schedule} here")));
    }
    if !is_wanted(seen) {
        return Err(Stop::wait(
            reasons::SCHEDULE_DISABLED,
            format!("BackupSchedule {schedule} has no enabled entry for method {}", method.name),
        ));
    }
    Ok(())
}

/// StatefulSets that write the archives of a backup.
pub fn sets_of(stores: &Stores, backup: &Backup) -> Vec<Arc<StatefulSet>> {
    let uid = backup.uid();
    stores
        .stateful_sets
        .select(|set| set.namespace() == backup.namespace() && uid.as_deref().is_some_and(|u| owned_by(set, u)))
}

/// Whether a StatefulSet belongs to the backup of that UID.
pub fn owned_by(set: &StatefulSet, uid: &str) -> bool {
    set.owner_references().iter().any(|o| o.uid == uid)
        || set.labels().get(OWNER_UID_LABEL).map(String::as_str) == Some(uid)
}
