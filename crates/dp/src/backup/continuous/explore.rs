//! Walks every order of: the schedule wants it or not, database pods come, go and are not Ready, caches lag, and the
//! operator is killed between any two of its writes.
//!
//! What must never be: an archive that the status does not record, one that may expire while it is written, a completed
//! one that is written. And from every world, once nothing more happens, the archive is written from a pod that is
//! Ready, or rests, or is completed.

use super::plan::{self as archive_plan, Look, Need};
use super::{build, pick};
use crate::backup::fold::Limits;
use crate::backup::plan::{Observed, Plan, plan};
use crate::backup::{chain, delete, select, status as record};
use api_types::dp::{Backup, BackupPhase, BackupPolicy, BackupRepo, BackupSchedule, BackupStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

const PODS: [&str; 2] = ["a", "b"];

/// The one StatefulSet: its replicas, and the pod it is written from.
type Set = Option<(i32, &'static str)>;

#[derive(Clone, PartialEq, Eq, Hash)]
struct World {
    /// Whether each pod is there, and Ready.
    pods: [Option<bool>; 2],
    wanted: bool,
    status: String,
    status_seen: String,
    set: Set,
    set_seen: Set,
    events_left: u8,
}

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn read(status: &str) -> BackupStatus {
    serde_json::from_str(status).unwrap()
}

impl World {
    fn backup(&self) -> Backup {
        let mut backup: Backup = of(json!({
            "metadata": {"name": "log", "namespace": "n", "uid": "uid", "finalizers": ["dataprotection.kubeblocks.io/finalizer"],
                "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {
                "dataprotection.kubeblocks.io/backup-type": "Continuous", "dataprotection.kubeblocks.io/backup-policy": "p",
                "dataprotection.kubeblocks.io/backup-repo-name": "r", "dataprotection.kubeblocks.io/backup-schedule": "s",
                "app.kubernetes.io/managed-by": "kubeblocks-dataprotection"}},
            "spec": {"backupPolicyName": "p", "backupMethod": "log", "retentionPeriod": "8d"},
        }));
        backup.status = Some(read(&self.status_seen));
        backup
    }

    fn seen(&self) -> Observed {
        let policy: BackupPolicy = of(json!({"metadata": {"name": "p"}, "spec": {"backupRepoName": "r",
            "target": {"podSelector": {"matchLabels": {"x": "y"}}},
            "backupMethods": [{"name": "log", "actionSetName": "c"}]}}));
        let actions = of(json!({"metadata": {"name": "c"}, "spec": {"backupType": "Continuous",
            "backup": {"backupData": {"image": "i", "command": ["c"]}}}}));
        let entry = json!({"backupMethod": "log", "cronExpression": "*/5 * * * *", "enabled": self.wanted});
        let schedule: BackupSchedule = of(json!({"metadata": {"name": "s"}, "spec": {"schedules": [entry]}}));
        let repo: BackupRepo = of(json!({"metadata": {"name": "r"}, "spec": {"storageProviderRef": "p"},
            "status": {"phase": "Ready", "backupPVCName": "claim"}}));
        Observed {
            backup: Arc::new(self.backup()),
            policy: Some(Arc::new(policy)),
            action_set: Some(Arc::new(actions)),
            schedule: Some(Arc::new(schedule)),
            default_repos: vec![],
            repo: Some(Arc::new(repo)),
            repo_here: true,
            family: vec![],
            outcomes: vec![],
            workloads_left: self.set_seen.is_some(),
            deletion: delete::plan::Seen::default(),
            limits: Limits { start: SignedDuration::from_secs(600), action: None },
        }
    }

    fn matching(&self) -> Vec<Pod> {
        let one = |(name, ready): (&&str, &Option<bool>)| {
            let ready = if (*ready)? { "True" } else { "False" };
            Some(of(
                json!({"metadata": {"name": name}, "status": {"conditions": [{"type": "Ready", "status": ready}]}}),
            ))
        };
        PODS.iter().zip(&self.pods).filter_map(one).collect()
    }

    fn stateful_set(&self) -> Option<Arc<StatefulSet>> {
        let (replicas, _) = self.set_seen?;
        Some(Arc::new(of(json!({
            "metadata": {"name": "log", "uid": "set", "creationTimestamp": "2026-01-01T12:00:00Z"},
            "spec": {"replicas": replicas, "selector": {}, "template": {}},
        }))))
    }

    /// A write of the status lands only where nothing else was written since the cache saw it.
    fn stored(&self, next: &BackupStatus) -> World {
        let mut world = self.clone();
        if world.status == world.status_seen {
            world.status = serde_json::to_string(next).unwrap();
        }
        world
    }

    /// The worlds after each write of one look; the last is the whole of it.
    fn look(&self) -> Vec<World> {
        let seen = self.seen();
        match plan(&seen, now()) {
            Plan::CleanUp => vec![World { set: None, ..self.clone() }],
            Plan::Follow => self.follow(&seen),
            Plan::Start(ready) => self.start(*ready),
            _ => vec![self.clone()],
        }
    }

    fn start(&self, ready: crate::backup::plan::Ready) -> Vec<World> {
        let target = ready.targets[0].clone();
        let Ok(chosen) = select::target_pods(&target, self.matching()) else { return vec![self.clone()] };
        let next = record::started(&self.backup(), ready.into_start(vec![chosen.target], vec![], "own"), now());
        vec![self.stored(&next)]
    }

    fn follow(&self, seen: &Observed) -> Vec<World> {
        let backup = self.backup();
        if archive_plan::over(seen, None).is_some() {
            if backup.phase() == BackupPhase::Completed {
                return vec![self.clone()];
            }
            return vec![self.stored(&archive_plan::completed(&backup, now()))];
        }
        if backup.phase() == BackupPhase::Completed {
            return match crate::backup::plan::start(seen, now()) {
                Plan::Start(ready) => self.start(*ready),
                _ => vec![self.clone()],
            };
        }
        let policy = seen.policy.as_ref().unwrap();
        let target = policy.spec.target.clone().unwrap();
        let followed = backup.status.as_ref().unwrap().targets()[0].selected_target_pods.clone();
        let look = Look {
            cluster: None,
            targets: vec![(target.clone(), pick::pick(&target, &followed, self.matching()))],
            several: false,
            method: policy.spec.backup_methods[0].clone(),
            actions: seen.action_set.as_ref().map(|a| a.spec.clone()),
        };
        let sets: Vec<_> = self.stateful_set().into_iter().collect();
        let found = archive_plan::follow(seen, &look, &sets, &[], "own", now());
        let names = |s: &BackupStatus| s.actions.iter().map(|a| a.name.clone()).collect::<Vec<_>>();
        if names(&read(&self.status_seen)) != names(&found.status) {
            return vec![self.stored(&found.status)];
        }
        let chains = chain::chains(found.status.targets(), &look.method, look.actions.as_ref());
        assert!(chains.iter().flatten().all(|s| build::name(&backup, s) == "log"));
        let mut world = self.clone();
        match &found.needs[0] {
            Need::Archive { pod, .. } => {
                let pod = PODS.into_iter().find(|p| p == pod).unwrap();
                match self.set_seen {
                    Some((1, from)) if from == pod => {}
                    Some(_) => world.set = world.set.map(|_| (1, pod)),
                    None => world.set = world.set.or(Some((1, pod))),
                }
            }
            Need::Rest(_) => {
                if self.set_seen.is_some_and(|(replicas, _)| replicas != 0) {
                    world.set = world.set.map(|(_, from)| (0, from));
                }
            }
            Need::Begin(_) | Need::Nothing => {}
        }
        vec![world.clone(), world.stored(&found.status)]
    }

    fn caught_up(&self) -> World {
        World { status_seen: self.status.clone(), set_seen: self.set, ..self.clone() }
    }

    fn next(&self) -> Vec<World> {
        let mut next = self.look();
        next.push(World { status_seen: self.status.clone(), ..self.clone() });
        next.push(World { set_seen: self.set, ..self.clone() });
        if self.events_left > 0 {
            let spent = World { events_left: self.events_left - 1, ..self.clone() };
            next.push(World { wanted: !self.wanted, ..spent.clone() });
            for pod in 0..PODS.len() {
                for state in [None, Some(false), Some(true)] {
                    let mut world = spent.clone();
                    world.pods[pod] = state;
                    next.push(world);
                }
            }
            // Somebody deletes the StatefulSet.
            next.push(World { set: None, ..spent });
        }
        next
    }

    fn check(&self) {
        let status = read(&self.status);
        let recorded =
            status.actions.iter().any(|a| a.object_ref.as_ref().and_then(|r| r.name.as_deref()) == Some("log"));
        assert!(self.set.is_none() || recorded, "an archive that the status does not know");
        match status.phase {
            Some(BackupPhase::Running | BackupPhase::Failed) => {
                assert_eq!(status.expiration, None, "BD1: it would expire while it is written");
            }
            Some(BackupPhase::Completed) => assert!(status.expiration.is_some(), "it would never expire"),
            other => panic!("phase {other:?}"),
        }
    }

    fn settle(&self) {
        let mut world = self.caught_up();
        for _ in 0..12 {
            let after = world.look().pop().unwrap().caught_up();
            if after == world {
                break;
            }
            world = after;
        }
        assert!(world.look().pop().unwrap().caught_up() == world, "it never comes to rest");
        let status = read(&world.status);
        let ready = |from: &str| PODS.iter().zip(&world.pods).any(|(p, r)| *p == from && *r == Some(true));
        if !world.wanted {
            assert_eq!((status.phase, world.set), (Some(BackupPhase::Completed), None), "it is over");
        } else if world.pods.contains(&Some(true)) {
            assert_eq!(status.phase, Some(BackupPhase::Running));
            let (replicas, from) = world.set.expect("it is written");
            assert!(replicas == 1 && ready(from), "written from {from}, {:?}", world.pods);
            assert_eq!(status.actions[0].target_pod_name.as_deref(), Some(from));
        } else if world.pods == [None, None] {
            assert!(world.set.is_none_or(|(replicas, _)| replicas == 0), "it holds the volume of a pod that is gone");
        }
    }
}

#[test]
fn no_order_of_events_loses_an_archive_or_lets_it_expire() {
    let mut begin = World {
        pods: [Some(true), None],
        wanted: true,
        status: "{}".into(),
        status_seen: "{}".into(),
        set: None,
        set_seen: None,
        events_left: 3,
    };
    begin = begin.look().pop().unwrap();
    assert_eq!(read(&begin.status).phase, Some(BackupPhase::Running), "{}", begin.status);
    let mut worlds = HashSet::from([begin.clone()]);
    let mut queue = VecDeque::from([begin]);
    while let Some(world) = queue.pop_front() {
        world.check();
        world.settle();
        for next in world.next() {
            if worlds.insert(next.clone()) {
                queue.push_back(next);
            }
        }
    }
    println!("explored {} worlds", worlds.len());
    assert!(worlds.len() > 500, "only {} worlds", worlds.len());
}
