//! Runs: what they are named and carry, what holds them back, what a schedule says about itself.

use crate::{backups, change, change_status, entry, schedule, schedule_with, slot, until_backups, until_schedule};
use api_types::contract::labels;
use e2e_api::backups::{backup, database, policy, until_backup};
use e2e_api::objects::{action_set, create, dp, prepare_data};
use e2e_api::populate::pods_end;
use e2e_api::stage;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::{Outcome, wait};

#[tokio::test]
async fn a_due_entry_makes_a_backup_that_completes_and_is_told() {
    let (stage, _) = stage("due").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    schedule(&stage, json!([entry("@every 3s")])).await;
    let all =
        until_backups(&stage, "a run completed", |all| all.iter().any(|b| b.data["status"]["phase"] == "Completed"))
            .await;
    let first = all.iter().min_by_key(|b| slot(b)).unwrap();
    let time: String = slot(first).chars().filter(char::is_ascii_digit).collect();
    assert_eq!(first.name_any(), format!("s-full-{time}"), "named by its slot");
    assert_eq!(first.labels()[labels::AUTO_BACKUP], "true");
    assert_eq!(first.labels()[labels::BACKUP_SCHEDULE], "s");
    let spec = &first.data["spec"];
    assert_eq!((&spec["backupMethod"], &spec["retentionPeriod"]), (&json!("full"), &json!("3d")));
    assert_eq!(spec["deletionPolicy"], "Delete");
    assert!(first.owner_references().is_empty());
    let told = until_schedule(&stage, "the schedule tells of it", |s| {
        s["schedules"]["full"]["lastSuccessfulTime"].is_string()
    })
    .await;
    assert_eq!(told["phase"], "Available");
    let full = &told["schedules"]["full"];
    assert_eq!(full["phase"], "Running");
    assert!(full["nextScheduleTime"].is_string() && full["lastScheduleTime"].is_string(), "{full}");
    let api = dp(&stage.client, "BackupSchedule", &stage.namespace);
    assert_eq!(api.get("s").await.unwrap().labels()[labels::BACKUP_POLICY], "policy");
}

#[tokio::test]
async fn what_is_wrong_is_told_and_mending_it_is_noticed() {
    let (stage, _) = stage("wrong").await;
    schedule(&stage, json!([entry("61 * * * *"), {"name": "other", "backupMethod": "nope", "cronExpression": "@daily", "enabled": true}])).await;
    let told = until_schedule(&stage, "the missing policy is named", |s| s["phase"] == "Failed").await;
    assert!(told["failureReason"].as_str().unwrap().contains("there is no BackupPolicy \"policy\""), "{told}");
    let actions = format!("actions-{}", stage.namespace);
    policy(&stage, &actions, |_| {}).await;
    let said = |s: &Value, part: &str| s["failureReason"].as_str().is_some_and(|f| f.contains(part));
    until_schedule(&stage, "the missing ActionSet is named", |s| said(s, &format!("ActionSet {actions}"))).await;
    action_set(&stage, prepare_data()).await;
    let told = until_schedule(&stage, "each entry's fault is named", |s| said(s, "61 is not in 0-59")).await;
    assert!(said(&told, "spec.schedules[other].backupMethod: \"nope\""), "{told}");
    assert_eq!(told["schedules"]["full"]["phase"], "Failed");
    change(&stage, "BackupSchedule", "s", json!({"spec": {"schedules": [entry("0 18 * * *")]}})).await;
    let told = until_schedule(&stage, "it is right now", |s| s["phase"] == "Available").await;
    assert_eq!(told.get("failureReason"), None);
    assert!(told["schedules"]["full"]["nextScheduleTime"].as_str().unwrap().ends_with("T18:00:00Z"), "{told}");
    assert_eq!(told["schedules"].as_object().unwrap().len(), 1, "what left the spec left the status");
    assert!(backups(&stage).await.is_empty());
}

