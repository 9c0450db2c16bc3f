//! Settings of the operations that this release keeps but does not run.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::apps::EnvEntry;
use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Whether Services are made or removed.
    closed ExposeSwitch = Enable {
        /// Made.
        Enable => "Enable",
        /// Removed.
        Disable => "Disable",
    }
}

/// A component an operation acts on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentOps {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
}

/// Another version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// Components.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["componentName"]),
    )]
    pub components: Vec<UpgradeComponent>,
}

/// Another version of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "x-kubernetes-validations" = schema::rule(
        "has(self.componentDefinitionName) || has(self.serviceVersion)",
        "set componentDefinitionName or serviceVersion",
    ),
))]
pub struct UpgradeComponent {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Definition to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub component_definition_name: Option<String>,
    /// Version to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_version: Option<String>,
}

/// A role on another pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend(
    "x-kubernetes-validations" = schema::rule(SWITCHOVER_RULE, "set componentName or componentObjectName"),
))]
pub struct Switchover {
    /// Component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    /// Component object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_object_name: Option<String>,
    /// Pod that gives the role away; `*` is any.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub instance_name: String,
    /// Pod that takes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate_name: Option<String>,
}

const SWITCHOVER_RULE: &str = "(has(self.componentName) && !has(self.componentObjectName)) || \
    (!has(self.componentName) && has(self.componentObjectName))";

/// Changed parameters of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconfigure {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Parameters.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ChangedParameter>,
}

/// A changed parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ChangedParameter {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub key: String,
    /// Value; absent removes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
}

/// Services of one component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// Component; the Cluster if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<String>,
    /// Whether they are made or removed.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub switch: ExposeSwitch,
    /// The Services.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub services: Vec<OpsService>,
}

/// A Service to make or remove.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OpsService {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<String>,
    /// Ports.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::service_ports")]
    pub ports: Vec<ServicePort>,
    /// Only pods of this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_selector: Option<String>,
    /// Labels of the pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub pod_selector: BTreeMap<String, String>,
    /// Address families.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub ip_families: Vec<String>,
    /// Policy of address families.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ip_family_policy: Option<String>,
    /// Policy of traffic from outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<String>,
    /// Policy of traffic from inside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal_traffic_policy: Option<String>,
}

/// Pods of one component to rebuild.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildInstance {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Pods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1))]
    pub instances: Vec<RebuildTarget>,
    /// Whether the pod keeps its name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub in_place: bool,
    /// Backup with their data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup_name: Option<String>,
    /// Target of that Backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_backup_target_name: Option<String>,
    /// Environment of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub restore_env: Vec<EnvEntry>,
}

/// A pod to rebuild.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RebuildTarget {
    /// Pod.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Node for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_node_name: Option<String>,
}

/// Settings of a custom operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomOps {
    /// Its `OpsDefinition`.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub ops_definition_name: String,
    /// Service account of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// Components at once, number or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::int_or_string")]
    pub max_concurrent_components: Option<IntOrString>,
    /// Components.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(
        !default,
        length(min = 1, max = 1024),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["componentName"]),
    )]
    pub components: Vec<CustomOpsComponent>,
}

/// A component of a custom operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomOpsComponent {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component_name: String,
    /// Parameters.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub parameters: Vec<CustomOpsParameter>,
}

/// A parameter of a custom operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomOpsParameter {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Value.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub value: String,
    /// Source of the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<CustomOpsParameterSource>,
}

/// Source of a parameter.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomOpsParameterSource {
    /// Key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_key_selector")]
    pub config_map_key_ref: Option<ConfigMapKeySelector>,
    /// Key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_key_selector")]
    pub secret_key_ref: Option<SecretKeySelector>,
}
