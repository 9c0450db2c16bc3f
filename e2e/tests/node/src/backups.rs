//! Backups that the operator makes, and whether what it says of them is so.

use crate::repositories::{Repository, files_below};
use crate::{DP, Node, PATIENCE, clusters, workspace};
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::wait;

/// Chooses the repository of one Backup, whatever its policy says.
const REPO_LABEL: &str = "dataprotection.kubeblocks.io/backup-repo-name";
/// The mark of a backup that is whole.
const SAVED_OBJECT: &str = "kubeblocks-backup.json";

/// A Backup to be made.
pub struct Request<'a> {
    /// Its name.
    pub name: &'a str,
    /// Policy, and method of it.
    pub by: (&'a str, &'a str),
    /// Parameters of its actions.
    pub parameters: &'a [(&'a str, &'a str)],
    /// Another repository than the policy's.
    pub repository: Option<Repository>,
}

impl<'a> Request<'a> {
    /// A Backup as the policy says.
    pub fn new(name: &'a str, policy: &'a str, method: &'a str) -> Self {
        Self { name, by: (policy, method), parameters: &[], repository: None }
    }
}

impl Node {
    /// Applies the ActionSets of an addon, and its policy for this repository; it has the addon's name.
    pub async fn protect(&self, addon: &str, repository: Repository) {
        let directory = workspace().join("e2e/addons").join(addon);
        // They have no namespace, and `kubectl apply` fails where another test creates one at that moment.
        let one = crate::ONE_SCRIPT.lock().await;
        for entry in std::fs::read_dir(&directory).expect("the addon").flatten() {
            if entry.file_name().to_string_lossy().starts_with("actionset") {
                self.apply_file(&entry.path());
            }
        }
        drop(one);
        let mut policy = self.manifest(&directory.join("backuppolicy.yaml"));
        policy["spec"]["backupRepoName"] = json!(self.ready_repository(repository).await);
        self.apply(&policy).await;
    }

    /// Asks for a Backup.
    pub async fn start_backup(&self, request: &Request<'_>) {
        let (policy, method) = request.by;
        let labels: Value = request.repository.map_or(json!({}), |which| json!({REPO_LABEL: which.name()}));
        let mut spec = json!({"backupPolicyName": policy, "backupMethod": method, "deletionPolicy": "Delete"});
        if !request.parameters.is_empty() {
            let pair = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
            spec["parameters"] = request.parameters.iter().map(pair).collect();
        }
        self.apply(&json!({
            "apiVersion": DP, "kind": "Backup", "metadata": {"name": request.name, "labels": labels}, "spec": spec,
        }))
        .await;
    }

    /// Waits until a Backup has ended, and gives it.
    pub async fn backup_ended(&self, name: &str) -> Value {
        let ended = |b: &DynamicObject| matches!(b.data["status"]["phase"].as_str(), Some("Completed" | "Failed"));
        clusters::json(&wait::watch_until(&self.api(DP, "Backup"), name, 2 * PATIENCE, ended).await)
    }

    /// Makes a Backup of files; it must succeed, and what its status and its manifest say must be so.
    pub async fn backup(&self, request: &Request<'_>) -> Value {
        let backup = self.snapshot_backup(request).await;
        let status = &backup["status"];
        let (name, uid) = (request.name, text(&backup["metadata"]["uid"]));
        assert_eq!(status["path"], format!("/{}/{name}", self.namespace), "{status}");
        let root = self.directory_of_repository(text(&status["backupRepoName"])).await.join(&self.namespace);
        let stored = files_below(&root.join(name));
        let manifest = root.join("_manifests/v1").join(uid).join("holdfast-manifest.json");
        let manifest = std::fs::read(&manifest).unwrap_or_else(|e| panic!("{}: {e}", manifest.display()));
        let manifest: Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
        // The manifest is written before the mark.
        let (marks, data): (Vec<_>, Vec<_>) = stored.into_iter().partition(|(path, _)| path == SAVED_OBJECT);
        assert_eq!(marks.len(), 1, "{name} is marked as whole: {data:?}");
        let listed = manifest["objects"].as_array().expect("objects").iter();
        let mut listed: Vec<(String, u64)> =
            listed.map(|o| (text(&o["path"]).trim_start_matches('/').to_owned(), number(&o["size"]))).collect();
        listed.sort();
        assert_eq!(listed, data, "the manifest of {name} lists what is there");
        assert_eq!((&manifest["path"], &manifest["backup"]["metadata"]["uid"]), (&status["path"], &json!(uid)));
        assert_eq!(manifest["actionSet"]["metadata"]["name"], status["backupMethod"]["actionSetName"]);
        let size: u64 = data.iter().map(|(_, size)| size).sum();
        assert_eq!(
            (number(&manifest["bytes"]), text(&status["totalSize"])),
            (size, size.to_string().as_str()),
            "{name}"
        );
        backup
    }

