//! MariaDB: its files, a chain of them, a dump under lock, and a snapshot of a database that stands still.

use super::{BUCKET, DIRECTORY, PATIENCE, backup, database, environment, prepare, told};
use e2e_node::Node;
use e2e_node::by_hand::Action;
use serde_json::Value;
use test_kit::wait;

const VOLUME: &str = "/var/lib/mysql";
const SOURCE: (&str, &str) = ("data-mariadb-0", VOLUME);

fn sql(node: &Node, pod: &str, statement: &str) -> String {
    let shell = "MYSQL_PWD=$MARIADB_ROOT_PASSWORD exec mariadb -h 127.0.0.1 -u root -BN -e \"$1\"";
    node.exec(pod, &["bash", "-c", shell, "sql", statement])
}

fn env(node: &Node, name: &str) -> Vec<(&'static str, String)> {
    environment(node, "mariadb", "root", 3306, name)
}

const SUM: &str = "SELECT COUNT(*), MD5(GROUP_CONCAT(id, note ORDER BY id)) FROM shop.orders";
const TABLE: &str = "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, note CHAR(32))";

fn insert(node: &Node, rows: u32) {
    let all = format!("INSERT INTO shop.orders (note) SELECT MD5(RAND()) FROM shop.seq_1_to_{rows}");
    sql(node, "mariadb-0", &format!("SET GLOBAL group_concat_max_len = 10000000; {all}"));
}

