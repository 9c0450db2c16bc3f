//! `BackupSchedule`: when the methods of a policy run.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::SchedulePolicy;
use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Whether a schedule object works.
    open BackupSchedulePhase {
        /// Its schedules are in place.
        Available => "Available",
        /// Refused; `failureReason` says why.
        Failed => "Failed",
    }
}

wire_enum! {
    /// Whether one schedule works.
    open SchedulePhase {
        /// In place.
        Running => "Running",
        /// Refused, or its last backup failed; `failureReason` says why.
        Failed => "Failed",
    }
}

/// When the methods of a policy run.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "BackupSchedule",
    plural = "backupschedules",
    shortname = "bs",
    category = "kubeblocks",
    namespaced,
    status = "BackupScheduleStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "When the methods of a policy run.",
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BackupScheduleSpec {
    /// Policy in the same namespace.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("pattern" = schema::NAME_PATTERN))]
    pub backup_policy_name: String,
    /// Minutes a missed run may start late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0, "maximum" = 1440))]
    pub starting_deadline_minutes: Option<i64>,
    /// The schedules.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub schedules: Vec<SchedulePolicy>,
}

lenient_spec!(BackupScheduleSpec);

/// What the operator did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupScheduleStatus {
    /// Whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupSchedulePhase>,
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// By schedule name.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<String, ScheduleStatus>,
}

/// What one schedule did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// Whether it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<SchedulePhase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_reason: Option<String>,
    /// Slot of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_schedule_time: Option<Time>,
    /// When the last backup that succeeded was complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_successful_time: Option<Time>,
    /// Slot of the next run; one in the past is held back by what `reason` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_schedule_time: Option<Time>,
    /// Backup of the last run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_backup_name: Option<String>,
    /// Backup of the last slot, while it is about to be created: written before, removed after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starting_backup_name: Option<String>,
    /// Why the next run is held back, or the last one was left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same as a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
