//! `Backup`: one backup, its request and its record.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::actionset::ActionSetSpec;
use super::method::BackupMethod;
use super::shared::{BackupTimeRange, DeletionPolicy, EncryptionConfig, ParameterPair};
use super::target::BackupStatusTarget;
use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Where a backup is in its life.
    closed BackupPhase {
        /// Accepted by nobody yet; never written, absence means the same.
        New => "New",
        /// Never written.
        InProgress => "InProgress",
        /// At work.
        Running => "Running",
        /// Restorable.
        Completed => "Completed",
        /// Given up.
        Failed => "Failed",
        /// Its data is being removed.
        Deleting => "Deleting",
    }
}

wire_enum! {
    /// Where one action of a backup is.
    open ActionPhase {
        /// Not started.
        New => "New",
        /// At work.
        Running => "Running",
        /// Done.
        Completed => "Completed",
        /// Given up.
        Failed => "Failed",
    }
}

wire_enum! {
    /// What runs an action.
    open ActionType {
        /// A Job.
        Job => "Job",
        /// A StatefulSet, for continuous backups.
        StatefulSet => "StatefulSet",
        /// A volume snapshot: the wire has no word for it.
        VolumeSnapshot => "",
    }
}

/// One backup.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "Backup",
    plural = "backups",
    category = "kubeblocks",
    namespaced,
    status = "BackupStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One backup.",
    printcolumn = r#"{"name":"POLICY","type":"string","jsonPath":".spec.backupPolicyName"}"#,
    printcolumn = r#"{"name":"METHOD","type":"string","jsonPath":".spec.backupMethod"}"#,
    printcolumn = r#"{"name":"REPO","type":"string","jsonPath":".status.backupRepoName"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"TOTAL-SIZE","type":"string","jsonPath":".status.totalSize"}"#,
    printcolumn = r#"{"name":"DURATION","type":"string","jsonPath":".status.duration"}"#,
    printcolumn = r#"{"name":"DELETION-POLICY","type":"string","jsonPath":".spec.deletionPolicy"}"#,
    printcolumn = r#"{"name":"CREATION-TIME","type":"string","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"COMPLETION-TIME","type":"string","jsonPath":".status.completionTimestamp"}"#,
    printcolumn = r#"{"name":"EXPIRATION-TIME","type":"string","jsonPath":".status.expiration"}"#,
    printcolumn = r#"{"name":"WAITING-FOR","type":"string","jsonPath":".status.conditions[?(@.type==\"Progressing\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = schema::parameters_presence()))]
pub struct BackupSpec {
    /// Policy in the same namespace.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend(
        "pattern" = schema::NAME_PATTERN,
        "x-kubernetes-validations" = schema::immutable("spec.backupPolicyName"),
    ))]
    pub backup_policy_name: String,
    /// Method of the policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("x-kubernetes-validations" = schema::immutable("spec.backupMethod")))]
    pub backup_method: String,
    /// What happens to the data when this object is deleted.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "Delete"))]
    pub deletion_policy: DeletionPolicy,
    /// How long it is kept, such as `7d`; for ever if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_period: Option<String>,
    /// Backup this one builds on; chosen by the operator if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.parentBackupName")))]
    pub parent_backup_name: Option<String>,
    /// Parameters of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "schema::core::parameters",
        extend("x-kubernetes-validations" = schema::immutable("spec.parameters")),
    )]
    pub parameters: Vec<ParameterPair>,
}

lenient_spec!(BackupSpec);

/// The record of a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// Format of the stored data, `0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format_version: Option<String>,
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupPhase>,
    /// When it expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<Time>,
    /// Why it is still there although it expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_because: Option<String>,
    /// When work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When work ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// Go duration from start to end, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Size of the data as the script reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Why its data could not be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_failure_reason: Option<String>,
    /// Repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_repo_name: Option<String>,
    /// Directory in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Directory of the deduplicating repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kopia_repo_path: Option<String>,
    /// Claim of the repository, with Mount access.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_name: Option<String>,
    /// The times it can restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_range: Option<BackupTimeRange>,
    /// The one target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BackupStatusTarget>,
    /// Several targets.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<BackupStatusTarget>,
    /// The method as it was when the backup started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_method: Option<BackupMethod>,
    /// Encryption of the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption_config: Option<EncryptionConfig>,
    /// Its actions, merged by name.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionStatus>,
    /// Snapshots of older releases; those of today are under `actions`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<VolumeSnapshotStatus>,
    /// Backup this one builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_backup_name: Option<String>,
    /// First backup of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_backup_name: Option<String>,
    /// Facts the script left for the restore.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<BTreeMap<String, String>>,
    /// What it was started with, beside the method; ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inputs: Option<BackupInputs>,
    /// Its wait for a turn at its repository and node, before it began; ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Box<Queued>>,
    /// What it waits for, and what went wrong.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
}

/// Copies of what a backup runs with, so that neither a change nor the deletion of its policy or action set matters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupInputs {
    /// Attempts of a Job after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backoff_limit: Option<i32>,
    /// The half of the action set that backs up; once the backup has ended, what its deletion needs of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::any_object")]
    pub action_set: Option<Box<ActionSetSpec>>,
}

/// A wait for a turn: so many Jobs of backups run at once in a repository, and on a node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Queued {
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it ended: its turn came, or something else is awaited. Absent while it waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left: Option<Time>,
    /// Repository that it is to write to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_name: Option<String>,
    /// Node that it is to run on, where that is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
}

impl Queued {
    /// Whether the turn has not come.
    pub fn waits(&self) -> bool {
        self.left.is_none()
    }
}

impl BackupStatus {
    /// Every recorded target: the one, or the list.
    pub fn targets(&self) -> &[BackupStatusTarget] {
        self.target.as_ref().map_or(&self.targets, std::slice::from_ref)
    }
}

impl Backup {
    /// The phase; absence and empty text are `New`.
    pub fn phase(&self) -> BackupPhase {
        let phase = self.status.as_ref().and_then(|status| status.phase.clone());
        phase.filter(|phase| !phase.as_str().is_empty()).unwrap_or(BackupPhase::New)
    }
}

/// The record of one action.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionStatus {
    /// Name, unique in the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Pod it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_name: Option<String>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ActionPhase>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// What runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_type: Option<ActionType>,
    /// Ready replicas of a StatefulSet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<i32>,
    /// The object that runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::object_reference")]
    pub object_ref: Option<ObjectReference>,
    /// Size of its data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_size: Option<String>,
    /// The times its data can restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_range: Option<BackupTimeRange>,
    /// Snapshots it took.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_snapshots: Vec<VolumeSnapshotStatus>,
    /// Node of its pod, where that has to be the target pod's; ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Its wait for a turn, where another pod of the same backup went before; ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<Box<Queued>>,
}

/// One volume snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeSnapshotStatus {
    /// Name of the `VolumeSnapshot`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name of the `VolumeSnapshotContent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_name: Option<String>,
    /// Volume of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_name: Option<String>,
    /// Size it restores to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    /// Target it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_name: Option<String>,
}
