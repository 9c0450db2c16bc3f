//! Backups and restores of files by real containers, with the operator killed in the middle.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // helpers of tests; a failure ends the test

use e2e_node::{DP, DP_OPERATOR, Node, node};
use kube::api::DeleteParams;
use serde_json::{Value, json};
use test_kit::wait;

const IMAGE: &str = "docker.io/local/busybox:1";
const SCRIPT: &str =
    "set -e; export PATH=$PATH:$DP_DATASAFED_BIN_PATH DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH; ";

/// Both actions wait for a file in the repository before they end, so that a test can act meanwhile.
fn actions(name: &str) -> Value {
    let gate = |what: &str| format!("until [ -e /backupdata/{what}-$GATE ]; do sleep 0.1; done; ");
    let backup = format!(
        "{SCRIPT}cd /data; tar cf - . | datasafed push -z zstd-fastest - /data.tar.zst; {}\
         echo \"{{\\\"totalSize\\\":\\\"$(datasafed stat / | awk '/TotalSize/ {{print $2}}')\\\"}}\" >$DP_BACKUP_INFO_FILE",
        gate("backup")
    );
    let restore =
        format!("{SCRIPT}cd /data; datasafed pull -d zstd-fastest /data.tar.zst - | tar xf -; {}", gate("restore"));
    json!({
        "apiVersion": DP, "kind": "ActionSet", "metadata": {"name": name},
        "spec": {
            "backupType": "Full", "env": [{"name": "GATE", "value": name}],
            "backup": {"backupData": {"image": IMAGE, "runOnTargetPodNode": true, "command": ["sh", "-c", backup],
                "syncProgress": {"enabled": true, "intervalSeconds": 1}}},
            "restore": {"prepareData": {"image": IMAGE, "command": ["sh", "-c", restore]}},
        },
    })
}

/// A pod that keeps a claim busy; what it writes is what is backed up.
fn keeper(name: &str, claim: &str, command: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "keeper"}},
        "spec": {
            "terminationGracePeriodSeconds": 0, "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
            "containers": [{"name": "keeper", "image": IMAGE, "command": ["sh", "-c", format!("{command}; while :; do sleep 3600; done")],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                "readinessProbe": {"exec": {"command": ["test", "-s", "/data/sum"]}, "periodSeconds": 1}}],
        },
    })
}

fn claim(name: &str, class: &str, source: Option<&str>) -> Value {
    let mut spec = json!({
        "accessModes": ["ReadWriteOnce"], "storageClassName": class, "resources": {"requests": {"storage": "64Mi"}},
    });
    if let Some(backup) = source {
        spec["dataSourceRef"] = json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": backup});
    }
    json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})
}

