//! Decides which claims and pods of an InstanceSet to make and to take away. Pure.
//!
//! A pod is made only beside claims that are as the set wants them: a claim that lost its data source would be bound
//! empty, and a database must never start on it. Where the class binds claims at once, they are bound before their pod
//! is made: the scheduler needs less of a claim than the kubelet, and a pod that reaches the kubelet in between waits
//! there for 10 to 15 seconds.

use super::build;
use crate::restore::fold::source_dropped;
use api_types::apps::{InstanceUpdateStrategyType, PodManagementPolicy, UpdateStrategy, VolumeRetention};
use api_types::contract::labels;
use api_types::workloads::{ClaimTemplate, InstanceSet};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec, Service};
use kube::ResourceExt;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The set.
    pub set: Arc<InstanceSet>,
    /// Its pod template, or why it can not be read.
    pub template: Result<PodTemplateSpec, String>,
    /// Claims of the set's instances, and whatever else has such a name; by name.
    pub claims: BTreeMap<String, Arc<PersistentVolumeClaim>>,
    /// Pods of the set, and whatever else has such a name; by name.
    pub pods: BTreeMap<String, Arc<Pod>>,
    /// Storage classes whose claims are bound without a pod.
    pub immediate: BTreeSet<String>,
    /// The headless Service as stored.
    pub headless: Option<Arc<Service>>,
    /// Now.
    pub now: Timestamp,
}

/// One thing to do.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Apply the headless Service.
    ApplyHeadless(Value),
    /// Create the claims of an instance. What the API server made of them decides when its pod follows.
    CreateClaims(Vec<PersistentVolumeClaim>),
    /// Create a pod.
    CreatePod(Box<Pod>),
    /// Delete a pod.
    DeletePod {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
    /// Delete a claim of an instance that was scaled away.
    DeleteClaim {
        /// Its name.
        name: String,
        /// Its UID.
        uid: String,
    },
}

/// What to do now, in order.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Steps; empty when all is as it should be.
    pub steps: Vec<Step>,
    /// When to look again without being woken: a pod becomes available by time alone.
    pub again: Option<SignedDuration>,
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Pod) -> bool {
    ready_since(pod).is_some()
}

fn ready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let ready = conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")?;
    Some(ready.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0))
}

/// How long until a ready pod counts as available; zero when it does, `None` while it is not ready.
fn available_in(pod: &Pod, set: &InstanceSet, now: Timestamp) -> Option<SignedDuration> {
    let since = ready_since(pod)?;
    let needed = SignedDuration::from_secs(set.spec.min_ready_seconds.unwrap_or(0).into());
    Some((needed - now.duration_since(since)).max(SignedDuration::ZERO))
}

/// Whether a pod has been ready for as long as the set asks.
pub fn is_available(pod: &Pod, set: &InstanceSet, now: Timestamp) -> bool {
    pod.metadata.deletion_timestamp.is_none() && available_in(pod, set, now) == Some(SignedDuration::ZERO)
}

/// Whether an object is controlled by the set.
pub fn is_own(object: &impl ResourceExt, set: &InstanceSet) -> bool {
    object.owner_references().iter().any(|o| Some(&o.uid) == set.uid().as_ref())
}

/// The revision a pod was made from.
pub fn revision_of(pod: &Pod) -> &str {
    pod.labels().get(labels::REVISION).map(String::as_str).unwrap_or_default()
}

/// What the set needs next.
pub fn plan(seen: &Observed) -> Plan {
    let set = seen.set.as_ref();
    if set.metadata.deletion_timestamp.is_some() || set.spec.paused == Some(true) {
        return Plan::default(); // owner references clean up
    }
    let Ok(pods) = &seen.template else {
        return Plan::default(); // the status says why
    };
    let mut plan = Plan::default();
    if let Some(wanted) = build::headless(set, pods) {
        let stored = seen.headless.as_ref().and_then(|s| serde_json::to_value(s.as_ref()).ok());
        if crate::desired::differs(stored.as_ref(), &wanted) {
            plan.steps.push(Step::ApplyHeadless(wanted));
        }
    }
    let wanted = build::instances(set);
    if set.spec.stop == Some(true) {
        plan.steps.extend(seen.pods.values().filter(|p| is_own(p.as_ref(), set)).filter_map(delete_pod));
        return plan;
    }
    create(seen, pods, &wanted, &mut plan);
    scale_in(seen, &wanted, &mut plan);
    replace(seen, &wanted, &mut plan);
    plan.again = seen
        .pods
        .values()
        .filter_map(|p| available_in(p, set, seen.now))
        .filter(|left| *left > SignedDuration::ZERO)
        .min();
    plan
}

/// Whether a pod may be made beside a claim; what is missing comes with an event of the claim.
fn takes_pod(claim: &PersistentVolumeClaim, immediate: &BTreeSet<String>) -> bool {
    let class = claim.spec.as_ref().and_then(|s| s.storage_class_name.as_ref());
    let bound = claim.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Bound");
    !source_dropped(claim)
        && claim.metadata.deletion_timestamp.is_none()
        && (bound || class.is_none_or(|c| !immediate.contains(c)))
}

