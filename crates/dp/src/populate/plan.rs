//! Joins the decision about a claim's source with the hand-over of its volume. Pure.

use super::decide::Intent;
use super::rebind::{self, Blocker, Mode, Next, Verdict, Write};
use super::state::State;
use super::status::Report;
use crate::account::secret::Step;
use crate::error::Stop;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use std::sync::Arc;

/// What an execution that is gone has left behind.
#[derive(Default)]
pub struct Left {
    /// Something of it could still write.
    pub block: bool,
    /// Kind and name of each, for people.
    pub names: Vec<String>,
    /// Name and UID of Jobs without an owner: no garbage collector takes them.
    pub orphans: Vec<(String, String)>,
}

/// One look at the caches.
pub struct Observed {
    /// The waiting claim.
    pub claim: Arc<PersistentVolumeClaim>,
    /// What is stored on it.
    pub state: State,
    /// The retry token it carries now, empty without one.
    pub retry: String,
    /// Why the user accepts what is bound.
    pub accept: Option<String>,
    /// Hand-over as seen.
    pub rebind: rebind::Observed,
    /// What is to be done for it.
    pub intent: Result<Intent, Stop>,
    /// What the execution says while it runs or after it failed: reason and message.
    pub execution_says: Option<(&'static str, String)>,
    /// What an earlier execution has left behind.
    pub left: Left,
    /// Name of prime claim and execution.
    pub prime_name: String,
    /// The bound volume was only provisioned, as its proof says.
    pub proven_provision_only: bool,
    /// Account Secrets to write before the attempt begins.
    pub accounts: Vec<Step>,
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub enum Plan {
    /// Nothing.
    Leave,
    /// Store conditions and state.
    Store(Report, State),
    /// Write account Secrets, then store that the attempt has begun.
    Begin(Vec<Step>, Report, State),
    /// Create the prime claim.
    CreatePrime,
    /// Mark the prime claim, then create the execution.
    StartExecution(Box<Intent>),
    /// Delete Jobs that nobody owns any more: names and UIDs.
    DeleteOrphans(Vec<(String, String)>),
    /// One of the writes of the hand-over that need nothing more.
    Rebind(Write),
}

/// What the claim needs next.
pub fn plan(seen: &Observed) -> Plan {
    match rebind::next(&seen.rebind) {
        Next::Settled => Plan::Leave,
        Next::Wait(blocker) => {
            if seen.rebind.target.attempt == 0
                && seen.rebind.target.volume_name.is_none()
                && let Err(stop) = &seen.intent
            {
                return stopped(seen, stop);
            }
            if blocker == Blocker::Cleanup && !seen.left.orphans.is_empty() {
                return Plan::DeleteOrphans(seen.left.orphans.clone());
            }
            if blocker == Blocker::Cleanup && !seen.left.names.is_empty() {
                return Plan::Store(Report::waiting_for_leftovers(&seen.left.names), seen.state.clone());
            }
            let said = seen.execution_says.as_ref().filter(|_| blocker == Blocker::Execution);
            let report = match said {
                Some((reason, message)) => Report::waiting(reason, message.clone()),
                None => Report::of_blocker(blocker, &seen.prime_name),
            };
            Plan::Store(report, seen.state.clone())
        }
        Next::Write(write) => carry(seen, write),
    }
}

fn carry(seen: &Observed, write: Write) -> Plan {
    match write {
        Write::BeginAttempt { attempt } => {
            let voided = seen.state.attempt > 0 && seen.rebind.target.stored != Verdict::Failed;
            let (provision_only, why_empty) = match &seen.intent {
                Ok(intent) => (intent.mode == Mode::ProvisionOnly, intent.why_empty.clone().unwrap_or_default()),
                Err(_) if voided => (seen.state.provision_only, seen.state.why_empty.clone()),
                Err(stop) => return stopped(seen, stop),
            };
            let report = if provision_only {
                Report::provisioning(&why_empty)
            } else {
                Report::of_blocker(Blocker::Provisioning, &seen.prime_name)
            };
            let state = State { attempt, provision_only, why_empty, retry: seen.retry.clone(), ..seen.state.clone() };
            Plan::Begin(seen.accounts.clone(), report, state)
        }
        Write::CreatePrime { .. } => match &seen.intent {
            Ok(_) => Plan::CreatePrime,
            Err(stop) => stopped(seen, stop),
        },
        Write::StartExecution { .. } => match &seen.intent {
            Ok(intent) => Plan::StartExecution(Box::new(intent.clone())),
            Err(stop) => stopped(seen, stop),
        },
        Write::StoreRestored => {
            let report = match &seen.accept {
                Some(why) if !proven(seen) => Report::accepted(why),
                _ if seen.proven_provision_only => Report::provisioned(&seen.state.why_empty),
                _ => Report::restored(post_ready_left_out(seen)),
            };
            Plan::Store(report, seen.state.clone())
        }
        Write::StoreFailed { fault } => {
            let told = seen.execution_says.as_ref().map(|(_, message)| message.clone());
            Plan::Store(Report::of_fault(fault, &seen.prime_name, told), seen.state.clone())
        }
        other => Plan::Rebind(other),
    }
}

/// The postReady stage a filled claim leaves to the user; it is said, never passed over in silence.
fn post_ready_left_out(seen: &Observed) -> Option<&str> {
    seen.intent.as_ref().ok()?.post_ready_of.as_deref()
}

fn proven(seen: &Observed) -> bool {
    let target = &seen.rebind.target;
    seen.rebind
        .volumes
        .iter()
        .any(|v| target.volume_name.as_ref() == Some(&v.name) && v.proof.as_ref() == Some(&target.uid))
}

/// A blocker of the source. A retry token is consumed by a refusal too, or it would be refused for
/// ever.
fn stopped(seen: &Observed, stop: &Stop) -> Plan {
    let mut state = seen.state.clone();
    if stop.class == controller_kit::error::Class::Terminal {
        state.retry.clone_from(&seen.retry);
    }
    Plan::Store(Report::of_stop(stop), state)
}