/// Data in a claim of `class`, and a policy for it; gives the ActionSet's name.
async fn protected(node: &Node, class: &str) -> String {
    let repo = node.repository().await;
    let actions_name = format!("files-{}", node.namespace);
    node.apply_cluster(&actions(&actions_name)).await;
    node.apply(&claim("data", class, None)).await;
    let write = "head -c 3000000 /dev/urandom >/data/random; cd /data && md5sum random >sum";
    node.apply(&keeper("keeper", "data", write)).await;
    node.until_ready("keeper").await;
    node.apply(&json!({
        "apiVersion": DP, "kind": "BackupPolicy", "metadata": {"name": "policy"},
        "spec": {"backupRepoName": repo, "target": {"podSelector": {"matchLabels": {"app": "keeper"}}},
            "backupMethods": [{"name": "full", "actionSetName": actions_name, "snapshotVolumes": false,
                "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}]},
    }))
    .await;
    actions_name
}

async fn backup(node: &Node) {
    node.apply(&json!({
        "apiVersion": DP, "kind": "Backup", "metadata": {"name": "b"},
        "spec": {"backupPolicyName": "policy", "backupMethod": "full", "deletionPolicy": "Delete"},
    }))
    .await;
}

async fn open_gate(node: &Node, what: &str, actions: &str) {
    node.open_gate(&format!("{what}-{actions}")).await;
}

/// A pod on the restored claim finds the data as they were.
async fn check_data(node: &Node, claim: &str) {
    node.apply(&keeper("reader", claim, "cd /data && md5sum -c sum || rm -f sum")).await;
    node.until_ready("reader").await;
}

/// No Job, no prime claim, no pod of ours is left, and the volumes are those of the claims.
async fn nothing_left(node: &Node) {
    wait::eventually(e2e_node::PATIENCE, "nothing is left", async || {
        let jobs = node.names("batch/v1", "Job").await;
        let claims = node.names("v1", "PersistentVolumeClaim").await;
        let prime: Vec<&String> = claims.iter().filter(|c| c.starts_with("kb-populate-")).collect();
        if jobs.is_empty() && prime.is_empty() { Ok(()) } else { Err(format!("jobs {jobs:?}, prime claims {prime:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operator_killed_in_the_middle_of_backup_and_restore() {
    let node = node("killed").await;
    let actions = protected(&node, "hostpath").await;
    backup(&node).await;
    node.until_action_runs("dataprotection.kubeblocks.io/backup-name=b").await;
    node.until_back(&node.kill(&[DP_OPERATOR]).await).await;
    open_gate(&node, "backup", &actions).await;
    let done = node.until_phase("Backup", "b", "Completed").await;
    let size: u64 = done.data["status"]["totalSize"].as_str().unwrap_or_default().parse().unwrap_or_default();
    assert!(size > 3_000_000, "random data do not shrink: {size}");
    nothing_left(&node).await;

    node.apply(&claim("copy", "hostpath", Some("b"))).await;
    node.until_action_runs("dataprotection.kubeblocks.io/restore").await;
    node.until_back(&node.kill(&[DP_OPERATOR]).await).await;
    open_gate(&node, "restore", &actions).await;
    node.until_restored("copy").await;
    check_data(&node, "copy").await;
    nothing_left(&node).await;

    // The files go with the Backup.
    let files = node.repository_directory().await.join(&node.namespace).join("b");
    assert!(files.join("kubeblocks-backup.json").exists(), "the saved object marks a whole backup");
    node.api(DP, "Backup").delete("b", &DeleteParams::default()).await.expect("delete");
    wait::eventually(e2e_node::PATIENCE, "the Backup is gone", async || {
        if node.names(DP, "Backup").await.is_empty() { Ok(()) } else { Err("still there".to_owned()) }
    })
    .await;
    assert!(!files.exists(), "its files are deleted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_waits_for_its_consumer_is_filled_on_the_consumers_node() {
    let node = node("later").await;
    let actions = protected(&node, "hostpath-wffc").await;
    backup(&node).await;
    open_gate(&node, "backup", &actions).await;
    open_gate(&node, "restore", &actions).await;
    node.until_phase("Backup", "b", "Completed").await;
    node.apply(&claim("copy", "hostpath-wffc", Some("b"))).await;
    check_data(&node, "copy").await; // its pod is the first consumer
    node.until_restored("copy").await;
    nothing_left(&node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_fails_says_why_in_the_scripts_own_words() {
    let node = node("broken").await;
    let name = protected(&node, "hostpath").await;
    let mut broken = actions(&name);
    broken["spec"]["backup"]["backupData"]["command"] = json!(["sh", "-c", "echo the database said no >&2; exit 3"]);
    node.apply_cluster(&broken).await;
    let mut policy = node.api(DP, "BackupPolicy").get("policy").await.expect("the policy");
    policy.data["spec"]["backoffLimit"] = json!(0);
    policy.metadata.managed_fields = None;
    node.apply(&json!({
        "apiVersion": DP, "kind": "BackupPolicy", "metadata": {"name": "policy"}, "spec": policy.data["spec"],
    }))
    .await;
    backup(&node).await;
    let failed = node.until_phase("Backup", "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap_or_default();
    assert!(why.contains("the database said no") && why.contains("exit code 3"), "{why}");
}
