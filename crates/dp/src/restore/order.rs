//! Explores every order in which the Jobs of a chain can be made, end and vanish, with the operator killed between any
//! two writes: the log is never begun before the base is stored as done.

use super::chain::{Chain, Step};
use super::plan::{self, JobSeen, Observed, Plan, RepoSeen};
use super::{build, status};
use api_types::dp::{Restore, RestoreActionPhase, RestorePhase};
use jiff::Timestamp;
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A Job of the world.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Job {
    #[default]
    None,
    Held,
    Runs,
    Worked,
    Failed,
    Gone,
}

#[derive(Clone, Debug)]
struct World {
    restore: Restore,
    jobs: [Job; 2],
}

impl World {
    fn key(&self) -> String {
        format!("{:?} {}", self.jobs, serde_json::to_string(&self.restore.status).unwrap())
    }

    fn observed(&self) -> Observed {
        let of = |value: Value| Arc::new(serde_json::from_value::<api_types::dp::Backup>(value).unwrap());
        let actions = json!({"metadata": {"name": "a"}, "spec": {"backupType": "Full",
            "restore": {"prepareData": {"image": "i", "command": ["c"]}}}});
        let actions: Arc<api_types::dp::ActionSet> = Arc::new(serde_json::from_value(actions).unwrap());
        let backup = |name: &str| {
            of(
                json!({"metadata": {"name": name, "namespace": "n"}, "spec": {"backupPolicyName": "p", "backupMethod": "m"},
                "status": {"target": {"selectedTargetPods": ["db-0"]}}}),
            )
        };
        let step =
            |name: &str| Step { backup: backup(name), action_set: Arc::clone(&actions), base: None, ancestors: vec![] };
        let repo: api_types::dp::BackupRepo =
            serde_json::from_value(json!({"metadata": {"name": "r"}, "spec": {"storageProviderRef": "s"},
                "status": {"phase": "Ready"}}))
            .unwrap();
        let repo = Arc::new(repo);
        let seen = |place: usize, job: Job| JobSeen {
            uid: (!matches!(job, Job::None | Job::Gone)).then(|| format!("job-{place}")),
            held: job == Job::Held,
            turn: None,
            state: match job {
                Job::None | Job::Gone => None,
                Job::Held | Job::Runs => Some(JobState::Running { blocked: None }),
                Job::Worked => Some(JobState::Succeeded { at: None, message: None }),
                Job::Failed => Some(JobState::Failed { at: None, why: "no".into(), message: None }),
            },
            taken: false,
        };
        Observed {
            restore: Arc::new(self.restore.clone()),
            backup: Some(backup("log")),
            chain: plan::is_to_begin(&self.restore)
                .then(|| Ok(Chain { before: Some(step("base")), named: step("log") })),
            repos: vec![0, 1]
                .into_iter()
                .map(|_| RepoSeen { name: "r".into(), repo: Some(Arc::clone(&repo)), here: true })
                .collect(),
            claims: vec![],
            jobs: self.jobs.iter().enumerate().map(|(place, job)| seen(place, *job)).collect(),
            allowed_accounts: vec![],
        }
    }

    /// What the operator makes of this world: after each of the writes of one look, so also when it is killed there.
    fn next(&self) -> Vec<World> {
        let now = Timestamp::UNIX_EPOCH;
        let mut seen = self.observed();
        let mut world = self.clone();
        let mut all = vec![];
        match plan::plan(&seen) {
            Plan::Record => world.restore.status = Some(status::recorded(&seen, now)),
            Plan::CreateJob(place) => {
                assert!(!matches!(self.jobs[place], Job::Gone | Job::Runs), "made again: {self:?}");
                world.jobs[place] = Job::Held;
                all.push(world.clone());
                seen.jobs[place].uid = Some(format!("job-{place}"));
                world.restore.status = Some(status::recorded(&seen, now));
            }
            Plan::TurnJob(place, Turn::Resume) => world.jobs[place] = Job::Runs,
            Plan::Store => world.restore.status = Some(status::folded(&seen, now)),
            Plan::Leave | Plan::CleanUp => return vec![],
            other => panic!("{other:?} in {self:?}"),
        }
        all.push(world);
        all
    }

