//! A Cluster comes back from its backup, with both operators killed in the middle: the same end state as undisturbed.

#![allow(clippy::expect_used, clippy::indexing_slicing)] // helpers of tests; a failure ends the test

use e2e_node::clusters::{APPS, WORKLOADS, condition, json};
use e2e_node::{APPS_OPERATOR, DP, DP_OPERATOR, Node, PATIENCE, node_with_apps, workspace};
use kube::api::{DeleteParams, ListParams};
use serde_json::{Value, json};
use std::path::PathBuf;
use test_kit::wait;

const CHECKSUM: &str = "SELECT count(*) || ' ' || md5(string_agg(id || note, ',' ORDER BY id)) FROM orders";
const SQL: [&str; 6] = ["psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-qAtc"];

fn file(name: &str) -> PathBuf {
    workspace().join("e2e").join(name)
}

fn sql(node: &Node, pod: &str, statement: &str) -> String {
    let mut command = SQL.to_vec();
    command.push(statement);
    node.exec(pod, &command)
}

/// The demo's ActionSet under another name; its restore waits for a file in the repository before it begins.
async fn gated_actions(node: &Node) -> String {
    let name = format!("gated-{}", node.namespace);
    let mut actions = node.manifest(&file("addons/postgresql/actionset.yaml"));
    actions["metadata"]["name"] = json!(name);
    let script = &mut actions["spec"]["restore"]["prepareData"]["command"][2];
    let own = script.as_str().expect("a script").to_owned();
    *script = json!(format!("until [ -e /backupdata/restore-{name} ]; do sleep 0.1; done\n{own}"));
    node.apply_cluster(&actions).await;
    name
}

/// The demo's Cluster `shop` with rows in it and a Backup `shop`; gives the name of its ActionSet and its rows.
async fn backed_up(node: &Node) -> (String, String) {
    let repo = node.repository().await;
    let actions = gated_actions(node).await;
    for name in ["addons/postgresql/componentdefinition.yaml", "addons/scratch/componentdefinition.yaml"] {
        node.apply_file(&file(name));
    }
    node.apply_file(&file("demo/cluster.yaml"));
    node.until_running("shop", false).await;
    let fill = "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 10000) i";
    sql(node, "shop-postgres-0", fill);
    let rows = sql(node, "shop-postgres-0", CHECKSUM);
    assert!(rows.starts_with("10000 "), "{rows}");
    node.apply(&json!({
        "apiVersion": DP, "kind": "BackupPolicy", "metadata": {"name": "shop-postgres"},
        "spec": {"backupRepoName": repo,
            "target": {
                "podSelector": {"strategy": "Any", "matchLabels": {"app.kubernetes.io/instance": "shop",
                    "app.kubernetes.io/managed-by": "kubeblocks", "apps.kubeblocks.io/component-name": "postgres"}},
                "connectionCredential": {"secretName": "shop-postgres-account-postgres",
                    "usernameKey": "username", "passwordKey": "password"}},
            "backupMethods": [{"name": "full", "actionSetName": actions, "snapshotVolumes": false,
                "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/var/lib/postgresql"}]}}]},
    }))
    .await;
    node.apply(&json!({
        "apiVersion": DP, "kind": "Backup", "metadata": {"name": "shop"},
        "spec": {"backupPolicyName": "shop-postgres", "backupMethod": "full", "deletionPolicy": "Delete"},
    }))
    .await;
    node.until_phase("Backup", "shop", "Completed").await;
    (actions, rows)
}

/// The demo's restored Cluster under this name.
async fn restore(node: &Node, name: &str) {
    let mut cluster = node.manifest(&file("demo/cluster-restored.yaml"));
    cluster["metadata"]["name"] = json!(name);
    node.apply(&cluster).await;
}

