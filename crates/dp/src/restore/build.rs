//! Builds the Jobs and claims of a restore (behaviour-restore §7.5). Pure.
//!
//! Stated differences from the reference: no `restore-manager` sidecar, the action runs under
//! `datasafed run` (design D20); Jobs carry the owner's UID and no finalizer (design D9).

use super::env::{self, Set};
use crate::action::mover::{self, Storage, mount};
use crate::action::pod::PodSettings;
use crate::action::{image, pod};
use crate::error::Stop;
use crate::reasons;
use api_types::contract::names::{PREPARE_DATA_PREFIX, uid8};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::{Backup, Restore, RestoreVolumeClaim};
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector, PersistentVolumeClaim,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// `restore-preparedata-<uid8>-<backup>-<index>`, hashed when it would not fit.
pub fn job_name(restore: &Restore, backup: &str, index: usize) -> String {
    let uid = restore.uid().unwrap_or_default();
    let wire = format!("{PREPARE_DATA_PREFIX}-{}-{backup}-{index}", uid8(&uid));
    names::child(&wire, &[&uid, "prepareData", backup, &index.to_string()])
}

/// Where a claim is mounted: its own `mountPath`, else that of the same-named volume in the backup, else in the one it
/// builds on: a log may list no volumes.
///
/// # Errors
/// Terminal when none says.
pub fn mount_path(claim: &RestoreVolumeClaim, backup: &Backup, base: Option<&Backup>) -> Result<String, Stop> {
    if let Some(path) = claim.mount_path.clone().filter(|p| !p.is_empty()) {
        return Ok(path);
    }
    let volume = claim.volume_source.as_deref().unwrap_or_default();
    let recorded = [Some(backup), base].into_iter().flatten().find_map(|b| {
        let mounts = &b.status.as_ref()?.backup_method.as_ref()?.target_volumes.as_ref()?.volume_mounts;
        mounts.iter().find(|m| m.name == volume)
    });
    recorded.map(|m| m.mount_path.clone()).ok_or_else(|| {
        Stop::terminal(
            reasons::VOLUME_NOT_IN_BACKUP,
            format!(
                "Backup {} recorded no mount path for volume {volume:?} \
                 (status.backupMethod.targetVolumes.volumeMounts); set mountPath",
                backup.name_any()
            ),
        )
    })
}

/// The Job that fills the claims of a restore from one set. It is made suspended: it starts when its
/// UID is recorded, so that a Job that vanished is never taken for one that was never made.
///
/// # Errors
/// Terminal when a claim's mount path is not known or the set has no `prepareData`.
pub fn prepare_data_job(
    restore: &Restore,
    set: &Set<'_>,
    index: usize,
    storage: Option<&Storage>,
    settings: &PodSettings,
) -> Result<Job, Stop> {
    let action = set.action_set.spec.restore.as_ref().and_then(|r| r.prepare_data.as_ref()).ok_or_else(|| {
        Stop::terminal(
            reasons::NO_RESTORE_ACTION,
            format!("ActionSet {} has no restore.prepareData", set.action_set.name_any()),
        )
    })?;
    let config = restore.spec.prepare_data_config.as_ref();
    let claims = config.map(|c| c.volume_claims.as_slice()).unwrap_or_default();
    let mut pod_volumes = Vec::new();
    let mut mounts: Vec<VolumeMount> = Vec::new();
    for claim in claims {
        let name = claim.metadata.name.clone().unwrap_or_default();
        let volume = volume_name(&name);
        pod_volumes.push(Volume {
            name: volume.clone(),
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name: name, read_only: None }),
            ..Volume::default()
        });
        mounts.push(mount(&volume, &mount_path(claim, set.backup, set.base)?));
    }
    let extras = set.backup.status.as_ref().map(|s| &s.extras).filter(|e| !e.is_empty());
    let note = extras.and_then(|e| serde_json::to_string(e).ok());
    if note.is_some() {
        pod_volumes.push(extras_volume());
        mounts.push(mount(pods::VOLUME_DOWNWARD, pods::PATH_DOWNWARD));
    }
    let env = env::build(restore, set);
    let mut container = Container {
        name: pods::CONTAINER_RESTORE.into(),
        image: Some(image::expand(&action.image, &env)),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(mover::wrapped(&action.command)),
        env: Some(env),
        volume_mounts: Some(mounts),
        resources: restore.spec.container_resources.clone(),
        security_context: Some(pod::action_container()),
        ..Container::default()
    };
    if settings.zero_resources {
        pod::zero_unset(&mut container);
    }
    let account = restore.spec.service_account_name.clone().filter(|n| !n.is_empty());
    let mut spec = PodSpec {
        containers: vec![container],
        volumes: Some(pod_volumes),
        restart_policy: Some("Never".into()),
        service_account_name: Some(account.unwrap_or_else(|| settings.worker_account.clone())),
        security_context: Some(PodSecurityContext { run_as_user: Some(0), ..PodSecurityContext::default() }),
        ..PodSpec::default()
    };
    place(&mut spec, restore);
    settings.placement.apply(&mut spec);
    mover::inject(&mut spec, storage, &settings.mover_image, settings.zero_resources);
    Ok(job(restore, set, index, spec, note))
}

