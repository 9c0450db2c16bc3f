//! Where backups of tests lie: a claim and a bucket, and what is in them as this machine sees it.

use crate::{DP, Node, PATIENCE, state, workspace};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use std::path::{Path, PathBuf};
use test_kit::wait;

/// A repository that tests share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repository {
    /// On a claim, which is another one in each namespace.
    Claim,
    /// In a bucket of the node's S3 server.
    Bucket,
}

impl Repository {
    /// Name of its BackupRepo.
    pub fn name(self) -> &'static str {
        match self {
            Self::Claim => "node-tests",
            Self::Bucket => "node-s3",
        }
    }
}

impl Node {
    /// A repository on a claim, shared by all tests.
    pub async fn repository(&self) -> &'static str {
        self.ready_repository(Repository::Claim).await
    }

    /// Makes a repository where it is not there yet, and waits until it can be used; gives its name.
    pub async fn ready_repository(&self, which: Repository) -> &'static str {
        match which {
            Repository::Claim => {
                self.apply_cluster(&json!({
                    "apiVersion": DP, "kind": "BackupRepo", "metadata": {"name": which.name()},
                    "spec": {"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete", "volumeCapacity": "1Gi"},
                }))
                .await;
            }
            Repository::Bucket => {
                self.script("e2e/s3/install.sh", &[]).await;
                // Two of these at once could both try to create it.
                let _one = crate::ONE_SCRIPT.lock().await;
                self.apply_file(&workspace().join("e2e/s3/repository.yaml"));
            }
        }
        self.until_phase("BackupRepo", which.name(), "Ready").await;
        which.name()
    }

    /// The directory on this machine that holds the claim's repository, once something of the test's namespace uses it.
    pub async fn repository_directory(&self) -> PathBuf {
        let name = wait::eventually(PATIENCE, "the repository's claim is bound", async || {
            let claims = self.claims().list(&ListParams::default()).await.map_err(|e| e.to_string())?;
            let bound = claims.iter().find(|c| {
                c.name_any().starts_with("pvc-node-tests") && c.spec.as_ref().is_some_and(|s| s.volume_name.is_some())
            });
            bound.map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
        })
        .await;
        self.directory_of(&name).await
    }

    /// The directory on this machine below which a repository's paths lie: to the S3 server a bucket is a directory, too.
    pub async fn directory_of_repository(&self, name: &str) -> PathBuf {
        if name == Repository::Bucket.name() {
            return state().join("cluster/s3/buckets/backups");
        }
        self.repository_directory().await
    }

    /// Makes a file in the claim's repository that an action of a test waits for.
    pub async fn open_gate(&self, name: &str) {
        std::fs::write(self.repository_directory().await.join(name), "").expect("the gate opens");
    }
}

/// Paths and sizes of all files below a directory; none where it does not exist.
pub fn files_below(directory: &Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(next) = open.pop() {
        // One that goes meanwhile has no files.
        for entry in std::fs::read_dir(&next).into_iter().flatten().flatten() {
            let Ok(of) = entry.metadata() else { continue };
            let path = entry.path();
            if of.is_dir() {
                open.push(path);
            } else {
                let below = path.strip_prefix(directory).expect("below it").to_string_lossy().into_owned();
                found.push((below, of.len()));
            }
        }
    }
    found.sort();
    found
}
