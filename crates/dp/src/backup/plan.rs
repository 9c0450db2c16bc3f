//! Decides what a Backup needs next. Pure.

use super::chain::{self, Next};
use super::fold::{self, ActionOutcome, Folded, Limits};
use super::lineage::{self, Wanted};
use super::status::{Start, Storage};
use super::{continuous, delete, inputs, select, storage};
use crate::error::Stop;
use crate::reasons;
use crate::turn::claim::{self, JobOf};
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{
    ActionPhase, ActionSet, ActionSetSpec, Backup, BackupInputs, BackupMethod, BackupPhase, BackupPolicy, BackupRepo,
    BackupSchedule, BackupStatus, BackupStatusTarget, BackupTarget, BackupType,
};
use controller_kit::error::Class;
use controller_kit::names;
use jiff::Timestamp;
use job_runtime::stop::Turn;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The backup.
    pub backup: Arc<Backup>,
    /// Its policy.
    pub policy: Option<Arc<BackupPolicy>>,
    /// The actions of its method, as they are now.
    pub action_set: Option<Arc<ActionSet>>,
    /// The schedule that made it.
    pub schedule: Option<Arc<BackupSchedule>>,
    /// Ready repositories annotated as default.
    pub default_repos: Vec<String>,
    /// The repository chosen.
    pub repo: Option<Arc<BackupRepo>>,
    /// The repository's claim, or the mover's configuration for it, is in the backup's namespace.
    pub repo_here: bool,
    /// Backups of the namespace it may build on, or that build on it; only where that matters.
    pub family: Vec<Arc<Backup>>,
    /// What each recorded action's object came to, parallel to `status.actions`.
    pub outcomes: Vec<ActionOutcome>,
    /// Jobs or StatefulSets of this backup are still there.
    pub workloads_left: bool,
    /// What is seen of its deletion.
    pub deletion: delete::plan::Seen,
    /// How long things may take.
    pub limits: Limits,
}

impl Observed {
    /// The actions it runs with: its own copy, else, where it keeps none, those of the ActionSet as it is now.
    pub fn actions(&self) -> Option<&ActionSetSpec> {
        match inputs::kept(&self.backup) {
            Some(kept) => kept.action_set.as_deref(),
            None => self.action_set.as_ref().map(|a| &a.spec),
        }
    }
}

/// What to do now.
#[derive(Debug)]
pub enum Plan {
    /// Nothing.
    Leave,
    /// Something blocks; it goes into the status.
    Blocked(Stop),
    /// It can never work.
    Refuse(Stop),
    /// Finalizer and labels come before anything else.
    Mark(BTreeMap<String, String>),
    /// Ask the repository's controller to prepare it here (wire label `wait-repo-preparation`).
    AskForRepo(Stop),
    /// Choose target pods, then store the status it runs under.
    Start(Box<Ready>),
    /// Create the objects of some actions and turn or end those of others, then store the status.
    Run(Box<Run>),
    /// Keep the archives of a continuous backup where their pods are.
    Follow,
    /// The result is stored: what did the work may go.
    CleanUp,
    /// The result is stored: these Jobs of given up actions may go.
    Cancel(Vec<ObjectReference>),
    /// The backup is being deleted.
    Delete(delete::plan::Plan),
}

/// What a backup at work needs.
#[derive(Debug)]
pub struct Run {
    /// Actions that may begin now.
    pub begin: Vec<Due>,
    /// Jobs, and what each needs before its result counts.
    pub turns: Vec<JobTurn>,
    /// Jobs of given up actions.
    pub cancel: Vec<ObjectReference>,
    /// Status after this look.
    pub status: BackupStatus,
    /// The next deadline.
    pub look_by: Option<Timestamp>,
}

/// An action that may begin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Its place in `status.actions`.
    pub place: usize,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A Job that must be stopped or resumed before its result counts.
#[derive(Debug)]
pub struct JobTurn {
    /// Where it is, with its UID.
    pub job: ObjectReference,
    /// Which of both.
    pub turn: Turn,
}

