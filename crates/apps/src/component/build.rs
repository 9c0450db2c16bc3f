//! What a Component is made of (behaviour-apps §2.2, §11; observed/apps). Pure.
//!
//! Every object is built as the body of a server-side apply, with the digest of what was asked for.
#![allow(
    clippy::indexing_slicing,
    reason = "a key of a JSON object: reading a missing one gives null, writing makes it"
)]

use super::vars::Vars;
use crate::desired::{owner, with_digest};
use crate::error::Stop;
use api_types::apps::{Component, ComponentDefinition, ComponentService};
use api_types::contract::{annotations, apps_reasons as reasons, labels, names};
use k8s_openapi::api::core::v1::{
    ConfigMapEnvSource, Container, EmptyDirVolumeSource, EnvFromSource, EnvVar, PodSpec, Volume,
};
use kube::ResourceExt;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Name of the component inside its Cluster.
pub fn short_name(component: &Component) -> String {
    let labelled = component.labels().get(labels::COMPONENT_NAME).cloned();
    labelled.unwrap_or_else(|| component.name_any())
}

/// Name of the Cluster.
pub fn cluster_name(component: &Component) -> String {
    component.labels().get(labels::INSTANCE).cloned().unwrap_or_default()
}

/// Labels of everything that belongs to a component.
pub fn labels_of(component: &Component) -> BTreeMap<String, String> {
    BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_APPS.to_owned()),
        (labels::INSTANCE.to_owned(), cluster_name(component)),
        (labels::COMPONENT_NAME.to_owned(), short_name(component)),
    ])
}

/// Selects the pods of a component.
fn selector(component: &Component) -> BTreeMap<String, String> {
    let mut all = labels_of(component);
    all.insert(labels::RELEASE_PHASE.into(), labels::RELEASE_PHASE_STABLE.into());
    all
}

fn metadata(component: &Component, name: &str) -> Value {
    json!({
        "name": name, "namespace": component.namespace(), "labels": labels_of(component),
        "ownerReferences": owner(component),
    })
}

fn service_version(component: &Component, definition: &ComponentDefinition) -> String {
    let own = component.spec.service_version.clone().filter(|v| !v.is_empty());
    own.or_else(|| definition.spec.service_version.clone()).unwrap_or_default()
}

/// Name of the service account of the pods.
pub fn service_account_name(component: &Component) -> String {
    let given = component.spec.service_account_name.clone().filter(|n| !n.is_empty());
    given.unwrap_or_else(|| names::service_account(&component.name_any()))
}

/// The service account of the pods; `None` where the component names one.
pub fn service_account(component: &Component) -> Option<Value> {
    let given = component.spec.service_account_name.as_ref().is_some_and(|n| !n.is_empty());
    let name = service_account_name(component);
    (!given).then(|| {
        with_digest(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata(component, &name),
        }))
    })
}

/// The variables that are no credentials.
pub fn env_config_map(component: &Component, vars: &Vars) -> Value {
    with_digest(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": metadata(component, &names::env_config_map(&component.name_any())),
        "data": vars.plain,
    }))
}

/// Name of a Service of the definition.
pub fn service_name(component: &Component, service: &ComponentService) -> String {
    match service.service_name.as_deref().filter(|n| !n.is_empty()) {
        Some(own) => format!("{}-{own}", component.name_any()),
        None => component.name_any(),
    }
}

