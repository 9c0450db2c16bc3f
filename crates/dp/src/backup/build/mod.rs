//! Builds the Jobs of a backup (contract-dp §10.4–§10.6). Pure.

pub mod exec;
pub mod pod;
pub mod saved;

use super::env::Source;
use crate::action::mover::Storage;
use crate::action::pod::PodSettings;
use crate::error::Stop;
use api_types::contract::names::{BACKUP_DATA_PREFIX, uid8};
use api_types::contract::{labels, pods};
use api_types::dp::{Backup, BackupDataActionSpec, JobActionSpec, SyncProgress};
use controller_kit::names;
use job_runtime::OWNER_UID_LABEL;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};
use std::collections::BTreeMap;

/// Name of the data action for one target pod, as `status.actions[].name` carries it.
pub fn action_name(target: &str, pod_index: usize) -> String {
    if target.is_empty() {
        format!("{BACKUP_DATA_PREFIX}-{pod_index}")
    } else {
        format!("{BACKUP_DATA_PREFIX}-{target}-{pod_index}")
    }
}

/// Name of the action of a hook: `<prefix>-[<target>-]<number of the hook>-<number of the pod>`.
pub fn hook_name(prefix: &str, target: &str, number: usize, pod_index: usize) -> String {
    if target.is_empty() {
        format!("{prefix}-{number}-{pod_index}")
    } else {
        format!("{prefix}-{target}-{number}-{pod_index}")
    }
}

/// Name of an action's Job: `<action>-<backup>-<uid8>`, hashed when it would not fit
/// (behaviour-backup D7).
pub fn job_name(backup: &Backup, action: &str) -> String {
    let uid = backup.uid().unwrap_or_default();
    let wire = format!("{action}-{}-{}", backup.name_any(), uid8(&uid));
    names::child(&wire, &[&uid, "backup", action])
}

/// Name of the container of an action that is no data action: the action's, which may be longer than a container's
/// may be.
pub fn container_name(action: &str) -> String {
    names::child(action, &[action])
}

/// Value of label `backup-name` of a backup's workloads: its name, or a beginning of it and a hash.
pub fn name_label(backup: &str) -> String {
    names::child(backup, &[backup])
}

/// Labels of a target that its workloads keep: they say which Cluster it is, and select no component of it.
const KEPT: [&str; 3] = [labels::MANAGED_BY, labels::INSTANCE, labels::SHARDING_NAME];

/// Labels of a backup's workloads: the Backup's own but those by which the database is found, so that no Service of it
/// selects the pod (behaviour-backup §16.18).
pub fn workload_labels(backup: &Backup) -> BTreeMap<String, String> {
    let mut all = backup.labels().clone();
    all.remove(labels::COMPONENT_NAME);
    let status = backup.status.as_ref();
    let targets = status.iter().flat_map(|s| s.target.iter().chain(&s.targets));
    for label in targets.filter_map(|t| t.pod_selector.as_ref()).flat_map(|s| s.match_labels.keys()) {
        if !KEPT.contains(&label.as_str()) {
            all.remove(label);
        }
    }
    all.remove(labels::WAIT_REPO_PREPARATION);
    all.insert(labels::BACKUP_NAME.into(), name_label(&backup.name_any()));
    all.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    all
}

/// Limits of one Job.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Attempts after the first one.
    pub backoff_limit: i32,
    /// Seconds it may take, all attempts together.
    pub deadline: Option<i64>,
}

/// The Job that backs up one pod.
///
/// # Errors
/// Terminal when the action can not be built from what the policy says.
pub fn data_job(
    from: &Source<'_>,
    action: &str,
    data: &BackupDataActionSpec,
    storage: Option<&Storage>,
    bounds: Bounds,
    settings: &PodSettings,
) -> Result<Job, Stop> {
    let saved = saved::Saved::of(from.backup, from.action_set);
    let what = pod::Action {
        container: pods::CONTAINER_BACKUP_DATA.into(),
        job: &data.job(),
        agent_seconds: data.sync_progress.as_ref().filter(|s| s.enabled()).map(SyncProgress::interval_seconds),
        reports_to: None,
        saved: saved.as_ref(),
        more_env: vec![],
        restart_policy: "Never",
    };
    let spec = pod::spec(from, &what, storage, settings)?;
    Ok(job(from.backup, action, spec, saved.as_ref(), bounds))
}

/// The Job of a hook: as that of the data, without what reports and without what saves the Backup.
///
/// # Errors
/// Terminal when the action can not be built from what the policy says.
pub fn hook_job(
    from: &Source<'_>,
    action: &str,
    hook: &JobActionSpec,
    storage: Option<&Storage>,
    bounds: Bounds,
    settings: &PodSettings,
) -> Result<Job, Stop> {
    let what = pod::Action {
        container: container_name(action),
        job: hook,
        agent_seconds: None,
        reports_to: None,
        saved: None,
        more_env: vec![],
        restart_policy: "Never",
    };
    let spec = pod::spec(from, &what, storage, settings)?;
    Ok(job(from.backup, action, spec, None, bounds))
}

fn job(backup: &Backup, action: &str, spec: PodSpec, saved: Option<&saved::Saved>, bounds: Bounds) -> Job {
    let pod = ObjectMeta {
        name: Some(job_name(backup, action)),
        namespace: backup.namespace(),
        labels: Some(workload_labels(backup)),
        annotations: saved.map(saved::Saved::notes),
        ..ObjectMeta::default()
    };
    let own = ObjectMeta {
        labels: Some(with_owner(workload_labels(backup), backup)),
        owner_references: backup.controller_owner_ref(&()).map(|o| vec![o]),
        annotations: None,
        ..pod.clone()
    };
    assembled(own, pod, spec, bounds)
}

fn assembled(own: ObjectMeta, pod: ObjectMeta, spec: PodSpec, bounds: Bounds) -> Job {
    Job {
        metadata: own,
        spec: Some(JobSpec {
            backoff_limit: Some(bounds.backoff_limit),
            active_deadline_seconds: bounds.deadline,
            template: PodTemplateSpec { metadata: Some(pod), spec: Some(spec) },
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// `labels` and the UID of the Backup they belong to.
pub fn with_owner(mut labels: BTreeMap<String, String>, backup: &Backup) -> BTreeMap<String, String> {
    labels.insert(OWNER_UID_LABEL.into(), backup.uid().unwrap_or_default());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// A continuous Backup carries the labels of its target, and its pod was taken for the database, and for a backend of
    /// its Services.
    #[test]
    fn rule_18_no_service_of_the_database_selects_a_worker() {
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": "b", "labels": {"app": "db", "app.kubernetes.io/instance": "c",
                "apps.kubeblocks.io/component-name": "mysql", "kubeblocks.io/role": "leader", "team": "a"}},
            "spec": {"backupPolicyName": "p", "backupMethod": "m"},
            "status": {"target": {"podSelector": {"matchLabels":
                {"app": "db", "app.kubernetes.io/instance": "c", "kubeblocks.io/role": "leader"}}}},
        }))
        .unwrap();
        let all = workload_labels(&backup);
        let keys: Vec<&str> = all.keys().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "app.kubernetes.io/instance",
                "app.kubernetes.io/managed-by",
                "dataprotection.kubeblocks.io/backup-name",
                "team"
            ]
        );
    }
}
