//! `BackupRepo`: a place where backups are stored.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::SecretReference;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::shared::DeletionPolicy;
use crate::lenient::{null_default, quantity};
use crate::schema;

wire_enum! {
    /// How pods reach the repository.
    closed AccessMethod = Mount {
        /// A mounted volume.
        Mount => "Mount",
        /// The data mover, with a configuration file.
        Tool => "Tool",
    }
}

wire_enum! {
    /// Where a repository is in its life.
    closed BackupRepoPhase {
        /// Being tried.
        PreChecking => "PreChecking",
        /// Unusable; its conditions say why.
        Failed => "Failed",
        /// Usable.
        Ready => "Ready",
        /// Being removed.
        Deleting => "Deleting",
    }
}

/// A place where backups are stored.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "BackupRepo",
    plural = "backuprepos",
    category = "kubeblocks",
    status = "BackupRepoStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A place where backups are stored.",
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"STORAGEPROVIDER","type":"string","jsonPath":".spec.storageProviderRef"}"#,
    printcolumn = r#"{"name":"ACCESSMETHOD","type":"string","jsonPath":".spec.accessMethod"}"#,
    printcolumn = r#"{"name":"DEFAULT","type":"boolean","jsonPath":".status.isDefault"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#,
    printcolumn = r#"{"name":"WAITING-FOR","type":"string","jsonPath":".status.conditions[?(@.status!=\"True\")].reason"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct BackupRepoSpec {
    /// Provider that renders its objects.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("x-kubernetes-validations" = schema::immutable("spec.storageProviderRef")))]
    pub storage_provider_ref: String,
    /// How pods reach it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "Mount"))]
    pub access_method: Option<AccessMethod>,
    /// Size of its volume, with Mount access.
    #[serde(default, deserialize_with = "quantity", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::quantity")]
    pub volume_capacity: Option<Quantity>,
    /// What happens to its volume when it is deleted.
    #[serde(default, rename = "pvReclaimPolicy", deserialize_with = "null_default")]
    #[schemars(!default)]
    pub pv_reclaim_policy: DeletionPolicy,
    /// Parameters of the provider.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub config: BTreeMap<String, String>,
    /// Secret with further parameters; they win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_reference")]
    pub credential: Option<SecretReference>,
    /// Directory that all backups go below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("pattern" = schema::PATH_PREFIX_PATTERN))]
    pub path_prefix: Option<String>,
    /// Namespaces that may use it, each with keys of its own; all namespaces, with the key of `credential`, where empty.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<BackupRepoNamespace>,
}

/// A namespace that may use a repository (design D23). Each of its Secrets takes the place of the repository's `credential`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRepoNamespace {
    /// Its name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Secret with the key that backups are written with; it needs no right to delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_reference")]
    pub credential: Option<SecretReference>,
    /// Secret with the key that restores read with; that of `credential` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_reference")]
    pub read_credential: Option<SecretReference>,
    /// Secret with the key that files of deleted backups are removed with; that of `credential` where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_reference")]
    pub delete_credential: Option<SecretReference>,
}

lenient_spec!(BackupRepoSpec);

impl BackupRepoSpec {
    /// How pods reach it; default `Mount`.
    pub fn access_method(&self) -> AccessMethod {
        self.access_method.clone().unwrap_or_default()
    }
}

/// What the operator made and found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupRepoStatus {
    /// Where it is in its life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<BackupRepoPhase>,
    /// Each step towards `Ready`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
    /// Generation this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Secret of the CSI driver.
    #[serde(default, rename = "generatedCSIDriverSecret", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_reference")]
    pub generated_csi_driver_secret: Option<SecretReference>,
    /// Storage class of its volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generated_storage_class_name: Option<String>,
    /// Name of its claim in each namespace that uses it.
    #[serde(default, rename = "backupPVCName", skip_serializing_if = "Option::is_none")]
    pub backup_pvc_name: Option<String>,
    /// Name of its mover configuration in each namespace that uses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_config_secret_name: Option<String>,
    /// Whether policies without a repository use it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_default: Option<bool>,
    /// Namespaces that hold its claim or its mover configuration, sorted.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub prepared_namespaces: Vec<String>,
    /// Pre-checks that failed since the last that passed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_checks: Option<i32>,
    /// Digest of the settings that the last pre-check was made for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_digest: Option<String>,
    /// Token of the last pre-check that was asked for (annotation `holdfast.dev/recheck`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_recheck: Option<String>,
}

impl BackupRepo {
    /// Whether it can be used now.
    pub fn is_ready(&self) -> bool {
        self.status.as_ref().and_then(|status| status.phase.as_ref()) == Some(&BackupRepoPhase::Ready)
    }
}
