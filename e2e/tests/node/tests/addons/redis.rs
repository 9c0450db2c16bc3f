//! Redis: a dump taken from the volume, and a snapshot of a volume that an action has brought up to date.

use super::{Repository, database, database_with_snapshots};
use e2e_node::Node;
use e2e_node::backups::{Request, text};

/// Of all keys with their values.
const SUM: &str = "local keys = redis.call('KEYS', '*') table.sort(keys) local all = {} \
    for i, key in ipairs(keys) do all[i] = key .. '=' .. redis.call('GET', key) end \
    return #keys .. ' ' .. redis.sha1hex(table.concat(all, ','))";
const FILL: &str = "for i = 1, 20000 do redis.call('SET', 'key' .. i, string.rep(i, 20)) end";

fn cli(node: &Node, pod: &str, words: &[&str]) -> String {
    let shell = ["bash", "-c", "REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli \"$@\"", "redis-cli"];
    node.exec(pod, &[&shell, words].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_dump_restores_what_was_written_before_it() {
    let node = database("redis", Repository::Bucket).await;
    cli(&node, "redis-0", &["EVAL", FILL, "0"]);
    let mut sums = Vec::new();
    // The policy's repository, and another one of the Backup's own choice.
    for (name, repository) in [("one", None), ("two", Some(Repository::Claim))] {
        // Between the rounds too: a dump that is older than the backup would not have it.
        cli(&node, "redis-0", &["SET", "round", name]);
        sums.push(cli(&node, "redis-0", &["EVAL", SUM, "0"]));
        let backup = node.backup(&Request { repository, ..Request::new(name, "redis", "full") }).await;
        assert_eq!(backup["status"]["backupRepoName"], repository.unwrap_or(Repository::Bucket).name());
        cli(&node, "redis-0", &["SET", "round", "later"]);
    }
    node.lose("redis").await;
    node.start_restore("other", "256Mi", "one").await;
    node.restore("data-redis-0", "256Mi", "two").await;
    node.revive("redis").await;
    node.until_restored("other").await;
    node.start_on("redis", "other", "other").await;
    for (pod, round, sum) in [("other", "one", &sums[0]), ("redis-0", "two", &sums[1])] {
        assert_eq!(cli(&node, pod, &["GET", "round"]), round);
        assert_eq!(&cli(&node, pod, &["EVAL", SUM, "0"]), sum);
    }
    node.leave().await;
}

/// An exec action: without it nothing of what Redis holds would be on its volume.
#[tokio::test(flavor = "multi_thread")]
async fn redis_saves_by_an_exec_action_before_its_volume_is_snapshot() {
    let node = database_with_snapshots("redis").await;
    cli(&node, "redis-0", &["CONFIG", "SET", "save", ""]);
    cli(&node, "redis-0", &["EVAL", FILL, "0"]);
    let sum = cli(&node, "redis-0", &["EVAL", SUM, "0"]);
    let backup = node.snapshot_backup(&Request::new("saved", "redis", "saved-snapshot")).await;
    let actions = &backup["status"]["actions"];
    let named = |i: usize| (text(&actions[i]["name"]), text(&actions[i]["objectRef"]["namespace"]));
    assert_eq!(named(0), ("dp-prebackup-0-0", e2e_node::DP_OPERATOR));
    cli(&node, "redis-0", &["SET", "key1", "later"]);

    node.lose("redis").await;
    // By hand: dp does not restore volume snapshots yet.
    let snapshot = text(&actions[1]["volumeSnapshots"][0]["name"]);
    node.new_claim("data-redis-0", "csi", "1Gi", Some(snapshot)).await;
    node.revive("redis").await;
    assert_eq!(cli(&node, "redis-0", &["EVAL", SUM, "0"]), sum);
    node.leave().await;
}
