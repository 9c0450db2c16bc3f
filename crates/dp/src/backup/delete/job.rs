//! The Jobs of a deletion (behaviour-backup §6.9; no shell of ours: D2, D31). Pure.

use crate::action::env::literal;
use crate::action::mover::{self, Repository, Storage};
use crate::action::pod;
use crate::action::pod::PodSettings;
use crate::backup::paths;
use api_types::contract::names::{DELETE_INFIX, uid8};
use api_types::contract::{labels, pods};
use api_types::dp::Backup;
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, PodSecurityContext, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

const BACKOFF_LIMIT: i32 = 2;
const KOPIA_MAINTENANCE: &str = "DATASAFED_KOPIA_MAINTENANCE";

/// `<uid8>-delete-<backup>`.
pub fn job_name(backup: &Backup) -> String {
    let uid = backup.uid().unwrap_or_default();
    let wire = format!("{}-{DELETE_INFIX}-{}", uid8(&uid), backup.name_any());
    names::child(&wire, &[&uid, DELETE_INFIX])
}

/// Deletes `path`, the manifests, and the directories above them that become empty.
pub fn job(backup: &Backup, path: &str, storage: &Storage, settings: &PodSettings) -> Job {
    let manifests = paths::manifests(path, &backup.uid().unwrap_or_default());
    let shell = Shell {
        name: job_name(backup),
        image: settings.mover_image.clone(),
        command: vec!["/datasafed".into(), "delete".into(), path.into(), manifests],
        // A deduplicating repository is tidied up where something was removed from it.
        env: storage.deduplicated.iter().map(|_| literal(KOPIA_MAINTENANCE, "true")).collect(),
        account: None,
    };
    self::shell(backup, shell, Some(storage), settings)
}

/// What a Job of a deletion runs.
pub struct Shell {
    /// Its name.
    pub name: String,
    /// Image.
    pub image: String,
    /// Command.
    pub command: Vec<String>,
    /// Environment before that of the mover.
    pub env: Vec<EnvVar>,
    /// Service account, where it calls the API server.
    pub account: Option<String>,
}

/// The Job. It carries neither the backup's labels nor its name, so that it is not taken for one of the backup's
/// workloads.
pub fn shell(backup: &Backup, shell: Shell, storage: Option<&Storage>, settings: &PodSettings) -> Job {
    // Files on a volume belong to whom the action ran as; an object store does not ask for root (design D12).
    let ours = shell.account.is_none();
    let restricted = ours && matches!(storage.map(|s| &s.repository), Some(Repository::Tool { .. }));
    let mut container = Container {
        name: pods::CONTAINER_DELETER.into(),
        image: Some(shell.image),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(shell.command),
        env: (!shell.env.is_empty()).then_some(shell.env),
        security_context: Some(if restricted { pod::restricted_container() } else { pod::action_container() }),
        ..Container::default()
    };
    if settings.zero_resources {
        pod::zero_unset(&mut container);
    }
    let mut spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        automount_service_account_token: shell.account.is_none().then_some(false),
        service_account_name: shell.account,
        security_context: Some(if restricted { pod::restricted_pod() } else { PodSecurityContext::default() }),
        ..PodSpec::default()
    };
    settings.placement.apply(&mut spec);
    mover::inject(&mut spec, storage, &settings.mover_image, settings.zero_resources);
    let labels = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (OWNER_UID_LABEL.to_owned(), backup.uid().unwrap_or_default()),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(shell.name),
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
