//! An archive: its schedule makes it, its pod is replaced by another, its entry is switched off and it completes.

use crate::{killed, until_work_is_gone};
use e2e_api::backups::{actions, database, enable, pods, policy, schedule, until_backup, until_status};
use e2e_api::crash_points::Workload;
use e2e_api::objects::dp;
use e2e_api::objects::until_phase;
use e2e_api::populate::pods_end;
use e2e_api::{Company, PATIENCE, Stage};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use test_kit::{Outcome, wait};

struct Archive;

async fn until_replicas(stage: &Stage, wanted: Option<i32>) {
    let sets: Api<StatefulSet> = Api::namespaced(stage.client.clone(), &stage.namespace);
    wait::eventually(PATIENCE, &format!("the StatefulSet has replicas {wanted:?}"), async || {
        let all = sets.list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
        let seen: Vec<_> = all.iter().map(|s| s.spec.as_ref().and_then(|s| s.replicas)).collect();
        if seen == wanted.map(|n| vec![Some(n)]).unwrap_or_default() { Ok(()) } else { Err(format!("{seen:?}")) }
    })
    .await;
}

async fn until_written_from(stage: &Stage, name: &str, pod: &str) {
    until_status(stage, name, &format!("it is written from {pod}"), |s| {
        let action = &s["actions"][0];
        s["phase"] == "Running" && action["targetPodName"] == pod && action["availableReplicas"] == 1
    })
    .await;
}

impl Workload for Archive {
    const NAME: &'static str = "continuous";

    async fn prepare(&self, stage: &Stage, company: &Company) {
        let spec = json!({"backupType": "Continuous", "backup": {"backupData": {
            "image": "docker.io/local/busybox:1", "runOnTargetPodNode": true, "command": ["archive"]}}});
        let name = actions(stage, "log", &spec).await;
        until_phase(&stage.client, "ActionSet", "", &name, "Available").await;
        database(stage, "db-0").await;
        policy(stage, &name, |spec| spec["backupMethods"][0]["name"] = json!("log")).await;
        pods_end(stage, company, Outcome::Hold);
    }

    async fn play(&self, stage: &Stage, _: &Company) {
        schedule(stage, "log", true).await;
        let backups = dp(&stage.client, "Backup", &stage.namespace);
        let name = wait::eventually(PATIENCE, "the Backup of the entry", async || {
            let all = backups.list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
            all.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
        })
        .await;
        until_written_from(stage, &name, "db-0").await;
        pods(stage).delete("db-0", &DeleteParams::default().grace_period(0)).await.expect("delete");
        until_replicas(stage, Some(0)).await;
        database(stage, "db-1").await;
        until_written_from(stage, &name, "db-1").await;
        until_replicas(stage, Some(1)).await;
        enable(stage, false).await;
        until_backup(stage, &name, "Completed").await;
        until_replicas(stage, None).await;
        until_work_is_gone(stage).await;
        assert_eq!(backups.list(&ListParams::default()).await.expect("list").items.len(), 1, "one archive");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_archive_ends_the_same_whichever_write_the_operator_dies_at() {
    killed(Archive, 6).await;
}
