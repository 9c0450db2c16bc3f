//! How long a Cluster of two trivial pods takes on the real node: created until Running, and restored from a small
//! backup until the condition `Restore` is True and it is Running.

use e2e_node::clusters::APPS;
use e2e_node::{DP, Node, PATIENCE, node_with_apps};
use kube::Api;
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams};
use serde_json::json;
use std::time::{Duration, Instant};
use test_kit::builders;
use test_kit::wait;

const IMAGE: &str = "docker.io/local/busybox:1";
const NAME: &str = "bench-node-cluster";

/// Prints one line: the medians of `runs` of each.
pub async fn run(runs: usize) {
    let node = node_with_apps("bench").await;
    prepare(&node).await;
    create(&node, "source", None).await;
    back_up(&node).await;
    // The first of each finds caches of the node empty; it is not counted.
    let (mut created, mut restored) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        for (source, times) in [(None, &mut created), (Some("source"), &mut restored)] {
            let took = create(&node, "measured", source).await;
            eprintln!(
                "run {run}, {}: {:.2} s",
                if source.is_some() { "restored" } else { "created" },
                took.as_secs_f64()
            );
            if run > 0 {
                times.push(took);
            }
            delete(&node, "measured").await;
        }
    }
    println!("{}", json!({"bench": "node-cluster", "create_s": median(created), "restore_s": median(restored)}));
    clean_up(&node).await;
}

/// Takes away what was made, so that a cluster that stays is as before.
async fn clean_up(node: &Node) {
    delete(node, "source").await;
    node.api(DP, "Backup").delete("source", &DeleteParams::default()).await.expect("delete");
    // Its files are deleted by a Job, and a namespace that is being deleted takes none.
    wait::eventually(PATIENCE, "the Backup is gone", async || {
        if node.names(DP, "Backup").await.is_empty() { Ok(()) } else { Err("still there".to_owned()) }
    })
    .await;
    for (api, kind, name) in
        [(APPS, "ComponentDefinition", NAME), (DP, "ActionSet", NAME), ("v1", "Namespace", node.namespace.as_str())]
    {
        let all: Api<DynamicObject> = Api::all_with(node.client.clone(), &builders::resource(api, kind));
        all.delete(name, &DeleteParams::default()).await.expect("delete");
    }
}

/// Seconds, two digits.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    let middle = times.get(times.len() / 2).copied().unwrap_or_default();
    (middle.as_secs_f64() * 100.0).round() / 100.0
}

async fn prepare(node: &Node) {
    node.repository().await;
    node.apply_cluster(&json!({
        "apiVersion": APPS, "kind": "ComponentDefinition", "metadata": {"name": NAME},
        "spec": {
            "serviceKind": "trivial", "serviceVersion": "1.0.0", "podManagementPolicy": "Parallel",
            "runtime": {"terminationGracePeriodSeconds": 0, "containers": [{
                "name": "main", "image": IMAGE,
                "command": ["sh", "-c", "[ -e /data/x ] || date >/data/x; exec sleep 36000"],
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
            "volumes": [{"name": "data", "needSnapshot": true}],
        },
    }))
    .await;
    let script =
        "set -e; export PATH=$PATH:$DP_DATASAFED_BIN_PATH DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH; cd /data; ";
    let backup = format!("{script} tar cf - . | datasafed push - /data.tar");
    let restore = format!("{script} datasafed pull /data.tar - | tar xf -");
    node.apply_cluster(&json!({
        "apiVersion": DP, "kind": "ActionSet", "metadata": {"name": NAME},
        "spec": {
            "backupType": "Full",
            "backup": {"backupData": {"image": IMAGE, "runOnTargetPodNode": true, "command": ["sh", "-c", backup]}},
            "restore": {"prepareData": {"image": IMAGE, "command": ["sh", "-c", restore]}},
        },
    }))
    .await;
}

async fn back_up(node: &Node) {
    node.apply(&json!({
        "apiVersion": DP, "kind": "BackupPolicy", "metadata": {"name": "source"},
        "spec": {"backupRepoName": node.repository().await,
            "target": {"podSelector": {"strategy": "Any", "matchLabels": {
                "app.kubernetes.io/instance": "source", "app.kubernetes.io/managed-by": "kubeblocks",
                "apps.kubeblocks.io/component-name": "toy"}}},
            "backupMethods": [{"name": "full", "actionSetName": NAME, "snapshotVolumes": false,
                "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}]},
    }))
    .await;
    node.apply(&json!({
        "apiVersion": DP, "kind": "Backup", "metadata": {"name": "source"},
        "spec": {"backupPolicyName": "source", "backupMethod": "full", "deletionPolicy": "Delete"},
    }))
    .await;
    node.until_phase("Backup", "source", "Completed").await;
}

/// Creates a Cluster and gives the time until it is there.
async fn create(node: &Node, name: &str, backup: Option<&str>) -> Duration {
    let mut cluster = json!({
        "apiVersion": APPS, "kind": "Cluster", "metadata": {"name": name},
        "spec": {"terminationPolicy": "Delete", "componentSpecs": [{
            "name": "toy", "componentDef": NAME, "replicas": 2,
            "resources": {"limits": {"cpu": "100m", "memory": "64Mi"}, "requests": {"cpu": "10m", "memory": "16Mi"}},
            "volumeClaimTemplates": [{"name": "data", "spec": {
                "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "64Mi"}}}}]}]},
    });
    if let Some(backup) = backup {
        cluster["spec"]["restore"] = json!({"source": {
            "apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": backup}});
    }
    let object: DynamicObject = serde_json::from_value(cluster).expect("an object");
    let begin = Instant::now();
    node.clusters().create(&PostParams::default(), &object).await.expect("create");
    node.until_running(name, backup.is_some()).await;
    begin.elapsed()
}

/// Deletes a Cluster and waits until the node is at rest again.
async fn delete(node: &Node, name: &str) {
    node.clusters().delete(name, &DeleteParams::default()).await.expect("delete");
    let of_cluster = ListParams::default().labels(&format!("app.kubernetes.io/instance={name}"));
    wait::eventually(PATIENCE, &format!("Cluster {name} is gone"), async || {
        let pods = node.pods().list(&of_cluster).await.map_err(|e| e.to_string())?.items.len();
        let claims = node.claims().list(&of_cluster).await.map_err(|e| e.to_string())?.items.len();
        let jobs = node.names("batch/v1", "Job").await.len();
        if pods + claims + jobs == 0 { Ok(()) } else { Err(format!("{pods} pods, {claims} claims, {jobs} Jobs")) }
    })
    .await;
}
