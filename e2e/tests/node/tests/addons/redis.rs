//! Redis: a dump taken from the volume.

use super::{BUCKET, DIRECTORY, backup, database, environment, prepare, told};

const DATA: &str = "/data";
/// Of all keys with their values.
const SUM: &str = "local keys = redis.call('KEYS', '*') table.sort(keys) local all = {} \
    for i, key in ipairs(keys) do all[i] = key .. '=' .. redis.call('GET', key) end \
    return #keys .. ' ' .. redis.sha1hex(table.concat(all, ','))";

#[tokio::test(flavor = "multi_thread")]
async fn redis_dump_restores_what_was_written_before_it() {
    let node = database("redis").await;
    let set = node.action_set("redis/actionset.yaml").await;
    let cli = |pod: &str, words: &[&str]| {
        let shell = ["bash", "-c", "REDISCLI_AUTH=$REDIS_PASSWORD exec redis-cli \"$@\"", "redis-cli"];
        node.exec(pod, &[&shell, words].concat())
    };
    cli("redis-0", &["EVAL", "for i = 1, 20000 do redis.call('SET', 'key' .. i, string.rep(i, 20)) end", "0"]);
    for (repository, claim) in [(DIRECTORY, "copy"), (BUCKET, "other")] {
        // Between the rounds too: a dump that is older than the backup would not have it.
        cli("redis-0", &["SET", "round", claim]);
        let sum = cli("redis-0", &["EVAL", SUM, "0"]);
        let env = environment(&node, "redis", "default", 6379, claim);
        told(&node.action(&backup(&set, "backup", env.clone(), Some(("data-redis-0", DATA))), &repository).await);
        cli("redis-0", &["SET", "round", "later"]);

        node.new_claim(claim, "hostpath", "256Mi", None).await;
        node.action(&prepare(&set, env, (claim, DATA)), &repository).await;
        node.start_on("redis", claim, claim).await;
        assert_eq!(cli(claim, &["GET", "round"]), claim);
        assert_eq!(cli(claim, &["EVAL", SUM, "0"]), sum);
    }
    node.leave().await;
}
