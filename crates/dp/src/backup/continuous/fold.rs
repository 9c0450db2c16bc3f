//! What the StatefulSet of an archive says of it. Pure.

use crate::backup::fold::{Limits, told as told_by};
use api_types::dp::{ActionPhase, ActionStatus, Backup};
use jiff::{SignedDuration, Timestamp};
use job_runtime::diagnose::diagnose;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use mover_protocol::{ActionInfo, RunResult};

/// How long a pod must be in trouble, or well, before that is said: containers restart.
pub const STEADY: SignedDuration = SignedDuration::from_secs(10);

/// How an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is written.
    Well,
    /// It was not long enough as it is now to change what is said of it; until that moment.
    Unsure(Timestamp),
    /// It is not written.
    Failing(String),
    /// It rests: there is no pod to follow.
    Resting,
}

/// How the archive is, by its StatefulSet and the pods of that.
pub fn health(set: &StatefulSet, pods: &[&Pod], limits: Limits, now: Timestamp) -> Health {
    if set.spec.as_ref().and_then(|s| s.replicas) == Some(0) {
        return Health::Resting;
    }
    let uid = set.uid().unwrap_or_default();
    let mine = pods.iter().filter(|p| p.owner_references().iter().any(|o| o.uid == uid));
    let newest = mine.max_by_key(|p| p.creation_timestamp());
    let created = set.creation_timestamp().map_or(now, |t| t.0);
    let Some(pod) = newest else {
        let late = created.checked_add(limits.start).unwrap_or(Timestamp::MAX);
        let why = || format!("StatefulSet {} has no pod", set.name_any());
        return if now >= late { Health::Failing(why()) } else { Health::Unsure(late) };
    };
    let ready = pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).find(|c| c.type_ == "Ready");
    let born = pod.creation_timestamp().map_or(created, |t| t.0);
    let since = ready.and_then(|c| c.last_transition_time.as_ref()).map_or(born, |t| t.0);
    if ready.is_some_and(|c| c.status == "True") {
        let steady = since.checked_add(STEADY).unwrap_or(Timestamp::MAX);
        return if now >= steady { Health::Well } else { Health::Unsure(steady) };
    }
    let (limit, why) = match diagnose(pod) {
        Some(found) => (STEADY, format!("{}{}", found.message, told(pod))),
        None => (limits.start, format!("pod {} does not become ready", pod.name_any())),
    };
    let until = since.checked_add(limit).unwrap_or(Timestamp::MAX);
    if now >= until { Health::Failing(why) } else { Health::Unsure(until) }
}

/// What the action itself said when it ended the last time.
fn told(pod: &Pod) -> String {
    let statuses = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
    let states = statuses.flat_map(|s| [s.state.as_ref(), s.last_state.as_ref()]);
    let mut messages = states.flatten().filter_map(|s| s.terminated.as_ref()?.message.as_deref());
    let result = messages.find_map(RunResult::parse);
    result.map(|r| format!("; {}", r.failure("the action ended"))).unwrap_or_default()
}

/// Puts the health of an archive into its record; gives the moment after which it must be looked at again.
pub fn record(action: &mut ActionStatus, set: &StatefulSet, health: &Health, now: Timestamp) -> Option<Timestamp> {
    if let Some(reference) = &mut action.object_ref {
        reference.uid = set.uid();
    }
    // A count from before the last change of the StatefulSet is of pods that wrote from another database pod.
    let counted = set.status.as_ref().filter(|s| s.observed_generation >= set.metadata.generation);
    action.available_replicas = Some(counted.and_then(|s| s.available_replicas).unwrap_or_default());
    action.start_timestamp.get_or_insert(Time(now));
    action.completion_timestamp = None;
    match health {
        Health::Well | Health::Resting => {
            action.phase = Some(ActionPhase::Running);
            action.failure_reason = None;
            None
        }
        Health::Unsure(until) => {
            if action.phase != Some(ActionPhase::Failed) {
                action.phase = Some(ActionPhase::Running);
            }
            Some(*until)
        }
        Health::Failing(why) => {
            action.phase = Some(ActionPhase::Failed);
            action.failure_reason = Some(why.clone());
            None
        }
    }
}

