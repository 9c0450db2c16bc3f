//! Variables of a component: literal, read from an object, or computed.

use k8s_openapi::api::core::v1::{ConfigMapKeySelector, SecretKeySelector};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::var_refs::{
    ClusterVarRef, ComponentVarRef, CredentialVarRef, HostNetworkVarRef, ResourceVarRef, ServiceRefVarRef,
    ServiceVarRef, TlsVarRef,
};
use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// What an unresolved variable means.
    closed VarOption {
        /// Everything waits for it.
        Required => "Required",
        /// It is left out.
        Optional => "Optional",
    }
}

/// One variable.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Var {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Literal value; may use earlier variables as `$(NAME)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where its value is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<VarSource>,
    /// Template over the value and earlier variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expression: Option<String>,
}

/// Where a value is read; exactly one is expected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VarSource {
    /// Key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_key_selector")]
    pub config_map_key_ref: Option<ConfigMapKeySelector>,
    /// Key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::core::secret_key_selector")]
    pub secret_key_ref: Option<SecretKeySelector>,
    /// Port on the node's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_network_var_ref: Option<HostNetworkVarRef>,
    /// Service of a component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_var_ref: Option<ServiceVarRef>,
    /// Account of a component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_var_ref: Option<CredentialVarRef>,
    /// TLS of a component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_var_ref: Option<TlsVarRef>,
    /// Service outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref_var_ref: Option<ServiceRefVarRef>,
    /// Resources of a component.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_var_ref: Option<ResourceVarRef>,
    /// Component itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_var_ref: Option<ComponentVarRef>,
    /// Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_var_ref: Option<ClusterVarRef>,
}

/// Something of a name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NamedVar {
    /// Name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it means when it is unresolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<VarOption>,
}

/// Something of a role.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RoledVar {
    /// Role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// What it means when it is unresolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<VarOption>,
}

/// A port of a container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostNetworkContainerVar {
    /// Container.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NamedVar>,
}

/// What several matching components mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultipleClusterObjectOption {
    /// Whether all of them must exist.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_all_component_objects: Option<bool>,
    /// `individual`: a variable each; `combined`: one for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// How they are combined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub combined_option: Option<MultipleClusterObjectCombinedOption>,
}

/// How several values become one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MultipleClusterObjectCombinedOption {
    /// Suffix of a variable besides the plain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_var_suffix: Option<String>,
    /// Format; default `Flatten`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_format: Option<String>,
    /// Delimiters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flatten_format: Option<FlattenFormat>,
}

/// Delimiters of a flat list of pairs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FlattenFormat {
    /// Between pairs; default `,`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// Between component and value; default `:`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_value_delimiter: Option<String>,
}

impl MultipleClusterObjectOption {
    /// Whether the values become one variable.
    pub fn is_combined(&self) -> bool {
        self.strategy.as_deref() == Some("combined")
    }

    /// Delimiter between pairs, and between component and value.
    pub fn delimiters(&self) -> (&str, &str) {
        let format = self.combined_option.as_ref().and_then(|option| option.flatten_format.as_ref());
        let pairs = format.and_then(|format| format.delimiter.as_deref());
        let inner = format.and_then(|format| format.key_value_delimiter.as_deref());
        (pairs.unwrap_or(","), inner.unwrap_or(":"))
    }
}
