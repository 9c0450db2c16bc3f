//! What a restore of a Cluster waits for, what it says meanwhile, and how it fails.

use crate::restore::{backup_of_db, db_is_filled};
use e2e_api::PATIENCE;
use e2e_api::clusters::{
    both, cluster, clusters, component, components, condition, definition, from_backup, json_patch_cluster, pod_uids,
    until_cluster, until_told,
};
use e2e_api::objects::claims;
use e2e_api::populate::delete_claim;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams, PropagationPolicy};
use serde_json::{Value, json};
use test_kit::wait;

fn with(mut component: Value, field: &str, value: Value) -> Value {
    component[field] = value;
    component
}

#[tokio::test]
async fn apps_16_no_replica_is_pending_and_the_first_one_restores() {
    let (stage, company, _) = both("none").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let none = with(component(&toy), "replicas", json!(0));
    cluster(&stage, "c2", &[none], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "Unknown", "RestorePending").await;
    let scale = json!([{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": 1}]);
    json_patch_cluster(&stage, "c2", scale).await.unwrap();
    until_told(&stage, "c2", "Restore", "True", "1/1 claims restored").await;
    db_is_filled(&stage, company, "c2", 1).await;
}

#[tokio::test]
async fn apps_17_a_stopped_cluster_waits_and_restores_when_started() {
    let (stage, company, _) = both("stopped").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let stopped = with(component(&toy), "stop", json!(true));
    cluster(&stage, "c2", &[stopped], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "Unknown", "stopped").await;
    assert!(pod_uids(&stage, "c2").await.is_empty());
    let start = json!([{"op": "replace", "path": "/spec/componentSpecs/0/stop", "value": false}]);
    json_patch_cluster(&stage, "c2", start).await.unwrap();
    until_told(&stage, "c2", "Restore", "True", "2/2 claims restored").await;
    db_is_filled(&stage, company, "c2", 2).await;
}

#[tokio::test]
async fn apps_9_a_missing_backup_is_named_at_the_cluster_and_its_arrival_is_enough() {
    let (stage, company, _) = both("nobackup").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    let text = format!("BackupNotFound: PVC data-c2-db-0: there is no Backup {}/b", stage.namespace);
    let told = until_told(&stage, "c2", "Restore", "Unknown", &text).await;
    let condition = condition(&told.status.as_ref().unwrap().conditions, "Restore").unwrap().clone();
    assert!(condition.message.starts_with("0/2 claims restored; component db: "), "{}", condition.message);
    backup_of_db(&stage).await;
    until_told(&stage, "c2", "Restore", "True", "RestoreCompleted").await;
    db_is_filled(&stage, company, "c2", 2).await;
}

#[tokio::test]
async fn apps_6_a_setting_that_is_wrong_fails_the_cluster_by_name() {
    let (stage, _, _) = both("setting").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let mut restore = from_backup("b");
    restore["parameters"] = json!({"dataprotection.kubeblocks.io/volume-restore-policy": "serial"});
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": restore})).await;
    let failed = until_told(&stage, "c2", "Restore", "False", "component db").await;
    let told = condition(&failed.status.unwrap().conditions, "Restore").unwrap().clone();
    assert_eq!(told.reason, "RestoreFailed");
    assert!(told.message.contains("PVC data-c2-db-") && told.message.contains("serial"), "{}", told.message);
}

/// As the API server leaves a claim whose reference named a namespace: marked, and without its data source.
#[tokio::test]
async fn apps_3_a_marked_claim_without_its_data_source_fails_fast_and_no_pod_starts() {
    let (stage, _, _) = both("dropped").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let body = json!({
        "metadata": {"name": "data-c2-db-0",
            "labels": {"app.kubernetes.io/managed-by": "kubeblocks", "workloads.kubeblocks.io/instance": "c2-db"},
            "annotations": {"apps.kubeblocks.io/restore-source-kind": "Backup"}},
        "spec": {"accessModes": ["ReadWriteOnce"], "storageClassName": e2e_api::LATER,
            "resources": {"requests": {"storage": "1Gi"}}},
    });
    let claim: PersistentVolumeClaim = serde_json::from_value(body).unwrap();
    claims(&stage).create(&PostParams::default(), &claim).await.unwrap();
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "False", "DataSourceDropped").await;
    let pods = pod_uids(&stage, "c2").await;
    assert!(!pods.contains_key("c2-db-0"), "{pods:?}");
    // The way out that the message names.
    delete_claim(&stage, "data-c2-db-0", PropagationPolicy::Background).await;
    until_told(&stage, "c2", "Restore", "True", "2/2 claims restored").await;
    until_cluster(&stage, "c2", "Running").await;
}

#[tokio::test]
async fn apps_13_a_template_with_a_source_of_its_own_is_left_alone_and_said_so() {
    let (stage, _, _) = both("own").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let mut two = component(&toy);
    let mut own = two["volumeClaimTemplates"][0].clone();
    own["name"] = json!("seed");
    own["spec"]["dataSourceRef"] = json!({"kind": "PersistentVolumeClaim", "name": "seed"});
    two["volumeClaimTemplates"].as_array_mut().unwrap().push(own);
    cluster(&stage, "c2", &[two], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "True", "data source of their own: db/seed").await;
    let seed = claims(&stage).get("seed-c2-db-0").await.unwrap();
    assert_eq!(seed.spec.as_ref().unwrap().data_source_ref.as_ref().unwrap().name, "seed");
    assert!(!seed.annotations().keys().any(|k| k.contains("/restore-")));
    let kept = wait::eventually(PATIENCE, "the component is clean", async || {
        let found = components(&stage).get("c2-db").await.map_err(|e| e.to_string())?;
        let text = json!(found.spec.volume_claim_templates).to_string();
        if text.contains("restore-source") { Err(text) } else { Ok(text) }
    })
    .await;
    assert!(kept.contains("PersistentVolumeClaim"), "{kept}");
}

#[tokio::test]
async fn apps_10_true_is_final_whatever_happens_to_the_claims() {
    let (stage, _, _) = both("final").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    let done = until_told(&stage, "c2", "Restore", "True", "RestoreCompleted").await;
    let before = condition(&done.status.unwrap().conditions, "Restore").unwrap().clone();
    until_cluster(&stage, "c2", "Running").await;
    json_patch_cluster(&stage, "c2", json!([{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": 1}]))
        .await
        .unwrap();
    wait::eventually(PATIENCE, "the second claim is gone", async || {
        let all = claims(&stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).filter(|n| n.starts_with("data-")).collect();
        if names == ["data-c2-db-0"] { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    until_cluster(&stage, "c2", "Running").await;
    let after = clusters(&stage).get("c2").await.unwrap().status.unwrap();
    assert_eq!(condition(&after.conditions, "Restore"), Some(&before));
}

/// A Cluster without a single claim restores nothing; calling that done would be a lie.
#[tokio::test]
async fn d7b_a_cluster_without_claims_does_not_call_itself_restored() {
    let (stage, _, _) = both("noclaims").await;
    let toy = definition(&stage, |_| {}).await;
    let bare = with(component(&toy), "volumeClaimTemplates", json!([]));
    cluster(&stage, "c2", &[bare], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "False", "NoDataRestored").await;
}
