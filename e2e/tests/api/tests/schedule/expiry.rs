//! What expires goes when its time comes; what stays says why.

use crate::{change, change_status, from_now};
use api_types::contract::{annotations, labels};
use e2e_api::backups::{policy, until_gone};
use e2e_api::objects::{action_set, create, dp, prepare_data};
use e2e_api::{IMMEDIATE, PATIENCE, Stage, stage};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::builders::Claim;
use test_kit::wait;

/// A completed Backup of `policy` by `method` that expires then; `status` may say more.
async fn completed(stage: &Stage, name: &str, method: &str, ended: i64, expires: &str, more: Value) {
    let alone = json!({annotations::SKIP_RECONCILIATION: "true"});
    let spec = json!({"backupPolicyName": "policy", "backupMethod": method, "retentionPeriod": "1d"});
    create(stage, "Backup", name, &alone, &spec).await;
    let mut status = json!({
        "phase": "Completed", "completionTimestamp": from_now(ended), "expiration": expires,
        "target": {"podSelector": {"matchLabels": {"app": "db"}}},
    });
    for (key, value) in more.as_object().unwrap() {
        status[key] = value.clone();
    }
    change_status(stage, "Backup", name, status).await;
    let own = json!({"metadata": {"annotations": {annotations::SKIP_RECONCILIATION: null}, "labels": {labels::AUTO_BACKUP: "true"}}});
    change(stage, "Backup", name, own).await;
}

async fn until_kept(stage: &Stage, name: &str, because: &str) {
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, &format!("Backup {name} is kept: {because}"), async || {
        let status = api.get(name).await.map_err(|e| e.to_string())?.data["status"].clone();
        let said = status["keptBecause"].as_str().unwrap_or_default();
        if said.contains(because) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
}

async fn exists(stage: &Stage, name: &str) -> bool {
    dp(&stage.client, "Backup", &stage.namespace).get_opt(name).await.unwrap().is_some()
}

#[tokio::test]
async fn the_older_goes_at_its_time_and_the_last_good_one_stays_and_says_so() {
    let (stage, _) = stage("expires").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    let soon = from_now(6);
    completed(&stage, "good", "full", -10, &soon, json!({})).await;
    completed(&stage, "old", "full", -20, &soon, json!({})).await;
    completed(&stage, "young", "full", -30, &from_now(3600), json!({})).await;
    assert!(exists(&stage, "old").await, "not before its time");
    until_gone(&stage, "Backup", "old").await;
    assert!(from_now(0) >= soon, "not before its time");
    until_kept(&stage, "good", "it is the latest completed backup of method full").await;
    assert!(exists(&stage, "young").await);
    // A newer one releases it.
    completed(&stage, "newer", "full", 0, &from_now(3600), json!({})).await;
    until_gone(&stage, "Backup", "good").await;
    // More than the most go before their time.
    change(&stage, "BackupPolicy", "policy", json!({"metadata": {"annotations": {annotations::MAX_BACKUPS: "1"}}}))
        .await;
    until_gone(&stage, "Backup", "young").await;
    assert!(exists(&stage, "newer").await);
}

/// Rule 34, the way out that the contract has, and a setting that can not be read.
#[tokio::test]
async fn rule_34_only_a_policy_that_says_none_lets_the_last_one_go() {
    let (stage, _) = stage("none").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    completed(&stage, "last", "full", -10, &from_now(-1), json!({})).await;
    until_kept(&stage, "last", "it is the latest").await;
    let odd =
        json!({"metadata": {"annotations": {annotations::KEEP_LATEST: "many"}}, "spec": {"retentionPolicy": "none"}});
    change(&stage, "BackupPolicy", "policy", odd).await;
    until_kept(&stage, "last", "\"many\" is no number from 1").await;
    change(&stage, "BackupPolicy", "policy", json!({"metadata": {"annotations": {annotations::KEEP_LATEST: null}}}))
        .await;
    until_gone(&stage, "Backup", "last").await;
}

/// BD22.
#[tokio::test]
async fn bd22_a_base_stays_for_its_increment_and_a_chain_goes_from_its_end() {
    let (stage, _) = stage("chain").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    let past = from_now(-1);
    completed(&stage, "f2", "full", -1, &from_now(3600), json!({})).await;
    let on = |parent: &str, base: &str| json!({"parentBackupName": parent, "baseBackupName": base});
    completed(&stage, "i9", "inc", 0, &from_now(3600), on("f2", "f2")).await;
    completed(&stage, "i2", "inc", -10, &from_now(3600), on("i1", "f")).await;
    completed(&stage, "i1", "inc", -20, &past, on("f", "f")).await;
    completed(&stage, "f", "full", -30, &past, json!({})).await;
    until_kept(&stage, "f", "Backup i2 of its chain has not expired").await;
    until_kept(&stage, "i1", "Backup i2 of its chain has not expired").await;
    change_status(&stage, "Backup", "i2", json!({"expiration": past})).await;
    for name in ["i2", "i1", "f"] {
        until_gone(&stage, "Backup", name).await;
    }
    assert!(exists(&stage, "f2").await && exists(&stage, "i9").await);
}

/// BD1.
#[tokio::test]
async fn bd1_an_outage_does_not_erase_an_archive_whose_entry_is_on() {
    let (stage, _) = stage("outage").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |spec| {
        spec["retentionPolicy"] = json!("none");
        // Its ActionSet is away: its own controller waits for that, and changes nothing meanwhile.
        let log = json!({"name": "log", "actionSetName": format!("away-{}", stage.namespace)});
        spec["backupMethods"].as_array_mut().unwrap().push(log);
    })
    .await;
    let entry = |enabled: bool| json!([{"backupMethod": "log", "cronExpression": "*/5 * * * *", "enabled": enabled}]);
    let off = json!({"backupPolicyName": "policy", "schedules": entry(true)});
    create(&stage, "BackupSchedule", "s", &json!({}), &off).await;
    let failed = json!({"phase": "Failed", "completionTimestamp": null, "startTimestamp": from_now(-3 * 86400)});
    completed(&stage, "archive", "log", -10, &from_now(3600), failed).await;
    let own = json!({"metadata": {"labels": {labels::BACKUP_TYPE: "Continuous", labels::BACKUP_SCHEDULE: "s"}}});
    change(&stage, "Backup", "archive", own).await;
    change_status(&stage, "Backup", "archive", json!({"expiration": from_now(-1)})).await;
    until_kept(&stage, "archive", "entry log of BackupSchedule s is enabled").await;
    change(&stage, "BackupSchedule", "s", json!({"spec": {"schedules": entry(false)}})).await;
    until_gone(&stage, "Backup", "archive").await;
}

