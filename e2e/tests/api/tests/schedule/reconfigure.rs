//! A continuous entry whose database is to be set for it.

use crate::{change, policy_with_log, schedule_with, until_schedule};
use api_types::contract::{annotations, labels};
use e2e_api::apps_objects::{apps, cluster_alone, install_kinds};
use e2e_api::objects::dp;
use e2e_api::{PATIENCE, Stage, stage, workspace};
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use test_kit::{builders, wait};

const WANTED: &str = r#"{"name": "conf", "key": "db.conf", "enable": {"log": [{"key": "archive", "value": "on"}]},
    "disable": {"log": [{"key": "archive", "value": "off"}]}}"#;

fn requests(stage: &Stage) -> Api<DynamicObject> {
    builders::dynamic(&stage.client, "operations.kubeblocks.io/v1alpha1", "OpsRequest", &stage.namespace)
}

async fn until_request(stage: &Stage, name: &str, not: Option<&str>) -> DynamicObject {
    wait::eventually(PATIENCE, &format!("OpsRequest {name}"), async || {
        let there = requests(stage).get(name).await.map_err(|e| e.to_string())?;
        if there.uid().as_deref() == not { Err("it is the old one".into()) } else { Ok(there) }
    })
    .await
}

/// As the operator of OpsRequests.
async fn ends(stage: &Stage, name: &str, phase: &str) {
    let patch = Patch::Merge(json!({"status": {"phase": phase, "progress": "1/1"}}));
    requests(stage).patch_status(name, &PatchParams::default(), &patch).await.expect("status");
}

fn entry(enabled: bool) -> Value {
    json!({"backupMethod": "log", "cronExpression": "*/5 * * * *", "enabled": enabled, "retentionPeriod": "8d"})
}

async fn enable(stage: &Stage, enabled: bool) {
    change(stage, "BackupSchedule", "s", json!({"spec": {"schedules": [entry(enabled)]}})).await;
}

#[tokio::test]
async fn rule_35_rule_36_the_database_is_set_by_one_request_for_each_switch() {
    let (stage, _) = stage("reconfigure").await;
    install_kinds(stage.server).await;
    policy_with_log(&stage).await;
    cluster_alone(&stage, "c", &json!({"componentSpecs": []})).await;
    let notes = json!({annotations::RECONFIGURE_REF: WANTED});
    schedule_with(&stage, &notes, |spec| spec["schedules"] = json!([entry(true)])).await;
    let told = |status: &Value| status["schedules"]["log"]["message"].as_str().unwrap_or_default().to_owned();
    until_schedule(&stage, "what is to be done by hand", |s| told(s).contains("archive=on in conf by hand")).await;

    // Its kind comes, and the Cluster is not up yet.
    let crd = workspace().join("deploy/charts/holdfast-crds-apps/templates/opsrequests.yaml");
    stage.server.apply_file(&crd).await;
    let of = json!({"metadata": {"labels": {labels::INSTANCE: "c", labels::COMPONENT_NAME: "db"}}});
    change(&stage, "BackupSchedule", "s", of).await;
    until_schedule(&stage, "what it waits for", |s| told(s).contains("waits until Cluster c can be reconfigured"))
        .await;
    let running = Patch::Merge(json!({"status": {"phase": "Running"}}));
    apps(&stage, "Cluster").patch_status("c", &PatchParams::default(), &running).await.unwrap();
    let made = until_request(&stage, "s-enable-1", None).await;
    let spec = &made.data["spec"];
    assert_eq!((&spec["clusterName"], &spec["type"]), (&json!("c"), &json!("Reconfiguring")));
    let set = json!([{"componentName": "db", "parameters": [{"key": "archive", "value": "on"}]}]);
    assert_eq!(spec["reconfigures"], set);
    until_schedule(&stage, "what sets it", |s| told(s).contains("OpsRequest s-enable-1 sets archive=on")).await;
    ends(&stage, "s-enable-1", "Succeed").await;
    until_schedule(&stage, "it is set", |s| told(s).is_empty() && s["phase"] == "Available").await;
    let schedule = dp(&stage.client, "BackupSchedule", &stage.namespace).get("s").await.unwrap();
    let applied: Value =
        serde_json::from_str(&schedule.annotations()[annotations::LAST_APPLIED_CONFIGURATIONS]).unwrap();
    assert_eq!(applied, json!({"log": [{"key": "archive", "value": "on"}]}));

    // Off again: that fails, is said, and is tried again when the request is deleted.
    enable(&stage, false).await;
    let first = until_request(&stage, "s-disable-2", None).await;
    ends(&stage, "s-disable-2", "Failed").await;
    let failed = until_schedule(&stage, "the failure is told", |s| s["phase"] == "Failed").await;
    let why = failed["failureReason"].as_str().unwrap();
    assert!(why.contains("OpsRequest s-disable-2 is Failed: delete it"), "{why}");
    requests(&stage).delete("s-disable-2", &DeleteParams::default()).await.unwrap();
    until_request(&stage, "s-disable-2", first.uid().as_deref()).await;
    ends(&stage, "s-disable-2", "Succeed").await;
    until_schedule(&stage, "it is well", |s| s["phase"] == "Available" && told(s).is_empty()).await;
}