#[tokio::test]
async fn no_run_starts_beside_the_one_before_and_the_missed_ones_become_one() {
    let (stage, company) = stage("forbid").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    pods_end(&stage, company, Outcome::Hold);
    schedule(&stage, json!([entry("@every 2s")])).await;
    let told =
        until_schedule(&stage, "a run is held back", |s| s["schedules"]["full"]["reason"] == "WaitForPreviousBackup")
            .await;
    let all = backups(&stage).await;
    assert_eq!(all.len(), 1, "{told}");
    let first = all[0].name_any();
    assert!(told["schedules"]["full"]["message"].as_str().unwrap().contains(&first), "{told}");
    wait::stays(Duration::from_secs(5), "two slots pass and nothing starts", async || {
        let count = backups(&stage).await.len();
        if count == 1 { Ok(()) } else { Err(count.to_string()) }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    until_backup(&stage, &first, "Completed").await;
    let all = until_backups(&stage, "the next run", |all| all.len() == 2).await;
    let mut slots: Vec<String> = all.iter().map(slot).collect();
    slots.sort();
    let at = |n: usize| slots[n].parse::<jiff::Timestamp>().unwrap().as_second();
    assert!(at(1) - at(0) > 2, "the slots between became one run: {slots:?}");
}

#[tokio::test]
async fn a_slot_past_its_deadline_is_told_and_not_run() {
    let (stage, _) = stage("deadline").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    schedule_with(&stage, &json!({}), |spec| {
        spec["startingDeadlineMinutes"] = json!(5);
        spec["schedules"] = json!([entry("0 0 1 1 *")]);
    })
    .await;
    until_schedule(&stage, "it is looked at", |s| s["phase"] == "Available").await;
    // A slot of long ago, as if nobody had been there then.
    change_status(
        &stage,
        "BackupSchedule",
        "s",
        json!({"schedules": {"full": {"nextScheduleTime": "2026-01-01T00:00:00Z"}}}),
    )
    .await;
    let told = until_schedule(&stage, "it was missed", |s| s["schedules"]["full"]["reason"] == "MissedSchedule").await;
    assert_eq!(told["schedules"]["full"]["nextScheduleTime"], "2027-01-01T00:00:00Z");
    assert!(told["schedules"]["full"]["message"].as_str().unwrap().contains("2026-01-01T00:00:00Z"), "{told}");
    assert!(backups(&stage).await.is_empty());
}

#[tokio::test]
async fn bd28_an_incremental_without_a_full_backup_is_told_and_starts_with_one() {
    let (stage, _) = stage("increment").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let increments = format!("increments-{}", stage.namespace);
    let spec = json!({"backupType": "Incremental", "backup": {"backupData": {"image": "docker.io/local/busybox:1",
        "command": ["sh", "-c", "true"]}}});
    e2e_api::objects::apply_cluster(&stage.client, "ActionSet", &increments, &spec).await;
    policy(&stage, &actions, |spec| {
        let method = json!({"name": "inc", "actionSetName": increments, "compatibleMethod": "full"});
        spec["backupMethods"].as_array_mut().unwrap().push(method);
    })
    .await;
    schedule(&stage, json!([{"backupMethod": "inc", "cronExpression": "@every 2s", "enabled": true}])).await;
    let told =
        until_schedule(&stage, "it says what it lacks", |s| s["schedules"]["inc"]["reason"] == "NoFullBackup").await;
    assert!(
        told["schedules"]["inc"]["message"].as_str().unwrap().contains("no completed Backup of method full"),
        "{told}"
    );
    assert!(backups(&stage).await.is_empty());
    backup(&stage, "by-hand", |_| {}).await;
    until_backup(&stage, "by-hand", "Completed").await;
    until_backups(&stage, "an increment is made", |all| all.iter().any(|b| b.name_any().starts_with("s-inc-"))).await;
    let told = until_schedule(&stage, "and told", |s| s["schedules"]["inc"]["lastBackupName"].is_string()).await;
    assert_ne!(told["schedules"]["inc"]["reason"], "NoFullBackup");
}

/// Design D13.
#[tokio::test]
async fn a_restore_of_the_target_holds_runs_back_until_it_ends() {
    let (stage, _) = stage("restoring").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    // It waits for its Backup, so it has not ended.
    let claim =
        test_kit::builders::Claim::new("restored", e2e_api::IMMEDIATE).from_backup("missing").label("app", "db");
    claim.create(&stage.client, &stage.namespace).await;
    e2e_api::objects::until_restore(&stage, "restored", "Unknown", "BackupNotFound").await;
    schedule(&stage, json!([entry("@every 2s")])).await;
    let told =
        until_schedule(&stage, "the run is held back", |s| s["schedules"]["full"]["reason"] == "WaitForRestore").await;
    assert!(told["schedules"]["full"]["message"].as_str().unwrap().contains("claim restored"), "{told}");
    assert!(backups(&stage).await.is_empty());
    e2e_api::objects::claims(&stage).delete("restored", &DeleteParams::default()).await.unwrap();
    until_backups(&stage, "it runs", |all| !all.is_empty()).await;
}

#[tokio::test]
async fn a_name_that_another_bears_is_passed_by() {
    let (stage, _) = stage("taken").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    // The slot is stored and its Backup's name is another's.
    schedule(&stage, json!([entry("0 0 1 1 *")])).await;
    until_schedule(&stage, "it is looked at", |s| s["phase"] == "Available").await;
    create(
        &stage,
        "Backup",
        "taken",
        &json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"}),
        &json!({"backupPolicyName": "elsewhere", "backupMethod": "full", "parameters": []}),
    )
    .await;
    let slot = "2026-01-01T00:00:00Z";
    change_status(
        &stage,
        "BackupSchedule",
        "s",
        json!({"schedules": {"full": {
        "startingBackupName": "taken", "lastScheduleTime": slot, "nextScheduleTime": "2027-01-01T00:00:00Z"}}}),
    )
    .await;
    let all = until_backups(&stage, "the run has another name", |all| all.len() == 2).await;
    let run = all.iter().find(|b| b.name_any() != "taken").unwrap();
    assert_eq!(run.name_any(), "s-full-20260101000000");
}