    /// Makes a Backup, whether of files or of snapshots; it must succeed, and what its status says must be so.
    pub async fn snapshot_backup(&self, request: &Request<'_>) -> Value {
        self.start_backup(request).await;
        let backup = self.backup_ended(request.name).await;
        let status = &backup["status"];
        assert_eq!(status["phase"], "Completed", "{status:#}");
        for absent in ["failureReason", "conditions", "deletionFailureReason"] {
            assert!(status.get(absent).is_none(), "{absent}: {status:#}");
        }
        assert_eq!(status["backupMethod"]["name"], request.by.1);
        if let Some(which) = request.repository {
            assert_eq!(status["backupRepoName"], which.name());
        }
        let actions = status["actions"].as_array().expect("actions");
        assert!(!actions.is_empty() && actions.iter().all(|a| a["phase"] == "Completed"), "{status:#}");
        assert!(text(&status["totalSize"]).parse::<u64>().is_ok_and(|bytes| bytes > 0), "{status:#}");
        // Whole seconds of one clock, so that they compare as text; what the data covers lies within the work.
        let moments = [&status["startTimestamp"], &status["timeRange"]["start"], &status["timeRange"]["end"]];
        let mut moments: Vec<&str> = moments.into_iter().map(text).collect();
        moments.push(text(&status["completionTimestamp"]));
        assert!(moments.is_sorted() && moments.iter().all(|m| m.len() == 20), "{moments:?}");
        backup
    }

    /// Waits until a claim made from a Backup has its data.
    pub async fn restore(&self, claim: &str, size: &str, backup: &str) {
        self.start_restore(claim, size, backup).await;
        self.until_restored(claim).await;
    }

    /// Asks for a claim with the data of a Backup.
    pub async fn start_restore(&self, claim: &str, size: &str, backup: &str) {
        let source = json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": backup});
        self.apply(&json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim},
            "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": "hostpath",
                "resources": {"requests": {"storage": size}}, "dataSourceRef": source},
        }))
        .await;
    }

    /// The disaster: an addon's database is gone, and its volume with it.
    pub async fn lose(&self, addon: &str) {
        let (pod, claim) = (format!("{addon}-0"), format!("data-{addon}-0"));
        self.api("apps/v1", "StatefulSet").delete(addon, &DeleteParams::default()).await.expect("delete");
        wait::watch_until_gone(&self.pods(), &pod, PATIENCE).await;
        self.claims().delete(&claim, &DeleteParams::default()).await.expect("delete");
        wait::watch_until_gone(&self.claims(), &claim, PATIENCE).await;
    }

    /// The database of an addon, started on what is in its claim.
    pub async fn revive(&self, addon: &str) {
        self.addon(&format!("{addon}/statefulset.yaml"));
        self.until_ready(&format!("{addon}-0")).await;
    }

    /// Changes an object of the dp kinds.
    pub async fn change(&self, kind: &str, name: &str, change: &Value) {
        self.api(DP, kind).patch(name, &PatchParams::default(), &Patch::Merge(change)).await.expect("patch");
    }

    /// Deletes schedules and Backups of the test's namespace and waits until they are gone, with all that they stored.
    pub async fn delete_backups(&self) {
        for kind in ["BackupSchedule", "Backup"] {
            let api = self.api(DP, kind);
            for object in api.list(&ListParams::default()).await.expect("list") {
                // One may go with the one it builds on.
                match api.delete(&object.name_any(), &DeleteParams::default()).await {
                    Ok(_) => {}
                    Err(kube::Error::Api(why)) if why.code == 404 => {}
                    Err(error) => panic!("{kind} {}: {error}", object.name_any()),
                }
            }
            wait::eventually(2 * PATIENCE, &format!("every {kind} is gone"), async || {
                let left = api.list(&ListParams::default()).await.map_err(|e| e.to_string())?;
                let tell = |o: &DynamicObject| format!("{}: {}", o.name_any(), o.data["status"]);
                let left: Vec<String> = left.iter().map(tell).collect();
                if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
            })
            .await;
        }
    }
}

/// A text of an object; empty where there is none.
pub fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}
