//! The apps operator without the data protection operator: on a server that has never heard of it, before its own
//! CRDs are there, and after they were taken away.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2e_api::clusters::{
    APPS_OPERATOR, Bare, cluster, component, condition, definition, from_backup, until_cluster, until_told,
};
use e2e_api::objects::claims;
use e2e_api::{PATIENCE, workspace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use test_kit::operator::http_status;
use test_kit::wait;

#[tokio::test]
async fn without_the_other_operator_a_restore_says_what_it_waits_for() {
    let bare = Bare::start("alone").await;
    bare.install().await;
    let _operator = bare.operator().start().await;
    let stage = &bare.stage;
    let toy = definition(stage, |_| {}).await;
    cluster(stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    let told = until_told(stage, "c2", "Restore", "Unknown", "WaitingForDataProtection").await;
    let condition = condition(&told.status.as_ref().unwrap().conditions, "Restore").unwrap();
    assert_eq!(condition.reason, "RestoreRunning");
    assert!(condition.message.contains("PVC data-c2-db-0"), "{}", condition.message);
    for claim in claims(stage).list(&ListParams::default()).await.unwrap() {
        let source = claim.spec.as_ref().unwrap().data_source_ref.clone().unwrap();
        assert_eq!((source.kind.as_str(), source.namespace), ("Backup", None));
    }
}

#[tokio::test]
async fn it_becomes_ready_when_its_crds_come_and_works_again_after_they_were_taken_away() {
    let bare = Bare::start("late").await;
    let mut operator = bare.operator().start_unready();
    let port = bare.health_port;
    assert_eq!(http_status(port, "/readyz").await.ok().filter(|code| *code == 200), None, "nothing to watch yet");
    bare.install().await;
    let ready = async || match http_status(port, "/readyz").await {
        Ok(200) => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait::eventually(PATIENCE, "it is ready", ready).await;
    let stage = &bare.stage;
    let toy = definition(stage, |_| {}).await;
    cluster(stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(stage, "c1", "Running").await;
    let crds: Api<CustomResourceDefinition> = Api::all(stage.client.clone());
    for crd in crds.list(&ListParams::default()).await.unwrap() {
        crds.delete(&crd.name_any(), &DeleteParams::default()).await.unwrap();
        wait::watch_until_gone(&crds, &crd.name_any(), PATIENCE).await;
    }
    let id = operator.id();
    bare.server.apply_file(&workspace().join("deploy/install/holdfast-crds-apps.yaml")).await;
    bare.server.restart_controller_manager().await;
    definition(stage, |_| {}).await;
    cluster(stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(stage, "c1", "Running").await;
    assert!(operator.is_running() && operator.id() == id, "the same process all along");
    assert_eq!(APPS_OPERATOR.0, "holdfast-apps");
}
