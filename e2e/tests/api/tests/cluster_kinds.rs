//! The kinds of the apps operator come, go and come again: policies follow, and no Backup is ever deleted because a kind
//! was taken away. One test, since the kinds are of the whole server.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use e2e_api::apps_objects::{install_kinds, remove_kinds};
use e2e_api::driver::{actions, backup_of, cluster, definition, delete_cluster, template, until_matched};
use e2e_api::objects::{dp, until_phase};
use e2e_api::{PATIENCE, Stage, stage};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;
use test_kit::wait;

/// A Cluster that takes its Backups with it, with a Backup of its name.
async fn wipe_out(stage: &Stage, name: &str, definition: &str) -> DynamicObject {
    let made = cluster(stage, name, definition, &json!({"terminationPolicy": "WipeOut"})).await;
    backup_of(stage, name, &made, &json!({}), &json!({"phase": "Completed"})).await;
    made
}

async fn backups(stage: &Stage) -> Vec<String> {
    let all = dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.unwrap();
    all.items.iter().map(ResourceExt::name_any).collect()
}

async fn until_backups(stage: &Stage, wanted: &[&str]) {
    wait::eventually(PATIENCE, &format!("Backups {wanted:?}"), async || {
        let now = backups(stage).await;
        if now == wanted { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bd32_a_kind_that_is_removed_takes_no_backup_with_it() {
    let (stage, company) = stage("kinds").await;
    let full = actions(&stage, "Full").await;
    let toy = format!("toy-{}", stage.namespace);
    let made_from = template(&stage, &toy, &full, |_| {}).await;
    until_matched(&stage, &made_from, "Available", &[]).await;

    install_kinds(stage.server).await;
    definition(&stage, &toy).await;
    until_matched(&stage, &made_from, "Available", &[&toy]).await;
    wipe_out(&stage, "a", &toy).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "a-db-backup-policy", "Available").await;

    remove_kinds(&stage).await;
    until_matched(&stage, &made_from, "Available", &[]).await;
    assert_eq!(backups(&stage).await, ["a"]);

    install_kinds(stage.server).await;
    definition(&stage, &toy).await;
    until_matched(&stage, &made_from, "Available", &[&toy]).await;
    // The operator sees Clusters again, and acts on the deletion of one: the others were not forgotten, they are kept.
    wipe_out(&stage, "b", &toy).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "b-db-backup-policy", "Available").await;
    delete_cluster(&stage, "b").await;
    until_backups(&stage, &["a"]).await;

    // The same while the operator is away: it learns of the end of each Cluster from the history, and of the kind's too.
    wipe_out(&stage, "c", &toy).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "c-db-backup-policy", "Available").await;
    let mut operator = company.operator.lock().await;
    operator.kill();
    remove_kinds(&stage).await;
    install_kinds(stage.server).await;
    definition(&stage, &toy).await;
    operator.restart().await;
    drop(operator);
    wipe_out(&stage, "d", &toy).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "d-db-backup-policy", "Available").await;
    delete_cluster(&stage, "d").await;
    until_backups(&stage, &["a", "c"]).await;

    let operator = company.operator.lock().await;
    let log = operator.log();
    drop(operator);
    let loud = log.lines().filter(|l| l.contains("WARN") || l.contains("ERROR"));
    let about = loud.filter(|l| l.contains("apps.kubeblocks.io") || l.contains("Component") || l.contains("Cluster"));
    let about: Vec<&str> = about.filter(|l| !l.contains("its backups stay")).collect();
    assert!(about.is_empty(), "nothing is said again and again: {about:#?}");

    // A watch that stands still, and lists that are empty of a Cluster nobody saw deleted, are no evidence either.
    company.proxy.pause_watch("clusters");
    wipe_out(&stage, "e", &toy).await;
    delete_cluster(&stage, "e").await;
    company.proxy.cut_now();
    company.proxy.heal();
    company.proxy.resume_watch("clusters");
    wipe_out(&stage, "f", &toy).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "f-db-backup-policy", "Available").await;
    let kept = backups(&stage).await;
    assert!(kept.contains(&"a".to_owned()) && kept.contains(&"c".to_owned()), "{kept:?}");
}
