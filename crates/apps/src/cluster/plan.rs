//! Decides which Components a Cluster needs. Pure.

use super::{build, resolve};
use crate::desired::differs;
use crate::error::Stop;
use crate::restore::intent::has_own_source;
use api_types::apps::{Cluster, ClusterComponentSpec, Component, ComponentDefinition};
use api_types::contract::{annotations, apps_reasons as reasons, conditions::cluster::RESTORE, names};
use api_types::workloads::InstanceSet;
use controller_kit::conditions as kit;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The Cluster.
    pub cluster: Arc<Cluster>,
    /// All ComponentDefinitions.
    pub definitions: Vec<Arc<ComponentDefinition>>,
    /// Components of the Cluster, by name inside it.
    pub components: BTreeMap<String, Arc<Component>>,
    /// Sets of its Components, by name inside the Cluster.
    pub sets: BTreeMap<String, Arc<InstanceSet>>,
    /// Claims of those sets, by name.
    pub claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// Now.
    pub now: Timestamp,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Write exact definitions and versions back into the spec.
    WriteBack(Value),
    /// Apply a Component.
    ApplyComponent {
        /// Its name.
        name: String,
        /// What to apply.
        body: Value,
    },
    /// Delete a Component that is no longer asked for.
    DeleteComponent {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// What to do now, and what to say of it.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps in order; empty when all is as it should be.
    pub steps: Vec<Step>,
    /// Why nothing was planned.
    pub stop: Option<Stop>,
    /// Fields that are not served yet.
    pub unserved: Vec<String>,
    /// Claim templates with a data source of their own, `component/template`: they are not restored.
    pub own_sources: Vec<String>,
}

/// Whether claims are still to be marked for the restore.
pub fn is_restoring(cluster: &Cluster) -> bool {
    let done = cluster.status.as_ref().is_some_and(|s| kit::is_true(&s.conditions, RESTORE));
    cluster.spec.restore.is_some() && !done
}

/// What the Cluster needs next.
pub fn plan(seen: &Observed) -> Plan {
    let cluster = seen.cluster.as_ref();
    if cluster.metadata.deletion_timestamp.is_some() {
        return Plan::default(); // owner references clean up
    }
    let (refused, left_out) = unserved(cluster);
    if let Some(stop) = refuse(cluster, &refused) {
        return Plan { stop: Some(stop), unserved: [refused, left_out].concat(), ..Plan::default() };
    }
    let mut plan = Plan { unserved: left_out, ..Plan::default() };
    let restoring = is_restoring(cluster);
    let mut resolved = Vec::new();
    for (index, component) in cluster.spec.component_specs.iter().enumerate() {
        match resolve::definition(component, &seen.definitions) {
            Err(stop) => return Plan { stop: Some(stop), ..plan },
            Ok(definition) => {
                let version = build::service_version(component, definition);
                resolved.push((index, definition.name_any(), version));
                if restoring {
                    plan.own_sources.extend(own_sources(component));
                }
                let body = build::component(cluster, component, definition, restoring);
                let stored = seen.components.get(build::name_of(component));
                let stored = stored.and_then(|c| serde_json::to_value(c.as_ref()).ok());
                if differs(stored.as_ref(), &body) {
                    let name = names::component(&cluster.name_any(), build::name_of(component));
                    plan.steps.push(Step::ApplyComponent { name, body });
                }
            }
        }
    }
    if let Some(patch) = build::write_back(cluster, &resolved) {
        plan.steps.insert(0, Step::WriteBack(patch));
    }
    let wanted = |name: &String| cluster.spec.component_specs.iter().any(|c| build::name_of(c) == name);
    for (_, component) in seen.components.iter().filter(|(name, _)| !wanted(name)) {
        if component.metadata.deletion_timestamp.is_none() {
            let uid = component.uid().unwrap_or_default();
            plan.steps.push(Step::DeleteComponent { name: component.name_any(), uid });
        }
    }
    plan
}

fn own_sources(component: &ClusterComponentSpec) -> Vec<String> {
    let own = component.volume_claim_templates.iter().filter(|t| has_own_source(t));
    own.map(|t| format!("{}/{}", build::name_of(component), t.name)).collect()
}

/// Why nothing at all may be made.
fn refuse(cluster: &Cluster, refused: &[String]) -> Option<Stop> {
    let legacy = cluster.annotations().contains_key(annotations::LEGACY_RESTORE_FROM_BACKUP);
    if legacy && cluster.spec.restore.is_none() && cluster.status.as_ref().is_none_or(|s| s.components.is_empty()) {
        let text = format!(
            "annotation {} is not read any more and the Cluster would start empty; name the Backup in spec.restore",
            annotations::LEGACY_RESTORE_FROM_BACKUP
        );
        return Some(Stop::terminal(reasons::restore::LEGACY_ANNOTATION, text));
    }
    let specs = &cluster.spec.component_specs;
    let twice =
        |(i, c): &(usize, &ClusterComponentSpec)| specs.iter().take(*i).any(|o| build::name_of(o) == build::name_of(c));
    if let Some((_, component)) = specs.iter().enumerate().find(twice) {
        let text = format!("spec.componentSpecs: two components are named {}", build::name_of(component));
        return Some(Stop::terminal(reasons::refused::DUPLICATE_NAME, text));
    }
    (!refused.is_empty())
        .then(|| Stop::terminal(reasons::refused::NOT_SERVED_YET, format!("not served yet: {}", refused.join(", "))))
}

/// Fields that are set and not served yet: those without which nothing is made, and those that are left out.
fn unserved(cluster: &Cluster) -> (Vec<String>, Vec<String>) {
    let spec = &cluster.spec;
    let mut refused = Vec::new();
    if !spec.shardings.is_empty() {
        refused.push("spec.shardings".to_owned());
    }
    if spec.component_specs.is_empty() && spec.cluster_def.as_ref().is_some_and(|d| !d.is_empty()) {
        refused.push("spec.clusterDef without spec.componentSpecs".to_owned());
    }
    let mut left_out = Vec::new();
    if !spec.services.is_empty() {
        left_out.push("spec.services".to_owned());
    }
    (refused, left_out)
}