/// One Service of the definition; `None` where it is not made by itself or is one per pod.
pub fn service(component: &Component, service: &ComponentService) -> Option<Value> {
    if service.disable_auto_provision == Some(true) || service.pod_service == Some(true) {
        return None;
    }
    let mut spec = serde_json::to_value(&service.spec).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let mut select = selector(component);
    if let Some(role) = service.role_selector.as_ref().filter(|r| !r.is_empty()) {
        select.insert(labels::ROLE.into(), role.clone());
    }
    spec.insert("selector".into(), json!(select));
    let mut meta = metadata(component, &service_name(component, service));
    if !service.annotations.is_empty() {
        meta["annotations"] = json!(service.annotations);
    }
    Some(with_digest(json!({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": Value::Object(spec)})))
}

/// The set of pods. `replicas` may be held above what the component asks for.
///
/// # Errors
/// Terminal where a part of the pod can not be read.
pub fn instance_set(
    component: &Component,
    definition: &ComponentDefinition,
    vars: &Vars,
    replicas: i32,
) -> Result<Value, Stop> {
    let spec = &component.spec;
    let version = service_version(component, definition);
    let mut pod_labels: BTreeMap<String, String> = definition.spec.labels.clone();
    pod_labels.extend(spec.labels.clone());
    pod_labels.extend(selector(component));
    pod_labels.insert(labels::COMPONENT.into(), definition.name_any());
    pod_labels.insert(labels::SERVICE_VERSION.into(), version.clone());
    let mut pod_notes: BTreeMap<String, String> = definition.spec.annotations.clone();
    pod_notes.extend(spec.annotations.clone());
    let templates: Vec<Value> = spec
        .volume_claim_templates
        .iter()
        .map(|t| {
            let mut meta = json!({"name": t.name});
            let mut labels = definition.spec.labels.clone();
            labels.extend(spec.labels.clone());
            labels.extend(t.labels.clone());
            let mut notes = t.annotations.clone();
            if let Some(prefix) = t.persistent_volume_claim_name.clone().filter(|p| !p.is_empty()) {
                notes.insert(annotations::PVC_NAME_PREFIX.into(), prefix);
            }
            for (key, value) in [("labels", labels), ("annotations", notes)] {
                if !value.is_empty() {
                    meta[key] = json!(value);
                }
            }
            json!({"metadata": meta, "spec": t.spec})
        })
        .collect();
    let retention = spec.persistent_volume_claim_retention_policy.as_ref();
    let mut meta = metadata(component, &component.name_any());
    meta["annotations"] = json!({
        labels::COMPONENT: definition.name_any(),
        annotations::SERVICE_VERSION: version,
        annotations::GENERATION: component.metadata.generation.unwrap_or_default().to_string(),
    });
    let mut template_meta = json!({"labels": pod_labels});
    if !pod_notes.is_empty() {
        template_meta["annotations"] = json!(pod_notes);
    }
    let mut body = json!({
        "replicas": replicas,
        "selector": {"matchLabels": selector(component)},
        "template": {"metadata": template_meta, "spec": pod_spec(component, definition, vars)?},
        "volumeClaimTemplates": templates,
        "persistentVolumeClaimRetentionPolicy": retention.map_or_else(
            || json!({"whenDeleted": "Delete", "whenScaled": "Delete"}), |r| json!(r)),
        "minReadySeconds": definition.spec.min_ready_seconds.unwrap_or(0),
        "disableDefaultHeadlessService": definition.spec.disable_default_headless_service.unwrap_or(false),
        "offlineInstances": spec.offline_instances,
        "stop": spec.stop.unwrap_or(false),
    });
    let optional: [(&str, Value); 3] = [
        ("podManagementPolicy", json!(definition.spec.pod_management_policy)),
        ("memberUpdateStrategy", json!(definition.spec.update_strategy)),
        ("instanceUpdateStrategy", json!(spec.instance_update_strategy)),
    ];
    for (key, value) in optional.into_iter().filter(|(_, v)| !v.is_null()) {
        body[key] = value;
    }
    Ok(with_digest(json!({
        "apiVersion": "workloads.kubeblocks.io/v1", "kind": "InstanceSet", "metadata": meta, "spec": body,
    })))
}

/// Reads an open field as its type.
fn read<T>(at: &str, value: Result<T, serde_json::Error>) -> Result<T, Stop> {
    value.map_err(|error| Stop::terminal(reasons::refused::UNREADABLE, format!("{at}: {error}")))
}

fn pod_spec(component: &Component, definition: &ComponentDefinition, vars: &Vars) -> Result<PodSpec, Stop> {
    let runtime = format!("ComponentDefinition {}: spec.runtime", definition.name_any());
    let mut pod = read(&runtime, definition.spec.runtime.get())?;
    let spec = &component.spec;
    let own_env: Result<Vec<EnvVar>, Stop> =
        spec.env.iter().map(|e| read(&format!("spec.env[{}]", e.name), e.to_env_var())).collect();
    let own_env = own_env?;
    pod.service_account_name = Some(service_account_name(component));
    let env_from = EnvFromSource {
        config_map_ref: Some(ConfigMapEnvSource {
            name: names::env_config_map(&component.name_any()),
            optional: Some(false),
        }),
        ..EnvFromSource::default()
    };
    let inject = |container: &mut Container| {
        let mut env = vars.credentials.clone();
        env.extend(container.env.take().unwrap_or_default());
        env.extend(own_env.clone());
        container.env = Some(env).filter(|e| !e.is_empty());
        container.env_from.get_or_insert_default().insert(0, env_from.clone());
    };
    pod.containers.iter_mut().for_each(inject);
    pod.init_containers.iter_mut().flatten().for_each(inject);
    if let (Some(first), Some(resources)) = (pod.containers.first_mut(), &spec.resources) {
        first.resources = Some(read("spec.resources", resources.get())?);
    }
    let volumes = pod.volumes.get_or_insert_default();
    for volume in &spec.volumes {
        volumes.push(read("spec.volumes", volume.get())?);
    }
    // A volume of the definition that no claim template serves is scratch space.
    for volume in &definition.spec.volumes {
        let served = volumes.iter().any(|v| v.name == volume.name)
            || spec.volume_claim_templates.iter().any(|t| t.name == volume.name);
        if !served {
            volumes.push(Volume {
                name: volume.name.clone(),
                empty_dir: Some(EmptyDirVolumeSource::default()),
                ..Volume::default()
            });
        }
    }
    pod.volumes = pod.volumes.filter(|v| !v.is_empty());
    schedule(&mut pod, component);
    Ok(pod)
}

fn schedule(pod: &mut PodSpec, component: &Component) {
    let Some(policy) = component.spec.scheduling_policy.as_ref() else {
        return;
    };
    let wanted = serde_json::to_value(policy).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    let mut all: Map<String, Value> =
        serde_json::to_value(&*pod).ok().and_then(|v| v.as_object().cloned()).unwrap_or_default();
    all.extend(wanted);
    if let Ok(merged) = serde_json::from_value(Value::Object(all)) {
        *pod = merged;
    }
}
