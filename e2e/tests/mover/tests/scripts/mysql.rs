//! apecloud-mysql: a full backup, a chain of incremental ones, and archived binary logs.

use serde_json::json;

use crate::corpus::ActionSet;
use crate::pod::{Pod, Repository};

const DIR: &str = "apecloud-mysql/actionset-apecloud-mysql";

/// Prints what `/source` holds, and the position where it ends, as that program says it. The script reads that from a
/// log that another process writes, so it must be there before the stream ends.
const XTRABACKUP: &str = r#"
all="$*"
case "$all" in
  *--backup*)
    echo "xtrabackup: The latest check point (for incremental): '$(cat /position)'" >&2
    until grep -q "check point" /data/mysql/xtrabackup-temp/xtrabackup.log; do :; done
    cat /source ;;
  *--prepare*--incremental-dir*)
    target=${all#*--target-dir=} target=${target%% *} increment=${all#*--incremental-dir=}
    cat "$increment/received" >>"$target/received" ;;
  *--move-back*)
    target=${all#*--target-dir=} target=${target%% *}
    cp "$target/received" /data/mysql/data/ ;;
esac
"#;

fn pod<'a>(repository: &'a Repository, backup: &str, position: &str) -> Pod<'a> {
    Pod::new(repository, backup)
        .file("/source", &format!("pages of {backup}\n"))
        .file("/position", position)
        .file("/data/mysql/data/auto.cnf", "[auto]\nserver-uuid=uuid-1\n")
        .stub("xtrabackup", XTRABACKUP)
        .stub("xbstream", "cat >received")
}

#[test]
fn case_25_apecloud_mysql_full_and_incremental() {
    let Some(full) = ActionSet::read(&format!("{DIR}-xtrabackup.yaml"), 8) else { return };
    let incremental = ActionSet::read(&format!("{DIR}-xtrabackup-incremental.yaml"), 0).unwrap();
    for repository in Repository::both(4) {
        let made = pod(&repository, "bk1", "4711").run(&full.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.lsn", "bk1/bk1.server-uuid", "bk1/bk1.xbstream"]);
        assert_eq!(repository.stored("bk1/bk1.lsn"), "4711\n");
        assert_eq!(repository.stored("bk1/bk1.server-uuid"), "uuid-1\n");
        assert_eq!(repository.stored("bk1/bk1.xbstream"), "pages of bk1\n");
        let info = made.info();
        assert_eq!(info["totalSize"], "25");
        assert!(info["timeRange"]["start"].as_str() <= info["timeRange"]["end"].as_str());

        let restored = pod(&repository, "bk1", "").run(&full.prepare()).ok();
        assert_eq!(restored.wrote("/data/mysql/data/received"), "pages of bk1\n");
        assert_eq!(restored.wrote("/data/mysql/data/.xtrabackup_restore_new_cluster"), "");
        assert!(restored.calls("xtrabackup")[2].ends_with("--log-bin=/data/mysql/binlog/mysql-bin"));

        // Each goes on where its parent ended; one whose parent has no position fetches the parent.
        let increment = |name: &str, parent: &str, position: &str| {
            let pod = pod(&repository, name, position).env("DP_PARENT_BACKUP_NAME", parent);
            pod.run(&incremental.backup()).ok()
        };
        let second = increment("bk2", "bk1", "4800");
        assert!(second.calls("xtrabackup")[0].contains("--incremental-lsn=4711"), "{}", second.output);
        repository.lose("bk2/bk2.lsn");
        let third = increment("bk3", "bk2", "4900");
        assert_eq!(third.calls("xbstream"), ["-x"]);
        assert!(third.calls("xtrabackup")[1].contains("--incremental-basedir=/data/mysql/xtrabackup-parent"));
        assert_eq!(third.info()["totalSize"], "25");
        let keys = repository.keys();
        assert_eq!(
            keys[3..],
            ["bk2/bk2.server-uuid", "bk2/bk2.xbstream", "bk3/bk3.lsn", "bk3/bk3.server-uuid", "bk3/bk3.xbstream"]
        );

        let restored = pod(&repository, "bk3", "")
            .env("DP_BASE_BACKUP_NAME", "bk1")
            .env("DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES", "bk2")
            .run(&incremental.prepare())
            .ok();
        assert_eq!(restored.wrote("/data/mysql/data/received"), "pages of bk1\npages of bk2\npages of bk3\n");

        // Another server than the parent's: refused.
        let other = pod(&repository, "bk4", "1")
            .env("DP_PARENT_BACKUP_NAME", "bk3")
            .file("/data/mysql/data/auto.cnf", "[auto]\nserver-uuid=uuid-2\n");
        other.run(&incremental.backup()).failed();
        // What old versions leave is found again.
        let old = pod(&repository, "bk5", "5000").file("/data/mysql/data/mysql-bin.index", "");
        old.run(&full.backup()).ok();
        assert!(repository.keys().contains(&"bk5/apecloud-mysql.old".to_owned()));
        let restored = pod(&repository, "bk5", "").run(&full.prepare()).ok();
        assert!(restored.calls("xtrabackup")[2].ends_with("--log-bin=/data/mysql/data/mysql-bin"));
    }
}

#[test]
fn case_25_apecloud_mysql_binary_logs() {
    let Some(set) = ActionSet::read(&format!("{DIR}-pitr.yaml"), 4) else { return };
    let mysql = r#"
case "$*" in
  *log_bin_basename*) printf 'log_bin_basename\t/data/mysql/binlog/mysql-bin\n' ;;
  *role*) echo Leader ;;
