//! Reads what an InstanceSet has, from the caches.

use super::build;
use super::plan::{Observed, is_own};
use crate::context::Stores;
use api_types::contract::names;
use api_types::workloads::InstanceSet;
use controller_kit::clock;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look.
pub fn observe(set: Arc<InstanceSet>, stores: &Stores) -> Observed {
    let namespace = set.namespace().unwrap_or_default();
    let mut pods: BTreeMap<_, _> = stores
        .pods
        .select(|p| p.namespace().as_deref() == Some(&namespace) && is_own(p, &set))
        .into_iter()
        .map(|p| (p.name_any(), p))
        .collect();
    let mut claims: BTreeMap<_, _> = stores
        .claims
        .select(|c| c.namespace().as_deref() == Some(&namespace) && is_own(c, &set))
        .into_iter()
        .map(|c| (c.name_any(), c))
        .collect();
    // What has the name of one of ours counts too, whoever made it.
    for instance in build::instances(&set) {
        for template in &set.spec.volume_claim_templates {
            let name = build::claim_name(&set, template, &instance);
            if let Some(claim) = stores.claims.get(&namespace, &name) {
                claims.insert(name, claim);
            }
        }
        if let Some(pod) = stores.pods.get(&namespace, &instance) {
            pods.insert(instance, pod);
        }
    }
    let template = set.spec.template.get().map_err(|e| format!("spec.template: {e}"));
    let headless = stores.services.get(&namespace, &names::headless_service(&set.name_any()));
    let at_once = stores.classes.select(|c| c.volume_binding_mode.as_deref() != Some("WaitForFirstConsumer"));
    let immediate = at_once.iter().map(|c| c.name_any()).collect();
    Observed { set, template, claims, pods, immediate, headless, now: clock::now() }
}
