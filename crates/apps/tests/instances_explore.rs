//! Walks every world of one InstanceSet: our steps, each of which can be the last before a crash, claims that are bound
//! at once or with their pod, pods that become ready, unready, end or are deleted by strangers, claims that come without
//! their data source, and a template that changes on the way.
#![allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::panic)]

use api_types::workloads::InstanceSet;
use apps::instanceset::build::{self, instances};
use apps::instanceset::plan::{Observed, Step, plan};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum PodIs {
    Absent,
    /// Made from the template of that number.
    Starting(u8),
    Ready(u8),
    Ended(u8),
    Going(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum ClaimIs {
    Absent,
    Whole,
    Bound,
    /// Marked, without its data source.
    Dropped,
    Going,
}

const SLOTS: usize = 3;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    replicas: usize,
    /// Number of the pod template.
    template: u8,
    ordered: bool,
    /// The class binds claims without a pod.
    immediate: bool,
    pods: [PodIs; SLOTS],
    claims: [ClaimIs; SLOTS],
    hostile_left: u8,
}

impl World {
    fn set(&self) -> InstanceSet {
        let policy = if self.ordered { "OrderedReady" } else { "Parallel" };
        let marked = json!({"name": "data", "annotations": {"apps.kubeblocks.io/restore-source-kind": "Backup"}});
        serde_json::from_value(json!({
            "metadata": {"name": "s", "namespace": "n", "uid": "set"},
            "spec": {
                "replicas": self.replicas, "podManagementPolicy": policy, "disableDefaultHeadlessService": true,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"spec": {"containers": [{"name": format!("v{}", self.template)}]}},
                "volumeClaimTemplates": [{"metadata": marked, "spec": {
                    "accessModes": ["ReadWriteOnce"], "storageClassName": "class"}}],
            },
        }))
        .unwrap()
    }

    /// The revision that pods of template `number` carry.
    fn revision(&self, number: u8) -> String {
        build::revision(&World { template: number, ..self.clone() }.set())
    }

    fn pod(&self, slot: usize) -> Option<Pod> {
        let (number, phase, ready, going) = match self.pods[slot] {
            PodIs::Absent => return None,
            PodIs::Starting(n) => (n, "Pending", false, false),
            PodIs::Ready(n) => (n, "Running", true, false),
            PodIs::Ended(n) => (n, "Failed", false, false),
            PodIs::Going(n) => (n, "Running", false, true),
        };
        let mut meta = self.meta(&format!("s-{slot}"), going);
        meta["labels"] = json!({"controller-revision-hash": self.revision(number)});
        let status = if ready { "True" } else { "False" };
        let pod = json!({"metadata": meta, "status": {"phase": phase, "conditions": [
            {"type": "Ready", "status": status, "lastTransitionTime": "1970-01-01T00:00:00Z"}]}});
        Some(serde_json::from_value(pod).unwrap())
    }

    fn claim(&self, slot: usize) -> Option<PersistentVolumeClaim> {
        let mut spec = json!({"accessModes": ["ReadWriteOnce"], "storageClassName": "class"});
        match self.claims[slot] {
            ClaimIs::Absent => return None,
            ClaimIs::Whole | ClaimIs::Bound => spec["dataSourceRef"] = json!({"kind": "Backup", "name": "b"}),
            ClaimIs::Dropped | ClaimIs::Going => {}
        }
        let phase = if self.claims[slot] == ClaimIs::Bound { "Bound" } else { "Pending" };
        let mut meta = self.meta(&format!("data-s-{slot}"), self.claims[slot] == ClaimIs::Going);
        meta["labels"] = json!({"apps.kubeblocks.io/pod-name": format!("s-{slot}")});
        meta["annotations"] = json!({"apps.kubeblocks.io/restore-source-kind": "Backup"});
        Some(serde_json::from_value(json!({"metadata": meta, "spec": spec, "status": {"phase": phase}})).unwrap())
    }

    #[allow(clippy::unused_self)]
    fn meta(&self, name: &str, going: bool) -> Value {
        let owner = json!([{"apiVersion": "v", "kind": "InstanceSet", "name": "s", "uid": "set", "controller": true}]);
        let mut meta = json!({"name": name, "uid": name, "ownerReferences": owner});
        if going {
            meta["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        meta
    }

    fn look(&self) -> Observed {
        let named = |slot: usize| format!("s-{slot}");
        let pods: BTreeMap<_, _> = (0..SLOTS).filter_map(|s| Some((named(s), Arc::new(self.pod(s)?)))).collect();
        let claims: BTreeMap<_, _> =
            (0..SLOTS).filter_map(|s| Some((format!("data-{}", named(s)), Arc::new(self.claim(s)?)))).collect();
        let set = Arc::new(self.set());
        let template = Ok(set.spec.template.get().unwrap());
        let now = Timestamp::from_second(1_000_000).unwrap();
        let immediate = self.immediate.then(|| "class".to_owned()).into_iter().collect();
        Observed { set, template, claims, pods, immediate, headless: None, now }
    }

    fn slot(name: &str) -> usize {
        name.rsplit_once('-').unwrap().1.parse().unwrap()
    }

    /// What our step does, judged as it lands. A created claim comes whole or, if a stranger says so, dropped.
    fn land(&self, step: &Step, dropped: bool) -> World {
        let mut w = self.clone();
        match step {
            Step::ApplyHeadless(_) => panic!("the set asks for none"),
            Step::CreateClaims(claims) => {
                for claim in claims {
                    let slot = Self::slot(claim.metadata.name.as_ref().unwrap());
                    assert_eq!(w.claims[slot], ClaimIs::Absent, "made over another: {self:?}");
                    w.claims[slot] = if dropped { ClaimIs::Dropped } else { ClaimIs::Whole };
                }
            }
            Step::CreatePod(pod) => {
                let slot = Self::slot(pod.metadata.name.as_ref().unwrap());
                assert!(slot < self.replicas, "nobody asked for it: {self:?}");
                let unbound = if self.immediate { ClaimIs::Bound } else { ClaimIs::Whole };
                let fit = [ClaimIs::Bound, unbound].contains(&w.claims[slot]);
                assert!(fit, "a database on a claim without its data, or too early: {self:?}");
                w.pods[slot] = PodIs::Starting(self.template);
            }
            Step::DeletePod { name, .. } => {
                let slot = Self::slot(name);
                w.pods[slot] = PodIs::Going(self.may_go(slot));
            }
            Step::DeleteClaim { name, .. } => {
                let slot = Self::slot(name);
                assert!(slot >= self.replicas, "a claim in use is deleted: {self:?}");
                assert_eq!(self.pods[slot], PodIs::Absent, "a claim under its pod is deleted: {self:?}");
                w.claims[slot] = ClaimIs::Going;
            }
        }
        w
    }

    /// Judges the deletion of a pod; gives its template.
    fn may_go(&self, slot: usize) -> u8 {
        let wanted = slot < self.replicas;
        match self.pods[slot] {
            PodIs::Ready(n) => {
                let mut others = (0..self.replicas).filter(|s| *s != slot);
                let serve = others.all(|s| matches!(self.pods[s], PodIs::Ready(_)));
                assert!(!wanted || n != self.template, "a good pod is deleted: {self:?}");
                assert!(!wanted || serve, "a pod that serves goes while another does not: {self:?}");
                n
            }
            PodIs::Starting(n) => {
                assert!(!wanted || n != self.template, "a starting pod is deleted: {self:?}");
                n
            }
            PodIs::Ended(n) => n,
            PodIs::Absent | PodIs::Going(_) => panic!("deleted twice: {self:?}"),
        }
    }

    /// Our steps in order, and a crash after each.
    fn ours(&self) -> Vec<World> {
        let steps = plan(&self.look()).steps;
        let mut out = Vec::new();
        let mut now = self.clone();
        for step in &steps {
            if matches!(step, Step::CreateClaims(_)) && self.hostile_left > 0 {
                let mut dropped = now.land(step, true);
                dropped.hostile_left -= 1;
                out.push(dropped);
            }
            now = now.land(step, false);
            out.push(now.clone());
        }
        out
    }

    /// The binder, the kubelet and the API server's collectors.
    fn others(&self) -> Vec<World> {
        let mut out = Vec::new();
        for slot in 0..SLOTS {
            let mut w = self.clone();
            let binds = self.immediate || matches!(self.pods[slot], PodIs::Starting(_));
            match self.pods[slot] {
                _ if self.claims[slot] == ClaimIs::Whole && binds => w.claims[slot] = ClaimIs::Bound,
                PodIs::Starting(n) if self.claims[slot] == ClaimIs::Bound => w.pods[slot] = PodIs::Ready(n),
                PodIs::Going(_) => w.pods[slot] = PodIs::Absent,
                PodIs::Absent if self.claims[slot] == ClaimIs::Going => w.claims[slot] = ClaimIs::Absent,
                _ => continue,
            }
            out.push(w);
        }
        out
    }

    fn hostile(&self) -> Vec<World> {
        if self.hostile_left == 0 {
            return vec![];
        }
        let mut base = self.clone();
        base.hostile_left -= 1;
        let mut out = Vec::new();
        for slot in 0..SLOTS {
            if self.claims[slot] != ClaimIs::Absent {
                let mut w = base.clone();
                w.claims[slot] = ClaimIs::Going;
                out.push(w);
            }
            let (PodIs::Starting(n) | PodIs::Ready(n)) = self.pods[slot] else { continue };
            for end in [PodIs::Ended(n), PodIs::Going(n), PodIs::Starting(n)] {
                let mut w = base.clone();
                w.pods[slot] = end;
                out.push(w);
            }
        }
        for replicas in 0..=SLOTS {
            out.push(World { replicas, ..base.clone() });
        }
        out.push(World { template: base.template + 1, ..base });
        out
    }

    fn is_done(&self) -> bool {
        (0..SLOTS).all(|slot| {
            if slot < self.replicas {
                self.pods[slot] == PodIs::Ready(self.template) && self.claims[slot] == ClaimIs::Bound
            } else {
                self.pods[slot] == PodIs::Absent && self.claims[slot] == ClaimIs::Absent
            }
        })
    }

    /// Only a person can help: a claim came without its data source, or waits to go under a pod that is to stay.
    fn waits_for_a_person(&self) -> bool {
        (0..self.replicas).any(|s| matches!(self.claims[s], ClaimIs::Dropped | ClaimIs::Going))
    }
}

fn explore(ordered: bool, immediate: bool) -> (usize, usize) {
    let start = World {
        replicas: 2,
        template: 0,
        ordered,
        immediate,
        pods: [PodIs::Absent; SLOTS],
        claims: [ClaimIs::Absent; SLOTS],
        hostile_left: 3,
    };
    let mut known = HashSet::from([start.clone()]);
    let mut queue = VecDeque::from([start]);
    let mut done = 0;
    while let Some(world) = queue.pop_front() {
        let mut next = world.ours();
        next.extend(world.others());
        if world.is_done() {
            done += 1;
            assert!(next.is_empty(), "nothing is to do and something is done: {world:?}");
        } else {
            assert!(!next.is_empty() || world.waits_for_a_person(), "waits for ever: {world:?}");
        }
        next.extend(world.hostile());
        for w in next {
            if known.insert(w.clone()) {
                queue.push_back(w);
            }
        }
    }
    (known.len(), done)
}

#[test]
fn no_order_of_events_starts_a_database_without_its_data_or_stops_a_good_one() {
    for (ordered, immediate) in [(true, true), (true, false), (false, true), (false, false)] {
        let (worlds, done) = explore(ordered, immediate);
        println!("explored {worlds} worlds (ordered: {ordered}, bound at once: {immediate}), {done} done");
        assert!(done > 0);
    }
}

#[test]
fn names_go_on_where_an_instance_was_taken_offline() {
    let set = |offline: Value| -> InstanceSet {
        serde_json::from_value(json!({"metadata": {"name": "s"}, "spec": {
            "replicas": 2, "offlineInstances": offline, "selector": {}, "template": {}}}))
        .unwrap()
    };
    assert_eq!(instances(&set(json!([]))), ["s-0", "s-1"]);
    assert_eq!(instances(&set(json!(["s-0"]))), ["s-1", "s-2"]);
}
