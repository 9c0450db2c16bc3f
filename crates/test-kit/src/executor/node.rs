//! Nodes without a kubelet: Ready, and with room for everything.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::json;

use crate::clock::now;

/// Makes a node, or makes an old one Ready again.
pub(crate) async fn make_node(client: &Client, name: &str) {
    let nodes: Api<Node> = Api::all(client.clone());
    let params = PatchParams::apply("test-kit").force();
    let labels: BTreeMap<&str, &str> = [("kubernetes.io/hostname", name), ("kubernetes.io/os", "linux")].into();
    let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels } });
    nodes.patch(name, &params, &Patch::Apply(&node)).await.unwrap_or_else(|e| panic!("make node {name}: {e}"));
    // The API server marks every new node as not ready; nothing here would take the mark away.
    let untainted = Patch::Merge(json!({ "spec": { "taints": null } }));
    nodes.patch(name, &PatchParams::default(), &untainted).await.unwrap_or_else(|e| panic!("untaint {name}: {e}"));
    let resources = json!({ "cpu": "64", "memory": "256Gi", "pods": "5000" });
    let ready = json!({
        "type": "Ready", "status": "True", "reason": "KubeletReady", "lastTransitionTime": now(), "lastHeartbeatTime": now(),
    });
    let status = json!({
        "apiVersion": "v1", "kind": "Node",
        "status": {
            "capacity": resources, "allocatable": resources, "conditions": [ready],
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
        },
    });
    let applied = nodes.patch_status(name, &params, &Patch::Apply(&status)).await;
    applied.unwrap_or_else(|e| panic!("make node {name} ready: {e}"));
}
