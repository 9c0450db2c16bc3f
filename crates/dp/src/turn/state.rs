//! What is known of all that wait and all that are at work.

use super::claim::{Claim, JobOf, lane};
use super::order::{self, Decision, Id, Limits, Resource, Served, Verdict};
use super::place;
use api_types::contract::names::BACKUP_DATA_PREFIX;
use api_types::dp::{Backup, BackupPhase};
use controller_kit::Key;
use jiff::Timestamp;
use kube::ResourceExt;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// A turn that was given and that the cache does not show yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Grant {
    /// The version of the Backup that was looked at.
    seen: Option<String>,
    /// The version of it that the write was made for, once that is under way.
    written: Option<String>,
    /// That write was tried before, and nobody knows what became of it.
    again: bool,
}

/// See the module.
#[derive(Default)]
pub struct State {
    limits: Limits,
    claims: HashMap<String, Claim>,
    granted: HashMap<Id, Grant>,
    /// Backups whose last look failed.
    aside: HashSet<String>,
    served: Served,
    decision: Option<Arc<Decision>>,
}

impl State {
    /// Nobody waits yet.
    pub fn new(limits: Limits) -> Self {
        State { limits, ..State::default() }
    }

    /// Whether it matters on which node a Job runs.
    pub fn limits_nodes(&self) -> bool {
        self.limits.node > 0
    }

    /// True if others may be concerned.
    pub fn see(&mut self, backup: &Backup, there: bool) -> bool {
        let Some(uid) = backup.uid() else { return false };
        let mut claim = Claim::of(backup).filter(|_| there);
        if there {
            self.remember_start(backup);
        }
        let fresh = there
            && backup.metadata.deletion_timestamp.is_none()
            && matches!(backup.phase(), BackupPhase::New | BackupPhase::InProgress);
        let settled = self.settle(&uid, backup, fresh, claim.as_ref());
        let before = self.claims.get(&uid);
        // What was given counts, whatever an older version of the Backup says.
        let kept: Vec<JobOf> =
            before.into_iter().flat_map(|c| &c.jobs).filter(|j| self.is_granted(&uid, j)).cloned().collect();
        if let (Some(old), false) = (before, kept.is_empty()) {
            let claim = claim.get_or_insert_with(|| Claim { jobs: vec![], ..old.clone() });
            claim.jobs.retain(|job| kept.iter().all(|k| k.action != job.action));
            claim.jobs.extend(kept);
        }
        if !claim.as_ref().is_some_and(|c| c.jobs.iter().any(|job| !job.at_work)) {
            self.aside.remove(&uid);
        }
        self.put(uid, claim) | settled
    }

    /// Turns that the cache shows as taken, or that can not be taken any more: the write was made for a version that the
    /// Backup no longer has.
    fn settle(&mut self, uid: &str, backup: &Backup, fresh: bool, claim: Option<&Claim>) -> bool {
        let version = backup.resource_version().unwrap_or_default();
        let before = self.granted.len();
        self.granted.retain(|(of, action), grant| {
            if of != uid {
                return true;
            }
            let shown = claim.and_then(|c| c.jobs.iter().find(|job| job.action == *action));
            let open = if fresh { true } else { shown.is_some_and(|job| !job.at_work) };
            let possible =
                grant.written.as_ref().is_none_or(|w| *w == version || grant.seen.as_ref() == Some(&version));
            open && possible
        });
        before != self.granted.len()
    }

    fn is_granted(&self, uid: &str, job: &JobOf) -> bool {
        self.granted.contains_key(&(uid.to_owned(), job.action.clone()))
    }

    fn put(&mut self, uid: String, claim: Option<Claim>) -> bool {
        let before = self.claims.get(&uid);
        let untold = |c: &Claim| Claim { told: None, ..c.clone() };
        let changed = before.map(untold) != claim.as_ref().map(untold);
        match claim {
            Some(claim) => self.claims.insert(uid, claim),
            None => self.claims.remove(&uid),
        };
        if changed {
            self.decision = None;
        }
        changed
    }

    /// When a Backup began is when its lane was served.
    fn remember_start(&mut self, backup: &Backup) {
        let Some(status) = &backup.status else { return };
        let (Some(at), Some(repo)) = (&status.start_timestamp, &status.backup_repo_name) else { return };
        let data =
            status.actions.iter().filter(|a| a.name.as_deref().is_some_and(|n| n.starts_with(BACKUP_DATA_PREFIX)));
        let nodes = data.filter_map(|a| a.node_name.clone().map(Resource::Node));
        let all: Vec<Resource> = nodes.chain([Resource::Repo(repo.clone())]).collect();
        let lane = lane(backup);
        for resource in all {
            let last = self.served.entry((resource, lane.clone())).or_insert(at.0);
            *last = at.0.max(*last);
        }
    }

    /// True if it is another limit than before.
    pub fn set_limit(&mut self, repo: String, limit: Option<u32>) -> bool {
        let before = match limit {
            Some(limit) => self.limits.repos.insert(repo, limit),
            None => self.limits.repos.remove(&repo),
        };
        if before != limit {
            self.decision = None;
        }
        before != limit
    }

