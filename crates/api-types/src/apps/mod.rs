//! `apps.kubeblocks.io/v1`: Clusters, their components, and what both are made from.
//!
//! Fields are as in [`crate::dp`]: optional ones are `Option` or an empty list or map, defaults live
//! in the CRD, and where a default matters the method named as the field gives the value in force.
//! Core types that the API server checks again elsewhere are [`Open`](crate::open::Open), so that
//! each CRD stays small and newer fields survive.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

mod account;
mod action;
mod cluster;
mod cluster_backup;
mod cluster_definition;
mod cluster_status;
mod component;
mod component_definition;
mod component_version;
mod config;
mod definition_parts;
mod instance;
mod network;
mod service;
mod sharding_definition;
mod shared;
mod var_refs;
mod vars;

pub use account::*;
pub use action::*;
pub use cluster::*;
pub use cluster_backup::*;
pub use cluster_definition::*;
pub use cluster_status::*;
pub use component::*;
pub use component_definition::*;
pub use component_version::*;
pub use config::*;
pub use definition_parts::*;
pub use instance::*;
pub use network::*;
pub use service::*;
pub use sharding_definition::*;
pub use shared::*;
pub use var_refs::*;
pub use vars::*;

/// The API group.
pub const GROUP: &str = "apps.kubeblocks.io";
/// The only version, served and stored.
pub const VERSION: &str = "v1";
/// `apiVersion` of every object of the group.
pub const API_VERSION: &str = "apps.kubeblocks.io/v1";

/// The CRDs of the group as they are installed, by plural name; see [`crate::dp::crds`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    let crds = [
        ClusterDefinition::crd(),
        crate::schema::with_root_rules(Cluster::crd(), &CLUSTER_RULES),
        ComponentDefinition::crd(),
        Component::crd(),
        ComponentVersion::crd(),
        ShardingDefinition::crd(),
    ];
    crds.into_iter().map(crate::schema::finish_brief).collect()
}
