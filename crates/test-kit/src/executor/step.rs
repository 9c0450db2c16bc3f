//! The next thing a scheduler and a kubelet would do with a pod. Pure.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::ResourceExt as _;

use super::outcome::{ContainerEnd, Outcome};

/// One write, or nothing until something changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Wait for a change.
    Nothing,
    /// Say on the pod why no node takes it.
    Unschedulable(String),
    /// Write the chosen node on claims that wait for one: (name, version of the claim that was looked at).
    SelectNode(Vec<(String, String)>),
    /// Give it its node.
    Bind,
    /// Report that its image cannot be pulled.
    ImagePullBackOff,
    /// Report it Running; Ready says whether its readiness gates are open.
    Run { ready: bool },
    /// Report the end of its containers.
    End(Vec<ContainerEnd>),
    /// Report that its first init container failed.
    EndInit(ContainerEnd),
    /// Take it away: its containers have ended and its deletion was asked for.
    Remove,
}

/// State of a claim as a scheduler sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ClaimState {
    /// There is none, or it is being deleted.
    Missing,
    /// Has its volume.
    Bound,
    /// Its class binds at once, and it waits for that.
    Unbound,
    /// Its class waits for a node, and none was chosen.
    WantsNode { version: String },
    /// On its way: a node was chosen, or a volume, but not both sides know of it yet.
    BeingBound,
}

/// Annotation by which a scheduler tells the provisioner the node.
pub(crate) const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// State of a claim; `waits_for_consumer` comes from its class.
pub(super) fn claim_state(claim: Option<&PersistentVolumeClaim>, waits_for_consumer: bool) -> ClaimState {
    let Some(claim) = claim else {
        return ClaimState::Missing;
    };
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    let named = claim.spec.as_ref().is_some_and(|spec| spec.volume_name.as_deref().is_some_and(|v| !v.is_empty()));
    if phase == Some("Bound") && named {
        ClaimState::Bound
    } else if claim.metadata.deletion_timestamp.is_some() {
        ClaimState::Missing
    } else if named {
        ClaimState::BeingBound
    } else if !waits_for_consumer {
        ClaimState::Unbound
    } else if claim.annotations().contains_key(SELECTED_NODE) {
        ClaimState::BeingBound
    } else {
        ClaimState::WantsNode { version: claim.resource_version().unwrap_or_default() }
    }
}

/// The next step for `pod`, given what shall become of it and the state of the claims it mounts, by name.
pub(super) fn next_step(pod: &Pod, outcome: &Outcome, claims: &[(String, ClaimState)]) -> Step {
    let has_node = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let ended = matches!(phase, "Succeeded" | "Failed");
    if *outcome == Outcome::Unresponsive && has_node {
        return Step::Nothing;
    }
    if pod.metadata.deletion_timestamp.is_some() {
        let only_finalizers_left = pod.metadata.deletion_grace_period_seconds == Some(0);
        return match phase {
            _ if only_finalizers_left => Step::Nothing,
            "Running" => Step::End(terminated_by_signal(pod)),
            _ => Step::Remove,
        };
    }
    match (ended, has_node, phase) {
        (true, ..) => Step::Nothing,
        (_, false, _) => schedule(pod, outcome, claims),
        (_, true, "Running") => match ends(pod, outcome) {
            Some(ends) => Step::End(ends),
            None => report_ready(pod),
        },
        (_, true, _) => start(pod, outcome, claims),
    }
}

fn schedule(pod: &Pod, outcome: &Outcome, claims: &[(String, ClaimState)]) -> Step {
    let gated = pod.spec.as_ref().is_some_and(|spec| spec.scheduling_gates.as_ref().is_some_and(|g| !g.is_empty()));
    if gated {
        return Step::Nothing;
    }
    if *outcome == Outcome::NeverStart {
        return Step::Unschedulable("0/1 nodes are available: 1 Insufficient memory.".to_owned());
    }
    if let Some((name, _)) = claims.iter().find(|(_, state)| *state == ClaimState::Missing) {
        let why = format!("0/1 nodes are available: persistentvolumeclaim \"{name}\" not found.");
        return Step::Unschedulable(why);
    }
    if claims.iter().any(|(_, state)| *state == ClaimState::Unbound) {
        let why = "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.";
        return Step::Unschedulable(why.to_owned());
    }
    let wanting: Vec<(String, String)> = claims
        .iter()
        .filter_map(|(name, state)| match state {
            ClaimState::WantsNode { version } => Some((name.clone(), version.clone())),
            _ => None,
        })
        .collect();
    if !wanting.is_empty() {
        Step::SelectNode(wanting)
    } else if claims.iter().all(|(_, state)| *state == ClaimState::Bound) {
        Step::Bind
    } else {
        Step::Nothing
    }
}

