//! The state of a `Cluster`, of its components and of its shardings.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::ComponentPhase;
use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Where a Cluster is in its life.
    closed ClusterPhase {
        /// Being made for the first time.
        Creating => "Creating",
        /// All components run.
        Running => "Running",
        /// Some component changes.
        Updating => "Updating",
        /// Pods are going.
        Stopping => "Stopping",
        /// No pods, on purpose.
        Stopped => "Stopped",
        /// Being taken away.
        Deleting => "Deleting",
        /// All components failed.
        Failed => "Failed",
        /// Some component failed.
        Abnormal => "Abnormal",
    }
}

wire_enum! {
    /// Where an action of a sharding is.
    closed ShardingActionPhase {
        /// Not started.
        Pending => "Pending",
        /// At work.
        Running => "Running",
        /// Done.
        Succeeded => "Succeeded",
        /// Given up.
        Failed => "Failed",
        /// Not needed.
        Skipped => "Skipped",
    }
}

/// The state of a Cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ClusterPhase>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// State of each component.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub components: BTreeMap<String, ClusterComponentStatus>,
    /// State of each sharding.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub shardings: BTreeMap<String, ClusterShardingStatus>,
    /// What holds, and what it waits for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterComponentStatus {
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// Why, by object or reason.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub message: BTreeMap<String, String>,
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether it is as its spec says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<bool>,
}

/// The state of a sharding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterShardingStatus {
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ComponentPhase>,
    /// Why, by object or reason.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub message: BTreeMap<String, String>,
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Whether it is as its spec says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<bool>,
    /// Definition in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sharding_def: Option<String>,
    /// Its action after it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post_provision: Option<ShardingActionStatus>,
    /// Its action before it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_terminate: Option<ShardingActionStatus>,
}

/// The state of an action of a sharding.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ShardingActionStatus {
    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<ShardingActionPhase>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}
