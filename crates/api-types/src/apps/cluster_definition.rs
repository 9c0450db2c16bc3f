//! `ClusterDefinition`: topologies, the ways components of a database go together.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::DefinitionPhase;
use crate::lenient::null_default;
use crate::schema;

/// Topologies: the ways components of a database go together.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "ClusterDefinition",
    plural = "clusterdefinitions",
    shortname = "cd",
    category = "kubeblocks",
    status = "ClusterDefinitionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Topologies: the ways components of a database go together.",
    printcolumn = r#"{"name":"Topologies","type":"string","jsonPath":".status.topologies"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ClusterDefinitionSpec {
    /// The topologies.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(min = 1, max = 128))]
    pub topologies: Vec<ClusterTopology>,
}

lenient_spec!(ClusterDefinitionSpec);

impl ClusterDefinitionSpec {
    /// The topology of this name; without a name, the default one.
    pub fn topology(&self, name: Option<&str>) -> Option<&ClusterTopology> {
        match name.filter(|name| !name.is_empty()) {
            Some(name) => self.topologies.iter().find(|topology| topology.name == name),
            None => self.topologies.iter().find(|topology| topology.default == Some(true)),
        }
    }
}

/// One way components go together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterTopology {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 32))]
    pub name: String,
    /// Its components.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub components: Vec<TopologyComponent>,
    /// Its shardings.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub shardings: Vec<TopologySharding>,
    /// Orders among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orders: Option<TopologyOrders>,
    /// Whether it is used where none is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<bool>,
}

/// A component of a topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologyComponent {
    /// Name, or prefix of names.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 16), extend("pattern" = schema::SERVICE_NAME_PATTERN))]
    pub name: String,
    /// Definition: exact name, prefix or expression.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 64))]
    pub comp_def: String,
    /// Whether the name is a prefix of any number of components.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<bool>,
}

/// A sharding of a topology.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologySharding {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 16), extend("pattern" = schema::SERVICE_NAME_PATTERN))]
    pub name: String,
    /// Definition: exact name, prefix or expression.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 64))]
    pub sharding_def: String,
}

/// Orders; an entry may be a comma list of what goes together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopologyOrders {
    /// To make them.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub provision: Vec<String>,
    /// To take them away.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub terminate: Vec<String>,
    /// To update them.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub update: Vec<String>,
}

/// Whether the definition can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDefinitionStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DefinitionPhase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// All topologies, comma separated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topologies: Option<String>,
}
