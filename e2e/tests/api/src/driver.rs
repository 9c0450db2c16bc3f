//! What tests about the policy driver begin with and look at: templates of their own, Clusters, policies and schedules.

use crate::apps_objects::{APPS_API, apps};
use crate::objects::{self, apply_cluster, dp};
use crate::{PATIENCE, Stage};
use api_types::contract::labels;
use kube::ResourceExt;
use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::builders;
use test_kit::wait;

/// ActionSet of this type, of this test alone; gives its name.
pub async fn actions(stage: &Stage, type_: &str) -> String {
    let name = format!("{}-{}", type_.to_lowercase(), stage.namespace);
    let spec = json!({"backupType": type_, "backup": {"backupData": {"image": "a", "command": ["true"]}}});
    apply_cluster(&stage.client, "ActionSet", &name, &spec).await;
    name
}

/// A ComponentDefinition of that name.
pub async fn definition(stage: &Stage, name: &str) {
    let object = builders::object(APPS_API, "ComponentDefinition", None, name, &json!({"spec": {"roles": []}}));
    builders::create_object(&stage.client, &object, None).await;
}

/// A template for definitions of this name, with a method `full` and its schedule; `change` may alter its spec.
pub async fn template(stage: &Stage, definition: &str, actions: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut spec = json!({
        "serviceKind": "toy", "compDefs": [definition], "target": {"role": "", "account": "root"},
        "backupMethods": [{"name": "full", "actionSetName": actions, "snapshotVolumes": false}],
        "schedules": [{"backupMethod": "full", "enabled": false, "cronExpression": "0 18 * * *", "retentionPeriod": "7d"}],
    });
    change(&mut spec);
    let name = format!("template-{}", stage.namespace);
    apply_cluster(&stage.client, "BackupPolicyTemplate", &name, &spec).await;
    name
}

/// Waits until a template says that it is for exactly these definitions, in this phase.
pub async fn until_matched(stage: &Stage, name: &str, phase: &str, matched: &[&str]) -> DynamicObject {
    let api = dp(&stage.client, "BackupPolicyTemplate", "");
    wait::eventually(PATIENCE, &format!("BackupPolicyTemplate {name} is {phase} for {matched:?}"), async || {
        let object = api.get(name).await.map_err(|e| e.to_string())?;
        let status = object.data.get("status").cloned().unwrap_or_default();
        let now: Vec<&str> =
            status["matchedCompDefs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        if status["phase"] == phase && now == matched { Ok(object) } else { Err(status.to_string()) }
    })
    .await
}

/// Waits for an object of the dp group for which `enough` holds.
pub async fn until(stage: &Stage, kind: &str, name: &str, enough: impl Fn(&Value) -> bool) -> DynamicObject {
    let api = dp(&stage.client, kind, &stage.namespace);
    wait::eventually(PATIENCE, &format!("{kind} {name}"), async || {
        let object = api.get(name).await.map_err(|e| e.to_string())?;
        if enough(&object.data["spec"]) { Ok(object) } else { Err(object.data["spec"].to_string()) }
    })
    .await
}

/// A Cluster of one component `db` of that definition, with what `more` adds to its spec.
pub async fn cluster(stage: &Stage, name: &str, definition: &str, more: &Value) -> DynamicObject {
    let mut spec = json!({"terminationPolicy": "Delete", "componentSpecs": [{"name": "db", "componentDef": definition, "replicas": 1}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    crate::apps_objects::cluster_alone(stage, name, &spec).await
}

/// Merge patch of a Cluster's spec.
pub async fn change(stage: &Stage, name: &str, spec: &Value) {
    let patch = Patch::Merge(json!({"spec": spec}));
    apps(stage, "Cluster").patch(name, &PatchParams::default(), &patch).await.expect("patch");
}

/// Deletes a Cluster.
pub async fn delete_cluster(stage: &Stage, name: &str) {
    apps(stage, "Cluster").delete(name, &DeleteParams::default()).await.expect("delete");
}

/// A completed Backup with the UID of a Cluster, kept away from the backup controller until it is deleted.
pub async fn backup_of(stage: &Stage, name: &str, cluster: &DynamicObject, spec: &Value, status: &Value) {
    let mut whole = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    for (key, value) in spec.as_object().into_iter().flatten() {
        whole[key] = value.clone();
    }
    let notes = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    objects::create(stage, "Backup", name, &notes, &whole).await;
    let mut own = json!({labels::INSTANCE: cluster.name_any(), labels::BACKUP_TYPE: "Full"});
    if let Some(uid) = cluster.uid() {
        own[labels::CLUSTER_UID] = json!(uid);
    }
    let patch = Patch::Merge(json!({"metadata": {"labels": own}}));
    dp(&stage.client, "Backup", &stage.namespace).patch(name, &PatchParams::default(), &patch).await.expect("labels");
    objects::set_backup_status(stage, name, status).await;
}
