//! `Cluster`: a database with all its components, optionally born from a backup.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{ResourceRequirements, Volume};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::account::{ComponentSystemAccount, Issuer};
use super::cluster_backup::{ClusterBackup, ClusterRestore};
use super::cluster_status::ClusterStatus;
use super::config::ClusterComponentConfig;
use super::instance::{InstanceTemplate, InstanceUpdateStrategy, Ordinals, PodUpdatePolicy, SchedulingPolicy};
use super::network::{ComponentNetwork, ServiceRef};
use super::service::{ClusterComponentService, ClusterService};
use super::shared::{ClaimRetentionPolicy, EnvEntry, TerminationPolicy, VolumeClaimTemplate};
use crate::lenient::{null_default, with_quantities};
use crate::open::Open;
use crate::schema;

/// A database with all its components, optionally born from a backup.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "Cluster",
    plural = "clusters",
    category = "kubeblocks",
    category = "all",
    namespaced,
    status = "ClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A database with all its components, optionally born from a backup.",
    printcolumn = r#"{"name":"CLUSTER-DEFINITION","type":"string","jsonPath":".spec.clusterDef"}"#,
    printcolumn = r#"{"name":"TERMINATION-POLICY","type":"string","jsonPath":".spec.terminationPolicy"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"RESTORE","type":"string","jsonPath":".status.conditions[?(@.type==\"Restore\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
#[schemars(extend(
    "x-kubernetes-validations" = schema::rule(
        "!has(oldSelf.topology) || has(self.topology)",
        "topology cannot be removed",
    ),
))]
pub struct ClusterSpec {
    /// Definition whose topologies may be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 63),
        extend(
            "pattern" = schema::DEFINITION_PATTERN,
            "x-kubernetes-validations" = schema::immutable("spec.clusterDef"),
        ),
    )]
    pub cluster_def: Option<String>,
    /// Topology of the definition; its default one if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = schema::immutable("spec.topology")))]
    pub topology: Option<String>,
    /// What deletion takes away.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub termination_policy: TerminationPolicy,
    /// Its components.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 128),
        extend("x-kubernetes-validations" = schema::rule(COMPONENTS_RULE, COMPONENTS_MESSAGE)),
    )]
    pub component_specs: Vec<ClusterComponentSpec>,
    /// Its shardings.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(min = 1, max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]),
    )]
    pub shardings: Vec<ClusterSharding>,
    /// Runtime class of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_class_name: Option<String>,
    /// Where pods run, unless a component says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// Services of the whole Cluster.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
    pub services: Vec<ClusterService>,
    /// How it is backed up; read by dp only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<ClusterBackup>,
    /// Where its data comes from; only on creation, removable once restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("spec.restore")))]
    pub restore: Option<ClusterRestore>,
}

lenient_spec!(ClusterSpec);

/// Names are unique, and either each component names its definition or the topology does.
const COMPONENTS_RULE: &str = "self.all(x, size(self.filter(c, c.name == x.name)) == 1) && \
    self.all(x, size(self.filter(c, has(c.componentDef))) == 0) || \
    self.all(x, size(self.filter(c, has(c.componentDef))) == size(self))";
const COMPONENTS_MESSAGE: &str = "names must be unique, and either all components name a componentDef or none";

/// One component of a Cluster, or the template of a sharding's shards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterComponentSpec {
    /// Name; matches the topology's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 22), extend("pattern" = schema::COMPONENT_NAME_PATTERN))]
    pub name: Option<String>,
    /// Definition: exact name, prefix or expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("pattern" = schema::DEFINITION_PATTERN))]
    pub component_def: Option<String>,
    /// Version; the newest if absent.
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
    /// Number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(required, !default, range(min = 0), extend("default" = 1))]
    pub replicas: Option<i32>,
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
    /// Changes to its Services.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ClusterComponentService>,
    /// Changes to its accounts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub system_accounts: Vec<ComponentSystemAccount>,
    /// What is supplied for its templates.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<ClusterComponentConfig>,
    /// Whether TLS is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<bool>,
    /// Who issues certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Issuer>,
    /// Services outside that it uses.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub service_refs: Vec<ServiceRef>,
    /// Where its pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
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
    /// Pods that differ from the others.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::named_instances")]
    pub instances: Vec<Open<InstanceTemplate>>,
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
    /// Whether it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<bool>,
    /// Whether metrics are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_exporter: Option<bool>,
    /// Whether the reference makes `Instance` objects; not served by this release.
    #[serde(rename = "enableInstanceAPI", default, skip_serializing_if = "Option::is_none")]
    pub enable_instance_api: Option<bool>,
}

impl ClusterComponentSpec {
    /// Number of pods; default 1.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    /// Whether it is stopped; default false.
    pub fn stop(&self) -> bool {
        self.stop.unwrap_or_default()
    }
}

/// Equal components that share the data.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterSharding {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(
        !default,
        length(max = 15),
        extend(
            "pattern" = schema::NAME_PATTERN,
            "x-kubernetes-validations" = schema::immutable("spec.shardings[].name"),
        ),
    )]
    pub name: String,
    /// Definition: exact name, prefix or expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub sharding_def: Option<String>,
    /// Each shard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<ClusterComponentSpec>,
    /// Number of shards.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, range(min = 0, max = 2048))]
    pub shards: i32,
    /// Shards that differ from the others; kept, not served by this release.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub shard_templates: Vec<Open<ShardTemplate>>,
    /// Shards to take away.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<String>,
}

/// Shards that differ from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardTemplate {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Number of shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shards: Option<i32>,
    /// Identities of existing shards.
    #[serde(rename = "shardIDs", default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub shard_ids: Vec<String>,
    /// Definition of the sharding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharding_def: Option<String>,
    /// Definition of the shards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version: Option<String>,
    /// Number of pods; default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Labels.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Environment.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<EnvEntry>,
    /// Where pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduling_policy: Option<SchedulingPolicy>,
    /// Resources of the first container.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequirements>,
    /// Claims of each pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<VolumeClaimTemplate>,
    /// Pods that differ from the others.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub instances: Vec<Open<InstanceTemplate>>,
    /// Whether all pods share one row of ordinals.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flat_instance_ordinal: Option<bool>,
    /// Ordinals of the pods without a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinals: Option<Ordinals>,
}
