//! PostgreSQL: a full backup with the log after it, to any moment; and one database as a dump.

use super::{BUCKET, DIRECTORY, PATIENCE, backup, database, environment, prepare, told, until_prints};
use e2e_node::Node;
use e2e_node::by_hand::Action;
use serde_json::Value;
use test_kit::wait;

const VOLUME: &str = "/var/lib/postgresql";
const SOURCE: (&str, &str) = ("data-postgresql-0", VOLUME);

fn sql(node: &Node, pod: &str, database: &str, statement: &str) -> String {
    node.exec(pod, &["psql", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-qAt", "-c", statement])
}

fn env(node: &Node, name: &str) -> Vec<(&'static str, String)> {
    environment(node, "postgresql", "postgres", 5432, name)
}

/// What the archiver says about itself, once its end is past `moment`.
async fn archived_past(node: &Node, pod: &str, moment: &str) -> Value {
    wait::eventually(PATIENCE, &format!("the log is archived past {moment}"), async || {
        let found = node.exec(pod, &["sh", "-c", "cat /dp-manager/backup.info 2>/dev/null || true"]);
        let info: Value = serde_json::from_str(&found).unwrap_or_default();
        match info["timeRange"]["end"].as_str() {
            Some(end) if end > moment => Ok(info),
            _ => Err(format!("{found} {}", node.log_of(pod).await)),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_comes_back_at_a_moment_between_two_backups() {
    let node = database("postgresql").await;
    let full = node.action_set("postgresql/actionset.yaml").await;
    let log = node.action_set("postgresql/actionset-wal-archive.yaml").await;
    let now = "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')";
    // Moments are whole seconds on the wire: what is to be before one must be in an earlier second.
    let a_moment = async || {
        let first = sql(&node, "postgresql-0", "postgres", now);
        wait::eventually(PATIENCE, "a later second", async || {
            let found = sql(&node, "postgresql-0", "postgres", now);
            if found > first { Ok(found) } else { Err(found) }
        })
        .await
    };
    let mut continuous = env(&node, "log");
    continuous.push(("DP_ARCHIVE_INTERVAL", "1s".to_owned()));
    continuous.push(("DP_TTL_SECONDS", "3600".to_owned()));
    node.start_action(&backup(&log, "archive", continuous.clone(), Some(SOURCE)), &BUCKET).await;
    node.until_ready("archive").await;
    let begun = a_moment().await;
    archived_past(&node, "archive", &begun).await;

    sql(&node, "postgresql-0", "postgres", "CREATE TABLE t (n int); INSERT INTO t VALUES (1)");
    told(&node.action(&backup(&full, "backup", env(&node, "full"), None), &BUCKET).await);
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t VALUES (2)");
    let second = a_moment().await;
    a_moment().await;
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t VALUES (3)");
    let third = a_moment().await;
    archived_past(&node, "archive", &third).await;

    // The archiver dies in the middle, and nothing is lost.
    node.remove_pod("archive").await;
    sql(&node, "postgresql-0", "postgres", "INSERT INTO t SELECT generate_series(4, 200000)");
    let fourth = a_moment().await;
    node.start_action(&backup(&log, "archive", continuous, Some(SOURCE)), &BUCKET).await;
    node.until_ready("archive").await;
    let info = archived_past(&node, "archive", &fourth).await;
    let (start, end) = (info["timeRange"]["start"].as_str().unwrap_or_default(), info["timeRange"]["end"].as_str());
    assert!(start < second.as_str(), "{info}");
    let last = end.unwrap_or_default().to_owned();
    node.remove_pod("archive").await;

    // To a moment before each row, and to the very last one that the archive promises.
    for (claim, moment, rows) in [("two", &second, "2"), ("three", &third, "3"), ("last", &last, "200000")] {
        node.new_claim(claim, "hostpath", "1Gi", None).await;
        node.action(&prepare(&full, env(&node, "full"), (claim, VOLUME)), &BUCKET).await;
        let mut to = env(&node, "log");
        to.push(("DP_RESTORE_TIME", moment.clone()));
        node.action(&prepare(&log, to, (claim, VOLUME)), &BUCKET).await;
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
    let node = database("postgresql").await;
    let set = node.action_set("postgresql/actionset-dump.yaml").await;
    // A name that would be options of a connection, were it taken for one.
    let name = "shop user=nobody";
    sql(&node, "postgresql-0", "postgres", &format!("CREATE DATABASE \"{name}\""));
    sql(&node, "postgresql-0", "postgres", "CREATE TABLE kept (n int); INSERT INTO kept VALUES (1)");
    let url = "postgresql:///shop%20user%3Dnobody";
    sql(
        &node,
        "postgresql-0",
        url,
        "CREATE TABLE orders AS SELECT i AS id, md5(i::text) AS note FROM generate_series(1, 10000) i",
    );
    let sum = "SELECT count(*), md5(string_agg(id || note, ',' ORDER BY id)) FROM orders";
    let before = sql(&node, "postgresql-0", url, sum);

    let mut env = env(&node, "dump");
    env.push(("database", name.to_owned()));
    told(&node.action(&backup(&set, "backup", env.clone(), None), &DIRECTORY).await);
    sql(&node, "postgresql-0", url, "DROP TABLE orders");
    sql(&node, "postgresql-0", "postgres", "INSERT INTO kept VALUES (2)");
    let action = Action { pod: "restore", set: &set, at: "/restore/postReady/0/job", volume: None, env };
    node.action(&action, &DIRECTORY).await;
    assert_eq!(sql(&node, "postgresql-0", url, sum), before);
    assert_eq!(sql(&node, "postgresql-0", "postgres", "SELECT count(*) FROM kept"), "2");
    node.leave().await;
}
