//! One world: the API server's truth, and how our writes land in it.

use crate::populate::rebind::{
    Attempt, Execution, Mode, Next, Observed, Prime, Progress, Target, Uid, Verdict, Write, next,
};
use std::collections::{BTreeMap, HashSet};

/// A pod of an execution; it mounts whatever claim has the prime's name when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pod {
    pub(super) attempt: Attempt,
    pub(super) wrote_into: Option<String>,
}

/// What a volume really holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Content {
    /// One pod writes.
    Writing,
    /// One pod wrote, from start to end, into an empty volume.
    Full,
    /// A pod ended early, or several wrote.
    Torn,
}

/// A write on its way, with the target's version as the planner saw it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct InFlight {
    pub(super) write: Write,
    pub(super) target_version: u32,
    /// The second half of a two-call write.
    pub(super) second: bool,
}

/// The API server's truth, plus what only a test can know: which volumes really hold the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct World {
    pub(super) seen: Observed,
    pub(super) target_version: u32,
    pub(super) pods: Vec<Pod>,
    pub(super) content: BTreeMap<String, Content>,
    pub(super) next_uid: u32,
    pub(super) hostile_left: u8,
    pub(super) in_flight: Option<InFlight>,
    /// The write of an operator that was killed; it may still arrive, at any time.
    pub(super) ghost: Option<InFlight>,
}

