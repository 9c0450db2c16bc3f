//! Backups by volume snapshots, with the kinds as a cluster that has them serves them (behaviour-backup §3.11, D16, D29).

use e2e_api::backups::{
    actions, backup, database, delete, exec_jobs, job_names, policy, until_backup, until_gone, until_job, until_says,
    until_status,
};
use e2e_api::populate::pods_end;
use e2e_api::snapshots::{CSI, class, install, ready, snapshot_policy, snapshots, until_snapshot};
use e2e_api::{PATIENCE, stage};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use test_kit::{Outcome, builders, wait};
use tokio::sync::{Mutex, OnceCell};

static INSTALLED: OnceCell<()> = OnceCell::const_new();
/// The kinds are missing for one test, and there for the others.
static TURN: Mutex<()> = Mutex::const_new(());

#[tokio::test]
async fn bd29_kinds_and_classes_that_come_later_and_errors_that_end() {
    let _turn = TURN.lock().await;
    let (stage, _) = stage("snapshot").await;
    database(&stage, "db-0").await;
    snapshot_policy(&stage, None).await;
    if INSTALLED.get().is_none() {
        backup(&stage, "early", |_| {}).await;
        until_says(&stage, "early", "VolumeSnapshotsNotInstalled", "snapshot.storage.k8s.io").await;
        install(&stage.client).await;
        INSTALLED.set(()).unwrap();
        until_says(&stage, "early", "VolumeSnapshotClassNotFound", CSI).await;
    }
    class(&stage.client, "a-plain", false).await;
    class(&stage.client, "z-default", true).await;
    backup(&stage, "b", |spec| spec["retentionPeriod"] = json!("1d")).await;
    let snapshot = until_snapshot(&stage, "b-0-data").await;
    assert_eq!(snapshot.data["spec"]["source"]["persistentVolumeClaimName"], "data");
    assert_eq!(snapshot.data["spec"]["volumeSnapshotClassName"], "z-default");
    assert!(snapshot.owner_references().is_empty(), "it is data: it outlives its Backup where that is retained");
    let running = until_status(&stage, "b", "it runs", |s| s["actions"][0]["phase"] == "Running").await;
    assert_eq!(running["actions"][0]["name"], "createVolumeSnapshot-0");
    assert_eq!((running.get("path"), running.get("backupRepoName")), (None, None), "a snapshot has no repository");
    builders::set_status(&snapshots(&stage), "b-0-data", &ready()).await;
    let done = until_backup(&stage, "b", "Completed").await;
    let action = &done.data["status"]["actions"][0];
    let wanted = json!([{"name": "b-0-data", "contentName": "content", "volumeName": "data", "size": "1Gi"}]);
    assert_eq!(action["volumeSnapshots"], wanted);
    assert_eq!(done.data["status"]["totalSize"], "1073741824");
    assert_eq!(done.data["status"]["timeRange"]["end"], "2026-11-21T00:00:00Z");
    assert_eq!(done.labels()["dataprotection.kubeblocks.io/backup-type"], "Full");

    backup(&stage, "broken", |_| {}).await;
    until_snapshot(&stage, "broken-0-data").await;
    let error = json!({"error": {"message": "cannot find CSI PersistentVolumeSource for volume x"}});
    builders::set_status(&snapshots(&stage), "broken-0-data", &error).await;
    let failed = until_backup(&stage, "broken", "Failed").await;
    assert!(failed.data["status"]["failureReason"].as_str().unwrap().contains("CSI PersistentVolumeSource"));

    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert!(snapshots(&stage).get_opt("b-0-data").await.unwrap().is_none(), "the snapshot went before the object");
    let retain = Patch::Merge(json!({"spec": {"deletionPolicy": "Retain"}}));
    let api = e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace);
    api.patch("broken", &PatchParams::default(), &retain).await.unwrap();
    delete(&stage, "Backup", "broken").await;
    until_gone(&stage, "Backup", "broken").await;
    assert!(snapshots(&stage).get_opt("broken-0-data").await.unwrap().is_some(), "BD20: what is retained stays");
    assert!(job_names(&stage, "").await.is_empty(), "no Job deletes files that never were");
}

#[tokio::test]
async fn bd16_hooks_beside_a_snapshot_need_no_repository() {
    let _turn = TURN.lock().await;
    let (stage, company) = stage("quiesce").await;
    if INSTALLED.get().is_none() {
        install(&stage.client).await;
        INSTALLED.set(()).unwrap();
    }
    class(&stage.client, "z-default", true).await;
    database(&stage, "db-0").await;
    let spec = json!({"backupType": "Full", "backup": {
        "preBackup": [{"exec": {"command": ["freeze"]}}],
        "postBackup": [{"job": {"image": "docker.io/local/busybox:1", "command": ["thaw"]}}]}});
    let name = actions(&stage, "quiesce", &spec).await;
    snapshot_policy(&stage, Some(&name)).await;
    pods_end(&stage, company, Outcome::succeed());
    backup(&stage, "b", |_| {}).await;
    until_snapshot(&stage, "b-0-data").await;
    assert_eq!(job_names(&stage, "dp-postbackup").await, Vec::<String>::new(), "the hook comes after the snapshot");
    builders::set_status(&snapshots(&stage), "b-0-data", &ready()).await;
    let pod = until_job(&stage, "dp-postbackup-0-0-b-").await.spec.unwrap().template.spec.unwrap();
    let volumes: Vec<&str> = pod.volumes.iter().flatten().map(|v| v.name.as_str()).collect();
    assert!(!volumes.contains(&"dp-backup-data"), "{volumes:?}");
    until_backup(&stage, "b", "Completed").await;
    wait::eventually(PATIENCE, "the Job of the exec hook is gone", async || {
        let left = exec_jobs(&stage).await.len();
        if left == 0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn a_snapshot_that_a_stranger_deletes_fails_the_backup() {
    let _turn = TURN.lock().await;
    let (stage, _) = stage("snapgone").await;
    if INSTALLED.get().is_none() {
        install(&stage.client).await;
        INSTALLED.set(()).unwrap();
    }
    class(&stage.client, "z-default", true).await;
    database(&stage, "db-0").await;
    snapshot_policy(&stage, None).await;
    backup(&stage, "b", |_| {}).await;
    until_status(&stage, "b", "it runs", |s| s["actions"][0]["phase"] == "Running").await;
    snapshots(&stage).delete("b-0-data", &DeleteParams::default()).await.unwrap();
    let failed = until_backup(&stage, "b", "Failed").await;
    assert!(failed.data["status"]["failureReason"].as_str().unwrap().contains("was deleted before it was ready"));
    assert_eq!(snapshots(&stage).list(&ListParams::default()).await.unwrap().items.len(), 0, "it is not taken again");
}
