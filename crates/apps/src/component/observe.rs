//! Reads what a Component has, from the caches.

use super::build;
use super::plan::Observed;
use crate::context::Stores;
use api_types::apps::Component;
use api_types::contract::{annotations, names};
use controller_kit::clock;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look.
pub fn observe(component: Arc<Component>, stores: &Stores) -> Observed {
    let namespace = component.namespace().unwrap_or_default();
    let name = component.name_any();
    let definition = stores.component_definitions.get("", &component.spec.comp_def);
    let mut services = BTreeMap::new();
    for service in definition.iter().flat_map(|d| &d.spec.services) {
        let name = build::service_name(&component, service);
        if let Some(found) = stores.services.get(&namespace, &name) {
            services.insert(name, found);
        }
    }
    Observed {
        definition,
        set: stores.sets.get(&namespace, &name).filter(|s| owned(s.owner_references(), &component)),
        cluster_uid: component.annotations().get(annotations::CLUSTER_UID).cloned().unwrap_or_default(),
        services,
        env: stores.config_maps.get(&namespace, &names::env_config_map(&name)),
        account: stores.service_accounts.get(&namespace, &build::service_account_name(&component)),
        component,
        now: clock::now(),
    }
}

/// A set left by an earlier Component of this name is not ours; it goes with its owner.
fn owned(owners: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference], component: &Component) -> bool {
    owners.iter().any(|o| Some(&o.uid) == component.uid().as_ref())
}
