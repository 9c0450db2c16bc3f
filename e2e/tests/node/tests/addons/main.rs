//! The databases of `e2e/addons` through the operator: data in, a Backup, the database lost with its volume, a claim from the Backup, the
//! same data. In two repositories, on a claim and in a bucket, spread over the tests so that each has several databases.
//!
//! What dp does not restore yet is restored by hand from what its Backups stored (`e2e_node::by_hand`), and each such test says so:
//! logs and chains (restore of `Continuous` and `Incremental`), postReady actions, volume snapshots.

mod etcd;
mod mariadb;
mod postgresql;
mod redis;

use e2e_node::repositories::Repository;
use e2e_node::{Node, PATIENCE};
use test_kit::wait;

/// An addon's database as a plain StatefulSet, ready, with a policy for this repository.
async fn database(name: &str, repository: Repository) -> Node {
    let node = prepared(name).await;
    node.revive(name).await;
    node.protect(name, repository).await;
    node
}

/// The same on a volume of a class with snapshots.
async fn database_with_snapshots(name: &str) -> Node {
    let node = prepared(name).await;
    node.script("e2e/csi/install.sh", &[]).await;
    // The StatefulSet takes the claim that is there.
    node.new_claim(&format!("data-{name}-0"), "csi", "1Gi", None).await;
    node.revive(name).await;
    node.protect(name, Repository::Claim).await;
    node
}

async fn prepared(name: &str) -> Node {
    let node = e2e_node::node_shared(name).await;
    node.script("e2e/addons/images.sh", &[name]).await;
    node
}

/// Waits for what a command in a pod prints.
async fn until_prints(node: &Node, pod: &str, command: &[&str], wanted: &str) {
    wait::eventually(PATIENCE, &format!("{command:?} prints {wanted}"), async || {
        let found = node.exec(pod, command);
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await;
}
