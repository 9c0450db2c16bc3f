//! A database that is being restored is not backed up by a schedule (design D13, behaviour-backup §16.31).

use api_types::contract::labels;
use e2e_api::apps_objects;
use e2e_api::backups::{backup, database, pods, policy, schedule, scheduled, until_backup, until_says};
use e2e_api::objects::{action_set, prepare_data};
use e2e_api::stage;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use test_kit::builders;

#[tokio::test]
async fn rule_31_a_scheduled_backup_waits_for_the_restore_and_a_users_runs_with_a_warning() {
    let (stage, _) = stage("gate").await;
    apps_objects::install_kinds(stage.server).await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let of_cluster = Patch::Merge(json!({"metadata": {"labels": {labels::INSTANCE: "c"}}}));
    pods(&stage).patch("db-0", &PatchParams::default(), &of_cluster).await.unwrap();
    let clusters = builders::dynamic(&stage.client, "apps.kubeblocks.io/v1", "Cluster", &stage.namespace);
    let cluster = builders::object(
        "apps.kubeblocks.io/v1",
        "Cluster",
        Some(&stage.namespace),
        "c",
        &json!({"spec": {"terminationPolicy": "Delete", "restore": {"source": {"kind": "Backup", "name": "x"}}}}),
    );
    builders::create_object(&stage.client, &cluster, None).await;
    policy(&stage, &actions, |_| {}).await;
    schedule(&stage, "full", true).await;
    scheduled(&stage, "nightly", "full").await;
    until_says(&stage, "nightly", "RestoreInProgress", "Cluster c").await;

    backup(&stage, "by-hand", |_| {}).await;
    until_backup(&stage, "by-hand", "Completed").await;
    let events: kube::Api<k8s_openapi::api::events::v1::Event> =
        kube::Api::namespaced(stage.client.clone(), &stage.namespace);
    let warned = events.list(&ListParams::default()).await.unwrap();
    let ours = |e: &&k8s_openapi::api::events::v1::Event| {
        let about = e.regarding.as_ref().and_then(|r| r.name.as_deref());
        about == Some("by-hand") && e.reason.as_deref() == Some("RestoreInProgress")
    };
    assert_eq!(warned.items.iter().filter(ours).count(), 1);

    let restored = json!({"conditions": [{"type": "Restore", "status": "True", "reason": "RestoreCompleted", "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    builders::set_status(&clusters, "c", &restored).await;
    until_backup(&stage, "nightly", "Completed").await;
    clusters.delete("c", &DeleteParams::default()).await.unwrap();
}