/// Design D13.
#[tokio::test]
async fn nothing_is_rotated_until_a_restore_of_the_target_is_proven() {
    let (stage, _) = stage("unproven").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    Claim::new("data", IMMEDIATE)
        .from_backup("missing")
        .label("app", "db")
        .create(&stage.client, &stage.namespace)
        .await;
    e2e_api::objects::until_restore(&stage, "data", "Unknown", "BackupNotFound").await;
    completed(&stage, "good", "full", -10, &from_now(3600), json!({})).await;
    completed(&stage, "old", "full", -20, &from_now(-1), json!({})).await;
    until_kept(&stage, "old", "claim data restores what it was taken of and is not proven").await;
    let accepted = Patch::Merge(json!({"metadata": {"annotations": {annotations::ACCEPT: "seen"}}}));
    e2e_api::objects::claims(&stage).patch("data", &PatchParams::default(), &accepted).await.unwrap();
    until_gone(&stage, "Backup", "old").await;
}

/// A Backup that keeps its data expires as any other; one that is to be left alone does not.
#[tokio::test]
async fn retained_and_snapshot_backups_expire_and_skipped_ones_do_not() {
    let (stage, _) = stage("retained").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    completed(&stage, "good", "full", -10, &from_now(3600), json!({})).await;
    completed(&stage, "skipped", "full", -30, &from_now(3600), json!({})).await;
    change(
        &stage,
        "Backup",
        "skipped",
        json!({"metadata": {"annotations": {annotations::SKIP_RECONCILIATION: "True"}}}),
    )
    .await;
    change_status(&stage, "Backup", "skipped", json!({"expiration": from_now(-1)})).await;
    let snapshot = json!({"backupMethod": {"name": "full", "snapshotVolumes": true}});
    completed(&stage, "snapshot", "full", -20, &from_now(3600), snapshot).await;
    change(&stage, "Backup", "snapshot", json!({"spec": {"deletionPolicy": "Retain"}})).await;
    change_status(&stage, "Backup", "snapshot", json!({"expiration": from_now(-1)})).await;
    until_gone(&stage, "Backup", "snapshot").await;
    wait::stays(Duration::from_secs(2), "the skipped one is left alone", async || {
        if exists(&stage, "skipped").await { Ok(()) } else { Err("it is gone".into()) }
    })
    .await;
}
