//! Settings of scaling operations, which this release keeps but does not run.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apps::EnvEntry;
use crate::apps::InstanceTemplate;
use crate::lenient::{null_default, quantities, quantity};
use crate::open::Open;
use crate::schema;

/// More or fewer pods or shards of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "x-kubernetes-validations" = schema::rule(
        "has(self.shards) ? (!has(self.scaleOut) && !has(self.scaleIn)) : true",
        "shards goes with neither scaleOut nor scaleIn",
    ),
))]
pub struct HorizontalScaling {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Number of shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<i32>,
    /// More pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_out: Option<ScaleOut>,
    /// Fewer pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_in: Option<ScaleIn>,
}

/// More pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleOut {
    /// How many more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replica_changes: Option<i32>,
    /// How many more by template.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub instances: Vec<ReplicaChange>,
    /// New templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::named_instances")]
    pub new_instances: Vec<Open<InstanceTemplate>>,
    /// Pods to bring back.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub offline_instances_to_online: Vec<String>,
    /// Backup the new pods start from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_backup: Option<ScaleOutFromBackup>,
}

/// Fewer pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleIn {
    /// How many fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub replica_changes: Option<i32>,
    /// How many fewer by template.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub instances: Vec<ReplicaChange>,
    /// Pods to take away.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub online_instances_to_offline: Vec<String>,
}

/// A change of one template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicaChange {
    /// Template.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// How many.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, range(min = 0))]
    pub replica_changes: i32,
}

/// Backup that new pods start from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScaleOutFromBackup {
    /// Its name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Environment of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub restore_env: Vec<EnvEntry>,
    /// Moment to restore.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_point_in_time: Option<String>,
}

/// Larger claims of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeExpansion {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Claims.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub volume_claim_templates: Vec<VolumeExpansionTemplate>,
}

/// A larger claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeExpansionTemplate {
    /// Its new size.
    #[serde(default, deserialize_with = "quantity", skip_serializing_if = "Option::is_none")]
    #[schemars(required, !default, schema_with = "schema::core::quantity")]
    pub storage: Option<Quantity>,
    /// Its template.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
}

/// Other resources of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerticalScaling {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Requests.
    #[serde(default, deserialize_with = "quantities", skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// Limits.
    #[serde(default, deserialize_with = "quantities", skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}
