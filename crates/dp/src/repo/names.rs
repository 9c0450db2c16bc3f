//! Names of what is made from a repository: the same for the same object, so that a crash makes no second. Pure.

use api_types::contract::names::{
    REPO_PVC_PREFIX, REPO_SECRET_PREFIX, REPO_STORAGE_CLASS_PREFIX, REPO_TOOL_CONFIG_PREFIX,
};
use api_types::dp::{AccessMethod, BackupRepo, BackupRepoStatus, StorageProvider};
use controller_kit::names;
use k8s_openapi::api::core::v1::SecretReference;
use kube::ResourceExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// Longest name before its last part, on the wire.
const BASE: usize = 56;

/// `<prefix>-<repo>-<6 digits>`.
pub fn derived(repo: &BackupRepo, prefix: &str) -> String {
    let hash = hex::encode(Sha256::digest(repo.uid().unwrap_or_default()));
    let room = BASE.saturating_sub(prefix.len() + 1);
    format!("{prefix}-{}-{}", names::cut(&repo.name_any(), room), hash.get(..6).unwrap_or_default())
}

/// Puts the names that the repository needs into its status; names that are there stay.
pub fn record(status: &mut BackupRepoStatus, repo: &BackupRepo, provider: &StorageProvider, own_namespace: &str) {
    let has = |template: &Option<String>| template.as_deref().is_some_and(|t| !t.trim().is_empty());
    if repo.spec.access_method() == AccessMethod::Tool {
        status.tool_config_secret_name.get_or_insert_with(|| derived(repo, REPO_TOOL_CONFIG_PREFIX));
        return;
    }
    status.backup_pvc_name.get_or_insert_with(|| derived(repo, REPO_PVC_PREFIX));
    if has(&provider.spec.storage_class_template) {
        status.generated_storage_class_name.get_or_insert_with(|| derived(repo, REPO_STORAGE_CLASS_PREFIX));
    }
    if has(&provider.spec.csi_driver_secret_template) {
        status.generated_csi_driver_secret.get_or_insert_with(|| SecretReference {
            name: Some(derived(repo, REPO_SECRET_PREFIX)),
            namespace: Some(own_namespace.into()),
        });
    }
}

/// 32 hex digits that change with `value`.
pub fn digest_of(value: &impl Serialize) -> String {
    let text = serde_json::to_vec(value).unwrap_or_default();
    hex::encode(Sha256::digest(text)).get(..32).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_tell_repositories_apart() {
        let repo = |name: &str, uid: &str| {
            let mut repo = BackupRepo::new(name, api_types::dp::BackupRepoSpec::default());
            repo.metadata.uid = Some(uid.into());
            repo
        };
        let long = "r".repeat(80);
        for prefix in [REPO_PVC_PREFIX, REPO_SECRET_PREFIX, REPO_STORAGE_CLASS_PREFIX, REPO_TOOL_CONFIG_PREFIX] {
            let name = derived(&repo(&long, "u1"), prefix);
            assert!(name.len() <= names::LIMIT && name.starts_with(prefix), "{name}");
            assert_eq!(name, derived(&repo(&long, "u1"), prefix));
            assert_ne!(name, derived(&repo(&long, "u2"), prefix));
        }
    }
}
