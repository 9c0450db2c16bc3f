//! Unmodified ActionSets of the field go through the building of Jobs: env in the order of the wire
//! contract (contract-dp §10.4, behaviour-restore §7.5), images expanded, volumes, labels and names.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]

use api_types::dp::{ActionSet, Backup, BackupMethod, BackupStatusTarget, Restore};
use dp::action::mover::{Repository, Storage};
use dp::action::pod::PodSettings;
use dp::backup::build::{Bounds, data_job};
use dp::backup::env::Source;
use dp::restore::build::prepare_data_job;
use dp::restore::env::Set;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, EnvVar, Pod, PodSpec};
use kube::ResourceExt;
use serde_json::{Value, json};

fn action_set(shared: &std::path::Path, file: &str) -> ActionSet {
    let path = shared.join("corpus").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let options = serde_saphyr::options! { strict_booleans: true };
    serde_saphyr::from_str_with_options(&text, options).unwrap_or_else(|e| panic!("{file}: {e}"))
}

fn settings() -> PodSettings {
    PodSettings {
        mover_image: "mover:1".into(),
        zero_resources: true,
        worker_account: "worker".into(),
        placement: dp::action::placement::Placement::default(),
    }
}

fn storage() -> Storage {
    Storage {
        repository: Repository::Mounted { claim: "repo-claim".into() },
        encryption: None,
        envelope: None,
        deduplicated: None,
    }
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

/// An object with the fields of `change` put over `base`.
fn with(mut base: Value, change: &Value) -> Value {
    for (key, value) in change.as_object().unwrap() {
        base[key] = value.clone();
    }
    base
}

fn backup(name: &str, method: &BackupMethod, status: &Value) -> Backup {
    let base = json!({"phase": "Running", "path": format!("/shop/pg/{name}"), "backupMethod": method});
    of(json!({
        "metadata": {"name": name, "namespace": "shop", "uid": "11112222-3333-4444-5555-666677778888", "labels": {
            "app.kubernetes.io/instance": "pg", "apps.kubeblocks.io/component-name": "db",
            "dataprotection.kubeblocks.io/cluster-uid": "c-uid",
        }},
        "spec": {"backupPolicyName": "p", "backupMethod": "full", "retentionPeriod": "7d"},
        "status": with(base, status),
    }))
}

fn method(actions: &str) -> BackupMethod {
    of(json!({"name": "full", "actionSetName": actions, "targetVolumes": {"volumes": ["data"], "volumeMounts": [
        {"name": "data", "mountPath": "/volume"}, {"name": "gone", "mountPath": "/gone"}]}}))
}

fn database() -> Pod {
    of(json!({
        "metadata": {"name": "pg-db-0", "namespace": "shop", "labels": {"kubeblocks.io/role": "primary"}},
        "spec": {
            "nodeName": "n1", "subdomain": "pg-db-headless", "tolerations": [{"key": "db", "operator": "Exists"}],
            "volumes": [
                {"name": "data", "persistentVolumeClaim": {"claimName": "data-pg-db-0"}},
                {"name": "tls", "secret": {"secretName": "tls"}},
            ],
            "containers": [{"name": "db", "env": [{"name": "CLUSTER_NAMESPACE", "value": "shop"}],
                "envFrom": [{"configMapRef": {"name": "env"}}], "ports": [{"name": "client", "containerPort": 2379}]}],
        },
    }))
}

fn data_job_of(actions: &ActionSet) -> Job {
    let method = method(&actions.name_any());
    let backup = backup("nightly", &method, &json!({}));
    let target: BackupStatusTarget = of(json!({
        "podSelector": {"matchLabels": {"a": "b"}}, "selectedTargetPods": ["pg-db-0"],
        "connectionCredential": {"secretName": "login", "passwordKey": "password", "usernameKey": "username"},
    }));
    let pod = database();
    let source = Source {
        backup: &backup,
        actions: &actions.spec,
        action_set: Some(actions),
        method: &method,
        target: &target,
        pod: &pod,
    };
    let data = actions.spec.backup.as_ref().and_then(|b| b.backup_data.as_ref()).unwrap();
    let bounds = Bounds { backoff_limit: 2, deadline: Some(3600) };
    data_job(&source, "dp-backup-0", data, Some(&storage()), bounds, &settings())
        .unwrap_or_else(|stop| panic!("{stop:?}"))
}

fn pod_of(job: &Job) -> &PodSpec {
    job.spec.as_ref().unwrap().template.spec.as_ref().unwrap()
}

fn shown(container: &Container) -> Vec<String> {
    let text = |v: &EnvVar| match v.value_from.as_ref().and_then(|f| f.secret_key_ref.as_ref()) {
        Some(key) => format!("{}<-{}/{}", v.name, key.name, key.key),
        None => format!("{}={}", v.name, v.value.clone().unwrap_or_default()),
    };
    container.env.iter().flatten().map(text).collect()
}

fn mounts(container: &Container) -> Vec<(&str, &str)> {
    container.volume_mounts.iter().flatten().map(|m| (m.name.as_str(), m.mount_path.as_str())).collect()
}

const ETCD: [&str; 4] =
    ["TLS_DIR=/etc/pki/tls", "BACKUP_DIR=/var/run/etcd/backup", "CLUSTER_DOMAIN=.cluster.local", "IMAGE_TAG=v3.6.12"];
const POSTGRESQL: [&str; 2] = ["DATA_DIR=/postgresql/volume_data/data", "IMAGE_TAG=14.7"];

/// The env of a backup Job of the scenario, with the ActionSet's own in its place.
fn backup_env(actions: &[&str]) -> Vec<String> {
    let before = [
        "CLUSTER_NAMESPACE=shop",
        "DP_BACKUP_NAME=nightly",
        "DP_TARGET_POD_NAME=pg-db-0",
        "DP_TARGET_POD_ROLE=primary",
        "DP_BACKUP_BASE_PATH=/shop/pg/nightly",
        "DP_BACKUP_INFO_FILE=/dp-manager/backup.info",
        "DP_TTL=7d",
        "DP_DB_HOST=pg-db-0.pg-db-headless",
        "DP_DB_PORT=2379",
        "DP_DB_PASSWORD<-login/password",
        "DP_DB_USER<-login/username",
    ];
    let after = [
        "KB_CLUSTER_UID=c-uid",
        "KB_CLUSTER_NAME=pg",
        "KB_COMP_NAME=db",
        "KB_NAMESPACE=shop",
        "DATASAFED_MOVER_BACKUP_OBJECT=/holdfast/backup.json",
        "DATASAFED_MOVER_ACTION_SET=/holdfast/actions.json",
        "DATASAFED_MOVER_MANIFEST_DIR=/shop/pg/_manifests/v1/11112222-3333-4444-5555-666677778888",
        "DATASAFED_LOCAL_BACKEND_PATH=/backupdata",
        "DP_DATASAFED_BIN_PATH=/bin/datasafed",
    ];
    before.iter().chain(actions).chain(&after).map(ToString::to_string).collect()
}

#[test]
fn etcd_runs_beside_its_pod_and_its_progress_is_not_synced() {
    let Some(shared) = test_kit::skip_without_shared(1) else { return };
    let job = data_job_of(&action_set(&shared, "etcd/actionset-etcdctl-br.yaml"));
    assert_eq!(job.name_any(), "dp-backup-0-nightly-11112222");
    let template = job.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().labels.as_ref().unwrap();
    for labels in [job.labels(), template] {
        assert_eq!(labels["dataprotection.kubeblocks.io/backup-name"], "nightly");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "kubeblocks-dataprotection");
        assert!(!labels.contains_key("apps.kubeblocks.io/component-name"), "no Service selects the pod");
    }
    let pod = pod_of(&job);
    assert_eq!(pod.containers.len(), 1);
    let action = &pod.containers[0];
    assert_eq!(action.image.as_deref(), Some("quay.io/coreos/etcd:v3.6.12"));
    let command = action.command.as_ref().unwrap();
    assert_eq!(command[..5], ["/bin/datasafed/datasafed", "run", "--", "/var/run/etcd/bin/bash", "-c"]);
    assert_eq!(shown(action), backup_env(&ETCD));
    assert_eq!(action.env_from.as_ref().unwrap().len(), 1, "envFrom of the target pod's first container");
    let wanted = [
        ("manager-shared-volume", "/dp-manager"),
        ("data", "/volume"),
        ("holdfast-backup-object", "/holdfast"),
        ("dp-backup-data", "/backupdata"),
        ("dp-datasafed-bin", "/bin/datasafed"),
    ];
    assert_eq!(mounts(action), wanted, "a mount of a volume that the pod lacks is left out");
    assert_eq!(pod.node_selector.as_ref().unwrap()["kubernetes.io/hostname"], "n1");
    assert_eq!(pod.tolerations.as_ref().unwrap()[0].key.as_deref(), Some("db"));
    let installers: Vec<&str> = pod.init_containers.iter().flatten().map(|c| c.name.as_str()).collect();
    assert_eq!(installers, ["dp-copy-datasafed"], "syncProgress.enabled is false: no agent");
}

