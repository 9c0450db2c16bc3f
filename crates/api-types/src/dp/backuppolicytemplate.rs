//! `BackupPolicyTemplate`: the policy and schedules an addon offers for its components.

use k8s_openapi::api::core::v1::ResourceRequirements;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::method::{RuntimeSettings, TargetVolumeInfo};
use super::shared::{Phase, RetentionPolicy, SchedulePolicy};
use super::target::{ContainerPort, PodSelectionStrategy};
use crate::lenient::null_default;
use crate::schema;

/// The policy and schedules an addon offers for its components.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "BackupPolicyTemplate",
    plural = "backuppolicytemplates",
    shortname = "bpt",
    category = "kubeblocks",
    status = "BackupPolicyTemplateStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The policy and schedules an addon offers for its components.",
    printcolumn = r#"{"name":"SERVICE-KIND","type":"string","jsonPath":".spec.serviceKind"}"#,
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BackupPolicyTemplateSpec {
    /// Kind of service, such as `PostgreSQL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxLength" = 32))]
    pub service_kind: Option<String>,
    /// Component definitions it is for: names, prefixes or regular expressions.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(min = 1, max = 128))]
    pub comp_defs: Vec<String>,
    /// Which pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetInstance>,
    /// Schedules of the generated object.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<SchedulePolicy>,
    /// Methods of the generated policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub backup_methods: Vec<BackupMethodTemplate>,
    /// Attempts of a Job after the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 2, "minimum" = 0, "maximum" = 10))]
    pub backoff_limit: Option<i32>,
    /// Which backups expiry spares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<RetentionPolicy>,
}

lenient_spec!(BackupPolicyTemplateSpec);

/// Which pods of a component are the target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TargetInstance {
    /// Role of the pods; empty is any.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub role: String,
    /// Role tried when no pod has the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback_role: Option<String>,
    /// System account the actions use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// One pod or all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<PodSelectionStrategy>,
    /// Use the pods of the parent backup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub use_parent_selected_pods: Option<bool>,
    /// Port of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container_port: Option<ContainerPort>,
}

impl TargetInstance {
    /// One pod or all; absent and empty are `Any`.
    pub fn strategy(&self) -> PodSelectionStrategy {
        self.strategy.clone().filter(|strategy| !strategy.as_str().is_empty()).unwrap_or_default()
    }
}

/// A method of a template: as a policy's, with env by service version and a target by role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupMethodTemplate {
    /// Name within the policy.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("pattern" = schema::NAME_PATTERN))]
    pub name: String,
    /// Method whose backups may be parents of this one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::NAME_PATTERN))]
    pub compatible_method: Option<String>,
    /// Take volume snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub snapshot_volumes: Option<bool>,
    /// Action set that does the work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_set_name: Option<String>,
    /// Volumes that hold the data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_volumes: Option<TargetVolumeInfo>,
    /// Environment of the actions.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<TemplateEnvVar>,
    /// Settings of the pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime_settings: Option<RuntimeSettings>,
    /// Target of this method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetInstance>,
}

impl BackupMethodTemplate {
    /// Whether volume snapshots are taken; default false.
    pub fn snapshot_volumes(&self) -> bool {
        self.snapshot_volumes.unwrap_or_default()
    }

    /// Requests and limits of the action container, if any are set.
    pub fn resources(&self) -> Option<&ResourceRequirements> {
        self.runtime_settings.as_ref()?.resources.as_ref()
    }
}

/// An environment variable of a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateEnvVar {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Literal value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Value by service version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<TemplateValueFrom>,
}

/// Where the value of a template's variable comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateValueFrom {
    /// Values by service version; an exact version wins over a prefix or expression.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub version_mapping: Vec<VersionMapping>,
}

/// One value and the service versions it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionMapping {
    /// Versions: exact, prefixes or regular expressions.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service_versions: Vec<String>,
    /// The value.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub mapped_value: String,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupPolicyTemplateStatus {
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Component definitions in the cluster that it is for.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub matched_comp_defs: Vec<String>,
}
