//! PostgreSQL: full backups with the log after them, to any moment; one database as a dump; a snapshot of its volume.

use super::{PATIENCE, Repository, database, database_with_snapshots, until_prints};
use e2e_node::backups::{Request, text};
use e2e_node::by_hand::Restore;
use e2e_node::repositories::files_below;
use e2e_node::{DP, Node, clusters, workspace};
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};
use test_kit::wait;

const VOLUME: &str = "/var/lib/postgresql";
const LOGIN: [&str; 4] = ["postgresql-0.postgresql", "5432", "postgres", "correct-horse"];
const CONTINUOUS: &str = "dataprotection.kubeblocks.io/backup-type=Continuous";
const SUM: &str = "SELECT count(*), md5(string_agg(id || note, ',' ORDER BY id)) FROM orders";
const ORDERS: &str = "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 10000) i";

fn sql(node: &Node, pod: &str, database: &str, statement: &str) -> String {
    node.exec(pod, &["psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-qAt", "-c", statement])
}

/// A moment after all that was written, in a later second: moments are whole seconds on the wire, and what is to be before
/// one must be in an earlier second.
async fn a_moment(node: &Node) -> String {
    let now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    let first = sql(node, "postgresql-0", "postgres", now);
    wait::eventually(PATIENCE, "a later second", async || {
        let found = sql(node, "postgresql-0", "postgres", now);
        if found > first { Ok(found) } else { Err(found) }
    })
    .await
}

