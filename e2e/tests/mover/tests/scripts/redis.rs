//! redis in its four ways, and valkey.

use serde_json::json;

use crate::corpus::ActionSet;
use crate::pod::{Pod, ROOT, Repository};

const REDIS_CLI: &str = r#"
case "$*" in
  *LASTSAVE*) cat /lastsave; echo $(( $(cat /lastsave) + 1 )) >/lastsave ;;
  *"INFO persistence"*) printf 'rdb_bgsave_in_progress:0\r\nrdb_last_bgsave_status:%s\r\n' "$(cat /bgsave)" ;;
  *BGSAVE*) echo "Background saving started" ;;
  *"ACL LIST"*) printf 'user default on nopass\nuser app on ~* +@all\n' ;;
  *PING* | *ping*) echo PONG ;;
esac
"#;

fn pod<'a>(repository: &'a Repository, backup: &str) -> Pod<'a> {
    Pod::new(repository, backup)
        .file("/lastsave", "1\n")
        .file("/bgsave", "ok")
        .stub("redis-cli", REDIS_CLI)
        .stub("valkey-cli", REDIS_CLI)
}

fn with_data(pod: Pod<'_>) -> Pod<'_> {
    pod.file("/data/dump.rdb", &"REDIS0011".repeat(10_000))
        .file("/data/users.acl", "user app on\n")
        .file("/data/nodes.conf", "node 1\n")
        .file("/data/appendonlydir/appendonly.aof.1.incr.aof", "x")
}

#[test]
fn case_25_redis_physical() {
    let Some(set) = ActionSet::read("redis/actionset-redis-physical-br.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let backup =
            with_data(pod(&repository, "bk1")).env("SENTINEL_POD_FQDN_LIST", "s-0,s-1").run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst", "bk1/sentinel.acl"]);
        assert_eq!(repository.stored("bk1/sentinel.acl"), "user default on nopass\nuser app on ~* +@all\n");
        assert_eq!(backup.info(), json!({"totalSize": repository.total("bk1/").to_string()}));

        let restored = pod(&repository, "bk1").run(&set.prepare()).ok();
        assert_eq!(restored.wrote("/data/dump.rdb"), "REDIS0011".repeat(10_000));
        assert_eq!(restored.wrote("/data/appendonlydir/appendonly.aof.1.incr.aof"), "x");
        assert_eq!(restored.file("/data/.kb-data-protection"), None);
        // Never over data that is there; and not from nothing.
        assert_eq!(with_data(pod(&repository, "bk1")).run(&set.prepare()).exit, 1);
        let nothing = pod(&repository, "bk0").run(&set.prepare());
        assert_ne!(nothing.exit, 0);
        assert!(nothing.output.contains("pull \"bk0.tar.gz\": object not found"), "{}", nothing.output);
        let after = pod(&repository, "bk1").env("SENTINEL_POD_FQDN_LIST", "s-0,s-1").run(&set.post_ready(0)).ok();
        let set_user = after.calls("redis-cli").into_iter().filter(|call| call.contains("SETUSER"));
        assert_eq!(set_user.collect::<Vec<_>>(), ["-h s-0 -p ACL SETUSER app on ~* +@all"]);

        with_data(pod(&repository, "bk2")).file("/bgsave", "err").run(&set.backup()).failed();
    }
}

#[test]
fn case_25_redis_cluster_and_rebuild() {
    let Some(cluster) = ActionSet::read("redis/actionset-redis-cluster-br.yaml", 4) else { return };
    let rebuild = ActionSet::read("redis/actionset-redis-for-rebuild-instance.yaml", 0).unwrap();
    for repository in Repository::both(2) {
        let base = format!("{ROOT}/bk1/shard-0");
        let pod = |backup: &str| pod(&repository, backup).env("DP_BACKUP_BASE_PATH", &base);
        let backup = with_data(pod("bk1")).run(&cluster.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/shard-0/bk1.rdb.zst", "bk1/shard-0/nodes.conf", "bk1/shard-0/users.acl"]);
        assert_eq!(backup.info(), json!({"totalSize": repository.total("bk1/").to_string()}));
        let restored = pod("bk1").run(&cluster.prepare()).ok();
        assert_eq!(restored.wrote("/data/users.acl"), "user app on\n");
        let loaded = pod("bk1")
            .file("/data/users.acl", "")
            .program("/ape-dts", "cp /data/kb-dp-dump.rdb /received; cp \"$1\" /settings")
            .run(&cluster.post_ready(1))
            .ok();
        assert_eq!(loaded.wrote("/received"), "REDIS0011".repeat(10_000));
        assert!(loaded.wrote("/settings").contains("file_path=/data/kb-dp-dump.rdb"));
        assert_eq!(loaded.file("/data/kb-dp-dump.rdb"), None);

        let base = format!("{ROOT}/bk2");
        let pod = |backup: &str| Pod::new(&repository, backup).env("DP_BACKUP_BASE_PATH", &base);
        let backup = with_data(pod("bk2")).run(&rebuild.backup()).ok();
        assert_eq!(repository.keys()[3..], ["bk2/nodes.conf", "bk2/users.acl"]);
        assert_eq!(backup.info(), json!({"totalSize": "19"}));
        let restored = pod("bk2").env("REBUILD_CLUSTER_INSTANCE", "true").run(&rebuild.prepare()).ok();
        assert_eq!(restored.wrote("/data/users.acl"), "user app on\n");
        assert_eq!(restored.wrote("/data/rebuild.flag"), "");
    }
}

/// First sleep: the log is rewritten, and its second file begins. Then: the Job is stopped.
const SLEEP: &str = r"
aof=/data/appendonlydir/appendonly.aof
if [[ ! -e $aof.2.incr.aof ]]; then
  echo base2 >$aof.2.base.rdb
  printf '#TS:1767229300\r\nC\n' >$aof.2.incr.aof
  touch -d @1767229300 $aof.2.incr.aof
  printf 'file appendonly.aof.2.base.rdb seq 2 type b\nfile appendonly.aof.2.incr.aof seq 2 type i\n' >$aof.manifest
else
  kill -TERM $PPID
fi
";
const REDIS_CLI_PITR: &str = r#"
case "$*" in
  *"GET appenddirname"*) printf 'appenddirname\nappendonlydir\n' ;;
  *"GET appendfilename"*) printf 'appendfilename\nappendonly.aof\n' ;;
  *"GET aof-"*) printf 'x\nyes\n' ;;
