//! What every controller of this process shares: caches, settings, worker accounts.

use crate::account::keyring::KeyRing;
use crate::action::exec::ExecSettings;
use crate::action::pod::PodSettings;
use crate::action::worker::{WorkerSettings, Workers};
use crate::args::Args;
use crate::backup::fold::Limits;
use crate::cluster::{Cluster, Component, ComponentDefinition};
use crate::cluster_backup::departures::Departures;
use crate::policy_driver;
use crate::schedule::plan::Settings as ScheduleSettings;
use crate::turn::Turns;
use api_types::contract::{annotations, labels, names::POPULATE_PREFIX};
use api_types::dp::{
    ActionSet, Backup, BackupPhase, BackupPolicy, BackupPolicyTemplate, BackupRepo, BackupSchedule, EncryptionConfig,
    GROUP, Restore, StorageProvider,
};
use controller_kit::stores::Store;
use jiff::SignedDuration;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::{CSIDriver, StorageClass};
use kube::ResourceExt;
use std::sync::Arc;

/// Caches of everything this operator looks at. Each holds only what concerns it.
#[derive(Clone)]
pub struct Stores {
    /// All of them.
    pub action_sets: Store<ActionSet>,
    /// All of them, without the big annotations.
    pub backups: Store<Backup>,
    /// All of them.
    pub policies: Store<BackupPolicy>,
    /// All of them.
    pub schedules: Store<BackupSchedule>,
    /// CronJobs of the reference, by label.
    pub cron_jobs: Store<CronJob>,
    /// All of them.
    pub repos: Store<BackupRepo>,
    /// All of them.
    pub restores: Store<Restore>,
    /// All of them.
    pub providers: Store<StorageProvider>,
    /// Claims that wait for data of ours, prime claims, and claims of repositories.
    pub claims: Store<PersistentVolumeClaim>,
    /// Volumes of prime claims, and those that carry our proof.
    pub volumes: Store<PersistentVolume>,
    /// All of them.
    pub classes: Store<StorageClass>,
    /// Jobs of ours, by label.
    pub jobs: Store<Job>,
    /// StatefulSets of ours, by label.
    pub stateful_sets: Store<StatefulSet>,
    /// Pods of ours, by label.
    pub pods: Store<Pod>,
    /// All of them.
    pub drivers: Store<CSIDriver>,
    /// All of them.
    pub templates: Store<BackupPolicyTemplate>,
    /// All of them while their kind is served, cut to what the policy driver reads.
    pub clusters: Store<Cluster>,
    /// Likewise.
    pub components: Store<Component>,
    /// Likewise; their names.
    pub definitions: Store<ComponentDefinition>,
    /// Clusters whose deletion was seen.
    pub departures: Departures,
}

impl Default for Stores {
    fn default() -> Self {
        Stores {
            action_sets: Store::new(|_| true, |_| {}),
            backups: Store::packed(|_| true, trim_backup, is_at_rest),
            policies: Store::new(|_| true, |_| {}),
            schedules: Store::new(|_| true, trim_schedule),
            cron_jobs: Store::new(|_| true, trim_cron_job),
            repos: Store::new(|_| true, |_| {}),
            restores: Store::new(|_| true, |_| {}),
            providers: Store::new(|_| true, |_| {}),
            claims: Store::new(is_our_claim, trim_claim),
            volumes: Store::new(is_our_volume, |_| {}),
            classes: Store::new(|_| true, |_| {}),
            jobs: Store::new(|_| true, |_| {}),
            stateful_sets: Store::new(|_| true, trim_stateful_set),
            pods: Store::new(|_| true, trim_pod),
            drivers: Store::new(|_| true, |_| {}),
            templates: Store::new(|_| true, |_| {}),
            clusters: Store::new(|_| true, Cluster::prune),
            components: Store::new(|_| true, Component::prune),
            definitions: Store::new(|_| true, ComponentDefinition::prune),
            departures: Departures::default(),
        }
    }
}

/// Whether a claim names one of our kinds as its source.
pub fn names_our_source(claim: &PersistentVolumeClaim) -> bool {
    let source = claim.spec.as_ref().and_then(|s| s.data_source_ref.as_ref());
    source.is_some_and(|s| s.api_group.as_deref() == Some(GROUP) && !s.name.is_empty())
}

fn is_our_claim(claim: &PersistentVolumeClaim) -> bool {
    names_our_source(claim)
        || claim.name_any().starts_with(POPULATE_PREFIX)
        || claim.labels().contains_key(labels::BACKUP_REPO_NAME)
}

fn is_our_volume(volume: &PersistentVolume) -> bool {
    let claim = volume.spec.as_ref().and_then(|s| s.claim_ref.as_ref());
    let of_prime = claim.and_then(|c| c.name.as_deref()).is_some_and(|n| n.starts_with(POPULATE_PREFIX));
    of_prime || volume.annotations().contains_key(annotations::POPULATED_TARGET_UID)
}

/// A Backup that has ended and is wanted by nobody: what wakes the others passes these over.
fn is_at_rest(backup: &Backup) -> bool {
    let ended = matches!(backup.phase(), BackupPhase::Completed | BackupPhase::Failed);
    let waits =
        backup.metadata.deletion_timestamp.is_some() || backup.labels().contains_key(labels::WAIT_REPO_PREPARATION);
    ended && !waits && !crate::backup::continuous::is(backup)
}

