//! Where a backup's data goes (behaviour-backup §3.2, §3.9). Pure.

use super::lineage::Lineage;
use super::paths;
use super::status::Storage;
use crate::action::mover::{self, Repository};
use crate::repo::reach::{self, Purpose};
use api_types::dp::{Backup, BackupPolicy, BackupRepo};
use kube::ResourceExt;

/// Directory, claim and encryption for a backup that starts now.
pub fn of(backup: &Backup, policy: &BackupPolicy, repo: &BackupRepo, parent: Option<&Lineage>) -> Storage {
    let namespace = backup.namespace().unwrap_or_default();
    let root = paths::root(repo.spec.path_prefix.as_deref(), &namespace, policy.spec.path_prefix.as_deref());
    let claim = match reach::repository(repo, &namespace, Purpose::Write) {
        Some(Repository::Mounted { claim }) => Some(claim),
        _ => None,
    };
    Storage {
        repo: repo.name_any(),
        claim,
        path: paths::base(&root, &backup.name_any()),
        deduplicated: policy.spec.use_kopia().then(|| paths::deduplicated(&root)),
        // A chain is read with one key.
        encryption: parent.map_or_else(|| policy.spec.encryption_config.clone(), |p| p.encryption.clone()),
    }
}

/// How the pods of a backup that has started reach its data: the claim it recorded, else the configuration that its
/// repository has for the namespace. `None` for one without a repository, and where that is gone.
pub fn reached(backup: &Backup, repo: Option<&BackupRepo>, purpose: Purpose) -> Option<mover::Storage> {
    let status = backup.status.as_ref()?;
    status.backup_repo_name.as_ref()?;
    let repository = match status.persistent_volume_claim_name.clone().filter(|c| !c.is_empty()) {
        Some(claim) => Repository::Mounted { claim },
        None => reach::repository(repo?, &backup.namespace().unwrap_or_default(), purpose)?,
    };
    Some(mover::Storage::of(backup, repository))
}