    /// What Jobs do, and strangers do to them.
    fn strange(&self) -> Vec<World> {
        let mut all = vec![];
        for place in 0..2 {
            let ends: &[Job] = match self.jobs[place] {
                Job::Runs => &[Job::Worked, Job::Failed, Job::Gone],
                Job::Held | Job::Worked => &[Job::Gone],
                _ => &[],
            };
            // One that vanished before it was recorded was never there.
            let recorded = |p: usize| plan::recorded(&self.restore).get(p).is_some_and(|a| a.job_uid.is_some());
            all.extend(ends.iter().map(|end| {
                let mut world = self.clone();
                world.jobs[place] = if *end == Job::Gone && !recorded(place) { Job::None } else { *end };
                world
            }));
        }
        all
    }

    fn check(&self) {
        let stored = plan::recorded(&self.restore);
        let phase_of = |place: usize| stored.get(place).map(|a| a.status.clone());
        let begun = |place: usize| self.jobs[place] != Job::None;
        assert!(!begun(0) || !stored.is_empty(), "both are recorded before the first is made: {self:?}");
        assert!(!begun(1) || phase_of(0) == Some(RestoreActionPhase::Completed), "too early: {self:?}");
        let ran = |place: usize| matches!(self.jobs[place], Job::Runs | Job::Worked | Job::Failed);
        let unknown = |place: usize| stored.get(place).is_none_or(|a| a.job_uid.is_none());
        assert!(!(0..2).any(|place| ran(place) && unknown(place)), "it ran and nobody knows: {self:?}");
        let phase = self.restore.status.as_ref().and_then(|s| s.phase.clone());
        if phase == Some(RestorePhase::Completed) {
            assert!((0..2).all(|p| phase_of(p) == Some(RestoreActionPhase::Completed)), "{self:?}");
        }
        if phase == Some(RestorePhase::Failed) {
            assert!((0..2).any(|p| phase_of(p) == Some(RestoreActionPhase::Failed)), "{self:?}");
            assert!((0..2).all(|p| phase_of(p) != Some(RestoreActionPhase::Processing)), "{self:?}");
        }
    }
}

#[test]
fn restore_35_strictly_in_order_whatever_happens() {
    let restore = json!({
        "metadata": {"name": "r", "namespace": "n", "uid": "u-1", "labels": {
            "app.kubernetes.io/managed-by": "kubeblocks-dataprotection"}},
        "spec": {"backup": {"name": "log", "namespace": "n"}, "prepareDataConfig": {"volumeClaims": [
            {"metadata": {"name": "c"}, "mountPath": "/data", "volumeClaimSpec": {}}]}},
    });
    let restore: Restore = serde_json::from_value(restore).unwrap();
    assert_ne!(build::job_name(&restore, "base", 0), build::job_name(&restore, "log", 0));
    let mut open = vec![World { restore, jobs: [Job::None; 2] }];
    let mut met = BTreeSet::new();
    let mut ends = BTreeSet::new();
    while let Some(world) = open.pop() {
        if !met.insert(world.key()) {
            continue;
        }
        world.check();
        let next: Vec<World> = world.next().into_iter().filter(|w| w.key() != world.key()).collect();
        let phase = world.restore.status.as_ref().and_then(|s| s.phase.clone());
        if next.is_empty() {
            let waits = world.jobs.contains(&Job::Runs);
            assert!(waits || !matches!(phase, None | Some(RestorePhase::Running)), "stuck: {world:?}");
            ends.extend(phase.map(|p| p.to_string()));
        }
        open.extend(next);
        open.extend(world.strange());
    }
    println!("{} worlds", met.len());
    assert!(ends.contains("Completed") && ends.contains("Failed"), "{ends:?}");
}