fn start(pod: &Pod, outcome: &Outcome, claims: &[(String, ClaimState)]) -> Step {
    if claims.iter().any(|(_, state)| *state != ClaimState::Bound) {
        return Step::Nothing;
    }
    match outcome {
        Outcome::NeverStart | Outcome::Unresponsive => Step::Nothing,
        Outcome::ImagePullBackOff => Step::ImagePullBackOff,
        Outcome::FailInit { exit, message } => {
            let init = pod.spec.as_ref().and_then(|spec| spec.init_containers.as_ref()).and_then(|init| init.first());
            let container = init.map(|container| container.name.clone()).unwrap_or_default();
            Step::EndInit(ContainerEnd { container, exit: *exit, message: message.clone() })
        }
        _ => Step::Run { ready: gates_open(pod) },
    }
}

/// How the containers end, `None` while the pod shall go on.
fn ends(pod: &Pod, outcome: &Outcome) -> Option<Vec<ContainerEnd>> {
    let first = pod.spec.as_ref()?.containers.first()?.name.clone();
    match outcome {
        Outcome::Succeed { message } => {
            Some(vec![ContainerEnd { container: first, exit: 0, message: message.clone() }])
        }
        Outcome::Fail { exit, message } => {
            Some(vec![ContainerEnd { container: first, exit: *exit, message: message.clone() }])
        }
        Outcome::End(ends) => Some(ends.clone()),
        _ => None,
    }
}

fn report_ready(pod: &Pod) -> Step {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let reported = conditions.into_iter().any(|c| c.type_ == "Ready" && c.status == "True");
    let ready = gates_open(pod);
    if ready == reported { Step::Nothing } else { Step::Run { ready } }
}

fn gates_open(pod: &Pod) -> bool {
    let mut gates = pod.spec.iter().flat_map(|spec| spec.readiness_gates.iter().flatten());
    let conditions = || pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    gates.all(|gate| conditions().any(|c| c.type_ == gate.condition_type && c.status == "True"))
}

/// A deleted pod's containers end by SIGTERM.
fn terminated_by_signal(pod: &Pod) -> Vec<ContainerEnd> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers.map(|c| ContainerEnd { container: c.name.clone(), exit: 143, message: None }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(change: &Value) -> Pod {
        let mut pod = json!({
            "metadata": { "name": "p", "namespace": "n" },
            "spec": { "containers": [{ "name": "main" }] },
            "status": { "phase": "Pending" },
        });
        merge(&mut pod, change);
        serde_json::from_value(pod).unwrap()
    }

    fn merge(into: &mut Value, change: &Value) {
        for (key, value) in change.as_object().unwrap() {
            match into.get_mut(key) {
                Some(old) if old.is_object() && value.is_object() => merge(old, value),
                _ => into[key] = value.clone(),
            }
        }
    }

    #[test]
    fn steps() {
        let (new, placed) = (json!({}), json!({ "spec": { "nodeName": "a" } }));
        let running = json!({ "spec": { "nodeName": "a" }, "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } });
        let deleted = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z", "deletionGracePeriodSeconds": 30 }, "spec": { "nodeName": "a" }, "status": { "phase": "Running" } });
        let claim = |state: ClaimState| vec![("c".to_owned(), state)];
        let ok = Outcome::succeed();
        let end = |exit| Step::End(vec![ContainerEnd { container: "main".into(), exit, message: None }]);
        let wants = ClaimState::WantsNode { version: "7".into() };
        let cases = [
            ("no claims: bind", &new, &ok, vec![], Step::Bind),
            ("bound: bind", &new, &ok, claim(ClaimState::Bound), Step::Bind),
            ("waits for a node", &new, &ok, claim(wants), Step::SelectNode(vec![("c".into(), "7".into())])),
            ("node chosen: wait", &new, &ok, claim(ClaimState::BeingBound), Step::Nothing),
            ("placed, unbound: wait", &placed, &ok, claim(ClaimState::Unbound), Step::Nothing),
            ("placed: run", &placed, &ok, vec![], Step::Run { ready: true }),
            ("image", &placed, &Outcome::ImagePullBackOff, vec![], Step::ImagePullBackOff),
            ("hold", &running, &Outcome::Hold, vec![], Step::Nothing),
            ("succeed", &running, &ok, vec![], end(0)),
            ("deleted while running", &deleted, &Outcome::Hold, vec![], end(143)),
            ("dead node", &deleted, &Outcome::Unresponsive, vec![], Step::Nothing),
        ];
        for (what, change, outcome, claims, wanted) in cases {
            assert_eq!(next_step(&pod(change), outcome, &claims), wanted, "{what}");
        }
    }
}
