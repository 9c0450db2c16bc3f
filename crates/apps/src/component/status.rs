//! Status of a Component (behaviour-apps §3.3, §11.2). Pure.

use super::plan::{Observed, Plan, is_running, is_up_to_date};
use crate::restore::fold::Verdict;
use crate::restore::{self, fold};
use api_types::apps::{Component, ComponentPhase, ComponentStatus};
use api_types::contract::{apps_reasons as reasons, conditions};
use controller_kit::conditions::{self as kit, Status};
use kube::ResourceExt;

/// Whether a claim template of the component is marked for a restore.
pub fn is_restoring(component: &Component) -> bool {
    component.spec.volume_claim_templates.iter().any(|t| fold::is_marked(&t.annotations))
}

fn phase(seen: &Observed, plan: &Plan) -> ComponentPhase {
    let component = seen.component.as_ref();
    let old = component.status.as_ref().and_then(|s| s.phase.clone());
    if component.metadata.deletion_timestamp.is_some() {
        return ComponentPhase::Deleting;
    }
    let Some(set) = &seen.set else {
        return ComponentPhase::Creating;
    };
    let pods = set.status.as_ref().map_or(0, |s| s.replicas);
    if component.spec.stop == Some(true) {
        return if pods == 0 { ComponentPhase::Stopped } else { ComponentPhase::Stopping };
    }
    if is_up_to_date(seen, plan) && is_running(set) {
        return ComponentPhase::Running;
    }
    if failure(seen).is_some() {
        return ComponentPhase::Failed;
    }
    match old {
        None | Some(ComponentPhase::Creating) => ComponentPhase::Creating,
        Some(ComponentPhase::Stopped | ComponentPhase::Stopping | ComponentPhase::Starting) => ComponentPhase::Starting,
        Some(ComponentPhase::Failed) if !has_run(component) => ComponentPhase::Creating,
        _ => ComponentPhase::Updating,
    }
}

/// It was Running once: only then a condition of that type is there.
fn has_run(component: &Component) -> bool {
    component.status.as_ref().is_some_and(|s| kit::get(&s.conditions, conditions::component::HEALTHY).is_some())
}

/// What keeps an instance from running, in its set's words.
fn failure(seen: &Observed) -> Option<String> {
    let status = seen.set.as_ref()?.status.as_ref()?;
    let told = kit::get(&status.conditions, conditions::instance_set::INSTANCE_FAILURE)?;
    (told.status == "True").then(|| told.message.clone())
}

/// The verdict of the set, one level up.
fn verdict(seen: &Observed) -> Option<Verdict> {
    if !is_restoring(&seen.component) {
        return None;
    }
    let told = seen.set.as_ref().and_then(|s| kit::get(&s.status.as_ref()?.conditions, conditions::component::RESTORE));
    let Some(told) = told else {
        let message = format!("waiting for InstanceSet {}", seen.component.name_any());
        return Some(Verdict { status: Status::Unknown, reason: reasons::restore::RUNNING, message });
    };
    let (status, reason) = match (told.status.as_str(), told.reason.as_str()) {
        ("True", _) => (Status::True, reasons::restore::COMPLETED),
        ("False", _) => (Status::False, reasons::restore::FAILED),
        (_, reason) if reason == reasons::restore::PENDING => (Status::Unknown, reasons::restore::PENDING),
        _ => (Status::Unknown, reasons::restore::RUNNING),
    };
    Some(Verdict { status, reason, message: told.message.clone() })
}

/// The next status.
pub fn next(seen: &Observed, plan: &Plan) -> ComponentStatus {
    let component = seen.component.as_ref();
    let mut status = component.status.clone().unwrap_or_default();
    let generation = component.metadata.generation;
    let phase = phase(seen, plan);
    status.observed_generation = generation;
    status.message.clear();
    if let Some(why) = failure(seen) {
        status.message.insert(format!("InstanceSet/{}", component.name_any()), why);
    }
    if let Some(stop) = &plan.stop {
        status.message.insert(stop.reason.to_owned(), stop.message.clone());
    }
    let running = phase == ComponentPhase::Running;
    let mut tell = |type_: &str, value: Status, reason: &str, message: String| {
        kit::set(&mut status.conditions, type_, value, reason, message, generation, seen.now);
    };
    if let Some(stop) = &plan.stop {
        tell(conditions::component::PROVISIONING_STARTED, Status::False, stop.reason, stop.message.clone());
    } else {
        let text = format!("provisioning of Component {} has begun", component.name_any());
        tell(conditions::component::PROVISIONING_STARTED, Status::True, reasons::cluster::PRE_CHECK_SUCCEED, text);
    }
    let told = format!("the component is {phase}");
    if running {
        tell(conditions::component::AVAILABLE, Status::True, reasons::component::AVAILABLE, told);
        tell(
            conditions::component::HEALTHY,
            Status::True,
            reasons::component::HEALTHY,
            "all instances are available".into(),
        );
    } else {
        tell(conditions::component::AVAILABLE, Status::False, reasons::cluster::UNAVAILABLE, told);
        if has_run(component) {
            let text = failure(seen).unwrap_or_else(|| "some instances are not available".into());
            tell(conditions::component::HEALTHY, Status::False, reasons::component::WORKLOAD_NOT_READY, text);
        }
    }
    if is_up_to_date(seen, plan) {
        tell(conditions::component::PROGRESSING, Status::False, reasons::component::COMPLETED, String::new());
    } else {
        let text = "the InstanceSet is not as the component asks for yet".to_owned();
        tell(conditions::component::PROGRESSING, Status::True, reasons::component::WORKLOAD_NOT_UPDATED, text);
    }
    status.phase = Some(phase);
    crate::unserved::store(&mut status.conditions, &unserved(plan), generation, seen.now);
    restore::store(&mut status.conditions, verdict(seen), generation, seen.now);
    status
}

/// Everything that is asked for and not served yet.
pub fn unserved(plan: &Plan) -> Vec<String> {
    let mut all = plan.unserved.refused.clone();
    all.extend(plan.unserved.left_out.iter().cloned());
    if let Some(held) = plan.held_at {
        all.push(format!(
            "spec.replicas: held at {held}, since lifecycleActions.memberLeave of the definition is not served yet"
        ));
    }
    all
}
