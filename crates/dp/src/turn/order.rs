//! Whose turn it is: at most so many Jobs at once in a repository and on a node, shared evenly between namespaces. Pure.
//!
//! At each repository and node the namespace with the fewest Jobs at work there goes first, among equals the one that was
//! served longest ago. Within a namespace backups by hand and scheduled ones take turns, by hand first; within each of
//! both the older Backup goes first. Nobody is passed over for ever: whoever is served goes behind all that wait.
//!
//! Who needs a node, too, takes a place there when he is the next at his repository, and keeps it until his turn: were both
//! taken at once, others could always hold one of the two. Who finds no place on his node takes none in the repository: the
//! next of the line goes before him.

use super::claim::{Claim, JobOf, Lane};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

/// What is shared.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A BackupRepo.
    Repo(String),
    /// A node.
    Node(String),
}

/// How many Jobs run at once; 0 is no limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In each repository that says nothing itself.
    pub repo: u32,
    /// On each node.
    pub node: u32,
    /// What repositories say themselves.
    pub repos: BTreeMap<String, u32>,
}

impl Limits {
    /// The limit of one resource, if it has one.
    pub fn of(&self, resource: &Resource) -> Option<usize> {
        let limit = match resource {
            Resource::Repo(name) => self.repos.get(name).copied().unwrap_or(self.repo),
            Resource::Node(_) => self.node,
        };
        (limit > 0).then_some(limit as usize)
    }
}

/// When a Job of a lane last had its turn at a resource.
pub type Served = HashMap<(Resource, Lane), Timestamp>;

/// One Job: of a Backup, by UID, and of one action of it; a Backup that has not begun has one without a name.
pub type Id = (String, String);

/// What keeps a Job back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it waits.
    pub by: Resource,
    /// Its place in the queue there, from 1.
    pub place: usize,
    /// Length of that queue.
    pub of: usize,
    /// Jobs that run there, or are about to.
    pub runs: usize,
    /// Its limit.
    pub limit: usize,
}

/// Whether it is a Job's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is.
    Turn,
    /// It waits.
    Held(Held),
}

/// What is decided for every Job that waits.
pub type Decision = HashMap<Id, Verdict>;

/// A Job as it is looked at here.
struct Waiting<'a> {
    uid: &'a str,
    claim: &'a Claim,
    job: &'a JobOf,
    /// Which line at a repository it stands in, and where.
    at: (usize, usize),
}

impl Waiting<'_> {
    fn id(&self) -> Id {
        (self.uid.to_owned(), self.job.action.clone())
    }
}

/// Jobs at work, by namespace.
type AtWork<'a> = HashMap<Resource, BTreeMap<&'a str, usize>>;

/// The line at one repository, or that of all Jobs that none limits.
struct Line<'a> {
    by: Option<(Resource, usize)>,
    before: usize,
    /// How many of it may take a place on a node: those whose turn it is, and the one after them.
    window: usize,
    rest: VecDeque<Waiting<'a>>,
    passed: Vec<Waiting<'a>>,
}

/// The line at one node.
struct Node<'a> {
    limit: usize,
    runs: usize,
    held: Vec<Waiting<'a>>,
}

/// Decides for all Jobs at once. `granted` had their turn although their claims do not show it yet; Backups of `aside`
/// wait, but nobody waits for them.
pub(super) fn decide(
    claims: &HashMap<String, Claim>,
    granted: &HashSet<Id>,
    aside: &HashSet<String>,
    served: &Served,
    limits: &Limits,
) -> Decision {
    let mut at_work = AtWork::new();
    let mut waiting: Vec<Waiting<'_>> = Vec::new();
    for (uid, claim) in claims {
        for job in &claim.jobs {
            if job.at_work || granted.contains(&(uid.clone(), job.action.clone())) {
                for resource in job.resources() {
                    *at_work.entry(resource).or_default().entry(&claim.lane.namespace).or_default() += 1;
                }
            } else if !aside.contains(uid) {
                waiting.push(Waiting { uid, claim, job, at: (0, 0) });
            }
        }
    }
    let mut lines = at_repositories(waiting, &at_work, served, limits);
    let nodes = pass_nodes(&mut lines, &at_work, served, limits);
    let mut decision = Decision::new();
    for (name, node) in nodes {
        hold(&mut decision, &Resource::Node(name), node.limit, node.runs, &node.held);
    }
    for mut line in lines {
        line.passed.sort_by_key(|of| of.at);
        let mut behind: Vec<Waiting<'_>> = vec![];
        if let Some((_, limit)) = line.by {
            let room = limit.saturating_sub(line.before);
            behind = line.passed.split_off(room.min(line.passed.len()));
        }
        decision.extend(line.passed.iter().map(|of| (of.id(), Verdict::Turn)));
        if let Some((by, limit)) = &line.by {
            behind.extend(line.rest);
            hold(&mut decision, by, *limit, line.before + line.passed.len(), &behind);
        }
    }
    decision
}

