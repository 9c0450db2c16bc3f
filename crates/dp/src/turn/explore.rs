//! Every order of looks, lagging caches, lost answers, ends, deletions and crashes, by chance: never more Jobs than may run,
//! nobody is forgotten, and who waits is served after a bounded number of turns.

use super::Turns;
use super::claim::JobOf;
use super::order::Verdict;
use crate::backup::status;
use api_types::dp::{Backup, BackupPhase};
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Done,
    /// It is done, and nobody is told.
    AnswerLost,
    /// It never arrives, and nobody is told.
    Lost,
    Refused,
}

/// One thing that happens; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Event {
    Create {
        namespace: u8,
        by_hand: bool,
        node: u8,
        repo: u8,
    },
    Look(usize, Fate),
    /// The cache sees the next version of one Backup.
    Deliver(usize),
    End(usize),
    Delete(usize),
    Crash,
    /// The look at all turns.
    Wake,
}

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

/// One object: what the server has seen of it, and how much of that the cache has; `None` is its end.
#[derive(Default)]
struct Object {
    versions: Vec<Option<Backup>>,
    shown: usize,
}

struct World {
    limits: (u32, u32),
    turns: Turns,
    objects: BTreeMap<String, Object>,
    /// Keys of the controller's queue.
    due: BTreeSet<String>,
    clock: i64,
    served: Vec<String>,
}

impl World {
    fn new(repo: u32, node: u32) -> Self {
        World {
            limits: (repo, node),
            turns: Turns::new(repo, node),
            objects: BTreeMap::new(),
            due: BTreeSet::new(),
            clock: 0,
            served: vec![],
        }
    }

    fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_second(self.clock).unwrap()
    }

    fn create(&mut self, namespace: &str, by_hand: bool, node: Option<&str>, repo: &str) -> String {
        let created = self.tick();
        let name = format!("b{}", self.clock);
        let labels = if by_hand { json!({}) } else { json!({"dataprotection.kubeblocks.io/autobackup": "true"}) };
        let backup: Backup = serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": namespace, "uid": name, "resourceVersion": self.clock.to_string(),
                "creationTimestamp": created, "labels": labels, "annotations": {"node": node.unwrap_or_default(), "repo": repo}},
            "spec": {"backupPolicyName": "p", "backupMethod": "m"},
        }))
        .unwrap();
        self.objects.insert(name.clone(), Object { versions: vec![Some(backup)], shown: 0 });
        name
    }

    fn latest(&self, name: &str) -> Option<&Backup> {
        self.objects.get(name)?.versions.last()?.as_ref()
    }

    fn cached(&self, name: &str) -> Option<Backup> {
        let object = self.objects.get(name)?;
        object.versions.get(object.shown.checked_sub(1)?)?.clone()
    }

    /// A status write that holds for one version.
    fn store(&mut self, old: &Backup, change: impl FnOnce(&mut Backup)) -> bool {
        let name = old.name_any();
        let Some(latest) = self.latest(&name).filter(|b| b.resource_version() == old.resource_version()) else {
            return false;
        };
        let mut next = latest.clone();
        change(&mut next);
        self.tick();
        next.metadata.resource_version = Some(self.clock.to_string());
        self.objects.get_mut(&name).unwrap().versions.push(Some(next));
        true
    }

    /// As the controller looks at a Backup.
    fn look(&mut self, name: &str, fate: Fate) {
        self.due.remove(name);
        let Some(backup) = self.cached(name) else {
            self.turns.forget(&controller_kit::Key::new(self.namespace_of(name), name));
            return;
        };
        self.turns.see(&backup, true);
        let failed = backup.phase() == BackupPhase::New
            && backup.metadata.deletion_timestamp.is_none()
            && self.begin(&backup, fate);
        self.turns.looked(&backup, failed);
        if failed {
            self.due.insert(name.to_owned());
        }
    }

    fn namespace_of(&self, name: &str) -> String {
        self.objects[name].versions.iter().flatten().next().and_then(ResourceExt::namespace).unwrap()
    }

    /// True if it failed.
    fn begin(&mut self, backup: &Backup, fate: Fate) -> bool {
        let note = |key: &str| backup.annotations().get(key).cloned().filter(|v| !v.is_empty());
        let job = JobOf { repo: note("repo"), node: note("node"), ..JobOf::default() };
        let held = self.turns.held(backup).or_else(|| match self.turns.ask(backup, std::slice::from_ref(&job)).pop() {
            Some(Verdict::Held(held)) => Some(held),
            _ => None,
        });
        let now = self.tick();
        if let Some(held) = held {
            let mut next = backup.status.clone().unwrap_or_default();
            status::queued(&mut next, &held, &job, None, now);
            let mut same = next.clone();
            status::keep_transition(backup.status.as_ref(), &mut same);
            if backup.status.as_ref() != Some(&same) && matches!(fate, Fate::Done | Fate::AnswerLost) {
                self.store(backup, |b| b.status = Some(next));
            }
            return fate != Fate::Done;
        }
        self.turns.sending(backup, now);
        if fate == Fate::Refused {
            self.turns.refused(backup);
            return true;
        }
        if fate != Fate::Lost {
            let began = self.store(backup, |b| {
                let mut next = b.status.clone().unwrap_or_default();
                next.phase = Some(BackupPhase::Running);
                next.start_timestamp = Some(Time(now));
                next.backup_repo_name.clone_from(&job.repo);
                next.actions =
                    serde_json::from_value(json!([{"name": "dp-backup-0", "actionType": "Job", "phase": "New",
                    "nodeName": job.node}]))
                    .unwrap();
                status::left_queue(next.queue.as_mut(), now);
                status::unblocked(&mut next);
                b.status = Some(next);
            });
            if began {
                self.served.push(backup.name_any());
            } else {
                self.due.insert(backup.name_any());
            }
        }
        matches!(fate, Fate::Lost | Fate::AnswerLost)
    }

    fn deliver(&mut self, name: &str) {
        let Some(object) = self.objects.get_mut(name).filter(|o| o.shown < o.versions.len()) else { return };
        object.shown += 1;
        let now = object.versions[object.shown - 1].clone();
        let last = object.versions.iter().take(object.shown).flatten().next_back().cloned().unwrap();
        self.turns.see(&last, now.is_some());
        self.due.insert(name.to_owned());
    }

    fn end(&mut self, name: &str) {
        if let Some(backup) = self.latest(name).filter(|b| b.phase() == BackupPhase::Running).cloned() {
            self.store(&backup, |b| b.status.as_mut().unwrap().phase = Some(BackupPhase::Completed));
        }
    }

    fn delete(&mut self, name: &str) {
        if self.latest(name).is_some() {
            self.objects.get_mut(name).unwrap().versions.push(None);
        }
    }

    /// A new process: its cache is what the server has, and everything is looked at.
    fn crash(&mut self) {
        self.turns = Turns::new(self.limits.0, self.limits.1);
        self.due.clear();
        for (name, object) in &mut self.objects {
            object.shown = object.versions.len();
            if let Some(Some(backup)) = object.versions.last() {
                self.turns.see(backup, true);
                self.due.insert(name.clone());
            }
        }
    }

    /// The look at all turns, if anybody asked for one.
    fn wake(&mut self) -> bool {
        if self.turns.queue().depth().0 == 0 {
            return false;
        }
        let key = self.turns.queue().take().now_or_never().unwrap();
        self.due.extend(self.turns.concerned().into_iter().map(|key| key.name));
        self.turns.queue().done(&key);
        true
    }

    /// Until nothing happens by itself any more.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            let lagging = self.objects.iter().find(|(_, o)| o.shown < o.versions.len()).map(|(name, _)| name.clone());
            if let Some(name) = lagging {
                self.deliver(&name);
            } else if let Some(name) = self.due.first().cloned() {
                self.look(&name, Fate::Done);
            } else if !self.wake() {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn name(&self, number: usize) -> Option<String> {
        let count = self.objects.len().max(1);
        self.objects.keys().nth(number % count).cloned()
    }

    fn happen(&mut self, event: &Event) {
        let nth = |world: &World, n: &usize| world.name(*n);
        match event {
            Event::Create { namespace, by_hand, node, repo } => {
                let node = ["", "n1", "n2"][usize::from(*node)];
                let (namespace, repo) = (format!("ns{namespace}"), format!("r{repo}"));
                self.create(&namespace, *by_hand, Some(node).filter(|n| !n.is_empty()), &repo);
            }
            Event::Look(n, fate) => nth(self, n).into_iter().for_each(|name| self.look(&name, *fate)),
            Event::Deliver(n) => nth(self, n).into_iter().for_each(|name| self.deliver(&name)),
            Event::End(n) => nth(self, n).into_iter().for_each(|name| self.end(&name)),
            Event::Delete(n) => nth(self, n).into_iter().for_each(|name| self.delete(&name)),
            Event::Crash => self.crash(),
            Event::Wake => {
                self.wake();
            }
        }
    }

    fn in_phase(&self, phase: &BackupPhase) -> Vec<&Backup> {
        self.objects.values().filter_map(|o| o.versions.last()?.as_ref()).filter(|b| b.phase() == *phase).collect()
    }

    fn running_at(&self, key: &str, value: &str) -> usize {
        let running = self.in_phase(&BackupPhase::Running);
        running.iter().filter(|b| b.annotations().get(key).map(String::as_str) == Some(value)).count()
    }

    fn full(&self, backup: &Backup, key: &str) -> bool {
        let limit = if key == "repo" { self.limits.0 } else { self.limits.1 };
        let value = backup.annotations().get(key).filter(|v| !v.is_empty());
        limit > 0 && value.is_some_and(|v| self.running_at(key, v) >= limit as usize)
    }

    fn check_limits(&self) {
        for (key, values, limit) in [("repo", ["r0", "r1"], self.limits.0), ("node", ["n1", "n2"], self.limits.1)] {
            for value in values {
                let running = self.running_at(key, value);
                assert!(limit == 0 || running <= limit as usize, "{running} run at {key} {value}, {limit} may");
            }
        }
    }

    /// At rest everybody who waits has a reason.
    fn check_rest(&self) {
        let waiting = self.in_phase(&BackupPhase::New);
        for backup in &waiting {
            let node = &backup.annotations()["node"];
            let kept = || waiting.iter().any(|w| w.annotations()["node"] == *node && self.full(w, "repo"));
            let reason = self.full(backup, "repo") || self.full(backup, "node") || !node.is_empty() && kept();
            assert!(reason, "{} of {} waits for nothing", backup.name_any(), waiting.len());
            let told = backup.status.as_ref().and_then(|s| s.conditions.first()).map(|c| c.reason.as_str());
            assert_eq!(told, Some(crate::reasons::WAITING_FOR_TURN));
            let held = self.turns.held(backup).map(|held| super::place::message(&held));
            let said = backup.status.as_ref().and_then(|s| s.conditions.first()).map(|c| c.message.clone());
            assert_eq!(said, held, "what {} is told", backup.name_any());
        }
    }
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

impl World {
    fn settle_many(&mut self) {
        for _ in 0..100 {
            self.settle_some();
            let shown = self.objects.values().all(|o| o.shown == o.versions.len());
            if shown && self.due.is_empty() && self.turns.queue().depth().0 == 0 {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn settle_some(&mut self) {
        for name in self.objects.keys().cloned().collect::<Vec<_>>() {
            while self.objects[&name].shown < self.objects[&name].versions.len() {
                self.deliver(&name);
            }
        }
        for name in std::mem::take(&mut self.due) {
            self.look(&name, Fate::Done);
        }
        self.wake();
    }
}
