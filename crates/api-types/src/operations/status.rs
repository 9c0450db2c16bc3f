//! The state of an `OpsRequest`.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ops_request::OpsPhase;
use crate::apps::ComponentPhase;
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// Where one object of an operation is.
    closed ProgressStatus = Pending {
        /// At work.
        Processing => "Processing",
        /// Not started.
        Pending => "Pending",
        /// Given up.
        Failed => "Failed",
        /// Done.
        Succeed => "Succeed",
    }
}

wire_enum! {
    /// Where one task of an operation is.
    closed ActionTaskStatus = Processing {
        /// At work.
        Processing => "Processing",
        /// Given up.
        Failed => "Failed",
        /// Done.
        Succeed => "Succeed",
    }
}

/// The state of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpsRequestStatus {
    /// Generation of the Cluster it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_generation: Option<i64>,
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<OpsPhase>,
    /// Objects done of all, such as `1/3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(required, !default, extend("default" = "-/-", "pattern" = schema::PROGRESS_PATTERN))]
    pub progress: Option<String>,
    /// What was before, for operations this release does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_configuration: Option<Open<Value>>,
    /// State by component.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, OpsComponentStatus>,
    /// Facts of a custom operation.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<BTreeMap<String, String>>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timestamp: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_timestamp: Option<Time>,
    /// When it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_timestamp: Option<Time>,
    /// Its steps, and what it waits for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions_by_type")]
    pub conditions: Vec<Condition>,
}

/// The state of one component of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpsComponentStatus {
    /// Phase of the component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// When it failed last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_failed_time: Option<Time>,
    /// Result of the check before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_check: Option<PreCheckResult>,
    /// State of each object.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub progress_details: Vec<ProgressDetail>,
    /// Why, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32768))]
    pub message: Option<String>,
}

/// Result of a check before an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PreCheckResult {
    /// Whether it may run.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub pass: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The state of one object of an operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "x-kubernetes-validations" = schema::rule(
        "has(self.objectKey) || has(self.actionName)",
        "set objectKey or actionName",
    ),
))]
pub struct ProgressDetail {
    /// Objects that count as one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Object, `Kind/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_key: Option<String>,
    /// Action of a custom operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_name: Option<String>,
    /// Its tasks.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub action_tasks: Vec<ActionTask>,
    /// Where it is.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub status: ProgressStatus,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Time>,
}

/// One task of a custom operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionTask {
    /// Object that runs it, `Kind/name`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub object_key: String,
    /// Its namespace.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub namespace: String,
    /// Where it is.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub status: ActionTaskStatus,
    /// Pod it works on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_pod_name: Option<String>,
    /// Times it was tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
}