/// Everything a backup needs is there.
#[derive(Debug)]
pub struct Ready {
    /// Its method.
    pub method: BackupMethod,
    /// Policy and ActionSet as they are now.
    pub inputs: BackupInputs,
    /// What it is.
    pub backup_type: BackupType,
    /// Where its data goes; a snapshot goes nowhere.
    pub storage: Option<Storage>,
    /// The chain it continues.
    pub parent: Option<lineage::Lineage>,
    /// Targets whose pods are to be chosen.
    pub targets: Vec<BackupTarget>,
    /// The policy lists several targets, or one.
    pub several: bool,
}

impl Ready {
    /// With the pods chosen, what the status is made from.
    pub fn into_start(self, targets: Vec<BackupStatusTarget>, jobs: Vec<(JobOf, bool)>, exec_namespace: &str) -> Start {
        Start {
            method: self.method,
            inputs: self.inputs,
            store: self.storage,
            parent: self.parent,
            targets,
            several: self.several,
            exec_namespace: exec_namespace.to_owned(),
            jobs,
        }
    }
}

/// What the backup needs next.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    let backup = &seen.backup;
    if backup.metadata.deletion_timestamp.is_some() {
        return Plan::Delete(delete::plan::plan(seen));
    }
    let continuous = continuous::is(backup);
    match backup.phase() {
        BackupPhase::New | BackupPhase::InProgress => start(seen, now),
        BackupPhase::Failed if continuous && never_ran(backup) => start(seen, now),
        BackupPhase::Running | BackupPhase::Failed if continuous => Plan::Follow,
        BackupPhase::Completed if seen.workloads_left => Plan::CleanUp,
        BackupPhase::Completed if continuous && continuous::is_wanted(seen) => Plan::Follow,
        BackupPhase::Running => run(seen, now),
        BackupPhase::Failed => match given_up(seen) {
            jobs if jobs.is_empty() => Plan::Leave,
            jobs => Plan::Cancel(jobs),
        },
        _ => Plan::Leave,
    }
}

fn never_ran(backup: &Backup) -> bool {
    backup.status.as_ref().is_none_or(|s| s.start_timestamp.is_none() || s.actions.is_empty())
}

/// Begins a backup, also one that is to begin again.
pub fn start(seen: &Observed, now: Timestamp) -> Plan {
    match prerequisites(seen) {
        Ok(next) => next,
        Err(stop) if stop.class == Class::Terminal => Plan::Refuse(stop),
        Err(stop) => match waits_until(seen) {
            Some(until) if until <= now => Plan::Refuse(Stop::terminal(
                reasons::DEADLINE_EXCEEDED,
                format!("it could not begin in time; {}: {}", stop.reason, stop.message),
            )),
            _ => Plan::Blocked(stop),
        },
    }
}

/// How long a backup that has not begun is kept waiting (behaviour-backup D13: bounded); an archive for ever, and while it
/// waits for its turn nothing counts: the backups before it have deadlines of their own.
pub fn waits_until(seen: &Observed) -> Option<Timestamp> {
    let fresh = matches!(seen.backup.phase(), BackupPhase::New | BackupPhase::InProgress);
    let bounded = fresh && seen.backup.metadata.deletion_timestamp.is_none() && !continuous::is(&seen.backup);
    let limit = seen.limits.action.filter(|_| bounded)?;
    let since = match seen.backup.status.as_ref().and_then(|s| s.queue.as_ref()) {
        Some(queue) => queue.left.as_ref()?.0,
        None => seen.backup.creation_timestamp()?.0,
    };
    since.checked_add(limit).ok()
}