#[test]
fn postgresql_runs_anywhere_and_its_agent_syncs_progress() {
    let Some(shared) = test_kit::skip_without_shared(1) else { return };
    let job = data_job_of(&action_set(&shared, "vanilla-postgresql/actionset-vanilla-pg-basebackup.yaml"));
    let pod = pod_of(&job);
    let action = &pod.containers[0];
    assert_eq!(action.image.as_deref(), Some("docker.io/postgres:14.7"));
    assert_eq!(shown(action), backup_env(&POSTGRESQL));
    assert_eq!((pod.node_selector.as_ref(), pod.tolerations.as_ref()), (None, None));
    assert!(!mounts(action).contains(&("data", "/volume")), "no volume of the target without runOnTargetPodNode");
    let sidecars = pod.init_containers.as_ref().unwrap();
    assert_eq!(sidecars.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["dp-copy-datasafed", "manager"]);
    let agent = &sidecars[1];
    assert_eq!(agent.restart_policy.as_deref(), Some("Always"), "a native sidecar ends with the action (design D20)");
    assert!(shown(agent).contains(&"DP_CHECK_INTERVAL=5".to_owned()));
    assert_eq!(agent.command.as_deref().unwrap(), ["/datasafed", "agent"]);
}

fn restore(spec: &Value) -> Restore {
    let base = json!({
        "backup": {"name": "nightly", "namespace": "shop"},
        "prepareDataConfig": {"volumeClaimRestorePolicy": "Parallel", "volumeClaims": [
            {"metadata": {"name": "data-new-0"}, "volumeSource": "data", "volumeClaimSpec": {}}]},
    });
    let metadata = json!({"name": "r", "namespace": "shop", "uid": "aaaabbbb-cccc-dddd-eeee-ffff00001111"});
    of(json!({"metadata": metadata, "spec": with(base, spec)}))
}