/// Everything of a Cluster that must not depend on what happened on the way, its own name and UIDs left out.
async fn end_state(node: &Node, cluster: &str) -> Value {
    nothing_in_flight(node).await;
    let of_cluster = ListParams::default().labels(&format!("app.kubernetes.io/instance={cluster}"));
    let mut all = Vec::new();
    for (api, kind) in [
        (APPS, "Component"),
        (WORKLOADS, "InstanceSet"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Pod"),
        ("v1", "Secret"),
    ] {
        let list = node.api(api, kind).list(&of_cluster).await.expect("list");
        let mut objects: Vec<Value> = list.iter().map(json).collect();
        objects.sort_by_key(|o| o["metadata"]["name"].to_string());
        for object in objects {
            all.push(essence(kind, &object));
            if kind == "PersistentVolumeClaim" {
                let volume = object["spec"]["volumeName"].as_str().expect("bound");
                let volumes =
                    kube::Api::all_with(node.client.clone(), &test_kit::builders::resource("v1", "PersistentVolume"));
                all.push(essence("PersistentVolume", &json(&volumes.get(volume).await.expect("its volume"))));
            }
        }
    }
    all.push(essence("Cluster", &json(&node.clusters().get(cluster).await.expect("the Cluster"))));
    let text = Value::Array(all).to_string().replace(cluster, "CLUSTER");
    serde_json::from_str(&text).expect("still JSON")
}

/// What counts of one object.
fn essence(kind: &str, object: &Value) -> Value {
    let told = |type_: &str| {
        let told = condition(object, type_);
        json!([told.status, told.reason, told.message])
    };
    let metadata = &object["metadata"];
    let mut notes = metadata["annotations"].as_object().cloned().unwrap_or_default();
    if let Some(text) = notes.get("holdfast.dev/populate-state").and_then(Value::as_str) {
        let mut state: Value = serde_json::from_str(text).expect("JSON");
        state.as_object_mut().expect("an object").remove("uid");
        notes.insert("holdfast.dev/populate-state".to_owned(), state);
    }
    // What names an object of this one restore.
    notes.retain(|key, _| {
        !key.ends_with("-uid") && !key.starts_with("pv.kubernetes.io/") && key != "holdfast.dev/applied"
    });
    let mut out = json!({"kind": kind, "name": metadata["name"]});
    match kind {
        "Pod" => {
            out["ready"] = json!(condition(object, "Ready").status);
            out["restarts"] = json!(object["status"]["containerStatuses"][0]["restartCount"]);
        }
        "Secret" => out["data"] = object["data"].clone(),
        "PersistentVolume" => {
            out["name"] = Value::Null;
            out["notes"] = json!(notes);
            out["claim"] = object["spec"]["claimRef"]["name"].clone();
        }
        "PersistentVolumeClaim" => {
            out["notes"] = json!(notes);
            out["source"] = object["spec"]["dataSourceRef"].clone();
            out["told"] = json!([told("Populating"), told("Restore")]);
        }
        _ => {
            out["phase"] = object["status"]["phase"].clone();
            out["told"] = told("Restore");
            out["templates"] = object["spec"]["volumeClaimTemplates"].clone();
        }
    }
    out
}

/// No Job and no prime claim is left, and what the end of a restore changes in templates is seen by everybody.
async fn nothing_in_flight(node: &Node) {
    wait::eventually(PATIENCE, "nothing is in flight", async || {
        let jobs = node.names("batch/v1", "Job").await;
        let claims = node.names("v1", "PersistentVolumeClaim").await;
        let prime: Vec<&String> = claims.iter().filter(|n| n.starts_with("kb-populate-")).collect();
        let mut unsettled = Vec::new();
        for (api, kind) in [(APPS, "Component"), (WORKLOADS, "InstanceSet"), (APPS, "Cluster")] {
            let list = node.api(api, kind).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
            unsettled.extend(list.iter().map(json).filter(|o| !settled(o)).map(|o| o["metadata"]["name"].to_string()));
        }
        if jobs.is_empty() && prime.is_empty() && unsettled.is_empty() {
            return Ok(());
        }
        Err(format!("jobs {jobs:?}, prime claims {prime:?}, not settled {unsettled:?}"))
    })
    .await;
}

/// Its controller has seen the last change; it runs, and no template asks for a restore any more.
fn settled(object: &Value) -> bool {
    let status = &object["status"];
    status["observedGeneration"] == object["metadata"]["generation"]
        && (status["phase"].is_null() || status["phase"] == "Running")
        && !object["spec"]["volumeClaimTemplates"].to_string().contains("restore-source")
}

#[tokio::test(flavor = "multi_thread")]
async fn both_operators_killed_in_the_middle_of_a_clusters_restore() {
    let node = node_with_apps("clusters").await;
    let (actions, rows) = backed_up(&node).await;

    restore(&node, "killed").await;
    node.until_action_runs("dataprotection.kubeblocks.io/restore").await;
    let killed = node.kill(&[DP_OPERATOR, APPS_OPERATOR]).await;
    // The data arrives while nobody looks.
    node.open_gate(&format!("restore-{actions}")).await;
    node.until_back(&killed).await;
    let cluster = node.until_running("killed", true).await;
    assert_eq!(condition(&cluster, "Restore").reason, "RestoreCompleted");
    assert_eq!(sql(&node, "killed-postgres-0", CHECKSUM), rows);
    let after_kill = end_state(&node, "killed").await;

    restore(&node, "quiet").await;
    node.until_running("quiet", true).await;
    assert_eq!(sql(&node, "quiet-postgres-0", CHECKSUM), rows);
    let undisturbed = end_state(&node, "quiet").await;
    let shown = |value: &Value| serde_json::to_string_pretty(value).expect("JSON");
    let (one, other) = (shown(&after_kill), shown(&undisturbed));
    let differing: Vec<_> = one.lines().zip(other.lines()).filter(|(a, b)| a != b).collect();
    assert!(one == other, "killed and undisturbed: {differing:#?}\n{one}");

    // What both came to: data in the one volume, the other empty on purpose, the old password, clean templates.
    let of_kind = |kind: &str| -> Vec<&Value> {
        undisturbed.as_array().expect("a list").iter().filter(|o| o["kind"] == kind).collect()
    };
    let claims = of_kind("PersistentVolumeClaim");
    let told: Vec<&Value> = claims.iter().map(|c| &c["told"][1][1]).collect();
    assert_eq!(told, ["Succeed", "Provisioned"], "{other}");
    let secret = node.api("v1", "Secret").get("shop-postgres-account-postgres").await.expect("the old account");
    assert_eq!(of_kind("Secret")[0]["data"], secret.data["data"]);
    for object in of_kind("Component").iter().chain(&of_kind("InstanceSet")) {
        assert_eq!(object["told"][0], "True");
        assert!(!object["templates"].to_string().contains("dataSourceRef"), "{object}");
    }
    // Clusters left behind would keep the demo from taking their kinds away.
    let clusters = node.clusters();
    clusters.delete_collection(&DeleteParams::default(), &ListParams::default()).await.expect("delete");
    wait::eventually(PATIENCE, "the Clusters are gone", async || {
        let left = node.names(APPS, "Cluster").await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