/// Missing instances, in order. One after the other where the set is ordered.
fn create(seen: &Observed, pods: &PodTemplateSpec, wanted: &[String], plan: &mut Plan) {
    let set = seen.set.as_ref();
    let ordered = set.spec.pod_management_policy != Some(PodManagementPolicy::Parallel);
    let revision = build::revision(set);
    for instance in wanted {
        let pod = seen.pods.get(instance);
        let claims: Vec<(String, &ClaimTemplate)> =
            set.spec.volume_claim_templates.iter().map(|t| (build::claim_name(set, t, instance), t)).collect();
        let missing: Vec<PersistentVolumeClaim> = claims
            .iter()
            .filter(|(name, _)| !seen.claims.contains_key(name))
            .map(|(_, template)| build::claim(set, pods, template, instance))
            .collect();
        let held = claims.iter().filter_map(|(name, _)| seen.claims.get(name)).any(|c| !takes_pod(c, &seen.immediate));
        if !missing.is_empty() {
            plan.steps.push(Step::CreateClaims(missing));
        } else if pod.is_none() && !held {
            plan.steps.push(Step::CreatePod(Box::new(build::pod(set, pods, instance, &revision))));
        }
        if ordered && !pod.is_some_and(|p| is_available(p, set, seen.now)) {
            break;
        }
    }
}

/// Instances that are not wanted any more: the pods first, highest first, then their claims.
fn scale_in(seen: &Observed, wanted: &[String], plan: &mut Plan) {
    let set = seen.set.as_ref();
    let ordered = set.spec.pod_management_policy != Some(PodManagementPolicy::Parallel);
    let mut surplus: Vec<&Arc<Pod>> =
        seen.pods.values().filter(|p| is_own(p.as_ref(), set) && !wanted.contains(&p.name_any())).collect();
    surplus.sort_by_key(|p| std::cmp::Reverse(build::ordinal(&p.name_any())));
    for pod in &surplus {
        plan.steps.extend(delete_pod(pod));
        if ordered {
            break;
        }
    }
    let retention = set.spec.persistent_volume_claim_retention_policy.clone().unwrap_or_default();
    if retention.when_scaled() == VolumeRetention::Retain {
        return;
    }
    for claim in seen.claims.values().filter(|c| is_own(c.as_ref(), set)) {
        let Some(instance) = claim.labels().get(labels::POD_NAME) else { continue };
        // An instance taken offline comes back with its data.
        let gone = !wanted.contains(instance)
            && !seen.pods.contains_key(instance)
            && !set.spec.offline_instances.contains(instance);
        if gone && claim.metadata.deletion_timestamp.is_none() {
            plan.steps.push(Step::DeleteClaim { name: claim.name_any(), uid: claim.uid().unwrap_or_default() });
        }
    }
}

/// Pods that ended are taken away at once; pods of an old revision one at a time, highest first, while all others are
/// available.
fn replace(seen: &Observed, wanted: &[String], plan: &mut Plan) {
    let set = seen.set.as_ref();
    let own: Vec<&Arc<Pod>> =
        wanted.iter().filter_map(|n| seen.pods.get(n)).filter(|p| is_own(p.as_ref(), set)).collect();
    let ended = |p: &&&Arc<Pod>| {
        let phase = p.status.as_ref().and_then(|s| s.phase.as_deref());
        matches!(phase, Some("Failed" | "Succeeded"))
    };
    let steps: Vec<Step> = own.iter().filter(ended).filter_map(|p| delete_pod(p)).collect();
    if !steps.is_empty() {
        plan.steps.extend(steps);
        return;
    }
    let by_hand = set.spec.instance_update_strategy.as_ref().and_then(|s| s.type_.clone());
    if by_hand == Some(InstanceUpdateStrategyType::OnDelete) {
        return;
    }
    let revision = build::revision(set);
    let mut old: Vec<&Arc<Pod>> = own.iter().copied().filter(|p| revision_of(p) != revision).collect();
    old.sort_by_key(|p| std::cmp::Reverse(build::ordinal(&p.name_any())));
    if set.spec.member_update_strategy == Some(UpdateStrategy::Parallel) {
        plan.steps.extend(old.iter().filter_map(|p| delete_pod(p)));
        return;
    }
    // One that does not run loses nothing; it goes before those that serve.
    let next = old.iter().find(|p| !is_available(p, set, seen.now)).or(old.first());
    let Some(next) = next else { return };
    let others_serve = wanted
        .iter()
        .filter(|n| **n != next.name_any())
        .all(|n| seen.pods.get(n).is_some_and(|p| is_available(p, set, seen.now)));
    if others_serve || !is_available(next, set, seen.now) {
        plan.steps.extend(delete_pod(next));
    }
}

fn delete_pod(pod: &Arc<Pod>) -> Option<Step> {
    let alive = pod.metadata.deletion_timestamp.is_none();
    alive.then(|| Step::DeletePod { name: pod.name_any(), uid: pod.uid().unwrap_or_default() })
}
