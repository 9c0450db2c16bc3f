//! From a Cluster to its pods.

use e2e_api::PATIENCE;
use e2e_api::clusters::{
    both, cluster, cluster_with, clusters, component, components, condition, definition, json_patch_cluster,
    patch_cluster, pod_uids, sets, until_cluster, until_told,
};
use e2e_api::objects::claims;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Service};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;
use test_kit::wait;

#[tokio::test]
async fn a_cluster_runs_with_services_accounts_and_variables() {
    let (stage, _, _) = both("create").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    let running = until_cluster(&stage, "c1", "Running").await;
    let spec = &running.spec.component_specs[0];
    assert_eq!(spec.service_version.as_deref(), Some("1.0.0"), "the exact version is written back");
    let status = running.status.unwrap();
    assert_eq!(condition(&status.conditions, "Restore"), None);
    assert_eq!(condition(&status.conditions, "Available").unwrap().status, "True");

    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let account = secrets.get("c1-db-account-root").await.unwrap().data.unwrap();
    assert_eq!(account["username"].0, b"root");
    assert_eq!(account["password"].0.len(), 12);
    let env: Api<ConfigMap> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let env = env.get("c1-db-env").await.unwrap().data.unwrap();
    assert_eq!((env["PODS"].as_str(), env["GREETING"].as_str()), ("c1-db-0,c1-db-1", "hello"));
    assert!(!env.contains_key("TOY_PASSWORD"), "a credential is never in a ConfigMap");
    let services: Api<Service> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let plain = services.get("c1-db").await.unwrap();
    assert_eq!(plain.spec.unwrap().ports.unwrap()[0].port, 7000);
    let headless = services.get("c1-db-headless").await.unwrap().spec.unwrap();
    assert_eq!((headless.cluster_ip.as_deref(), headless.publish_not_ready_addresses), (Some("None"), Some(true)));
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let pod = pods.get("c1-db-1").await.unwrap();
    let spec = pod.spec.as_ref().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("c1-db-1"), Some("c1-db-headless")));
    let names: Vec<&str> = spec.containers[0].env.iter().flatten().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["TOY_USER", "TOY_PASSWORD", "PW"], "credentials come before what uses them");
}

