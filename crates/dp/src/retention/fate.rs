//! What becomes of each backup of a policy (behaviour-backup §4, §5; issue 6, deliver 5). Pure.
//!
//! A backup goes when it expired (or more than the policy's most are there) and nothing holds it. What holds it is said
//! in `status.keptBecause`. Backups that build on each other go together, the last one first.

use super::chain::Chains;
use super::rules::Rules;
use api_types::contract::labels;
use api_types::dp::{Backup, BackupPhase, BackupType};
use api_types::retention::Retention;
use jiff::Timestamp;
use kube::ResourceExt;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What is known beside the backups themselves.
pub struct Facts<'a> {
    /// Rules of the policy, or why they can not be read.
    pub rules: &'a Result<Rules, String>,
    /// What kind of backup one is.
    pub kind: &'a dyn Fn(&Backup) -> BackupType,
    /// The enabled entry of a schedule that a continuous backup serves.
    pub served_by: &'a dyn Fn(&Backup) -> Option<String>,
    /// A restore that reads the backup.
    pub read_by: &'a dyn Fn(&Backup) -> Option<String>,
    /// A restore of what it was taken of that is not proven.
    pub unproven: &'a dyn Fn(&Backup) -> Option<String>,
}

/// What becomes of one backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not expired. Until then, if it ever does.
    Lives(Option<Timestamp>),
    /// Expired, and held.
    Kept(String),
    /// Goes after the ones that build on it.
    After(String),
    /// Goes now, and why.
    Goes(String),
}

/// A reason to hold a backup that a restore gives: its end is watched for.
pub const BY_RESTORE: &str = "restore";

/// Every backup's fate, by name. `backups` are all of one policy in one namespace; those being deleted have none.
pub fn fates(backups: &[&Backup], facts: &Facts<'_>, now: Timestamp) -> BTreeMap<String, Fate> {
    let here: Vec<&Backup> = backups.iter().copied().filter(|b| b.metadata.deletion_timestamp.is_none()).collect();
    let lines = lines(&here, facts);
    let alone: BTreeMap<String, Fate> = here.iter().map(|b| (b.name_any(), alone(b, &lines, facts, now))).collect();
    let chains = Chains::of(backups.iter().copied());
    let mut held: BTreeMap<String, (&String, &Fate)> = BTreeMap::new();
    for (name, fate) in alone.iter().filter(|(_, fate)| !matches!(fate, Fate::Goes(_))) {
        held.entry(chains.root(name)).or_insert((name, fate));
    }
    let present: BTreeSet<String> = backups.iter().map(|b| b.name_any()).collect();
    let together = |name: &String, fate: &Fate| {
        let Fate::Goes(_) = fate else {
            return fate.clone();
        };
        match held.get(&chains.root(name)) {
            Some((other, Fate::Kept(why))) => Fate::Kept(format!("Backup {other} of its chain stays: {why}")),
            Some((other, _)) => Fate::Kept(format!("Backup {other} of its chain has not expired")),
            None => match chains.children(name).find(|c| present.contains(*c)) {
                Some(child) => Fate::After(child.clone()),
                None => fate.clone(),
            },
        }
    };
    alone.iter().map(|(name, fate)| (name.clone(), together(name, fate))).collect()
}

/// Places among the completed backups of one method, from the newest; the second counts scheduled ones only.
struct Places {
    of_all: usize,
    of_scheduled: Option<usize>,
}

