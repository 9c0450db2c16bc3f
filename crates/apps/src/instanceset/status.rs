//! Status of an InstanceSet (behaviour-apps §3.2, §11.7). Pure.

use super::build;
use super::plan::{Observed, is_available, is_own, is_ready, revision_of};
use crate::restore::fold::{self, Outlook, Verdict, is_marked};
use api_types::contract::{apps_reasons as reasons, conditions};
use api_types::workloads::{InstanceSet, InstanceSetStatus, InstanceStatus};
use controller_kit::conditions::{self as kit, Status};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is known of every claim that the set is to have restored.
pub fn outlooks(set: &InstanceSet, claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>) -> Vec<Outlook> {
    let templates = set.spec.volume_claim_templates.iter();
    let marked: Vec<_> = templates.filter(|t| is_marked(&build::template_notes(t))).collect();
    let mut all = Vec::new();
    for instance in build::instances(set) {
        for template in &marked {
            let name = build::claim_name(set, template, &instance);
            all.push(fold::outlook(&name, claims.get(&name).map(Arc::as_ref)));
        }
    }
    all
}

/// The verdict over the claims of a set; `None` where it is to restore nothing.
pub fn verdict(set: &InstanceSet, claims: &BTreeMap<String, Arc<PersistentVolumeClaim>>) -> Option<Verdict> {
    if !set.spec.volume_claim_templates.iter().any(|t| is_marked(&build::template_notes(t))) {
        return None;
    }
    if set.spec.stop == Some(true) {
        return Some(fold::pending("stopped: the restore begins when it is started"));
    }
    let all = outlooks(set, claims);
    Some(fold::fold(&all).unwrap_or_else(|| fold::pending("0 replicas: the restore begins with the first one")))
}

/// The trouble of a pod that keeps its instance from running, in the kubelet's words.
pub fn trouble(pod: &Pod) -> Option<String> {
    const STUCK: [&str; 6] = [
        "CrashLoopBackOff",
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "CreateContainerConfigError",
        "CreateContainerError",
    ];
    let status = pod.status.as_ref()?;
    let containers = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let mut waiting = containers.filter_map(|c| Some((c, c.state.as_ref()?.waiting.as_ref()?)));
    waiting.find_map(|(container, waiting)| {
        let reason = waiting.reason.as_deref().filter(|r| STUCK.contains(r))?;
        let message = waiting.message.as_deref().unwrap_or_default();
        Some(format!("pod {}, container {}: {reason}: {message}", pod.name_any(), container.name))
    })
}

/// The next status.
pub fn next(seen: &Observed) -> InstanceSetStatus {
    let set = seen.set.as_ref();
    let mut status = set.status.clone().unwrap_or_default();
    let generation = set.metadata.generation;
    let revision = build::revision(set);
    let wanted = build::instances(set);
    let own: Vec<&Arc<Pod>> = seen.pods.values().filter(|p| is_own(p.as_ref(), set)).collect();
    let alive: Vec<&Arc<Pod>> = own.iter().copied().filter(|p| p.metadata.deletion_timestamp.is_none()).collect();
    let count =
        |wanted: &dyn Fn(&Pod) -> bool| i32::try_from(alive.iter().filter(|p| wanted(p)).count()).unwrap_or(i32::MAX);
    status.observed_generation = generation;
    status.replicas = count(&|_| true);
    status.ready_replicas = Some(count(&is_ready));
    status.available_replicas = Some(count(&|p| is_available(p, set, seen.now)));
    status.updated_replicas = Some(count(&|p| revision_of(p) == revision));
    status.current_replicas = Some(status.replicas);
    status.update_revision = Some(revision.clone());
    let all_new = alive.iter().all(|p| revision_of(p) == revision);
    if all_new {
        status.current_revision = Some(revision.clone());
    }
    status.instance_status = alive.iter().map(|p| instance(p, set, seen, &revision)).collect();
    status.instance_status.sort_by_key(|i| build::ordinal(i.pod_name.as_deref().unwrap_or_default()));

    let lacking = |has: &dyn Fn(&Pod) -> bool| -> Vec<&String> {
        let serves = |name: &String| seen.pods.get(name).is_some_and(|p| is_own(p.as_ref(), set) && has(p));
        wanted.iter().filter(|n| !serves(n)).collect()
    };
    let stopped = set.spec.stop == Some(true);
    let mut tell = |type_: &str, yes: &'static str, no: &'static str, lacking: Vec<&String>| {
        let (value, reason) = if lacking.is_empty() && !stopped { (Status::True, yes) } else { (Status::False, no) };
        let names = serde_json::to_string(&lacking).unwrap_or_default();
        let message = if lacking.is_empty() { String::new() } else { names };
        kit::set(&mut status.conditions, type_, value, reason, message, generation, seen.now);
    };
    tell(
        conditions::instance_set::INSTANCE_READY,
        reasons::instance_set::READY,
        reasons::instance_set::NOT_READY,
        lacking(&is_ready),
    );
    let available = |p: &Pod| is_available(p, set, seen.now);
    tell(
        conditions::instance_set::INSTANCE_AVAILABLE,
        reasons::instance_set::AVAILABLE,
        reasons::instance_set::NOT_AVAILABLE,
        lacking(&available),
    );
    match seen
        .template
        .as_ref()
        .err()
        .cloned()
        .or_else(|| alive.iter().find_map(|p| trouble(p)))
        .or_else(|| foreign(seen))
    {
        Some(why) => kit::set(
            &mut status.conditions,
            conditions::instance_set::INSTANCE_FAILURE,
            Status::True,
            reasons::instance_set::INSTANCE_FAILURE,
            why,
            generation,
            seen.now,
        ),
        None => status.conditions.retain(|c| c.type_ != conditions::instance_set::INSTANCE_FAILURE),
    }
    crate::restore::store(&mut status.conditions, verdict(set, &seen.claims), generation, seen.now);
    status
}

fn instance(pod: &Pod, set: &InstanceSet, seen: &Observed, revision: &str) -> InstanceStatus {
    InstanceStatus {
        pod_name: Some(pod.name_any()),
        template_name: Some(String::new()),
        ready: Some(is_ready(pod)),
        available: Some(is_available(pod, set, seen.now)),
        up_to_date: Some(revision_of(pod) == revision),
        current_revision: Some(revision_of(pod).to_owned()),
        update_revision: Some(revision.to_owned()),
        ..InstanceStatus::default()
    }
}

/// An object of somebody else under the name of one of ours.
fn foreign(seen: &Observed) -> Option<String> {
    let set = seen.set.as_ref();
    let wanted = build::instances(set);
    let pod = wanted.iter().find(|n| seen.pods.get(*n).is_some_and(|p| !is_own(p.as_ref(), set)));
    pod.map(|name| format!("pod {name} belongs to somebody else; delete or rename it"))
}
