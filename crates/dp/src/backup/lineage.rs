//! Which backup an incremental or differential one builds on (behaviour-backup §7). Pure.

use crate::error::Stop;
use crate::reasons;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupMethod, BackupPhase, BackupStatusTarget, BackupType, EncryptionConfig};
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// The chain a backup continues.
#[derive(Clone, Debug, PartialEq)]
pub struct Lineage {
    /// Backup it builds on.
    pub parent: String,
    /// First backup of the chain.
    pub base: String,
    /// The chain is read with one key.
    pub encryption: Option<EncryptionConfig>,
    /// Targets of the parent, with its pods.
    pub targets: Vec<BackupStatusTarget>,
}

/// What a parent must fit.
pub struct Wanted<'a> {
    /// The backup that is to start.
    pub backup: &'a Backup,
    /// Its method.
    pub method: &'a BackupMethod,
    /// Incremental or differential.
    pub backup_type: &'a BackupType,
    /// The repository it goes to.
    pub repo: &'a str,
    /// How many targets it will have.
    pub targets: usize,
}

/// Chooses among the backups of one namespace; order does not matter.
///
/// # Errors
/// Wait for a named parent that is not there or not completed, Terminal where none can ever be one.
pub fn choose(wanted: &Wanted<'_>, all: &[Arc<Backup>]) -> Result<Lineage, Stop> {
    let backup = wanted.backup;
    if let Some(name) = backup.spec.parent_backup_name.as_deref().filter(|n| !n.is_empty()) {
        if backup.labels().contains_key(labels::BACKUP_SCHEDULE) {
            return Err(Stop::terminal(
                reasons::INVALID_PARENT,
                "spec.parentBackupName: a scheduled backup finds its parent by itself; leave the field out",
            ));
        }
        return named(wanted, name, all);
    }
    let fits = |b: &&Arc<Backup>| unfit(wanted, b).is_none();
    let newest = |type_: &BackupType, method: Option<&str>| {
        let of = |b: &&Arc<Backup>| is_of(b, type_) && Some(method_of(b)) == method;
        all.iter().filter(fits).filter(of).max_by_key(|b| (stop_time(b), b.name_any()))
    };
    let full = newest(&BackupType::Full, wanted.method.compatible_method.as_deref());
    if *wanted.backup_type == BackupType::Differential {
        let full = full.ok_or_else(|| none(wanted, all))?;
        return lineage(full, all);
    }
    let increment = newest(&BackupType::Incremental, Some(&wanted.method.name));
    match (increment, full) {
        (Some(increment), Some(full)) => {
            let base = increment.status.as_ref().and_then(|s| s.base_backup_name.clone());
            let continues = base.as_deref() == Some(&full.name_any()) && stop_time(increment) >= stop_time(full);
            lineage(if continues { increment } else { full }, all)
        }
        (None, Some(full)) => lineage(full, all),
        (Some(increment), None) => Err(Stop::terminal(
            reasons::PARENT_NOT_FOUND,
            format!(
                "there are incremental backups such as {}, but no completed Full backup of method {} they could build \
                 on; take a full one first",
                increment.name_any(),
                wanted.method.compatible_method.as_deref().unwrap_or("(compatibleMethod is not set)")
            ),
        )),
        (None, None) => Err(none(wanted, all)),
    }
}

fn named(wanted: &Wanted<'_>, name: &str, all: &[Arc<Backup>]) -> Result<Lineage, Stop> {
    let Some(parent) = all.iter().find(|b| b.name_any() == name) else {
        return Err(Stop::wait(
            reasons::PARENT_NOT_FOUND,
            format!("spec.parentBackupName: there is no Backup {name} here"),
        ));
    };
    let type_ = parent.labels().get(labels::BACKUP_TYPE);
    match (parent.phase(), unfit(wanted, parent)) {
        (BackupPhase::New | BackupPhase::InProgress | BackupPhase::Running, _) => Err(Stop::wait(
            reasons::PARENT_NOT_COMPLETED,
            format!("spec.parentBackupName: Backup {name} is not Completed yet"),
        )),
        (_, Some(why)) => {
            Err(Stop::terminal(reasons::INVALID_PARENT, format!("spec.parentBackupName: Backup {name} {why}")))
        }
        (_, None) if *wanted.backup_type == BackupType::Differential && !is_of(parent, &BackupType::Full) => {
            Err(Stop::terminal(
                reasons::INVALID_PARENT,
                format!(
                    "spec.parentBackupName: Backup {name} is {}; a differential backup builds on a full one",
                    type_.map_or("of no type", String::as_str)
                ),
            ))
        }
        (_, None) => lineage(parent, all),
    }
}

