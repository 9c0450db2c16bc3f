//! Reads what a Cluster's policies are made from. Caches only.

use super::plan::Observed;
use crate::context::Context;
use api_types::contract::labels;
use controller_kit::Key;
use kube::ResourceExt;
use std::sync::Arc;

/// What there is about the Cluster of that key; `None` where nothing is to be done, or not yet: each cache wakes its
/// Clusters when it shows what is there.
pub fn observe(key: &Key, context: &Context) -> Option<Observed> {
    let stores = &context.stores;
    let settled = stores.clusters.is_settled() && stores.components.is_settled() && stores.definitions.is_settled();
    let cluster = stores.clusters.get(&key.namespace, &key.name).filter(|_| settled)?;
    if cluster.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let uid = cluster.uid();
    let here = |namespace: Option<String>| namespace.as_deref() == Some(key.namespace.as_str());
    let named = |name: String| name.starts_with(key.name.get(..key.name.len().min(40)).unwrap_or(&key.name));
    let owned = |owners: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference]| {
        owners.iter().any(|o| o.kind == "Cluster" && Some(&o.uid) == uid.as_ref())
    };
    let mut templates = stores.templates.select(|_| true);
    templates.sort_by_key(|t| t.name_any());
    let action_sets = stores.action_sets.select(|_| true).into_iter().map(|a| (a.name_any(), a)).collect();
    let mut components = stores
        .components
        .select(|c| here(c.namespace()) && c.labels().get(labels::INSTANCE).is_some_and(|of| *of == key.name));
    components.sort_by_key(|c| c.name_any());
    Some(Observed {
        templates,
        action_sets,
        components,
        policies: stores
            .policies
            .select(|p| here(p.namespace()) && (owned(p.owner_references()) || named(p.name_any()))),
        schedules: stores
            .schedules
            .select(|s| here(s.namespace()) && (owned(s.owner_references()) || named(s.name_any()))),
        encryption: context.default_encryption.clone(),
        cluster: Arc::clone(&cluster),
    })
}
