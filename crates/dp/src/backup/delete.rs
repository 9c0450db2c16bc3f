//! The Job that deletes a backup's files (behaviour-backup §6.9; no shell: D2, D31).

use crate::action::mover::{self, Repository, Storage};
use crate::action::pod;
use crate::action::pod::PodSettings;
use api_types::contract::names::{DELETE_INFIX, uid8};
use api_types::contract::{labels, pods};
use api_types::dp::Backup;
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, PodSecurityContext, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

const BACKOFF_LIMIT: i32 = 2;

/// `<uid8>-delete-<backup>`.
pub fn job_name(backup: &Backup) -> String {
    let uid = backup.uid().unwrap_or_default();
    let wire = format!("{}-{DELETE_INFIX}-{}", uid8(&uid), backup.name_any());
    names::child(&wire, &[&uid, DELETE_INFIX])
}

/// Deletes `path` and the directories above it that become empty. It carries neither the backup's
/// labels nor its name, so that it is not taken for one of the backup's workloads.
pub fn job(backup: &Backup, path: &str, repository: &Repository, settings: &PodSettings) -> Job {
    // Files on a volume belong to whom the action ran as; an object store does not ask for root (design D12).
    let restricted = matches!(repository, Repository::Tool { .. });
    let mut container = Container {
        name: pods::CONTAINER_DELETER.into(),
        image: Some(settings.mover_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "delete".into(), path.into()]),
        security_context: Some(if restricted { pod::restricted_container() } else { pod::action_container() }),
        ..Container::default()
    };
    if settings.zero_resources {
        pod::zero_unset(&mut container);
    }
    let mut spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        security_context: Some(if restricted { pod::restricted_pod() } else { PodSecurityContext::default() }),
        ..PodSpec::default()
    };
    let storage = Storage::of(backup, repository.clone());
    mover::inject(&mut spec, Some(&storage), &settings.mover_image, settings.zero_resources);
    let labels = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (OWNER_UID_LABEL.to_owned(), backup.uid().unwrap_or_default()),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(job_name(backup)),
            namespace: backup.namespace(),
            labels: Some(labels.clone()),
            owner_references: backup.controller_owner_ref(&()).map(|o| vec![o]),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(BACKOFF_LIMIT),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}