fn prerequisites(seen: &Observed) -> Result<Plan, Stop> {
    let backup = &seen.backup;
    let policy_name = &backup.spec.backup_policy_name;
    let policy = seen.policy.as_ref().ok_or_else(|| {
        Stop::wait(
            reasons::BACKUP_POLICY_NOT_FOUND,
            format!("spec.backupPolicyName: there is no BackupPolicy {policy_name} here"),
        )
    })?;
    let method = select::method(backup, policy)?;
    let actions = match method.action_set_name() {
        None => None,
        Some(name) => Some(seen.action_set.as_deref().ok_or_else(|| {
            let what = format!("BackupPolicy {policy_name}: there is no ActionSet {name}");
            Stop::wait(reasons::ACTION_SET_NOT_FOUND, what)
        })?),
    };
    let backup_type = select::backup_type(actions);
    select::check_actions(backup, method, actions)?;
    if backup_type == BackupType::Continuous {
        continuous::check(seen, method)?;
    }
    let targets = policy.spec.targets_of(method);
    if targets.is_empty() {
        return Err(Stop::terminal(
            reasons::TARGET_NOT_FOUND,
            format!("BackupPolicy {policy_name} has neither target nor targets"),
        ));
    }
    let repo = if method.snapshot_volumes() { None } else { Some(repository(seen, policy)?) };
    let wanted = wanted_labels(seen, &backup_type, repo);
    let has = |(key, value): (&String, &String)| backup.labels().get(key) == Some(value);
    let finalizer = backup.finalizers().iter().any(|f| f == FINALIZER);
    if !finalizer || !wanted.iter().all(has) {
        return Ok(Plan::Mark(wanted));
    }
    let parent = match (&backup_type, repo) {
        (BackupType::Incremental | BackupType::Differential, Some(repo)) => {
            let (name, targets) = (repo.name_any(), targets.len());
            let wanted = Wanted { backup, method, backup_type: &backup_type, repo: &name, targets };
            Some(lineage::choose(&wanted, &seen.family)?)
        }
        (BackupType::Incremental | BackupType::Differential, None) => {
            return Err(Stop::terminal(
                reasons::NO_BACKUP_ACTION,
                format!("method {}: a snapshot can not be {backup_type}; it needs a repository", method.name),
            ));
        }
        _ => None,
    };
    let storage = match repo {
        None => None,
        Some(repo) => {
            let storage = storage::of(backup, policy, repo, parent.as_ref());
            if !seen.repo_here {
                return Ok(Plan::AskForRepo(being_prepared(&repo.name_any())));
            }
            Some(storage)
        }
    };
    Ok(Plan::Start(Box::new(Ready {
        method: method.clone(),
        inputs: inputs::taken(policy, actions.map(|a| &a.spec)),
        backup_type,
        storage,
        parent,
        targets: targets.to_vec(),
        several: method.target.is_none() && (!method.targets.is_empty() || policy.spec.target.is_none()),
    })))
}

fn repository<'a>(seen: &'a Observed, policy: &BackupPolicy) -> Result<&'a BackupRepo, Stop> {
    let name = select::repo_name(&seen.backup, policy, &seen.default_repos)?;
    let repo = seen.repo.as_deref();
    let repo =
        repo.ok_or_else(|| Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, format!("there is no BackupRepo {name}")))?;
    select::check_repo(repo, &seen.backup.namespace().unwrap_or_default())?;
    Ok(repo)
}

/// What is said while the repository comes into the namespace.
pub fn being_prepared(repo: &str) -> Stop {
    Stop::wait(reasons::WAIT_FOR_BACKUP_REPO, format!("BackupRepo {repo} is being prepared in this namespace"))
}

/// Value of label `backup-policy`: the policy's name, or a beginning of it and a hash.
pub fn policy_label(policy: &str) -> String {
    names::child(policy, &[policy])
}

fn wanted_labels(seen: &Observed, backup_type: &BackupType, repo: Option<&BackupRepo>) -> BTreeMap<String, String> {
    let backup = &seen.backup;
    let mut wanted = BTreeMap::from([
        (labels::BACKUP_TYPE.to_owned(), backup_type.to_string()),
        (labels::BACKUP_POLICY.to_owned(), policy_label(&backup.spec.backup_policy_name)),
    ]);
    if let Some(repo) = repo {
        wanted.insert(labels::BACKUP_REPO_NAME.into(), repo.name_any());
        let envelope = repo.annotations().get(annotations::ENVELOPE).cloned();
        wanted.extend(envelope.filter(|e| !e.is_empty()).map(|e| (labels::ENVELOPE.to_owned(), e)));
    }
    if !backup.labels().contains_key(labels::MANAGED_BY) {
        wanted.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    }
    wanted
}

