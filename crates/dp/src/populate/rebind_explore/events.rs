//! What others do: the binder, the provisioner, the scheduler, the Restore controller with its Jobs and pods, the
//! garbage collector; and strangers.

use super::world::{Content, Pod, World};
use crate::populate::rebind::{Progress, Uid, Verdict, Volume};

const NODES: [&str; 2] = ["a", "b"];

impl World {
    /// Everything others do in the normal course of things.
    pub(super) fn others(&self) -> Vec<World> {
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

    pub(super) fn choose_node(&mut self) {
        self.seen.target.needs_node = false;
        self.seen.target.node = Some(NODES[0].into());
        self.touch();
    }

    /// The Restore controller, its Job's pod and the garbage collector.
    pub(super) fn execution_steps(&self) -> Vec<World> {
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

    /// Things that must never end in an empty volume called restored.
    pub(super) fn hostile(&self) -> Vec<World> {
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
