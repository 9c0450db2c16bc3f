//! Services of components and Clusters.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ServiceSpec;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;
use crate::open::Open;
use crate::schema;

wire_enum! {
    /// Type of a Service.
    closed ServiceType = ClusterIP {
        /// Inside the cluster.
        ClusterIP => "ClusterIP",
        /// On each node.
        NodePort => "NodePort",
        /// Outside.
        LoadBalancer => "LoadBalancer",
    }
}

/// A Service that a definition declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ComponentService {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 25))]
    pub name: String,
    /// Last part of the Service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 25), extend("pattern" = schema::SERVICE_NAME_PATTERN))]
    pub service_name: Option<String>,
    /// Annotations of the Service.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Spec of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Open<ServiceSpec>>,
    /// Only pods of this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_selector: Option<String>,
    /// Whether each pod has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub pod_service: Option<bool>,
    /// Whether it is made only on demand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disable_auto_provision: Option<bool>,
}

impl ComponentService {
    /// Whether each pod has its own; default false.
    pub fn pod_service(&self) -> bool {
        self.pod_service.unwrap_or_default()
    }

    /// Whether it is made only on demand; default false.
    pub fn disable_auto_provision(&self) -> bool {
        self.disable_auto_provision.unwrap_or_default()
    }
}

/// What a user changes about a component's Service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterComponentService {
    /// Name in the definition.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 25))]
    pub name: String,
    /// Type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "ClusterIP", "x-kubernetes-preserve-unknown-fields" = true))]
    pub service_type: Option<ServiceType>,
    /// Annotations, besides the definition's.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether each pod has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub pod_service: Option<bool>,
}

/// A Service of the whole Cluster.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterService {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, length(max = 25))]
    pub name: String,
    /// Last part of the Service's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 25), extend("pattern" = schema::SERVICE_NAME_PATTERN))]
    pub service_name: Option<String>,
    /// Annotations of the Service.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Spec of the Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spec: Option<Open<ServiceSpec>>,
    /// Only pods of this role.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role_selector: Option<String>,
    /// Component whose pods it selects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub component_selector: Option<String>,
}
