//! A Backup with files, a preDelete action and a child that builds on it is deleted.

use crate::{killed, until_work_is_gone};
use e2e_api::backups::{actions, backup, data_action, database, delete, policy, told, until_backup, until_gone};
use e2e_api::crash_points::Workload;
use e2e_api::objects::until_phase;
use e2e_api::populate::pods_end;
use e2e_api::{Company, Stage};
use serde_json::json;
use test_kit::Outcome;

struct Deletion;

impl Workload for Deletion {
    const NAME: &'static str = "deletion";

    async fn prepare(&self, stage: &Stage, company: &Company) {
        let of = |type_: &str| {
            json!({"backupType": type_, "backup": {"backupData": data_action(),
                "preDelete": {"image": "docker.io/local/busybox:1", "command": ["forget"]}}})
        };
        let full = actions(stage, "full", &of("Full")).await;
        until_phase(&stage.client, "ActionSet", "", &full, "Available").await;
        let inc = actions(stage, "inc", &of("Incremental")).await;
        until_phase(&stage.client, "ActionSet", "", &inc, "Available").await;
        database(stage, "db-0").await;
        policy(stage, &full, |spec| {
            let mut method = spec["backupMethods"][0].clone();
            method["name"] = json!("inc");
            method["actionSetName"] = json!(inc);
            method["compatibleMethod"] = json!("full");
            spec["backupMethods"].as_array_mut().expect("methods").push(method);
        })
        .await;
        for (name, method, at) in [("b", "full", "2026-11-21T01:00:00Z"), ("child", "inc", "2026-11-21T02:00:00Z")] {
            pods_end(stage, company, Outcome::succeed_with(told("1", at, at)));
            backup(stage, name, |spec| spec["backupMethod"] = json!(method)).await;
            until_backup(stage, name, "Completed").await;
        }
        until_work_is_gone(stage).await;
    }

    async fn play(&self, stage: &Stage, _: &Company) {
        delete(stage, "Backup", "b").await;
        for name in ["child", "b"] {
            until_gone(stage, "Backup", name).await;
        }
        until_work_is_gone(stage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_ends_the_same_whichever_write_the_operator_dies_at() {
    killed(Deletion, 6).await;
}
