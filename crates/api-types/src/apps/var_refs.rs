//! Objects that variables are read from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::vars::{HostNetworkContainerVar, MultipleClusterObjectOption, NamedVar, RoledVar, VarOption};
use crate::open::Open;

/// A port on the node's network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HostNetworkVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// The port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<HostNetworkContainerVar>,
}

/// A Service of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the Service; `headless` is the headless one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// Its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_type: Option<VarOption>,
    /// Its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<VarOption>,
    /// A port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<NamedVar>,
    /// Its address outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_balancer: Option<VarOption>,
}

/// An account of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CredentialVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// Its user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<VarOption>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<VarOption>,
}

/// TLS of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// Whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<VarOption>,
}

/// A service outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceRefVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the declaration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// Its endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<VarOption>,
    /// Its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<VarOption>,
    /// Its port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<VarOption>,
    /// Names of its pods.
    #[serde(rename = "podFQDNs", default, skip_serializing_if = "Option::is_none")]
    pub pod_fqdns: Option<VarOption>,
    /// Its user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<VarOption>,
    /// Its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<VarOption>,
}

/// Resources of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// CPU requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<VarOption>,
    /// Limit of CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_limit: Option<VarOption>,
    /// Memory requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<VarOption>,
    /// Limit of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit: Option<VarOption>,
    /// Size of a claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<NamedVar>,
}

/// A component itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentVarRef {
    /// Definition of the component; its own if empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comp_def: Option<String>,
    /// Name of the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether the object may be missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
    /// What several matching components mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiple_cluster_object_option: Option<Open<MultipleClusterObjectOption>>,
    /// Its full name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_name: Option<VarOption>,
    /// Its name in the Cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub short_name: Option<VarOption>,
    /// Number of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<VarOption>,
    /// Names of its pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_names: Option<VarOption>,
    /// Full host names of its pods.
    #[serde(rename = "podFQDNs", default, skip_serializing_if = "Option::is_none")]
    pub pod_fqdns: Option<VarOption>,
    /// Names of the pods of a role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_names_for_role: Option<RoledVar>,
    /// Full host names of the pods of a role.
    #[serde(rename = "podFQDNsForRole", default, skip_serializing_if = "Option::is_none")]
    pub pod_fqdns_for_role: Option<RoledVar>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_version: Option<VarOption>,
}

/// The Cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterVarRef {
    /// Its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<VarOption>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<VarOption>,
    /// Its UID.
    #[serde(rename = "clusterUID", default, skip_serializing_if = "Option::is_none")]
    pub cluster_uid: Option<VarOption>,
}

/// What every selector of a component's object has.
pub trait ComponentObjectRef {
    /// Definition of the component; `None` is its own.
    fn comp_def(&self) -> Option<&str>;
    /// Name of the object.
    fn name(&self) -> Option<&str>;
    /// Whether the object may be missing; default false.
    fn optional(&self) -> bool;
    /// What several matching components mean, as it was written.
    fn multiple(&self) -> Option<&Open<MultipleClusterObjectOption>>;
}

macro_rules! component_object_refs {
    ($($name:ident),+) => {$(
        impl ComponentObjectRef for $name {
            fn comp_def(&self) -> Option<&str> {
                self.comp_def.as_deref().filter(|name| !name.is_empty())
            }

            fn name(&self) -> Option<&str> {
                self.name.as_deref().filter(|name| !name.is_empty())
            }

            fn optional(&self) -> bool {
                self.optional.unwrap_or_default()
            }

            fn multiple(&self) -> Option<&Open<MultipleClusterObjectOption>> {
                self.multiple_cluster_object_option.as_ref()
            }
        }
    )+};
}

component_object_refs!(
    HostNetworkVarRef,
    ServiceVarRef,
    CredentialVarRef,
    TlsVarRef,
    ServiceRefVarRef,
    ResourceVarRef,
    ComponentVarRef
);
