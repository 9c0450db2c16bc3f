//! Says in one sentence why a pod does not get on.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt;

/// Why a pod does not get on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// No node takes it.
    Unschedulable,
    /// An image can not be pulled, or is not there.
    ImagePull,
    /// A container can not be made: a missing Secret, ConfigMap, volume or command.
    ContainerConfig,
    /// A container was killed for memory.
    OutOfMemory,
    /// A container keeps ending.
    Crashing,
}

impl Trouble {
    /// Stable reason for conditions.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Unschedulable => "PodUnschedulable",
            Self::ImagePull => "ImagePullFailed",
            Self::ContainerConfig => "ContainerConfigFailed",
            Self::OutOfMemory => "OutOfMemory",
            Self::Crashing => "PodFailed",
        }
    }
}

/// Trouble and the sentence about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnosis {
    /// What kind.
    pub trouble: Trouble,
    /// For people: names the pod, the container and what the node said.
    pub message: String,
}

/// What keeps `pod` from getting on, if anything does.
pub fn diagnose(pod: &Pod) -> Option<Diagnosis> {
    let status = pod.status.as_ref()?;
    let name = pod.name_any();
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False" && c.reason.as_deref() == Some("Unschedulable"));
    if let Some(condition) = unscheduled {
        let why = condition.message.as_deref().unwrap_or("no node fits");
        return Some(Diagnosis {
            trouble: Trouble::Unschedulable,
            message: format!("pod {name} can not be scheduled: {why}"),
        });
    }
    let all = status.init_container_statuses.iter().flatten();
    all.chain(status.container_statuses.iter().flatten()).find_map(|container| of_container(&name, container))
}

fn of_container(pod: &str, container: &ContainerStatus) -> Option<Diagnosis> {
    let state = container.state.as_ref()?;
    let say = |trouble, why: &str| {
        Some(Diagnosis { trouble, message: format!("container {} of pod {pod}: {why}", container.name) })
    };
    if let Some(waiting) = &state.waiting {
        let why = waiting.message.as_deref().or(waiting.reason.as_deref()).unwrap_or("waiting");
        return match waiting.reason.as_deref()? {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ErrImageNeverPull" => {
                say(Trouble::ImagePull, why)
            }
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                say(Trouble::ContainerConfig, why)
            }
            "CrashLoopBackOff" => say(Trouble::Crashing, why),
            _ => None,
        };
    }
    let ended = state.terminated.as_ref().filter(|t| t.exit_code != 0)?;
    if ended.reason.as_deref() == Some("OOMKilled") {
        return say(Trouble::OutOfMemory, "was killed because it used more memory than its limit");
    }
    say(Trouble::Crashing, &format!("ended with exit code {}", ended.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "p"}, "status": status})).unwrap()
    }

    #[test]
    fn names_the_one_thing_that_blocks() {
        let cases = [
            (
                serde_json::json!({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}]}),
                Some((Trouble::Unschedulable, "pod p can not be scheduled: 0/1 nodes")),
            ),
            (
                serde_json::json!({"initContainerStatuses": [{"name": "i", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}}]}),
                Some((Trouble::ImagePull, "container i of pod p: no such image")),
            ),
            (
                serde_json::json!({"containerStatuses": [{"name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]}),
                Some((
                    Trouble::OutOfMemory,
                    "container c of pod p: was killed because it used more memory than its limit",
                )),
            ),
            (
                serde_json::json!({"containerStatuses": [{"name": "c", "image": "x", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"waiting": {"reason": "ContainerCreating"}}}]}),
                None,
            ),
        ];
        for (status, expected) in cases {
            let got = diagnose(&pod(&status));
            assert_eq!(got.as_ref().map(|d| (d.trouble, d.message.as_str())), expected);
        }
    }
}
