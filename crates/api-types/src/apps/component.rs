//! `Component`: one component, or one shard, of a Cluster.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{ComponentSystemAccount, TlsConfig};
use super::action::Action;
use super::config::ClusterComponentConfig;
use super::instance::{InstanceTemplate, InstanceUpdateStrategy, Ordinals, PodUpdatePolicy, SchedulingPolicy};
use super::network::{ComponentNetwork, ServiceRef};
use super::service::ComponentService;
use super::shared::{ClaimRetentionPolicy, ComponentPhase, EnvEntry, TerminationPolicy, VolumeClaimTemplate};
use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

/// One component, or one shard, of a Cluster.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "Component",
    plural = "components",
    shortname = "cmp",
    category = "kubeblocks",
    namespaced,
    status = "ComponentStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One component, or one shard, of a Cluster.",
    printcolumn = r#"{"name":"DEFINITION","type":"string","jsonPath":".spec.compDef"}"#,
    printcolumn = r#"{"name":"SERVICE-VERSION","type":"string","jsonPath":".spec.serviceVersion"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"RESTORE","type":"string","jsonPath":".status.conditions[?(@.type==\"Restore\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ComponentSpec {
    /// What deletion takes away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Delete"))]
    pub termination_policy: Option<TerminationPolicy>,
    /// Definition, exact name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 64))]
    pub comp_def: String,
    /// Version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_version: Option<String>,
    /// Labels of its objects.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of its objects.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Environment of all containers.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvEntry>,
    /// Resources of the first container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::resources_open")]
    pub resources: Option<Open<ResourceRequirements>>,
    /// Claims of each pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<VolumeClaimTemplate>,
    /// What happens to claims of pods that go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_retention_policy: Option<ClaimRetentionPolicy>,
    /// More volumes of the pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<Open<Volume>>,
    /// Network of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<ComponentNetwork>,
    /// Services, in place of the definition's.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ComponentService>,
    /// Changes to its accounts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub system_accounts: Vec<ComponentSystemAccount>,
    /// Number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(required, !default, range(min = 0), extend("default" = 1))]
    pub replicas: Option<i32>,
    /// What is supplied for its templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ClusterComponentConfig>,
    /// More actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub custom_actions: Vec<CustomAction>,
    /// Service account of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_name: Option<String>,
    /// How a running pod is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "PreferInPlace"))]
    pub pod_update_policy: Option<PodUpdatePolicy>,
    /// How a pod with a new image is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_upgrade_policy: Option<PodUpdatePolicy>,
    /// How a changed template reaches the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_update_strategy: Option<InstanceUpdateStrategy>,
    /// Pods made or deleted at once, number or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::int_or_string")]
    pub parallel_pod_management_concurrency: Option<IntOrString>,
    /// Where its pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_config: Option<TlsConfig>,
    /// Services outside that it uses.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub service_refs: Vec<ServiceRef>,
    /// Pods that differ from the others.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<InstanceTemplate>,
    /// Whether all pods share one row of ordinals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub flat_instance_ordinal: Option<bool>,
    /// Ordinals of the pods without a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinals: Option<Ordinals>,
    /// Pods to take away.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub offline_instances: Vec<String>,
    /// Runtime class of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Whether metrics are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_exporter: Option<bool>,
    /// Whether it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<bool>,
    /// Containers that other definitions add.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub sidecars: Vec<Sidecar>,
    /// Whether the reference makes `Instance` objects; not served by this release.
    #[serde(rename = "enableInstanceAPI", default, skip_serializing_if = "Option::is_none")]
    pub enable_instance_api: Option<bool>,
}

lenient_spec!(ComponentSpec);

impl ComponentSpec {
    /// Number of pods; default 1.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    /// Whether it is stopped; default false.
    pub fn stop(&self) -> bool {
        self.stop.unwrap_or_default()
    }

    /// What deletion takes away; default `Delete`.
    pub fn termination_policy(&self) -> TerminationPolicy {
        self.termination_policy.clone().unwrap_or(TerminationPolicy::Delete)
    }
}

/// An action besides those of the definition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CustomAction {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// What it does.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub action: Action,
}

/// A container that another definition adds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sidecar {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Definition of the component that owns it.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub owner: String,
    /// Definition of the container.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub sidecar_def: String,
}

/// The state of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// What holds, and what it waits for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// Why, by object or reason.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub message: BTreeMap<String, String>,
}
