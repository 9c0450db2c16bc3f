//! The ordered steps of a restore (behaviour-restore §7.3). Pure.
//!
//! | the Backup is | steps |
//! |---|---|
//! | Full, Selective | itself |
//! | Incremental | itself, told of its base and of the increments between: one Job walks the chain |
//! | Differential | the full one, then itself |
//! | Continuous | a base that ends in the log's window and not after the restore time, then the log |
//!
//! Each step is one Job with the repository of its own Backup. What can be chosen, the base, is chosen once: the names
//! of the steps are stored before the first Job is made, and from then on [`resolve`] is given the base.

pub mod base;
pub mod confirm;
pub mod increments;
pub mod time;

use super::env::Set;
use crate::backup::continuous;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{ActionSet, Backup, BackupMethod, BackupPhase, BackupType};
use controller_kit::Key;
use kube::ResourceExt;
use serde_json::Value;
use std::sync::Arc;

/// Where a chain is looked for: the caches as seen from one namespace.
pub trait Shelf {
    /// The Backup of that name.
    fn backup(&self, name: &str) -> Option<Arc<Backup>>;
    /// All Backups that are wanted, in no order.
    fn backups(&self, wanted: &dyn Fn(&Backup) -> bool) -> Vec<Arc<Backup>>;
    /// The ActionSet of that name.
    fn action_set(&self, name: &str) -> Option<Arc<ActionSet>>;
}

/// One backup with its actions: one Job.
#[derive(Clone, Debug)]
pub struct Step {
    /// The backup that is read.
    pub backup: Arc<Backup>,
    /// Its actions.
    pub action_set: Arc<ActionSet>,
    /// The backup it builds on, as its action is told.
    pub base: Option<Arc<Backup>>,
    /// Increments between base and this one, oldest first.
    pub ancestors: Vec<Arc<Backup>>,
}

impl Step {
    /// As Jobs are built from it.
    pub fn set<'a>(&'a self, source_pod: Option<&'a str>) -> Set<'a> {
        Set {
            backup: &self.backup,
            action_set: &self.action_set,
            base: self.base.as_deref(),
            ancestors: self.ancestors.iter().map(AsRef::as_ref).collect(),
            source_pod,
        }
    }

    /// Whether it fills volumes.
    pub fn fills(&self) -> bool {
        self.action_set.spec.restore.as_ref().is_some_and(|r| r.prepare_data.is_some())
    }

    /// Whether it runs something in the database that has started.
    pub fn runs_after_start(&self) -> bool {
        self.action_set.spec.restore.as_ref().is_some_and(|r| !r.post_ready.is_empty())
    }
}

/// The steps of one restore.
#[derive(Clone, Debug)]
pub struct Chain {
    /// What is restored before the Backup that was named.
    pub before: Option<Step>,
    /// The Backup that was named.
    pub named: Step,
}

impl Chain {
    /// All of them, in order.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.before.iter().chain([&self.named])
    }

    /// Those that fill volumes, in order.
    pub fn filling(&self) -> impl Iterator<Item = &Step> {
        self.steps().filter(|s| s.fills())
    }

    /// The Backup whose targets and volumes are restored: a log holds only what came after.
    pub fn holder(&self) -> &Arc<Backup> {
        &self.before.as_ref().unwrap_or(&self.named).backup
    }

    /// Whether a base was chosen that its own actions do not restore.
    pub fn skips_base(&self) -> bool {
        skips_base(&self.named.action_set) && self.named.base.is_some()
    }
}

/// Why there are no steps.
#[derive(Debug)]
pub enum Unresolved {
    /// One blocker.
    Stop(Stop),
    /// A Backup of the chain is not in the cache, which may lag: the server has the last word.
    Missing {
        /// Namespace and name of the Backup.
        key: Box<Key>,
        /// What is said of it when it does not exist.
        gone: Stop,
    },
}

impl From<Stop> for Unresolved {
    fn from(stop: Stop) -> Self {
        Unresolved::Stop(stop)
    }
}

