//! `operations.kubeblocks.io/v1alpha1`: operations on Clusters.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

mod ops_request;
mod scaling;
mod settings;
mod status;

pub use ops_request::*;
pub use scaling::*;
pub use settings::*;
pub use status::*;

/// The API group.
pub const GROUP: &str = "operations.kubeblocks.io";
/// The only version, served and stored.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of every object of the group.
pub const API_VERSION: &str = "operations.kubeblocks.io/v1alpha1";

/// The CRDs of the group as they are installed; see [`crate::dp::crds`].
pub fn crds() -> Vec<CustomResourceDefinition> {
    vec![crate::schema::finish_brief(OpsRequest::crd())]
}
