//! CronJobs of the reference: taken over with their last slot when that is safe, and never another's.

use crate::{backups, change, entry, schedule_with, slot, until_backups, until_schedule};
use api_types::contract::{FINALIZER, annotations, labels};
use e2e_api::backups::{database, policy};
use e2e_api::objects::{action_set, prepare_data};
use e2e_api::{PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::CronJob;
use kube::api::{DynamicObject, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use test_kit::{builders, wait};

fn cron_jobs(stage: &Stage) -> Api<CronJob> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// A suspended CronJob as the reference makes it for an entry of that schedule, so that only its record matters.
async fn cron_job(
    stage: &Stage,
    schedule: &DynamicObject,
    entry: &str,
    last: &str,
    change: impl FnOnce(&mut Value),
) -> String {
    let uid = schedule.uid().unwrap();
    let head = format!("{}-s-{}", &uid[..8], stage.namespace);
    let name = format!("{}-{entry}", head[..head.len().min(30)].trim_end_matches('-'));
    let mut body = json!({
        "metadata": {
            "name": name, "namespace": stage.namespace, "finalizers": [FINALIZER],
            "labels": {labels::MANAGED_BY: labels::MANAGED_BY_DP, labels::BACKUP_METHOD: "full", labels::BACKUP_SCHEDULE: "s"},
            "ownerReferences": [{"apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "BackupSchedule", "name": "s",
                "uid": uid, "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {"schedule": "0 0 1 1 *", "suspend": true, "timeZone": "UTC", "jobTemplate": {"spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "backup-schedule", "image": "tools:1"}]}}}}},
    });
    change(&mut body);
    let name = body["metadata"]["name"].as_str().unwrap().to_owned();
    let job: CronJob = serde_json::from_value(body).unwrap();
    cron_jobs(stage).create(&PostParams::default(), &job).await.expect("create a CronJob");
    builders::set_status(&cron_jobs(stage), &name, &json!({"lastScheduleTime": last})).await;
    name
}

async fn until_gone(stage: &Stage, name: &str) {
    wait::eventually(PATIENCE, &format!("CronJob {name} is gone"), async || {
        match cron_jobs(stage).get_opt(name).await {
            Ok(None) => Ok(()),
            Ok(Some(job)) => Err(format!("{:?}", job.metadata)),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
}

/// Without its lease another operator may be at work: it is said, and nothing runs twice. Adopted, the last slot of
/// the CronJob is not repeated and the first one after it is not lost.
#[tokio::test]
async fn a_cron_job_of_the_reference_is_taken_over_with_its_last_slot() {
    let (stage, _) = stage("adopt").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    // The schedule waits for its policy until the CronJob is there, as after an upgrade.
    let made = schedule_with(&stage, &json!({}), |spec| spec["schedules"] = json!([entry("0 * * * *")])).await;
    until_schedule(&stage, "it waits for its policy", |s| s["phase"] == "Failed").await;
    let hour = test_kit::clock::now().as_second() / 3600 * 3600;
    let at = |second: i64| jiff::Timestamp::from_second(second).unwrap().to_string();
    let name = cron_job(&stage, &made, "full", &at(hour - 2 * 3600), |_| {}).await;
    let foreign = cron_job(&stage, &made, "full", &at(hour), |body| {
        body["metadata"]["name"] = json!("not-the-references");
        body["metadata"]["finalizers"] = json!([]);
        body["metadata"]["ownerReferences"] = json!([]);
    })
    .await;
    policy(&stage, &actions, |_| {}).await;
    let told =
        until_schedule(&stage, "the CronJob is named", |s| s["schedules"]["full"]["reason"] == "ForeignCronJob").await;
    assert!(told["schedules"]["full"]["message"].as_str().unwrap().contains(&name), "{told}");
    assert!(backups(&stage).await.is_empty());
    change(&stage, "BackupSchedule", "s", json!({"metadata": {"annotations": {annotations::ADOPT: "true"}}})).await;
    until_gone(&stage, &name).await;
    let all = until_backups(&stage, "what it missed runs", |all| all.len() == 1).await;
    let latest = test_kit::clock::now().as_second() / 3600 * 3600;
    assert!([at(hour), at(latest)].contains(&slot(&all[0])), "{}", slot(&all[0]));
    assert!(cron_jobs(&stage).get_opt(&foreign).await.unwrap().is_some(), "a CronJob of somebody else stays");
}

/// BD9; rule 37.
#[tokio::test]
async fn bd9_cron_jobs_of_removed_entries_go_and_a_deleted_schedule_leaves_nothing() {
    let (stage, _) = stage("removed").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    let adopt = json!({annotations::ADOPT: "true"});
    let made = schedule_with(&stage, &adopt, |spec| spec["schedules"] = json!([entry("0 0 1 1 *")])).await;
    let gone = cron_job(&stage, &made, "gone", &crate::from_now(-60), |_| {}).await;
    until_gone(&stage, &gone).await;
    change(&stage, "BackupSchedule", "s", json!({"metadata": {"finalizers": [FINALIZER]}})).await;
    e2e_api::backups::delete(&stage, "BackupSchedule", "s").await;
    e2e_api::backups::until_gone(&stage, "BackupSchedule", "s").await;
}
