//! `Restore`: one restore, its request and its record.

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::restore_config::{PrepareDataConfig, ReadyConfig};
use super::shared::ParameterPair;
use crate::lenient::{null_default, with_quantities};
use crate::schema;

wire_enum! {
    /// Where a restore is in its life.
    closed RestorePhase {
        /// At work.
        Running => "Running",
        /// Done.
        Completed => "Completed",
        /// Given up.
        Failed => "Failed",
        /// Rests, to be named as the data source of claims.
        AsDataSource => "AsDataSource",
    }
}

wire_enum! {
    /// Where one action of a restore is.
    closed RestoreActionPhase = Processing {
        /// At work.
        Processing => "Processing",
        /// Done.
        Completed => "Completed",
        /// Given up.
        Failed => "Failed",
    }
}

/// One restore.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "Restore",
    plural = "restores",
    category = "kubeblocks",
    namespaced,
    status = "RestoreStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One restore.",
    printcolumn = r#"{"name":"BACKUP","type":"string","jsonPath":".spec.backup.name"}"#,
    printcolumn = r#"{"name":"RESTORE-TIME","type":"string","jsonPath":".spec.restoreTime"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"DURATION","type":"string","jsonPath":".status.duration"}"#,
    printcolumn = r#"{"name":"CREATION-TIME","type":"string","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"COMPLETION-TIME","type":"string","jsonPath":".status.completionTimestamp"}"#,
    printcolumn = r#"{"name":"WAITING-FOR","type":"string","jsonPath":".status.conditions[?(@.status!=\"True\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend("x-kubernetes-validations" = schema::parameters_presence()))]
pub struct RestoreSpec {
    /// What is restored.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("x-kubernetes-validations" = schema::immutable("spec.backup")))]
    pub backup: BackupRef,
    /// The moment to restore, `2006-01-02T15:04:05Z`; for continuous backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "pattern" = schema::RESTORE_TIME_PATTERN,
        "x-kubernetes-validations" = schema::immutable("spec.restoreTime"),
    ))]
    pub restore_time: Option<String>,
    /// Kubernetes objects; accepted, without effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.resources")))]
    pub resources: Option<RestoreKubeResources>,
    /// Volumes to fill before the database starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prepare_data_config: Option<PrepareDataConfig>,
    /// Service account of the pods; the worker's if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// What runs against the started database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_config: Option<ReadyConfig>,
    /// Environment of the actions; replaces same-named entries.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::env_open")]
    pub env: Vec<EnvVar>,
    /// Requests and limits of the action container.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::resources")]
    pub container_resources: Option<ResourceRequirements>,
    /// Attempts of a Job after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 10))]
    pub backoff_limit: Option<i32>,
    /// Parameters of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "schema::core::parameters",
        extend("x-kubernetes-validations" = schema::immutable("spec.parameters")),
    )]
    pub parameters: Vec<ParameterPair>,
}

lenient_spec!(RestoreSpec);

impl RestoreSpec {
    /// Attempts of a Job after the first one; default 1.
    pub fn backoff_limit(&self) -> i32 {
        self.backoff_limit.unwrap_or(1)
    }
}

/// The backup to restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRef {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Namespace.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub namespace: String,
    /// Which of its targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_target_name: Option<String>,
}

/// Kubernetes objects to restore; accepted, without effect.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreKubeResources {
    /// Resources taken.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub included: Vec<IncludedResource>,
}

/// One kind of Kubernetes object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IncludedResource {
    /// Resource and group, such as `secrets` or `deployments.apps`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub group_resource: String,
    /// Which objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::label_selector")]
    pub label_selector: Option<LabelSelector>,
}

/// The record of a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<RestorePhase>,
    /// When work began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When work ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// Go duration from start to end, in whole seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<String>,
    /// Its actions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actions: Option<RestoreStatusActions>,
    /// Each stage.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
}

/// The actions of a restore, by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatusActions {
    /// Before the database starts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub prepare_data: Vec<RestoreStatusAction>,
    /// Against the started database.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub post_ready: Vec<RestoreStatusAction>,
}

/// The record of one action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatusAction {
    /// Name within its stage.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Backup it restores.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub backup_name: String,
    /// What runs it, `Job/<name>`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub object_key: String,
    /// Where it is.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub status: RestoreActionPhase,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
    /// UID of the Job, recorded before it may run. Ours: a Job that vanished is never taken for one
    /// that was never made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_uid: Option<String>,
}
