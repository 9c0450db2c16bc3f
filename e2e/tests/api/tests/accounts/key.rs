//! The key itself (design D21): made once, kept, never shown.

use crate::stage;
use e2e_api::{OPERATOR, PATIENCE, workspace};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use test_kit::builders;
use test_kit::operator::Operator;
use test_kit::wait;

const SECRET: &str = "holdfast-dp-encryption";

async fn key(api: &Api<Secret>) -> Secret {
    wait::eventually(PATIENCE, "the key", async || api.get(SECRET).await.map_err(|e| e.to_string())).await
}

/// Without a key in its settings the operator makes one at its first start and uses it from then on.
#[tokio::test]
async fn d21_a_key_is_made_once_and_can_not_be_changed() {
    let (stage, company) = stage("key").await;
    let api: Api<Secret> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    let made = key(&api).await;
    let text = e2e_api::apps_objects::text(&made, "encryptionKey").unwrap();
    assert!(text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()), "{} characters", text.len());
    assert_eq!(made.immutable, Some(true));
    assert!(made.owner_references().is_empty(), "nothing takes it away");
    company.operator.lock().await.restart().await;
    e2e_api::populate::ready("key-after").await;
    assert_eq!(key(&api).await.resource_version(), made.resource_version(), "a restart leaves it alone");
    let log = company.operator.lock().await.log();
    assert!(log.contains("keep a copy of it") && !log.contains(&text), "the log says so, and not the key");
    let other = Patch::Merge(json!({"stringData": {"encryptionKey": "another"}}));
    let refused = api.patch(SECRET, &PatchParams::default(), &other).await;
    assert!(refused.is_err(), "not even an admin changes it by mistake");
}

/// The rights of the chart in the own namespace are enough to make that Secret, and are no right to list any.
#[tokio::test]
async fn d21_the_rights_suffice_to_make_the_key_and_not_to_list_secrets() {
    let (stage, _) = stage("key-rights").await;
    let rules =
        std::fs::read_to_string(workspace().join("deploy/charts/holdfast-dp/rules/own-namespace.yaml")).unwrap();
    let rules: Value = serde_saphyr::from_str(&rules).unwrap();
    let of_secrets: Vec<Value> =
        rules.as_array().unwrap().iter().filter(|r| r["resources"] == json!(["secrets"])).cloned().collect();
    assert_eq!(of_secrets.len(), 1, "{rules}");
    builders::until_default_account(&stage.client, &stage.namespace).await;
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"name": "own", "namespace": stage.namespace}, "rules": of_secrets});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
        "metadata": {"name": "own", "namespace": stage.namespace},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "own"},
        "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": stage.namespace}]});
    stage.server.apply_yaml(&role.to_string()).await;
    stage.server.apply_yaml(&binding.to_string()).await;
    let config = stage.server.config_for(&stage.namespace, "default").await;
    let api: Api<Secret> = Api::namespaced(Client::try_from(config).unwrap(), &stage.namespace);
    let body =
        |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "immutable": true});
    let apply = async |name: &str| api.patch(name, &PatchParams::apply("t"), &Patch::Apply(body(name))).await;
    wait::eventually(PATIENCE, "the role counts", async || apply(SECRET).await.map_err(|e| e.to_string())).await;
    assert!(api.list(&ListParams::default()).await.is_err());
    assert!(api.list(&ListParams::default().fields(&format!("metadata.name={SECRET}"))).await.is_err());
}

#[test]
fn d21_help_shows_neither_key_nor_flag() {
    let out = std::process::Command::new(Operator::built("holdfast-dp"))
        .arg("--help")
        .env("DP_ENCRYPTION_KEY", "key-of-the-environment")
        .env("HOLDFAST_OLD_ENCRYPTION_KEYS", "old-one\nold-two")
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&out.stdout);
    assert!(shown.contains("--foreign-lease"), "{shown}");
    for hidden in ["key-of-the-environment", "old-one", "--encryption-key", "--old-encryption-keys"] {
        assert!(!shown.contains(hidden), "{hidden}: {shown}");
    }
}
