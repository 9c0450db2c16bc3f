//! `ComponentDefinition`: what a kind of component is made of and how it lives.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::PodSpec;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::SystemAccount;
use super::action::ComponentLifecycleActions;
use super::config::FileTemplate;
use super::definition_parts::{
    ComponentAvailable, ComponentVolume, DefinitionTls, Exporter, HostNetwork, LogConfig, PolicyRule, ReplicaRole,
    ServiceRefDeclaration,
};
use super::service::ComponentService;
use super::shared::{DefinitionPhase, PodManagementPolicy, UpdateStrategy};
use super::vars::Var;
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// How a running pod is changed.
    closed DefinitionPodUpdatePolicy = PreferInPlace {
        /// In place where possible, else made again.
        PreferInPlace => "PreferInPlace",
        /// Always made again.
        ReCreate => "ReCreate",
    }
}

/// What a kind of component is made of and how it lives.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "ComponentDefinition",
    plural = "componentdefinitions",
    shortname = "cmpd",
    category = "kubeblocks",
    status = "ComponentDefinitionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "What a kind of component is made of and how it lives.",
    printcolumn = r#"{"name":"SERVICE","type":"string","jsonPath":".spec.serviceKind"}"#,
    printcolumn = r#"{"name":"SERVICE-VERSION","type":"string","jsonPath":".spec.serviceVersion"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ComponentDefinitionSpec {
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub provider: Option<String>,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub description: Option<String>,
    /// Kind of database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_kind: Option<String>,
    /// Version where no `ComponentVersion` says another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_version: Option<String>,
    /// Labels of its objects.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of its objects.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Pod of each instance.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub runtime: Open<PodSpec>,
    /// Variables of pods, templates and actions, in the order they are resolved.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub vars: Vec<Var>,
    /// Volumes with data.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<ComponentVolume>,
    /// Ports on the node's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network: Option<HostNetwork>,
    /// Services.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ComponentService>,
    /// Configuration templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<FileTemplate>,
    /// Script templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub scripts: Vec<FileTemplate>,
    /// Log files.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub log_configs: Vec<LogConfig>,
    /// Accounts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub system_accounts: Vec<SystemAccount>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<DefinitionTls>,
    /// Roles of pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub roles: Vec<ReplicaRole>,
    /// What its pods may do in the namespace.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub policy_rules: Vec<PolicyRule>,
    /// Actions at moments of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle_actions: Option<ComponentLifecycleActions>,
    /// Services outside that it needs.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub service_ref_declarations: Vec<ServiceRefDeclaration>,
    /// Metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exporter: Option<Exporter>,
    /// When it counts as available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<ComponentAvailable>,
    /// How many pods there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::rule(REPLICAS_RULE, REPLICAS_MESSAGE)))]
    pub replicas_limit: Option<ReplicasLimit>,
    /// Seconds a pod must be ready to be available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("default" = 0))]
    pub min_ready_seconds: Option<i32>,
    /// In which order pods are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "OrderedReady"))]
    pub pod_management_policy: Option<PodManagementPolicy>,
    /// How a running pod is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "PreferInPlace"))]
    pub pod_update_policy: Option<DefinitionPodUpdatePolicy>,
    /// How a pod with a new image is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_upgrade_policy: Option<DefinitionPodUpdatePolicy>,
    /// In which order pods are updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Serial"))]
    pub update_strategy: Option<UpdateStrategy>,
    /// Whether no headless Service is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub disable_default_headless_service: Option<bool>,
}

lenient_spec!(ComponentDefinitionSpec);

impl ComponentDefinitionSpec {
    /// In which order pods are made; default one after the other.
    pub fn pod_management_policy(&self) -> PodManagementPolicy {
        let policy = self.pod_management_policy.clone();
        policy.filter(|policy| !policy.as_str().is_empty()).unwrap_or_default()
    }

    /// In which order pods are updated; default one after the other.
    pub fn update_strategy(&self) -> UpdateStrategy {
        self.update_strategy.clone().unwrap_or_default()
    }

    /// The role of this name.
    pub fn role(&self, name: &str) -> Option<&ReplicaRole> {
        self.roles.iter().find(|role| role.name == name)
    }
}

const REPLICAS_RULE: &str =
    "self.minReplicas >= 0 && self.maxReplicas <= 16384 && self.minReplicas <= self.maxReplicas";
const REPLICAS_MESSAGE: &str = "minReplicas must be at least 0 and at most maxReplicas, which may be 16384";

/// How many pods there may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasLimit {
    /// At least.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub min_replicas: i32,
    /// At most.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub max_replicas: i32,
}

/// Whether the definition can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentDefinitionStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<DefinitionPhase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
