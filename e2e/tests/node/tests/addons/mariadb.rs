//! MariaDB: its files, a chain of them, a dump under lock, and a snapshot of a database that stands still.

use super::{PATIENCE, Repository, database, database_with_snapshots};
use e2e_node::Node;
use e2e_node::backups::{Request, text};
use e2e_node::by_hand::Restore;
use serde_json::{Value, json};
use test_kit::wait;

const VOLUME: &str = "/var/lib/mysql";
const LOGIN: [&str; 4] = ["mariadb-0.mariadb", "3306", "root", "correct-horse"];

fn sql(node: &Node, pod: &str, statement: &str) -> String {
    let shell = "MYSQL_PWD=$MARIADB_ROOT_PASSWORD exec mariadb -h 127.0.0.1 -u root -BN -e \"$1\"";
    node.exec(pod, &["bash", "-c", shell, "sql", statement])
}

const SUM: &str = "SET SESSION group_concat_max_len = 10000000; SELECT COUNT(*), MD5(GROUP_CONCAT(id, note ORDER BY id)) FROM shop.orders";
const TABLE: &str = "CREATE DATABASE shop; CREATE TABLE shop.orders (id INT AUTO_INCREMENT PRIMARY KEY, note CHAR(32))";

fn insert(node: &Node, rows: u32) {
    let all = format!("INSERT INTO shop.orders (note) SELECT MD5(RAND()) FROM shop.seq_1_to_{rows}");
    sql(node, "mariadb-0", &all);
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_files_and_a_chain_of_three_restore_each_link() {
    let node = database("mariadb", Repository::Bucket).await;
    sql(&node, "mariadb-0", TABLE);
    // A checkpoint as young as may be: it is where the next link begins.
    sql(&node, "mariadb-0", "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0, innodb_max_dirty_pages_pct = 0");
    let (mut sums, mut links) = (Vec::new(), Vec::new());
    for (name, method) in [("base", "physical"), ("one", "incremental"), ("two", "incremental")] {
        insert(&node, if links.is_empty() { 30_000 } else { 500 });
        wait::eventually(PATIENCE, "what was written is in the files", async || {
            let age = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'INNODB_CHECKPOINT_AGE'";
            let age = sql(&node, "mariadb-0", age);
            if age.parse::<u64>().is_ok_and(|bytes| bytes < 100_000) { Ok(()) } else { Err(age) }
        })
        .await;
        sums.push(sql(&node, "mariadb-0", SUM));
        links.push(node.backup(&Request::new(name, "mariadb", method)).await);
    }
    // Who follows whom is the operator's choice.
    let of = |link: &Value, key: &str| text(&link["status"][key]).to_owned();
    let parents: Vec<_> = links.iter().map(|l| (of(l, "parentBackupName"), of(l, "baseBackupName"))).collect();
    let wanted = [("", ""), ("base", "base"), ("one", "base")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(parents, wanted);
    let sizes: Vec<u64> = links.iter().map(|l| of(l, "totalSize").parse().expect("a number")).collect();
    assert!(sizes[1] < sizes[0] && sizes[2] < sizes[0], "only what changed: {sizes:?}");
    insert(&node, 500);

    // By hand: dp does not restore Incremental yet. A link that is missing in the middle does not fit, and says so; it never
    // makes a database with a hole.
    let chain = [("DP_BASE_BACKUP_NAME", "base"), ("DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES", "one")];
    node.new_claim("holed", "hostpath", "512Mi", None).await;
    let log = node.restore_by_hand(&Restore::prepare(&links[2], ("holed", VOLUME), &chain[..1]), false).await;
    assert!(log.contains("This incremental backup seems not to be proper for the target"), "{log}");
    node.new_claim("copy", "hostpath", "512Mi", None).await;
    node.restore_by_hand(&Restore::prepare(&links[2], ("copy", VOLUME), &chain), true).await;
    node.start_on("mariadb", "copy", "copy").await;
    assert_eq!(sql(&node, "copy", SUM), sums[2]);
    node.remove_pod("copy").await;

    node.lose("mariadb").await;
    node.restore("data-mariadb-0", "512Mi", "base").await;
    node.revive("mariadb").await;
    assert_eq!(sql(&node, "mariadb-0", SUM), sums[0]);
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
        CREATE TABLE shop.z (n INT PRIMARY KEY, t TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)) ENGINE=Aria; \
        INSERT INTO shop.m SELECT REPEAT(MD5(RAND()), 1000) FROM shop.seq_1_to_300";
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
    let node = database("mariadb", Repository::Claim).await;
    start_writer(&node).await;
    let request = Request { parameters: &[("consistency", "lock")], ..Request::new("dump", "mariadb", "dump") };
    let backup = node.backup(&request).await;
    // Who writes goes on after it.
    let now = counts(&node, "mariadb-0").1;
    until_written(&node, now).await;
    let writer = "SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID()";
    let writer = sql(&node, "mariadb-0", writer);
    sql(&node, "mariadb-0", &format!("KILL {writer}"));

    sql(&node, "mariadb-0", "DROP DATABASE shop");
    // By hand: dp does not run postReady yet.
    node.restore_by_hand(&Restore::post_ready(&backup, LOGIN), true).await;
    let (a, z) = counts(&node, "mariadb-0");
    assert!(z >= 100 && (a == z || a == z + 1), "the dump is of two moments, {a} and {z}");
    node.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mariadb_stands_still_between_the_hooks_and_its_snapshot_is_whole() {
    let node = database_with_snapshots("mariadb").await;
    start_writer(&node).await;
    let backup = node.snapshot_backup(&Request::new("quiet", "mariadb", "quiesced-snapshot")).await;
    let actions = &backup["status"]["actions"];
    let names: Vec<&str> = actions.as_array().into_iter().flatten().map(|a| text(&a["name"])).collect();
    assert_eq!(names, ["dp-prebackup-0-0", "createVolumeSnapshot-0", "dp-postbackup-0-0"]);
    // Who writes goes on after it.
    let now = counts(&node, "mariadb-0").1;
    until_written(&node, now).await;

    // Without the lock there is nothing to open, and the snapshot before it was of no one moment: such a backup fails.
    let mut late = node.manifest(&e2e_node::workspace().join("e2e/addons/mariadb/actionset-quiesced-snapshot.yaml"));
    let late_name = format!("late-{}", node.namespace);
    late["metadata"]["name"] = json!(late_name);
    late["spec"]["backup"].as_object_mut().expect("actions").remove("preBackup");
    node.apply_cluster(&late).await;
    let method = json!({"name": "late", "actionSetName": late_name, "snapshotVolumes": true, "targetVolumes": {"volumes": ["data"]}});
    node.change("BackupPolicy", "mariadb", &json!({"spec": {"backupMethods": [method]}})).await;
    node.start_backup(&Request::new("late", "mariadb", "late")).await;

    // By hand: dp does not restore volume snapshots yet.
    let snapshot = text(&actions[1]["volumeSnapshots"][0]["name"]);
    node.new_claim("copy", "csi", "1Gi", Some(snapshot)).await;
    node.start_on("mariadb", "copy", "copy").await;
    let (a, last) = counts(&node, "copy");
    assert!(a == last || a == last + 1, "the copy is of two moments, {a} and {last}");
    assert_eq!(sql(&node, "copy", "CHECK TABLE shop.a, shop.z").matches("status\tOK").count(), 2);
    // Nobody wrote from before the end of the first hook until after the beginning of the second.
    let quiet = |n: u64, how: &str, moment: &Value| {
        let moment = text(moment).trim_end_matches('Z');
        let ask = format!("SET time_zone = '+00:00'; SELECT t {how} '{moment}' FROM shop.z WHERE n = {n}");
        assert_eq!(sql(&node, "mariadb-0", &ask), "1", "row {n} was written {how} {moment}");
    };
    quiet(last, "< INTERVAL 1 SECOND + ", &actions[0]["completionTimestamp"]);
    // The time is that of the statement's beginning: the next row may have been waiting all the while.
    quiet(last + 2, ">=", &actions[2]["startTimestamp"]);

    let failed = node.backup_ended("late").await;
    let why = text(&failed["status"]["failureReason"]);
    assert!(failed["status"]["phase"] == "Failed" && why.contains("the lock was gone"), "{:#}", failed["status"]);
    node.leave().await;
}
