//! The driver on the real API server: what it makes, what it follows, and that it is quiet.

use e2e_api::apps_objects::{apps, install_kinds};
use e2e_api::driver::{actions, change, cluster, definition, delete_cluster, template, until, until_matched};
use e2e_api::objects::{dp, until_phase};
use e2e_api::{Company, PATIENCE, Stage, stage};
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::crash_proxy::JournalEntry;
use test_kit::wait;

/// A Cluster `c` with its policy and schedule, settled.
async fn ready(stage: &Stage, more: &Value) -> String {
    install_kinds(stage.server).await;
    let full = actions(stage, "Full").await;
    let toy = format!("toy-{}", stage.namespace);
    definition(stage, &toy).await;
    let made_from = template(stage, &toy, &full, |_| {}).await;
    until_matched(stage, &made_from, "Available", &[&toy]).await;
    cluster(stage, "c", &toy, more).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "c-db-backup-policy", "Available").await;
    until(stage, "BackupSchedule", "c-db-backup-schedule", |_| true).await;
    made_from
}

/// What the operator wrote in this namespace after the first `before` writes of all; a write that another one overtook
/// was none.
fn writes(company: &Company, stage: &Stage, before: usize) -> Vec<String> {
    let own = |w: &JournalEntry| w.was_done() && w.request.namespace == stage.namespace;
    let after = company.proxy.writes().into_iter().skip(before).filter(own);
    after.map(|w| format!("{w} {}", w.body)).collect()
}

#[tokio::test]
async fn bd11_a_cluster_that_only_changes_its_status_costs_no_write() {
    let (stage, company) = stage("quiet").await;
    ready(&stage, &json!({"backup": {"enabled": true, "method": "full"}})).await;
    // The schedule's own controller is done with it, and the driver has seen that it is there.
    wait::eventually(PATIENCE, "the schedule is labelled and Available", async || {
        let schedule = dp(&stage.client, "BackupSchedule", &stage.namespace).get("c-db-backup-schedule").await;
        let schedule = schedule.map_err(|e| e.to_string())?;
        let done = schedule.labels().contains_key("dataprotection.kubeblocks.io/backup-policy")
            && schedule.data["status"]["phase"] == "Available";
        if done { Ok(()) } else { Err(schedule.data["status"].to_string()) }
    })
    .await;
    let before = company.proxy.writes().len();
    for round in 0..20 {
        let status = json!({"status": {"phase": if round % 2 == 0 { "Updating" } else { "Running" }, "round": round}});
        apps(&stage, "Cluster").patch_status("c", &PatchParams::default(), &Patch::Merge(&status)).await.unwrap();
    }
    // A change that does cost writes comes after all of them in the same watch.
    change(&stage, "c", &json!({"backup": {"cronExpression": "7 7 * * *"}})).await;
    until(&stage, "BackupSchedule", "c-db-backup-schedule", |s| s["schedules"][0]["cronExpression"] == "7 7 * * *")
        .await;
    // The server has done it before the operator has its answer, which the journal waits for.
    wait::eventually(PATIENCE, "one write for one change", async || {
        let after = writes(company, &stage, before);
        let of_driver = |w: &&String| w.contains("backuppolicies") || w.contains("backupschedules");
        let not_status = after.iter().filter(of_driver).filter(|w| !w.contains("/status")).count();
        assert!(not_status <= 1, "one write for one change: {after:#?}");
        if not_status == 1 { Ok(()) } else { Err(format!("{after:#?}")) }
    })
    .await;
    let schedule = dp(&stage.client, "BackupSchedule", &stage.namespace).get("c-db-backup-schedule").await.unwrap();
    assert!(!schedule.annotations().contains_key("kubeblocks.io/reconcile"), "nobody is poked");
}

#[tokio::test]
async fn what_is_deleted_is_made_again_and_the_clusters_end_takes_both() {
    let (stage, _) = stage("again").await;
    ready(&stage, &json!({})).await;
    for kind in ["BackupPolicy", "BackupSchedule"] {
        let api = dp(&stage.client, kind, &stage.namespace);
        let name = if kind == "BackupPolicy" { "c-db-backup-policy" } else { "c-db-backup-schedule" };
        let first = api.get(name).await.unwrap().uid();
        api.delete(name, &DeleteParams::default()).await.unwrap();
        wait::eventually(PATIENCE, &format!("another {kind}"), async || match api.get_opt(name).await {
            Ok(Some(object)) if object.uid() != first => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    }
    stage.server.restart_controller_manager().await; // its collector knows the kinds at once
    delete_cluster(&stage, "c").await;
    for (kind, name) in [("BackupPolicy", "c-db-backup-policy"), ("BackupSchedule", "c-db-backup-schedule")] {
        wait::watch_until_gone(&dp(&stage.client, kind, &stage.namespace), name, PATIENCE).await;
    }
}

#[tokio::test]
async fn a_user_may_freeze_a_policy_and_a_template_moves_the_others() {
    let (stage, _) = stage("freeze").await;
    let made_from = ready(&stage, &json!({})).await;
    let policies = dp(&stage.client, "BackupPolicy", &stage.namespace);
    let raise = async |limit: u32| {
        let patch = Patch::Merge(json!({"spec": {"backoffLimit": limit}}));
        dp(&stage.client, "BackupPolicyTemplate", "").patch(&made_from, &PatchParams::default(), &patch).await.unwrap();
    };
    raise(5).await;
    until(&stage, "BackupPolicy", "c-db-backup-policy", |s| s["backoffLimit"] == 5).await;
    let freeze = json!({"metadata": {"annotations": {"dataprotection.kubeblocks.io/disable-sync-from-template": "true"}},
        "spec": {"backoffLimit": 1}});
    policies.patch("c-db-backup-policy", &PatchParams::default(), &Patch::Merge(freeze)).await.unwrap();
    raise(6).await;
    // A second Cluster shows that the template's change was acted on.
    let toy = format!("toy-{}", stage.namespace);
    cluster(&stage, "d", &toy, &json!({})).await;
    until(&stage, "BackupPolicy", "d-db-backup-policy", |s| s["backoffLimit"] == 6).await;
    let frozen = policies.get("c-db-backup-policy").await.unwrap();
    assert_eq!(frozen.data["spec"]["backoffLimit"], 1);
}
