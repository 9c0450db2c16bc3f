//! The scripts of `e2e/addons`, each in its image with the mover, against a directory and an S3 bucket: back up, wipe, restore,
//! compare. No operator runs them here.

mod etcd;
mod mariadb;
mod postgresql;
mod redis;

use e2e_node::by_hand::{Action, Left, Repository, backup_env};
use e2e_node::{Node, PATIENCE};
use serde_json::Value;
use test_kit::wait;

/// An addon's database as a plain StatefulSet, ready, its images loaded.
async fn database(name: &str) -> Node {
    let node = e2e_node::node(name).await;
    node.script("e2e/addons/images.sh", &[name]);
    node.addon(&format!("{name}/statefulset.yaml"));
    node.until_ready(&format!("{name}-0")).await;
    node
}

/// Environment of an action on the database: what [`backup_env`] says, and the connection. The bucket outlives the test, so
/// its namespace is the directory.
fn environment(node: &Node, database: &str, user: &str, port: u16, backup: &str) -> Vec<(&'static str, String)> {
    let mut env = backup_env(&format!("/{}", node.namespace), backup);
    env.push(("DP_DB_HOST", format!("{database}-0.{database}")));
    env.push(("DP_DB_PORT", port.to_string()));
    env.push(("DP_DB_USER", user.to_owned()));
    env.push(("DP_DB_PASSWORD", "correct-horse".to_owned()));
    env
}

/// What a backup told about itself holds: a size, and a time range that has begun before it ended.
fn told(left: &Left) -> (String, String) {
    let info = &left.info;
    let size: u64 = info["totalSize"].as_str().and_then(|s| s.parse().ok()).unwrap_or_else(|| panic!("{left:?}"));
    assert!(size > 0, "{left:?}");
    let time = |key: &str| info["timeRange"][key].as_str().unwrap_or_else(|| panic!("{left:?}")).to_owned();
    let (start, end) = (time("start"), time("end"));
    assert!(start <= end && end.ends_with('Z'), "{left:?}");
    (start, end)
}

/// Waits for what a command in a pod prints.
async fn until_prints(node: &Node, pod: &str, command: &[&str], wanted: &str) {
    wait::eventually(PATIENCE, &format!("{command:?} prints {wanted}"), async || {
        let found = node.exec(pod, command);
        if found == wanted { Ok(()) } else { Err(found) }
    })
    .await;
}

/// The action of an ActionSet that takes a backup.
fn backup<'a>(
    set: &'a Value,
    pod: &'a str,
    env: Vec<(&'a str, String)>,
    volume: Option<(&'a str, &'a str)>,
) -> Action<'a> {
    Action { pod, set, at: "/backup/backupData", volume, env }
}

/// The action of an ActionSet that fills a claim.
fn prepare<'a>(set: &'a Value, env: Vec<(&'a str, String)>, volume: (&'a str, &'a str)) -> Action<'a> {
    Action { pod: "prepare", set, at: "/restore/prepareData", volume: Some(volume), env }
}

/// Repositories of both kinds of access.
const DIRECTORY: Repository = Repository::Claim("repository");
const BUCKET: Repository = Repository::Bucket("backups");
