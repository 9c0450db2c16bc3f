//! Decides the next write while a claim waits for its volume.
//!
//! In: one look at the caches ([`Observed`]). Out: at most one [`Write`], or what it waits for
//! ([`Next`]). No client, no clock, no I/O; the same input always gives the same answer, so a
//! crash between any two writes is only another look at the caches.
//!
//! The volume changes hands in three writes, each of which can be the last before a crash: the
//! volume's claim reference (with the proof), the target's volume name, the deletion of the prime
//! claim. `rebind_explore` walks every order of these writes, losses and foreign events.
//! Source of the rules: design D5, D7, D8, D9; behaviour-restore §6, §13, §18.

pub use super::seen::{
    Attempt, Blocker, Execution, Fault, Mode, Next, Observed, Prime, Progress, Target, Uid, Verdict, Volume, Write,
};

/// Next write for a claim that waits for its volume. Total, never fails.
pub fn next(seen: &Observed) -> Next {
    let target = &seen.target;
    if target.deleting {
        return Next::Settled; // owner references clean up; no child for an owner that goes
    }
    match target.stored {
        Verdict::Failed if target.retry_asked => return begin_next(seen),
        Verdict::Restored | Verdict::Failed => return Next::Settled,
        Verdict::Unset | Verdict::Waiting => {}
    }
    if let Some(bound) = &target.volume_name {
        return settle(seen, bound);
    }
    if let Some(ours) = with_proof(seen) {
        return Next::Write(Write::BindTarget { volume: ours.name.clone() });
    }
    if target.attempt == 0 {
        return if target.needs_node { Next::Wait(Blocker::Consumer) } else { begin_next(seen) };
    }
    if let Some(blocked) = sweep_earlier_attempts(seen) {
        return blocked;
    }
    match &seen.prime {
        None => without_prime(seen),
        Some(prime) => with_prime(seen, prime),
    }
}

/// The target has a volume: either ours, or somebody was faster.
fn settle(seen: &Observed, bound: &str) -> Next {
    let target = &seen.target;
    let proven = seen.volumes.iter().any(|v| {
        v.name == bound && v.proof.as_ref() == Some(&target.uid) && v.claimed_by.as_ref() == Some(&target.uid)
    });
    if !proven {
        return if target.accepted {
            Next::Write(Write::StoreRestored)
        } else if target.attempt > 0 || target.bound_by_controller {
            fail(Fault::BoundWithoutData)
        } else {
            Next::Wait(Blocker::Verification)
        };
    }
    if !target.bind_completed {
        return Next::Wait(Blocker::Binding);
    }
    match &seen.prime {
        Some(prime) if prime.ours && !prime.deleting => delete(prime),
        _ => Next::Write(Write::StoreRestored),
    }
}

/// Nothing of an earlier attempt may be there, running or dying, when a new one starts: its pods
/// mount the prime claim by name and would write into the new one.
fn sweep_earlier_attempts(seen: &Observed) -> Option<Next> {
    let now = seen.target.attempt;
    if let Some(execution) = &seen.execution {
        if !execution.ours {
            return Some(fail(Fault::NameCollision));
        }
        if execution.deleting {
            return Some(Next::Wait(Blocker::Cleanup));
        }
        if execution.attempt != now {
            return Some(Next::Write(Write::DeleteExecution { attempt: execution.attempt }));
        }
    }
    if let Some(prime) = &seen.prime {
        if !prime.ours {
            return Some(fail(Fault::NameCollision));
        }
        if prime.deleting {
            return Some(Next::Wait(Blocker::Cleanup));
        }
        if prime.attempt != now {
            return Some(delete(prime));
        }
    }
    (seen.leftovers && seen.execution.is_none()).then_some(Next::Wait(Blocker::Cleanup))
}

/// No prime claim: not created yet, or lost together with what was written into it.
fn without_prime(seen: &Observed) -> Next {
    if seen.execution.is_some() {
        return begin_next(seen);
    }
    if seen.target.needs_node {
        return Next::Wait(Blocker::Consumer);
    }
    Next::Write(Write::CreatePrime { attempt: seen.target.attempt })
}

fn with_prime(seen: &Observed, prime: &Prime) -> Next {
    let execution = seen.execution.as_ref();
    let done = execution.is_some_and(|e| e.progress == Progress::Done && e.prime == prime.uid);
    if !done && seen.target.node != prime.made_for {
        return begin_next(seen); // the scheduler moved on before the data was there
    }
    if !done && prime.node != prime.made_for {
        return match (&prime.node, &prime.made_for) {
            (None, Some(node)) if !prime.gave_back => {
                Next::Write(Write::GiveNodeBack { prime: prime.uid.clone(), node: node.clone() })
            }
            _ => begin_next(seen),
        };
    }
    if seen.mode == Mode::ProvisionOnly {
        return hand_over(seen, prime);
    }
    match execution {
        // It was there, or was about to be: nobody knows what was written.
        None if prime.started => begin_next(seen),
        // The binder's first write to a claim is done once: meeting one of ours it fails, and is repeated only by
        // its resync of 15 s.
        None if !prime.provisioner_asked && prime.bound_to.is_none() => Next::Wait(Blocker::Provisioning),
        None => Next::Write(Write::StartExecution { prime: prime.uid.clone(), attempt: seen.target.attempt }),
        Some(e) if e.prime != prime.uid => begin_next(seen),
        Some(e) => match e.progress {
            Progress::Running => Next::Wait(Blocker::Execution),
            Progress::Failed => fail(Fault::ExecutionFailed),
            Progress::Lost => begin_next(seen),
            Progress::Done => hand_over(seen, prime),
        },
    }
}

/// The volume is ready; it goes from the prime claim to the target.
fn hand_over(seen: &Observed, prime: &Prime) -> Next {
    let held = prime.bound_to.as_ref().and_then(|name| seen.volumes.iter().find(|v| v.name == *name));
    let Some(held) = held else {
        return Next::Wait(Blocker::Provisioning);
    };
    match &held.claimed_by {
        Some(owner) if *owner == prime.uid => {
            Next::Write(Write::HandOverVolume { volume: held.name.clone(), expect_claim: prime.uid.clone() })
        }
        _ => fail(Fault::VolumeTaken),
    }
}

/// The volume that was handed over to this target, by whichever attempt: the proof is written only
/// with data in it.
fn with_proof(seen: &Observed) -> Option<&Volume> {
    let uid = &seen.target.uid;
    seen.volumes.iter().find(|v| v.proof.as_ref() == Some(uid) && v.claimed_by.as_ref() == Some(uid))
}

fn begin_next(seen: &Observed) -> Next {
    Next::Write(Write::BeginAttempt { attempt: seen.target.attempt + 1 })
}

fn delete(prime: &Prime) -> Next {
    Next::Write(Write::DeletePrime { uid: prime.uid.clone() })
}

fn fail(fault: Fault) -> Next {
    Next::Write(Write::StoreFailed { fault })
}
