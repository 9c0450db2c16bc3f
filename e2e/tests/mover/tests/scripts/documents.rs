//! kafka, qdrant, nebula: many objects, found again by listing.

use serde_json::json;

use crate::corpus::ActionSet;
use crate::pod::{Pod, ROOT, Repository};

#[test]
fn case_25_kafka() {
    let Some(set) = ActionSet::read("kafka/actionset-kafka-topics.yaml", 6) else { return };
    let kafkactl = r#"
case "$1 $2" in
  "get topics") cat /topics ;;
  "consume "*) echo "{\"topic\":\"$2\"}" ;;
  "create topic") [[ $3 != users ]] || { echo "topic already exists"; exit 1; } ;;
  "produce "*) cat >"/produced-$2" ;;
esac
"#;
    let table = "TOPIC PARTITIONS REPLICATION\n__consumer_offsets 50 3\norders 3 2\nusers 1 1\n";
    for repository in Repository::both(3) {
        let pod = |backup, topics| Pod::new(&repository, backup).file("/topics", topics).stub("kafkactl", kafkactl);
        let backup = pod("bk1", table).run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/data/orders.json", "bk1/data/users.json", "bk1/topics.txt"]);
        assert_eq!(repository.stored("bk1/topics.txt"), "orders 3 2\nusers 1 1\n");
        assert_eq!(backup.info(), json!({"totalSize": "58"}));
        let restored = pod("bk1", "").run(&set.post_ready(0)).ok();
        assert_eq!(restored.wrote("/produced-orders"), "{\"topic\":\"orders\"}\n");
        assert_eq!(restored.wrote("/produced-users"), "{\"topic\":\"users\"}\n");
        assert_eq!(restored.calls("kafkactl")[0], "create topic orders --partitions 3 --replication-factor 2");

        let nothing = pod("bk2", "TOPIC PARTITIONS REPLICATION\n").run(&set.backup()).ok();
        assert_eq!((nothing.info(), repository.keys().len()), (json!({"totalSize": "0"}), 3));
        let restored = pod("bk2", "").run(&set.post_ready(0)).ok();
        assert!(restored.output.contains("restore from an empty backup"), "{}", restored.output);

        let wrong = pod("bk3", table).stub("kafkactl", "[[ $1 = get ]] && cat /topics || exit 3");
        assert_eq!(wrong.run(&set.backup()).exit, 3);
    }
}

#[test]
fn case_25_qdrant() {
    let Some(set) = ActionSet::read("qdrant/actionset-qdrant-snapshot-br.yaml", 4) else { return };
    let curl = r#"
all="$*" name=${all##*/collections/}
case "$all" in
  *snapshots/upload*) cat >"/received-${name%%/*}"; echo '{"status":"ok"}' ;;
  *-XPOST*) echo "{\"status\":\"ok\",\"result\":{\"name\":\"${name%%/*}-1.snapshot\"}}" ;;
  *-XDELETE*) ;;
  */collections) echo '{"result":{"collections":[{"name":"cats"},{"name":"dogs"}]}}' ;;
  *) echo "snapshot ${all##*/}" ;;
esac
"#;
    for repository in Repository::both(2) {
        let base = format!("{ROOT}/bk1/pod-0");
        let pod = || Pod::new(&repository, "bk1").env("DP_BACKUP_BASE_PATH", &base);
        let backup = pod().stub("curl", curl).run(&set.backup()).ok();
        assert_eq!(repository.keys(), ["bk1/pod-0/cats.snapshot", "bk1/pod-0/dogs.snapshot"]);
        assert_eq!(repository.stored("bk1/pod-0/cats.snapshot"), "snapshot cats-1.snapshot\n");
        assert_eq!(backup.info(), json!({"totalSize": "50"}));
        assert_eq!(backup.calls("curl").len(), 7);

        // What the sidecar adds at the end is no snapshot.
        let sidecar = crate::corpus::Action {
            command: ["sh", "-c", "DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH /bin/datasafed/datasafed push - /kubeblocks-backup.json </calls"]
                .map(str::to_owned).to_vec(),
            env: Vec::new(),
        };
        pod().run(&sidecar).ok();
        let restored = pod().stub("curl", curl).run(&set.post_ready(0)).ok();
        assert_eq!(restored.wrote("/received-cats"), "snapshot cats-1.snapshot\n");
        assert_eq!(restored.wrote("/received-dogs"), "snapshot dogs-1.snapshot\n");
        assert_eq!(restored.calls("curl").len(), 2);

        pod().stub("curl", "echo 'not json'").run(&set.backup()).failed();
    }
}

#[test]
fn case_25_nebula() {
    let Some(set) = ActionSet::read("nebula/actionset-nebula-br.yaml", 1) else { return };
    for repository in Repository::both(1) {
        // It reads the configuration itself, so there is none for a volume.
        let Repository::Served(server) = &repository else { continue };
        let br = format!(
            "[[ $1 = restore ]] || echo meta | DATASAFED_BACKEND_BASE_PATH={ROOT}/bk1 /bin/datasafed/datasafed push - \
             \"$(cat /name)/meta\""
        );
        let backup = |name: &str| {
            let pod = Pod::new(&repository, "bk1").env("NEBULA_METAD_SVC", "meta-0:9559,meta-1:9559");
            pod.file("/name", name).stub("br", &br).run(&set.backup()).ok()
        };
        backup("BACKUP_2026_01_02_03_04_05");
        let second = backup("BACKUP_2026_01_02_13_04_05");
        let flags = |path: &str| {
            format!(
                "--meta meta-0:9559 --s3.endpoint {} --storage=s3://bucket{path} --s3.access_key=test \
                 --s3.secret_key=testsecret",
                server.endpoint()
            )
        };
        assert_eq!(second.calls("br"), [format!("backup full {}", flags(&format!("{ROOT}/bk1")))]);
        assert_eq!(second.info(), json!({"totalSize": "10"}));
        let restored = Pod::new(&repository, "bk1")
            .env("NEBULA_METAD_SVC", "meta-0:9559,meta-1:9559")
            .env("GRAPHD_POD_FQDNS", "graph-0")
            .env("STORAGED_POD_FQDNS", "storage-0")
            .env("IS_STORAGED", "true")
            .stub("br", &br)
            .stub("curl", "echo signal file deleted successfully")
            .run(&set.post_ready(0))
            .ok();
        let newest = format!("restore full {} --name BACKUP_2026_01_02_13_04_05", flags(&format!("/{ROOT}/bk1")));
        assert_eq!(restored.calls("br"), [newest]);
        assert_eq!(restored.calls("curl").len(), 4);
    }
}
