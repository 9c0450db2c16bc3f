//! Builds the Jobs of a backup (contract-dp §10.4–§10.6). Pure.

use super::env::{self, Source};
use crate::action::mover::{self, Storage, mount};
use crate::action::pod::PodSettings;
use crate::action::{image, pod};
use crate::error::Stop;
use crate::reasons;
use api_types::contract::names::{BACKUP_DATA_PREFIX, uid8};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{Backup, BackupDataActionSpec};
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, EmptyDirVolumeSource, ObjectFieldSelector, PodSpec,
    PodTemplateSpec, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use mover_protocol as protocol;
use std::collections::BTreeMap;

/// Where the saved Backup object is mounted for the wrapper.
const OBJECT_DIR: &str = "/holdfast";
const OBJECT_FILE: &str = "backup.json";
/// Largest Backup object that travels as an annotation; the limit of all annotations is 256 KiB.
const OBJECT_LIMIT: usize = 200 * 1024;

/// Name of the action for one target pod, as `status.actions[].name` carries it.
pub fn action_name(target: &str, pod_index: usize) -> String {
    if target.is_empty() {
        format!("{BACKUP_DATA_PREFIX}-{pod_index}")
    } else {
        format!("{BACKUP_DATA_PREFIX}-{target}-{pod_index}")
    }
}

/// Name of an action's Job: `<action>-<backup>-<uid8>`, hashed when it would not fit
/// (behaviour-backup D7).
pub fn job_name(backup: &Backup, action: &str) -> String {
    let uid = backup.uid().unwrap_or_default();
    let wire = format!("{action}-{}-{}", backup.name_any(), uid8(&uid));
    names::child(&wire, &[&uid, "backup", action])
}

/// Value of label `backup-name` of a backup's workloads: its name, or a beginning of it and a hash.
pub fn name_label(backup: &str) -> String {
    names::child(backup, &[backup])
}

/// Labels of a backup's workloads: the Backup's own but the component's, so that no Service of the
/// database selects the pod.
pub fn workload_labels(backup: &Backup) -> BTreeMap<String, String> {
    let mut all = backup.labels().clone();
    all.remove(labels::COMPONENT_NAME);
    all.insert(labels::BACKUP_NAME.into(), name_label(&backup.name_any()));
    all.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    all
}

/// The Job that backs up one pod.
///
/// # Errors
/// Terminal when the action can not be built from what the policy says.
pub fn data_job(
    from: &Source<'_>,
    action: &str,
    storage: &Storage,
    backoff_limit: i32,
    settings: &PodSettings,
) -> Result<Job, Stop> {
    let backup = from.backup;
    let data = from.action_set.spec.backup.as_ref().and_then(|b| b.backup_data.as_ref()).ok_or_else(|| {
        Stop::terminal(
            reasons::NO_BACKUP_ACTION,
            format!(
                "ActionSet {} has no backup.backupData; nothing can be backed up with it",
                from.action_set.name_any()
            ),
        )
    })?;
    let env = env::build(from)?;
    let first = from.pod.spec.as_ref().and_then(|s| s.containers.first());
    let mut env_from = first.and_then(|c| c.env_from.clone()).unwrap_or_default();
    env_from.extend(from.action_set.spec.env_from.iter().cloned());

    let mut pod_volumes = vec![Volume {
        name: pods::VOLUME_MANAGER_SHARED.into(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Volume::default()
    }];
    let mut mounts = vec![mount(pods::VOLUME_MANAGER_SHARED, protocol::MANAGER_DIR)];
    let on_node = data.run_on_target_pod_node.unwrap_or_default();
    if on_node {
        let (found, at) = target_volumes(from);
        pod_volumes.extend(found);
        mounts.extend(at);
    }
    let mut container = Container {
        name: pods::CONTAINER_BACKUP_DATA.into(),
        image: Some(image::expand(&data.image, &env)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(mover::wrapped(&data.command)),
        env: Some(env.clone()),
        env_from: (!env_from.is_empty()).then_some(env_from),
        volume_mounts: Some(mounts.clone()),
        resources: from.method.runtime_settings.as_ref().and_then(|r| r.resources.clone()),
        security_context: Some(pod::action_container()),
        ..Container::default()
    };
    let mut agent = agent(data, &container, settings);
    if settings.zero_resources {
        pod::zero_unset(&mut container);
        agent.iter_mut().for_each(pod::zero_unset);
    }
    let object = saved_object(backup);
    if object.is_some() {
        pod_volumes.push(object_volume());
        container.volume_mounts.get_or_insert_default().push(mount(pods::VOLUME_BACKUP_OBJECT, OBJECT_DIR));
        let file = format!("{OBJECT_DIR}/{OBJECT_FILE}");
        container
            .env
            .get_or_insert_default()
            .push(crate::action::env::literal(protocol::env::BACKUP_OBJECT_FILE, file));
    }
    let own_account = from.target.service_account_name.clone().filter(|n| !n.is_empty());
    let mut spec = PodSpec {
        containers: vec![container],
        init_containers: agent.map(|a| vec![a]),
        volumes: Some(pod_volumes),
        restart_policy: Some("Never".into()),
        service_account_name: Some(own_account.unwrap_or_else(|| settings.worker_account.clone())),
        ..PodSpec::default()
    };
    if on_node {
        place_beside(&mut spec, from);
    }
    mover::inject(&mut spec, Some(storage), &settings.mover_image, settings.zero_resources);
    Ok(job(backup, action, spec, object, backoff_limit))
}

fn job(backup: &Backup, action: &str, spec: PodSpec, object: Option<String>, backoff_limit: i32) -> Job {
    let labels = workload_labels(backup);
    let namespace = backup.namespace();
    let note = object.map(|json| BTreeMap::from([(annotations::BACKUP_OBJECT.to_owned(), json)]));
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(backup, action)),
            namespace: namespace.clone(),
            labels: Some(with_owner(labels.clone(), backup)),
            owner_references: backup.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(backoff_limit),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    name: Some(job_name(backup, action)),
                    namespace,
                    labels: Some(labels),
                    annotations: note,
                    ..ObjectMeta::default()
                }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

fn with_owner(mut labels: BTreeMap<String, String>, backup: &Backup) -> BTreeMap<String, String> {
    labels.insert(OWNER_UID_LABEL.into(), backup.uid().unwrap_or_default());
    labels
}

/// The native sidecar that reports progress while the action runs; only where it is asked for.
fn agent(data: &BackupDataActionSpec, container: &Container, settings: &PodSettings) -> Option<Container> {
    let sync = data.sync_progress.as_ref().filter(|s| s.enabled())?;
    let mut env = container.env.clone().unwrap_or_default();
    env.push(crate::action::env::literal(protocol::env::CHECK_INTERVAL, sync.interval_seconds().to_string()));
    Some(Container {
        name: pods::CONTAINER_MANAGER.into(),
        image: Some(settings.mover_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "agent".into()]),
        env: Some(env),
        env_from: container.env_from.clone(),
        volume_mounts: Some(vec![mount(pods::VOLUME_MANAGER_SHARED, protocol::MANAGER_DIR)]),
        security_context: Some(pod::restricted_container()),
        restart_policy: Some("Always".into()),
        ..Container::default()
    })
}

