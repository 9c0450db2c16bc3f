//! The world that is explored: a server, a cache that lags, and an operator that looks, is told nothing, and dies.

use crate::backup::status;
use crate::turn::Turns;
use crate::turn::claim::JobOf;
use crate::turn::order::Verdict;
use crate::turn::place;
use api_types::dp::{Backup, BackupPhase};
use futures::FutureExt;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fate {
    Done,
    /// It is done, and nobody is told.
    AnswerLost,
    /// It never arrives, and nobody is told.
    Lost,
    Refused,
}

/// One thing that happens; numbers choose among what is there.
#[derive(Clone, Debug)]
pub enum Event {
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

/// One object: what the server has seen of it, and how much of that the cache has; `None` is its end.
#[derive(Default)]
pub struct Object {
    pub versions: Vec<Option<Backup>>,
    pub shown: usize,
}

pub struct World {
    limits: (u32, u32),
    pub turns: Turns,
    pub objects: BTreeMap<String, Object>,
    /// Keys of the controller's queue.
    pub due: BTreeSet<String>,
    pub clock: i64,
    pub served: Vec<String>,
}

impl World {
    pub fn new(repo: u32, node: u32) -> Self {
        World {
            limits: (repo, node),
            turns: Turns::new(repo, node),
            objects: BTreeMap::new(),
            due: BTreeSet::new(),
            clock: 0,
            served: vec![],
        }
    }

    pub fn tick(&mut self) -> Timestamp {
        self.clock += 1;
        Timestamp::from_second(self.clock).unwrap()
    }

    pub fn create(&mut self, namespace: &str, by_hand: bool, node: Option<&str>, repo: &str) -> String {
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

    pub fn latest(&self, name: &str) -> Option<&Backup> {
        self.objects.get(name)?.versions.last()?.as_ref()
    }

    pub fn cached(&self, name: &str) -> Option<Backup> {
        let object = self.objects.get(name)?;
        object.versions.get(object.shown.checked_sub(1)?)?.clone()
    }

    /// A status write that holds for one version.
    pub fn store(&mut self, old: &Backup, change: impl FnOnce(&mut Backup)) -> bool {
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
    pub fn look(&mut self, name: &str, fate: Fate) {
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

    pub fn namespace_of(&self, name: &str) -> String {
        self.objects[name].versions.iter().flatten().next().and_then(ResourceExt::namespace).unwrap()
    }

    /// True if it failed.
    pub fn begin(&mut self, backup: &Backup, fate: Fate) -> bool {
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

    pub fn deliver(&mut self, name: &str) {
        let Some(object) = self.objects.get_mut(name).filter(|o| o.shown < o.versions.len()) else { return };
        object.shown += 1;
        let now = object.versions[object.shown - 1].clone();
        let last = object.versions.iter().take(object.shown).flatten().next_back().cloned().unwrap();
        self.turns.see(&last, now.is_some());
        self.due.insert(name.to_owned());
    }

    pub fn end(&mut self, name: &str) {
        if let Some(backup) = self.latest(name).filter(|b| b.phase() == BackupPhase::Running).cloned() {
            self.store(&backup, |b| b.status.as_mut().unwrap().phase = Some(BackupPhase::Completed));
        }
    }

    pub fn delete(&mut self, name: &str) {
        if self.latest(name).is_some() {
            self.objects.get_mut(name).unwrap().versions.push(None);
        }
    }

    /// A new process: its cache is what the server has, and everything is looked at.
    pub fn crash(&mut self) {
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
    pub fn wake(&mut self) -> bool {
        if self.turns.queue().depth().0 == 0 {
            return false;
        }
        let key = self.turns.queue().take().now_or_never().unwrap();
        self.due.extend(self.turns.concerned().into_iter().map(|key| key.name));
        self.turns.queue().done(&key);
        true
    }

    /// Until nothing happens by itself any more.
    pub fn settle(&mut self) {
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

    pub fn name(&self, number: usize) -> Option<String> {
        let count = self.objects.len().max(1);
        self.objects.keys().nth(number % count).cloned()
    }

    pub fn happen(&mut self, event: &Event) {
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

    pub fn in_phase(&self, phase: &BackupPhase) -> Vec<&Backup> {
        self.objects.values().filter_map(|o| o.versions.last()?.as_ref()).filter(|b| b.phase() == *phase).collect()
    }

    pub fn running_at(&self, key: &str, value: &str) -> usize {
        let running = self.in_phase(&BackupPhase::Running);
        running.iter().filter(|b| b.annotations().get(key).map(String::as_str) == Some(value)).count()
    }

    pub fn full(&self, backup: &Backup, key: &str) -> bool {
        let limit = if key == "repo" { self.limits.0 } else { self.limits.1 };
        let value = backup.annotations().get(key).filter(|v| !v.is_empty());
        limit > 0 && value.is_some_and(|v| self.running_at(key, v) >= limit as usize)
    }

    pub fn check_limits(&self) {
        for (key, values, limit) in [("repo", ["r0", "r1"], self.limits.0), ("node", ["n1", "n2"], self.limits.1)] {
            for value in values {
                let running = self.running_at(key, value);
                assert!(limit == 0 || running <= limit as usize, "{running} run at {key} {value}, {limit} may");
            }
        }
    }

    /// At rest everybody who waits has a reason.
    pub fn check_rest(&self) {
        let waiting = self.in_phase(&BackupPhase::New);
        for backup in &waiting {
            let node = &backup.annotations()["node"];
            let kept = || waiting.iter().any(|w| w.annotations()["node"] == *node && self.full(w, "repo"));
            let reason = self.full(backup, "repo") || self.full(backup, "node") || !node.is_empty() && kept();
            assert!(reason, "{} of {} waits for nothing", backup.name_any(), waiting.len());
            let told = backup.status.as_ref().and_then(|s| s.conditions.first()).map(|c| c.reason.as_str());
            assert_eq!(told, Some(crate::reasons::WAITING_FOR_TURN));
            let held = self.turns.held(backup).map(|held| place::message(&held));
            let said = backup.status.as_ref().and_then(|s| s.conditions.first()).map(|c| c.message.clone());
            assert_eq!(said, held, "what {} is told", backup.name_any());
        }
    }
}

impl World {
    pub fn settle_many(&mut self) {
        for _ in 0..100 {
            self.settle_some();
            let shown = self.objects.values().all(|o| o.shown == o.versions.len());
            if shown && self.due.is_empty() && self.turns.queue().depth().0 == 0 {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    pub fn settle_some(&mut self) {
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
