//! The Components of a Cluster (behaviour-apps §2.2, §11.2; observed/apps). Pure.
#![allow(
    clippy::indexing_slicing,
    reason = "a key of a JSON object: reading a missing one gives null, writing makes it"
)]

use crate::desired::{owner, with_digest};
use crate::restore::intent::{self, Intent};
use api_types::apps::{Cluster, ClusterComponentSpec, ComponentDefinition, VolumeClaimTemplate};
use api_types::contract::{annotations, labels, names};
use kube::ResourceExt;
use serde_json::{Value, json};

/// Name of a component inside its Cluster; shardings alone may leave it out.
pub fn name_of(component: &ClusterComponentSpec) -> &str {
    component.name.as_deref().unwrap_or_default()
}

/// Fields that a Component takes as the Cluster has them.
const TAKEN: [&str; 17] = [
    "annotations",
    "disableExporter",
    "env",
    "flatInstanceOrdinal",
    "instanceUpdateStrategy",
    "instances",
    "labels",
    "offlineInstances",
    "ordinals",
    "parallelPodManagementConcurrency",
    "persistentVolumeClaimRetentionPolicy",
    "podUpdatePolicy",
    "replicas",
    "resources",
    "schedulingPolicy",
    "systemAccounts",
    "volumes",
];

/// Claim templates of a component as they are to stand in its Component: marked while `restoring`, clean otherwise.
pub fn claim_templates(
    cluster: &Cluster,
    component: &ClusterComponentSpec,
    restoring: bool,
) -> Vec<VolumeClaimTemplate> {
    let namespace = cluster.namespace().unwrap_or_default();
    let mut templates = component.volume_claim_templates.clone();
    for template in &mut templates {
        match cluster.spec.restore.as_ref().filter(|_| restoring) {
            Some(restore) => {
                intent::mark(template, &Intent { restore, namespace: &namespace, component: name_of(component) });
            }
            // A Cluster taken over from the reference carries its marks in its own spec.
            None => intent::unmark(template),
        }
    }
    templates
}

/// The Component of `component`, as the body of a server-side apply.
pub fn component(
    cluster: &Cluster,
    component: &ClusterComponentSpec,
    definition: &ComponentDefinition,
    restoring: bool,
) -> Value {
    let given = serde_json::to_value(component).unwrap_or_default();
    let mut spec = json!({
        "compDef": definition.name_any(),
        "serviceVersion": service_version(component, definition),
        "terminationPolicy": cluster.spec.termination_policy,
    });
    for field in TAKEN {
        if let Some(value) = given.get(field).filter(|v| !v.is_null()) {
            spec[field] = value.clone();
        }
    }
    for (to, value) in [
        ("serviceAccountName", json!(component.service_account_name)),
        ("services", given.get("services").cloned().unwrap_or_default()),
        ("configs", given.get("configs").cloned().unwrap_or_default()),
        ("serviceRefs", given.get("serviceRefs").cloned().unwrap_or_default()),
        ("stop", json!(component.stop)),
    ] {
        if !value.is_null() {
            spec[to] = value;
        }
    }
    if component.tls == Some(true) {
        spec["tlsConfig"] = json!({"enable": true, "issuer": given.get("issuer")});
    }
    let templates = claim_templates(cluster, component, restoring);
    if !templates.is_empty() {
        spec["volumeClaimTemplates"] = json!(templates);
    }
    if spec.get("schedulingPolicy").is_none()
        && let Some(policy) = &cluster.spec.scheduling_policy
    {
        spec["schedulingPolicy"] = json!(policy);
    }
    with_digest(json!({
        "apiVersion": "apps.kubeblocks.io/v1", "kind": "Component",
        "metadata": {
            "name": names::component(&cluster.name_any(), name_of(component)), "namespace": cluster.namespace(),
            "labels": {
                labels::MANAGED_BY: labels::MANAGED_BY_APPS,
                labels::INSTANCE: cluster.name_any(),
                labels::COMPONENT: definition.name_any(),
                labels::COMPONENT_NAME: name_of(component),
                labels::COMPONENT_DEFINITION: definition.name_any(),
            },
            "annotations": {
                annotations::CLUSTER_UID: cluster.uid(),
                annotations::GENERATION: cluster.metadata.generation.unwrap_or_default().to_string(),
            },
            "ownerReferences": owner(cluster),
        },
        "spec": spec,
    }))
}

/// The version a component runs: what it asks for, else its definition's.
pub fn service_version(component: &ClusterComponentSpec, definition: &ComponentDefinition) -> String {
    let own = component.service_version.clone().filter(|v| !v.is_empty());
    own.or_else(|| definition.spec.service_version.clone()).unwrap_or_default()
}

/// JSON patch that writes exact definitions and versions back into the spec, where others read them (behaviour-apps
/// §12); `None` when they are there.
pub fn write_back(cluster: &Cluster, resolved: &[(usize, String, String)]) -> Option<Value> {
    let mut patch = Vec::new();
    for (index, definition, version) in resolved {
        let Some(component) = cluster.spec.component_specs.get(*index) else { continue };
        let at = format!("/spec/componentSpecs/{index}");
        let mut change = Vec::new();
        for (field, now, wanted) in [
            ("componentDef", component.component_def.as_deref(), definition),
            ("serviceVersion", component.service_version.as_deref(), version),
        ] {
            if now.unwrap_or_default() != wanted && !wanted.is_empty() {
                change.push(json!({"op": "add", "path": format!("{at}/{field}"), "value": wanted}));
            }
        }
        if !change.is_empty() {
            patch.push(json!({"op": "test", "path": format!("{at}/name"), "value": component.name}));
            patch.extend(change);
        }
    }
    if patch.is_empty() {
        return None;
    }
    patch.insert(0, json!({"op": "test", "path": "/metadata/uid", "value": cluster.uid()}));
    Some(Value::Array(patch))
}
