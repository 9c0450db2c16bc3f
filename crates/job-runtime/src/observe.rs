//! What a Job came to, read from the Job and its pods. Pure.

use crate::diagnose::{Diagnosis, diagnose};
use crate::stop;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};
use kube::ResourceExt;
use std::borrow::Borrow;

/// How far a Job is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobState {
    /// Not finished; the diagnosis says what keeps it, if anything does.
    Running {
        /// What keeps its newest pod from getting on.
        blocked: Option<Diagnosis>,
    },
    /// It finished, or was stopped after its only pod succeeded ([`stop`]).
    Succeeded {
        /// When, as the Job says; when stopped, as the pod says.
        at: Option<Timestamp>,
        /// Termination message of the main container.
        message: Option<String>,
    },
    /// It gave up.
    Failed {
        /// When, as the Job says.
        at: Option<Timestamp>,
        /// What its newest pod came to, and what the Job says.
        why: String,
        /// Termination message of the main container of the newest pod.
        message: Option<String>,
    },
}

/// Reads the state of `job`. `pods` may hold foreign pods; only those of this Job count.
/// `container` names the main container, whose termination message is passed on.
pub fn observe<P: Borrow<Pod>>(job: &Job, pods: &[P], container: &str) -> JobState {
    let uid = job.uid().unwrap_or_default();
    let mut mine: Vec<&Pod> =
        pods.iter().map(Borrow::borrow).filter(|p| p.owner_references().iter().any(|o| o.uid == uid)).collect();
    mine.sort_by_key(|p| p.creation_timestamp());
    let verdict = |type_: &str| {
        let conditions = job.status.as_ref()?.conditions.as_ref()?;
        conditions.iter().find(|c| c.type_ == type_ && c.status == "True")
    };
    if let Some(done) = verdict("Complete") {
        let message = mine.iter().rev().find_map(|p| {
            let ended = terminated(p, container)?;
            (ended.exit_code == 0).then(|| ended.message.clone()).flatten()
        });
        let at = job.status.as_ref().and_then(|s| s.completion_time.as_ref());
        return JobState::Succeeded { at: at.or(done.last_transition_time.as_ref()).map(|t| t.0), message };
    }
    if let Some(failed) = verdict("Failed") {
        let newest = mine.iter().rev().find_map(|p| terminated(p, container));
        let said = failed.message.clone().unwrap_or_else(|| "the Job failed".into());
        // The Job only counts; the pod knows what happened (behaviour-backup D3).
        let why = mine
            .iter()
            .rev()
            .find_map(|p| diagnose(p))
            .map_or_else(|| said.clone(), |d| format!("{}; {said}", d.message));
        return JobState::Failed {
            at: failed.last_transition_time.as_ref().map(|t| t.0),
            why,
            message: newest.and_then(|t| t.message.clone()),
        };
    }
    if let Some(ended) = stop::counts(job, pods, container) {
        return JobState::Succeeded { at: ended.finished_at.as_ref().map(|t| t.0), message: ended.message.clone() };
    }
    JobState::Running { blocked: mine.last().and_then(|p| diagnose(p)) }
}

pub(crate) fn terminated<'a>(pod: &'a Pod, container: &str) -> Option<&'a ContainerStateTerminated> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let status = statuses.iter().find(|s| s.name == container)?;
    let last = status.last_state.as_ref().and_then(|s| s.terminated.as_ref());
    status.state.as_ref().and_then(|s| s.terminated.as_ref()).or(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(conditions: &serde_json::Value) -> Job {
        serde_json::from_value(json!({
            "metadata": {"name": "j", "uid": "u1"},
            "status": {"conditions": conditions, "completionTime": "2026-01-01T00:00:05Z"}
        }))
        .unwrap()
    }

    fn pod(owner: &str, created: &str, exit: i32, message: &str) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": format!("p{created}"), "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": owner}]},
            "status": {"containerStatuses": [{"name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": exit, "message": message}}}]}
        }))
        .unwrap()
    }

    #[test]
    fn takes_the_message_of_the_pod_that_succeeded() {
        let pods = [
            pod("u1", "2026-01-01T00:00:01Z", 1, "first try"),
            pod("u1", "2026-01-01T00:00:03Z", 0, "second try"),
            pod("u2", "2026-01-01T00:00:04Z", 0, "somebody else's"),
        ];
        let done = job(&json!([{"type": "Complete", "status": "True"}]));
        assert_eq!(
            observe(&done, &pods, "main"),
            JobState::Succeeded {
                at: Some("2026-01-01T00:00:05Z".parse().unwrap()),
                message: Some("second try".into())
            }
        );
    }

    #[test]
    fn bd3_a_failed_job_says_what_became_of_its_pod() {
        let mut pods = [pod("u1", "2026-01-01T00:00:01Z", 1, ""), pod("u1", "2026-01-01T00:00:03Z", 137, "")];
        let statuses = pods[1].status.as_mut().unwrap().container_statuses.as_mut().unwrap();
        statuses[0].state.as_mut().unwrap().terminated.as_mut().unwrap().reason = Some("OOMKilled".into());
        let failed = job(&json!([{"type": "Failed", "status": "True", "message": "backoff limit"}]));
        let JobState::Failed { why, .. } = observe(&failed, &pods, "main") else { panic!("it failed") };
        assert!(why.contains("more memory than its limit") && why.ends_with("; backoff limit"), "{why}");
    }

    #[test]
    fn failed_condition_that_is_not_true_is_not_a_failure() {
        let running = job(&json!([{"type": "Failed", "status": "False"}]));
        assert!(matches!(observe(&running, &[] as &[Pod], "main"), JobState::Running { blocked: None }));
    }
}
