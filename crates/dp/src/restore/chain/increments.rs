//! Backups that build on others: the links between them, and what breaks one. Pure.

use super::{Shelf, Step, Unresolved, kind_of, method_of, no_action_set, snapshot, usable};
use crate::backup::paths;
use crate::error::Stop;
use crate::reasons;
use crate::restore::env::stop_time;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupType};
use controller_kit::Key;
use controller_kit::error::Class;
use kube::ResourceExt;
use std::collections::BTreeSet;
use std::sync::Arc;

/// What an incremental backup builds on.
#[derive(Debug)]
pub struct Walked {
    /// The full backup.
    pub base: Arc<Backup>,
    /// Increments between, oldest first.
    pub ancestors: Vec<Arc<Backup>>,
}

/// Walks from an incremental backup to its full one.
///
/// # Errors
/// Terminal where a link is broken; a parent that the cache lacks.
pub fn walk(backup: &Arc<Backup>, shelf: &dyn Shelf) -> Result<Walked, Unresolved> {
    let mut met = BTreeSet::from([backup.name_any()]);
    let mut ancestors = Vec::new();
    let mut child = Arc::clone(backup);
    loop {
        let name = parent_of(&child)?;
        if !met.insert(name.clone()) {
            return Err(broken(backup, &format!("its parents form a circle at Backup {name}")).into());
        }
        let parent = on_shelf(&child, &name, shelf)?;
        let kind = kind_of(&parent, shelf);
        check(&child, &parent, kind.as_ref())?;
        check_place(&child, &parent)?;
        match kind {
            Some(BackupType::Full) => {
                ancestors.reverse();
                return Ok(Walked { base: parent, ancestors });
            }
            Some(BackupType::Incremental) => {
                ancestors.push(Arc::clone(&parent));
                child = parent;
            }
            other => {
                let is = other.map_or_else(|| "of no type".to_owned(), |t| t.to_string());
                let why = format!("its parent {name} is {is}; an increment builds on increments and a full one");
                return Err(broken(&child, &why).into());
            }
        }
    }
}

/// The full backup that a differential one builds on, as the step before it.
///
/// # Errors
/// As [`walk`]; Wait for its ActionSet.
pub fn full_of(backup: &Arc<Backup>, shelf: &dyn Shelf) -> Result<Step, Unresolved> {
    let name = parent_of(backup)?;
    let parent = on_shelf(backup, &name, shelf)?;
    let kind = kind_of(&parent, shelf);
    check(backup, &parent, kind.as_ref())?;
    if kind != Some(BackupType::Full) {
        let is = kind.map_or_else(|| "of no type".to_owned(), |t| t.to_string());
        return Err(broken(backup, &format!("its parent {name} is {is}; it must be a full one")).into());
    }
    let actions = method_of(&parent)?.action_set_name().unwrap_or_default().to_owned();
    let action_set = shelf.action_set(&actions).ok_or_else(|| no_action_set(&actions, &parent))?;
    Ok(Step { backup: parent, action_set, base: None, ancestors: vec![] })
}

fn parent_of(child: &Backup) -> Result<String, Stop> {
    let recorded = child.status.as_ref().and_then(|s| s.parent_backup_name.as_ref());
    let name = recorded.or(child.spec.parent_backup_name.as_ref()).filter(|n| !n.is_empty());
    name.cloned().ok_or_else(|| broken(child, "it recorded no parent (status.parentBackupName)"))
}

fn on_shelf(child: &Backup, name: &str, shelf: &dyn Shelf) -> Result<Arc<Backup>, Unresolved> {
    shelf.backup(name).ok_or_else(|| Unresolved::Missing {
        key: Box::new(Key::new(child.namespace().unwrap_or_default(), name)),
        gone: broken(child, &format!("its parent {name} does not exist")),
    })
}

/// One link (behaviour-restore §7.3, Incremental).
fn check(child: &Backup, parent: &Backup, kind: Option<&BackupType>) -> Result<(), Stop> {
    let name = parent.name_any();
    usable(parent).map_err(|stop| match stop.class {
        Class::Terminal => broken(child, &stop.message),
        _ => stop,
    })?;
    let (method, own) = (method_of(parent)?, method_of(child)?);
    if method.snapshot_volumes() {
        return Err(snapshot(&format!("Backup {name}, which Backup {} builds on", child.name_any())));
    }
    let no = |why: String| Err(broken(child, &format!("its parent {name} {why}")));
    if parent.spec.backup_policy_name != child.spec.backup_policy_name {
        let (theirs, ours) = (&parent.spec.backup_policy_name, &child.spec.backup_policy_name);
        return no(format!("is of BackupPolicy {theirs}, not of {ours}"));
    }
    let repo = |b: &Backup| b.status.as_ref().and_then(|s| s.backup_repo_name.clone()).unwrap_or_default();
    if repo(parent) != repo(child) {
        return no(format!("lies in BackupRepo {}, not in {}", repo(parent), repo(child)));
    }
    let base = |b: &Backup| b.status.as_ref().and_then(|s| s.base_backup_name.clone()).unwrap_or_default();
    if kind == Some(&BackupType::Incremental) {
        if method.name != own.name {
            return no(format!("is of method {}, not of {}", method.name, own.name));
        }
        if base(parent) != base(child) {
            return no(format!("builds on {:?}, not on {:?}", base(parent), base(child)));
        }
    } else {
        if own.compatible_method.as_ref().is_some_and(|m| *m != method.name) {
            return no(format!("is of method {}, which is not its compatibleMethod", method.name));
        }
        let recorded = base(child);
        if !recorded.is_empty() && recorded != name {
            return no(format!("is not the base that it recorded, {recorded}"));
        }
    }
    match (stop_time(parent), stop_time(child)) {
        (Some(before), Some(after)) if before <= after => Ok(()),
        (Some(_), Some(_)) => no("ends later than itself".into()),
        _ => no("or it says no time at which it ended".into()),
    }
}

/// One Job reads all of an incremental chain: from one directory, with one key.
fn check_place(child: &Backup, parent: &Backup) -> Result<(), Stop> {
    let status = |b: &Backup| b.status.clone().unwrap_or_default();
    let (theirs, ours) = (status(parent), status(child));
    let root = |path: Option<&String>| paths::root_of(path.map(String::as_str).unwrap_or_default()).to_owned();
    let name = parent.name_any();
    if root(theirs.path.as_ref()) != root(ours.path.as_ref()) {
        let (theirs, ours) = (root(theirs.path.as_ref()), root(ours.path.as_ref()));
        return Err(broken(child, &format!("its parent {name} lies below {theirs}, not below {ours}")));
    }
    let envelope = |b: &Backup| b.labels().get(labels::ENVELOPE).cloned();
    if theirs.encryption_config != ours.encryption_config
        || theirs.kopia_repo_path != ours.kopia_repo_path
        || envelope(parent) != envelope(child)
    {
        return Err(broken(child, &format!("its parent {name} is encrypted or stored in another way")));
    }
    Ok(())
}

/// A chain that does not hold, said of one of its backups.
fn broken(child: &Backup, why: &str) -> Stop {
    let text = format!("Backup {} can not be restored: {why}", child.name_any());
    Stop::terminal(reasons::BACKUP_CHAIN_BROKEN, text)
}
