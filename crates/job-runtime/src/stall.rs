//! Since when nothing of a Job gets on: no pod of it starts, or one that was to end does not. Pure.
//!
//! A Job says neither: it stays active while its pods can not be placed, and waits for the pods of a node that died
//! (users-and-reliability K12, behaviour-backup D3).

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use std::borrow::Borrow;

/// Since when `job` has no pod that runs or succeeded; `None` while it has one, and once the Job has ended. A pod that
/// failed counts from its end: the next one is made after a pause. `pods` may hold foreign pods.
pub fn without_pod_since<P: Borrow<Pod>>(job: &Job, pods: &[P]) -> Option<Timestamp> {
    let ended = |type_: &str| condition_since(job, type_).is_some();
    if ended("Complete") || ended("Failed") || job.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let uid = job.uid().unwrap_or_default();
    let mine: Vec<&Pod> =
        pods.iter().map(Borrow::borrow).filter(|p| p.owner_references().iter().any(|o| o.uid == uid)).collect();
    let phase = |pod: &Pod| pod.status.as_ref().and_then(|s| s.phase.clone()).unwrap_or_default();
    if mine.iter().any(|p| matches!(phase(p).as_str(), "Running" | "Succeeded")) {
        return None;
    }
    let last = mine.iter().map(|p| ended_at(p).or_else(|| p.creation_timestamp().map(|t| t.0)));
    let started = job.status.as_ref().and_then(|s| s.start_time.as_ref()).map(|t| t.0);
    last.flatten().max().or(started).or_else(|| job.creation_timestamp().map(|t| t.0))
}

/// Since when `job` is lost but waits for its pods to end, which those of a dead node never do.
pub fn failing_since(job: &Job) -> Option<Timestamp> {
    condition_since(job, "FailureTarget").filter(|_| condition_since(job, "Failed").is_none())
}

fn condition_since(job: &Job, type_: &str) -> Option<Timestamp> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let found = conditions.iter().find(|c| c.type_ == type_ && c.status == "True")?;
    Some(found.last_transition_time.as_ref().map_or(Timestamp::UNIX_EPOCH, |t| t.0))
}

fn ended_at(pod: &Pod) -> Option<Timestamp> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    let ends = statuses.iter().filter_map(|s| s.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref());
    ends.map(|t| t.0).max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(created: &str, status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "p", "creationTimestamp": created,
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "u"}]},
            "status": status,
        }))
        .unwrap()
    }

    /// And so a Job whose pods can not start hides nothing (behaviour-backup §16.2).
    #[test]
    fn k12_rule_2_a_job_is_alive_only_with_a_pod_that_runs_or_succeeded() {
        let job: Job = serde_json::from_value(json!({
            "metadata": {"name": "j", "uid": "u", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"startTime": "2026-01-01T00:00:01Z"},
        }))
        .unwrap();
        let pending = pod("2026-01-01T00:00:05Z", &json!({"phase": "Pending"}));
        let running = pod("2026-01-01T00:00:05Z", &json!({"phase": "Running"}));
        let failed = pod(
            "2026-01-01T00:00:05Z",
            &json!({"phase": "Failed", "containerStatuses": [{
            "name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 1, "finishedAt": "2026-01-01T05:00:00Z"}}}]}),
        );
        let at = |text: &str| Some(text.parse().unwrap());
        for (what, pods, since) in [
            ("no pod", vec![], at("2026-01-01T00:00:01Z")),
            ("pending", vec![pending.clone()], at("2026-01-01T00:00:05Z")),
            ("running", vec![pending.clone(), running], None),
            ("failed after hours: its end counts", vec![failed], at("2026-01-01T05:00:00Z")),
        ] {
            assert_eq!(without_pod_since(&job, &pods), since, "{what}");
        }
        let mut ended = job.clone();
        ended.status = serde_json::from_value(json!({"conditions": [{"type": "Failed", "status": "True"}]})).unwrap();
        assert_eq!(without_pod_since(&ended, &[pending]), None);
    }

    #[test]
    fn a_job_that_waits_for_pods_of_a_dead_node_is_failing() {
        let with = |conditions: serde_json::Value| -> Job {
            serde_json::from_value(json!({"metadata": {"name": "j"}, "status": {"conditions": conditions}})).unwrap()
        };
        let target = json!({"type": "FailureTarget", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        let failed = json!({"type": "Failed", "status": "True"});
        assert_eq!(failing_since(&with(json!([target]))), Some("2026-01-01T00:00:00Z".parse().unwrap()));
        assert_eq!(failing_since(&with(json!([target, failed]))), None);
        assert_eq!(failing_since(&with(json!([]))), None);
    }
}
