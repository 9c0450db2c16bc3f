//! `ActionSet`: the commands that back up and restore one kind of database.

use k8s_openapi::api::core::v1::{EnvFromSource, EnvVar};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::shared::{ActionErrorMode, ActionSpec, BackupType, BaseJobActionSpec, JobActionSpec, Phase};
use crate::lenient::{null_default, with_quantities};
use crate::schema;

/// The commands that back up and restore one kind of database.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "ActionSet",
    plural = "actionsets",
    shortname = "as",
    category = "kubeblocks",
    status = "ActionSetStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The commands that back up and restore one kind of database.",
    printcolumn = r#"{"name":"BACKUP-TYPE","type":"string","jsonPath":".spec.backupType"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ActionSetSpec {
    /// What the backups are.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "Full"))]
    pub backup_type: BackupType,
    /// Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_schema: Option<ActionSetParametersSchema>,
    /// Environment of every action.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::env_open")]
    pub env: Vec<EnvVar>,
    /// Environment of the backup actions from config maps and secrets.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::env_from_open")]
    pub env_from: Vec<EnvFromSource>,
    /// How to back up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupActionSpec>,
    /// How to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreActionSpec>,
}

lenient_spec!(ActionSetSpec);

/// Schema of an action set's parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionSetParametersSchema {
    /// An `OpenAPI` v3 schema, kept as it was written.
    #[serde(default, rename = "openAPIV3Schema", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::any_object")]
    pub open_api_v3_schema: Option<Value>,
}

/// How to back up.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupActionSpec {
    /// Writes the data to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_data: Option<BackupDataActionSpec>,
    /// Run before, in order.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub pre_backup: Vec<ActionSpec>,
    /// Run after, in order.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub post_backup: Vec<ActionSpec>,
    /// Run before the data of a deleted backup is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_delete: Option<BaseJobActionSpec>,
    /// Parameters a backup may set.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub with_parameters: Vec<String>,
}

/// The action that writes the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupDataActionSpec {
    /// Image; `$(NAME)` is expanded from literal env values.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub image: String,
    /// Command and arguments.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub command: Vec<String>,
    /// Run beside the target pod, with its volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub run_on_target_pod_node: Option<bool>,
    /// What a failure means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Fail"))]
    pub on_error: Option<ActionErrorMode>,
    /// Report of progress while the action runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_progress: Option<SyncProgress>,
}

impl BackupDataActionSpec {
    /// The part that every Job action has.
    pub fn job(&self) -> JobActionSpec {
        JobActionSpec {
            image: self.image.clone(),
            command: self.command.clone(),
            run_on_target_pod_node: self.run_on_target_pod_node,
            on_error: self.on_error.clone(),
        }
    }
}

/// Report of progress while an action runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncProgress {
    /// Whether the script reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Seconds between two looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 60))]
    pub interval_seconds: Option<i32>,
}

impl SyncProgress {
    /// Whether the script reports; default false.
    pub fn enabled(&self) -> bool {
        self.enabled.unwrap_or_default()
    }

    /// Seconds between two looks; default 60.
    pub fn interval_seconds(&self) -> i32 {
        self.interval_seconds.unwrap_or(60)
    }
}

/// How to restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreActionSpec {
    /// Fills the volumes before the database starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_data: Option<JobActionSpec>,
    /// Run against the started database, in order.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub post_ready: Vec<ActionSpec>,
    /// Whether a point-in-time restore starts from a base backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = true))]
    pub base_backup_required: Option<bool>,
    /// Parameters a restore may set.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub with_parameters: Vec<String>,
}

impl RestoreActionSpec {
    /// Whether a point-in-time restore starts from a base backup; default true.
    pub fn base_backup_required(&self) -> bool {
        self.base_backup_required.unwrap_or(true)
    }
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionSetStatus {
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}