esac
"#;
const CHECK_RDB: &str = r#"
case "$*" in
  *.1.base.rdb) echo "[offset 26] AUX FIELD ctime = '1767225600'" ;;
  *) echo "[offset 26] AUX FIELD ctime = '1767229200'" ;;
esac
"#;

#[test]
fn case_25_redis_append_only_log() {
    let Some(set) = ActionSet::read("redis/actionset-redis-for-pitr.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let aof = "/data/appendonlydir/appendonly.aof";
        let archived = Pod::new(&repository, "logs")
            .file_of(&format!("{aof}.manifest"), "file a.base seq 1 type b\nfile a.incr seq 1 type i\n", 1_767_225_600)
            .file_of(&format!("{aof}.1.base.rdb"), "base1\n", 1_767_225_600)
            .file_of(&format!("{aof}.1.incr.aof"), "#TS:1767225700\r\nA\n#TS:1767228000\r\nB\n", 1_767_228_000)
            .file_of("/data/users.acl", "user app on\n", 1_767_225_600)
            .stub("redis-cli", REDIS_CLI_PITR)
            .stub("redis-check-rdb", CHECK_RDB)
            .stub("sleep", SLEEP)
            .run(&set.backup())
            .ok();
        let second = "logs/1767229200.2.dir";
        assert_eq!(
            repository.keys(),
            [
                "logs/1767225600.1.tar.zst".to_owned(),
                format!("{second}/appendonlydir/appendonly.aof.2.base.rdb"),
                format!("{second}/appendonlydir/appendonly.aof.2.incr.aof"),
                format!("{second}/appendonlydir/appendonly.aof.manifest"),
                format!("{second}/users.acl"),
            ],
            "{}",
            archived.output
        );
        let info = archived.info();
        assert_eq!(info["totalSize"], repository.total("logs/").to_string());
        assert_eq!(info["timeRange"]["start"], "2026-01-01T00:00:00Z");
        assert!(info["timeRange"]["end"].as_str() > Some("2026-01-01T01:00:00Z"));

        // In the middle of the first file, and after the second.
        let restore = |time| Pod::new(&repository, "logs").env("DP_RESTORE_TIME", time).run(&set.prepare()).ok();
        let first = restore("2026-01-01T00:30:00Z");
        assert_eq!(first.wrote(&format!("{aof}.1.incr.aof")), "#TS:1767225700\r\nA\n");
        assert_eq!(first.wrote(&format!("{aof}.1.base.rdb")), "base1\n");
        assert!(first.wrote(&format!("{aof}.manifest")).contains("appendonly.aof.1.incr.aof seq 1 type i"));
        let second = restore("2026-01-01T01:10:00Z");
        assert_eq!(second.wrote(&format!("{aof}.2.incr.aof")), "#TS:1767229300\r\nC\n");
        assert_eq!(second.wrote("/data/users.acl"), "user app on\n");
        let before = restore("2025-01-01T00:00:00Z");
        assert_eq!(before.file(&format!("{aof}.1.incr.aof")), None);
    }
}

#[test]
fn case_25_valkey() {
    let Some(set) = ActionSet::read("valkey/actionset-valkey-physical-br.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let backup = with_data(pod(&repository, "bk1")).run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst"]);
        assert_eq!(backup.info(), json!({"totalSize": repository.total("bk1/").to_string()}));
        let restored = pod(&repository, "bk1").run(&set.prepare()).ok();
        assert_eq!(restored.wrote("/data/dump.rdb"), "REDIS0011".repeat(10_000));
        assert_eq!(restored.wrote("/data/appendonlydir/appendonly.aof.1.base.rdb"), "REDIS0011".repeat(10_000));
        assert_eq!(restored.file("/data/appendonlydir/appendonly.aof.manifest").unwrap().lines().count(), 2);
        let nothing = pod(&repository, "bk0").run(&set.prepare());
        assert_eq!(nothing.exit, 1);
        assert!(nothing.output.contains("backup archive 'bk0.tar.zst' not found"), "{}", nothing.output);
        let failed = with_data(pod(&repository, "bk2")).file("/bgsave", "err").run(&set.backup());
        failed.failed();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst"]);
    }
}
