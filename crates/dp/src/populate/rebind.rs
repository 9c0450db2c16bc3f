//! Decides the next write while a claim waits for its volume.
//!
//! In: one look at the caches ([`Observed`]). Out: at most one [`Write`], or what it waits for
//! ([`Next`]). No client, no clock, no I/O; the same input always gives the same answer, so a
//! crash between any two writes is only another look at the caches.
//!
//! The volume changes hands in three writes, each of which can be the last before a crash: the
//! volume's claim reference (with the proof), the target's volume name, the deletion of the prime
//! claim. `rebind_explore.rs` walks every order of these writes, losses and foreign events.
//! Source of the rules: design D5, D7, D8, D9; behaviour-restore §6, §13, §18.

use std::fmt;

/// Identity of an API object; names can be reused, UIDs cannot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Uid(pub String);

impl fmt::Display for Uid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Counts tries to populate one target; the first is 1. A retry or a voided try adds one.
pub type Attempt = u32;

/// The claim a user or a workload waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Target {
    /// Identity of the claim.
    pub uid: Uid,
    /// A deletion timestamp is set, in whatever propagation mode.
    pub deleting: bool,
    /// `spec.volumeName`; `None` while empty.
    pub volume_name: Option<String>,
    /// Annotation `pv.kubernetes.io/bind-completed` is there.
    pub bind_completed: bool,
    /// The binder chose the volume itself (annotation `pv.kubernetes.io/bound-by-controller`).
    pub bound_by_controller: bool,
    /// Attempt stored beside the conditions for this UID; 0 before the first.
    pub attempt: Attempt,
    /// The `Restore` condition as last stored.
    pub stored: Verdict,
    /// The user asks for another attempt (`holdfast.dev/retry` with a token not yet consumed).
    pub retry_asked: bool,
    /// The user vouches for what is bound (`holdfast.dev/accept`).
    pub accepted: bool,
    /// Node chosen by the scheduler; `None` with an `Immediate` class.
    pub node: Option<String>,
    /// The class binds on first consumer and no node is chosen yet.
    pub needs_node: bool,
}

/// The temporary claim that a restore Job writes into; lives in the target's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prime {
    /// Identity of the claim.
    pub uid: Uid,
    /// Owned by this target and carrying our label; anything else is somebody else's object.
    pub ours: bool,
    /// Attempt it was created for.
    pub attempt: Attempt,
    /// Execution was announced: from now on something may have been written into it.
    pub started: bool,
    /// A deletion timestamp is set.
    pub deleting: bool,
    /// Bound volume, once the claim's phase says Bound.
    pub bound_to: Option<String>,
    /// Node it was provisioned for.
    pub node: Option<String>,
}

/// A persistent volume and whom it says it belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Volume {
    /// Name of the volume.
    pub name: String,
    /// UID in its claim reference.
    pub claimed_by: Option<Uid>,
    /// Written with the claim reference: the target whose volume this is.
    pub proof: Option<Uid>,
}

/// What is known of the execution Restore and the Jobs that fill the prime claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Execution {
    /// Attempt it belongs to.
    pub attempt: Attempt,
    /// Prime claim it was created for.
    pub prime: Uid,
    /// A deletion timestamp is set.
    pub deleting: bool,
    /// Owned by this target; anything else is somebody else's object.
    pub ours: bool,
    /// How far it is.
    pub progress: Progress,
}

/// How far an execution is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Progress {
    /// Not finished.
    Running,
    /// Every expected Job finished.
    Done,
    /// It failed; its own conditions say why.
    Failed,
    /// A recorded Job vanished before its result was stored: nobody knows what was written.
    Lost,
}

/// What the volume is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Mode {
    /// Data written by an execution.
    Data,
    /// An empty volume, because nothing was backed up for it.
    ProvisionOnly,
}