fn job(restore: &Restore, set: &Set<'_>, index: usize, spec: PodSpec, extras: Option<String>) -> Job {
    let labels = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (labels::RESTORE.to_owned(), names::cut(&restore.name_any(), names::LIMIT).to_owned()),
    ]);
    let mut own = labels.clone();
    own.insert(OWNER_UID_LABEL.into(), restore.uid().unwrap_or_default());
    let note = extras.map(|text| BTreeMap::from([(annotations::BACKUP_EXTRAS.to_owned(), text)]));
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(restore, &set.backup.name_any(), index)),
            namespace: restore.namespace(),
            labels: Some(own),
            owner_references: restore.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(restore.spec.backoff_limit()),
            suspend: Some(true),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), annotations: note, ..ObjectMeta::default() }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// `dp-claim-<claim>`, hashed when it would not fit.
fn volume_name(claim: &str) -> String {
    names::child(&format!("{}{claim}", pods::VOLUME_CLAIM_PREFIX), &[claim])
}

fn extras_volume() -> Volume {
    Volume {
        name: pods::VOLUME_DOWNWARD.into(),
        downward_api: Some(DownwardAPIVolumeSource {
            items: Some(vec![DownwardAPIVolumeFile {
                path: pods::FILE_STATUS_EXTRAS.into(),
                field_ref: Some(ObjectFieldSelector {
                    field_path: format!("metadata.annotations['{}']", annotations::BACKUP_EXTRAS),
                    api_version: None,
                }),
                ..DownwardAPIVolumeFile::default()
            }]),
            ..DownwardAPIVolumeSource::default()
        }),
        ..Volume::default()
    }
}

fn place(spec: &mut PodSpec, restore: &Restore) {
    let config = restore.spec.prepare_data_config.as_ref();
    let Some(wanted) = config.and_then(|c| c.scheduling_spec.as_ref()) else {
        return;
    };
    spec.tolerations = Some(wanted.tolerations.clone()).filter(|t| !t.is_empty());
    spec.node_selector = Some(wanted.node_selector.clone()).filter(|s| !s.is_empty());
    spec.node_name = wanted.node_name.clone().filter(|n| !n.is_empty());
    spec.affinity.clone_from(&wanted.affinity);
    spec.topology_spread_constraints = Some(wanted.topology_spread_constraints.clone()).filter(|t| !t.is_empty());
    spec.scheduler_name = wanted.scheduler_name.clone().filter(|n| !n.is_empty());
}

/// A claim that a user's Restore asks for.
pub fn claim(wanted: &RestoreVolumeClaim, restore: &Restore) -> PersistentVolumeClaim {
    let mut metadata = ObjectMeta::from(wanted.metadata.clone());
    metadata.namespace = restore.namespace();
    PersistentVolumeClaim { metadata, spec: Some(wanted.volume_claim_spec.clone()), status: None }
}