#[test]
fn etcd_and_postgresql_are_restored_by_one_job_each() {
    let Some(shared) = test_kit::skip_without_shared(2) else { return };
    let bash = "docker.io/apecloud/bash-busybox:1.37.0-musl-curl";
    for (file, image, own) in [
        ("etcd/actionset-etcdctl-br.yaml", bash, &ETCD[..]),
        ("vanilla-postgresql/actionset-vanilla-pg-basebackup.yaml", "docker.io/postgres:14.7", &POSTGRESQL[..]),
    ] {
        let actions = action_set(&shared, file);
        let status = json!({"phase": "Completed", "completionTimestamp": "2026-11-21T01:00:00Z"});
        let backup = backup("nightly", &method(&actions.name_any()), &status);
        let set = Set { backup: &backup, action_set: &actions, base: None, ancestors: vec![], source_pod: None };
        let job = prepare_data_job(&restore(&json!({})), &set, 0, Some(&storage()), &settings()).unwrap();
        assert_eq!(job.name_any(), "restore-preparedata-aaaabbbb-nightly-0");
        assert_eq!(job.labels()["dataprotection.kubeblocks.io/restore"], "r");
        assert_eq!(job.spec.as_ref().unwrap().suspend, Some(true), "held back until its UID is recorded");
        let action = &pod_of(&job).containers[0];
        assert_eq!(action.image.as_deref(), Some(image));
        let wanted = [
            ("dp-claim-data-new-0", "/volume"),
            ("dp-backup-data", "/backupdata"),
            ("dp-datasafed-bin", "/bin/datasafed"),
        ];
        assert_eq!(mounts(action), wanted);
        let before = [
            "DP_BACKUP_NAME=nightly",
            "DP_TARGET_RELATIVE_PATH=",
            "DP_BACKUP_ROOT_PATH=/shop/pg",
            "DP_BACKUP_BASE_PATH=/shop/pg/nightly",
            "DP_BACKUP_STOP_TIME=2026-11-21T01:00:00Z",
        ];
        let after = ["DATASAFED_LOCAL_BACKEND_PATH=/backupdata", "DP_DATASAFED_BIN_PATH=/bin/datasafed"];
        let wanted: Vec<String> = before.iter().chain(own).chain(&after).map(ToString::to_string).collect();
        assert_eq!(shown(action), wanted, "{file}");
    }
}

