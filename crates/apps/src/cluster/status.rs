//! Status of a Cluster (behaviour-apps §3.4, §11.1). Pure.

use super::build::name_of;
use super::plan::{Observed, Plan, is_restoring};
use crate::component::status::is_restoring as component_restores;
use crate::instanceset::status::outlooks;
use crate::restore::fold::{self, Verdict};
use api_types::apps::{Cluster, ClusterComponentStatus, ClusterPhase, ClusterStatus, Component, ComponentPhase};
use api_types::contract::{apps_reasons as reasons, conditions};
use controller_kit::conditions::{self as kit, Status};
use kube::ResourceExt;
use std::collections::BTreeMap;

fn phase_of(component: Option<&Component>) -> ComponentPhase {
    let told = component.and_then(|c| c.status.as_ref()?.phase.clone());
    told.unwrap_or(ComponentPhase::Creating)
}

/// Folds the phases of all components; the most urgent wins.
fn phase(cluster: &Cluster, all: &[ComponentPhase]) -> ClusterPhase {
    if cluster.metadata.deletion_timestamp.is_some() {
        return ClusterPhase::Deleting;
    }
    let any = |phase: &ComponentPhase| all.contains(phase);
    let every = |phase: &ComponentPhase| !all.is_empty() && all.iter().all(|p| p == phase);
    let was_running =
        cluster.status.as_ref().is_some_and(|s| kit::get(&s.conditions, conditions::cluster::READY).is_some());
    if every(&ComponentPhase::Running) {
        ClusterPhase::Running
    } else if every(&ComponentPhase::Failed) {
        ClusterPhase::Failed
    } else if any(&ComponentPhase::Failed) {
        ClusterPhase::Abnormal
    } else if every(&ComponentPhase::Stopped) {
        ClusterPhase::Stopped
    } else if any(&ComponentPhase::Stopping) {
        ClusterPhase::Stopping
    } else if was_running {
        ClusterPhase::Updating
    } else {
        ClusterPhase::Creating
    }
}

/// The verdict over all components; `None` for a Cluster that restores nothing.
///
/// A failure is told at once; True needs every component that is asked for, each with all its claims.
fn verdict(seen: &Observed, plan: &Plan) -> Option<Verdict> {
    let cluster = seen.cluster.as_ref();
    if let Some(stop) = plan.stop.as_ref().filter(|s| s.reason == reasons::restore::LEGACY_ANNOTATION) {
        return Some(Verdict {
            status: Status::False,
            reason: reasons::restore::LEGACY_ANNOTATION,
            message: stop.message.clone(),
        });
    }
    if !is_restoring(cluster) {
        return None;
    }
    if let Some(stop) = &plan.stop {
        let message = format!("{}: {}", stop.reason, stop.message);
        return Some(Verdict { status: Status::Unknown, reason: reasons::restore::RUNNING, message });
    }
    let told = |c: &Component| kit::get(&c.status.as_ref()?.conditions, conditions::cluster::RESTORE).cloned();
    for (name, component) in &seen.components {
        if let Some(failed) = told(component).filter(|c| c.status == "False") {
            let message = format!("component {name}: {}", failed.message);
            return Some(Verdict { status: Status::False, reason: reasons::restore::FAILED, message });
        }
    }
    let specs = &cluster.spec.component_specs;
    let missing: Vec<&str> = specs.iter().map(name_of).filter(|n| !seen.components.contains_key(*n)).collect();
    if !missing.is_empty() {
        let message = format!("waiting for components to be created: {}", missing.join(", "));
        return Some(Verdict { status: Status::Unknown, reason: reasons::restore::RUNNING, message });
    }
    let restoring: Vec<_> = seen.components.iter().filter(|(_, c)| component_restores(c)).collect();
    if restoring.is_empty() {
        let message = format!(
            "{}: no component has a claim template to restore into, so nothing was restored",
            reasons::restore::NO_DATA_RESTORED
        );
        return Some(Verdict { status: Status::False, reason: reasons::restore::FAILED, message });
    }
    let mut all = Vec::new();
    for (name, _) in &restoring {
        all.extend(seen.sets.get(*name).map(|set| outlooks(set, &seen.claims)).unwrap_or_default());
    }
    let counted = fold::fold(&all);
    let open = restoring.iter().find(|(_, c)| told(c).is_none_or(|t| t.status != "True"));
    let Some((name, component)) = open else {
        let mut message = counted
            .filter(|v| v.status == Status::True)
            .map_or_else(|| format!("{} components restored", restoring.len()), |v| v.message);
        if !plan.own_sources.is_empty() {
            let own = plan.own_sources.join(", ");
            message = format!("{message}; not restored, as they have a data source of their own: {own}");
        }
        return Some(Verdict { status: Status::True, reason: reasons::restore::COMPLETED, message });
    };
    let waiting = told(component);
    let pending = waiting.as_ref().is_some_and(|c| c.reason == reasons::restore::PENDING);
    let reason = if pending { reasons::restore::PENDING } else { reasons::restore::RUNNING };
    let done = all.iter().filter(|o| matches!(o.state, fold::ClaimState::Done(_))).count();
    let blocker = waiting.map_or_else(|| "waiting for its InstanceSet".into(), |c| c.message);
    let message = format!("{done}/{} claims restored; component {name}: {blocker}", all.len());
    Some(Verdict { status: Status::Unknown, reason, message })
}

