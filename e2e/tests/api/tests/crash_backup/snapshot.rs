//! A backup by snapshots of two volumes, between hooks.

use crate::{TURN, killed, until_work_is_gone};
use e2e_api::backups::{TARGET, actions, backup, database, policy, until_backup, until_status};
use e2e_api::crash_points::Workload;
use e2e_api::objects::until_phase;
use e2e_api::populate::pods_end;
use e2e_api::snapshots::{class, install, ready, snapshot_policy, snapshots, until_snapshot};
use e2e_api::{Company, IMMEDIATE, Stage, stage};
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use std::time::Duration;
use test_kit::builders::{self, Claim};
use test_kit::{Fault, Outcome, wait};

struct BySnapshot;

impl Workload for BySnapshot {
    const NAME: &'static str = "snapshot";

    async fn prepare(&self, stage: &Stage, company: &Company) {
        install(&stage.client).await;
        class(&stage.client, "default", true).await;
        for claim in ["data", "log"] {
            Claim::new(claim, IMMEDIATE).create(&stage.client, &stage.namespace).await;
        }
        builders::target_pod(&stage.client, &stage.namespace, "db-0", &[TARGET], &["data", "log"]).await;
        let spec = json!({"backupType": "Full", "backup": {
            "preBackup": [{"exec": {"command": ["freeze"]}}],
            "postBackup": [{"job": {"image": "docker.io/local/busybox:1", "command": ["thaw"]}}]}});
        let name = actions(stage, "snapshot", &spec).await;
        until_phase(&stage.client, "ActionSet", "", &name, "Available").await;
        policy(stage, &name, |spec| {
            spec["backupMethods"][0]["snapshotVolumes"] = json!(true);
            spec["backupMethods"][0]["targetVolumes"] = json!({"volumes": ["data", "log"]});
        })
        .await;
        pods_end(stage, company, Outcome::succeed());
    }

    async fn play(&self, stage: &Stage, _: &Company) {
        backup(stage, "b", |_| {}).await;
        for name in ["b-0-data", "b-0-log"] {
            until_snapshot(stage, name).await;
        }
        for name in ["b-0-data", "b-0-log"] {
            builders::set_status(&snapshots(stage), name, &ready()).await;
        }
        let done = until_backup(stage, "b", "Completed").await;
        assert_eq!(done.data["status"]["totalSize"], "2147483648");
        until_work_is_gone(stage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_by_snapshot_ends_the_same_whichever_write_the_operator_dies_at() {
    killed(BySnapshot, 6).await;
}

/// The cache of Backups shows the action as new for as long as it lags. A snapshot taken a second time would be of another
/// moment than the one the hooks before it made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_that_was_deleted_is_not_taken_again_by_a_cache_that_lags() {
    let _turn = TURN.lock().await;
    let (stage, company) = stage("lags").await;
    install(&stage.client).await;
    class(&stage.client, "default", true).await;
    database(&stage, "db-0").await;
    snapshot_policy(&stage, None).await;
    let ours = stage.namespace.clone();
    company.proxy.arm(
        Fault::freeze_watch(1, "backups")
            .when(move |r| r.namespace == ours && r.resource == "volumesnapshots" && r.method.as_str() == "POST"),
    );
    backup(&stage, "b", |_| {}).await;
    until_status(&stage, "b", "its action runs", |s| s["actions"][0]["phase"] == "Running").await;
    assert_eq!(company.proxy.disarm(), [""; 0], "the cache lags");
    snapshots(&stage).delete("b-0-data", &DeleteParams::default()).await.expect("delete");
    wait::stays(Duration::from_secs(3), "it is not taken again", async || {
        let left = snapshots(&stage).list(&ListParams::default()).await.expect("list").items;
        if left.is_empty() { Ok(()) } else { Err(format!("{:?}", left[0].metadata)) }
    })
    .await;
    company.proxy.resume_watch("backups");
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap_or_default().to_owned();
    assert!(why.contains("was deleted"), "{why}");
}
