//! Account Secrets of a restored Cluster.

use crate::stage;
use api_types::contract::{annotations, labels};
use e2e_api::apps_objects::{
    self, account, apps, claim, cluster, cluster_alone, component, definition, part, secrets, selector, text,
    until_password,
};
use e2e_api::objects::{self, completed_status, create, message, prepare_data, set_backup_status, until_restore};
use e2e_api::populate::{CALM, assert_filled, assert_nothing_was_made, pods_end, told, until_pod_runs, writes};
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::{Outcome, wait};

/// Texts made with another implementation, under the reference's public default key.
const KEPT: (&str, &str) =
    ("kept-over-the-restore", "XMlsfYn74of/MNAl9JoDV2e6NTqi99UiCxf8wN9zmTaoRTsQqBVsDO3a7t0zQIo/XA==");
const TWO: (&str, &str) = ("two", "rJW/zMqtzEFU6KK13G98z4jwpuQmX4gzt+PXgU2gwg==");
/// Under a key nobody has.
const LOST: &str = "n850iaWEsUrAvHVt8tk2trB7x88r4bEOSgzvGNfQimY=";

/// The completed Backup `b` of component `db` of Cluster `old`, with this annotation.
async fn backup_with(stage: &Stage, accounts: &str) {
    let actions = objects::action_set(stage, prepare_data()).await;
    let notes = json!({
        "dataprotection.kubeblocks.io/skip-reconciliation": "true",
        (annotations::ENCRYPTED_SYSTEM_ACCOUNTS): accounts,
    });
    create(stage, "Backup", "b", &notes, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"]["podSelector"] = selector("old", "db");
    set_backup_status(stage, "b", &status).await;
}

/// Cluster `c` with a component `db` that has a volume `data`.
async fn restored_cluster(stage: &Stage) {
    let db = definition(stage, "db", &["root"]).await;
    cluster(stage, "c", &[part("db", &db, &["data"])]).await;
}

fn one(owner: &str, account: &str, sealed: &str) -> String {
    json!({owner: {account: sealed}}).to_string()
}

/// Cases 25 and 27, and tests of the wire's shape: Secret, labels, owner, before the prime claim and before any Job.
#[tokio::test]
async fn apps_25_the_old_password_is_back_before_anything_else_is_made() {
    let (stage, company) = stage("back").await;
    backup_with(&stage, &json!({"db": {"root": KEPT.1, "kb_admin": TWO.1}, "gone": {"root": TWO.1}}).to_string()).await;
    restored_cluster(&stage).await;
    // The apps operator has made one of them with a random password; the other does not exist.
    account(&stage, "c-db-account-root", "root", "random").await;
    let claim = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;

    let component = apps(&stage, "Component").get("c-db").await.unwrap();
    for (name, account, password) in
        [("c-db-account-root", "root", KEPT.0), ("c-db-account-kb-admin", "kb_admin", TWO.0)]
    {
        let secret = secrets(&stage).get(name).await.unwrap();
        assert_eq!(text(&secret, "password").as_deref(), Some(password));
        assert_eq!(text(&secret, "username").as_deref(), Some(account), "the user's name keeps its underscore");
        assert_eq!(secret.type_.as_deref(), Some("Opaque"));
        assert_eq!(secret.annotations()["apps.kubeblocks.io/system-account-provisioned"], "true");
        let own = secret.labels();
        assert_eq!(own[labels::MANAGED_BY], "kubeblocks", "so that the apps operator finds it");
        assert_eq!((own[labels::INSTANCE].as_str(), own[labels::COMPONENT_NAME].as_str()), ("c", "db"));
        assert_eq!(own[labels::SYSTEM_ACCOUNT], account);
        let owner = &secret.owner_references()[0];
        assert_eq!((owner.kind.as_str(), Some(&owner.uid)), ("Component", component.uid().as_ref()));
        assert!(owner.controller != Some(true) && owner.block_owner_deletion != Some(true));
    }
    let of_namespace = secrets(&stage).list(&kube::api::ListParams::default()).await.unwrap();
    let made = apps_objects::names(&of_namespace.items);
    assert_eq!(made, ["c-db-account-kb-admin", "c-db-account-root"], "nothing for a component that is not there");

    let all = writes(&stage, company);
    let last_secret = all.iter().rposition(|w| w.request.resource == "secrets").unwrap();
    let first =
        |resource: &str| all.iter().position(|w| w.request.method.as_str() == "POST" && w.request.resource == resource);
    for resource in ["persistentvolumeclaims", "restores", "jobs"] {
        assert!(first(resource) > Some(last_secret), "{resource}: {}", told(&all));
    }
    let secrets_written = all.iter().filter(|w| w.request.resource == "secrets").count();
    assert_eq!(secrets_written, 2, "{}", told(&all));
    let log = company.operator.lock().await.log();
    assert!(!log.contains(KEPT.0), "no password in the log");
}

/// Case 26: under another key every claim says so, and nothing is made.
#[tokio::test]
async fn apps_26_another_key_fails_every_claim_and_nothing_is_made() {
    let (stage, company) = stage("lost").await;
    backup_with(&stage, &one("db", "root", LOST)).await;
    restored_cluster(&stage).await;
    account(&stage, "c-db-account-root", "root", "random").await;
    for ordinal in 0..2 {
        let claim = claim("c", "db", "data", ordinal, IMMEDIATE).create(&stage.client, &stage.namespace).await;
        let claim = until_restore(&stage, &claim.name_any(), "False", "AccountsUndecryptable").await;
        let said = message(&claim);
        for part in ["Backup b", "account root of db can not be decrypted", "no known encryption key", "old keys"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    }
    assert_nothing_was_made(&stage, company);
    let secret = secrets(&stage).get("c-db-account-root").await.unwrap();
    assert_eq!(text(&secret, "password").as_deref(), Some("random"), "left as it was");
}

/// Case 66: an empty password is kept as one; what is no JSON is said.
#[tokio::test]
async fn restore_66_empty_passwords_and_unreadable_annotations() {
    let (stage, company) = stage("unreadable").await;
    backup_with(&stage, "[\"no map\"]").await;
    restored_cluster(&stage).await;
    let made = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let refused = until_restore(&stage, &made.name_any(), "False", "AccountsUndecryptable").await;
    assert!(message(&refused).contains("encrypted-system-accounts: it is no JSON map"), "{}", message(&refused));
    assert_nothing_was_made(&stage, company);
    // Corrected, it is tried again when it is asked to. The text is an empty password under the public default.
    let empty = Patch::Merge(json!({"metadata": {"annotations": {
        (annotations::ENCRYPTED_SYSTEM_ACCOUNTS): one("db", "root", EMPTY)}}}));
    objects::dp(&stage.client, "Backup", &stage.namespace).patch("b", &PatchParams::default(), &empty).await.unwrap();
    let retry = json!({"metadata": {"annotations": {"holdfast.dev/retry": "1"}}});
    objects::patch_claim(&stage, &made.name_any(), retry).await;
    let claim = until_restore(&stage, &made.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    let secret = secrets(&stage).get("c-db-account-root").await.unwrap();
    assert_eq!(text(&secret, "password").as_deref(), Some(""));
}

const EMPTY: &str = "nRzcwMnrJ04w2D2VhVKNSb1QlyiaSi+NDn41CQ==";

/// Case 65: a password changed after the restore stays, over a restart of the operator and over later volumes of the
/// same component.
#[tokio::test]
async fn restore_65_a_rotated_password_is_never_put_back() {
    let (stage, company) = stage("rotated").await;
    backup_with(&stage, &one("db", "root", KEPT.1)).await;
    restored_cluster(&stage).await;
    let first = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    until_restore(&stage, &first.name_any(), "True", "Succeed").await;
    until_password(&stage, "c-db-account-root", KEPT.0).await;
    let rotated = Patch::Merge(json!({"stringData": {"password": "rotated"}}));
    secrets(&stage).patch("c-db-account-root", &PatchParams::default(), &rotated).await.unwrap();

    company.operator.lock().await.restart().await;
    // An event on the restored claim, and a later volume of the component (ordered pods, or a new replica).
    objects::patch_claim(&stage, &first.name_any(), json!({"metadata": {"annotations": {"touched": "1"}}})).await;
    let later = claim("c", "db", "data", 1, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    until_restore(&stage, &later.name_any(), "True", "Succeed").await;
    wait::stays(CALM, "the rotated password", async || {
        let secret = secrets(&stage).get("c-db-account-root").await.map_err(|e| e.to_string())?;
        let now = text(&secret, "password");
        if now.as_deref() == Some("rotated") { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    let all = writes(&stage, company);
    assert_eq!(all.iter().filter(|w| w.request.resource == "secrets").count(), 1, "written once: {}", told(&all));
}

/// A Component that does not exist is waited for by name, and its arrival is enough. One that is being deleted gets
/// nothing.
#[tokio::test]
async fn d6_a_missing_or_dying_component_is_waited_for_by_name() {
    let (stage, company) = stage("no-component").await;
    backup_with(&stage, &one("db", "root", KEPT.1)).await;
    let db = definition(&stage, "db", &["root"]).await;
    let made = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let name = made.name_any();
    let waiting = until_restore(&stage, &name, "Unknown", "WaitForComponent").await;
    assert!(message(&waiting).contains("Component c-db, which does not exist"), "{}", message(&waiting));
    assert_nothing_was_made(&stage, company);
    let api = apps(&stage, "Component");
    component(&stage, "c", &part("db", &db, &["data"])).await;
    let held = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    let claim = until_restore(&stage, &name, "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    until_password(&stage, "c-db-account-root", KEPT.0).await;

    // The Component goes: for a new claim nothing is written any more.
    api.patch("c-db", &PatchParams::default(), &held(json!(["test/hold"]))).await.unwrap();
    api.delete("c-db", &DeleteParams::default()).await.unwrap();
    secrets(&stage).delete("c-db-account-root", &DeleteParams::default()).await.unwrap();
    let late = apps_objects::claim("c", "db", "data", 1, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let waiting = until_restore(&stage, &late.name_any(), "Unknown", "WaitForComponent").await;
    assert!(message(&waiting).contains("which is being deleted"), "{}", message(&waiting));
    wait::stays(CALM, "nothing for an owner that goes", async || {
        match secrets(&stage).get_opt("c-db-account-root").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    api.patch("c-db", &PatchParams::default(), &held(json!(null))).await.unwrap();
}

/// An immutable Secret that says something else is made anew.
#[tokio::test]
async fn apps_25_an_immutable_secret_is_made_anew() {
    let (stage, company) = stage("immutable").await;
    backup_with(&stage, &one("db", "root", KEPT.1)).await;
    restored_cluster(&stage).await;
    let before = account(&stage, "c-db-account-root", "root", "random").await;
    let fixed = Patch::Merge(json!({"immutable": true}));
    secrets(&stage).patch("c-db-account-root", &PatchParams::default(), &fixed).await.unwrap();
    let claim = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    let after = until_password(&stage, "c-db-account-root", KEPT.0).await;
    assert_ne!(after.uid(), before.uid());
}

/// Accounts that the shards of a sharding share belong to the Cluster.
#[tokio::test]
async fn apps_6_accounts_of_a_sharding_go_with_the_cluster() {
    let (stage, company) = stage("shards").await;
    backup_with(&stage, &one("shard", "kb_admin", KEPT.1)).await;
    let claim = || {
        apps_objects::claim("c", "shard-x7k", "data", 0, IMMEDIATE)
            .label(labels::SHARDING_NAME, "shard")
            .annotation(annotations::RESTORE_COMPONENT, "shard")
            .annotation(annotations::SOURCE_TARGET_NAME, "db")
    };
    let made = claim().create(&stage.client, &stage.namespace).await;
    let waiting = until_restore(&stage, &made.name_any(), "Unknown", "WaitForCluster").await;
    assert!(message(&waiting).contains("Cluster c, which does not exist"), "{}", message(&waiting));
    let owner = cluster_alone(&stage, "c", &json!({"shardings": [{"name": "shard", "template": {}}]})).await;
    let claim = until_restore(&stage, &made.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    let secret = until_password(&stage, "c-shard-kb-admin", KEPT.0).await;
    assert_eq!(secret.labels()[labels::SHARDING_NAME], "shard");
    assert!(!secret.labels().contains_key(labels::COMPONENT_NAME));
    assert_eq!(
        (secret.owner_references()[0].kind.as_str(), Some(&secret.owner_references()[0].uid)),
        ("Cluster", owner.uid().as_ref())
    );
}

/// While the Secret of an earlier Cluster of that name goes away, nothing is written into it, and the restore goes on
/// when it is gone.
#[tokio::test]
async fn a_secret_that_goes_away_is_waited_for() {
    let (stage, company) = stage("going").await;
    backup_with(&stage, &one("db", "root", KEPT.1)).await;
    restored_cluster(&stage).await;
    account(&stage, "c-db-account-root", "root", "random").await;
    let held = |finalizers: Value| Patch::Merge(json!({"metadata": {"finalizers": finalizers}}));
    secrets(&stage).patch("c-db-account-root", &PatchParams::default(), &held(json!(["test/hold"]))).await.unwrap();
    secrets(&stage).delete("c-db-account-root", &DeleteParams::default()).await.unwrap();
    let claim = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let waiting = until_restore(&stage, &claim.name_any(), "Unknown", "WaitForCleanup").await;
    assert!(message(&waiting).contains("Secret c-db-account-root is being deleted"), "{}", message(&waiting));
    wait::stays(CALM, "nothing is begun", async || {
        let made = writes(&stage, company).iter().any(|w| w.request.method.as_str() == "POST");
        if made { Err(told(&writes(&stage, company))) } else { Ok(()) }
    })
    .await;
    secrets(&stage).patch("c-db-account-root", &PatchParams::default(), &held(json!(null))).await.unwrap();
    let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    until_password(&stage, "c-db-account-root", KEPT.0).await;
}

/// No claim is bound before the Secret is there: the database's pod can not have started with another password.
#[tokio::test]
async fn apps_25_no_pod_runs_before_the_secret_is_written() {
    let (stage, company) = stage("order").await;
    backup_with(&stage, &one("db", "root", KEPT.1)).await;
    restored_cluster(&stage).await;
    let closed = e2e_api::populate::refuse(company, {
        let namespace = stage.namespace.clone();
        move |r| r.namespace == namespace && r.resource == "secrets" && r.is_write()
    });
    let made = claim("c", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    wait::stays(CALM, "nothing is made while Secrets can not be written", async || {
        let made = writes(&stage, company).iter().any(|w| w.request.method.as_str() == "POST" && w.was_done());
        if made { Err(told(&writes(&stage, company))) } else { Ok(()) }
    })
    .await;
    closed.store(false, std::sync::atomic::Ordering::SeqCst);
    pods_end(&stage, company, Outcome::Hold);
    until_pod_runs(&stage, &made).await;
    until_password(&stage, "c-db-account-root", KEPT.0).await;
    pods_end(&stage, company, Outcome::succeed());
    until_restore(&stage, &made.name_any(), "True", "Succeed").await;
}

/// The whole way: a Cluster is backed up, another is restored from it and has its accounts, under the operator's own key.
#[tokio::test]
async fn apps_25_accounts_go_from_one_cluster_to_another() {
    let (stage, company): (Stage, &Company) = stage("circle").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    let db = definition(&stage, "db", &["kb_admin"]).await;
    cluster(&stage, "old", &[part("db", &db, &["data"])]).await;
    account(&stage, "old-db-account-kb-admin", "kb_admin", "of the old cluster").await;
    test_kit::builders::Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let own = apps_objects::identity("old", "db");
    let own: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    test_kit::builders::target_pod(&stage.client, &stage.namespace, "old-db-0", &own, &["data"]).await;
    let wanted = selector("old", "db");
    e2e_api::backups::policy(&stage, &actions, |spec| spec["target"]["podSelector"] = wanted.clone()).await;
    e2e_api::backups::backup(&stage, "b", |_| {}).await;
    e2e_api::backups::until_backup(&stage, "b", "Completed").await;

    cluster(&stage, "new", &[part("db", &db, &["data"])]).await;
    account(&stage, "new-db-account-kb-admin", "kb_admin", "random").await;
    let claim = claim("new", "db", "data", 0, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    until_password(&stage, "new-db-account-kb-admin", "of the old cluster").await;
}

/// The recorded Backup of the reference, restored by us, gives the recorded password.
#[tokio::test]
async fn apps_28_a_backup_of_the_reference_gives_its_password_back() {
    let read = |file: &str| {
        let path = test_kit::shared_file(std::path::Path::new("observed/apps").join(file))?;
        Some(std::fs::read_to_string(path).unwrap())
    };
    let (Some(backup), Some(secret)) = (read("backups-cb1.yaml"), read("secrets-c2-toy-account-root.yaml")) else {
        println!("SKIPPED(shared missing): 1 cases");
        return;
    };
    let last = |text: &str| -> Value {
        let body = text.rsplit("--- # ").next().unwrap().split_once('\n').unwrap().1.to_owned();
        serde_saphyr::from_str(&body).unwrap()
    };
    let (backup, wanted) = (last(&backup), last(&secret));
    let accounts = backup["metadata"]["annotations"][annotations::ENCRYPTED_SYSTEM_ACCOUNTS].as_str().unwrap();
    let (stage, _) = stage("recorded").await;
    backup_with(&stage, accounts).await;
    let toy = definition(&stage, "toy", &["root"]).await;
    cluster(&stage, "c2", &[part("toy", &toy, &["data"])]).await;
    let claim =
        apps_objects::claim("c2", "toy", "data", 0, IMMEDIATE).annotation(annotations::SOURCE_TARGET_NAME, "toy");
    let claim = claim.create(&stage.client, &stage.namespace).await;
    until_restore(&stage, &claim.name_any(), "True", "Succeed").await;
    let name = wanted["metadata"]["name"].as_str().unwrap();
    let made = serde_json::to_value(secrets(&stage).get(name).await.unwrap()).unwrap();
    assert_eq!((&made["data"], &made["type"]), (&wanted["data"], &wanted["type"]));
    assert_eq!(made["metadata"]["labels"], wanted["metadata"]["labels"]);
    for (key, value) in wanted["metadata"]["annotations"].as_object().unwrap() {
        assert_eq!(&made["metadata"]["annotations"][key], value);
    }
    wait::eventually(PATIENCE, "one owner", async || {
        let owners = &made["metadata"]["ownerReferences"];
        if owners[0]["kind"] == "Component" { Ok(()) } else { Err(owners.to_string()) }
    })
    .await;
}