/// The next status.
pub fn next(seen: &Observed, plan: &Plan) -> ClusterStatus {
    let cluster = seen.cluster.as_ref();
    let mut status = cluster.status.clone().unwrap_or_default();
    let generation = cluster.metadata.generation;
    let verdict = verdict(seen, plan);
    let mut phases = Vec::new();
    let mut components = BTreeMap::new();
    if plan.stop.is_none() {
        for spec in &cluster.spec.component_specs {
            let found = seen.components.get(name_of(spec)).map(AsRef::as_ref);
            let phase = phase_of(found);
            let told = found.and_then(|c| c.status.as_ref());
            components.insert(
                name_of(spec).to_owned(),
                ClusterComponentStatus {
                    phase: Some(phase.clone()),
                    message: told.map(|s| s.message.clone()).unwrap_or_default(),
                    observed_generation: told.and_then(|s| s.observed_generation),
                    ..ClusterComponentStatus::default()
                },
            );
            phases.push(phase);
        }
        status.components = components;
    }
    let phase = phase(cluster, &phases);
    status.observed_generation = generation;
    let mut tell = |type_: &str, value: Status, reason: &str, message: String| {
        kit::set(&mut status.conditions, type_, value, reason, message, generation, seen.now);
    };
    if let Some(stop) = &plan.stop {
        tell(conditions::cluster::PROVISIONING_STARTED, Status::False, stop.reason, stop.message.clone());
    } else {
        let text = format!("provisioning of Cluster {} has begun", cluster.name_any());
        tell(conditions::cluster::PROVISIONING_STARTED, Status::True, reasons::cluster::PRE_CHECK_SUCCEED, text);
        let text = "all components are applied".to_owned();
        tell(conditions::cluster::APPLY_RESOURCES, Status::True, reasons::cluster::APPLY_RESOURCES_SUCCEED, text);
    }
    let lame: Vec<String> = cluster
        .spec
        .component_specs
        .iter()
        .zip(&phases)
        .filter(|(_, p)| **p != ComponentPhase::Running)
        .map(|(c, p)| format!("component {} is {p}", name_of(c)))
        .collect();
    if phase == ClusterPhase::Running {
        tell(
            conditions::cluster::AVAILABLE,
            Status::True,
            reasons::cluster::AVAILABLE,
            "all components are available".into(),
        );
        tell(conditions::cluster::READY, Status::True, reasons::cluster::READY, "all components are Running".into());
    } else {
        let text = if lame.is_empty() { "no component exists".into() } else { lame.join("; ") };
        tell(conditions::cluster::AVAILABLE, Status::False, reasons::cluster::UNAVAILABLE, text.clone());
        if kit::get(&status.conditions, conditions::cluster::READY).is_some() {
            let list = &mut status.conditions;
            kit::set(
                list,
                conditions::cluster::READY,
                Status::False,
                reasons::cluster::COMPONENTS_NOT_READY,
                text,
                generation,
                seen.now,
            );
        }
    }
    status.phase = Some(phase);
    crate::unserved::store(&mut status.conditions, &unserved(seen, plan), generation, seen.now);
    if cluster.metadata.deletion_timestamp.is_none() {
        crate::restore::store(&mut status.conditions, verdict, generation, seen.now);
    }
    status
}

/// What the Cluster and its Components ask for and is not served yet.
fn unserved(seen: &Observed, plan: &Plan) -> Vec<String> {
    let mut all = plan.unserved.clone();
    for (name, component) in &seen.components {
        let told = component.status.as_ref().and_then(|s| kit::get(&s.conditions, conditions::UNSUPPORTED));
        all.extend(told.map(|c| format!("component {name}: {}", c.message)));
    }
    all
}
