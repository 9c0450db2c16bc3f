//! Volume snapshots: the kinds as a cluster that has them serves them, and what their controller would tell.

use crate::backups::policy;
use crate::{PATIENCE, Stage};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::{builders, wait};

/// Driver of the volumes that the provisioner makes.
pub const CSI: &str = "fake.holdfast.dev";
/// Their API.
pub const API: &str = "snapshot.storage.k8s.io/v1";

fn kind(plural: &str, kind: &str, scope: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.snapshot.storage.k8s.io"),
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
        "spec": {"group": "snapshot.storage.k8s.io", "scope": scope, "names": {"plural": plural, "kind": kind},
            "versions": [{"name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    })
}

/// Installs VolumeSnapshot and VolumeSnapshotClass.
pub async fn install(client: &Client) {
    let crds = Api::<DynamicObject>::all_with(
        client.clone(),
        &builders::resource("apiextensions.k8s.io/v1", "CustomResourceDefinition"),
    );
    for (plural, name, scope) in [
        ("volumesnapshots", "VolumeSnapshot", "Namespaced"),
        ("volumesnapshotclasses", "VolumeSnapshotClass", "Cluster"),
    ] {
        let body = kind(plural, name, scope);
        let params = PatchParams::apply("test").force();
        let crd = format!("{plural}.snapshot.storage.k8s.io");
        crds.patch(&crd, &params, &Patch::Apply(&body)).await.expect("a kind");
        wait::eventually(PATIENCE, &format!("{crd} is served"), async || {
            let seen = crds.get(&crd).await.map_err(|e| e.to_string())?.data["status"].clone();
            let conditions = seen["conditions"].as_array().cloned().unwrap_or_default();
            let served = conditions.iter().any(|c| c["type"] == "Established" && c["status"] == "True");
            if served { Ok(()) } else { Err(seen.to_string()) }
        })
        .await;
    }
}

/// Applies a class of [`CSI`].
pub async fn class(client: &Client, name: &str, default: bool) {
    let mut resource = builders::resource(API, "VolumeSnapshotClass");
    resource.plural = "volumesnapshotclasses".into();
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
    let body = json!({"apiVersion": API, "kind": "VolumeSnapshotClass", "driver": CSI, "deletionPolicy": "Delete",
        "metadata": {"name": name, "annotations": {"snapshot.storage.kubernetes.io/is-default-class": default.to_string()}}});
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&body)).await.expect("a class");
}

/// Snapshots of the stage's namespace.
pub fn snapshots(stage: &Stage) -> Api<DynamicObject> {
    builders::dynamic(&stage.client, API, "VolumeSnapshot", &stage.namespace)
}

/// Waits for a snapshot.
pub async fn until_snapshot(stage: &Stage, name: &str) -> DynamicObject {
    wait::eventually(PATIENCE, &format!("VolumeSnapshot {name}"), async || {
        snapshots(stage).get(name).await.map_err(|e| e.to_string())
    })
    .await
}

/// A policy with the method `full`, which takes snapshots and may have an ActionSet.
pub async fn snapshot_policy(stage: &Stage, actions: Option<&str>) {
    policy(stage, actions.unwrap_or("none"), |spec| {
        let method = &mut spec["backupMethods"][0];
        method["snapshotVolumes"] = json!(true);
        method["targetVolumes"] = json!({"volumes": ["data"]});
        if actions.is_none() {
            method.as_object_mut().unwrap().remove("actionSetName");
        }
    })
    .await;
}

/// The status of a snapshot that was taken.
pub fn ready() -> Value {
    json!({"readyToUse": true, "restoreSize": "1Gi", "creationTime": "2026-11-21T00:00:00Z", "boundVolumeSnapshotContentName": "content"})
}
