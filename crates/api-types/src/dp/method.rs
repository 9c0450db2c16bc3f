//! How something is backed up: methods of a policy, as copied into a backup's status.

use k8s_openapi::api::core::v1::{EnvVar, ResourceRequirements, VolumeMount};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::target::BackupTarget;
use crate::lenient::{null_default, with_quantities};
use crate::schema;

/// One way to back up a target.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupMethod {
    /// Name within the policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("pattern" = schema::NAME_PATTERN))]
    pub name: String,
    /// Method whose backups may be parents of this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::NAME_PATTERN))]
    pub compatible_method: Option<String>,
    /// Take volume snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub snapshot_volumes: Option<bool>,
    /// Action set that does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_set_name: Option<String>,
    /// Volumes that hold the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_volumes: Option<TargetVolumeInfo>,
    /// Environment of the actions; replaces same-named entries.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::env")]
    pub env: Vec<EnvVar>,
    /// Settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_settings: Option<RuntimeSettings>,
    /// Target of this method; wins over the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<BackupTarget>,
    /// Targets of this method; `target` wins.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<BackupTarget>,
}

impl BackupMethod {
    /// Whether volume snapshots are taken; default false.
    pub fn snapshot_volumes(&self) -> bool {
        self.snapshot_volumes.unwrap_or_default()
    }

    /// Name of the action set, if one is set.
    pub fn action_set_name(&self) -> Option<&str> {
        self.action_set_name.as_deref().filter(|name| !name.is_empty())
    }
}

/// The volumes of the target pod that hold data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetVolumeInfo {
    /// Names of the volumes.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// Where they are mounted.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::volume_mounts")]
    pub volume_mounts: Vec<VolumeMount>,
}

impl TargetVolumeInfo {
    /// Whether a volume of this name is listed, in either list.
    pub fn lists(&self, volume: &str) -> bool {
        self.volumes.iter().any(|name| name == volume) || self.volume_mounts.iter().any(|mount| mount.name == volume)
    }
}

/// Settings of the pods that run a method's actions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeSettings {
    /// Requests and limits of the action container.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::resources")]
    pub resources: Option<ResourceRequirements>,
}