fn hold(decision: &mut Decision, by: &Resource, limit: usize, runs: usize, line: &[Waiting<'_>]) {
    for (number, of) in line.iter().enumerate() {
        let held = Held { by: by.clone(), place: number + 1, of: line.len(), runs, limit };
        decision.insert(of.id(), Verdict::Held(held));
    }
}

fn running(at_work: &AtWork<'_>, resource: &Resource) -> usize {
    at_work.get(resource).into_iter().flat_map(BTreeMap::values).sum()
}

fn at_repositories<'a>(
    waiting: Vec<Waiting<'a>>,
    at_work: &AtWork<'_>,
    served: &Served,
    limits: &Limits,
) -> Vec<Line<'a>> {
    let mut parts: BTreeMap<Option<Resource>, Vec<Waiting<'a>>> = BTreeMap::new();
    for of in waiting {
        let repo = of.job.repo.clone().map(Resource::Repo);
        parts.entry(repo.filter(|r| limits.of(r).is_some())).or_default().push(of);
    }
    let mut lines = Vec::new();
    for (resource, part) in parts {
        let by = resource.and_then(|r| limits.of(&r).map(|limit| (r, limit)));
        let (mut rest, before, window) = match &by {
            None => (part, 0, usize::MAX),
            Some((resource, limit)) => {
                let before = running(at_work, resource);
                (in_order(resource, part, at_work, served), before, limit.saturating_sub(before).max(1))
            }
        };
        for (number, of) in rest.iter_mut().enumerate() {
            of.at = (lines.len(), number);
        }
        lines.push(Line { by, before, window, rest: rest.into(), passed: vec![] });
    }
    lines
}

/// Lets those pass for whom there is room on their node, in rounds: who finds none gives his place in the window to the
/// next of his line.
fn pass_nodes<'a>(
    lines: &mut [Line<'a>],
    at_work: &AtWork<'_>,
    served: &Served,
    limits: &Limits,
) -> BTreeMap<String, Node<'a>> {
    let mut nodes: BTreeMap<String, Node<'a>> = BTreeMap::new();
    loop {
        let mut batch: BTreeMap<String, Vec<Waiting<'a>>> = BTreeMap::new();
        for line in lines.iter_mut() {
            let taken = line.rest.len().min(line.window.saturating_sub(line.passed.len()));
            for of in line.rest.drain(..taken) {
                match of.job.node.clone().filter(|_| limits.node > 0) {
                    Some(node) => batch.entry(node).or_default().push(of),
                    None => line.passed.push(of),
                }
            }
        }
        if batch.is_empty() {
            return nodes;
        }
        for (name, part) in batch {
            let resource = Resource::Node(name.clone());
            let mut passed = in_order(&resource, part, at_work, served);
            let limit = limits.of(&resource).unwrap_or(usize::MAX);
            let node =
                nodes.entry(name).or_insert_with(|| Node { limit, runs: running(at_work, &resource), held: vec![] });
            let room = limit.saturating_sub(node.runs).min(passed.len());
            node.held.extend(passed.split_off(room));
            node.runs += passed.len();
            for of in passed {
                if let Some(line) = lines.get_mut(of.at.0) {
                    line.passed.push(of);
                }
            }
        }
    }
}

/// The lanes of one namespace at one resource.
struct Tenant<'a> {
    /// Its Jobs at work, and those before in the line.
    running: usize,
    /// When each lane was last served: by schedule, by hand.
    served: [Option<Order>; 2],
    lines: [VecDeque<Waiting<'a>>; 2],
}

/// A moment in the past, or a number in the line that is being made: later than every moment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Past(Timestamp),
    Next(usize),
}

impl<'a> Tenant<'a> {
    /// The lane whose turn it is: the one served longer ago, by hand first.
    fn lane(&self) -> usize {
        let waits = |lane: &usize| self.lines.get(*lane).is_some_and(|l| !l.is_empty());
        let ago = |lane: &usize| self.served.get(*lane).copied().flatten();
        [1, 0].into_iter().filter(waits).min_by_key(ago).unwrap_or_default()
    }

    fn head(&self) -> Option<&Waiting<'a>> {
        self.lines.get(self.lane())?.front()
    }

    /// What decides between namespaces; the smallest goes first.
    fn rank(&self) -> Option<(usize, Option<Order>, Timestamp)> {
        let last = self.served.into_iter().flatten().max();
        Some((self.running, last, self.head()?.claim.created))
    }

    fn take(&mut self, number: usize) -> Option<Waiting<'a>> {
        let lane = self.lane();
        let taken = self.lines.get_mut(lane)?.pop_front()?;
        self.running += 1;
        if let Some(served) = self.served.get_mut(lane) {
            *served = Some(Order::Next(number));
        }
        Some(taken)
    }
}

fn in_order<'a>(
    resource: &Resource,
    mut waiting: Vec<Waiting<'a>>,
    at_work: &AtWork<'_>,
    served: &Served,
) -> Vec<Waiting<'a>> {
    let running = at_work.get(resource);
    waiting.sort_by(|a, b| {
        let key = |w: &Waiting<'a>| (w.claim.created, w.uid, w.job.number);
        key(a).cmp(&key(b))
    });
    let total = waiting.len();
    let mut tenants: BTreeMap<&str, Tenant<'a>> = BTreeMap::new();
    for of in waiting {
        let namespace = of.claim.lane.namespace.as_str();
        let tenant = tenants.entry(namespace).or_insert_with(|| {
            let of_lane = |by_hand| {
                let lane = Lane { namespace: namespace.to_owned(), by_hand };
                served.get(&(resource.clone(), lane)).copied().map(Order::Past)
            };
            Tenant {
                running: running.and_then(|r| r.get(namespace)).copied().unwrap_or_default(),
                served: [of_lane(false), of_lane(true)],
                lines: Default::default(),
            }
        });
        let [by_schedule, by_hand] = &mut tenant.lines;
        if of.claim.lane.by_hand { by_hand } else { by_schedule }.push_back(of);
    }
    let rank = |(name, tenant): (&&'a str, &Tenant<'a>)| Some((tenant.rank()?, *name));
    let mut next: BTreeSet<_> = tenants.iter().filter_map(rank).collect();
    let mut line = Vec::with_capacity(total);
    while let Some((_, namespace)) = next.pop_first() {
        let Some(tenant) = tenants.get_mut(namespace) else { continue };
        line.extend(tenant.take(line.len()));
        next.extend(tenant.rank().map(|rank| (rank, namespace)));
    }
    line
}
