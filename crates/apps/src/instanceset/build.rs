//! Names, claims, pods and the headless Service of an InstanceSet (behaviour-apps §2.2, §11.7). Pure.
#![allow(
    clippy::indexing_slicing,
    reason = "a key of a JSON object: reading a missing one gives null, writing makes it"
)]

use crate::desired::{owner, with_digest};
use api_types::apps::VolumeRetention;
use api_types::contract::{annotations, labels, names};
use api_types::workloads::{ClaimTemplate, InstanceSet};
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimVolumeSource, Pod, PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const REVISION_DIGITS: usize = 10;

/// Names of the instances that are to be there, in order: ordinals from 0, without those taken offline.
pub fn instances(set: &InstanceSet) -> Vec<String> {
    instance_names(&set.name_any(), set.spec.replicas.unwrap_or(1), &set.spec.offline_instances)
}

/// The same before there is a set: a Component tells its pods each other's names.
pub fn instance_names(set: &str, replicas: i32, offline: &[String]) -> Vec<String> {
    let wanted = usize::try_from(replicas).unwrap_or(0);
    (0..).map(|ordinal| names::instance(set, "", ordinal)).filter(|n| !offline.contains(n)).take(wanted).collect()
}

/// Position of an instance: its last number; those without one come first.
pub fn ordinal(instance: &str) -> i64 {
    instance.rsplit_once('-').and_then(|(_, number)| number.parse().ok()).unwrap_or(-1)
}

/// Name of a claim template, and of its volume in the pods.
pub fn template_name(template: &ClaimTemplate) -> String {
    template.metadata.as_ref().and_then(|m| m.name.clone()).unwrap_or_default()
}

/// Annotations that a claim template gives its claims.
pub fn template_notes(template: &ClaimTemplate) -> BTreeMap<String, String> {
    template.metadata.as_ref().map(|m| m.annotations.clone()).unwrap_or_default()
}

/// Name of the claim that `template` has in `instance`.
pub fn claim_name(set: &InstanceSet, template: &ClaimTemplate, instance: &str) -> String {
    let notes = template_notes(template);
    let prefix = notes.get(annotations::PVC_NAME_PREFIX).map(String::as_str);
    names::instance_claim(&template_name(template), prefix, &set.name_any(), instance)
}

/// Labels that tie an object to the set.
fn set_labels(set: &InstanceSet) -> [(String, String); 2] {
    [
        (labels::WORKLOADS_INSTANCE.to_owned(), set.name_any()),
        (labels::WORKLOADS_MANAGED_BY.to_owned(), labels::MANAGED_BY_INSTANCE_SET.to_owned()),
    ]
}

fn shared_labels(set: &InstanceSet, pods: &PodTemplateSpec) -> BTreeMap<String, String> {
    let mut all = set.spec.selector.match_labels.clone().unwrap_or_default();
    all.extend(pods.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default());
    all
}

/// The claim that `template` asks for in `instance`. A claim that is to outlive the set has no owner.
pub fn claim(
    set: &InstanceSet,
    pods: &PodTemplateSpec,
    template: &ClaimTemplate,
    instance: &str,
) -> PersistentVolumeClaim {
    let mut all = shared_labels(set, pods);
    all.extend(template.metadata.as_ref().map(|m| m.labels.clone()).unwrap_or_default());
    all.insert(labels::VCT_NAME.into(), template_name(template));
    all.insert(labels::POD_NAME.into(), instance.into());
    all.extend(set_labels(set));
    let retention = set.spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(claim_name(set, template, instance)),
            namespace: set.namespace(),
            labels: Some(all),
            annotations: Some(template_notes(template)).filter(|a| !a.is_empty()),
            owner_references: owner(set).filter(|_| retention.when_deleted() != VolumeRetention::Retain),
            ..ObjectMeta::default()
        },
        spec: template.spec.clone(),
        status: None,
    }
}

/// The pod of `instance`.
pub fn pod(set: &InstanceSet, pods: &PodTemplateSpec, instance: &str, revision: &str) -> Pod {
    let mut all = shared_labels(set, pods);
    all.extend(set_labels(set));
    for (key, value) in [
        (labels::POD_NAME, instance),
        (labels::INSTANCE_TEMPLATE, ""),
        (labels::WORKLOADS_TEMPLATE_NAME, ""),
        (labels::REVISION, revision),
    ] {
        all.insert(key.into(), value.into());
    }
    let mut spec = pods.spec.clone().unwrap_or_default();
    spec.hostname = Some(instance.into());
    spec.subdomain = Some(names::headless_service(&set.name_any()));
    let volumes = spec.volumes.get_or_insert_default();
    for template in &set.spec.volume_claim_templates {
        let name = template_name(template);
        volumes.retain(|v| v.name != name);
        volumes.push(Volume {
            name,
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                claim_name: claim_name(set, template, instance),
                read_only: None,
            }),
            ..Volume::default()
        });
    }
    Pod {
        metadata: ObjectMeta {
            name: Some(instance.into()),
            namespace: set.namespace(),
            labels: Some(all),
            annotations: pods.metadata.as_ref().and_then(|m| m.annotations.clone()),
            owner_references: owner(set),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    }
}

/// Identity of the pods: changes with the pod template and with nothing else, so that neither a scale-out nor the end
/// of a restore restarts a pod.
pub fn revision(set: &InstanceSet) -> String {
    let text = serde_json::to_string(&set.spec.template).unwrap_or_default();
    let digest = hex::encode(Sha256::digest(text));
    digest.get(..REVISION_DIGITS).unwrap_or_default().to_owned()
}

/// The Service that gives each pod its name; `None` where the set asks for none.
pub fn headless(set: &InstanceSet, pods: &PodTemplateSpec) -> Option<Value> {
    if set.spec.disable_default_headless_service == Some(true) {
        return None;
    }
    let containers = pods.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
    let ports: Vec<Value> = containers
        .iter()
        .flat_map(|c| c.ports.iter().flatten())
        .map(|p| {
            let name = p.name.clone().unwrap_or_else(|| format!("port-{}", p.container_port));
            let protocol = p.protocol.clone().unwrap_or_else(|| "TCP".into());
            json!({"name": name, "port": p.container_port, "protocol": protocol, "targetPort": p.container_port})
        })
        .collect();
    let mut all: BTreeMap<String, String> = set_labels(set).into();
    all.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_APPS.into());
    let mut spec = json!({
        "type": "ClusterIP", "clusterIP": "None", "publishNotReadyAddresses": true,
        "selector": set.spec.selector.match_labels,
    });
    if !ports.is_empty() {
        spec["ports"] = Value::Array(ports);
    }
    Some(with_digest(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": names::headless_service(&set.name_any()), "namespace": set.namespace(), "labels": all,
            "ownerReferences": owner(set),
        },
        "spec": spec,
    })))
}
