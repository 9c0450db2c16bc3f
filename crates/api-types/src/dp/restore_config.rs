//! The two stages of a `Restore`: volumes filled before the database starts, and what runs
//! against the started database.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, PersistentVolumeClaimSpec, Toleration, TopologySpreadConstraint, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::BaseJobActionSpec;
use super::target::{ConnectionCredential, PodSelector};
use crate::lenient::{null_default, with_quantities};
use crate::schema;

wire_enum! {
    /// In which order volumes are filled.
    closed VolumeClaimRestorePolicy = Parallel {
        /// All at once.
        Parallel => "Parallel",
        /// One after the other.
        Serial => "Serial",
    }
}

wire_enum! {
    /// How the pods of a backup map to those of the restored database.
    open DataRestorePolicy = OneToOne {
        /// Pod to pod.
        OneToOne => "OneToOne",
        /// One source pod for all.
        OneToMany => "OneToMany",
    }
}

/// The rule of a volume that names its source or its mount path.
const SOURCE_OR_PATH: &str = "self.volumeSource != '' || self.mountPath !=''";
const SOURCE_OR_PATH_MESSAGE: &str = "set volumeSource or mountPath";

/// Volumes to fill before the database starts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrepareDataConfig {
    /// Which source pod each restored pod takes, for backups of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_policy_for_all_pod_selection: Option<RequiredPolicyForAllPodSelection>,
    /// Makes this restore a data source of claims instead of filling volumes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::rule(
        "self.volumeSource != '' || self.mountPath !='' && self == oldSelf",
        "set volumeSource or mountPath; prepareDataConfig.dataSourceRef is immutable",
    )))]
    pub data_source_ref: Option<VolumeConfig>,
    /// Claims to create and fill.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("prepareDataConfig.volumeClaims")))]
    pub volume_claims: Vec<RestoreVolumeClaim>,
    /// Claims to create and fill for each replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend(
        "x-kubernetes-validations" = schema::immutable("prepareDataConfig.volumeClaimsTemplate")
    ))]
    pub volume_claims_template: Option<RestoreVolumeClaimsTemplate>,
    /// In which order volumes are filled.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "Parallel"))]
    pub volume_claim_restore_policy: VolumeClaimRestorePolicy,
    /// Where the pods run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-kubernetes-validations" = schema::immutable("prepareDataConfig.schedulingSpec")))]
    pub scheduling_spec: Option<SchedulingSpec>,
}

/// Which source pod each restored pod takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RequiredPolicyForAllPodSelection {
    /// Pod to pod, or one for all.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "OneToOne"))]
    pub data_restore_policy: DataRestorePolicy,
    /// The one source pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_of_one_to_many: Option<SourceOfOneToMany>,
}

/// The one source pod of a restore.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceOfOneToMany {
    /// Its name in the backup.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub target_pod_name: String,
}

/// A volume of the backup, by name or by mount path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VolumeConfig {
    /// Name of the volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_source: Option<String>,
    /// Where the action finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
}

/// A claim to create and fill.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rule(SOURCE_OR_PATH, SOURCE_OR_PATH_MESSAGE)))]
pub struct RestoreVolumeClaim {
    /// Metadata of the claim.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub metadata: ClaimMetadata,
    /// Spec of the claim.
    #[serde(default, deserialize_with = "with_quantities")]
    #[schemars(!default, schema_with = "schema::core::claim_spec")]
    pub volume_claim_spec: PersistentVolumeClaimSpec,
    /// Volume of the backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume_source: Option<String>,
    /// Where the action finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_path: Option<String>,
}

/// The part of object metadata that a claim of a restore may set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimMetadata {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Labels.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Finalizers.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
}

impl From<ClaimMetadata> for ObjectMeta {
    fn from(meta: ClaimMetadata) -> Self {
        Self {
            name: meta.name,
            namespace: meta.namespace,
            labels: Some(meta.labels).filter(|labels| !labels.is_empty()),
            annotations: Some(meta.annotations).filter(|annotations| !annotations.is_empty()),
            finalizers: Some(meta.finalizers).filter(|finalizers| !finalizers.is_empty()),
            ..Self::default()
        }
    }
}

/// Claims to create and fill for each replica.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreVolumeClaimsTemplate {
    /// The claims of one replica.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub templates: Vec<RestoreVolumeClaim>,
    /// Number of replicas.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("minimum" = 1))]
    pub replicas: i32,
    /// Ordinal of the first replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("minimum" = 0))]
    pub starting_index: Option<i32>,
}

impl RestoreVolumeClaimsTemplate {
    /// Ordinal of the first replica; default 0.
    pub fn starting_index(&self) -> i32 {
        self.starting_index.unwrap_or_default()
    }
}

/// Where pods run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SchedulingSpec {
    /// Taints to accept.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::any_objects")]
    pub tolerations: Vec<Toleration>,
    /// Labels of the node.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::core::atomic_text_map")]
    pub node_selector: BTreeMap<String, String>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_name: Option<String>,
    /// Affinities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::any_object")]
    pub affinity: Option<Affinity>,
    /// Spreading rules.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::any_objects")]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// The scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduler_name: Option<String>,
}

/// What runs against the started database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rule(
    "has(self.jobAction) || has(self.execAction)",
    "set jobAction or execAction",
)))]
pub struct ReadyConfig {
    /// Where Job actions run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_action: Option<ReadyJobAction>,
    /// Where exec actions run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec_action: Option<ReadyExecAction>,
    /// Credentials of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_credential: Option<ConnectionCredential>,
    /// How to see that the database is ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readiness_probe: Option<ReadinessProbe>,
}

/// Where Job actions run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyJobAction {
    /// Which source pod each restored pod takes, for backups of all pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub required_policy_for_all_pod_selection: Option<RequiredPolicyForAllPodSelection>,
    /// Which pods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub target: ReadyJobTarget,
}

/// Pods of the started database, and which of their volumes an action mounts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyJobTarget {
    /// Which pods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub pod_selector: PodSelector,
    /// Volumes of the pod to mount.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::volume_mounts")]
    pub volume_mounts: Vec<VolumeMount>,
}

/// Where exec actions run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyExecAction {
    /// Which pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<ReadyExecTarget>,
}

/// Pods of the started database.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadyExecTarget {
    /// Which pods.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, schema_with = "schema::core::label_selector")]
    pub pod_selector: LabelSelector,
}

/// How to see that the database is ready.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessProbe {
    /// Seconds before the first look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::plain_integer", extend("minimum" = 0))]
    pub initial_delay_seconds: Option<i64>,
    /// Seconds one look may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::plain_integer", extend("minimum" = 1, "default" = 30))]
    pub timeout_seconds: Option<i64>,
    /// Seconds between two looks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::plain_integer", extend("minimum" = 1, "default" = 5))]
    pub period_seconds: Option<i64>,
    /// What to run; success is exit 0.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub exec: BaseJobActionSpec,
}

impl ReadinessProbe {
    /// Seconds one look may take; default 30.
    pub fn timeout_seconds(&self) -> i64 {
        self.timeout_seconds.unwrap_or(30)
    }

    /// Seconds between two looks; default 5.
    pub fn period_seconds(&self) -> i64 {
        self.period_seconds.unwrap_or(5)
    }
}
