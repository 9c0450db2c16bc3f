//! What one look at a waiting claim sees of the hand-over of its volume, and the writes that `rebind`
//! can ask for. Plain data.

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
    /// The binder asked a provisioner for its volume (annotation `storage-provisioner`).
    pub provisioner_asked: bool,
    /// Bound volume, once the claim's phase says Bound.
    pub bound_to: Option<String>,
    /// Node it was made for; `None` with an `Immediate` class.
    pub made_for: Option<String>,
    /// Node it asks the provisioner for; the provisioner takes it away when it can not serve there.
    pub node: Option<String>,
    /// The target's choice of that node was, or was about to be, taken back because of this claim.
    pub gave_back: bool,
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
    /// The prime claim has no volume yet, or nobody was asked for one; woken by the binder.
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
    /// The provisioner could not serve on the chosen node, and a scheduler chooses again only where
    /// the choice was taken back: marks the prime claim, then takes the node off the target, with a
    /// `test` that it is still this one. The mark bounds it to once per prime claim, also when the
    /// scheduler chooses the same node again.
    GiveNodeBack {
        /// The prime claim as seen.
        prime: Uid,
        /// The target's choice as seen.
        node: String,
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
