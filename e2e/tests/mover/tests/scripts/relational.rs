//! vanilla-postgresql, mariadb, etcd, zookeeper: one stream in, one stream out.

use serde_json::json;

use crate::corpus::ActionSet;
use crate::pod::{Pod, Repository};

#[test]
fn case_25_vanilla_postgresql() {
    let Some(set) = ActionSet::read("vanilla-postgresql/actionset-vanilla-pg-basebackup.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let pod = || {
            Pod::new(&repository, "bk1")
                .file("/source/PG_VERSION", "15\n")
                .file("/source/base/1/1259", &"page ".repeat(100_000))
                .stub("psql", "echo ' 2026-01-02 03:04:05.678'; echo")
        };
        let backup = pod().stub("pg_basebackup", "cat >/dev/null; tar -C /source -cf - .").run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst"]);
        let time = "2026-01-02T03:04:05Z";
        let size = repository.total("bk1/").to_string();
        assert_eq!(backup.info(), json!({"totalSize": size, "timeRange": {"start": time, "end": time}}));
        assert_eq!(backup.calls("pg_basebackup").len(), 1);

        let restored = Pod::new(&repository, "bk1").run(&set.prepare()).ok();
        let data = "/postgresql/volume_data/data";
        assert_eq!(restored.wrote(&format!("{data}/PG_VERSION")), "15\n");
        assert_eq!(restored.wrote(&format!("{data}/base/1/1259")), "page ".repeat(100_000));
        assert_eq!(restored.wrote(&format!("{data}/kb-restore.signal")), "");
        // Nothing is there: an answer, no failure, and no sign of a restore.
        let nothing = Pod::new(&repository, "bk0").run(&set.prepare());
        // `set -e` does not see what fails inside of a substitution inside of a test.
        assert_eq!((nothing.exit, nothing.file(&format!("{data}/kb-restore.signal"))), (0, None), "{}", nothing.output);

        pod().stub("pg_basebackup", "cat >/dev/null; echo half; exit 1").run(&set.backup()).failed();
    }
}

#[test]
fn case_25_mariadb() {
    let Some(set) = ActionSet::read("mariadb/actionset-mariadb-physical-br.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let stream = "mbstream ".repeat(50_000);
        let pod = || {
            Pod::new(&repository, "bk1").file("/source", &stream).file("/var/lib/mysql/old", "1").stub("mariadb", "")
        };
        let backup = pod().stub("mariadb-backup", "cat /source").run(&set.backup()).ok();
        assert_eq!(repository.sizes(), [("bk1/bk1.mbstream".to_owned(), 450_000)]);
        assert_eq!(backup.info(), json!({"totalSize": "450000"}));
        assert!(backup.calls("mariadb-backup")[0].contains("--user=admin --password=secret"));

        let copy_back = "case $* in *--copy-back*) cp /tmp/data/received /var/lib/mysql/;; esac";
        let restored = pod()
            .stub("mbstream", "cat >received")
            .stub("mariadb-backup", copy_back)
            .stub("chown", "")
            .run(&set.prepare())
            .ok();
        assert_eq!(restored.wrote("/var/lib/mysql/received"), stream);
        assert_eq!(restored.file("/var/lib/mysql/old"), None);
        assert_eq!(restored.calls("mariadb-backup").len(), 2);
        assert_eq!(restored.calls("chown"), ["-R mysql:mysql /var/lib/mysql"]);

        repository.lose("bk1/bk1.mbstream");
        let lost = pod().stub("mbstream", "cat >received").stub("mariadb-backup", copy_back).run(&set.prepare());
        assert_eq!((lost.exit, lost.file("/var/lib/mysql/old").as_deref()), (1, Some("1")), "{}", lost.output);
        assert!(lost.output.contains("pull \"bk1.mbstream\": object not found"), "{}", lost.output);
    }
}

#[test]
fn case_25_etcd() {
    let Some(set) = ActionSet::read("etcd/actionset-etcdctl-br.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let pod = |backup: &str| {
            Pod::new(&repository, backup)
                .program("/run/etcd/bin/bash", "exec /bin/bash \"$@\"")
                .file("/etcd.conf", "advertise-client-urls: http://x:2379\n")
                .env("CONFIG_FILE_PATH", "/etcd.conf")
                .env("CLUSTER_NAMESPACE", "ns")
                .stub("etcdutl", "")
        };
        let backup = pod("bk1").stub("etcdctl", "echo 'a snapshot' >\"${@: -1}\"").run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst"]);
        assert_eq!(backup.info(), json!({"totalSize": repository.total("bk1/").to_string()}));
        let endpoint = "--endpoints=http://db-0.db-headless.ns.svc.cluster.local.ns.svc.cluster.local:2379";
        assert_eq!(backup.calls("etcdctl"), [format!("{endpoint} snapshot save bk1")]);

        let restored = pod("bk1").run(&set.prepare()).ok();
        assert_eq!(restored.wrote("/run/etcd/backup/bk1"), "a snapshot\n");
        assert_eq!(pod("bk0").run(&set.prepare()).exit, 0);

        pod("bk2").stub("etcdctl", "exit 5").run(&set.backup()).failed();
        assert_eq!(repository.keys(), ["bk1/bk1.tar.zst"]);
    }
}

#[test]
fn case_25_zookeeper() {
    let Some(set) = ActionSet::read("zookeeper/actionset-zookeeper-zoocreeper.yaml", 4) else { return };
    for repository in Repository::both(2) {
        let backup = Pod::new(&repository, "bk1").stub("java", "echo '{\"/\": 1}'").run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/bk1.json"]);
        assert_eq!(backup.info(), json!({"totalSize": repository.total("bk1/").to_string()}));
        let restored = Pod::new(&repository, "bk1")
            .file("/zookeeper/data/version-2/x", "")
            .env("ZOOKEEPER_DATA_DIR", "/zookeeper/data")
            .stub(
                "java",
                "cp /tmp/zookeeper/restore/backup.json /received; [ -f /zookeeper/data/.restore_new_cluster ]",
            )
            .run(&set.post_ready(0))
            .ok();
        assert_eq!(restored.wrote("/received"), "{\"/\": 1}\n");
        assert_eq!(restored.file("/zookeeper/data/.restore_new_cluster"), None);
        Pod::new(&repository, "bk2").stub("java", "echo '{'; exit 1").run(&set.backup()).failed();
    }
}
