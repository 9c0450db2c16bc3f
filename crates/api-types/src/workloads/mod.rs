//! `workloads.kubeblocks.io/v1`: the pods and claims of a component.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

mod instance_set;
mod instance_set_status;

pub use instance_set::*;
pub use instance_set_status::*;

/// The API group.
pub const GROUP: &str = "workloads.kubeblocks.io";
/// The only version, served and stored.
pub const VERSION: &str = "v1";
/// `apiVersion` of every object of the group.
pub const API_VERSION: &str = "workloads.kubeblocks.io/v1";

/// The CRDs of the group as they are installed; see [`crate::dp::crds`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![crate::schema::finish_brief(InstanceSet::crd())]
}
