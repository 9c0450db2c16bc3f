//! The Job that proves that a repository can be written and read (behaviour-backup §11.3).

use crate::action::mover::mount;
use crate::action::pod::PodSettings;
use crate::action::{env, pod};
use api_types::contract::names::{PRE_CHECK_PREFIX, uid8};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::BackupRepo;
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

const BACKOFF_LIMIT: i32 = 2;

/// Name of the Job and of its claim: `pre-check-<uid8>-<repo>`.
pub fn name(repo: &BackupRepo) -> String {
    let uid = repo.uid().unwrap_or_default();
    let wire = format!("{PRE_CHECK_PREFIX}-{}-{}", uid8(&uid), repo.name_any());
    names::child(&wire, &[&uid, PRE_CHECK_PREFIX])
}

/// Writes, reads back and removes `<path prefix>/precheck.txt` through the mover.
pub fn job(repo: &BackupRepo, namespace: &str, digest: &str, settings: &PodSettings) -> Job {
    let prefix = repo.spec.path_prefix.clone().unwrap_or_default();
    let mut container = Container {
        name: pods::CONTAINER_PRE_CHECK.into(),
        image: Some(settings.mover_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "precheck".into(), format!("/{prefix}")]),
        env: Some(vec![env::literal(mover_protocol::env::LOCAL_BACKEND_PATH, pods::PATH_PRE_CHECK)]),
        volume_mounts: Some(vec![mount(pods::VOLUME_PRE_CHECK, pods::PATH_PRE_CHECK)]),
        security_context: Some(pod::restricted_container()),
        ..Container::default()
    };
    if settings.zero_resources {
        pod::zero_unset(&mut container);
    }
    let labels = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (labels::BACKUP_REPO_NAME.to_owned(), repo.name_any()),
        (OWNER_UID_LABEL.to_owned(), repo.uid().unwrap_or_default()),
    ]);
    let name = name(repo);
    Job {
        metadata: ObjectMeta {
            name: Some(name.clone()),
            namespace: Some(namespace.into()),
            labels: Some(labels.clone()),
            annotations: Some(BTreeMap::from([(annotations::BACKUP_REPO_DIGEST.to_owned(), digest.to_owned())])),
            owner_references: repo.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(PodSpec {
                    containers: vec![container],
                    restart_policy: Some("Never".into()),
                    automount_service_account_token: Some(false),
                    security_context: Some(pod::restricted_pod()),
                    volumes: Some(vec![Volume {
                        name: pods::VOLUME_PRE_CHECK.into(),
                        persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                            claim_name: name,
                            read_only: None,
                        }),
                        ..Volume::default()
                    }]),
                    ..PodSpec::default()
                }),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}