fn lines(here: &[&Backup], facts: &Facts<'_>) -> BTreeMap<String, Places> {
    let mut lines: BTreeMap<(String, String), Vec<&Backup>> = BTreeMap::new();
    for backup in here.iter().filter(|b| b.phase() == BackupPhase::Completed) {
        let cluster = backup.labels().get(labels::CLUSTER_UID).cloned().unwrap_or_default();
        lines.entry((cluster, backup.spec.backup_method.clone())).or_default().push(backup);
    }
    let mut places = BTreeMap::new();
    for line in lines.values_mut() {
        line.sort_by_key(|b| Reverse((end(b), b.name_any())));
        let mut scheduled = 0;
        for (of_all, backup) in line.iter().enumerate() {
            let counts = backup.labels().get(labels::AUTO_BACKUP).map(String::as_str) == Some(labels::TRUE)
                && (facts.kind)(backup) != BackupType::Continuous;
            let of_scheduled = counts.then_some(scheduled);
            scheduled += usize::from(counts);
            places.insert(backup.name_any(), Places { of_all, of_scheduled });
        }
    }
    places
}

/// When its data ends.
fn end(backup: &Backup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    let told = status.time_range.as_ref().and_then(|r| r.end.as_ref());
    told.or(status.completion_timestamp.as_ref()).map(|t| t.0)
}

/// One backup's fate, whatever becomes of its chain.
fn alone(backup: &Backup, places: &BTreeMap<String, Places>, facts: &Facts<'_>, now: Timestamp) -> Fate {
    let completed = match backup.phase() {
        BackupPhase::Completed => true,
        BackupPhase::Failed => false,
        _ => return Fate::Lives(None),
    };
    let continuous = (facts.kind)(backup) == BackupType::Continuous;
    let expires = if continuous { continuous_expiration(backup) } else { expiration(backup) };
    let place = places.get(&backup.name_any());
    let most = facts.rules.as_ref().ok().and_then(|r| r.most);
    let surplus = most.filter(|most| place.and_then(|p| p.of_scheduled).is_some_and(|at| at >= *most));
    let why = match (expires, surplus) {
        (Some(at), _) if at <= now => format!("it expired at {at}"),
        (_, Some(most)) => format!("there are {most} newer scheduled ones"),
        _ => return Fate::Lives(expires),
    };
    let rules = match facts.rules {
        Ok(rules) => rules,
        Err(unread) => return Fate::Kept(unread.clone()),
    };
    if let Some(entry) = (facts.served_by)(backup).filter(|_| continuous) {
        return Fate::Kept(format!("{entry} is enabled and goes on with it"));
    }
    if completed && place.is_some_and(|p| p.of_all < rules.keep_latest) {
        let method = &backup.spec.backup_method;
        return Fate::Kept(match rules.keep_latest {
            1 => format!("it is the latest completed backup of method {method}"),
            n => format!("it is one of the {n} latest completed backups of method {method}"),
        });
    }
    if let Some(reader) = (facts.read_by)(backup) {
        return Fate::Kept(format!("{BY_RESTORE}: {reader} reads it"));
    }
    if let Some(restore) = (facts.unproven)(backup) {
        return Fate::Kept(format!(
            "{BY_RESTORE}: {restore} restores what it was taken of and is not proven; older backups stay until it \
             succeeds, or is annotated {}, or is deleted",
            api_types::contract::annotations::ACCEPT
        ));
    }
    Fate::Goes(why)
}

fn expiration(backup: &Backup) -> Option<Timestamp> {
    backup.status.as_ref()?.expiration.as_ref().map(|t| t.0)
}

/// BD1: an archive expires by what it did last, not by when it began.
fn continuous_expiration(backup: &Backup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    let stored = expiration(backup)?;
    let period = backup.spec.retention_period.as_deref().unwrap_or_default().parse::<Retention>().ok()?.duration()?;
    let seconds = i64::try_from(period.as_secs()).ok()?;
    let range = status.time_range.as_ref();
    let last =
        [range.and_then(|r| r.end.as_ref()), status.completion_timestamp.as_ref(), status.start_timestamp.as_ref()];
    let last = last.into_iter().flatten().map(|t| t.0).max();
    let by_activity = last.and_then(|at| Timestamp::from_second(at.as_second().checked_add(seconds)?).ok());
    Some(by_activity.map_or(stored, |at| at.max(stored)))
}

#[cfg(test)]
mod tests;