fn trim_backup(backup: &mut Backup) {
    backup.annotations_mut().remove(LAST_APPLIED);
    crate::backup::origin::trim(backup);
}

fn trim_schedule(schedule: &mut BackupSchedule) {
    schedule.annotations_mut().remove(LAST_APPLIED);
}

/// Of these only names, owners and last runs are read.
fn trim_cron_job(job: &mut CronJob) {
    job.spec = k8s_openapi::api::batch::v1::CronJobSpec::default();
}

fn trim_claim(claim: &mut PersistentVolumeClaim) {
    claim.annotations_mut().remove(LAST_APPLIED);
}

/// Of our own pods only state is read; their spec is the largest part.
fn trim_pod(pod: &mut Pod) {
    pod.spec = None;
    pod.metadata.annotations = None;
}

/// A digest stands for the template.
fn trim_stateful_set(set: &mut StatefulSet) {
    if let Some(spec) = &mut set.spec {
        spec.template.spec = None;
    }
}

/// What `kubectl apply` leaves on objects.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What controllers share besides caches.
pub struct Context {
    /// Caches.
    pub stores: Stores,
    /// What goes into pods.
    pub pods: PodSettings,
    /// What goes into Jobs that exec.
    pub exec: ExecSettings,
    /// How long actions may take.
    pub limits: Limits,
    /// Worker accounts.
    pub workers: Workers,
    /// How long after a failed pre-check of a repository the next is made.
    pub check_retry: SignedDuration,
    /// Whose turn it is where Jobs are limited.
    pub turns: Turns,
    /// How schedules run.
    pub schedules: ScheduleSettings,
    /// Keys that accounts are encrypted with.
    pub keys: Arc<KeyRing>,
    /// Encryption of generated policies whose Cluster says nothing.
    pub default_encryption: Option<EncryptionConfig>,
    /// The operator's own namespace.
    pub own_namespace: String,
    /// Service accounts that a user's Restore may name (design D24).
    pub allowed_accounts: Vec<String>,
}

impl Context {
    /// As the flags say.
    pub fn new(args: &Args, stores: &Stores) -> Self {
        let workers = WorkerSettings {
            account: args.worker_service_account.clone(),
            role: args.worker_cluster_role.clone(),
            annotations: args.worker_service_account_annotations.clone(),
            pull_secrets: args.image_pull_secrets.clone(),
        };
        Context {
            stores: stores.clone(),
            pods: PodSettings {
                mover_image: args.mover_image.clone(),
                zero_resources: args.zero_resource_for_unset,
                worker_account: args.worker_service_account.clone(),
                placement: args.placement(),
            },
            exec: ExecSettings::new(
                &args.settings.namespace,
                args.tools_image.as_deref(),
                &args.own_image,
                &args.exec_worker_service_account,
            ),
            limits: Limits {
                start: SignedDuration::from_secs(args.action_start_seconds.into()),
                action: Some(SignedDuration::from_secs(args.action_deadline_seconds.into()))
                    .filter(SignedDuration::is_positive),
            },
            workers: Workers::new(workers),
            keys: Arc::new(KeyRing::new(
                args.encryption_key.clone(),
                args.old_encryption_keys.clone(),
                &args.settings.namespace,
            )),
            turns: Turns::new(args.max_jobs_per_repo, args.max_jobs_per_node),
            schedules: ScheduleSettings {
                holds_foreign_lease: !args.foreign_lease.is_empty(),
                jitter: SignedDuration::from_secs(args.schedule_jitter_seconds.into()),
            },
            check_retry: SignedDuration::from_secs(args.check_retry_seconds.into()),
            default_encryption: policy_driver::encryption::default_config(
                args.backup_encryption_key_ref.clone(),
                args.backup_encryption_algorithm.clone(),
            ),
            own_namespace: args.settings.namespace.clone(),
            allowed_accounts: args.allowed_service_accounts.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn is_at_rest(metadata: Value, phase: &str) -> bool {
        let mut metadata = metadata;
        metadata["name"] = json!("b");
        let object = json!({"apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "Backup", "metadata": metadata,
            "spec": {"backupPolicyName": "p", "backupMethod": "m"}, "status": {"phase": phase}});
        super::is_at_rest(&serde_json::from_value(object).unwrap())
    }

    #[test]
    fn what_some_event_may_wake_is_not_at_rest() {
        for phase in ["Completed", "Failed"] {
            assert!(is_at_rest(json!({}), phase), "{phase}");
            assert!(!is_at_rest(json!({"deletionTimestamp": "2026-11-21T00:00:00Z"}), phase), "it is being deleted");
            assert!(!is_at_rest(json!({"labels": {labels::WAIT_REPO_PREPARATION: "true"}}), phase), "its repository");
            assert!(!is_at_rest(json!({"labels": {labels::BACKUP_TYPE: "Continuous"}}), phase), "its schedule");
        }
        for phase in ["", "New", "InProgress", "Running", "Deleting", "OfALaterRelease"] {
            assert!(!is_at_rest(json!({}), phase), "{phase}");
        }
    }
}
