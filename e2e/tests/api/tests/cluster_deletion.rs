//! A Cluster is deleted, and its terminationPolicy says what becomes of its Backups; without a finalizer on it
//! (behaviour-backup §10.1, D32). The tests share one operator, and some kill it: they take turns.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use e2e_api::apps_objects::{apps, install_kinds};
use e2e_api::driver::{backup_of, change, cluster, delete_cluster};
use e2e_api::objects::dp;
use e2e_api::{OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use test_kit::crash_proxy::Request;
use test_kit::{Fault, wait};

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn left(stage: &Stage) -> Vec<String> {
    let all = dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.unwrap();
    let mut names: Vec<String> = all.items.iter().map(ResourceExt::name_any).collect();
    names.sort();
    names
}

async fn until_left(stage: &Stage, wanted: &[&str]) {
    wait::eventually(PATIENCE, &format!("{wanted:?} are left"), async || {
        let now = left(stage).await;
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

/// A Cluster with this policy, and Backups of it: `<name>-done`, `-failed`, `-kept` (Retain), `-log` (continuous, failed).
async fn with_backups(stage: &Stage, name: &str, policy: &str) -> DynamicObject {
    install_kinds(stage.server).await;
    let made = cluster(stage, name, "no-template", &json!({"terminationPolicy": policy})).await;
    let none = json!({});
    backup_of(stage, &format!("{name}-done"), &made, &none, &json!({"phase": "Completed"})).await;
    backup_of(stage, &format!("{name}-failed"), &made, &none, &json!({"phase": "Failed"})).await;
    backup_of(
        stage,
        &format!("{name}-kept"),
        &made,
        &json!({"deletionPolicy": "Retain"}),
        &json!({"phase": "Completed"}),
    )
    .await;
    backup_of(stage, &format!("{name}-log"), &made, &none, &json!({"phase": "Failed"})).await;
    let continuous = json!({"metadata": {"labels": {"dataprotection.kubeblocks.io/backup-type": "Continuous"}}});
    let api = dp(&stage.client, "Backup", &stage.namespace);
    api.patch(&format!("{name}-log"), &kube::api::PatchParams::default(), &kube::api::Patch::Merge(continuous))
        .await
        .unwrap();
    made
}

#[tokio::test]
async fn bd32_the_termination_policy_is_honoured_and_no_cluster_has_a_finalizer() {
    let _turn = TURN.lock().await;
    let (stage, _) = stage("terminate").await;
    for (name, policy) in [("keep", "Delete"), ("wipe", "WipeOut"), ("never", "DoNotTerminate")] {
        with_backups(&stage, name, policy).await;
    }
    // Same name, no UID or another one: not this Cluster's.
    let mut stranger = cluster(&stage, "stranger", "no-template", &json!({})).await;
    stranger.meta_mut().name = Some("wipe".into());
    backup_of(&stage, "other", &stranger, &json!({}), &json!({"phase": "Failed"})).await;
    stranger.meta_mut().uid = None;
    backup_of(&stage, "unlabelled", &stranger, &json!({}), &json!({"phase": "Failed"})).await;
    let wipe = apps(&stage, "Cluster").get("wipe").await.unwrap();
    assert_eq!(wipe.metadata.finalizers, None);
    for name in ["never", "keep", "wipe"] {
        delete_cluster(&stage, name).await;
    }
    until_left(
        &stage,
        &[
            "keep-done",
            "keep-kept",
            "keep-log",
            "never-done",
            "never-failed",
            "never-kept",
            "never-log",
            "other",
            "unlabelled",
            "wipe-kept",
        ],
    )
    .await;
}

#[tokio::test]
async fn the_last_word_of_the_user_counts_and_a_new_cluster_of_the_same_name_keeps_its_own() {
    let _turn = TURN.lock().await;
    let (stage, _) = stage("last-word").await;
    with_backups(&stage, "c", "WipeOut").await;
    with_backups(&stage, "d", "Delete").await;
    change(&stage, "c", &json!({"terminationPolicy": "Delete"})).await;
    delete_cluster(&stage, "c").await;
    change(&stage, "d", &json!({"terminationPolicy": "WipeOut"})).await;
    delete_cluster(&stage, "d").await;
    let again = cluster(&stage, "d", "no-template", &json!({"terminationPolicy": "WipeOut"})).await;
    backup_of(&stage, "d-new", &again, &json!({}), &json!({"phase": "Completed"})).await;
    until_left(&stage, &["c-done", "c-kept", "c-log", "d-kept", "d-new"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_and_after_each_delete_the_end_is_the_same() {
    let _turn = TURN.lock().await;
    for n in 1..=3 {
        for after in [false, true] {
            let (stage, company) = stage("killed").await;
            with_backups(&stage, "c", "WipeOut").await;
            let namespace = stage.namespace.clone();
            let cut = if after { Fault::cut_after(n) } else { Fault::cut_before(n) };
            company
                .proxy
                .arm(cut.when(move |r| r.namespace == namespace && r.resource == "backups" && r.method == "DELETE"));
            delete_cluster(&stage, "c").await;
            let at = tokio::time::timeout(PATIENCE, company.proxy.cut()).await.expect("the delete is reached");
            let mut operator = company.operator.lock().await;
            operator.kill();
            company.proxy.disarm();
            company.proxy.heal();
            operator.restart().await;
            drop(operator);
            until_left(&stage, &["c-kept"]).await;
            println!("killed at delete {n}, after: {after}: {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clusters_deleted_while_the_operator_was_away_are_known_with_their_last_word() {
    let _turn = TURN.lock().await;
    let (stage, company) = stage("away").await;
    with_backups(&stage, "spared", "WipeOut").await;
    with_backups(&stage, "wiped", "WipeOut").await;
    // The server tells of what came after the kind was installed: the lease, whose version is looked from, is newer.
    let leases: Api<Lease> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    let version = async || leases.get(OPERATOR.1).await.map(|l| l.resource_version()).map_err(|e| e.to_string());
    let seen = version().await.unwrap();
    wait::eventually(PATIENCE, "the lease is renewed", async || {
        if version().await? == seen { Err("not yet".into()) } else { Ok(()) }
    })
    .await;
    let mut operator = company.operator.lock().await;
    operator.kill();
    change(&stage, "spared", &json!({"terminationPolicy": "Delete"})).await;
    delete_cluster(&stage, "spared").await;
    delete_cluster(&stage, "wiped").await; // it is gone although nobody is there: nothing holds it
    wait::watch_until_gone(&apps(&stage, "Cluster"), "wiped", PATIENCE).await;
    // Nobody tells of it a second time: an answer that fails is asked for again.
    let history = |r: &Request| r.resource == "clusters" && r.query.contains("timeoutSeconds=20");
    company.proxy.arm(Fault::answer(1, 500).times(2).when(history));
    let lease = |r: &Request| r.resource == "leases" && r.method.as_str() == "GET";
    company.proxy.arm(Fault::answer(1, 500).times(2).when(lease));
    let before = operator.log().len();
    operator.restart().await;
    drop(operator);
    let wanted = ["spared-done", "spared-kept", "spared-log", "wiped-kept"];
    wait::eventually(PATIENCE, &format!("{wanted:?} are left"), async || {
        let now = left(&stage).await;
        let log = company.operator.lock().await.log();
        if now == wanted { Ok(()) } else { Err(format!("{now:?}\n{}", log.get(before..).unwrap_or_default())) }
    })
    .await;
}
