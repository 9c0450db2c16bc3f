//! Every order of looks, lagging caches, lost answers, ends, deletions and crashes, by chance: never more Jobs than may run,
//! nobody is forgotten, and who waits is served after a bounded number of turns.

mod world;

use api_types::dp::{Backup, BackupPhase};
use kube::ResourceExt;
use proptest::prelude::*;
use std::collections::BTreeMap;
use world::{Event, Fate, World};

fn event() -> impl Strategy<Value = Event> {
    let fate = prop_oneof![6 => Just(Fate::Done), 1 => Just(Fate::AnswerLost), 1 => Just(Fate::Lost), 1 => Just(Fate::Refused)];
    prop_oneof![
        3 => (0..3u8, any::<bool>(), 0..3u8, 0..2u8)
            .prop_map(|(namespace, by_hand, node, repo)| Event::Create { namespace, by_hand, node, repo }),
        6 => (any::<usize>(), fate).prop_map(|(n, fate)| Event::Look(n, fate)),
        8 => any::<usize>().prop_map(Event::Deliver),
        2 => any::<usize>().prop_map(Event::End),
        1 => any::<usize>().prop_map(Event::Delete),
        1 => Just(Event::Crash),
        2 => Just(Event::Wake),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn never_over_a_limit_and_nobody_is_forgotten(
        limits in prop_oneof![Just((1, 0)), Just((2, 0)), Just((0, 1)), Just((2, 1)), Just((1, 1))],
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(limits.0, limits.1);
        for event in &events {
            world.happen(event);
            world.check_limits();
        }
        // One after the other ends; then nobody is left, and every end was a turn for somebody.
        for _ in 0..=world.objects.len() {
            world.settle();
            world.check_limits();
            world.check_rest();
            let next = world.in_phase(&BackupPhase::Running).first().map(|b| b.name_any());
            match next {
                Some(name) => world.end(&name),
                None => break,
            }
        }
        prop_assert!(world.in_phase(&BackupPhase::New).is_empty(), "somebody still waits");
    }

    #[test]
    fn a_flood_of_one_namespace_holds_no_other_back(
        repo in 1..4u32,
        flood in prop::collection::vec((0..2u8, any::<bool>(), 0..3u8, any::<bool>()), 40),
        late in 1..20usize,
    ) {
        let mut world = World::new(repo, 1);
        let mut one = None;
        let mut turns = 0;
        for (i, (namespace, by_hand, node, deleted)) in flood.iter().enumerate() {
            let node = [None, Some("n1"), Some("n2")][usize::from(*node)];
            for _ in 0..3 {
                world.create(&format!("flood{namespace}"), *by_hand, node, "r0");
            }
            if i == late {
                one = Some(world.create("small", false, Some("n1"), "r0"));
            }
            world.settle();
            let began = |b: &Backup| b.phase() != BackupPhase::New;
            if let Some(one) = &one {
                if world.latest(one).is_some_and(began) {
                    break;
                }
                turns += 1;
            }
            // The oldest of those at work ends, and may be gone at once: a past that was deleted is no advantage.
            let oldest = world.served.iter().find(|n| world.latest(n).is_some_and(|b| b.phase() == BackupPhase::Running));
            if let Some(oldest) = oldest.cloned() {
                world.end(&oldest);
                if *deleted {
                    world.delete(&oldest);
                }
            }
        }
        // Its node and its repository: at each, all that are at work may end first, and each other namespace goes once.
        let bound = 2 * (repo as usize + 3);
        prop_assert!(turns <= bound, "it waited for {turns} turns, {bound} are enough");
    }
}

/// Who is served one after the other, with room for one at a time.
fn served_in_order(created: &[(&str, bool)]) -> Vec<String> {
    let mut world = World::new(1, 0);
    let first = world.create("other", true, None, "r0");
    world.settle();
    let mut who = BTreeMap::new();
    for (i, (namespace, by_hand)) in created.iter().enumerate() {
        let name = world.create(namespace, *by_hand, None, "r0");
        who.insert(name, format!("{namespace}{}{i}", if *by_hand { "!" } else { "" }));
    }
    world.settle();
    world.end(&first);
    for _ in created {
        world.settle();
        let running = world.in_phase(&BackupPhase::Running).first().map(|b| b.name_any()).unwrap();
        world.end(&running);
    }
    world.served.iter().filter_map(|name| who.get(name).cloned()).collect()
}

#[test]
fn namespaces_take_turns_and_within_one_the_older_goes_first() {
    let many = [("a", false); 5];
    let all: Vec<(&str, bool)> = many.into_iter().chain([("b", false), ("c", false), ("c", false)]).collect();
    assert_eq!(served_in_order(&all), ["a0", "b5", "c6", "a1", "c7", "a2", "a3", "a4"]);
}

#[test]
fn backups_by_hand_go_before_scheduled_ones_and_starve_none() {
    let all = [("a", false), ("a", false), ("a", true), ("a", true), ("a", true), ("b", false)];
    assert_eq!(served_in_order(&all), ["a!2", "b5", "a0", "a!3", "a1", "a!4"]);
}

#[test]
fn many_that_wait_are_not_written_for_each_turn() {
    let mut world = World::new(2, 0);
    for i in 0..600 {
        world.create(&format!("ns{}", i % 7), false, None, "r0");
    }
    // All are there before the first is looked at.
    world.crash();
    world.settle_many();
    let written = |world: &World| -> usize { world.objects.values().map(|o| o.versions.len()).sum() };
    for _ in 0..20 {
        let before = written(&world);
        let running = world.in_phase(&BackupPhase::Running).first().map(|b| b.name_any()).unwrap();
        world.end(&running);
        world.settle_many();
        let writes = written(&world) - before;
        assert!(writes <= 25, "{writes} writes for one turn");
    }
}
