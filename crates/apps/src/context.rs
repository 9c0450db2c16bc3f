//! What every controller of this process shares: caches.

use api_types::apps::{Cluster, Component, ComponentDefinition};
use api_types::operations::OpsRequest;
use api_types::workloads::InstanceSet;
use controller_kit::stores::Store;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Service, ServiceAccount};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;

/// Caches of everything this operator looks at. Objects of Kubernetes' own kinds are those with our label only.
#[derive(Clone)]
pub struct Stores {
    /// All of them.
    pub clusters: Store<Cluster>,
    /// All of them.
    pub components: Store<Component>,
    /// All of them.
    pub component_definitions: Store<ComponentDefinition>,
    /// All of them.
    pub sets: Store<InstanceSet>,
    /// All of them.
    pub requests: Store<OpsRequest>,
    /// All of them.
    pub classes: Store<StorageClass>,
    /// Pods of Components.
    pub pods: Store<Pod>,
    /// Claims of Components.
    pub claims: Store<PersistentVolumeClaim>,
    /// Services of Components.
    pub services: Store<Service>,
    /// ConfigMaps of Components.
    pub config_maps: Store<ConfigMap>,
    /// Service accounts of Components.
    pub service_accounts: Store<ServiceAccount>,
}

impl Default for Stores {
    fn default() -> Self {
        Stores {
            clusters: Store::new(|_| true, trim),
            components: Store::new(|_| true, trim),
            component_definitions: Store::new(|_| true, trim),
            sets: Store::new(|_| true, trim),
            requests: Store::new(|_| true, trim),
            classes: Store::new(|_| true, trim_class),
            pods: Store::new(|_| true, trim_pod),
            claims: Store::new(|_| true, trim),
            services: Store::new(|_| true, trim),
            config_maps: Store::new(|_| true, trim),
            service_accounts: Store::new(|_| true, trim),
        }
    }
}

fn trim(object: &mut impl ResourceExt) {
    object.annotations_mut().remove(LAST_APPLIED);
}

/// Of pods only state is read; their spec is the largest part.
fn trim_pod(pod: &mut Pod) {
    pod.spec = None;
    pod.metadata.annotations = None;
}

/// Of classes only the binding mode is read.
fn trim_class(class: &mut StorageClass) {
    trim(class);
    class.parameters = None;
    class.allowed_topologies = None;
    class.mount_options = None;
}

/// What `kubectl apply` leaves on objects.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What controllers share.
pub struct Context {
    /// Caches.
    pub stores: Stores,
}
