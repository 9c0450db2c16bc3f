use crate::action::exec::ExecSettings;
use crate::action::placement::Placement;
use crate::action::pod::PodSettings;
use crate::backup::build::{Bounds, data_job, exec, hook_job};
use crate::backup::env::Source;
use api_types::contract::labels;
use api_types::dp::{ActionSet, Backup, BackupMethod, BackupStatusTarget};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn read<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

struct World {
    backup: Backup,
    actions: ActionSet,
    method: BackupMethod,
    target: BackupStatusTarget,
    pod: Pod,
    zero_resources: bool,
}

impl World {
    /// A backup whose name is as long as a name may be, of a pod whose volume two mounts of the method name.
    fn new() -> Self {
        World {
            backup: read(json!({
                "metadata": {"name": "b".repeat(120), "namespace": "demo", "uid": "0d3f629f-4a24-4d5b-81a1-bb4dc5f9d8ed"},
                "spec": {"backupPolicyName": "p", "backupMethod": "m", "retentionPeriod": "3d"},
                "status": {"phase": "Running", "path": "/demo/b", "backupRepoName": "r"},
            })),
            actions: read(json!({"metadata": {"name": "a"}, "spec": {
                "backupType": "Full", "env": [{"name": "OF_SET", "value": "1"}],
                "envFrom": [{"secretRef": {"name": "of-set"}}],
                "backup": {"backupData": {"image": "i", "command": ["c"], "runOnTargetPodNode": true}}}})),
            method: read(json!({"name": "m", "actionSetName": "a", "targetVolumes": {"volumeMounts": [
                {"name": "data", "mountPath": "/data"}, {"name": "data", "mountPath": "/also", "subPath": "x"},
                {"name": "absent", "mountPath": "/absent"}]}})),
            target: read(json!({"podSelector": {"matchLabels": {"app": "db"}}})),
            pod: read(json!({
                "metadata": {"name": "db-0", "namespace": "demo", "labels": {"app": "db"}},
                "spec": {"nodeName": "n", "hostNetwork": true,
                    "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}, {"name": "other"}],
                    "containers": [{"name": "db", "image": "db", "envFrom": [{"configMapRef": {"name": "of-pod"}}]}]},
                "status": {"podIP": "10.0.0.1"}})),
            zero_resources: true,
        }
    }

    fn jobs(&self) -> [Job; 3] {
        let source = Source {
            backup: &self.backup,
            actions: &self.actions.spec,
            action_set: Some(&self.actions),
            method: &self.method,
            target: &self.target,
            pod: &self.pod,
        };
        let settings = PodSettings {
            mover_image: "mover".into(),
            zero_resources: self.zero_resources,
            worker_account: "worker".into(),
            placement: Placement::default(),
        };
        let bounds = Bounds { backoff_limit: 2, deadline: None };
        let data = self.actions.spec.backup.as_ref().and_then(|b| b.backup_data.as_ref()).unwrap();
        let hook = data.job();
        let in_pod = read(json!({"command": ["c"], "container": "db"}));
        let exec_settings = ExecSettings::new("holdfast", None, "own", "exec-worker");
        [
            data_job(&source, "dp-backup-0", data, None, bounds, &settings).unwrap(),
            hook_job(&source, &format!("prebackup-{}-0", "long".repeat(30)), &hook, None, bounds, &settings).unwrap(),
            exec::job(&self.backup, "postbackup-0-0", &in_pod, &self.pod, None, &exec_settings, self.zero_resources),
        ]
    }

    fn data(&self) -> Job {
        let [data, ..] = self.jobs();
        data
    }
}

/// Clean-up finds every workload by these two, pods included.
#[test]
fn rule_4_every_job_and_every_pod_carries_the_labels_by_which_it_is_cleaned_up() {
    for job in World::new().jobs() {
        let of_pod = job.spec.as_ref().unwrap().template.metadata.as_ref().unwrap().labels.clone().unwrap();
        for own in [job.labels(), &of_pod] {
            assert_eq!(
                own.get(labels::MANAGED_BY).map(String::as_str),
                Some(labels::MANAGED_BY_DP),
                "{}",
                job.name_any()
            );
            let name = own.get(labels::BACKUP_NAME).unwrap();
            assert!(name.starts_with("bbbb") && name.len() <= 63, "{name}");
        }
    }
}