/// The archive, once its Backup says that it reaches past `moment`.
async fn archived_past(node: &Node, name: &str, moment: &str) -> Value {
    let past = |b: &DynamicObject| text(&b.data["status"]["timeRange"]["end"]) > moment;
    let archive = clusters::json(&wait::watch_until(&node.api(DP, "Backup"), name, 2 * PATIENCE, past).await);
    let status = &archive["status"];
    assert_eq!(status["phase"], "Running", "{status:#}");
    assert!(text(&status["totalSize"]).parse::<u64>().is_ok_and(|bytes| bytes > 0), "{status:#}");
    let range = &status["timeRange"];
    assert!(text(&range["start"]) <= text(&range["end"]), "{range}");
    assert_eq!(status.get("expiration"), None, "what is being written does not expire");
    archive
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_comes_back_at_a_moment_between_two_backups() {
    let node = database("postgresql", Repository::Bucket).await;
    node.apply_file(&workspace().join("e2e/addons/postgresql/backupschedule.yaml"));
    let continuous = ListParams::default().labels(CONTINUOUS);
    let archive = wait::eventually(PATIENCE, "the schedule makes its archive", async || {
        let found = node.api(DP, "Backup").list(&continuous).await.map_err(|e| e.to_string())?;
        found.items.into_iter().find_map(|b| b.metadata.name).ok_or_else(|| "none".to_owned())
    })
    .await;
    archived_past(&node, &archive, "").await;

    sql(&node, "postgresql-0", "postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    let full = node.backup(&Request::new("full", "postgresql", "full")).await;
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t VALUES (2)");
    let second = a_moment(&node).await;
    a_moment(&node).await;
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t VALUES (3)");
    let third = a_moment(&node).await;

    // The archiver dies in the middle, another one goes on, and nothing is lost.
    let of_archive = format!("dataprotection.kubeblocks.io/backup-name={archive}");
    let pods = node.pods().list(&ListParams::default().labels(&of_archive)).await.expect("pods");
    let names: Vec<String> = pods.items.into_iter().filter_map(|p| p.metadata.name).collect();
    assert_eq!(names.len(), 1, "one archiver: {names:?}");
    node.pods().delete(&names[0], &kube::api::DeleteParams::default()).await.expect("delete");
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t SELECT generate_series(4, 200000)");
    let fourth = a_moment(&node).await;
    let log = archived_past(&node, &archive, &fourth).await;
    let (range, path) = (&log["status"]["timeRange"], text(&log["status"]["path"]));
    assert!(text(&range["start"]) < second.as_str(), "{range}");
    let stored =
        files_below(&node.directory_of_repository(Repository::Bucket.name()).await.join(&path[1..]).join("wal"));
    assert!(stored.len() >= 2 && stored.iter().all(|(_, bytes)| *bytes > 0), "{stored:?}");

    // Switched off, it is complete, and nothing of it runs on.
    let full_only = json!({"spec": {"schedules": [
        {"backupMethod": "full", "cronExpression": "0 2 * * *", "enabled": true, "retentionPeriod": "7d"},
        {"backupMethod": "wal-archive", "cronExpression": "*/1 * * * *", "enabled": false, "retentionPeriod": "8d"}]}});
    node.change("BackupSchedule", "postgresql", &full_only).await;
    let log = node.backup_ended(&archive).await;
    assert_eq!(log["status"]["phase"], "Completed", "{}", log["status"]);
    wait::watch_until_gone(&node.pods(), &names[0], PATIENCE).await;
    let last = text(&log["status"]["timeRange"]["end"]);

    // To a moment before each row, and to the very last one that the archive promises.
    let all = [("two", second.as_str(), "2"), ("three", third.as_str(), "3"), ("last", last, "200000")];
    for (claim, ..) in all {
        node.start_restore(claim, "1Gi", text(&full["metadata"]["name"])).await;
    }
    for (claim, moment, rows) in all {
        node.until_restored(claim).await;
        // By hand: dp does not restore Continuous yet, with the full backup before it.
        let to = [("DP_RESTORE_TIME", moment)];
        node.restore_by_hand(&Restore::prepare(&log, (claim, VOLUME), &to), true).await;
        node.start_on("postgresql", claim, claim).await;
        let count = ["psql", "-U", "postgres", "-qAt", "-c", "SELECT count(*) FROM t WHERE NOT pg_is_in_recovery()"];
        until_prints(&node, claim, &count, rows).await;
        assert_eq!(
            node.exec(claim, &["sh", "-c", "ls -d /var/lib/postgresql/restore-wal 2>/dev/null || echo gone"]),
            "gone"
        );
        node.remove_pod(claim).await;
    }
    node.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_one_database_comes_back_and_the_others_stay() {
    let node = database("postgresql", Repository::Claim).await;
    // A name that would be options of a connection, were it taken for one.
    let name = "shop user=nobody";
    sql(&node, "postgresql-0", "postgres", &format!("CREATE DATABASE \"{name}\""));
    sql(&node, "postgresql-0", "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    let url = "postgresql:///shop%20user%3Dnobody";
    sql(&node, "postgresql-0", url, ORDERS);
    let before = sql(&node, "postgresql-0", url, SUM);

    let request = Request { parameters: &[("database", name)], ..Request::new("dump", "postgresql", "dump") };
    let backup = node.backup(&request).await;
    assert_eq!(backup["metadata"]["labels"]["dataprotection.kubeblocks.io/backup-type"], "Selective");
    sql(&node, "postgresql-0", url, "DROP TABLE orders");
    sql(&node, "postgresql-0", "postgres", "INSERT INTO kept VALUES (2)");
    // By hand: dp does not run postReady yet.
    node.restore_by_hand(&Restore::post_ready(&backup, LOGIN), true).await;
    assert_eq!(sql(&node, "postgresql-0", url, SUM), before);
    assert_eq!(sql(&node, "postgresql-0", "postgres", "SELECT count(*) FROM kept"), "2");
    node.leave().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_comes_back_from_a_snapshot_of_its_volume() {
    let node = database_with_snapshots("postgresql").await;
    sql(&node, "postgresql-0", "postgres", ORDERS);
    let before = sql(&node, "postgresql-0", "postgres", SUM);
    let backup = node.snapshot_backup(&Request::new("snapshot", "postgresql", "volume-snapshot")).await;
    let (status, taken) = (&backup["status"], &backup["status"]["actions"][0]["volumeSnapshots"][0]);
    assert_eq!((text(&status["totalSize"]), text(&taken["size"])), ("1073741824", "1Gi"));
    assert_eq!((&taken["volumeName"], status.get("path")), (&json!("data"), None), "{status:#}");
    sql(&node, "postgresql-0", "postgres", "DROP TABLE orders");

    node.lose("postgresql").await;
    // By hand: dp does not restore volume snapshots yet.
    node.new_claim("data-postgresql-0", "csi", "1Gi", Some(text(&taken["name"]))).await;
    node.revive("postgresql").await;
    assert_eq!(sql(&node, "postgresql-0", "postgres", SUM), before);

    // The snapshot goes with its Backup, and the claim that was made from it stays.
    node.delete_backups().await;
    let snapshots = node.names("snapshot.storage.k8s.io/v1", "VolumeSnapshot").await;
    assert_eq!(snapshots, Vec::<String>::new());
    assert_eq!(sql(&node, "postgresql-0", "postgres", SUM), before);
    node.leave().await;
}
