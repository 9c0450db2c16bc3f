//! Keys change while backups stay (design D21): what one key has closed is opened as long as that key is known. One test,
//! since the operator is started with other settings.

use api_types::contract::annotations;
use e2e_api::apps_objects::{
    account, claim, cluster, definition, identity, install_kinds, part, selector, until_password,
};
use e2e_api::backups::{backup, policy, until_backup};
use e2e_api::objects::{self, message, prepare_data, until_restore};
use e2e_api::{IMMEDIATE, Stage, stage};
use kube::ResourceExt;
use serde_json::Value;
use test_kit::builders::{self, Claim};

/// Cluster `old` with this password, backed up as `b`.
async fn backed_up(name: &str, password: &str) -> Stage {
    let (stage, _) = stage(name).await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    let db = definition(&stage, "db", &["root"]).await;
    cluster(&stage, "old", &[part("db", &db, &["data"])]).await;
    cluster(&stage, "new", &[part("db", &db, &["data"])]).await;
    account(&stage, "old-db-account-root", "root", password).await;
    Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let own = identity("old", "db");
    let own: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    builders::target_pod(&stage.client, &stage.namespace, "old-db-0", &own, &["data"]).await;
    let wanted = selector("old", "db");
    policy(&stage, &actions, |spec| spec["target"]["podSelector"] = wanted.clone()).await;
    backup(&stage, "b", |_| {}).await;
    let done = until_backup(&stage, "b", "Completed").await;
    let sealed: Value = serde_json::from_str(&done.annotations()[annotations::ENCRYPTED_SYSTEM_ACCOUNTS]).unwrap();
    assert!(sealed["db"]["root"].is_string(), "{sealed}");
    stage
}

async fn restored(stage: &Stage, ordinal: usize, password: &str) {
    let claim = claim("new", "db", "data", ordinal, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    until_restore(stage, &claim.name_any(), "True", "Succeed").await;
    until_password(stage, "new-db-account-root", password).await;
}

#[tokio::test]
async fn d21_a_backup_is_opened_as_long_as_its_key_is_known() {
    let (first, company) = stage("keys").await;
    install_kinds(first.server).await;
    let by_made = backed_up("by-made", "one").await;
    let restart = async |given: &str, old: &str| {
        let mut operator = company.operator.lock().await;
        operator.restart_with(|b| b.env("DP_ENCRYPTION_KEY", given).env("HOLDFAST_OLD_ENCRYPTION_KEYS", old)).await;
    };

    // A key is given: the one that was made before still opens.
    restart("given", "").await;
    restored(&by_made, 0, "one").await;
    let by_given = backed_up("by-given", "two").await;

    // It is taken away: nobody knows it any more.
    restart("", "").await;
    let lost = claim("new", "db", "data", 0, IMMEDIATE).create(&by_given.client, &by_given.namespace).await;
    let lost = until_restore(&by_given, &lost.name_any(), "False", "AccountsUndecryptable").await;
    assert!(message(&lost).contains("old keys"), "{}", message(&lost));

    // As an old key, among others, it opens again.
    restart("", "another, with a comma\ngiven").await;
    restored(&by_given, 1, "two").await;
    let log = company.operator.lock().await.log();
    assert!(!log.contains("with a comma") && !log.contains("\"given\""), "no key in the log");
}
