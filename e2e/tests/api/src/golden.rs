//! Objects the reference wrote on a real cluster, beside those we write: all differences are stated here.

use crate::IMMEDIATE;
use crate::objects::{apply_cluster, until_phase};
use k8s_openapi::api::batch::v1::Job;
use kube::Client;
use serde_json::{Value, json};
use std::path::Path;

/// Namespace of the recorded scenario.
pub const DEMO: &str = "demo";
/// Script of the recorded ActionSet's backup.
pub const BACKUP_SCRIPT: &str = "set -e; export PATH=$PATH:$DP_DATASAFED_BIN_PATH; export DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH; cd /data; tar cf - . | datasafed push -z zstd-fastest - /data.tar.zst; echo \"{\\\"totalSize\\\":\\\"1\\\",\\\"timeRange\\\":{\\\"start\\\":\\\"2026-11-21T00:00:00Z\\\",\\\"end\\\":\\\"2026-11-21T00:00:10Z\\\"}}\" > $DP_BACKUP_INFO_FILE";
/// Script of its restore.
pub const RESTORE_SCRIPT: &str = "set -e; export PATH=$PATH:$DP_DATASAFED_BIN_PATH; export DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH; cd /data; datasafed pull -d zstd-fastest /data.tar.zst - | tar xf -";

/// What the recorded scenario begins with: repository `repo2` and ActionSet `full2`.
pub async fn scenario(client: &Client) {
    let namespace: k8s_openapi::api::core::v1::Namespace =
        serde_json::from_value(json!({"metadata": {"name": DEMO}})).expect("a namespace");
    let namespaces = kube::Api::all(client.clone());
    namespaces.create(&kube::api::PostParams::default(), &namespace).await.expect("create the namespace");
    let repo = json!({
        "storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": IMMEDIATE},
    });
    apply_cluster(client, "BackupRepo", "repo2", &repo).await;
    let actions = json!({
        "backupType": "Full", "env": [{"name": "FOO", "value": "bar"}],
        "backup": {"backupData": {"image": "local/busybox:1", "command": ["sh", "-c", BACKUP_SCRIPT], "runOnTargetPodNode": true}},
        "restore": {"prepareData": {"image": "local/busybox:1", "command": ["sh", "-c", RESTORE_SCRIPT]}},
    });
    apply_cluster(client, "ActionSet", "full2", &actions).await;
    until_phase(client, "BackupRepo", "", "repo2", "Ready").await;
}

/// The first version of a recorded object; `None` without the reference data.
pub fn observed(file: &str) -> Option<Value> {
    let path = test_kit::shared_file(Path::new("observed").join(file))?;
    let text = std::fs::read_to_string(path).expect("read a recorded object");
    let first = text.split("--- # ").nth(1).expect("a first version");
    let body = first.split_once('\n').expect("its lines").1;
    let options = serde_saphyr::options! { strict_booleans: true }; // `y` is a text
    Some(serde_saphyr::from_str_with_options(body, options).expect("YAML"))
}

/// A Job without what the server fills in; each text of `names` is replaced by the one beside it.
pub fn plain(job: &Job, names: &[(&str, &str)]) -> Value {
    stripped(serde_json::to_value(job).expect("JSON"), names)
}

fn stripped(mut job: Value, names: &[(&str, &str)]) -> Value {
    for field in ["creationTimestamp", "uid", "resourceVersion", "generation", "managedFields"] {
        remove(&mut job["metadata"], field);
    }
    remove(&mut job, "status");
    remove(&mut job["spec"], "selector");
    for label in ["controller-uid", "job-name", "batch.kubernetes.io/controller-uid", "batch.kubernetes.io/job-name"] {
        remove(&mut job["spec"]["template"]["metadata"]["labels"], label);
    }
    let mut text = job.to_string();
    for (from, to) in names {
        text = text.replace(from, to);
    }
    serde_json::from_str(&text).expect("JSON")
}

/// What the reference wrote, with the differences we state on every Job of an action:
/// - no finalizer of ours, and owners that do not hold back a foreground deletion; the owner's UID as
///   a label (design D9);
/// - no sidecar with a shell loop, and nothing that only it needs (design D20);
/// - the action runs under the wrapper of the mover (design D20);
/// - all capabilities dropped but six (design D12);
/// - our mover's image has no shell: it installs itself, at the restricted level.
pub fn as_ours(observed: Value, names: &[(&str, &str)], owner_uid: &str, sidecar: &str) -> Value {
    let mut job = stripped(observed, names);
    remove(&mut job["metadata"], "finalizers");
    job["metadata"]["labels"]["holdfast.dev/owner-uid"] = json!(owner_uid);
    remove(&mut job["metadata"]["ownerReferences"][0], "blockOwnerDeletion");
    let pod = &mut job["spec"]["template"]["spec"];
    pod["containers"].as_array_mut().expect("containers").retain(|c| c["name"] != sidecar);
    pod["volumes"].as_array_mut().expect("volumes").retain(|v| v["name"] != "downward-volume-sidecard");
    let action = &mut pod["containers"][0];
    let command = action["command"].as_array().cloned().unwrap_or_default();
    action["command"] = ["/bin/datasafed/datasafed", "run", "--"].map(Value::from).into_iter().chain(command).collect();
    action["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "runAsUser": 0,
        "capabilities": {"drop": ["ALL"], "add": ["DAC_OVERRIDE", "CHOWN", "FOWNER", "SETUID", "SETGID", "KILL"]},
    });
    let installer = &mut pod["initContainers"][0];
    installer["command"] = json!(["/datasafed", "install", "/bin/datasafed"]);
    installer["securityContext"] = json!({
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    job
}

/// The mover's image of the operator under test.
pub fn mover_image() -> String {
    format!("docker.io/local/datasafed:{}", env!("CARGO_PKG_VERSION"))
}

/// Asserts that two values are equal and shows only the paths that are not.
pub fn assert_same(ours: &Value, wanted: &Value) {
    let mut differ = Vec::new();
    compare("", ours, wanted, &mut differ);
    assert!(differ.is_empty(), "ours ≠ recorded:\n{}", differ.join("\n"));
}

fn compare(path: &str, ours: &Value, wanted: &Value, differ: &mut Vec<String>) {
    match (ours, wanted) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                let null = &Value::Null;
                compare(&format!("{path}.{key}"), a.get(key).unwrap_or(null), b.get(key).unwrap_or(null), differ);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (a, b)) in a.iter().zip(b).enumerate() {
                compare(&format!("{path}[{i}]"), a, b, differ);
            }
        }
        (a, b) if a == b => {}
        (a, b) => differ.push(format!("{path}: {a} ≠ {b}")),
    }
}

fn remove(object: &mut Value, field: &str) {
    if let Some(map) = object.as_object_mut() {
        map.remove(field);
    }
}
