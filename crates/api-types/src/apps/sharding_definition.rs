//! `ShardingDefinition`: how equal components share data.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::action::ShardingAction;
use super::shared::{DefinitionPhase, UpdateStrategy};
use crate::lenient::null_default;
use crate::schema;

/// How equal components share data.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "apps.kubeblocks.io",
    version = "v1",
    kind = "ShardingDefinition",
    plural = "shardingdefinitions",
    shortname = "sdd",
    category = "kubeblocks",
    status = "ShardingDefinitionStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "How equal components share data.",
    printcolumn = r#"{"name":"TEMPLATE","type":"string","jsonPath":".spec.template.compDef"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct ShardingDefinitionSpec {
    /// Each shard.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub template: ShardingTemplate,
    /// How many shards there may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::rule(SHARDS_RULE, SHARDS_MESSAGE)))]
    pub shards_limit: Option<ShardsLimit>,
    /// In which order shards are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Serial"))]
    pub provision_strategy: Option<UpdateStrategy>,
    /// In which order shards are updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Serial"))]
    pub update_strategy: Option<UpdateStrategy>,
    /// Actions at moments of its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle_actions: Option<ShardingLifecycleActions>,
    /// Accounts.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub system_accounts: Vec<ShardingSystemAccount>,
    /// TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ShardingTls>,
}

lenient_spec!(ShardingDefinitionSpec);

const SHARDS_RULE: &str = "self.minShards >= 0 && self.maxShards <= 2048 && self.minShards <= self.maxShards";
const SHARDS_MESSAGE: &str = "minShards must be at least 0 and at most maxShards, which may be 2048";

/// Each shard.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingTemplate {
    /// Definition: exact name, prefix or expression.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub comp_def: String,
}

/// How many shards there may be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardsLimit {
    /// At least.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub min_shards: i32,
    /// At most.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub max_shards: i32,
}

/// Actions at moments of a sharding's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingLifecycleActions {
    /// After it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_provision: Option<ShardingAction>,
    /// Before it is taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_terminate: Option<ShardingAction>,
    /// After a shard was added.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_add: Option<ShardingAction>,
    /// Before a shard is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shard_remove: Option<ShardingAction>,
}

/// An account of a sharding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingSystemAccount {
    /// Name in the component's definition.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Whether all shards have the same password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// TLS of a sharding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingTls {
    /// Whether all shards have the same certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shared: Option<bool>,
}

/// Whether the definition can be used.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingDefinitionStatus {
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
