//! Walks every reachable world of one restore: our writes, the binder, the Jobs' pods and hostile
//! events, in every order. A write is planned first and lands later, so everything can happen in
//! between (a stale cache), or it never lands (a crash before it), or it lands and nobody hears of
//! it (a crash after it: the planner has no memory, so that needs no event of its own).

use super::rebind::{
    Attempt, Execution, Mode, Next, Observed, Prime, Progress, Target, Uid, Verdict, Volume, Write, next,
};
use std::collections::{BTreeMap, HashSet, VecDeque};

/// A pod of an execution; it mounts whatever claim has the prime's name when it starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Pod {
    attempt: Attempt,
    wrote_into: Option<String>,
}

/// What a volume really holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Content {
    /// One pod writes.
    Writing,
    /// One pod wrote, from start to end, into an empty volume.
    Full,
    /// A pod ended early, or several wrote.
    Torn,
}

/// A write on its way, with the target's version as the planner saw it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InFlight {
    write: Write,
    target_version: u32,
    /// The second half of a two-call write.
    second: bool,
}

/// The API server's truth, plus what only a test can know: which volumes really hold the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    seen: Observed,
    target_version: u32,
    pods: Vec<Pod>,
    content: BTreeMap<String, Content>,
    next_uid: u32,
    hostile_left: u8,
    in_flight: Option<InFlight>,
    /// The write of an operator that was killed; it may still arrive, at any time.
    ghost: Option<InFlight>,
}

const NODES: [&str; 2] = ["a", "b"];

