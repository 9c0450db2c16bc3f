//! Continuous entries: one Backup that follows its entry.

use crate::{backups, change, change_status, policy_with_log, schedule, until_backups, until_schedule};
use api_types::contract::{annotations, labels};
use e2e_api::objects::dp;
use e2e_api::{PATIENCE, Stage, stage};
use kube::ResourceExt;
use kube::api::DynamicObject;
use serde_json::{Value, json};
use test_kit::wait;

fn log(enabled: Option<bool>, retention: &str) -> Value {
    json!([{"backupMethod": "log", "cronExpression": "*/5 * * * *", "enabled": enabled, "retentionPeriod": retention}])
}

async fn until(stage: &Stage, name: &str, what: &str, enough: impl Fn(&DynamicObject) -> bool) -> DynamicObject {
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, what, async || {
        let backup = api.get(name).await.map_err(|e| e.to_string())?;
        if enough(&backup) { Ok(backup) } else { Err(backup.data.to_string()) }
    })
    .await
}

/// Rules 25, 28 and 30.
#[tokio::test]
async fn rule_25_one_backup_follows_a_continuous_entry() {
    let (stage, _) = stage("archive").await;
    policy_with_log(&stage).await;
    schedule(&stage, log(None, "8d")).await;
    let made = until_backups(&stage, "it is there", |all| all.len() == 1).await.remove(0);
    let name = made.name_any();
    assert!(name.ends_with("-log"), "{name}");
    for (key, value) in [
        ("app", "db"),
        (labels::MANAGED_BY, labels::MANAGED_BY_DP),
        (labels::BACKUP_TYPE, "Continuous"),
        (labels::BACKUP_SCHEDULE, "s"),
        (labels::AUTO_BACKUP, "true"),
    ] {
        assert_eq!(made.labels().get(key).map(String::as_str), Some(value), "{key}");
    }
    assert_eq!(made.data["spec"]["retentionPeriod"], "8d");
    // From here on this test is its controller.
    let alone = json!({"metadata": {"annotations": {annotations::SKIP_RECONCILIATION: "true"}}});
    change(&stage, "Backup", &name, alone).await;
    change_status(&stage, "Backup", &name, json!({"phase": "Running"})).await;
    change(&stage, "BackupSchedule", "s", json!({"spec": {"schedules": log(Some(true), "9d")}})).await;
    until(&stage, &name, "its retention follows", |b| b.data["spec"]["retentionPeriod"] == "9d").await;
    change(&stage, "BackupSchedule", "s", json!({"spec": {"schedules": log(Some(false), "9d")}})).await;
    until_schedule(&stage, "it is off", |s| s["observedGeneration"] == 3).await;
    change_status(
        &stage,
        "Backup",
        &name,
        json!({"phase": "Completed", "failureReason": "stopped", "expiration": "2020-01-01T00:00:00Z"}),
    )
    .await;
    change(&stage, "BackupSchedule", "s", json!({"spec": {"schedules": log(Some(true), "9d")}})).await;
    let again = until(&stage, &name, "it goes on", |b| b.data["status"]["phase"] == "Running").await;
    assert_eq!((again.data["status"].get("failureReason"), again.data["status"].get("expiration")), (None, None));
    assert_eq!(backups(&stage).await.len(), 1);
}