async fn restore(
    node: &Node,
    set: &Value,
    claim: &str,
    env: Vec<(&'static str, String)>,
    repository: &super::Repository,
) -> String {
    node.new_claim(claim, "hostpath", "512Mi", None).await;
    node.action(&prepare(set, env, (claim, VOLUME)), repository).await;
    node.start_on("mariadb", claim, claim).await;
    sql(node, claim, &format!("SET SESSION group_concat_max_len = 10000000; {SUM}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_files_and_a_chain_of_three_restore_each_link() {
    let node = database("mariadb").await;
    let full = node.action_set("mariadb/actionset-physical.yaml").await;
    let incremental = node.action_set("mariadb/actionset-incremental.yaml").await;
    sql(&node, "mariadb-0", TABLE);
    // A checkpoint as young as may be: it is where the next link begins.
    sql(&node, "mariadb-0", "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0");
    // What the operator tells each link about the ones before it.
    let chain = |link: usize| {
        let names = ["base", "one", "two"];
        let mut env = env(&node, names[link]);
        if link > 0 {
            env.push(("DP_PARENT_BACKUP_NAME", names[link - 1].to_owned()));
            env.push(("DP_BASE_BACKUP_NAME", names[0].to_owned()));
            env.push(("DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES", names[1..link].join(",")));
        }
        env
    };
    let mut sums = Vec::new();
    let mut sizes = Vec::new();
    for link in 0..3 {
        insert(&node, if link == 0 { 30_000 } else { 500 });
        wait::eventually(PATIENCE, "what was written is in the files", async || {
            let age = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_CHECKPOINT_AGE'";
            let age = sql(&node, "mariadb-0", age);
            if age.parse::<u64>().is_ok_and(|bytes| bytes < 100_000) { Ok(()) } else { Err(age) }
        })
        .await;
        sums.push(sql(&node, "mariadb-0", SUM));
        let set = if link == 0 { &full } else { &incremental };
        let left = node.action(&backup(set, "backup", chain(link), Some(SOURCE)), &BUCKET).await;
        told(&left);
        sizes.push(left.info["totalSize"].as_str().and_then(|s| s.parse::<u64>().ok()).unwrap_or_default());
    }
    insert(&node, 500);
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[0], "only what changed: {sizes:?}");
    for (link, claim) in [(0, "copy-base"), (2, "copy-two")] {
        let set = if link == 0 { &full } else { &incremental };
        assert_eq!(restore(&node, set, claim, chain(link), &BUCKET).await, sums[link]);
        node.remove_pod(claim).await;
    }

    // A link that is missing in the middle does not fit, and says so; it never makes a database with a hole.
    let mut holed = chain(2);
    holed.retain(|(name, _)| *name != "DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES");
    node.new_claim("holed", "hostpath", "512Mi", None).await;
    node.start_action(&prepare(&incremental, holed, ("holed", VOLUME)), &BUCKET).await;
    let log = node.action_done("prepare", false).await.log;
    assert!(log.contains("This incremental backup seems not to be proper for the target"), "{log}");
    node.leave().await;
}

/// Writes into two tables of an engine without transactions, one after the other, until its connection is killed. Nothing
/// of it may hold the streams of the `kubectl exec` that starts it.
const WRITER: &str = "export MYSQL_PWD=$MARIADB_ROOT_PASSWORD; (i=0; while :; do i=$((i+1)); \
    echo \"INSERT INTO shop.a (n) VALUES ($i); INSERT INTO shop.z (n) VALUES ($i);\"; done | \
    mariadb -h 127.0.0.1 -u root) </dev/null >/tmp/writer.log 2>&1 &";
const COUNTS: &str = "SELECT (SELECT COUNT(*) FROM shop.a), (SELECT COUNT(*) FROM shop.z)";

fn counts(node: &Node, pod: &str) -> (u64, u64) {
    let found = sql(node, pod, COUNTS);
    let (a, z) = found.split_once('\t').unwrap_or_else(|| panic!("{found}"));
    (a.parse().expect("a number"), z.parse().expect("a number"))
}

async fn start_writer(node: &Node) {
    let tables = "CREATE DATABASE shop; CREATE TABLE shop.a (n INT) ENGINE=Aria; CREATE TABLE shop.m (t LONGTEXT) ENGINE=Aria; \
        CREATE TABLE shop.z (n INT) ENGINE=Aria; INSERT INTO shop.m SELECT REPEAT(MD5(RAND()), 1000) FROM shop.seq_1_to_300";
    sql(node, "mariadb-0", tables);
    node.exec("mariadb-0", &["bash", "-c", WRITER]);
    until_written(node, 100).await;
}

/// Waits until the writer has written more than `rows`.
async fn until_written(node: &Node, rows: u64) {
    wait::eventually(PATIENCE, "the writer writes", async || {
        let (_, z) = counts(node, "mariadb-0");
        if z > rows { Ok(()) } else { Err(format!("{z} rows")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_dump_under_lock_is_of_one_moment() {
    let node = database("mariadb").await;
    let set = node.action_set("mariadb/actionset-dump.yaml").await;
    start_writer(&node).await;
    let mut env = env(&node, "dump");
    env.push(("consistency", "lock".to_owned()));
    told(&node.action(&backup(&set, "backup", env.clone(), None), &DIRECTORY).await);
    // Who writes goes on after it.
    let now = counts(&node, "mariadb-0").1;
    until_written(&node, now).await;
    let writer = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()";
    let writer = sql(&node, "mariadb-0", writer);
    sql(&node, "mariadb-0", &format!("KILL {writer}"));

    sql(&node, "mariadb-0", "DROP DATABASE shop");
    let action = Action { pod: "restore", set: &set, at: "/restore/postReady/0/job", volume: None, env };
    node.action(&action, &DIRECTORY).await;
    let (a, z) = counts(&node, "mariadb-0");
    assert!(z >= 100 && (a == z || a == z + 1), "the dump is of two moments, {a} and {z}");
    node.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_stands_still_between_the_hooks_and_its_snapshot_is_whole() {
    let node = e2e_node::node("quiesced").await;
    node.script("e2e/csi/install.sh", &[]);
    node.script("e2e/addons/images.sh", &["mariadb"]);
    // The volume is of a class with snapshots; the StatefulSet takes the claim that is there.
    node.new_claim("data-mariadb-0", "csi", "512Mi", None).await;
    node.addon("mariadb/statefulset.yaml");
    node.until_ready("mariadb-0").await;
    let set = node.action_set("mariadb/actionset-quiesced-snapshot.yaml").await;
    let (before, after) = ("/backup/preBackup/0/exec", "/backup/postBackup/0/exec");
    start_writer(&node).await;

    node.exec_action(&set, before, "mariadb-0").expect("the tables are locked");
    // Run again, as after an operator's end, it locks again, once.
    node.exec_action(&set, before, "mariadb-0").expect("the tables are locked");
    let locked = counts(&node, "mariadb-0");
    node.snapshot("snap", "data-mariadb-0").await;
    assert_eq!(counts(&node, "mariadb-0"), locked, "nobody wrote");
    node.exec_action(&set, after, "mariadb-0").expect("the tables are open");
    until_written(&node, locked.1).await;

    // Without the lock there is nothing to open, and the snapshot before it was of no one moment.
    let why = node.exec_action(&set, after, "mariadb-0").expect_err("no lock");
    assert!(why.contains("the lock was gone"), "{why}");

    node.new_claim("copy", "csi", "512Mi", Some("snap")).await;
    node.start_on("mariadb", "copy", "copy").await;
    assert_eq!(counts(&node, "copy"), locked);
    assert_eq!(sql(&node, "copy", "CHECK TABLE shop.a, shop.z").matches("status\tOK").count(), 2);
    node.leave().await;
}