#[test]
fn point_in_time_knows_its_base_and_its_instant() {
    let Some(shared) = test_kit::skip_without_shared(1) else { return };
    let mut actions = action_set(&shared, "apecloud-mysql/actionset-apecloud-mysql-pitr.yaml");
    let covers = |start: &str, end: &str| json!({"phase": "Completed", "timeRange": {"start": start, "end": end, "timeZone": "+08:00"}});
    let log = backup("log", &method("pitr"), &covers("2026-11-20T00:00:00Z", "2026-11-21T12:00:00Z"));
    let base = backup("nightly", &method("full"), &covers("2026-11-21T01:00:00Z", "2026-11-21T01:30:00Z"));
    let increment = backup("inc-1", &method("inc"), &covers("2026-11-21T02:00:00Z", "2026-11-21T02:30:00Z"));
    let source = json!({"name": "log", "namespace": "shop", "sourceTargetName": "shard-a"});
    let wanted = restore(&json!({"restoreTime": "2026-11-21T10:00:00Z", "backup": source}));
    let (ancestors, pod) = (vec![&increment], Some("my-0"));
    let set = Set { backup: &log, action_set: &actions, base: Some(&base), ancestors, source_pod: pod };
    let job = prepare_data_job(&wanted, &set, 1, Some(&storage()), &settings()).unwrap();
    assert_eq!(job.name_any(), "restore-preparedata-aaaabbbb-log-1");
    let env = shown(&pod_of(&job).containers[0]);
    let first = [
        "DP_BACKUP_NAME=log",
        "DP_TARGET_RELATIVE_PATH=shard-a/my-0",
        "DP_BACKUP_ROOT_PATH=/shop/pg",
        "DP_BACKUP_BASE_PATH=/shop/pg/log/shard-a/my-0",
        "DP_BASE_BACKUP_NAME=nightly",
        "DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES=inc-1",
        "DP_BACKUP_STOP_TIME=2026-11-21T20:00:00+08:00",
        "DP_BASE_BACKUP_START_TIME=2026-11-21T09:00:00+08:00",
        "DP_BASE_BACKUP_START_TIMESTAMP=1795222800",
        "DP_BASE_BACKUP_STOP_TIME=2026-11-21T09:30:00+08:00",
        "DP_BASE_BACKUP_STOP_TIMESTAMP=1795224600",
        "DP_RESTORE_TIME=2026-11-21T18:00:00+08:00",
        "DP_RESTORE_TIMESTAMP=1795255200",
        "VOLUME_DATA_DIR=/data/mysql",
    ];
    assert_eq!(env[..first.len()], first);
    assert!(env.contains(&"PITR_DIR=$(DATA_DIR)/$(PITR_RELATIVE_PATH)".to_owned()), "the kubelet expands it");

    // The layout an ActionSet asks for counts for every instant, in the zone of the backup.
    let layout = Some("2006-01-02 15:04:05".to_owned());
    actions.spec.env.push(EnvVar { name: "DP_TIME_FORMAT".into(), value: layout, ..EnvVar::default() });
    let set = Set { backup: &log, action_set: &actions, base: Some(&base), ancestors: vec![], source_pod: None };
    let job = prepare_data_job(&wanted, &set, 1, Some(&storage()), &settings()).unwrap();
    let env = shown(&pod_of(&job).containers[0]);
    for line in [
        "DP_RESTORE_TIME=2026-11-21 18:00:00",
        "DP_BACKUP_STOP_TIME=2026-11-21 20:00:00",
        "DP_BASE_BACKUP_START_TIME=2026-11-21 09:00:00",
    ] {
        assert!(env.contains(&line.to_owned()), "{line} is not in {env:#?}");
    }
    assert!(!env.iter().any(|l| l.starts_with("DP_ANCESTOR")), "no increments, no variable");
}
