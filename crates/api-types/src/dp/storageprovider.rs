//! `StorageProvider`: templates that turn a repository's parameters into objects.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Whether a provider can be used.
    closed StorageProviderPhase {
        /// Its CSI driver is missing.
        NotReady => "NotReady",
        /// Usable.
        Ready => "Ready",
    }
}

/// Templates that turn a repository's parameters into objects.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "dataprotection.kubeblocks.io",
    version = "v1alpha1",
    kind = "StorageProvider",
    plural = "storageproviders",
    category = "kubeblocks",
    status = "StorageProviderStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "Templates that turn a repository's parameters into objects.",
    printcolumn = r#"{"name":"STATUS","type":"string","jsonPath":".status.phase"}"#,
    printcolumn = r#"{"name":"CSIDRIVER","type":"string","jsonPath":".spec.csiDriverName"}"#,
    printcolumn = r#"{"name":"AGE","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase", remote = "Self")]
pub struct StorageProviderSpec {
    /// CSI driver that mounts the storage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi_driver_name: Option<String>,
    /// Go template: YAML map of the driver's secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub csi_driver_secret_template: Option<String>,
    /// Go template: a `StorageClass`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage_class_template: Option<String>,
    /// Go template: a `PersistentVolumeClaim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim_template: Option<String>,
    /// Go template: the configuration file of the data mover.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub datasafed_config_template: Option<String>,
    /// Schema of the parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parameters_schema: Option<StorageProviderParametersSchema>,
}

lenient_spec!(StorageProviderSpec);

/// Schema of a provider's parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageProviderParametersSchema {
    /// An `OpenAPI` v3 schema, kept as it was written.
    #[serde(default, rename = "openAPIV3Schema", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::any_object")]
    pub open_api_v3_schema: Option<Value>,
    /// Parameters that belong into the credential secret.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub credential_fields: Vec<String>,
}

/// What the operator found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StorageProviderStatus {
    /// Whether it can be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<StorageProviderPhase>,
    /// `CSIDriverInstalled`.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::core::conditions")]
    pub conditions: Vec<Condition>,
}
