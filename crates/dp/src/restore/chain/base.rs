//! The backup that a log is replayed upon (behaviour-restore §7.3, Continuous). Pure.
//!
//! Stated differences from the reference: a base that can not be restored is passed over for the next, and said where
//! none is left; a log that is replayed into volumes takes no base that fills none; where the log's method names a
//! `compatibleMethod`, the base is of that method; a log whose base is not restored by dp takes a full one.

use super::time::{Window, text};
use super::{Shelf, Step, Unresolved, increments, kind_of, method_of, no_action_set, skips_base, snapshot};
use crate::error::Stop;
use crate::reasons;
use crate::restore::env::stop_time;
use api_types::contract::labels;
use api_types::dp::{ActionSet, Backup, BackupPhase, BackupType};
use controller_kit::Key;
use controller_kit::error::Class;
use jiff::Timestamp;
use kube::ResourceExt;
use std::sync::Arc;

/// Labels that say whose backup it is.
const WHOSE: [&str; 3] = [labels::CLUSTER_UID, labels::INSTANCE, labels::COMPONENT_NAME];

/// A log that is to be replayed.
pub struct Log<'a> {
    /// The continuous backup.
    pub backup: &'a Arc<Backup>,
    /// Its actions.
    pub action_set: &'a ActionSet,
    /// What it covers.
    pub window: Window,
    /// To which moment.
    pub at: Timestamp,
}

impl Log<'_> {
    /// Whether replaying from `end` on misses nothing, and does not go too far.
    fn reaches(&self, end: Timestamp) -> bool {
        self.window.start <= end && end <= self.at
    }

    /// Whether `other` is of the same database.
    fn is_of_same(&self, other: &Backup) -> bool {
        let of = |b: &Backup, key: &str| b.labels().get(key).filter(|v| !v.is_empty()).cloned();
        let mut known = WHOSE.iter().filter(|key| of(self.backup, key).is_some()).peekable();
        if known.peek().is_none() {
            return other.spec.backup_policy_name == self.backup.spec.backup_policy_name;
        }
        known.all(|key| of(other, key) == of(self.backup, key))
    }

    fn is_compatible(&self, other: &Backup, kind: &BackupType) -> bool {
        let wanted = method_of(self.backup).ok().and_then(|m| m.compatible_method.as_ref());
        let method = method_of(other).ok();
        let full = match kind {
            BackupType::Incremental => method.and_then(|m| m.compatible_method.as_ref()),
            _ => method.map(|m| &m.name),
        };
        wanted.is_none_or(|wanted| full.is_none_or(|full| full == wanted))
    }
}

/// The base, as the step before the log; `None` where the log needs none. `chosen` is the one chosen before.
///
/// # Errors
/// Terminal where no backup can be the base, `NotServedYet` where only snapshots are left; Wait where one could be if
/// what it misses were there.
pub fn choose(log: &Log<'_>, chosen: Option<&str>, shelf: &dyn Shelf) -> Result<Option<Step>, Unresolved> {
    if !log.action_set.spec.restore.as_ref().is_none_or(api_types::dp::RestoreActionSpec::base_backup_required) {
        return Ok(None);
    }
    if let Some(name) = chosen {
        let backup = shelf.backup(name).ok_or_else(|| Unresolved::Missing {
            key: Box::new(Key::new(log.backup.namespace().unwrap_or_default(), name)),
            gone: Stop::terminal(
                reasons::BACKUP_CHAIN_BROKEN,
                format!("Backup {name}, upon which the log is replayed, does not exist any more"),
            ),
        })?;
        super::usable(&backup)?;
        if !stop_time(&backup).is_some_and(|end| log.reaches(end)) {
            return Err(Unresolved::Stop(no_base(
                log,
                &format!("; Backup {name} was taken, and is not inside any more"),
            )));
        }
        return restorable(log, &backup, shelf).map(Some);
    }
    let mut passed_over = Vec::new();
    for (candidate, _) in candidates(log, shelf) {
        match restorable(log, &candidate, shelf) {
            Ok(step) => return Ok(Some(step)),
            Err(Unresolved::Stop(stop)) => passed_over.push(stop),
            Err(Unresolved::Missing { gone, .. }) => passed_over.push(gone),
        }
    }
    let is = |wanted: fn(&Stop) -> bool| passed_over.iter().find(|s| wanted(s));
    let awaited = is(|s| s.class != Class::Terminal);
    let snapshot = is(|s| s.reason == reasons::NOT_SERVED_YET);
    if let Some(stop) = awaited.or(snapshot) {
        let text = format!("{} has no other base for {}: {}", of(log), text(log.at), stop.message);
        return Err(Unresolved::Stop(Stop { message: text, ..stop.clone() }));
    }
    let nearest = passed_over.first().map(|s| format!("; {}", s.message)).unwrap_or_default();
    Err(no_base(log, &nearest).into())
}

fn of(log: &Log<'_>) -> String {
    format!("Backup {}", log.backup.name_any())
}

fn no_base(log: &Log<'_>, more: &str) -> Stop {
    Stop::terminal(
        reasons::BACKUP_CHAIN_BROKEN,
        format!(
            "{} can not be replayed to {}: no completed Full or Incremental Backup of the same database ends between \
             {} and then{more}",
            of(log),
            text(log.at),
            text(log.window.start)
        ),
    )
}

/// Whatever might be a base, newest first.
fn candidates(log: &Log<'_>, shelf: &dyn Shelf) -> Vec<(Arc<Backup>, Timestamp)> {
    let fits = |b: &Backup| {
        let done = b.metadata.deletion_timestamp.is_none() && b.phase() == BackupPhase::Completed;
        done && b.name_any() != log.backup.name_any()
            && log.is_of_same(b)
            && stop_time(b).is_some_and(|end| log.reaches(end))
    };
    let mut all: Vec<(Arc<Backup>, Timestamp)> = shelf
        .backups(&fits)
        .into_iter()
        .filter(|b| match kind_of(b, shelf) {
            Some(BackupType::Incremental) if skips_base(log.action_set) => false,
            Some(kind @ (BackupType::Full | BackupType::Incremental)) => log.is_compatible(b, &kind),
            _ => false,
        })
        .filter_map(|b| stop_time(&b).map(|end| (b, end)))
        .collect();
    all.sort_by_key(|(backup, end)| std::cmp::Reverse((*end, backup.name_any())));
    all
}

fn restorable(log: &Log<'_>, base: &Arc<Backup>, shelf: &dyn Shelf) -> Result<Step, Unresolved> {
    let name = base.name_any();
    let method = method_of(base)?;
    if method.snapshot_volumes() {
        return Err(snapshot(&format!("Backup {name}")).into());
    }
    let actions = method.action_set_name().unwrap_or_default();
    let action_set = shelf.action_set(actions).ok_or_else(|| no_action_set(actions, base))?;
    let mut step = Step { backup: Arc::clone(base), action_set, base: None, ancestors: vec![] };
    if skips_base(log.action_set) {
        return Ok(step);
    }
    let into_volumes = log.action_set.spec.restore.as_ref().is_some_and(|r| r.prepare_data.is_some());
    if !step.fills() && (into_volumes || !step.runs_after_start()) {
        let text = format!("ActionSet {actions} of Backup {name} fills no volume (restore.prepareData)");
        return Err(Stop::terminal(reasons::NO_RESTORE_ACTION, text).into());
    }
    if kind_of(base, shelf) == Some(BackupType::Incremental) {
        let walked = increments::walk(base, shelf)?;
        (step.base, step.ancestors) = (Some(walked.base), walked.ancestors);
    }
    Ok(step)
}