/// The steps that restore `backup`, to `restore_time` where it is a log. `base` is the one that was chosen before.
///
/// # Errors
/// One blocker: Wait for what may come, Terminal for what the chain, the window or the time rules out.
pub fn resolve(
    backup: &Arc<Backup>,
    restore_time: Option<&str>,
    base: Option<&str>,
    shelf: &dyn Shelf,
) -> Result<Chain, Unresolved> {
    let at = restore_time.filter(|t| !t.is_empty()).map(time::parse).transpose()?;
    // Before it has begun a backup has recorded no method.
    let recorded = backup.status.as_ref().and_then(|s| s.backup_method.as_ref());
    let name = recorded.and_then(BackupMethod::action_set_name).unwrap_or_default();
    let action_set = shelf.action_set(name);
    let kind = action_set.as_ref().map(|a| a.spec.backup_type.clone());
    if kind != Some(BackupType::Continuous) && !continuous::is(backup) {
        usable(backup)?;
    }
    if recorded.is_none() && backup.phase() == BackupPhase::New {
        let text = format!("Backup {} has not begun", backup.name_any());
        return Err(Stop::wait(reasons::BACKUP_NOT_COMPLETED, text).into());
    }
    let method = method_of(backup)?;
    if method.snapshot_volumes() {
        return Err(snapshot(&format!("Backup {}", backup.name_any())).into());
    }
    let action_set = action_set.ok_or_else(|| no_action_set(name, backup))?;
    let step =
        |base, ancestors| Step { backup: Arc::clone(backup), action_set: Arc::clone(&action_set), base, ancestors };
    match action_set.spec.backup_type {
        BackupType::Continuous => {
            let window = time::window(backup)?;
            let at = window.check(backup, at)?;
            let log = base::Log { backup, action_set: &action_set, window, at };
            let before = base::choose(&log, base, shelf)?;
            let of = before.as_ref().map(|s| Arc::clone(&s.backup));
            let before = before.filter(|_| !skips_base(&action_set));
            Ok(Chain { before, named: step(of, vec![]) })
        }
        BackupType::Incremental => {
            let walked = increments::walk(backup, shelf)?;
            Ok(Chain { before: None, named: step(Some(walked.base), walked.ancestors) })
        }
        BackupType::Differential => {
            let full = increments::full_of(backup, shelf)?;
            Ok(Chain { before: Some(full), named: step(None, vec![]) })
        }
        _ => Ok(Chain { before: None, named: step(None, vec![]) }),
    }
}

/// Whether a backup that ends can be read.
///
/// # Errors
/// Wait while it is being made; Terminal when it failed or is being deleted.
pub fn usable(backup: &Backup) -> Result<(), Stop> {
    let name = backup.name_any();
    not_deleting(backup)?;
    match backup.phase() {
        BackupPhase::Completed => Ok(()),
        BackupPhase::Failed => {
            let why = backup.status.as_ref().and_then(|s| s.failure_reason.clone()).unwrap_or_default();
            Err(Stop::terminal(reasons::BACKUP_FAILED, format!("Backup {name} failed: {why}")))
        }
        other => Err(Stop::wait(reasons::BACKUP_NOT_COMPLETED, format!("Backup {name} is {other}, not Completed"))),
    }
}

fn not_deleting(backup: &Backup) -> Result<(), Stop> {
    if backup.metadata.deletion_timestamp.is_some() || backup.phase() == BackupPhase::Deleting {
        let text = format!("Backup {} is being deleted", backup.name_any());
        return Err(Stop::terminal(reasons::BACKUP_DELETING, text));
    }
    Ok(())
}

fn method_of(backup: &Backup) -> Result<&BackupMethod, Stop> {
    backup.status.as_ref().and_then(|s| s.backup_method.as_ref()).ok_or_else(|| {
        Stop::terminal(
            reasons::BACKUP_FAILED,
            format!("Backup {} recorded no method (status.backupMethod)", backup.name_any()),
        )
    })
}

fn no_action_set(name: &str, backup: &Backup) -> Stop {
    Stop::wait(
        reasons::ACTION_SET_NOT_FOUND,
        format!("there is no ActionSet {name}, which Backup {} was made with", backup.name_any()),
    )
}

fn snapshot(what: &str) -> Stop {
    Stop::terminal(reasons::NOT_SERVED_YET, format!("{what}: restoring volume snapshots is not served yet"))
}

fn skips_base(actions: &ActionSet) -> bool {
    let said = actions.annotations().get(annotations::SKIP_BASE_BACKUP_RESTORE_IN_PITR);
    said.map(String::as_str) == Some(labels::TRUE)
}

/// The type of a backup: its label, else what its ActionSet makes; a snapshot without one is full.
fn kind_of(backup: &Backup, shelf: &dyn Shelf) -> Option<BackupType> {
    let told = backup.labels().get(labels::BACKUP_TYPE).filter(|t| !t.is_empty());
    if let Some(told) = told {
        return serde_json::from_value(Value::from(told.as_str())).ok();
    }
    let method = backup.status.as_ref()?.backup_method.as_ref()?;
    match method.action_set_name() {
        Some(name) => shelf.action_set(name).map(|a| a.spec.backup_type.clone()),
        None => method.snapshot_volumes().then_some(BackupType::Full),
    }
}

#[cfg(test)]
mod tests;