/// Puts what one of several archives reports of itself into its record; what can not be read changes nothing.
pub fn reported(action: &mut ActionStatus, backup: &Backup) {
    let key = super::build::progress_key(action.name.as_deref().unwrap_or_default());
    let text = backup.annotations().get(&key);
    let Some(info) = text.and_then(|text| serde_json::from_str::<ActionInfo>(text).ok()) else { return };
    let said = told_by(info);
    if said.total_size.is_some() {
        action.total_size = said.total_size;
    }
    if said.time_range.is_some() {
        action.time_range = said.time_range;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const LIMITS: Limits = Limits { start: SignedDuration::from_secs(600), action: None };

    fn at(seconds: i64) -> Timestamp {
        "2026-01-01T00:00:00Z".parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
    }

    fn set(replicas: i32) -> StatefulSet {
        serde_json::from_value(json!({
            "metadata": {"name": "s", "uid": "s", "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {"replicas": replicas, "selector": {}, "serviceName": "", "template": {}},
        }))
        .unwrap()
    }

    fn pod(ready: &str, state: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "s-0", "creationTimestamp": "2026-01-01T00:00:00Z",
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "s"}]},
            "status": {
                "conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": "2026-01-01T00:00:00Z"}],
                "containerStatuses": [{"name": "backupdata", "image": "i", "imageID": "", "ready": false, "restartCount": 1,
                    "state": state}]},
        }))
        .unwrap()
    }

    #[test]
    fn rule_29_trouble_and_recovery_are_said_when_they_last() {
        let ended = json!({"terminated": {"exitCode": 3, "message": "{\"v\":1,\"exit\":3,\"reason\":\"Producer\",\"message\":\"no slot\",\"elapsedMs\":1}"}});
        let running = json!({"running": {}});
        let look = |pod: &Pod, seconds: i64| health(&set(1), &[pod], LIMITS, at(seconds));
        assert_eq!(look(&pod("True", &running), 3), Health::Unsure(at(10)));
        assert_eq!(look(&pod("True", &running), 10), Health::Well);
        assert_eq!(look(&pod("False", &ended), 9), Health::Unsure(at(10)));
        let Health::Failing(why) = look(&pod("False", &ended), 10) else { panic!("it fails") };
        assert!(why.contains("exit code 3") && why.contains("no slot"), "{why}");
        assert_eq!(look(&pod("False", &running), 599), Health::Unsure(at(600)), "it starts slowly");
        assert!(matches!(look(&pod("False", &running), 600), Health::Failing(_)));
        assert_eq!(health(&set(0), &[], LIMITS, at(0)), Health::Resting);
        assert!(matches!(health(&set(1), &[], LIMITS, at(600)), Health::Failing(_)));

        let mut action = ActionStatus { phase: Some(ActionPhase::Running), ..ActionStatus::default() };
        record(&mut action, &set(1), &Health::Failing("x".into()), at(10));
        assert_eq!((action.phase.clone(), action.failure_reason.as_deref()), (Some(ActionPhase::Failed), Some("x")));
        assert_eq!(record(&mut action, &set(1), &Health::Unsure(at(20)), at(11)), Some(at(20)));
        assert_eq!(action.phase, Some(ActionPhase::Failed), "not yet well again");
        record(&mut action, &set(1), &Health::Well, at(20));
        assert_eq!((action.phase, action.failure_reason), (Some(ActionPhase::Running), None));
    }

    /// Moved to another database pod, it was told to be written from there while its old pod still counted.
    #[test]
    fn replicas_count_only_as_the_set_is_now() {
        let counted = |observed: i64| {
            let mut set = set(1);
            set.metadata.generation = Some(3);
            let status = json!({"replicas": 1, "availableReplicas": 1, "observedGeneration": observed});
            set.status = Some(serde_json::from_value(status).unwrap());
            let mut action = ActionStatus::default();
            record(&mut action, &set, &Health::Unsure(at(10)), at(0));
            action.available_replicas
        };
        assert_eq!((counted(2), counted(3)), (Some(0), Some(1)));
    }
}
