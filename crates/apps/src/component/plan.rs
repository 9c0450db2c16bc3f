//! Decides what a Component needs next. Pure.

use super::build;
use super::served::{Unserved, unserved};
use super::vars::{self, Vars};
use crate::desired::differs;
use crate::error::Stop;
use crate::instanceset::build::{instance_names, instances};
use api_types::apps::{Component, ComponentDefinition};
use api_types::contract::{apps_reasons as reasons, names};
use api_types::workloads::InstanceSet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use kube::ResourceExt;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The component.
    pub component: Arc<Component>,
    /// Its definition.
    pub definition: Option<Arc<ComponentDefinition>>,
    /// Its set of pods.
    pub set: Option<Arc<InstanceSet>>,
    /// UID of its Cluster.
    pub cluster_uid: String,
    /// Services of its own, by name.
    pub services: BTreeMap<String, Arc<Service>>,
    /// Its env ConfigMap.
    pub env: Option<Arc<ConfigMap>>,
    /// The service account of its pods.
    pub account: Option<Arc<ServiceAccount>>,
    /// Now.
    pub now: Timestamp,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Apply a ServiceAccount.
    ApplyServiceAccount(Value),
    /// Make the Secret of this account, unless it is there: its password stays.
    EnsureAccount(String),
    /// Apply the env ConfigMap.
    ApplyEnv(Value),
    /// Apply a Service.
    ApplyService(Value),
    /// Apply the set of pods.
    ApplySet(Value),
}

/// What to do now, and what to say of it.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps in order; empty when all is as it should be.
    pub steps: Vec<Step>,
    /// Why nothing was planned.
    pub stop: Option<Stop>,
    /// Fields that are not served yet.
    pub unserved: Unserved,
    /// Replicas are held at this number because leaving members can not say good-bye yet.
    pub held_at: Option<i32>,
}

/// Replicas a component asks for.
pub fn replicas(component: &Component) -> i32 {
    component.spec.replicas.unwrap_or(1)
}

/// What the component needs next.
pub fn plan(seen: &Observed) -> Plan {
    let component = seen.component.as_ref();
    if component.metadata.deletion_timestamp.is_some() {
        return Plan::default(); // owner references clean up
    }
    let Some(definition) = &seen.definition else {
        let name = &component.spec.comp_def;
        let text = format!("spec.compDef: there is no ComponentDefinition {name}");
        return stopped(Stop::wait(reasons::refused::COMPONENT_DEFINITION_NOT_FOUND, text), Unserved::default());
    };
    let mut unserved = unserved(component, definition);
    if !unserved.refused.is_empty() {
        let text = format!("not served yet: {}", unserved.refused.join(", "));
        return stopped(Stop::terminal(reasons::refused::NOT_SERVED_YET, text), unserved);
    }
    if let Some(stop) = too_long(component) {
        return stopped(stop, unserved);
    }
    let held_at = held_at(seen, definition);
    let replicas = held_at.unwrap_or_else(|| replicas(component));
    let vars = match resolve(seen, definition, replicas) {
        Ok(vars) => vars,
        Err(stop) => return stopped(stop, unserved),
    };
    unserved.left_out.extend(vars.left_out.iter().map(|v| format!("ComponentDefinition spec.{v}")));
    match steps(seen, definition, &vars, replicas) {
        Ok(steps) => Plan { steps, stop: None, unserved, held_at },
        Err(stop) => stopped(stop, unserved),
    }
}

fn stopped(stop: Stop, unserved: Unserved) -> Plan {
    Plan { stop: Some(stop), unserved, ..Plan::default() }
}

/// The headless Service has the longest name of all that is made.
fn too_long(component: &Component) -> Option<Stop> {
    let longest = names::headless_service(&component.name_any());
    (longest.len() > names::MAX_NAME).then(|| {
        let text = format!(
            "Service {longest} would have {} characters, 63 are allowed: shorten the names of Cluster or component",
            longest.len()
        );
        Stop::terminal(reasons::refused::NAME_TOO_LONG, text)
    })
}

/// A definition with `memberLeave` wants leaving members to say good-bye; until that is served none is sent away.
fn held_at(seen: &Observed, definition: &ComponentDefinition) -> Option<i32> {
    let leaves = definition.spec.lifecycle_actions.as_ref().is_some_and(|a| a.member_leave.is_some());
    let now = seen.set.as_ref().and_then(|s| s.spec.replicas)?;
    (leaves && replicas(&seen.component) < now).then_some(now)
}

fn resolve(seen: &Observed, definition: &ComponentDefinition, replicas: i32) -> Result<Vars, Stop> {
    let component = seen.component.as_ref();
    let name = component.name_any();
    let pods = instance_names(&name, replicas, &component.spec.offline_instances);
    let (cluster, short_name) = (build::cluster_name(component), build::short_name(component));
    vars::resolve(&vars::Source {
        component,
        definition,
        cluster: &cluster,
        cluster_uid: &seen.cluster_uid,
        short_name: &short_name,
        pods: &pods,
    })
}

fn stored<K: Serialize>(object: Option<&Arc<K>>) -> Option<Value> {
    object.and_then(|o| serde_json::to_value(o.as_ref()).ok())
}

fn steps(seen: &Observed, definition: &ComponentDefinition, vars: &Vars, replicas: i32) -> Result<Vec<Step>, Stop> {
    let component = seen.component.as_ref();
    let mut steps = Vec::new();
    if let Some(body) = build::service_account(component)
        && differs(stored(seen.account.as_ref()).as_ref(), &body)
    {
        steps.push(Step::ApplyServiceAccount(body));
    }
    let set = build::instance_set(component, definition, vars, replicas)?;
    let set_differs = differs(stored(seen.set.as_ref()).as_ref(), &set);
    if set_differs {
        let disabled =
            |name: &str| component.spec.system_accounts.iter().any(|a| a.name == name && a.disabled == Some(true));
        let accounts = definition.spec.system_accounts.iter();
        let wanted = accounts.filter(|a| a.init_account == Some(true) || !disabled(&a.name));
        steps.extend(wanted.map(|a| Step::EnsureAccount(a.name.clone())));
    }
    let env = build::env_config_map(component, vars);
    if differs(stored(seen.env.as_ref()).as_ref(), &env) {
        steps.push(Step::ApplyEnv(env));
    }
    for service in &definition.spec.services {
        let Some(body) = build::service(component, service) else { continue };
        let name = build::service_name(component, service);
        if differs(stored(seen.services.get(&name)).as_ref(), &body) {
            steps.push(Step::ApplyService(body));
        }
    }
    if set_differs {
        steps.push(Step::ApplySet(set));
    }
    Ok(steps)
}

/// Whether the set is as the component wants it and its controller has seen that.
pub fn is_up_to_date(seen: &Observed, plan: &Plan) -> bool {
    let settled = plan.steps.is_empty() && plan.stop.is_none();
    settled
        && seen.set.as_ref().is_some_and(|set| {
            let status = set.status.as_ref();
            status.and_then(|s| s.observed_generation) == set.metadata.generation
        })
}

/// Whether every pod that is to be there runs, is new and available.
pub fn is_running(set: &InstanceSet) -> bool {
    let Some(status) = &set.status else { return false };
    let wanted = i32::try_from(instances(set).len()).unwrap_or(i32::MAX);
    let all = |count: Option<i32>| count == Some(wanted);
    status.replicas == wanted && all(status.available_replicas) && all(status.updated_replicas)
}
