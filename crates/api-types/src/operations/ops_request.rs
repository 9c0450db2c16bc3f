//! `OpsRequest`: one operation on a Cluster; backup and restore are served, the rest is kept.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::scaling::{HorizontalScaling, VerticalScaling, VolumeExpansion};
use super::settings::{ComponentOps, CustomOps, Expose, RebuildInstance, Reconfigure, Switchover, Upgrade};
use super::status::OpsRequestStatus;
use crate::apps::EnvEntry;
use crate::dp::{DeletionPolicy, ParameterPair, VolumeClaimRestorePolicy};
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// What an operation does.
    closed OpsType = Custom {
        /// Another version.
        Upgrade => "Upgrade",
        /// Other resources.
        VerticalScaling => "VerticalScaling",
        /// Larger claims.
        VolumeExpansion => "VolumeExpansion",
        /// More or fewer pods or shards.
        HorizontalScaling => "HorizontalScaling",
        /// Pods made again.
        Restart => "Restart",
        /// Changed parameters.
        Reconfiguring => "Reconfiguring",
        /// Pods again.
        Start => "Start",
        /// No pods.
        Stop => "Stop",
        /// Services.
        Expose => "Expose",
        /// A role on another pod.
        Switchover => "Switchover",
        /// A backup.
        Backup => "Backup",
        /// A new Cluster from a backup.
        Restore => "Restore",
        /// A pod with new data.
        RebuildInstance => "RebuildInstance",
        /// What an `OpsDefinition` says; stands for absence, since it is not served.
        Custom => "Custom",
    }
}

wire_enum! {
    /// Where an operation is.
    closed OpsPhase {
        /// Not started.
        Pending => "Pending",
        /// Being checked and started.
        Creating => "Creating",
        /// At work.
        Running => "Running",
        /// Being called off.
        Cancelling => "Cancelling",
        /// Called off.
        Cancelled => "Cancelled",
        /// Ended by its time limit.
        Aborted => "Aborted",
        /// Given up.
        Failed => "Failed",
        /// Done.
        Succeed => "Succeed",
    }
}

/// One operation on a Cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "operations.kubeblocks.io",
    version = "v1alpha1",
    kind = "OpsRequest",
    plural = "opsrequests",
    shortname = "ops",
    category = "kubeblocks",
    namespaced,
    status = "OpsRequestStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One operation on a Cluster.",
    printcolumn = r#"{"name":"TYPE","type":"string","jsonPath":".spec.type"}"#,
    printcolumn = r#"{"name":"CLUSTER","type":"string","jsonPath":".spec.clusterName"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"PROGRESS","type":"string","jsonPath":".status.progress"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct OpsRequestSpec {
    /// Cluster; the new one of a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.clusterName")))]
    pub cluster_name: Option<String>,
    /// Whether it is called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel: Option<bool>,
    /// Whether it runs whatever the Cluster's phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.force")))]
    pub force: Option<bool>,
    /// Whether it waits in line although forced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub enqueue_on_force: Option<bool>,
    /// What it does.
    #[serde(rename = "type", default, deserialize_with = "null_default")]
    #[schemars(!default, extend("x-kubernetes-validations" = schema::immutable("spec.type")))]
    pub type_: OpsType,
    /// Seconds it is kept after success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_succeed: Option<i32>,
    /// Seconds it is kept after any other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl_seconds_after_unsuccessful_completion: Option<i32>,
    /// Seconds it may wait for its turn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 0))]
    pub pre_condition_deadline_seconds: Option<i32>,
    /// Seconds it may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<i32>,
    /// Settings of an upgrade.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.upgrade")))]
    pub upgrade: Option<Upgrade>,
    /// Settings of a scaling.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["componentName"],
        "x-kubernetes-validations" = schema::immutable("spec.horizontalScaling"),
    ))]
    pub horizontal_scaling: Vec<HorizontalScaling>,
    /// Settings of an expansion.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["componentName"]))]
    pub volume_expansion: Vec<VolumeExpansion>,
    /// Components to start; all if empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["componentName"],
            "x-kubernetes-validations" = schema::immutable("spec.start"),
        ),
    )]
    pub start: Vec<ComponentOps>,
    /// Components to restart.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["componentName"],
            "x-kubernetes-validations" = schema::immutable("spec.restart"),
        ),
    )]
    pub restart: Vec<ComponentOps>,
    /// Settings of a switchover.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.switchover")))]
    pub switchover: Vec<Switchover>,
    /// Settings of a change of resources.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::component_objects", extend("maxItems" = 1024))]
    pub vertical_scaling: Vec<Open<VerticalScaling>>,
    /// Changed parameters.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["componentName"],
        "x-kubernetes-validations" = schema::immutable("spec.reconfigures"),
    ))]
    pub reconfigures: Vec<Reconfigure>,
    /// Services to make or remove.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<Expose>,
    /// Components to stop; all if empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["componentName"],
            "x-kubernetes-validations" = schema::immutable("spec.stop"),
        ),
    )]
    pub stop: Vec<ComponentOps>,
    /// Settings of a backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<OpsBackup>,
    /// Settings of a restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<OpsRestore>,
    /// Pods to rebuild.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend(
        "x-kubernetes-list-type" = "map",
        "x-kubernetes-list-map-keys" = ["componentName"],
        "x-kubernetes-validations" = schema::immutable("spec.rebuildFrom"),
    ))]
    pub rebuild_from: Vec<RebuildInstance>,
    /// Settings of a custom operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custom: Option<CustomOps>,
}

lenient_spec!(OpsRequestSpec);

/// Settings of a backup.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::parameters_presence()))]
pub struct OpsBackup {
    /// Name of the Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// Policy; the default one of the Cluster if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_policy_name: Option<String>,
    /// Method; that of the policy if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_method: Option<String>,
    /// What happens to the data when the Backup is deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Delete"))]
    pub deletion_policy: Option<DeletionPolicy>,
    /// How long it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_period: Option<String>,
    /// Backup this one builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_backup_name: Option<String>,
    /// Parameters of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "schema::core::parameters",
        extend("x-kubernetes-validations" = schema::immutable("spec.backup.parameters")),
    )]
    pub parameters: Vec<ParameterPair>,
}

/// Settings of a restore.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::parameters_presence()))]
pub struct OpsRestore {
    /// Backup to restore.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub backup_name: String,
    /// Its namespace; that of the operation if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_namespace: Option<String>,
    /// Moment to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point_in_time: Option<String>,
    /// Environment of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub env: Vec<EnvEntry>,
    /// In which order volumes are filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Parallel"))]
    pub volume_restore_policy: Option<VolumeClaimRestorePolicy>,
    /// Whether postReady waits for the running Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defer_post_ready_until_cluster_running: Option<bool>,
    /// Parameters of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        schema_with = "schema::core::parameters",
        extend("x-kubernetes-validations" = schema::immutable("spec.restore.parameters")),
    )]
    pub parameters: Vec<ParameterPair>,
}

impl OpsRestore {
    /// In which order volumes are filled; default all at once.
    pub fn volume_restore_policy(&self) -> VolumeClaimRestorePolicy {
        self.volume_restore_policy.clone().unwrap_or_default()
    }
}
