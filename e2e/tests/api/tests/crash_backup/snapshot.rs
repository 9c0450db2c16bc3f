//! A backup by snapshots of two volumes, between hooks.

use crate::{killed, until_work_is_gone};
use e2e_api::backups::{TARGET, actions, backup, policy, until_backup};
use e2e_api::crash_points::Workload;
use e2e_api::objects::until_phase;
use e2e_api::populate::pods_end;
use e2e_api::snapshots::{class, install, ready, snapshots, until_snapshot};
use e2e_api::{Company, IMMEDIATE, Stage};
use serde_json::json;
use test_kit::Outcome;
use test_kit::builders::{self, Claim};

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
