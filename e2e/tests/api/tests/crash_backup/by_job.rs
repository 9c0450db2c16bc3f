//! A backup by Job, with a hook in the database before it and one beside it after it.

use crate::{killed, until_work_is_gone};
use e2e_api::backups::{actions, backup, data_action, database, policy, told, until_backup};
use e2e_api::crash_points::Workload;
use e2e_api::objects::until_phase;
use e2e_api::populate::pods_end;
use e2e_api::{Company, Stage};
use serde_json::json;
use test_kit::Outcome;

struct ByJob;

impl Workload for ByJob {
    const NAME: &'static str = "job";

    async fn prepare(&self, stage: &Stage, company: &Company) {
        let spec = json!({"backupType": "Full", "backup": {
            "preBackup": [{"exec": {"command": ["lock"]}}],
            "backupData": data_action(),
            "postBackup": [{"job": {"image": "docker.io/local/busybox:1", "command": ["unlock"]}}]}});
        let name = actions(stage, "job", &spec).await;
        until_phase(&stage.client, "ActionSet", "", &name, "Available").await;
        database(stage, "db-0").await;
        policy(stage, &name, |_| {}).await;
        let at = "2026-11-21T00:00:00Z";
        pods_end(stage, company, Outcome::succeed_with(told("1Gi", at, at)));
    }

    async fn play(&self, stage: &Stage, _: &Company) {
        backup(stage, "b", |spec| spec["retentionPeriod"] = json!("3d")).await;
        let done = until_backup(stage, "b", "Completed").await;
        assert_eq!(done.data["status"]["actions"].as_array().map(Vec::len), Some(3), "{:?}", done.data);
        until_work_is_gone(stage).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_by_job_ends_the_same_whichever_write_the_operator_dies_at() {
    killed(ByJob, 6).await;
}
