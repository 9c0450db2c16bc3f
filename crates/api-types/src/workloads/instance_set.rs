//! `InstanceSet`: the pods and claims of one component.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    ObjectReference, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, PodTemplateSpec, ResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::instance_set_status::InstanceSetStatus;
use crate::apps::Action;
use crate::apps::ReplicaRole;
use crate::apps::{ClaimRetentionPolicy, EnvEntry, PodManagementPolicy, UpdateStrategy};
use crate::apps::{InstanceUpdateStrategy, Ordinals, SchedulingPolicy};
use crate::dp::ClaimMetadata;
use crate::lenient::{null_default, with_quantities};
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// How a running pod is changed.
    open InstancePodUpdatePolicy = PreferInPlace {
        /// Only in place; what cannot be is refused.
        StrictInPlace => "StrictInPlace",
        /// In place where possible, else made again.
        PreferInPlace => "PreferInPlace",
        /// Always made again.
        ReCreate => "ReCreate",
    }
}

wire_enum! {
    /// Whether an instance's pod is there.
    closed InstanceCurrentState {
        /// It is.
        Present => "Present",
        /// It is going.
        Terminating => "Terminating",
        /// It is not.
        Absent => "Absent",
    }
}

wire_enum! {
    /// Whether an instance's pod should be there.
    closed InstanceDesiredState {
        /// It should.
        Active => "Active",
        /// It should not, its claims stay.
        Offline => "Offline",
        /// Neither should its claims.
        Released => "Released",
    }
}

/// The pods and claims of one component.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "workloads.kubeblocks.io",
    version = "v1",
    kind = "InstanceSet",
    plural = "instancesets",
    shortname = "its",
    category = "kubeblocks",
    namespaced,
    status = "InstanceSetStatus",
    scale = r#"{"specReplicasPath":".spec.replicas","statusReplicasPath":".status.replicas"}"#,
    derive = "PartialEq",
    derive = "Default",
    doc = "The pods and claims of one component.",
    printcolumn = r#"{"name":"DESIRED","type":"integer","jsonPath":".spec.replicas"}"#,
    printcolumn = r#"{"name":"UP-TO-DATE","type":"integer","jsonPath":".status.updatedReplicas"}"#,
    printcolumn = r#"{"name":"READY","type":"integer","jsonPath":".status.readyReplicas"}"#,
    printcolumn = r#"{"name":"AVAILABLE","type":"integer","jsonPath":".status.availableReplicas"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"RESTORE","type":"string","jsonPath":".status.conditions[?(@.type==\"Restore\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct InstanceSetSpec {
    /// Number of pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("default" = 1))]
    pub replicas: Option<i32>,
    /// Seconds a pod must be ready to be available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0), extend("default" = 0))]
    pub min_ready_seconds: Option<i32>,
    /// Labels of its pods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, schema_with = "schema::core::label_selector")]
    pub selector: LabelSelector,
    /// Pod of each instance.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub template: Open<PodTemplateSpec>,
    /// Claims of each pod.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<ClaimTemplate>,
    /// What happens to claims of pods that go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_retention_policy: Option<ClaimRetentionPolicy>,
    /// Pods that differ from the others.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"]))]
    pub instances: Vec<InstanceSetTemplate>,
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
    /// In which order pods are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_management_policy: Option<PodManagementPolicy>,
    /// Pods made or deleted at once, number or percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::int_or_string")]
    pub parallel_pod_management_concurrency: Option<IntOrString>,
    /// How a running pod is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_update_policy: Option<InstancePodUpdatePolicy>,
    /// How a pod with a new image is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_upgrade_policy: Option<InstancePodUpdatePolicy>,
    /// How a changed template reaches the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance_update_strategy: Option<InstanceUpdateStrategy>,
    /// In which order pods are updated, by role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member_update_strategy: Option<UpdateStrategy>,
    /// Roles of pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<ReplicaRole>,
    /// Actions it runs itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifecycle_actions: Option<InstanceSetLifecycleActions>,
    /// Configuration of the pods.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub configs: Vec<InstanceSetConfig>,
    /// Whether nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
    /// Whether it is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<bool>,
    /// Whether no headless Service is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub disable_default_headless_service: Option<bool>,
    /// Whether the reference makes `Instance` objects; not served by this release.
    #[serde(rename = "enableInstanceAPI", default, skip_serializing_if = "Option::is_none")]
    pub enable_instance_api: Option<bool>,
    /// Objects the reference copies with each `Instance`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::object_references")]
    pub instance_assistant_objects: Vec<ObjectReference>,
}

lenient_spec!(InstanceSetSpec);

impl InstanceSetSpec {
    /// Number of pods; default 1.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    /// In which order pods are made; default one after the other.
    pub fn pod_management_policy(&self) -> PodManagementPolicy {
        let policy = self.pod_management_policy.clone();
        policy.filter(|policy| !policy.as_str().is_empty()).unwrap_or_default()
    }

    /// Whether it is stopped; default false.
    pub fn stop(&self) -> bool {
        self.stop.unwrap_or_default()
    }

    /// Whether nothing is changed; default false.
    pub fn paused(&self) -> bool {
        self.paused.unwrap_or_default()
    }
}

/// A claim for each pod, in the shape of the core object.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimTemplate {
    /// Version, as somebody wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Kind, as somebody wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Name, labels and annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<ClaimMetadata>,
    /// Spec of the claims.
    #[serde(default, deserialize_with = "with_quantities", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::claim_spec")]
    pub spec: Option<PersistentVolumeClaimSpec>,
    /// Without meaning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Open<PersistentVolumeClaimStatus>>,
}

impl ClaimTemplate {
    /// Name, also of the volume in the pod.
    pub fn name(&self) -> &str {
        self.metadata.as_ref().and_then(|metadata| metadata.name.as_deref()).unwrap_or_default()
    }
}

/// Pods that differ from the others.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSetTemplate {
    /// Name; part of the pod names.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 54), extend("pattern" = schema::NAME_PATTERN))]
    pub name: String,
    /// How many of the pods.
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
    /// Images by container.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, String>,
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
    /// Claims; one of the same name replaces the other as a whole.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub volume_claim_templates: Vec<ClaimTemplate>,
}

impl InstanceSetTemplate {
    /// Number of pods; default 1.
    pub fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }
}

/// Actions an instance set runs itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSetLifecycleActions {
    /// Variables of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub template_vars: BTreeMap<String, String>,
    /// Moves a role to another pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub switchover: Option<Action>,
    /// Applies changed configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure: Option<Action>,
}

/// A configuration of the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InstanceSetConfig {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Digest of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_hash: Option<String>,
    /// Whether a change restarts the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<bool>,
    /// How a change is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure: Option<Action>,
    /// Name of that action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconfigure_action_name: Option<String>,
    /// Changed parameters.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, String>,
    /// Arguments, one list for each call.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub reconfigure_args: Vec<Vec<String>>,
}