impl World {
    pub(super) fn start(mode: Mode, waits_for_consumer: bool) -> Self {
        let target = Target { uid: Uid("t".into()), needs_node: waits_for_consumer, ..Target::default() };
        World {
            seen: Observed { target, prime: None, volumes: vec![], execution: None, leftovers: false, mode },
            target_version: 0,
            pods: vec![],
            content: BTreeMap::new(),
            next_uid: 0,
            hostile_left: 2,
            in_flight: None,
            ghost: None,
        }
    }

    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.next_uid += 1;
        format!("{prefix}{}", self.next_uid)
    }

    pub(super) fn touch(&mut self) {
        self.target_version += 1;
    }

    /// What the planner sees: leftovers are pods whose execution is not the one that is there.
    pub(super) fn look(&self) -> Observed {
        let mut seen = self.seen.clone();
        let current = seen.execution.as_ref().map(|e| e.attempt);
        seen.leftovers = self.pods.iter().any(|p| Some(p.attempt) != current);
        seen
    }

    /// Plans a write, or lets the one on its way land or vanish.
    pub(super) fn ours(&self) -> Vec<World> {
        let mut rest = self.clone();
        let Some(flying) = rest.in_flight.take() else {
            let Next::Write(write) = next(&self.look()) else {
                return vec![];
            };
            let flying = InFlight { write, target_version: self.target_version, second: false };
            assert!(self.land(&flying).is_some(), "a write that can not land, planned from the truth: {self:#?}");
            rest.in_flight = Some(flying);
            return vec![rest];
        };
        let landed = rest.land(&flying);
        std::iter::once(rest).chain(landed).collect()
    }

    /// The API server's answer to a write: preconditions are checked here, not trusted.
    #[allow(clippy::too_many_lines)] // one arm per write
    pub(super) fn land(&self, flying: &InFlight) -> Option<World> {
        let mut w = self.clone();
        let fresh_target = flying.target_version == self.target_version;
        match &flying.write {
            Write::BeginAttempt { .. }
            | Write::StoreRestored
            | Write::StoreFailed { .. }
            | Write::BindTarget { .. }
                if !fresh_target =>
            {
                return None;
            }
            Write::BeginAttempt { attempt } => {
                w.seen.target.attempt = *attempt;
                w.seen.target.stored = Verdict::Waiting;
                w.seen.target.retry_asked = false;
                w.touch();
            }
            Write::StoreRestored => {
                w.seen.target.stored = Verdict::Restored;
                w.touch();
            }
            Write::StoreFailed { .. } => {
                w.seen.target.stored = Verdict::Failed;
                w.touch();
            }
            Write::CreatePrime { attempt } => {
                if w.seen.prime.is_some() {
                    return None;
                }
                let uid = Uid(w.fresh("p"));
                w.seen.prime = Some(Prime {
                    uid,
                    ours: true,
                    attempt: *attempt,
                    made_for: w.seen.target.node.clone(),
                    node: w.seen.target.node.clone(),
                    ..Prime::default()
                });
            }
            Write::StartExecution { prime, .. } if !flying.second => {
                let p = w.seen.prime.as_mut()?;
                if p.uid != *prime {
                    return None;
                }
                assert!(p.provisioner_asked || p.bound_to.is_some(), "written under the binder's first write");
                p.started = true;
                w.in_flight = Some(InFlight { second: true, ..flying.clone() });
            }
            Write::StartExecution { prime, attempt } => {
                if w.seen.execution.is_some() {
                    return None;
                }
                w.seen.execution = Some(Execution {
                    attempt: *attempt,
                    prime: prime.clone(),
                    deleting: false,
                    ours: true,
                    progress: Progress::Running,
                });
            }
            Write::GiveNodeBack { prime, .. } if !flying.second => {
                let p = w.seen.prime.as_mut()?;
                if p.uid != *prime {
                    return None;
                }
                assert!(p.provisioner_asked || p.bound_to.is_some(), "written under the binder's first write");
                p.gave_back = true;
                w.in_flight = Some(InFlight { second: true, ..flying.clone() });
            }
            Write::GiveNodeBack { node, .. } => {
                if w.seen.target.node.as_ref() != Some(node) {
                    return None;
                }
                w.seen.target.node = None;
                w.seen.target.needs_node = true;
                w.touch();
            }
            Write::DeleteExecution { attempt } => {
                let e = w.seen.execution.as_mut()?;
                if e.attempt != *attempt {
                    return None;
                }
                e.deleting = true;
            }
            Write::HandOverVolume { volume, expect_claim } => {
                let uid = w.seen.target.uid.clone();
                let v = w.seen.volumes.iter_mut().find(|v| v.name == *volume)?;
                if v.claimed_by.as_ref() != Some(expect_claim) {
                    return None;
                }
                v.claimed_by = Some(uid.clone());
                v.proof = Some(uid);
            }
            Write::BindTarget { volume } => {
                w.seen.volumes.iter().find(|v| v.name == *volume)?;
                w.seen.target.volume_name = Some(volume.clone());
                w.seen.target.bind_completed = true;
                w.touch();
            }
            Write::DeletePrime { uid } => {
                if w.seen.prime.as_ref()?.uid != *uid {
                    return None;
                }
                w.lose_prime();
            }
        }
        Some(w)
    }

    /// A deleted claim stays while a pod uses it, and then takes its volume along unless the
    /// volume belongs to somebody else by now.
    pub(super) fn lose_prime(&mut self) {
        let Some(prime) = &mut self.seen.prime else {
            return;
        };
        prime.deleting = true;
        let name = prime.uid.0.clone();
        if self.pods.iter().all(|p| p.wrote_into.as_ref() != Some(&name)) {
            let uid = prime.uid.clone();
            self.seen.prime = None;
            self.seen.volumes.retain(|v| v.claimed_by.as_ref() != Some(&uid));
            let left: HashSet<_> = self.seen.volumes.iter().map(|v| v.name.clone()).collect();
            self.content.retain(|name, _| left.contains(name));
        }
    }

    pub(super) fn kill_pods(&mut self, dies: impl Fn(&Pod) -> bool) {
        let volume = self.seen.prime.as_ref().and_then(|p| p.bound_to.clone());
        let wrote = self.pods.iter().any(|p| dies(p) && p.wrote_into.is_some());
        if let (true, Some(volume)) = (wrote, volume) {
            self.content.insert(volume, Content::Torn);
        }
        self.pods.retain(|p| !dies(p));
    }

    pub(super) fn finish_pod(&mut self, i: usize, ok: bool) {
        let pod = self.pods.remove(i);
        let volume = self.seen.prime.as_ref().and_then(|p| p.bound_to.clone());
        if let Some(e) = &mut self.seen.execution
            && e.attempt == pod.attempt
            && e.progress == Progress::Running
        {
            e.progress = if ok { Progress::Done } else { Progress::Failed };
        }
        if let Some(content) = volume.and_then(|v| self.content.get_mut(&v)) {
            *content = match *content {
                Content::Writing if ok => Content::Full,
                _ => Content::Torn,
            };
        }
        self.finish_prime_deletion();
    }

    pub(super) fn finish_prime_deletion(&mut self) {
        if self.seen.prime.as_ref().is_some_and(|p| p.deleting) {
            self.lose_prime();
        }
    }
}
