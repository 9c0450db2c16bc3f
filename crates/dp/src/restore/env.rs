//! Environment of a restore's action containers, in the order of behaviour-restore §7.5.

use crate::action::env::{literal, merge};
use crate::action::go_time;
use crate::backup::paths;
use api_types::contract::env as names;
use api_types::dp::{ActionSet, Backup, BackupStatusTarget, Restore};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::EnvVar;
use kube::ResourceExt;
use mover_protocol as protocol;

/// One backup with its actions, in the order in which a restore works through them.
pub struct Set<'a> {
    /// The backup to restore.
    pub backup: &'a Backup,
    /// Its actions.
    pub action_set: &'a ActionSet,
    /// The full backup it builds on.
    pub base: Option<&'a Backup>,
    /// Incremental backups between base and this one, oldest first.
    pub ancestors: Vec<&'a Backup>,
    /// Source pod, where the backup holds several and one was chosen.
    pub source_pod: Option<&'a str>,
}

/// Environment of the container `restore`; the mover's own variables come after it.
pub fn build(restore: &Restore, set: &Set<'_>) -> Vec<EnvVar> {
    let layout = set
        .action_set
        .spec
        .env
        .iter()
        .rev()
        .find(|v| v.name == names::TIME_FORMAT)
        .and_then(|v| v.value.clone())
        .unwrap_or_else(|| go_time::RFC3339.into());
    let mut env = vec![literal(protocol::env::BACKUP_NAME, set.backup.name_any())];
    env.extend(location(restore, set));
    if let Some(base) = set.base {
        env.push(literal(names::BASE_BACKUP_NAME, base.name_any()));
    }
    if !set.ancestors.is_empty() {
        let names: Vec<String> = set.ancestors.iter().map(|b| b.name_any()).collect();
        env.push(literal(names::ANCESTOR_INCREMENTAL_BACKUP_NAMES, names.join(",")));
    }
    let zone = |b: &Backup| b.status.as_ref()?.time_range.as_ref()?.time_zone.clone();
    let text = |b: &Backup, at: Timestamp| go_time::format(at, zone(b).as_deref(), &layout);
    if let Some(stop) = stop_time(set.backup) {
        env.push(literal(names::BACKUP_STOP_TIME, text(set.backup, stop)));
    }
    if let Some(base) = set.base {
        for (time, timestamp, at) in [
            (names::BASE_BACKUP_START_TIME, names::BASE_BACKUP_START_TIMESTAMP, start_time(base)),
            (names::BASE_BACKUP_STOP_TIME, names::BASE_BACKUP_STOP_TIMESTAMP, stop_time(base)),
        ] {
            if let Some(at) = at {
                env.push(literal(time, text(base, at)));
                env.push(literal(timestamp, at.as_second().to_string()));
            }
        }
    }
    if let Some(at) = restore.spec.restore_time.as_ref().and_then(|t| t.parse::<Timestamp>().ok()) {
        env.push(literal(names::RESTORE_TIME, text(set.backup, at)));
        env.push(literal(names::RESTORE_TIMESTAMP, at.as_second().to_string()));
    }
    env.extend(restore.spec.parameters.iter().map(|p| literal(&p.name, &p.value)));
    env.extend(set.action_set.spec.env.iter().cloned());
    let method = set.backup.status.as_ref().and_then(|s| s.backup_method.as_ref());
    merge(&mut env, method.map(|m| m.env.as_slice()).unwrap_or_default());
    merge(&mut env, &restore.spec.env);
    env
}

fn location(restore: &Restore, set: &Set<'_>) -> Vec<EnvVar> {
    let path = set.backup.status.as_ref().and_then(|s| s.path.clone()).unwrap_or_default();
    if path.is_empty() {
        return vec![];
    }
    let relative = relative(restore, set.backup, set.source_pod);
    let root = path.rsplit_once('/').map_or("/", |(root, _)| root);
    vec![
        literal(names::TARGET_RELATIVE_PATH, &relative),
        literal(names::BACKUP_ROOT_PATH, root),
        literal(protocol::env::BACKUP_BASE_PATH, paths::join(&[&path, &relative])),
    ]
}

/// Where below its directory this backup has what is restored: as it was written there, which is not the same for every
/// backup of a chain. One that recorded no such target is read where it is asked for.
fn relative(restore: &Restore, backup: &Backup, pod: Option<&str>) -> String {
    let asked = restore.spec.backup.source_target_name.as_deref().unwrap_or_default();
    match (target(backup, asked), pod) {
        (Some(target), Some(pod)) => paths::relative(target, pod),
        (Some(target), None) => target.name().to_owned(),
        (None, pod) => paths::join(&[asked, pod.unwrap_or_default()]).trim_start_matches('/').to_owned(),
    }
}

/// The target of that name; a single recorded one is meant whatever name is asked for (contract-dp §11).
pub fn target<'a>(backup: &'a Backup, asked: &str) -> Option<&'a BackupStatusTarget> {
    let status = backup.status.as_ref()?;
    status.target.as_ref().or_else(|| status.targets.iter().find(|t| t.name() == asked))
}

/// End of what a backup covers: its time range, else its completion.
pub fn stop_time(backup: &Backup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    let range = status.time_range.as_ref().and_then(|r| r.end.as_ref());
    range.or(status.completion_timestamp.as_ref()).map(|t| t.0)
}

/// Start of what a backup covers: its time range, else its own start.
pub fn start_time(backup: &Backup) -> Option<Timestamp> {
    let status = backup.status.as_ref()?;
    let range = status.time_range.as_ref().and_then(|r| r.start.as_ref());
    range.or(status.start_timestamp.as_ref()).map(|t| t.0)
}