    /// True if there was something to forget.
    pub fn forget(&mut self, key: &Key) -> bool {
        let gone: Vec<String> = self.claims.iter().filter(|(_, c)| c.key == *key).map(|(uid, _)| uid.clone()).collect();
        for uid in &gone {
            self.granted.retain(|(of, _), _| of != uid);
            self.aside.remove(uid);
            self.put(uid.clone(), None);
        }
        !gone.is_empty()
    }

    fn decide(&mut self) -> Arc<Decision> {
        if let Some(decision) = &self.decision {
            return Arc::clone(decision);
        }
        let granted = self.granted.keys().cloned().collect();
        let decision = Arc::new(order::decide(&self.claims, &granted, &self.aside, &self.served, &self.limits));
        self.decision = Some(Arc::clone(&decision));
        decision
    }

    fn back(&mut self, uid: &str) {
        if self.aside.remove(uid) {
            self.decision = None;
        }
    }

    /// Of a Backup that has not begun.
    pub fn verdict(&mut self, uid: &str) -> Option<Verdict> {
        self.back(uid);
        self.decide().get(&(uid.to_owned(), String::new())).cloned()
    }

    /// See [`super::Turns::ask`]; true if others may be concerned.
    pub fn ask(&mut self, backup: &Backup, jobs: &[JobOf]) -> (Vec<Verdict>, bool) {
        if !jobs.iter().flat_map(JobOf::resources).any(|r| self.limits.of(&r).is_some()) {
            return (vec![Verdict::Turn; jobs.len()], false);
        }
        let uid = backup.uid().unwrap_or_default();
        self.back(&uid);
        let own = self.claims.get(&uid).map(|c| c.jobs.clone()).unwrap_or_default();
        let others = own.into_iter().filter(|o| jobs.iter().all(|j| j.action != o.action));
        let asked = Claim::new(backup, others.chain(jobs.iter().cloned()).collect());
        let changed = self.put(uid.clone(), Some(asked));
        let decision = self.decide();
        let verdict = |job: &JobOf| {
            let id = (uid.clone(), job.action.clone());
            if self.granted.contains_key(&id) { Some(Verdict::Turn) } else { decision.get(&id).cloned() }
        };
        let verdicts: Vec<Verdict> = jobs.iter().map(|job| verdict(job).unwrap_or(Verdict::Turn)).collect();
        for (job, _) in jobs.iter().zip(&verdicts).filter(|(_, v)| **v == Verdict::Turn) {
            let grant = Grant { seen: backup.resource_version(), ..Grant::default() };
            self.granted.entry((uid.clone(), job.action.clone())).or_insert(grant);
            self.decision = None;
        }
        // What it is told now is not told again.
        let held =
            verdicts.iter().find_map(|v| if let Verdict::Held(held) = v { Some(place::message(held)) } else { None });
        if let (Some(claim), Some(_)) = (self.claims.get_mut(&uid), &held) {
            claim.told = held;
        }
        (verdicts, changed)
    }

    /// See [`super::Turns::sending`].
    pub fn sending(&mut self, backup: &Backup, now: Timestamp) {
        let uid = backup.uid().unwrap_or_default();
        let Some(claim) = self.claims.get(&uid) else { return };
        for job in &claim.jobs {
            let Some(grant) = self.granted.get_mut(&(uid.clone(), job.action.clone())) else { continue };
            grant.again |= grant.written.is_some();
            grant.written = Some(backup.resource_version().unwrap_or_default());
            for resource in job.resources() {
                self.served.insert((resource, claim.lane.clone()), now);
            }
        }
        self.decision = None;
    }

    /// See [`super::Turns::refused`].
    pub fn refused(&mut self, uid: &str) {
        for (_, grant) in self.granted.iter_mut().filter(|((of, _), grant)| of == uid && !grant.again) {
            grant.written = None;
        }
    }

    /// See [`super::Turns::looked`]. True if others may be concerned.
    pub fn looked(&mut self, uid: &str, failed: bool) -> bool {
        let before = self.granted.len();
        let mut began = true;
        self.granted.retain(|(of, action), grant| {
            let stays = of != uid || grant.written.is_some();
            began &= stays || !action.is_empty();
            stays
        });
        if !began && let Some(claim) = self.claims.get_mut(uid) {
            // It has not begun, so it waits with its first Job only.
            claim.jobs.retain(|job| job.action.is_empty());
        }
        let waits = self.claims.get(uid).is_some_and(|c| c.jobs.iter().any(|job| !job.at_work));
        let stepped = failed && waits && self.aside.insert(uid.to_owned());
        let changed = stepped || before != self.granted.len();
        if changed {
            self.decision = None;
        }
        changed
    }

    /// See [`super::Turns::concerned`].
    pub fn concerned(&mut self) -> Vec<Key> {
        let decision = self.decide();
        let due = |(uid, claim): (&String, &Claim)| {
            let verdict = |job: &JobOf| decision.get(&(uid.clone(), job.action.clone()));
            let mut all = claim.jobs.iter().filter_map(verdict).peekable();
            let first = match all.peek()? {
                Verdict::Held(held) => Some(place::message(held)),
                Verdict::Turn => None,
            };
            let turn = all.any(|v| *v == Verdict::Turn);
            (turn || first != claim.told).then(|| claim.key.clone())
        };
        self.claims.iter().filter_map(due).collect()
    }
}
