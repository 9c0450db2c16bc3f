//! How pods of a namespace reach a repository, and whether they may (contract-dp §10.5, design D23).

use crate::action::mover::Repository;
use crate::error::Error;
use api_types::dp::{AccessMethod, BackupRepo, BackupRepoNamespace};
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;

/// What a pod does with a repository; each may have a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Back up.
    Write,
    /// Restore.
    Read,
    /// Remove the files of a deleted backup.
    Delete,
}

impl Purpose {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Write, Self::Read, Self::Delete];

    fn suffix(self) -> &'static str {
        match self {
            Self::Write => "",
            Self::Read => "-read",
            Self::Delete => "-delete",
        }
    }
}

/// The repository's entry for a namespace; `None` where it names none at all, or not this one.
pub fn entry<'a>(repo: &'a BackupRepo, namespace: &str) -> Option<&'a BackupRepoNamespace> {
    repo.spec.namespaces.iter().find(|n| n.name == namespace)
}

/// Whether pods of `namespace` may use the repository.
pub fn admits(repo: &BackupRepo, namespace: &str) -> bool {
    repo.spec.namespaces.is_empty() || entry(repo, namespace).is_some()
}

/// Whether a namespace has a key of its own for that.
pub fn has_own_key(repo: &BackupRepo, namespace: &str, purpose: Purpose) -> bool {
    let Some(entry) = entry(repo, namespace) else {
        return false;
    };
    match purpose {
        Purpose::Write => entry.credential.is_some(),
        Purpose::Read => entry.read_credential.is_some(),
        Purpose::Delete => entry.delete_credential.is_some(),
    }
}

/// Name of the Secret with the mover's configuration for that: one for all purposes, and one more for each that has a
/// key of its own in the namespace.
pub fn configuration(repo: &BackupRepo, namespace: &str, purpose: Purpose) -> Option<String> {
    let name = repo.status.as_ref()?.tool_config_secret_name.clone()?;
    let own = purpose != Purpose::Write && has_own_key(repo, namespace, purpose);
    Some(if own { format!("{name}{}", purpose.suffix()) } else { name })
}

/// Names of all Secrets a namespace may hold of the repository, whatever its spec says now.
pub fn all_configurations(repo: &BackupRepo) -> Vec<String> {
    let name = repo.status.as_ref().and_then(|s| s.tool_config_secret_name.clone());
    name.iter().flat_map(|name| Purpose::ALL.map(|p| format!("{name}{}", p.suffix()))).collect()
}

/// The repository as pods of a namespace reach it; `None` before its names are recorded.
pub fn repository(repo: &BackupRepo, namespace: &str, purpose: Purpose) -> Option<Repository> {
    match repo.spec.access_method() {
        AccessMethod::Tool => Some(Repository::Tool { secret: configuration(repo, namespace, purpose)? }),
        _ => Some(Repository::Mounted { claim: repo.status.as_ref()?.backup_pvc_name.clone()? }),
    }
}

/// Whether the mover's configuration is in the namespace. One call: Secrets are not cached (design D12).
pub async fn is_prepared(repo: &BackupRepo, namespace: &str, purpose: Purpose, writer: &Writer) -> Result<bool, Error> {
    let Some(name) = configuration(repo, namespace, purpose) else {
        return Ok(false);
    };
    let found = writer.get(&writer.namespaced::<Secret>(namespace), &name).await?;
    Ok(found.is_some_and(|secret| is_ours(&secret, repo)))
}

/// Whether an object belongs to this very repository.
pub fn is_ours<K: ResourceExt>(object: &K, repo: &BackupRepo) -> bool {
    let uid = repo.uid().unwrap_or_default();
    object.owner_references().iter().any(|o| o.uid == uid)
}
