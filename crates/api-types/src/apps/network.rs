//! Network of the pods, and services outside that they use.

use k8s_openapi::api::core::v1::{HostAlias, PodDNSConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;
use crate::schema;

/// A service outside the component that it uses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRef {
    /// Name in the definition's declarations.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Namespace of the other Cluster or descriptor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Service of another Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_service_selector: Option<ServiceRefClusterSelector>,
    /// Name of a `ServiceDescriptor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_descriptor: Option<String>,
}

/// A service of another Cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefClusterSelector {
    /// Name of the Cluster.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub cluster: String,
    /// The service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRefService>,
    /// Its pods.
    #[serde(rename = "podFQDNs", default, skip_serializing_if = "Option::is_none")]
    pub pod_fqdns: Option<ServiceRefPods>,
    /// Account to use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<ServiceRefCredential>,
}

/// A service of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefService {
    /// Component, or the Cluster itself if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// Name of the service.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub service: String,
    /// Name of the port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<String>,
}

/// Pods of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefPods {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component: String,
    /// Only pods of this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
}

/// An account of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefCredential {
    /// Component.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub component: String,
    /// Name of the account.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
}

/// A port of the node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostPort {
    /// Name of the container port.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Port of the node.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, range(min = 1, max = 65535))]
    pub port: i32,
}

/// Network of the pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentNetwork {
    /// Whether pods use the node's network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub host_network: Option<bool>,
    /// Ports of the node.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub host_ports: Vec<HostPort>,
    /// Policy of name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_policy: Option<String>,
    /// Settings of name resolution.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::pod::dns_config")]
    pub dns_config: Option<PodDNSConfig>,
    /// Lines of the hosts file.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::pod::host_aliases")]
    pub host_aliases: Vec<HostAlias>,
}