/// One look at the caches.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Observed {
    /// The waiting claim.
    pub target: Target,
    /// Its prime claim.
    pub prime: Option<Prime>,
    /// Volumes that matter: the target's, the prime's and any that carries the target's proof.
    pub volumes: Vec<Volume>,
    /// Its execution Restore.
    pub execution: Option<Execution>,
    /// Jobs or pods of an execution that is gone are still there.
    pub leftovers: bool,
    /// What the volume is to hold.
    pub mode: Mode,
}

/// The `Restore` condition of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verdict {
    /// No condition.
    #[default]
    Unset,
    /// Unknown: work goes on, or waits for something that will wake us.
    Waiting,
    /// True.
    Restored,
    /// False.
    Failed,
}

/// Why the target can not be restored; stable, safe as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// The execution Restore failed.
    ExecutionFailed,
    /// Somebody bound the target to a volume that holds no restored data.
    BoundWithoutData,
    /// The populated volume belongs to a third claim.
    VolumeTaken,
    /// An object with the prime claim's or the execution's name belongs to somebody else.
    NameCollision,
}

/// What the target waits for; each has a wake-up source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Blocker {
    /// Objects of an earlier attempt must be gone; woken by their deletion.
    Cleanup,
    /// The execution runs; woken by its status.
    Execution,
    /// The prime claim has no volume yet; woken by the binder.
    Provisioning,
    /// `bind-completed` is not on the target yet; woken by the binder.
    Binding,
    /// Bound without proof when first seen; woken by the accept annotation.
    Verification,
    /// No consumer was scheduled yet; woken by the node annotation.
    Consumer,
}

/// One write. Each carries what must still be true for it to be right.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Write {
    /// Stores attempt and conditions together, before anything of that attempt exists.
    BeginAttempt {
        /// The new attempt.
        attempt: Attempt,
    },
    /// Creates the prime claim.
    CreatePrime {
        /// Attempt it is for.
        attempt: Attempt,
    },
    /// Marks the prime claim as possibly written to, then creates the execution Restore for it:
    /// two calls. A crash between them voids the attempt, because from outside it looks like an
    /// execution that ran and was deleted.
    StartExecution {
        /// The prime claim as seen.
        prime: Uid,
        /// Attempt it is for.
        attempt: Attempt,
    },
    /// Deletes the execution and all it owns (foreground).
    DeleteExecution {
        /// Attempt of the execution to delete.
        attempt: Attempt,
    },
    /// JSON patch with a `test` on `/spec/claimRef/uid`; also writes the proof.
    HandOverVolume {
        /// Name of the volume.
        volume: String,
        /// The prime claim that must still hold it.
        expect_claim: Uid,
    },
    /// `spec.volumeName` and `bind-completed` in one patch, guarded by UID and resourceVersion.
    BindTarget {
        /// Name of the volume.
        volume: String,
    },
    /// Delete with the UID as precondition.
    DeletePrime {
        /// The prime claim as seen.
        uid: Uid,
    },
    /// Stores the verdict True.
    StoreRestored,
    /// Stores the verdict False.
    StoreFailed {
        /// Why.
        fault: Fault,
    },
}

/// What to do now.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Next {
    /// This write, then look again.
    Write(Write),
    /// Wait; the blocker names what wakes us.
    Wait(Blocker),
    /// Nothing more for this claim.
    Settled,
}

/// Next write for a claim that waits for its volume. Total, never fails.
pub fn next(seen: &Observed) -> Next {
    let target = &seen.target;
    if target.deleting {
        return Next::Settled; // owner references clean up; no child for an owner that goes
    }
    match target.stored {
        Verdict::Restored => return Next::Settled,
        Verdict::Failed if target.retry_asked => return begin_next(seen),
        Verdict::Failed => return Next::Settled,
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
    if !done && seen.target.node != prime.node {
        return begin_next(seen); // the scheduler moved on before the data was there
    }
    if seen.mode == Mode::ProvisionOnly {
        return hand_over(seen, prime);
    }
    match execution {
        // It was there, or was about to be: nobody knows what was written.
        None if prime.started => begin_next(seen),
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
