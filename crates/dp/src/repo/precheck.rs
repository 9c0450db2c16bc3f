//! The Job that proves that a repository can be written and read (behaviour-backup §11.3, rule 43; no shell: D31).

use super::check::Subject;
use super::secret::Wanted;
use crate::action::mover::{config_volume, mount};
use crate::action::pod::PodSettings;
use crate::action::{env, pod};
use api_types::contract::names::{PRE_CHECK_PREFIX, uid8};
use api_types::contract::{annotations, labels, pods};
use api_types::dp::BackupRepo;
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    Container, PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

const BACKOFF_LIMIT: i32 = 2;

/// Name of the Job and of its claim or Secret: `pre-check-<uid8>-<repo>`.
pub fn name(repo: &BackupRepo) -> String {
    let uid = repo.uid().unwrap_or_default();
    let wire = format!("{PRE_CHECK_PREFIX}-{}-{}", uid8(&uid), repo.name_any());
    names::child(&wire, &[&uid, PRE_CHECK_PREFIX])
}

/// The configuration that the Job uses, where the repository has one.
pub fn configuration(repo: &BackupRepo, namespace: &str, subject: &Subject) -> Option<Wanted> {
    match subject {
        Subject::Configuration(text) => Some(Wanted::configuration(namespace, &name(repo), text.clone())),
        Subject::Claim(_) => None,
    }
}

fn volume(repo: &BackupRepo, subject: &Subject) -> (Volume, VolumeMount) {
    match subject {
        Subject::Configuration(_) => config_volume(&name(repo)),
        Subject::Claim(_) => {
            let volume = Volume {
                name: pods::VOLUME_PRE_CHECK.into(),
                persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource {
                    claim_name: name(repo),
                    read_only: None,
                }),
                ..Volume::default()
            };
            (volume, mount(pods::VOLUME_PRE_CHECK, pods::PATH_PRE_CHECK))
        }
    }
}

/// Writes, reads back and removes `<path prefix>/precheck.txt` through the mover.
pub fn job(repo: &BackupRepo, namespace: &str, subject: &Subject, digest: &str, settings: &PodSettings) -> Job {
    let prefix = repo.spec.path_prefix.clone().unwrap_or_default();
    let (volume, mount) = volume(repo, subject);
    let local = matches!(subject, Subject::Claim(_))
        .then(|| env::literal(mover_protocol::env::LOCAL_BACKEND_PATH, pods::PATH_PRE_CHECK));
    let mut container = Container {
        name: pods::CONTAINER_PRE_CHECK.into(),
        image: Some(settings.mover_image.clone()),
        image_pull_policy: Some("IfNotPresent".into()),
        command: Some(vec!["/datasafed".into(), "precheck".into(), format!("/{prefix}")]),
        env: local.map(|var| vec![var]),
        volume_mounts: Some(vec![mount]),
        security_context: Some(pod::restricted_container()),
        // What it printed last, where it ended without a word in its message.
        termination_message_policy: Some("FallbackToLogsOnError".into()),
        ..Container::default()
    };
    if settings.zero_resources {
        pod::zero_unset(&mut container);
    }
    let mut spec = PodSpec {
        containers: vec![container],
        restart_policy: Some("Never".into()),
        automount_service_account_token: Some(false),
        security_context: Some(pod::restricted_pod()),
        volumes: Some(vec![volume]),
        ..PodSpec::default()
    };
    settings.placement.apply(&mut spec);
    let labels = BTreeMap::from([
        (labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned()),
        (labels::BACKUP_REPO_NAME.to_owned(), repo.name_any()),
        (OWNER_UID_LABEL.to_owned(), repo.uid().unwrap_or_default()),
    ]);
    Job {
        metadata: ObjectMeta {
            name: Some(name(repo)),
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
                spec: Some(spec),
            },
            ..JobSpec::default()
        }),
        status: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::placement::Placement;
    use serde_json::json;

    #[test]
    fn rule_43_the_check_runs_as_nobody_owns_its_volume_and_goes_where_the_operator_may() {
        let repo: BackupRepo = serde_json::from_value(json!({
            "metadata": {"name": "r", "uid": "0d3f629f-4a24-4d5b-81a1-bb4dc5f9d8ed"},
            "spec": {"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Retain"}}))
        .unwrap();
        let toleration = serde_json::from_value(json!({"key": "backup", "operator": "Exists"})).unwrap();
        let settings = PodSettings {
            mover_image: "mover".into(),
            zero_resources: true,
            worker_account: "worker".into(),
            placement: Placement { tolerations: vec![toleration], ..Placement::default() },
        };
        let subject = Subject::Configuration("[storage]".into());
        let job = serde_json::to_value(job(&repo, "holdfast", &subject, "digest", &settings)).unwrap();
        let pod = &job["spec"]["template"]["spec"];
        let context = &pod["securityContext"];
        assert_eq!((&context["runAsNonRoot"], &context["fsGroup"]), (&json!(true), &json!(65532)));
        assert_eq!(context["runAsUser"], 65532);
        assert_eq!(pod["tolerations"], json!([{"key": "backup", "operator": "Exists"}]));
        // The mover is the container itself: nothing is installed by another user first.
        assert!(pod.get("initContainers").is_none());
    }
}