/// The Backup as JSON, as it is while its action runs; the wrapper pushes it into the repository.
fn saved_object(backup: &Backup) -> Option<String> {
    let mut object = backup.clone();
    object.metadata.managed_fields = None;
    let notes = object.metadata.annotations.get_or_insert_default();
    notes.remove("kubectl.kubernetes.io/last-applied-configuration");
    notes.remove(annotations::ENCRYPTED_SYSTEM_ACCOUNTS); // the cache knows only that it is there
    let text = serde_json::to_string(&object).ok()?;
    (text.len() <= OBJECT_LIMIT).then_some(text)
}

fn object_volume() -> Volume {
    Volume {
        name: pods::VOLUME_BACKUP_OBJECT.into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: OBJECT_FILE.into(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: format!("metadata.annotations['{}']", annotations::BACKUP_OBJECT),
                    api_version: None,
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

/// Volumes of the target pod that the method names, and its mounts of those that exist.
fn target_volumes(from: &Source<'_>) -> (Vec<Volume>, Vec<k8s_openapi::api::core::v1::VolumeMount>) {
    let Some(wanted) = &from.method.target_volumes else {
        return (vec![], vec![]);
    };
    let all = from.pod.spec.as_ref().and_then(|s| s.volumes.as_deref()).unwrap_or_default();
    let named = |volume: &&Volume| {
        if wanted.volumes.is_empty() {
            wanted.volume_mounts.iter().any(|m| m.name == volume.name)
        } else {
            wanted.volumes.contains(&volume.name)
        }
    };
    let found: Vec<Volume> = all.iter().filter(named).cloned().collect();
    let exists = |name: &String| found.iter().any(|v| v.name == *name);
    let mounts = wanted.volume_mounts.iter().filter(|m| exists(&m.name)).cloned().collect();
    (found, mounts)
}

/// Same node and tolerations as the target pod: its volumes can be mounted only there.
fn place_beside(spec: &mut PodSpec, from: &Source<'_>) {
    let target = from.pod.spec.as_ref();
    spec.tolerations = target.and_then(|s| s.tolerations.clone());
    if let Some(node) = target.and_then(|s| s.node_name.clone()) {
        spec.node_selector = Some(BTreeMap::from([(labels::HOSTNAME.to_owned(), node)]));
    }
}