/// The reference named the container after the Backup, whose name may have 253 characters.
#[test]
fn rule_13_names_of_containers_do_not_grow_with_the_backup() {
    for job in World::new().jobs() {
        let spec = job.spec.unwrap().template.spec.unwrap();
        for container in spec.containers.iter().chain(spec.init_containers.iter().flatten()) {
            assert!(container.name.len() <= 63 && !container.name.contains("bbb"), "{}", container.name);
        }
    }
    assert_eq!(World::new().data().spec.unwrap().template.spec.unwrap().containers[0].name, "backupdata");
}

#[test]
fn rule_19_rule_20_sources_are_appended_and_each_volume_is_there_once() {
    let spec = World::new().data().spec.unwrap().template.spec.unwrap();
    let container = serde_json::to_value(&spec.containers[0]).unwrap();
    assert_eq!(container["envFrom"], json!([{"configMapRef": {"name": "of-pod"}}, {"secretRef": {"name": "of-set"}}]));
    let volumes: Vec<&str> = spec.volumes.iter().flatten().map(|v| v.name.as_str()).collect();
    assert_eq!(volumes.iter().filter(|v| **v == "data").count(), 1, "{volumes:?}");
    let mounts: Vec<(&str, &str)> = spec.containers[0]
        .volume_mounts
        .iter()
        .flatten()
        .filter(|m| !["dp-datasafed-bin", "manager-shared-volume", "holdfast-backup-object"].contains(&m.name.as_str()))
        .map(|m| (m.name.as_str(), m.mount_path.as_str()))
        .collect();
    assert_eq!(mounts, [("data", "/data"), ("data", "/also")], "and none of a volume the pod has not");
}

/// Without a port of the pod, and on the network of the host.
#[test]
fn rule_22_the_variable_of_the_port_is_always_there() {
    let port = |world: &World| {
        let spec = world.data().spec.unwrap().template.spec.unwrap();
        let env = spec.containers[0].env.clone().unwrap();
        env.iter().rev().find(|v| v.name == "DP_DB_PORT").unwrap().value.clone()
    };
    let mut world = World::new();
    assert_eq!(port(&world).as_deref(), Some("0"));
    let ports = json!([{"name": "db", "containerPort": 1055, "hostPort": 1055}]);
    world.pod.spec.as_mut().unwrap().containers[0].ports = read(ports);
    assert_eq!(port(&world).as_deref(), Some("1055"));
    world.target.connection_credential = Some(read(json!({"secretName": "s", "hostKey": "h"})));
    assert_eq!(port(&world).as_deref(), Some("1055"), "the credential names none");
}

#[test]
fn rule_48_the_backup_travels_with_its_data_to_be_saved_beside_it() {
    let template = World::new().data().spec.unwrap().template;
    let note = &template.metadata.unwrap().annotations.unwrap()["holdfast.dev/backup-object"];
    let saved: Value = serde_json::from_str(note).unwrap();
    assert_eq!((&saved["kind"], &saved["status"]["path"]), (&json!("Backup"), &json!("/demo/b")));
    let container = &template.spec.unwrap().containers[0];
    let file = container.env.iter().flatten().find(|v| v.name == "DATASAFED_MOVER_BACKUP_OBJECT");
    assert_eq!(file.and_then(|v| v.value.as_deref()), Some("/holdfast/backup.json"));
}

#[test]
fn rule_49_limits_of_zero_can_be_switched_off() {
    let limits = |zero_resources: bool| -> Vec<usize> {
        let world = World { zero_resources, ..World::new() };
        let pods = world.jobs().map(|job| job.spec.unwrap().template.spec.unwrap());
        let all = pods.into_iter().flat_map(|p| p.init_containers.into_iter().flatten().chain(p.containers));
        all.map(|c| c.resources.and_then(|r| r.limits).map_or(0, |l| l.len())).collect()
    };
    assert!(limits(true).iter().all(|n| *n == 2), "{:?}", limits(true));
    assert!(limits(false).iter().all(|n| *n == 0), "{:?}", limits(false));
}
