//! Chains of backups (behaviour-backup §7).

use e2e_api::backups::{
    actions, backup, data_action, database, delete, policy, told, until_backup, until_gone, until_job, until_waits,
};
use e2e_api::populate::pods_end;
use e2e_api::{Company, Stage, stage};
use serde_json::{Value, json};
use test_kit::Outcome;

/// A policy with methods `full`, `inc` and `diff`.
async fn chain(stage: &Stage, company: &Company) {
    database(stage, "db-0").await;
    let of = |type_: &str| json!({"backupType": type_, "backup": {"backupData": data_action()}});
    let full = actions(stage, "full", &of("Full")).await;
    let inc = actions(stage, "inc", &of("Incremental")).await;
    let diff = actions(stage, "diff", &of("Differential")).await;
    policy(stage, &full, |spec| {
        let methods = spec["backupMethods"].as_array_mut().unwrap();
        for (name, set) in [("inc", &inc), ("diff", &diff)] {
            let mut method = methods[0].clone();
            method["name"] = json!(name);
            method["actionSetName"] = json!(set);
            method["compatibleMethod"] = json!("full");
            methods.push(method);
        }
    })
    .await;
    pods_end(stage, company, Outcome::succeed());
}

async fn made(stage: &Stage, company: &Company, name: &str, method: &str, hour: u8) -> Value {
    let at = format!("2026-11-21T{hour:02}:00:00Z");
    pods_end(stage, company, Outcome::succeed_with(told("1", &at, &at)));
    backup(stage, name, |spec| spec["backupMethod"] = json!(method)).await;
    until_backup(stage, name, "Completed").await.data["status"].clone()
}

#[tokio::test]
async fn rule_32_a_chain_of_three_knows_its_parents_and_goes_with_its_base() {
    let (stage, company) = stage("chain").await;
    chain(&stage, company).await;
    backup(&stage, "early", |spec| spec["backupMethod"] = json!("inc")).await;
    let failed = until_backup(&stage, "early", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap().to_owned();
    assert!(why.contains("ParentBackupNotFound") && why.contains("full"), "{why}");

    made(&stage, company, "f1", "full", 1).await;
    let first = made(&stage, company, "i1", "inc", 2).await;
    assert_eq!((&first["parentBackupName"], &first["baseBackupName"]), (&json!("f1"), &json!("f1")));
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "i2", |spec| spec["backupMethod"] = json!("inc")).await;
    let env = until_job(&stage, "dp-backup-0-i2-").await.spec.unwrap().template.spec.unwrap().containers[0]
        .env
        .clone()
        .unwrap();
    let value = |name: &str| env.iter().find(|v| v.name == name).map(|v| v.value.clone().unwrap_or_default());
    assert_eq!(value("DP_PARENT_BACKUP_NAME").as_deref(), Some("i1"));
    assert_eq!(value("DP_BASE_BACKUP_NAME").as_deref(), Some("f1"));
    assert_eq!(value("DP_BACKUP_ROOT_PATH"), Some(format!("/{}/db", stage.namespace)));
    assert_eq!(value("DP_TARGET_RELATIVE_PATH").as_deref(), Some(""));
    pods_end(&stage, company, Outcome::succeed_with(told("1", "2026-11-21T03:00:00Z", "2026-11-21T03:00:00Z")));
    until_backup(&stage, "i2", "Completed").await;
    let differential = made(&stage, company, "d1", "diff", 4).await;
    assert_eq!(differential["parentBackupName"], "f1", "a differential one builds on the newest full");
    made(&stage, company, "f2", "full", 5).await;
    let next = made(&stage, company, "i3", "inc", 6).await;
    assert_eq!(next["parentBackupName"], "f2");

    delete(&stage, "Backup", "f1").await;
    for name in ["i2", "i1", "d1", "f1"] {
        until_gone(&stage, "Backup", name).await;
    }
    until_backup(&stage, "i3", "Completed").await;
    until_backup(&stage, "f2", "Completed").await;
}

#[tokio::test]
async fn a_named_parent_is_waited_for_until_it_is_completed() {
    let (stage, company) = stage("parent").await;
    chain(&stage, company).await;
    let child = |name: &'static str| {
        let stage = &stage;
        async move {
            backup(stage, name, |spec| {
                spec["backupMethod"] = json!("inc");
                spec["parentBackupName"] = json!("f1");
            })
            .await
        }
    };
    child("i1").await;
    let said = until_waits(&stage, "i1", "ParentBackupNotFound").await;
    assert!(said.contains("f1"), "{said}");
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "f1", |_| {}).await;
    until_waits(&stage, "i1", "ParentBackupNotCompleted").await;
    pods_end(&stage, company, Outcome::succeed());
    let done = until_backup(&stage, "i1", "Completed").await;
    assert_eq!(done.data["status"]["parentBackupName"], "f1");
}