impl World {
    fn start(mode: Mode, waits_for_consumer: bool) -> Self {
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

    fn fresh(&mut self, prefix: &str) -> String {
        self.next_uid += 1;
        format!("{prefix}{}", self.next_uid)
    }

    fn touch(&mut self) {
        self.target_version += 1;
    }

    /// What the planner sees: leftovers are pods whose execution is not the one that is there.
    fn look(&self) -> Observed {
        let mut seen = self.seen.clone();
        let current = seen.execution.as_ref().map(|e| e.attempt);
        seen.leftovers = self.pods.iter().any(|p| Some(p.attempt) != current);
        seen
    }

    /// Plans a write, or lets the one on its way land or vanish.
    fn ours(&self) -> Vec<World> {
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
    fn land(&self, flying: &InFlight) -> Option<World> {
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
    fn lose_prime(&mut self) {
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

    /// Everything others do in the normal course of things.
    fn others(&self) -> Vec<World> {
        let mut out = vec![];
        if let Some(prime) = &self.seen.prime
            && prime.bound_to.is_none()
            && prime.node == prime.made_for
            && !prime.deleting
        {
            if !prime.provisioner_asked {
                let mut w = self.clone();
                if let Some(p) = &mut w.seen.prime {
                    p.provisioner_asked = true;
                }
                out.push(w);
            }
            // With or without a provisioner: a volume that is there already is bound at once.
            let mut w = self.clone();
            let name = w.fresh("v");
            w.seen.volumes.push(Volume { name: name.clone(), claimed_by: Some(prime.uid.clone()), proof: None });
            if let Some(p) = &mut w.seen.prime {
                p.bound_to = Some(name);
            }
            out.push(w);
        }
        if self.seen.target.needs_node {
            let mut w = self.clone();
            w.choose_node();
            out.push(w);
        }
        if let Some(ghost) = &self.ghost {
            let mut gone = self.clone();
            gone.ghost = None;
            // Only the call that was on the wire arrives; its operator does not make the next.
            out.extend(gone.land(ghost).map(|mut w| {
                w.in_flight.clone_from(&self.in_flight);
                w
            }));
            out.push(gone);
        }
        out.extend(self.execution_steps());
        out
    }

    fn choose_node(&mut self) {
        self.seen.target.needs_node = false;
        self.seen.target.node = Some(NODES[0].into());
        self.touch();
    }

    /// The Restore controller, its Job's pod and the garbage collector.
    fn execution_steps(&self) -> Vec<World> {
        let mut out = vec![];
        if let Some(e) = &self.seen.execution {
            let has_pod = self.pods.iter().any(|p| p.attempt == e.attempt);
            // The Restore controller creates the Job only while the claim of the name is the one
            // the execution was made for.
            let right_claim = self.seen.prime.as_ref().is_some_and(|p| p.uid == e.prime && !p.deleting);
            if e.progress == Progress::Running && !e.deleting && !has_pod && right_claim {
                let mut w = self.clone();
                w.pods.push(Pod { attempt: e.attempt, wrote_into: None });
                out.push(w);
            }
            if e.deleting {
                let mut w = self.clone(); // foreground: its pods first, then itself
                let attempt = e.attempt;
                w.kill_pods(|p| p.attempt == attempt);
                w.seen.execution = None;
                w.finish_prime_deletion();
                out.push(w);
            }
        } else if !self.pods.is_empty() {
            let mut w = self.clone(); // orphaned pods are collected some time later
            w.kill_pods(|_| true);
            w.finish_prime_deletion();
            out.push(w);
        }
        for (i, pod) in self.pods.iter().enumerate() {
            match (&pod.wrote_into, &self.seen.prime) {
                // Mounts by name: any attempt's pod takes the claim that is there.
                (None, Some(prime)) if prime.bound_to.is_some() && !prime.deleting => {
                    let mut w = self.clone();
                    w.pods[i].wrote_into = Some(prime.uid.0.clone());
                    let volume = prime.bound_to.clone().unwrap_or_default();
                    w.content.entry(volume).and_modify(|c| *c = Content::Torn).or_insert(Content::Writing);
                    out.push(w);
                }
                (Some(claim), Some(prime)) if prime.uid.0 == *claim => {
                    for ok in [true, false] {
                        let mut w = self.clone();
                        w.finish_pod(i, ok);
                        out.push(w);
                    }
                }
                _ => {}
            }
        }
        out
    }

    fn kill_pods(&mut self, dies: impl Fn(&Pod) -> bool) {
        let volume = self.seen.prime.as_ref().and_then(|p| p.bound_to.clone());
        let wrote = self.pods.iter().any(|p| dies(p) && p.wrote_into.is_some());
        if let (true, Some(volume)) = (wrote, volume) {
            self.content.insert(volume, Content::Torn);
        }
        self.pods.retain(|p| !dies(p));
    }

    fn finish_pod(&mut self, i: usize, ok: bool) {
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

    fn finish_prime_deletion(&mut self) {
        if self.seen.prime.as_ref().is_some_and(|p| p.deleting) {
            self.lose_prime();
        }
    }

    /// Things that must never end in an empty volume called restored.
    fn hostile(&self) -> Vec<World> {
        if self.hostile_left == 0 {
            return vec![];
        }
        let mut base = self.clone();
        base.hostile_left -= 1;
        let mut out = vec![];
        let mut event = |change: &dyn Fn(&mut World)| {
            let mut w = base.clone();
            change(&mut w);
            out.push(w);
        };
        if base.seen.prime.is_some() {
            event(&|w| w.lose_prime());
        }
        if base.seen.execution.is_some() {
            event(&|w| w.seen.execution = None); // background: its pods live on for a while
            event(&|w| {
                if let Some(e) = &mut w.seen.execution {
                    e.progress = Progress::Lost;
                }
            });
        }
        if base.seen.target.volume_name.is_none() {
            event(&|w| {
                let name = w.fresh("v");
                let claim = w.seen.target.uid.clone();
                w.seen.volumes.push(Volume { name: name.clone(), claimed_by: Some(claim), proof: None });
                w.seen.target.volume_name = Some(name);
                w.seen.target.bind_completed = true;
                w.seen.target.bound_by_controller = true;
                w.touch();
            });
        }
        if base.seen.target.node.is_some() {
            event(&|w| {
                w.seen.target.node = Some(NODES[1].into());
                w.touch();
            });
        }
        if base.seen.prime.as_ref().is_some_and(|p| p.node.is_some() && p.provisioner_asked && p.bound_to.is_none()) {
            event(&|w| {
                if let Some(p) = &mut w.seen.prime {
                    p.node = None; // the provisioner can not serve there
                }
            });
        }
        if base.seen.target.stored == Verdict::Failed {
            event(&|w| {
                w.seen.target.retry_asked = true;
                w.touch();
            });
        }
        if base.in_flight.is_some() {
            event(&|w| w.ghost = w.in_flight.take());
        }
        if base.seen.prime.is_some() {
            event(&|w| {
                let held = w.seen.prime.as_ref().and_then(|p| p.bound_to.clone());
                if let Some(v) = w.seen.volumes.iter_mut().find(|v| Some(&v.name) == held.as_ref()) {
                    v.claimed_by = Some(Uid("x".into()));
                }
            });
        }
        event(&|w| {
            w.seen.target.stored = Verdict::Unset;
            w.seen.target.attempt = 0; // conditions and annotation go together
            w.touch();
        });
        event(&|w| {
            w.seen.target.deleting = true;
            w.touch();
        });
        out
    }
}

fn check(world: &World) {
    if world.seen.mode == Mode::ProvisionOnly {
        return;
    }
    let target = &world.seen.target;
    if target.stored == Verdict::Restored {
        let bound = target.volume_name.as_ref().expect("restored means bound");
        assert_eq!(
            world.content.get(bound),
            Some(&Content::Full),
            "called restored, does not hold the data: {world:#?}"
        );
    }
    for volume in world.seen.volumes.iter().filter(|v| v.proof.is_some()) {
        assert_eq!(
            world.content.get(&volume.name),
            Some(&Content::Full),
            "proof on a volume without the data: {world:#?}"
        );
    }
}

/// Our own writes never take a verdict back without being asked to.
fn check_step(before: &World, after: &World) {
    let (old, new) = (before.seen.target.stored, after.seen.target.stored);
    if old == Verdict::Restored || (old == Verdict::Failed && !before.seen.target.retry_asked) {
        assert_eq!(old, new, "a verdict was taken back: {before:#?}");
    }
}

fn settled(world: &World) -> bool {
    let target = &world.seen.target;
    target.deleting || matches!(target.stored, Verdict::Restored | Verdict::Failed)
}

/// Nothing waits for ever: unless an outsider must act, somebody has a next step.
fn stuck(world: &World, steps: usize) -> bool {
    let waits_for_user = world.seen.target.volume_name.is_some();
    steps == 0 && !settled(world) && !waits_for_user
}

fn explore(mode: Mode, waits_for_consumer: bool) -> (usize, usize) {
    let start = World::start(mode, waits_for_consumer);
    let mut known: HashSet<World> = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let mut restored = 0;
    while let Some(world) = queue.pop_front() {
        check(&world);
        restored += usize::from(world.seen.target.stored == Verdict::Restored);
        let mut steps = world.others();
        for w in world.ours() {
            check_step(&world, &w);
            steps.push(w);
        }
        assert!(!stuck(&world, steps.len()), "waits for ever: {world:#?}");
        steps.extend(world.hostile());
        for w in steps {
            if w.seen.target.attempt <= 4 && w.next_uid <= 8 && known.insert(w.clone()) {
                queue.push_back(w);
            }
        }
    }
    (known.len(), restored)
}

#[test]
fn d9_no_order_of_events_calls_an_empty_volume_restored() {
    for (mode, waits) in [(Mode::Data, false), (Mode::Data, true), (Mode::ProvisionOnly, false)] {
        let (worlds, restored) = explore(mode, waits);
        println!("explored {worlds} worlds ({mode:?}, waits for consumer: {waits}), {restored} restored");
        assert!(restored > 0, "no path leads to a restored target");
    }
}
