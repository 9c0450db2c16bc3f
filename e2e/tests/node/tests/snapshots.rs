//! Volume snapshots of the one-node cluster itself: what other tests stand on.

use e2e_node::{Node, PATIENCE, clusters, node_shared, run, workspace};
use kube::api::{DeleteParams, DynamicObject};
use serde_json::{Value, json};
use std::process::Command;
use test_kit::wait;

const IMAGE: &str = "docker.io/local/busybox:1";
const VERSION: &str = "snapshot.storage.k8s.io/v1";

/// A volume snapshot of a claim, once it can be used.
async fn snapshot(node: &Node, name: &str, claim: &str) -> Value {
    node.apply(&json!({
        "apiVersion": VERSION, "kind": "VolumeSnapshot", "metadata": {"name": name},
        "spec": {"source": {"persistentVolumeClaimName": claim}},
    }))
    .await;
    let ready = |s: &DynamicObject| s.data["status"]["readyToUse"] == true;
    clusters::json(&wait::watch_until(&node.api(VERSION, "VolumeSnapshot"), name, PATIENCE, ready).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_is_of_one_moment_and_a_claim_from_it_has_its_files() {
    let node = node_shared("snapshots").await;
    node.script("e2e/csi/install.sh", &[]).await;
    node.new_claim("data", "csi-wffc", "64Mi", None).await;
    // The last file is never ahead of the first, and never more than one behind: at one moment. What lies between them takes a
    // copy long enough for many more.
    let write = "echo kept >/data/kept; head -c 64000000 /dev/urandom >/data/middle; i=0; while :; do i=$((i+1)); \
        echo $i >/data/new; mv /data/new /data/a; echo $i >/data/new; mv /data/new /data/z; done";
    let pod = |name: &str, claim: &str, command: &str| {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {"terminationGracePeriodSeconds": 0, "securityContext": {"fsGroup": 4711},
                "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}],
                "containers": [{"name": "c", "image": IMAGE, "command": ["sh", "-c", command],
                    "readinessProbe": {"exec": {"command": ["test", "-s", "/data/z"]}, "periodSeconds": 1},
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]},
        })
    };
    node.apply(&pod("writer", "data", write)).await;
    node.until_ready("writer").await;
    let count = |pod: &str, file: &str| -> u64 {
        node.exec(pod, &["cat", file]).parse().unwrap_or_else(|e| panic!("{file}: {e}"))
    };
    let before = count("writer", "/data/a");
    let snapshot = snapshot(&node, "snap", "data").await;
    assert_eq!(snapshot["status"]["restoreSize"], "64Mi");

    for (claim, class) in [("copy", "csi"), ("later", "csi-wffc")] {
        node.new_claim(claim, class, "64Mi", Some("snap")).await;
        node.apply(&pod(claim, claim, "sleep 2147483647")).await;
        node.until_ready(claim).await;
        let (a, z) = (count(claim, "/data/a"), count(claim, "/data/z"));
        assert!(a == z || a == z + 1, "{claim}: the copy is of two moments, {a} and {z}");
        assert!(a >= before, "{claim}: {a}, written before the snapshot: {before}");
        assert_eq!(node.exec(claim, &["cat", "/data/kept"]), "kept");
    }
    // Who wrote goes on, and did not write into the copies.
    let now = count("writer", "/data/a");
    wait::eventually(PATIENCE, "the writer goes on", async || {
        if count("writer", "/data/a") > now { Ok(()) } else { Err("it stands still".to_owned()) }
    })
    .await;
    assert_eq!(count("copy", "/data/z"), count("later", "/data/z"));

    // A claim outlives its snapshot.
    let snapshots = node.api(VERSION, "VolumeSnapshot");
    snapshots.delete("snap", &DeleteParams::default()).await.expect("delete");
    wait::watch_until_gone(&snapshots, "snap", PATIENCE).await;
    assert_eq!(node.exec("copy", &["cat", "/data/kept"]), "kept");
    node.leave().await;
}

#[test]
fn the_drivers_own_tests_pass() {
    let driver = workspace().join("e2e/csi");
    run(Command::new("go").current_dir(driver).env("CGO_ENABLED", "0").args(["test", "-mod=readonly", "./driver"]));
}