#[tokio::test]
async fn deleting_a_cluster_takes_everything_of_it_away() {
    let (stage, _, _) = both("delete").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    clusters(&stage).delete("c1", &DeleteParams::default()).await.unwrap();
    wait::eventually(PATIENCE, "nothing of it is left", async || {
        let of = ListParams::default().labels("app.kubernetes.io/managed-by=kubeblocks");
        let mut left: Vec<String> = pod_uids(&stage, "c1").await.into_keys().collect();
        left.extend(claims(&stage).list(&of).await.map_err(|e| e.to_string())?.iter().map(ResourceExt::name_any));
        left.extend(sets(&stage).list(&of).await.map_err(|e| e.to_string())?.iter().map(ResourceExt::name_any));
        let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
        left.extend(secrets.list(&of).await.map_err(|e| e.to_string())?.iter().map(ResourceExt::name_any));
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
}

#[tokio::test]
async fn a_cluster_that_must_not_end_is_not_deleted() {
    let (stage, _, _) = both("protect").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({"terminationPolicy": "DoNotTerminate"})).await;
    until_cluster(&stage, "c1", "Running").await;
    let refused = wait::eventually(PATIENCE, "the policy is served", async || {
        let dry = DeleteParams { dry_run: true, ..DeleteParams::default() };
        clusters(&stage).delete("c1", &dry).await.err().ok_or_else(|| "it was let through".to_owned())
    })
    .await;
    assert!(refused.to_string().contains("DoNotTerminate"), "{refused}");
    patch_cluster(&stage, "c1", &json!({"spec": {"terminationPolicy": "Delete"}})).await.unwrap();
    clusters(&stage).delete("c1", &DeleteParams::default()).await.unwrap();
}

#[tokio::test]
async fn scaling_restarts_no_pod_and_keeps_what_is_there() {
    let (stage, _, _) = both("scale").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let before = pod_uids(&stage, "c1").await;
    let replicas = |n: i32| json!([{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": n}]);
    json_patch_cluster(&stage, "c1", replicas(3)).await.unwrap();
    wait::eventually(PATIENCE, "three pods run", async || {
        let set = sets(&stage).get("c1-db").await.map_err(|e| e.to_string())?;
        let ready = set.status.as_ref().and_then(|s| s.available_replicas);
        if ready == Some(3) { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
    let after = pod_uids(&stage, "c1").await;
    assert!(before.iter().all(|(name, uid)| after.get(name) == Some(uid)), "{before:?} {after:?}");
    until_cluster(&stage, "c1", "Running").await;
    json_patch_cluster(&stage, "c1", replicas(1)).await.unwrap();
    wait::eventually(PATIENCE, "one pod and one claim are left", async || {
        let pods = pod_uids(&stage, "c1").await;
        let all = claims(&stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        if pods.len() == 1 && names == ["data-c1-db-0"] { Ok(()) } else { Err(format!("{pods:?} {names:?}")) }
    })
    .await;
}

/// The set is scaled back while the operator still sees it small: the claim of the instance is not deleted on the word of
/// a cache that lags.
#[tokio::test]
async fn a_claim_is_not_deleted_on_the_word_of_a_cache_that_lags() {
    let (stage, _, apps) = both("lag").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let uid = claims(&stage).get("data-c1-db-1").await.unwrap().uid();
    // A pod that does not go holds the claim's deletion back until the set is large again.
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let hold = |list: serde_json::Value| Patch::Merge(json!({"metadata": {"finalizers": list}}));
    pods.patch("c1-db-1", &PatchParams::default(), &hold(json!(["holdfast.dev/test"]))).await.unwrap();
    let replicas = |n: i32| json!([{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": n}]);
    json_patch_cluster(&stage, "c1", replicas(1)).await.unwrap();
    wait::watch_until(&pods, "c1-db-1", PATIENCE, |p: &Pod| p.metadata.deletion_timestamp.is_some()).await;
    apps.proxy.pause_watch("instancesets");
    json_patch_cluster(&stage, "c1", replicas(2)).await.unwrap();
    wait::watch_until(&sets(&stage), "c1-db", PATIENCE, |s| s.spec.replicas == Some(2)).await;
    pods.patch("c1-db-1", &PatchParams::default(), &hold(json!([]))).await.unwrap();
    wait::stays(Duration::from_secs(1), "the claim stays", async || {
        let claim = claims(&stage).get("data-c1-db-1").await.map_err(|e| e.to_string())?;
        let kept = claim.uid() == uid && claim.metadata.deletion_timestamp.is_none();
        if kept { Ok(()) } else { Err(format!("{:?}", claim.metadata)) }
    })
    .await;
    apps.proxy.resume_watch("instancesets");
    until_cluster(&stage, "c1", "Running").await;
    assert_eq!(claims(&stage).get("data-c1-db-1").await.unwrap().uid(), uid);
}

#[tokio::test]
async fn a_changed_template_replaces_one_pod_at_a_time() {
    let (stage, _, _) = both("update").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let before = pod_uids(&stage, "c1").await;
    let change = json!([{"op": "add", "path": "/spec/componentSpecs/0/env", "value": [{"name": "NEW", "value": "1"}]}]);
    json_patch_cluster(&stage, "c1", change).await.unwrap();
    wait::eventually(PATIENCE, "both pods are new and available", async || {
        let set = sets(&stage).get("c1-db").await.map_err(|e| e.to_string())?;
        let status = set.status.unwrap_or_default();
        let after = pod_uids(&stage, "c1").await;
        let new = after.len() == 2 && after.iter().all(|(name, uid)| before.get(name) != Some(uid));
        if new && status.available_replicas == Some(2) { Ok(()) } else { Err(json!(status).to_string()) }
    })
    .await;
    until_cluster(&stage, "c1", "Running").await;
}

#[tokio::test]
async fn stopping_keeps_the_claims() {
    let (stage, _, _) = both("stop").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let stop = |yes: bool| json!([{"op": "add", "path": "/spec/componentSpecs/0/stop", "value": yes}]);
    json_patch_cluster(&stage, "c1", stop(true)).await.unwrap();
    until_cluster(&stage, "c1", "Stopped").await;
    assert!(pod_uids(&stage, "c1").await.is_empty());
    assert_eq!(claims(&stage).list(&ListParams::default()).await.unwrap().items.len(), 2);
    json_patch_cluster(&stage, "c1", stop(false)).await.unwrap();
    until_cluster(&stage, "c1", "Running").await;
}

#[tokio::test]
async fn what_is_not_served_yet_is_named() {
    let (stage, _, _) = both("unserved").await;
    let toy = definition(&stage, |spec| {
        spec["roles"] = json!([{"name": "leader", "updatePriority": 1}]);
    })
    .await;
    cluster(&stage, "roles", &[component(&toy)], &json!({})).await;
    until_told(&stage, "roles", "Unsupported", "True", "component db: ComponentDefinition spec.roles").await;
    until_cluster(&stage, "roles", "Running").await;
    let sharded = json!({"shardings": [{"name": "s", "shards": 1, "template": {"componentDef": toy, "replicas": 1}}]});
    cluster(&stage, "sharded", &[component(&toy)], &sharded).await;
    until_told(&stage, "sharded", "ProvisioningStarted", "False", "spec.shardings").await;
    assert!(components(&stage).get_opt("sharded-db").await.unwrap().is_none(), "nothing is made by half");
}

/// The API server takes two components of one name where both name a definition, as the reference's does.
#[tokio::test]
async fn two_components_of_one_name_are_refused() {
    let (stage, _, _) = both("twice").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy), component(&toy)], &json!({})).await;
    until_told(&stage, "c1", "ProvisioningStarted", "False", "DuplicateName").await;
    assert!(components(&stage).get_opt("c1-db").await.unwrap().is_none());
}

#[tokio::test]
async fn a_missing_definition_is_named_and_its_arrival_wakes() {
    let (stage, _, _) = both("missing").await;
    let name = format!("toy-{}", stage.namespace);
    cluster(&stage, "c1", &[component(&name)], &json!({})).await;
    let text = format!("spec.componentSpecs[db].componentDef: there is no ComponentDefinition {name}");
    until_told(&stage, "c1", "ProvisioningStarted", "False", &text).await;
    definition(&stage, |_| {}).await;
    until_cluster(&stage, "c1", "Running").await;
}

#[tokio::test]
async fn apps_43_the_legacy_annotation_is_refused_before_anything_is_made() {
    let (stage, _, _) = both("legacy").await;
    let toy = definition(&stage, |_| {}).await;
    let notes = json!({"kubeblocks.io/restore-from-backup": r#"{"db":{"name":"b","namespace":"n"}}"#});
    cluster_with(&stage, "c1", &notes, &[component(&toy)], &json!({})).await;
    until_told(&stage, "c1", "Restore", "False", "LegacyAnnotation").await;
    assert!(components(&stage).get_opt("c1-db").await.unwrap().is_none());
}
