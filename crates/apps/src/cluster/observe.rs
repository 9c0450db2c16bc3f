//! Reads what a Cluster has, from the caches.

use super::plan::Observed;
use crate::context::Stores;
use api_types::apps::{Cluster, Component};
use api_types::contract::labels;
use controller_kit::clock;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look.
pub fn observe(cluster: Arc<Cluster>, stores: &Stores) -> Observed {
    let namespace = cluster.namespace().unwrap_or_default();
    let name = cluster.name_any();
    let of_cluster = |labels: &BTreeMap<String, String>| labels.get(labels::INSTANCE) == Some(&name);
    let uid = cluster.uid();
    let own = |c: &Component| {
        c.namespace().as_deref() == Some(&namespace)
            && c.owner_references().iter().any(|o| Some(&o.uid) == uid.as_ref())
    };
    let components: BTreeMap<_, _> = stores
        .components
        .select(own)
        .into_iter()
        .filter_map(|c| Some((c.labels().get(labels::COMPONENT_NAME)?.clone(), c)))
        .collect();
    let sets = components
        .iter()
        .filter_map(|(name, c)| Some((name.clone(), stores.sets.get(&namespace, &c.name_any())?)))
        .collect();
    let claims = stores
        .claims
        .select(|c| c.namespace().as_deref() == Some(&namespace) && of_cluster(c.labels()))
        .into_iter()
        .map(|c| (c.name_any(), c))
        .collect();
    let definitions = stores.component_definitions.select(|_| true);
    Observed { cluster, definitions, components, sets, claims, now: clock::now() }
}
