//! Objects of the dp group that tests begin with, and what they wait for.

use crate::{PATIENCE, REPO, Stage};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimCondition};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use test_kit::builders::{self, DP_API};
use test_kit::wait;

/// Cluster-scoped objects of the dp group, or those of one namespace.
pub fn dp(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), &builders::resource(DP_API, kind))
    } else {
        builders::dp_api(client, kind, namespace)
    }
}

/// Applies a cluster-scoped object.
pub async fn apply_cluster(client: &Client, kind: &str, name: &str, spec: &Value) {
    let body = json!({"apiVersion": DP_API, "kind": kind, "metadata": {"name": name}, "spec": spec});
    let api = dp(client, kind, "");
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.expect("apply");
}

/// Creates a namespaced object with annotations.
pub async fn create(stage: &Stage, kind: &str, name: &str, annotations: &Value, spec: &Value) -> DynamicObject {
    let body = json!({
        "apiVersion": DP_API, "kind": kind,
        "metadata": {"name": name, "namespace": stage.namespace, "annotations": annotations}, "spec": spec,
    });
    let object: DynamicObject = serde_json::from_value(body).expect("an object");
    dp(&stage.client, kind, &stage.namespace).create(&PostParams::default(), &object).await.expect("create")
}

/// Waits for a phase; the panic shows the last status.
pub async fn until_phase(client: &Client, kind: &str, namespace: &str, name: &str, phase: &str) -> DynamicObject {
    let api = dp(client, kind, namespace);
    wait::eventually(PATIENCE, &format!("{kind} {name} is {phase}"), async || {
        let object = api.get(name).await.map_err(|e| e.to_string())?;
        let status = object.data.get("status").cloned().unwrap_or_default();
        if status["phase"] == phase { Ok(object) } else { Err(status.to_string()) }
    })
    .await
}

/// An ActionSet with a backup and, where `restore` says so, a restore half. Names are per test.
pub async fn action_set(stage: &Stage, restore: Value) -> String {
    let name = format!("actions-{}", stage.namespace);
    let spec = json!({
        "backupType": "Full",
        "env": [{"name": "IMAGE_TAG", "value": "1"}],
        "backup": {"backupData": {"image": "docker.io/local/busybox:$(IMAGE_TAG)", "runOnTargetPodNode": true, "command": ["sh", "-c", "true"]}},
        "restore": restore,
    });
    apply_cluster(&stage.client, "ActionSet", &name, &spec).await;
    name
}

/// The restore half most tests use.
pub fn prepare_data() -> Value {
    json!({"prepareData": {"image": "docker.io/local/busybox:$(IMAGE_TAG)", "command": ["sh", "-c", "true"]}})
}

/// A completed Backup named `name`, made by hand: one target, one volume `data`.
pub async fn completed_backup(stage: &Stage, name: &str, actions: &str) {
    let annotations = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    create(stage, "Backup", name, &annotations, &spec).await;
    set_backup_status(stage, name, &completed_status(stage, name, actions)).await;
}

/// The status of [`completed_backup`].
pub fn completed_status(stage: &Stage, name: &str, actions: &str) -> Value {
    json!({
        "phase": "Completed", "path": format!("/{}/{name}", stage.namespace), "backupRepoName": REPO,
        "startTimestamp": "2026-11-21T00:00:00Z", "completionTimestamp": "2026-11-21T00:00:10Z",
        "backupMethod": {"name": "full", "actionSetName": actions, "targetVolumes": {
            "volumeMounts": [{"name": "data", "mountPath": "/data"}]}},
        "target": {"podSelector": {"matchLabels": {"app": "db"}}, "selectedTargetPods": ["db-0"]},
    })
}

/// Stores a Backup's status as a controller would.
pub async fn set_backup_status(stage: &Stage, name: &str, status: &Value) {
    let api = dp(&stage.client, "Backup", &stage.namespace);
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.expect("status");
}

/// Claims of the stage's namespace.
pub fn claims(stage: &Stage) -> Api<PersistentVolumeClaim> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// One of a claim's conditions.
pub fn condition<'a>(claim: &'a PersistentVolumeClaim, type_: &str) -> Option<&'a PersistentVolumeClaimCondition> {
    claim.status.as_ref()?.conditions.as_ref()?.iter().find(|c| c.type_ == type_)
}

/// Waits until a claim's `Restore` has this status and reason, and gives the claim.
pub async fn until_restore(stage: &Stage, name: &str, status: &str, reason: &str) -> PersistentVolumeClaim {
    let api = claims(stage);
    wait::eventually(PATIENCE, &format!("claim {name} says Restore={status}/{reason}"), async || {
        let claim = api.get(name).await.map_err(|e| e.to_string())?;
        match condition(&claim, "Restore") {
            Some(c) if c.status == status && c.reason.as_deref() == Some(reason) => Ok(claim),
            other => Err(format!("{other:?}; volume {:?}", claim.spec.as_ref().and_then(|s| s.volume_name.as_ref()))),
        }
    })
    .await
}

/// Message of the `Restore` condition.
pub fn message(claim: &PersistentVolumeClaim) -> String {
    condition(claim, "Restore").and_then(|c| c.message.clone()).unwrap_or_default()
}

/// The volume a claim is bound to.
pub async fn volume_of(stage: &Stage, claim: &PersistentVolumeClaim) -> PersistentVolume {
    let name = claim.spec.as_ref().and_then(|s| s.volume_name.clone()).expect("bound");
    Api::all(stage.client.clone()).get(&name).await.expect("its volume")
}

/// Prime claim and execution of a claim.
pub fn prime_name(claim: &PersistentVolumeClaim) -> String {
    format!("kb-populate-{}", claim.uid().expect("a UID"))
}

/// Merge patch of a claim.
pub async fn patch_claim(stage: &Stage, name: &str, patch: Value) -> PersistentVolumeClaim {
    claims(stage).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("patch")
}
