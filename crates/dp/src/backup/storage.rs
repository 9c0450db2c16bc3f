//! Where a backup's data goes (behaviour-backup §3.2, §3.9). Pure.

use super::lineage::Lineage;
use super::paths;
use super::status::Storage;
use crate::action::mover::Repository;
use crate::error::Stop;
use crate::reasons;
use api_types::dp::{Backup, BackupPolicy, BackupRepo};
use kube::ResourceExt;

/// Directory, claim and encryption for a backup that starts now.
///
/// # Errors
/// Terminal where the policy asks for what is not served.
pub fn of(
    backup: &Backup,
    policy: &BackupPolicy,
    repo: &BackupRepo,
    parent: Option<&Lineage>,
) -> Result<Storage, Stop> {
    let not_served = |what: &str| {
        Err(Stop::terminal(
            reasons::NOT_SERVED_YET,
            format!("BackupPolicy {}: {what} is not served yet", policy.name_any()),
        ))
    };
    // A chain is read with one key.
    let encryption = parent.map_or_else(|| policy.spec.encryption_config.clone(), |p| p.encryption.clone());
    if encryption.is_some() {
        return not_served("spec.encryptionConfig");
    }
    if policy.spec.use_kopia() {
        return not_served("spec.useKopia");
    }
    let namespace = backup.namespace().unwrap_or_default();
    let root = paths::root(repo.spec.path_prefix.as_deref(), &namespace, policy.spec.path_prefix.as_deref());
    Ok(Storage {
        repo: repo.name_any(),
        claim: repo.status.as_ref().and_then(|s| s.backup_pvc_name.clone()),
        path: paths::base(&root, &backup.name_any()),
        deduplicated: None,
        encryption,
    })
}

/// How the pods of a backup reach its repository, as the status recorded it.
pub fn repository(backup: &Backup, _repo: Option<&BackupRepo>) -> Option<Repository> {
    let claim = backup.status.as_ref()?.persistent_volume_claim_name.clone().filter(|c| !c.is_empty())?;
    Some(Repository::Mounted { claim })
}
