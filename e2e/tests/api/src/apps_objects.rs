//! What an apps operator would have made: Cluster, Component, ComponentDefinition, account Secrets and the claims of a
//! restored Cluster. The kinds are those of `fixtures/apps-kinds.yaml`, which take any field.

use crate::{PATIENCE, Stage};
use api_types::contract::{annotations, labels};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, DynamicObject};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use test_kit::builders::{self, Claim};
use test_kit::{ApiServer, wait};

/// `GROUP/VERSION` of the kinds.
pub const APPS_API: &str = "apps.kubeblocks.io/v1";
/// Their CRDs.
pub const KINDS: &str = include_str!("../fixtures/apps-kinds.yaml");

/// Installs the kinds; once they are there, nothing changes.
pub async fn install_kinds(server: &ApiServer) {
    server.apply_yaml(KINDS).await;
}

/// Objects of a namespaced kind.
pub fn apps(stage: &Stage, kind: &str) -> Api<DynamicObject> {
    builders::dynamic(&stage.client, APPS_API, kind, &stage.namespace)
}

/// A ComponentDefinition with accounts of these names; gives its own, which is of this test alone.
pub async fn definition(stage: &Stage, name: &str, accounts: &[&str]) -> String {
    let name = format!("{name}-{}", stage.namespace);
    let accounts: Vec<Value> = accounts.iter().map(|a| json!({"name": a})).collect();
    let object = builders::object(
        APPS_API,
        "ComponentDefinition",
        None,
        &name,
        &json!({"spec": {"systemAccounts": accounts, "roles": []}}),
    );
    builders::create_object(&stage.client, &object, None).await;
    name
}

/// A component of a Cluster's spec.
pub fn part(name: &str, definition: &str, volumes: &[&str]) -> Value {
    let templates: Vec<Value> = volumes.iter().map(|v| json!({"name": v})).collect();
    json!({"name": name, "componentDef": definition, "replicas": 1, "volumeClaimTemplates": templates})
}

/// A Cluster with these components, and their Components.
pub async fn cluster(stage: &Stage, name: &str, parts: &[Value]) -> DynamicObject {
    let made = cluster_alone(stage, name, &json!({"componentSpecs": parts})).await;
    for part in parts {
        component(stage, name, part).await;
    }
    made
}

/// A Cluster without Components.
pub async fn cluster_alone(stage: &Stage, name: &str, spec: &Value) -> DynamicObject {
    let object = builders::object(APPS_API, "Cluster", Some(&stage.namespace), name, &json!({"spec": spec}));
    builders::create_object(&stage.client, &object, None).await
}

/// The Component of a part of a Cluster.
pub async fn component(stage: &Stage, cluster: &str, part: &Value) -> DynamicObject {
    let own = part["name"].as_str().expect("a name");
    let rest = json!({
        "metadata": {"labels": {labels::INSTANCE: cluster, labels::COMPONENT_NAME: own, labels::MANAGED_BY: "kubeblocks"}},
        "spec": {"compDef": part["componentDef"], "volumeClaimTemplates": part["volumeClaimTemplates"]},
    });
    let name = format!("{cluster}-{own}");
    let object = builders::object(APPS_API, "Component", Some(&stage.namespace), &name, &rest);
    builders::create_object(&stage.client, &object, None).await
}

/// Labels of pods and claims of a component.
pub fn identity(cluster: &str, component: &str) -> [(&'static str, String); 3] {
    [
        (labels::MANAGED_BY, labels::MANAGED_BY_APPS.to_owned()),
        (labels::INSTANCE, cluster.to_owned()),
        (labels::COMPONENT_NAME, component.to_owned()),
    ]
}

/// The selector that a policy of the apps operator has for a component.
pub fn selector(cluster: &str, component: &str) -> Value {
    let all: BTreeMap<_, _> = identity(cluster, component).into_iter().collect();
    json!({"matchLabels": all})
}

/// Claim `<volume>-<cluster>-<component>-<ordinal>` of a Cluster that is restored from Backup `b`, as the apps operator
/// makes it.
pub fn claim(cluster: &str, component: &str, volume: &str, ordinal: usize, class: &str) -> Claim {
    let name = format!("{volume}-{cluster}-{component}-{ordinal}");
    as_made_for(Claim::new(&name, class), cluster, component, volume, ordinal)
}

/// `claim`, whatever its name, as a claim of that Cluster.
pub fn as_made_for(claim: Claim, cluster: &str, component: &str, volume: &str, ordinal: usize) -> Claim {
    let pod = format!("{cluster}-{component}-{ordinal}");
    let mut claim = claim.from_backup("b");
    for (key, value) in identity(cluster, component) {
        claim = claim.label(key, &value);
    }
    claim
        .label(labels::VCT_NAME, volume)
        .label(labels::POD_NAME, &pod)
        .annotation(annotations::RESTORE_SOURCE_API_GROUP, "dataprotection.kubeblocks.io")
        .annotation(annotations::RESTORE_SOURCE_KIND, "Backup")
        .annotation(annotations::RESTORE_SOURCE_NAME, "b")
        .annotation(annotations::RESTORE_COMPONENT, component)
        .annotation(annotations::RESTORE_VOLUME_TEMPLATE, volume)
}

/// Secrets of the stage's namespace.
pub fn secrets(stage: &Stage) -> Api<Secret> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// One key of a Secret, as text.
pub fn text(secret: &Secret, key: &str) -> Option<String> {
    let bytes = &secret.data.as_ref()?.get(key)?.0;
    Some(String::from_utf8_lossy(bytes).into_owned())
}

/// An account's Secret as the apps operator makes it, with this password.
pub async fn account(stage: &Stage, name: &str, account: &str, password: &str) -> Secret {
    builders::secret(&stage.client, &stage.namespace, name, &[("username", account), ("password", password)]).await
}

/// Waits until a Secret has this password, and gives it.
pub async fn until_password(stage: &Stage, name: &str, password: &str) -> Secret {
    wait::eventually(PATIENCE, &format!("Secret {name} has its password"), async || {
        let secret = secrets(stage).get(name).await.map_err(|e| e.to_string())?;
        let now = text(&secret, "password");
        if now.as_deref() == Some(password) { Ok(secret) } else { Err(format!("{now:?}")) }
    })
    .await
}

/// Deletes the kinds with all their objects, and waits until they are gone.
pub async fn remove_kinds(stage: &Stage) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    for plural in ["clusters", "components", "componentdefinitions"] {
        let name = format!("{plural}.{}", api_types::contract::APPS_GROUP);
        api.delete(&name, &DeleteParams::default()).await.expect("delete a kind");
        wait::watch_until_gone(&api, &name, PATIENCE).await;
    }
}

/// Names of objects, sorted.
pub fn names<K: ResourceExt>(objects: &[K]) -> Vec<String> {
    let mut names: Vec<String> = objects.iter().map(ResourceExt::name_any).collect();
    names.sort();
    names
}
