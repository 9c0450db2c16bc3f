//! Walks every reachable world of one restore: our writes, the binder, the Jobs' pods and hostile
//! events, in every order. A write is planned first and lands later, so everything can happen in
//! between (a stale cache), or it never lands (a crash before it), or it lands and nobody hears of
//! it (a crash after it: the planner has no memory, so that needs no event of its own).
//!
//! `world` is the API server's truth and what it answers to our writes; `events` is what everybody else
//! does; the walk is here.

mod events;
mod world;

use super::rebind::{Mode, Verdict};
use std::collections::{HashSet, VecDeque};
use world::{Content, World};

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
