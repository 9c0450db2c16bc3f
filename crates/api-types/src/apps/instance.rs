//! Pods of a component: ordinals, placement, updates, and those that differ from the others.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Affinity, ResourceRequirements, Toleration, TopologySpreadConstraint};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::{EnvEntry, VolumeClaimTemplate};
use crate::lenient::{null_default, with_quantities};
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// How a running pod is changed.
    closed PodUpdatePolicy = PreferInPlace {
        /// Only in place; what cannot be is refused.
        StrictInPlace => "StrictInPlace",
        /// In place where possible, else made again.
        PreferInPlace => "PreferInPlace",
    }
}

wire_enum! {
    /// When a changed template reaches the pods.
    closed InstanceUpdateStrategyType {
        /// At once, in order.
        RollingUpdate => "RollingUpdate",
        /// When somebody deletes the pod.
        OnDelete => "OnDelete",
    }
}

/// Ordinals of pods: ranges and single ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Ordinals {
    /// Ranges, ends included.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<OrdinalRange>,
    /// Single ordinals.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub discrete: Vec<i32>,
}

/// From start to end, both included.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OrdinalRange {
    /// First.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub start: i32,
    /// Last.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub end: i32,
}

/// Where pods run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingPolicy {
    /// Scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
    /// Labels of the nodes.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,
    /// One node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Affinity rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Open<Affinity>>,
    /// Taints to tolerate.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub tolerations: Vec<Open<Toleration>>,
    /// How to spread.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub topology_spread_constraints: Vec<Open<TopologySpreadConstraint>>,
}

/// How a changed template reaches the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceUpdateStrategy {
    /// When.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub type_: Option<InstanceUpdateStrategyType>,
    /// Limits of a rolling update.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolling_update: Option<RollingUpdate>,
}

/// Limits of a rolling update.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RollingUpdate {
    /// Pods to update at most, number or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::int_or_string")]
    pub replicas: Option<IntOrString>,
    /// Pods that may be unavailable meanwhile, number or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::int_or_string")]
    pub max_unavailable: Option<IntOrString>,
}

/// Pods of a component that differ from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTemplate {
    /// Name; part of the pod names.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 54), extend("pattern" = schema::NAME_PATTERN))]
    pub name: String,
    /// Version of these pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32))]
    pub service_version: Option<String>,
    /// Definition of these pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub comp_def: Option<String>,
    /// Whether these pods try a change first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<bool>,
    /// How many of the component's pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("default" = 1))]
    pub replicas: Option<i32>,
    /// Their ordinals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinals: Option<Ordinals>,
    /// Annotations of the pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels of the pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Where they run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// Resources of the first container.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::resources")]
    pub resources: Option<ResourceRequirements>,
    /// Environment of the first container.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvEntry>,
    /// Claims; one of the same name replaces the component's as a whole.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<VolumeClaimTemplate>,
}

impl InstanceTemplate {
    /// Number of pods; default 1.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }
}
