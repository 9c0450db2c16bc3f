//! Status bodies a kubelet would write. Pure but for the time, which is an argument.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod};
use kube::ResourceExt as _;
use serde_json::{Value, json};

use super::outcome::ContainerEnd;

/// The pod was taken by no node.
pub(super) fn unschedulable(pod: &Pod, why: &str, now: Timestamp) -> Value {
    let scheduled = json!({ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": why });
    json!({ "phase": "Pending", "conditions": conditions(pod, [scheduled], now) })
}

/// The pod has a node, but its image cannot be pulled.
pub(super) fn image_pull_back_off(pod: &Pod, now: Timestamp) -> Value {
    let waiting = |container: &Container| {
        let image = container.image.as_deref().unwrap_or_default();
        let message = format!("Back-off pulling image \"{image}\"");
        let state = json!({ "waiting": { "reason": "ImagePullBackOff", "message": message } });
        container_status(container, &state, false, false)
    };
    let spec = pod.spec.clone().unwrap_or_default();
    let unready = ready_conditions(false, false);
    json!({
        "phase": "Pending", "startTime": now, "hostIP": HOST_IP,
        "conditions": conditions(pod, unready, now),
        "containerStatuses": spec.containers.iter().map(waiting).collect::<Vec<_>>(),
    })
}

/// All containers run; `ready` tells whether the readiness gates are open.
pub(super) fn running(pod: &Pod, ready: bool, pod_ip: &str, now: Timestamp) -> Value {
    let spec = pod.spec.clone().unwrap_or_default();
    let run = json!({ "running": { "startedAt": now } });
    let init = |container: &Container| {
        let done = terminated(&ContainerEnd { container: container.name.clone(), exit: 0, message: None }, now);
        if is_sidecar(container) {
            container_status(container, &run, true, true)
        } else {
            container_status(container, &done, true, false)
        }
    };
    json!({
        "phase": "Running", "startTime": start_time(pod, now), "hostIP": HOST_IP,
        "podIP": pod_ip, "podIPs": [{ "ip": pod_ip }],
        "conditions": conditions(pod, ready_conditions(true, ready), now),
        "initContainerStatuses": spec.init_containers.iter().flatten().map(init).collect::<Vec<_>>(),
        "containerStatuses":
            spec.containers.iter().map(|c| container_status(c, &run, true, true)).collect::<Vec<_>>(),
    })
}

/// All containers ended: as in `ends`, the unnamed ones with 0.
pub(super) fn ended(pod: &Pod, ends: &[ContainerEnd], now: Timestamp) -> Value {
    let spec = pod.spec.clone().unwrap_or_default();
    let ends: BTreeMap<&str, &ContainerEnd> = ends.iter().map(|end| (end.container.as_str(), end)).collect();
    let status = |container: &Container| {
        let clean = ContainerEnd { container: container.name.clone(), exit: 0, message: None };
        let end = ends.get(container.name.as_str()).copied().unwrap_or(&clean);
        container_status(container, &terminated(end, now), false, false)
    };
    let failed = spec.containers.iter().any(|c| ends.get(c.name.as_str()).is_some_and(|end| end.exit != 0));
    json!({
        "phase": if failed { "Failed" } else { "Succeeded" },
        "startTime": start_time(pod, now),
        "conditions": conditions(pod, completed_conditions(failed), now),
        "initContainerStatuses": spec.init_containers.iter().flatten().map(status).collect::<Vec<_>>(),
        "containerStatuses": spec.containers.iter().map(status).collect::<Vec<_>>(),
    })
}

/// The init container of `end` failed, later ones and the containers never started.
pub(super) fn init_failed(pod: &Pod, end: &ContainerEnd, now: Timestamp) -> Value {
    let spec = pod.spec.clone().unwrap_or_default();
    let waiting = json!({ "waiting": { "reason": "PodInitializing" } });
    let init = |container: &Container| {
        let state = if container.name == end.container { terminated(end, now) } else { waiting.clone() };
        container_status(container, &state, false, false)
    };
    json!({
        "phase": "Failed", "startTime": now,
        "conditions": conditions(pod, ready_conditions(false, false), now),
        "initContainerStatuses": spec.init_containers.iter().flatten().map(init).collect::<Vec<_>>(),
        "containerStatuses":
            spec.containers.iter().map(|c| container_status(c, &waiting, false, false)).collect::<Vec<_>>(),
    })
}

const HOST_IP: &str = "127.0.0.1";

fn is_sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn start_time(pod: &Pod, now: Timestamp) -> Value {
    let known = pod.status.as_ref().and_then(|status| status.start_time.clone());
    known.map_or_else(|| json!(now), |time| json!(time))
}

fn terminated(end: &ContainerEnd, now: Timestamp) -> Value {
    let reason = if end.exit == 0 { "Completed" } else { "Error" };
    let mut state = json!({ "exitCode": end.exit, "reason": reason, "startedAt": now, "finishedAt": now });
    if let Some(message) = &end.message {
        state["message"] = json!(message);
    }
    json!({ "terminated": state })
}

fn container_status(container: &Container, state: &Value, ready: bool, started: bool) -> Value {
    json!({
        "name": container.name, "image": container.image.as_deref().unwrap_or_default(),
        "imageID": "", "containerID": format!("fake://{}", container.name),
        "restartCount": 0, "ready": ready, "started": started, "state": state,
    })
}

fn ready_conditions(initialized: bool, ready: bool) -> [Value; 4] {
    let status = |yes: bool| if yes { "True" } else { "False" };
    [
        json!({ "type": "PodScheduled", "status": "True" }),
        json!({ "type": "Initialized", "status": status(initialized) }),
        json!({ "type": "ContainersReady", "status": status(initialized) }),
        json!({ "type": "Ready", "status": status(ready) }),
    ]
}

fn completed_conditions(failed: bool) -> [Value; 4] {
    let reason = if failed { "PodFailed" } else { "PodCompleted" };
    [
        json!({ "type": "PodScheduled", "status": "True" }),
        json!({ "type": "Initialized", "status": "True", "reason": reason }),
        json!({ "type": "ContainersReady", "status": "False", "reason": reason }),
        json!({ "type": "Ready", "status": "False", "reason": reason }),
    ]
}

/// The pod's conditions with `ours` put in; conditions of others stay, and times move only with the status.
fn conditions(pod: &Pod, ours: impl IntoIterator<Item = Value>, now: Timestamp) -> Vec<Value> {
    let old = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let mut all: BTreeMap<String, Value> = old.map(|c| (c.type_.clone(), json!(c))).collect();
    for mut condition in ours {
        let type_ = condition["type"].as_str().unwrap_or_default().to_owned();
        let same = all.get(&type_).filter(|old| old["status"] == condition["status"]);
        condition["lastTransitionTime"] =
            same.map(|old| old["lastTransitionTime"].clone()).filter(|t| !t.is_null()).unwrap_or_else(|| json!(now));
        all.insert(type_, condition);
    }
    all.into_values().collect()
}

/// A merge patch of the status, good only for the version of the pod that was looked at.
pub(super) fn patch(pod: &Pod, status: &Value) -> Value {
    json!({
        "metadata": { "uid": pod.uid(), "resourceVersion": pod.resource_version() },
        "status": status,
    })
}
