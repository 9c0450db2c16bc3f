//! Decides what a Backup needs next. Pure.

use super::select;
use super::status::{self, ActionOutcome, Start};
use crate::action::mover::Repository;
use crate::error::Stop;
use crate::reasons;
use crate::repo::reach::{self, Purpose};
use api_types::contract::{FINALIZER, annotations, labels};
use api_types::dp::{
    ActionPhase, ActionSet, Backup, BackupMethod, BackupPhase, BackupPolicy, BackupRepo, BackupStatus,
    BackupStatusTarget, DeletionPolicy, EncryptionConfig,
};
use controller_kit::names;
use jiff::Timestamp;
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// One look at the caches.
pub struct Observed {
    /// The backup.
    pub backup: Arc<Backup>,
    /// Its policy.
    pub policy: Option<Arc<BackupPolicy>>,
    /// The actions of its method.
    pub action_set: Option<Arc<ActionSet>>,
    /// Ready repositories annotated as default.
    pub default_repos: Vec<String>,
    /// The repository chosen.
    pub repo: Option<Arc<BackupRepo>>,
    /// The repository's claim, or the mover's configuration for it, is in the backup's namespace.
    pub repo_here: bool,
    /// What each recorded action's Job came to, parallel to `status.actions`.
    pub outcomes: Vec<ActionOutcome>,
    /// Jobs of this backup are still there.
    pub jobs_left: bool,
    /// Pods of this backup are still there.
    pub pods_left: bool,
    /// A restore that reads this backup is running; its name.
    pub read_by: Option<String>,
    /// The Job that deletes the files, once it exists.
    pub delete_job: Option<JobState>,
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
    /// Create the Jobs of these actions (indices) and turn those of others, then store the status.
    Run {
        /// Indices of actions without a Job.
        create: Vec<usize>,
        /// Names and UIDs of Jobs, and what each needs before its result counts.
        turns: Vec<JobTurn>,
        /// Status after this look.
        status: Box<BackupStatus>,
    },
    /// The result is stored: its Jobs may go.
    CleanUp,
    /// Store phase Deleting.
    BeginDeletion,
    /// Wait until its workloads are gone, after deleting them.
    StopWorkloads,
    /// Create the Job that deletes its files.
    DeleteFiles {
        /// Directory in the repository.
        path: String,
        /// The repository, as this namespace reaches it.
        repository: Repository,
    },
    /// Deleting the files failed; the user sees why and may delete that Job to try again.
    DeletionFailed(String),
    /// Take the finalizer off.
    Release,
}

/// A Job that must be stopped or resumed before its result counts.
#[derive(Debug)]
pub struct JobTurn {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// Which of both.
    pub turn: Turn,
}

/// Everything a backup needs is there.
#[derive(Debug)]
pub struct Ready {
    /// Its method.
    pub method: BackupMethod,
    /// The repository.
    pub repo: String,
    /// Its claim here, where it is mounted.
    pub claim: Option<String>,
    /// How its objects are encrypted.
    pub encryption: Option<EncryptionConfig>,
    /// Directory in the repository.
    pub path: String,
    /// Targets whose pods are to be chosen.
    pub targets: Vec<api_types::dp::BackupTarget>,
    /// The policy lists several targets, or one.
    pub several: bool,
}

impl Ready {
    /// With the pods chosen, what the status is made from.
    pub fn into_start(self, targets: Vec<BackupStatusTarget>) -> Start {
        Start {
            method: self.method,
            repo: self.repo,
            claim: self.claim,
            encryption: self.encryption,
            path: self.path,
            targets,
            several: self.several,
        }
    }
}

/// What the backup needs next.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    let backup = &seen.backup;
    if backup.metadata.deletion_timestamp.is_some() {
        return deletion(seen);
    }
    match backup.phase() {
        BackupPhase::New | BackupPhase::InProgress => match prerequisites(seen) {
            Ok(next) => next,
            Err(stop) if stop.class == controller_kit::error::Class::Terminal => Plan::Refuse(stop),
            Err(stop) => Plan::Blocked(stop),
        },
        BackupPhase::Running => run(seen, now),
        BackupPhase::Completed if seen.jobs_left => Plan::CleanUp,
        _ => Plan::Leave,
    }
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
    let actions = seen.action_set.as_ref().ok_or_else(|| {
        let name = method.action_set_name().unwrap_or_default();
        Stop::wait(reasons::ACTION_SET_NOT_FOUND, format!("BackupPolicy {policy_name}: there is no ActionSet {name}"))
    })?;
    select::check_actions(backup, actions)?;
    let repo_name = select::repo_name(backup, policy, &seen.default_repos)?;
    let repo = seen
        .repo
        .as_ref()
        .ok_or_else(|| Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, format!("there is no BackupRepo {repo_name}")))?;
    select::check_repo(repo, &backup.namespace().unwrap_or_default())?;
    let targets = policy.spec.targets_of(method);
    if targets.is_empty() {
        return Err(Stop::terminal(
            reasons::TARGET_NOT_FOUND,
            format!("BackupPolicy {policy_name} has neither target nor targets"),
        ));
    }
    let wanted = wanted_labels(seen, actions, &repo_name);
    let has = |(key, value): (&String, &String)| backup.labels().get(key) == Some(value);
    let finalizer = backup.finalizers().iter().any(|f| f == FINALIZER);
    if !finalizer || !wanted.iter().all(has) {
        return Ok(Plan::Mark(wanted));
    }
    if !seen.repo_here {
        return Ok(Plan::AskForRepo(being_prepared(&repo_name)));
    }
    let namespace = backup.namespace().unwrap_or_default();
    let root = super::paths::root(repo.spec.path_prefix.as_deref(), &namespace, policy.spec.path_prefix.as_deref());
    Ok(Plan::Start(Box::new(Ready {
        method: method.clone(),
        repo: repo_name,
        claim: claim_of(reach::repository(repo, &namespace, Purpose::Write)),
        encryption: policy.spec.encryption_config.clone(),
        path: super::paths::base(&root, &backup.name_any()),
        targets: targets.to_vec(),
        several: method.target.is_none() && (!method.targets.is_empty() || policy.spec.target.is_none()),
    })))
}

