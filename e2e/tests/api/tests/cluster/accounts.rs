//! Both operators together: a Cluster is backed up and restored under another name, with its accounts, and with a
//! component beside it that no backup covers.

use crate::restore::backup_of_db;
use e2e_api::backups::{backup, policy, until_backup};
use e2e_api::clusters::{both, cluster, component, condition, definition, from_backup, until_cluster, until_told};
use e2e_api::objects::{self, claims, prepare_data, until_phase, until_restore};
use e2e_api::populate::pods_of_jobs_end;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use serde_json::{Value, json};
use test_kit::Outcome;

fn named(mut component: Value, name: &str) -> Value {
    component["name"] = json!(name);
    component
}

#[tokio::test]
async fn apps_25_the_restored_cluster_has_the_password_of_the_old_one() {
    let (stage, company, _) = both("password").await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    until_phase(&stage.client, "ActionSet", "", &actions, "Available").await;
    policy(&stage, &actions, |spec| {
        spec["target"]["podSelector"]["matchLabels"] = json!({
            "app.kubernetes.io/instance": "c1", "app.kubernetes.io/managed-by": "kubeblocks",
            "apps.kubeblocks.io/component-name": "db"});
    })
    .await;
    pods_of_jobs_end(&stage, company, Outcome::succeed());
    backup(&stage, "b", |_| {}).await;
    let made = until_backup(&stage, "b", "Completed").await;
    let notes = made.metadata.annotations.unwrap_or_default();
    let sealed = &notes["kubeblocks.io/encrypted-system-accounts"];
    assert!(sealed.contains("root") && notes.contains_key("kubeblocks.io/cluster-snapshot"), "{sealed}");

    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "True", "2/2 claims restored").await;
    until_cluster(&stage, "c2", "Running").await;
    let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let password = async |name: &str| secrets.get(name).await.unwrap().data.unwrap()["password"].0.clone();
    assert_eq!(password("c2-db-account-root").await, password("c1-db-account-root").await);
    let restored = secrets.get("c2-db-account-root").await.unwrap();
    assert_eq!(restored.metadata.annotations.unwrap()["apps.kubeblocks.io/system-account-provisioned"], "true");
}

#[tokio::test]
async fn apps_18_d7c_a_component_no_backup_covers_is_provisioned_and_named() {
    let (stage, _, _) = both("beside").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let mut scratch = named(component(&toy), "scratch");
    scratch["replicas"] = json!(1);
    cluster(&stage, "c2", &[component(&toy), scratch], &json!({"restore": from_backup("b")})).await;
    let done = until_told(&stage, "c2", "Restore", "True", "data-c2-scratch-0").await;
    let told = condition(&done.status.unwrap().conditions, "Restore").unwrap().message.clone();
    assert!(told.starts_with("3/3 claims restored; provisioned without data"), "{told}");
    until_restore(&stage, "data-c2-db-0", "True", "Succeed").await;
    let empty = until_restore(&stage, "data-c2-scratch-0", "True", "Provisioned").await;
    assert!(
        objects::message(&empty).contains("component-name=db"),
        "the reason is recorded: {}",
        objects::message(&empty)
    );
    until_cluster(&stage, "c2", "Running").await;
}

#[tokio::test]
async fn apps_19_d7b_a_renamed_component_restores_nothing_and_is_told_so() {
    let (stage, company, _) = both("renamed").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    let renamed = named(component(&toy), "store");
    cluster(&stage, "c2", &[renamed], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "False", "source-target-name").await;
    let claim = claims(&stage).get("data-c2-store-0").await.unwrap();
    assert_eq!(claim.spec.unwrap().volume_name, None, "nothing empty was bound");
    assert!(company.executor.written_to(&stage.namespace, "data-c2-store-0").is_empty());
}

#[tokio::test]
async fn a_failure_is_taken_back_when_dp_is_asked_to_try_again() {
    let (stage, company, _) = both("again").await;
    let toy = definition(&stage, |_| {}).await;
    backup_of_db(&stage).await;
    // Two targets fit: which one is the user's to say.
    let two = json!({"target": null, "targets": [
        {"name": "one", "podSelector": {"matchLabels": {"apps.kubeblocks.io/component-name": "db"}}, "selectedTargetPods": ["a"]},
        {"name": "two", "podSelector": {"matchLabels": {"apps.kubeblocks.io/component-name": "db"}}, "selectedTargetPods": ["b"]}]});
    objects::set_backup_status(&stage, "b", &two).await;
    let mut single = component(&toy);
    single["replicas"] = json!(1);
    cluster(&stage, "c2", &[single], &json!({"restore": from_backup("b")})).await;
    let failed = until_told(&stage, "c2", "Restore", "False", "one").await;
    let told = condition(&failed.status.unwrap().conditions, "Restore").unwrap().message.clone();
    assert!(told.contains("one") && told.contains("two"), "both names (apps case 20): {told}");
    let choice = json!({"metadata": {"annotations": {
        "dataprotection.kubeblocks.io/source-target-name": "two", "holdfast.dev/retry": "1"}}});
    objects::patch_claim(&stage, "data-c2-db-0", choice).await;
    until_told(&stage, "c2", "Restore", "True", "1/1 claims restored").await;
    crate::restore::db_is_filled(&stage, company, "c2", 1).await;
}
