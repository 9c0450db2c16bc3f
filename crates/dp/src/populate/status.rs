//! The two conditions a populated claim carries (behaviour-restore §11; design D6, D10). Pure.

use super::rebind::{Blocker, Fault};
use super::state::State;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, conditions};
use controller_kit::error::Class;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use serde_json::{Value, json};

/// Message while the data is being written.
pub const STARTED: &str = "Populator started";

/// What the conditions are to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Reason of `Populating`, one of the four wire words.
    pub populating: &'static str,
    /// Status of `Restore`.
    pub restore: &'static str,
    /// Reason of `Restore`.
    pub reason: &'static str,
    /// Message of both.
    pub message: String,
}

impl Report {
    /// Something blocks, or nothing can help.
    pub fn of_stop(stop: &Stop) -> Self {
        match stop.class {
            Class::Terminal => Report {
                populating: reasons::FAILED,
                restore: "False",
                reason: stop.reason,
                message: stop.message.clone(),
            },
            _ => Self::waiting(stop.reason, stop.message.clone()),
        }
    }

    /// Work goes on, or waits for something named.
    pub fn waiting(reason: &'static str, message: impl Into<String>) -> Self {
        Report { populating: reasons::PROCESSING, restore: "Unknown", reason, message: message.into() }
    }

    /// What an execution that is gone has left must go first.
    pub fn waiting_for_leftovers(names: &[String]) -> Self {
        let (shown, more) = names.split_at(names.len().min(3));
        let more = if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        Self::waiting(
            reasons::WAIT_FOR_CLEANUP,
            format!("waiting until {}{more} of an earlier attempt are gone", shown.join(", ")),
        )
    }

    /// An empty volume is on its way, and why none with data.
    pub fn provisioning(why: &str) -> Self {
        Self::waiting(reasons::POPULATING_DATA, with("Provisioning PVC without data restore", why))
    }

    /// An empty volume is there, and why none with data.
    pub fn provisioned(why: &str) -> Self {
        let message = with("PVC provisioned without data restore", why);
        Report { populating: reasons::PROVISIONED, restore: "True", reason: reasons::PROVISIONED, message }
    }

    /// The data is there. `post_ready_of` names an ActionSet whose postReady stage was not run.
    pub fn restored(post_ready_of: Option<&str>) -> Self {
        const FINISHED: &str = "Populator finished";
        let message = match post_ready_of {
            None => FINISHED.to_owned(),
            Some(name) => {
                format!("{FINISHED}; postReady of ActionSet {name} is not run for a claim: run it against the database")
            }
        };
        Report { populating: reasons::SUCCEED, restore: "True", reason: reasons::SUCCEED, message }
    }

    /// The user vouched for what is bound.
    pub fn accepted(why: &str) -> Self {
        let message = format!("accepted by annotation {}: {why}", annotations::ACCEPT);
        Report { populating: reasons::SUCCEED, restore: "True", reason: reasons::SUCCEED, message }
    }

    /// A wait of the rebind.
    pub fn of_blocker(blocker: Blocker, prime: &str) -> Self {
        match blocker {
            Blocker::Cleanup => Self::waiting(
                reasons::WAIT_FOR_CLEANUP,
                format!("waiting until claim, Restore and Jobs named {prime} of an earlier attempt are gone"),
            ),
            Blocker::Execution => Self::waiting(reasons::POPULATING_DATA, STARTED),
            Blocker::Provisioning => {
                Self::waiting(reasons::WAIT_FOR_BINDING, format!("waiting for a volume for claim {prime}"))
            }
            Blocker::Binding => Self::waiting(reasons::WAIT_FOR_BINDING, "Waiting for populate PV to bind target PVC"),
            Blocker::Verification => Self::waiting(
                reasons::UNVERIFIED,
                format!(
                    "the claim is bound to a volume without proof that it was restored; \
                     if you know that it holds the data, set annotation {}=<why>",
                    annotations::ACCEPT
                ),
            ),
            Blocker::Consumer => Self::waiting(
                reasons::WAIT_FOR_FIRST_CONSUMER,
                "the StorageClass binds on first consumer: waiting until a pod that uses this claim is scheduled",
            ),
        }
    }

    /// A fault of the rebind. `told` is what the failed execution said.
    pub fn of_fault(fault: Fault, prime: &str, told: Option<String>) -> Self {
        let (reason, message) = match fault {
            Fault::ExecutionFailed => (
                reasons::EXECUTION_FAILED,
                told.unwrap_or_else(|| format!("Restore {prime} failed; see its conditions")),
            ),
            Fault::BoundWithoutData => (
                reasons::BOUND_WITHOUT_DATA,
                "the claim was bound to a volume that holds no restored data; delete the claim and create it again"
                    .into(),
            ),
            Fault::VolumeTaken => {
                (reasons::VOLUME_TAKEN, format!("the volume of claim {prime} was taken by a third claim"))
            }
            Fault::NameCollision => (
                reasons::NAME_COLLISION,
                format!(
                    "a claim or Restore named {prime} belongs to somebody else; delete it, then set annotation {}",
                    annotations::RETRY
                ),
            ),
        };
        Report::of_stop(&Stop::terminal(reason, message))
    }
}

fn with(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

/// The body of one status apply: both conditions and the state, with identity and version, or `None`
/// when the claim says all that already. Transition times move only with a status.
pub fn apply_body(claim: &PersistentVolumeClaim, report: &Report, state: &State, now: Timestamp) -> Option<Value> {
    let old = claim.status.as_ref().and_then(|s| s.conditions.as_deref()).unwrap_or_default();
    let populating = (conditions::claim::POPULATING, "True", report.populating);
    let restore = (conditions::claim::RESTORE, report.restore, report.reason);
    let mut changed = claim.annotations().get(annotations::POPULATE_STATE) != Some(&state.to_annotation());
    let mut list = Vec::new();
    for (type_, status, reason) in [populating, restore] {
        let before = old.iter().find(|c| c.type_ == type_);
        let same_status = before.filter(|c| c.status == status);
        let at = same_status.and_then(|c| c.last_transition_time.as_ref()).map_or(now, |t| t.0);
        let same = same_status.is_some_and(|c| {
            c.reason.as_deref() == Some(reason) && c.message.as_deref() == Some(report.message.as_str())
        });
        changed |= !same;
        list.push(json!({
            "type": type_, "status": status, "reason": reason, "message": report.message,
            "lastTransitionTime": at.to_string(),
        }));
    }
    changed.then(|| {
        json!({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim",
            "metadata": {
                "name": claim.name_any(), "namespace": claim.namespace(),
                "uid": claim.uid(), "resourceVersion": claim.resource_version(),
                "annotations": {annotations::POPULATE_STATE: state.to_annotation()},
            },
            "status": {"conditions": list},
        })
    })
}