fn run(seen: &Observed, now: Timestamp) -> Plan {
    let backup = &seen.backup;
    let none = BackupStatus::default();
    let chains = chain::recorded(backup.status.as_ref().unwrap_or(&none), seen.actions());
    let Folded { mut status, look_by } = fold::folded(backup, &chains, &seen.outcomes, seen.limits, now);
    let still_running = status.phase == Some(BackupPhase::Running);
    let builds_on = status.parent_backup_name.is_some() || status.base_backup_name.is_some();
    if still_running
        && builds_on
        && let Some(stop) = lineage::broken(backup, &seen.family)
    {
        fold::abort(&mut status, &stop, now);
    }
    let begin = if status.phase == Some(BackupPhase::Running) { due(&chains, &status) } else { vec![] };
    let fresh = |a: &api_types::dp::ActionStatus| a.phase == Some(ActionPhase::New);
    if still_running && chains.is_empty() && status.actions.iter().any(fresh) {
        let name = status.backup_method.as_ref().and_then(|m| m.action_set_name()).unwrap_or_default();
        let what = format!("the ActionSet {name} that this backup was started with is gone or was changed");
        super::status::blocked(&mut status, &Stop::wait(reasons::ACTION_SET_NOT_FOUND, what), None, now);
    }
    let reference = |a: &api_types::dp::ActionStatus| a.object_ref.clone();
    let turn = |(action, outcome): (&api_types::dp::ActionStatus, &ActionOutcome)| {
        let running = action.phase == Some(ActionPhase::Running);
        Some(JobTurn { job: reference(action)?, turn: outcome.turn.clone().filter(|_| running)? })
    };
    let turns = status.actions.iter().zip(&seen.outcomes).filter_map(turn).collect();
    let cancel = given_up_by(&status, &seen.outcomes);
    Plan::Run(Box::new(Run { begin, turns, cancel, status, look_by }))
}

/// The actions that may begin, and since when.
fn due(chains: &[chain::Chain<'_>], status: &BackupStatus) -> Vec<Due> {
    let one = |chain: &chain::Chain<'_>| {
        let Next::Begin(step) = chain::next(chain, &status.actions) else { return None };
        let data =
            claim::data_action(chain).and_then(|s| status.actions.get(chain::place_of(&s.name, &status.actions)?));
        let queue = data.and_then(|a| a.queue.as_ref());
        if queue.is_some_and(|q| q.waits()) {
            return None;
        }
        let turn = queue.and_then(|q| q.left.as_ref()).map(|t| t.0);
        let place = chain::place_of(&chain.get(step)?.name, &status.actions)?;
        let before = chain.iter().take(step).filter_map(|s| {
            let done = status.actions.get(chain::place_of(&s.name, &status.actions)?)?;
            done.completion_timestamp.as_ref().map(|t| t.0)
        });
        let since = before.max().or(status.start_timestamp.as_ref().map(|t| t.0));
        Some(Due { place, since: since.max(turn) })
    };
    chains.iter().filter_map(one).collect()
}

fn given_up(seen: &Observed) -> Vec<ObjectReference> {
    seen.backup.status.as_ref().map(|status| given_up_by(status, &seen.outcomes)).unwrap_or_default()
}

/// Jobs that are still at work although their actions were given up: they must not write any more.
fn given_up_by(status: &BackupStatus, outcomes: &[ActionOutcome]) -> Vec<ObjectReference> {
    let pairs = status.actions.iter().zip(outcomes);
    let over = pairs.filter(|(action, seen)| action.phase == Some(ActionPhase::Failed) && seen.alive);
    over.filter_map(|(action, _)| action.object_ref.clone()).collect()
}