fn claim_of(repository: Option<Repository>) -> Option<String> {
    match repository? {
        Repository::Mounted { claim } => Some(claim),
        Repository::Tool { .. } => None,
    }
}

/// The repository of a backup that has started: the claim it recorded, else the configuration that its repository has
/// for the namespace.
pub fn repository(seen: &Observed, purpose: Purpose) -> Option<Repository> {
    let backup = &seen.backup;
    let recorded = backup.status.as_ref().and_then(|s| s.persistent_volume_claim_name.clone());
    match recorded.filter(|claim| !claim.is_empty()) {
        Some(claim) => Some(Repository::Mounted { claim }),
        None => reach::repository(seen.repo.as_deref()?, &backup.namespace().unwrap_or_default(), purpose),
    }
}

fn being_prepared(repo: &str) -> Stop {
    Stop::wait(reasons::WAIT_FOR_BACKUP_REPO, format!("BackupRepo {repo} is being prepared in this namespace"))
}

/// Value of label `backup-policy`: the policy's name, or a beginning of it and a hash.
pub fn policy_label(policy: &str) -> String {
    names::child(policy, &[policy])
}

fn wanted_labels(seen: &Observed, actions: &ActionSet, repo: &str) -> BTreeMap<String, String> {
    let backup = &seen.backup;
    let mut wanted = BTreeMap::from([
        (labels::BACKUP_TYPE.to_owned(), actions.spec.backup_type.to_string()),
        (labels::BACKUP_POLICY.to_owned(), policy_label(&backup.spec.backup_policy_name)),
        (labels::BACKUP_REPO_NAME.to_owned(), repo.to_owned()),
    ]);
    let envelope = seen.repo.as_ref().and_then(|r| r.annotations().get(annotations::ENVELOPE).cloned());
    wanted.extend(envelope.filter(|e| !e.is_empty()).map(|e| (labels::ENVELOPE.to_owned(), e)));
    if !backup.labels().contains_key(labels::MANAGED_BY) {
        wanted.insert(labels::MANAGED_BY.into(), labels::MANAGED_BY_DP.into());
    }
    wanted
}

fn run(seen: &Observed, now: Timestamp) -> Plan {
    let status = status::folded(&seen.backup, &seen.outcomes, now);
    let missing = |(i, (action, outcome)): (usize, (&api_types::dp::ActionStatus, &ActionOutcome))| {
        let fresh = action.phase == Some(ActionPhase::New);
        (fresh && outcome.state.is_none()).then_some(i)
    };
    let create = status.actions.iter().zip(&seen.outcomes).enumerate().filter_map(missing).collect();
    let turn = |(action, outcome): (&api_types::dp::ActionStatus, &ActionOutcome)| {
        let running = action.phase == Some(ActionPhase::Running);
        Some(JobTurn {
            name: action.object_ref.as_ref()?.name.clone()?,
            uid: outcome.job_uid.clone()?,
            turn: outcome.turn.clone().filter(|_| running)?,
        })
    };
    let turns = status.actions.iter().zip(&seen.outcomes).filter_map(turn).collect();
    Plan::Run { create, turns, status: Box::new(status) }
}

fn deletion(seen: &Observed) -> Plan {
    let backup = &seen.backup;
    if !backup.finalizers().iter().any(|f| f == FINALIZER) {
        return Plan::Leave;
    }
    if let Some(restore) = &seen.read_by {
        return Plan::Blocked(Stop::wait(
            reasons::READ_BY_RESTORE,
            format!("restore {restore} reads this backup; its files are deleted when it has finished"),
        ));
    }
    if backup.phase() != BackupPhase::Deleting {
        return Plan::BeginDeletion;
    }
    if seen.jobs_left || seen.pods_left {
        return Plan::StopWorkloads;
    }
    // Retain keeps the data and lets the object go (behaviour-backup D20).
    if backup.spec.deletion_policy == DeletionPolicy::Retain {
        return Plan::Release;
    }
    let status = backup.status.as_ref();
    let path = status.and_then(|s| s.path.clone()).unwrap_or_default();
    // A path that does not name the backup is never deleted; without the repository nothing can be.
    let named = path.split('/').any(|part| part == backup.name_any());
    let (Some(repo), Some(repository), true) = (&seen.repo, repository(seen, Purpose::Delete), named) else {
        return Plan::Release;
    };
    match &seen.delete_job {
        // Made also before the repository's claim is here: a namespace that is being deleted shows by it.
        None => Plan::DeleteFiles { path, repository },
        Some(JobState::Running { .. }) if !seen.repo_here => {
            match select::check_repo(repo, &backup.namespace().unwrap_or_default()) {
                Err(stop) => Plan::Blocked(stop),
                Ok(()) => Plan::AskForRepo(being_prepared(&repo.name_any())),
            }
        }
        Some(JobState::Running { .. }) => Plan::Leave,
        Some(JobState::Succeeded { .. }) => Plan::Release,
        Some(JobState::Failed { why, message, .. }) => {
            let told = message.as_deref().and_then(mover_protocol::RunResult::parse);
            Plan::DeletionFailed(told.map_or_else(|| why.clone(), |r| r.message))
        }
    }
}
