//! What the API server itself refuses on a Cluster: its rules see spec and status of both old and new.

use api_types::apps::{API_VERSION, CLUSTER_RULES};
use e2e_api::workspace;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use test_kit::{ApiServer, builders};
use tokio::sync::OnceCell;

async fn client() -> Client {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    let start = || async {
        let server = ApiServer::builder().without_controllers().start().await;
        server.apply_file(workspace().join("deploy/install/holdfast-crds-apps.yaml")).await;
        server
    };
    SERVER.get_or_init(start).await.client()
}

/// A Cluster of one component, as a user writes it.
struct Play {
    api: Api<DynamicObject>,
}

impl Play {
    async fn new() -> Self {
        let client = client().await;
        let namespace = builders::namespace(&client, "rules").await;
        Self { api: builders::dynamic(&client, API_VERSION, "Cluster", &namespace) }
    }

    async fn create(&self, restore: Option<Value>) -> Result<(), String> {
        let mut spec = json!({
            "terminationPolicy": "Delete",
            "componentSpecs": [{ "name": "store", "componentDef": "ledger", "replicas": 1 }],
        });
        if let Some(restore) = restore {
            spec["restore"] = restore;
        }
        let cluster = builders::object(API_VERSION, "Cluster", None, "shop", &json!({ "spec": spec }));
        self.api.create(&PostParams::default(), &cluster).await.map(drop).map_err(|e| e.to_string())
    }

    /// Merges into the spec; null takes a field away.
    async fn patch(&self, spec: Value) -> Result<(), String> {
        let patch = Patch::Merge(json!({ "spec": spec }));
        self.api.patch("shop", &PatchParams::default(), &patch).await.map(drop).map_err(|e| e.to_string())
    }

    async fn condition(&self, type_: &str, status: &str) {
        let condition = json!({
            "type": type_, "status": status, "reason": "Because", "message": "",
            "lastTransitionTime": "2026-03-01T01:00:00Z",
        });
        builders::set_status(&self.api, "shop", &json!({ "conditions": [condition] })).await;
    }

    async fn has_restore(&self) -> bool {
        self.api.get("shop").await.expect("the Cluster").data["spec"].get("restore").is_some()
    }
}

fn restore() -> Value {
    json!({
        "source": { "apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "nightly" },
        "parameters": { "tables": "orders" },
    })
}

fn assert_refused(result: Result<(), String>, why: &str) {
    let error = result.expect_err("it must be refused");
    assert!(error.contains(why), "{error}");
}

const ADDED: &str = CLUSTER_RULES[0].1;
const REMOVED: &str = CLUSTER_RULES[1].1;

/// Case 14: a restore that is added later would mark live volumes and wait for ever.
#[tokio::test]
async fn apps_14_restore_cannot_be_added_later() {
    let play = Play::new().await;
    play.create(None).await.unwrap();
    assert_refused(play.patch(json!({ "restore": restore() })).await, ADDED);
    play.condition("Restore", "True").await;
    assert_refused(play.patch(json!({ "restore": restore() })).await, ADDED);
    play.patch(json!({ "terminationPolicy": "WipeOut" })).await.expect("other fields may change");
}

/// Case 15: without its spec a running restore would be forgotten half done.
#[tokio::test]
async fn apps_15_restore_cannot_be_removed_while_it_runs() {
    let play = Play::new().await;
    play.create(Some(restore())).await.unwrap();
    assert_refused(play.patch(json!({ "restore": null })).await, REMOVED);
    assert_refused(play.patch(Value::Null).await, REMOVED);
    for status in ["Unknown", "False"] {
        play.condition("Restore", status).await;
        assert_refused(play.patch(json!({ "restore": null })).await, REMOVED);
    }
    // Another condition that is True says nothing.
    play.condition("Ready", "True").await;
    assert_refused(play.patch(json!({ "restore": null })).await, REMOVED);
    assert!(play.has_restore().await);
}

#[tokio::test]
async fn restore_may_be_removed_once_it_is_done_and_does_not_come_back() {
    let play = Play::new().await;
    play.create(Some(restore())).await.unwrap();
    play.condition("Restore", "True").await;
    play.patch(json!({ "restore": null })).await.expect("the restore is done");
    assert!(!play.has_restore().await);
    assert_refused(play.patch(json!({ "restore": restore() })).await, ADDED);
}

/// The status a writer of the main resource sends along counts for nothing.
#[tokio::test]
async fn a_made_up_status_does_not_remove_the_restore() {
    let play = Play::new().await;
    play.create(Some(restore())).await.unwrap();
    let condition = json!({
        "type": "Restore", "status": "True", "reason": "Because", "message": "",
        "lastTransitionTime": "2026-03-01T01:00:00Z",
    });
    let patch = Patch::Merge(json!({ "spec": { "restore": null }, "status": { "conditions": [condition] } }));
    let result = play.api.patch("shop", &PatchParams::default(), &patch).await;
    assert_refused(result.map(drop).map_err(|e| e.to_string()), REMOVED);
}

#[tokio::test]
async fn restore_cannot_be_changed() {
    let changes = [
        json!({ "source": { "name": "other" } }),
        json!({ "source": { "namespace": "elsewhere" } }),
        json!({ "pitr": "2026-03-01T00:10:00Z" }),
        json!({ "parameters": { "tables": "all" } }),
        json!({ "parameters": null }),
    ];
    let play = Play::new().await;
    play.create(Some(restore())).await.unwrap();
    for done in [false, true] {
        if done {
            play.condition("Restore", "True").await;
        }
        for change in &changes {
            assert_refused(play.patch(json!({ "restore": change })).await, "spec.restore is immutable");
        }
    }
}

#[tokio::test]
async fn an_empty_source_is_refused() {
    let play = Play::new().await;
    for field in ["apiGroup", "kind", "name"] {
        let mut empty = restore();
        empty["source"][field] = json!("");
        assert_refused(play.create(Some(empty)).await, &format!("spec.restore.source.{field}"));
        let mut absent = restore();
        absent["source"].as_object_mut().expect("a source").remove(field);
        assert_refused(play.create(Some(absent)).await, &format!("spec.restore.source.{field}: Required value"));
    }
    play.create(Some(restore())).await.expect("the whole source is accepted");
}

/// Rules of the contract that a user meets first.
#[tokio::test]
async fn names_and_topology_keep_their_rules() {
    let play = Play::new().await;
    play.create(None).await.unwrap();
    let twice = json!({ "componentSpecs": [
        { "name": "store", "replicas": 1 }, { "name": "store", "replicas": 1 },
    ] });
    // The contract's rule lets equal names pass where all components name a definition.
    assert_refused(play.patch(twice).await, "names must be unique");
    let mixed = json!({ "componentSpecs": [
        { "name": "store", "componentDef": "ledger", "replicas": 1 }, { "name": "proxy", "replicas": 1 },
    ] });
    assert_refused(play.patch(mixed).await, "names must be unique");
    play.patch(json!({ "topology": "plain" })).await.expect("a topology may be set once");
    assert_refused(play.patch(json!({ "topology": "parts" })).await, "spec.topology is immutable");
    assert_refused(play.patch(json!({ "topology": null })).await, "topology cannot be removed");
}
