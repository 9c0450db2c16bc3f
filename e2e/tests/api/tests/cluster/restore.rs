//! `Cluster.spec.restore`: down to the claims, and up again.

use e2e_api::PATIENCE;
use e2e_api::clusters::{
    both, cluster, clusters, component, components, condition, definition, from_backup, json_patch_cluster,
    patch_cluster, pod_uids, sets, until_cluster, until_told,
};
use e2e_api::objects::{self, claims, completed_status, create, prepare_data, set_backup_status};
use e2e_api::{Company, Stage};
use kube::ResourceExt;
use serde_json::json;
use test_kit::wait;

/// A completed Backup `b` of component `db` of a Cluster `old`.
pub async fn backup_of_db(stage: &Stage) {
    let actions = objects::action_set(stage, prepare_data()).await;
    let notes = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(stage, "Backup", "b", &notes, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"] = json!({
        "podSelector": {"matchLabels": {
            "app.kubernetes.io/instance": "old", "app.kubernetes.io/managed-by": "kubeblocks",
            "apps.kubeblocks.io/component-name": "db"}},
        "selectedTargetPods": ["old-db-0"],
    });
    set_backup_status(stage, "b", &status).await;
}

/// Every claim of component `db` was filled by one pod, and its volume is that one.
pub async fn db_is_filled(stage: &Stage, company: &Company, cluster: &str, replicas: usize) {
    for ordinal in 0..replicas {
        let claim = claims(stage).get(&format!("data-{cluster}-db-{ordinal}")).await.unwrap();
        let volume = objects::volume_of(stage, &claim).await;
        let written = company.executor.written_to(&stage.namespace, &objects::prime_name(&claim));
        assert_eq!(written.len(), 1, "{written:?}");
        assert_eq!(written[0].pv, volume.name_any());
    }
}

#[tokio::test]
async fn apps_7_11_12_a_restore_completes_at_all_levels_and_leaves_no_trace_for_later() {
    let (stage, company, _) = both("restore").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    let done = until_told(&stage, "c2", "Restore", "True", "RestoreCompleted").await;
    assert!(condition(&done.status.unwrap().conditions, "Restore").unwrap().message.starts_with("2/2 claims restored"));
    db_is_filled(&stage, company, "c2", 2).await;
    until_cluster(&stage, "c2", "Running").await;
    let set = sets(&stage).get("c2-db").await.unwrap();
    let of_set = set.status.unwrap();
    assert_eq!(condition(&of_set.conditions, "Restore").unwrap().reason, "RestoreCompleted");
    let of_component = components(&stage).get("c2-db").await.unwrap().status.unwrap();
    assert_eq!(condition(&of_component.conditions, "Restore").unwrap().status, "True");
    let before = pod_uids(&stage, "c2").await;
    // The intent is gone from every template, and never was in the Cluster's own.
    wait::eventually(PATIENCE, "the templates are clean", async || {
        let component = components(&stage).get("c2-db").await.map_err(|e| e.to_string())?;
        let set = sets(&stage).get("c2-db").await.map_err(|e| e.to_string())?;
        let text = json!([component.spec, set.spec]).to_string();
        if text.contains("restore-source") || text.contains("dataSourceRef") { Err(text) } else { Ok(()) }
    })
    .await;
    let own = clusters(&stage).get("c2").await.unwrap();
    assert!(!json!(own.spec.component_specs).to_string().contains("restore-source"));
    // Case 11: the next replica starts empty; the first two keep what they have.
    let notes = claims(&stage).get("data-c2-db-0").await.unwrap().annotations().clone();
    let scale = json!([{"op": "replace", "path": "/spec/componentSpecs/0/replicas", "value": 3}]);
    json_patch_cluster(&stage, "c2", scale).await.unwrap();
    let third = wait::eventually(PATIENCE, "the third claim", async || {
        claims(&stage).get("data-c2-db-2").await.map_err(|e| e.to_string())
    })
    .await;
    assert_eq!(third.spec.as_ref().unwrap().data_source_ref, None);
    assert!(!third.annotations().keys().any(|k| k.contains("/restore-")), "{:?}", third.annotations());
    assert_eq!(claims(&stage).get("data-c2-db-0").await.unwrap().annotations(), &notes);
    until_cluster(&stage, "c2", "Running").await;
    // Case 12.
    let after = pod_uids(&stage, "c2").await;
    assert!(before.iter().all(|(name, uid)| after.get(name) == Some(uid)), "a pod was restarted");
    // Case 10: what happens to a claim later takes nothing back; GitOps users take the field out.
    patch_cluster(&stage, "c2", &json!({"spec": {"restore": null}})).await.unwrap();
    until_told(&stage, "c2", "Restore", "True", "RestoreCompleted").await;
}
