//! The apps operator's kinds are not installed, come, go and come again, under one running operator: it goes on, and says
//! nothing about it again and again. One test, since the kinds are of the whole server.

use api_types::contract::annotations;
use e2e_api::apps_objects::{
    account, claim, cluster, definition, identity, install_kinds, part, remove_kinds, selector, until_password,
};
use e2e_api::backups::{backup, policy, until_backup};
use e2e_api::objects::{self, completed_status, create, prepare_data, set_backup_status, until_restore};
use e2e_api::populate::assert_filled;
use e2e_api::{IMMEDIATE, Stage, stage};
use kube::ResourceExt;
use serde_json::json;
use test_kit::builders::{self, Claim};

/// A password under the reference's public default key.
const SEALED: (&str, &str) = ("two", "rJW/zMqtzEFU6KK13G98z4jwpuQmX4gzt+PXgU2gwg==");

/// Backup `b` of component `db` with an account, made by somebody else.
async fn foreign_backup(stage: &Stage) {
    let actions = objects::action_set(stage, prepare_data()).await;
    let notes = json!({
        "dataprotection.kubeblocks.io/skip-reconciliation": "true",
        (annotations::ENCRYPTED_SYSTEM_ACCOUNTS): json!({"db": {"root": SEALED.1}}).to_string(),
    });
    create(stage, "Backup", "b", &notes, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"]["podSelector"] = selector("old", "db");
    set_backup_status(stage, "b", &status).await;
}

#[tokio::test]
async fn the_kinds_of_the_apps_operator_may_come_and_go() {
    let (first, company) = stage("absent").await;
    assert!(!saved_in(&first).await, "no kinds, no Cluster");
    let (waiting, _) = stage("absent-claim").await;
    foreign_backup(&waiting).await;
    let made = claim("c", "db", "data", 0, IMMEDIATE).create(&waiting.client, &waiting.namespace).await;
    until_restore(&waiting, &made.name_any(), "Unknown", "WaitForComponent").await;

    install_kinds(first.server).await;
    // The claim that waited goes on as soon as its Component is there: its kind was not served when the wait began.
    let db = definition(&waiting, "db", &["root"]).await;
    cluster(&waiting, "c", &[part("db", &db, &["data"])]).await;
    let restored = until_restore(&waiting, &made.name_any(), "True", "Succeed").await;
    assert_filled(&waiting, company, &restored).await;
    until_password(&waiting, "c-db-account-root", SEALED.0).await;

    let (with, _) = stage("present").await;
    let db = definition(&with, "db", &["root"]).await;
    cluster(&with, "c", &[part("db", &db, &["data"])]).await;
    account(&with, "c-db-account-root", "root", "known").await;
    assert!(saved_in(&with).await, "the Cluster is there");

    remove_kinds(&first).await;
    let (removed, _) = stage("removed").await;
    assert!(!saved_in(&removed).await);
    let (still, _) = stage("removed-claim").await;
    foreign_backup(&still).await;
    let late = claim("c", "db", "data", 0, IMMEDIATE).create(&still.client, &still.namespace).await;
    until_restore(&still, &late.name_any(), "Unknown", "WaitForComponent").await;
    let settled = objects::claims(&waiting).get(&made.name_any()).await.unwrap();
    assert_eq!(objects::condition(&settled, "Restore").unwrap().status, "True", "what was restored stays so");

    install_kinds(first.server).await;
    let (again, _) = stage("again").await;
    let db = definition(&again, "db", &["root"]).await;
    cluster(&again, "c", &[part("db", &db, &["data"])]).await;
    account(&again, "c-db-account-root", "root", "known").await;
    assert!(saved_in(&again).await);

    let mut operator = company.operator.lock().await;
    assert!(operator.is_running());
    let log = operator.log();
    let loud: Vec<&str> = log.lines().filter(|l| l.contains("WARN") || l.contains("ERROR")).collect();
    let about =
        loud.iter().filter(|l| l.contains("apps.kubeblocks.io") || l.contains("Component") || l.contains("Cluster"));
    assert_eq!(about.count(), 0, "{loud:#?}");
}

/// Backs up the pod of component `db` of Cluster `c`; whether the Backup then holds the Cluster's accounts.
async fn saved_in(stage: &Stage) -> bool {
    let actions = objects::action_set(stage, prepare_data()).await;
    Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let own = identity("c", "db");
    let own: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    builders::target_pod(&stage.client, &stage.namespace, "c-db-0", &own, &["data"]).await;
    let wanted = selector("c", "db");
    policy(stage, &actions, |spec| spec["target"]["podSelector"] = wanted.clone()).await;
    backup(stage, "b", |_| {}).await;
    let done = until_backup(stage, "b", "Completed").await;
    done.annotations().contains_key(annotations::ENCRYPTED_SYSTEM_ACCOUNTS)
}
