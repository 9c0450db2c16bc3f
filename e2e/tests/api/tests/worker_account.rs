//! The service account that action pods run under. One test, since the operator is started with other settings.

use e2e_api::backups::{backup, database, policy, until_backup};
use e2e_api::objects::{self, prepare_data};
use e2e_api::stage;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

/// §16.42: pull secrets are given to an account that is made, and those a user adds stay; annotations of the installation
/// stand beside those of the user.
#[tokio::test]
async fn rule_42_an_account_is_made_with_pull_secrets_and_keeps_those_of_the_user() {
    let (stage, company) = stage("pull").await;
    let settings = |secret: &str, role: &str| {
        (json!([{"name": secret}]).to_string(), json!({"cloud.example/role": role}).to_string())
    };
    let restart = async |(secrets, notes): (String, String)| {
        let mut operator = company.operator.lock().await;
        operator
            .restart_with(|b| {
                b.env("KUBEBLOCKS_IMAGE_PULL_SECRETS", secrets).env("WORKER_SERVICE_ACCOUNT_ANNOTATIONS", notes)
            })
            .await;
    };
    restart(settings("registry", "one")).await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "first", |_| {}).await;
    until_backup(&stage, "first", "Completed").await;
    let accounts: Api<ServiceAccount> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let name = "kubeblocks-dataprotection-worker";
    let names = |account: &ServiceAccount| -> Vec<String> {
        account.image_pull_secrets.iter().flatten().map(|s| s.name.clone()).collect()
    };
    let made = accounts.get(name).await.unwrap();
    assert_eq!(names(&made), ["registry"]);
    assert_eq!(made.annotations()["cloud.example/role"], "one");

    let own = json!({"metadata": {"annotations": {"team": "a"}}, "imagePullSecrets": [{"name": "registry"}, {"name": "own"}]});
    accounts.patch(name, &PatchParams::default(), &Patch::Merge(own)).await.unwrap();
    // Another operator knows nothing of it, and is told other settings.
    restart(settings("another", "two")).await;
    backup(&stage, "second", |_| {}).await;
    until_backup(&stage, "second", "Completed").await;
    let kept = accounts.get(name).await.unwrap();
    assert_eq!(names(&kept), ["registry", "own"], "the user's");
    assert_eq!(kept.annotations()["cloud.example/role"], "two");
    assert_eq!(kept.annotations()["team"], "a");
}