/// Why `candidate` can not be a parent, as the rest of a sentence; `None` if it can.
fn unfit(wanted: &Wanted<'_>, candidate: &Backup) -> Option<String> {
    let status = candidate.status.as_ref();
    let policy = &wanted.backup.spec.backup_policy_name;
    let compatible = wanted.method.compatible_method.as_deref();
    let method = method_of(candidate);
    if candidate.name_any() == wanted.backup.name_any() {
        return Some("is the backup itself".into());
    }
    if candidate.metadata.deletion_timestamp.is_some() || candidate.phase() == BackupPhase::Deleting {
        return Some("is being deleted".into());
    }
    if candidate.phase() != BackupPhase::Completed {
        return Some(format!("is {}", candidate.phase()));
    }
    if candidate.spec.backup_policy_name != *policy {
        return Some(format!("is of BackupPolicy {}, not {policy}", candidate.spec.backup_policy_name));
    }
    if method != wanted.method.name && Some(method) != compatible {
        return Some(format!(
            "is of method {method}; method {} builds on itself and on {}",
            wanted.method.name,
            compatible.unwrap_or("no other: compatibleMethod is not set")
        ));
    }
    if stop_time(candidate).is_none() {
        return Some("says no time at which it ended".into());
    }
    let repo = status.and_then(|s| s.backup_repo_name.as_deref()).unwrap_or_default();
    if repo != wanted.repo {
        return Some(format!("lies in BackupRepo {repo}, not in {}", wanted.repo));
    }
    let targets = status.map_or(0, |s| s.targets().len());
    if targets != wanted.targets {
        return Some(format!("has {targets} targets, the BackupPolicy has {} now", wanted.targets));
    }
    None
}

fn none(wanted: &Wanted<'_>, all: &[Arc<Backup>]) -> Stop {
    let full = wanted.method.compatible_method.as_deref();
    let nearest = all
        .iter()
        .filter(|b| b.phase() == BackupPhase::Completed && Some(method_of(b)) == full)
        .max_by_key(|b| (stop_time(b), b.name_any()));
    let hint = nearest.and_then(|b| Some(format!("; Backup {} {}", b.name_any(), unfit(wanted, b)?)));
    Stop::terminal(
        reasons::PARENT_NOT_FOUND,
        format!(
            "method {} has no parent: no completed Full backup of method {} in BackupPolicy {} and BackupRepo {}{}; take a \
             full one first",
            wanted.method.name,
            full.unwrap_or("(compatibleMethod is not set)"),
            wanted.backup.spec.backup_policy_name,
            wanted.repo,
            hint.unwrap_or_default()
        ),
    )
}

fn lineage(parent: &Backup, all: &[Arc<Backup>]) -> Result<Lineage, Stop> {
    let status = parent.status.as_ref();
    let name = parent.name_any();
    let base = if is_of(parent, &BackupType::Full) {
        name.clone()
    } else {
        status.and_then(|s| s.base_backup_name.clone()).unwrap_or_default()
    };
    let there = |b: &Arc<Backup>| b.name_any() == base && b.metadata.deletion_timestamp.is_none();
    if !all.iter().any(there) {
        return Err(Stop::terminal(
            reasons::INVALID_PARENT,
            format!("Backup {name} builds on Backup {base:?}, which is gone; take a full one first"),
        ));
    }
    Ok(Lineage {
        parent: name,
        base,
        encryption: status.and_then(|s| s.encryption_config.clone()),
        targets: status.map(|s| s.targets().to_vec()).unwrap_or_default(),
    })
}

/// Why a backup that runs can not go on, if a backup it builds on went away meanwhile.
pub fn broken(backup: &Backup, all: &[Arc<Backup>]) -> Option<Stop> {
    let status = backup.status.as_ref()?;
    let needed = [status.parent_backup_name.as_ref(), status.base_backup_name.as_ref()];
    let gone = |name: &&String| !all.iter().any(|b| b.name_any() == **name && b.metadata.deletion_timestamp.is_none());
    let name = needed.into_iter().flatten().find(gone)?;
    Some(Stop::terminal(
        reasons::INVALID_PARENT,
        format!("Backup {name}, which this one builds on, was deleted while it ran; take a full one first"),
    ))
}

fn is_of(backup: &Backup, type_: &BackupType) -> bool {
    backup.labels().get(labels::BACKUP_TYPE).map(String::as_str) == Some(type_.as_str())
}

fn method_of(backup: &Backup) -> &str {
    let recorded = backup.status.as_ref().and_then(|s| s.backup_method.as_ref()).map(|m| m.name.as_str());
    recorded.unwrap_or(&backup.spec.backup_method)
}

/// Last moment of a backup's data.
fn stop_time(backup: &Backup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    let told = status.time_range.as_ref().and_then(|r| r.end.as_ref());
    told.or(status.completion_timestamp.as_ref()).map(|t| t.0)
}

#[cfg(test)]
mod tests;
