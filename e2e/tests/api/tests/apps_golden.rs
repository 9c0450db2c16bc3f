//! Names, labels, annotations and owners of everything a Cluster is made of, beside what the reference wrote on a real
//! cluster. Stated differences, all of them here:
//! - no finalizers of ours (design D9);
//! - annotation `holdfast.dev/applied` holds the digest of what was applied;
//! - annotations of the reference's own controllers are not written: its parameters operator, the replicas it remembers
//!   on InstanceSets, and the service account in use;
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2e_api::PATIENCE;
use e2e_api::clusters::Bare;
use e2e_api::golden::{DEMO, observed};
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::path::Path;
use test_kit::{builders, wait};

/// Annotations of the reference that ours does not write.
const NOT_OURS: [&str; 4] = [
    "parameters.kubeblocks.io/",
    "apps.kubeblocks.io/replicas-status",
    "workloads.kubeblocks.io/service-account-in-use",
    "apps.kubeblocks.io/system-account-provisioned",
];

/// Annotations that Kubernetes, or ours alone, writes.
const NOT_THEIRS: [&str; 4] =
    ["holdfast.dev/applied", "pv.kubernetes.io/", "volume.kubernetes.io/", "volume.beta.kubernetes.io/"];

/// Kind, apiVersion, recorded file.
const OBJECTS: [(&str, &str, &str); 7] = [
    ("Component", "apps.kubeblocks.io/v1", "components-c2-toy"),
    ("InstanceSet", "workloads.kubeblocks.io/v1", "instancesets-c2-toy"),
    ("PersistentVolumeClaim", "v1", "persistentvolumeclaims-data-c2-toy-0"),
    ("Service", "v1", "services-c2-toy"),
    ("Service", "v1", "services-c2-toy-headless"),
    ("ConfigMap", "v1", "configmaps-c2-toy-env"),
    ("Secret", "v1", "secrets-c1-toy-account-root"),
];

/// What is compared of an object.
fn marks(object: &Value) -> Value {
    let meta = &object["metadata"];
    let mut notes = meta["annotations"].as_object().cloned().unwrap_or_default();
    let foreign = |key: &str| NOT_OURS.iter().chain(&NOT_THEIRS).any(|prefix| key.starts_with(prefix));
    notes.retain(|key, _| !foreign(key));
    notes.remove("kubeblocks.io/generation"); // counts the writes of each
    let uid = |owner: &Value| {
        let mut owner = owner.clone();
        owner.as_object_mut().unwrap().remove("uid");
        owner
    };
    let owners: Vec<Value> = meta["ownerReferences"].as_array().into_iter().flatten().map(uid).collect();
    let mut labels = meta["labels"].as_object().cloned().unwrap_or_default();
    labels.remove("controller-revision-hash");
    labels.remove("componentdefinition.kubeblocks.io/name"); // the reference adds it with its first update
    let mut shown = json!({"name": meta["name"], "labels": labels, "annotations": notes, "owners": owners});
    if shown["annotations"].get("apps.kubeblocks.io/cluster-uid").is_some() {
        shown["annotations"]["apps.kubeblocks.io/cluster-uid"] = json!("UID");
    }
    shown
}

async fn apply(bare: &Bare, object: Value) {
    let (kind, version) = (object["kind"].as_str().unwrap(), object["apiVersion"].as_str().unwrap());
    let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
    let resource = builders::resource(version, kind);
    let client = bare.stage.client.clone();
    let api: Api<DynamicObject> = if namespace.is_empty() {
        Api::all_with(client, &resource)
    } else {
        Api::namespaced_with(client, namespace, &resource)
    };
    let name = object["metadata"]["name"].as_str().unwrap();
    api.patch(name, &PatchParams::apply("test").force(), &Patch::Apply(&object)).await.unwrap();
}

#[tokio::test]
async fn everything_of_a_cluster_is_named_labelled_and_owned_as_the_reference_does() {
    let Some(shared) = test_kit::skip_without_shared(OBJECTS.len()) else { return };
    let bare = Bare::start("golden").await;
    bare.install().await;
    let _operator = bare.operator().start().await;
    apply(&bare, json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": DEMO}})).await;
    let input = std::fs::read_to_string(shared.join("observed/apps/input.yaml")).unwrap();
    for document in input.split("\n---") {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        let kind = object["kind"].as_str().unwrap_or_default();
        if matches!(kind, "ComponentDefinition" | "Cluster") {
            apply(&bare, with_class(object)).await;
        }
    }
    let mut restored = observed("apps/clusters-c2.yaml").unwrap();
    restored["metadata"] = json!({"name": "c2", "namespace": DEMO});
    restored.as_object_mut().unwrap().remove("status");
    apply(&bare, with_class(restored)).await;
    for (kind, version, file) in OBJECTS {
        let recorded = observed(&format!("apps/{file}.yaml")).unwrap();
        let name = recorded["metadata"]["name"].as_str().unwrap().to_owned();
        let api = builders::dynamic(&bare.stage.client, version, kind, DEMO);
        let ours = wait::eventually(PATIENCE, &format!("{kind} {name}"), async || {
            api.get(&name).await.map_err(|e| e.to_string())
        })
        .await;
        let ours = serde_json::to_value(ours).unwrap();
        assert_eq!(marks(&ours), marks(&recorded), "{kind} {name} (ours left)");
    }
    // Pods were recorded of c2; ours of c2 wait for its claims, which nobody fills here. Those of c1 are named alike.
    let pods = builders::dynamic(&bare.stage.client, "v1", "Pod", DEMO);
    let pod =
        wait::eventually(PATIENCE, "Pod c1-toy-0", async || pods.get("c1-toy-0").await.map_err(|e| e.to_string()))
            .await;
    let recorded = serde_json::to_string(&observed("apps/pods-c2-toy-0.yaml").unwrap()).unwrap().replace("c2", "c1");
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    assert_eq!(marks(&serde_json::to_value(&pod).unwrap()), marks(&recorded), "Pod (ours left)");
    for field in ["env", "envFrom", "ports", "resources"] {
        let at = |object: &Value| object["spec"]["containers"][0][field].clone();
        assert_eq!(at(&pod.data), at(&recorded), "{field}");
    }
    for field in ["hostname", "subdomain", "serviceAccountName"] {
        assert_eq!(pod.data["spec"][field], recorded["spec"][field], "{field}");
    }
    let services = builders::dynamic(&bare.stage.client, "v1", "Service", DEMO);
    for (name, file) in [("c2-toy", "services-c2-toy"), ("c2-toy-headless", "services-c2-toy-headless")] {
        let recorded = observed(&format!("apps/{file}.yaml")).unwrap();
        let ours = services.get(name).await.unwrap();
        for field in ["ports", "selector", "publishNotReadyAddresses"] {
            assert_eq!(ours.data["spec"][field], recorded["spec"][field], "{name} {field}");
        }
    }
    let all = services.list(&ListParams::default().labels("app.kubernetes.io/instance=c1")).await.unwrap();
    assert_eq!(all.items.len(), 1, "no more Services than the reference makes");
    assert!(Path::new(&shared).is_dir());
}

/// The server of the test has no default class, and nobody who makes volumes: of a class that waits for the consumer, so
/// that pods come first.
fn with_class(mut object: Value) -> Value {
    let components = object.pointer_mut("/spec/componentSpecs").and_then(Value::as_array_mut);
    for component in components.into_iter().flatten() {
        for template in component["volumeClaimTemplates"].as_array_mut().into_iter().flatten() {
            template["spec"]["storageClassName"] = json!(e2e_api::LATER);
        }
    }
    object
}
