//! The state of an `InstanceSet` and of each of its instances.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance_set::{InstanceCurrentState, InstanceDesiredState};
use crate::apps::Ordinals;
use crate::lenient::null_default;
use crate::schema;

/// The state of an instance set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSetStatus {
    /// Generation this state is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Pods there are.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub replicas: i32,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Pods that are available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<i32>,
    /// Pods of the current revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// Pods of the new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
    /// Revision of the pods that are not updated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<String>,
    /// Revision of the pods that are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// What holds, and what it waits for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions_by_type")]
    pub conditions: Vec<Condition>,
    /// Pods at its creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init_replicas: Option<i32>,
    /// Those of them that were ready once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_init_replicas: Option<i32>,
    /// State of each instance.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub instance_status: Vec<InstanceStatus>,
    /// Current revision by pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub current_revisions: BTreeMap<String, String>,
    /// New revision by pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub update_revisions: BTreeMap<String, String>,
    /// New revision by pod, where the update waits.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub deferred_updated_revisions: BTreeMap<String, String>,
    /// State of each template.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub templates_status: Vec<InstanceTemplateStatus>,
    /// Ordinals in use by template.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub assigned_ordinals: BTreeMap<String, Ordinals>,
}

/// The state of one instance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceStatus {
    /// Pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(required, !default, extend("default" = "Unknown"))]
    pub pod_name: Option<String>,
    /// Template it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_name: Option<String>,
    /// Whether its pod should be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_state: Option<InstanceDesiredState>,
    /// Whether its pod is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_state: Option<InstanceCurrentState>,
    /// Revision of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_revision: Option<String>,
    /// Revision its pod should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update_revision: Option<String>,
    /// Whether both are the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_date: Option<bool>,
    /// Whether its pod is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<bool>,
    /// Whether its pod is available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available: Option<bool>,
    /// Whether its pod failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<bool>,
    /// Role of its pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Configuration of its pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<InstanceConfigStatus>,
    /// Whether a claim is growing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_expansion: Option<bool>,
}

/// A configuration of a pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceConfigStatus {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Digest of the files it uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
}

/// The state of one template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceTemplateStatus {
    /// Template.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Pods there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Pods that are ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_replicas: Option<i32>,
    /// Pods that are available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub available_replicas: Option<i32>,
    /// Pods of the current revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current_replicas: Option<i32>,
    /// Pods of the new revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_replicas: Option<i32>,
}