esac
"#;
    // That program stores with the same base path as the script's.
    let wal_g = r#"
for log in /data/mysql/binlog/mysql-bin.0*; do
  zstd -qc "$log" | /bin/datasafed/datasafed push - "binlog_005/$(basename "$log").zst"
done
"#;
    let mysqlbinlog = "hour=$(head -c 2 \"$1\"); echo; echo \"#260101 $hour:00:00 server id 1  end_log_pos 126\"";
    for repository in Repository::both(2) {
        let archived = Pod::new(&repository, "logs")
            .env("DP_TARGET_POD_NAME", "pod-0")
            .env("DP_ARCHIVE_INTERVAL", "600s")
            .file_of("/data/mysql/binlog/mysql-bin.000001", "10 first", 1_767_261_000)
            .file_of("/data/mysql/binlog/mysql-bin.000002", "11 second", 1_767_265_000)
            .stub("mysql", mysql)
            .stub("mysqlbinlog", mysqlbinlog)
            .stub("wal-g", wal_g)
            .stub("sleep", "kill -TERM $PPID")
            .run(&set.backup())
            .ok();
        let keys = ["logs/pod-0/binlog_005/mysql-bin.000001.zst", "logs/pod-0/binlog_005/mysql-bin.000002.zst"];
        assert_eq!(repository.keys(), keys);
        assert_eq!(
            archived.info(),
            json!({"totalSize": repository.total("logs/").to_string(), "extras": [],
                "timeRange": {"start": "2026-01-01T10:00:00Z", "end": "2026-01-01T11:00:00Z"}})
        );
        let restored = Pod::new(&repository, "logs")
            .env("DP_BASE_BACKUP_START_TIMESTAMP", "1767200000")
            .env("DP_BASE_BACKUP_START_TIME", "2025-12-31T16:53:20Z")
            .env("DP_RESTORE_TIMESTAMP", "1767263400")
            .env("DP_RESTORE_TIME", "2026-01-01T10:30:00Z")
            .file("/data/mysql/data/x", "")
            .stub("mysqlbinlog", mysqlbinlog)
            .run(&set.prepare())
            .ok();
        let logs = "/data/mysql/data/pitr-logs";
        assert_eq!(restored.wrote(&format!("{logs}/pod-0/binlog_005/mysql-bin.000001")), "10 first");
        assert_eq!(
            restored.wrote(&format!("{logs}/archive_log.index")),
            "pitr-logs/pod-0/binlog_005/mysql-bin.000001\npitr-logs/pod-0/binlog_005/mysql-bin.000002\n"
        );
        assert!(restored.output.contains("mysql-bin.000002.zst out of range"), "{}", restored.output);
        assert_eq!(
            restored.wrote("/data/mysql/data/.restore_new_cluster"),
            "archive_log_index=pitr-logs/archive_log.index\nrecovery_target_datetime=2026-01-01 10:30:00\n"
        );
    }
}
