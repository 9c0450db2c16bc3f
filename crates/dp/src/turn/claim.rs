//! What one Backup uses, and what it waits for: told by its status alone. Pure.

use super::order::Resource;
use crate::backup::chain::{self, Next, Work};
use crate::backup::{continuous, gate, inputs};
use api_types::contract::annotations;
use api_types::contract::names::BACKUP_DATA_PREFIX;
use api_types::dp::{ActionPhase, ActionStatus, ActionType, Backup, BackupPhase, BackupStatus};
use controller_kit::Key;
use jiff::Timestamp;
use kube::ResourceExt;

/// Those between whom turns are shared: the backups of a namespace that schedules make, and those by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Lane {
    /// The namespace.
    pub namespace: String,
    /// Not made by a schedule.
    pub by_hand: bool,
}

/// One Job that writes data of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobOf {
    /// Its action; empty for the first of a Backup that has not begun.
    pub action: String,
    /// Its number among the actions of its Backup.
    pub number: usize,
    /// Repository it writes to; one that only takes snapshots has none.
    pub repo: Option<String>,
    /// Node it must run on, where that is given.
    pub node: Option<String>,
    /// It had its turn and has not ended.
    pub at_work: bool,
}

impl JobOf {
    /// As the status of a Backup that has begun records it.
    pub fn recorded(status: &BackupStatus, number: usize, action: &ActionStatus) -> Self {
        JobOf {
            action: action.name.clone().unwrap_or_default(),
            number,
            repo: status.backup_repo_name.clone(),
            node: action.node_name.clone(),
            at_work: !action.queue.as_ref().is_some_and(|q| q.waits()),
        }
    }

    /// What it needs a place at.
    pub fn resources(&self) -> impl Iterator<Item = Resource> + '_ {
        let node = self.node.clone().map(Resource::Node);
        self.repo.clone().map(Resource::Repo).into_iter().chain(node)
    }
}

/// One Backup that waits or is at work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where it is.
    pub key: Key,
    /// Among whom it waits.
    pub lane: Lane,
    /// When it was made.
    pub created: Timestamp,
    /// Its Jobs that wait or are at work.
    pub jobs: Vec<JobOf>,
    /// What its status says of its place, where it waits.
    pub told: Option<String>,
}

impl Claim {
    /// A Backup with these Jobs.
    pub fn new(backup: &Backup, jobs: Vec<JobOf>) -> Self {
        let conditions = backup.status.iter().flat_map(|s| &s.conditions);
        let told = conditions.into_iter().find(|c| c.reason == crate::reasons::WAITING_FOR_TURN);
        Claim {
            key: Key::of(backup),
            lane: lane(backup),
            created: backup.creation_timestamp().map(|t| t.0).unwrap_or_default(),
            jobs,
            told: told.map(|c| c.message.clone()),
        }
    }

    /// What the status of a Backup claims, if it claims anything. An archive claims nothing: it runs for as long as it
    /// is wanted. Nor does one that is being deleted, or failed: its Jobs are stopped.
    pub fn of(backup: &Backup) -> Option<Self> {
        let status = backup.status.as_ref()?;
        if backup.metadata.deletion_timestamp.is_some() || continuous::is(backup) {
            return None;
        }
        let skip = backup.annotations().get(annotations::SKIP_RECONCILIATION);
        let skipped = skip.is_some_and(|v| v.eq_ignore_ascii_case("true"));
        let jobs: Vec<JobOf> = match backup.phase() {
            BackupPhase::New | BackupPhase::InProgress => before_it_began(status).into_iter().collect(),
            BackupPhase::Running => of_running(status, backup),
            _ => vec![],
        };
        // One that nobody looks at can not take its turn.
        let jobs: Vec<JobOf> = jobs.into_iter().filter(|job| job.at_work || !skipped).collect();
        (!jobs.is_empty()).then(|| Claim::new(backup, jobs))
    }
}

/// Among whom a Backup waits.
pub fn lane(backup: &Backup) -> Lane {
    Lane { namespace: backup.namespace().unwrap_or_default(), by_hand: !gate::is_scheduled(backup) }
}

fn before_it_began(status: &BackupStatus) -> Option<JobOf> {
    let queue = status.queue.as_ref().filter(|q| q.waits())?;
    Some(JobOf { repo: queue.repo_name.clone(), node: queue.node_name.clone(), ..JobOf::default() })
}

fn of_running(status: &BackupStatus, backup: &Backup) -> Vec<JobOf> {
    let actions = inputs::kept(backup).and_then(|i| i.action_set.as_deref());
    let chains = chain::recorded(status, actions);
    let over = |action: &ActionStatus| {
        let own = |c: &&chain::Chain<'_>| c.iter().any(|s| Some(s.name.as_str()) == action.name.as_deref());
        let chain = chains.iter().find(own);
        chain.is_some_and(|chain| chain::next(chain, &status.actions) == Next::Over)
    };
    let ended = |a: &ActionStatus| matches!(a.phase, Some(ActionPhase::Completed | ActionPhase::Failed));
    let moves_data = |a: &ActionStatus| {
        a.action_type == Some(ActionType::Job) && a.name.as_deref().is_some_and(|n| n.starts_with(BACKUP_DATA_PREFIX))
    };
    let all = status.actions.iter().enumerate();
    all.filter(|(_, a)| moves_data(a) && !ended(a) && !over(a))
        .map(|(number, action)| JobOf::recorded(status, number, action))
        .collect()
}

/// The data action of a chain, if it has one that a Job runs.
pub fn data_action<'a>(chain: &'a chain::Chain<'_>) -> Option<&'a chain::Step<'a>> {
    chain.iter().find(|step| matches!(step.work, Work::Data(_)))
}
