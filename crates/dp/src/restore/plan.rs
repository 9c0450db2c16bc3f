//! Decides what a Restore needs next. Pure.
//!
//! Order of writes of one Job: created suspended, its UID recorded in the status, then resumed. So a
//! Job without a recorded UID never ran and may be made again; a recorded one that is gone may have
//! written anything, and is [`reasons::JOB_VANISHED`] (design D8, D9). Several Jobs are recorded together
//! before the first is made, without UIDs; each is made when the one before has worked and that is stored.

use super::chain::{Chain, Step};
use super::{build, env};
use crate::action::parameters;
use crate::backup::select;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{
    ActionSet, Backup, BackupRepo, PodSelectionStrategy, Restore, RestoreActionPhase, RestorePhase, RestoreStatusAction,
};
use controller_kit::error::Class;
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use kube::ResourceExt;
use std::sync::Arc;

/// A claim that the restore fills.
pub struct ClaimSeen {
    /// Its UID, while it exists and is not going away.
    pub uid: Option<String>,
}

/// The repository that the backup of a step lies in.
pub struct RepoSeen {
    /// Its name.
    pub name: String,
    /// It, where it exists.
    pub repo: Option<Arc<BackupRepo>>,
    /// Its claim, or the mover's configuration for it, is in the restore's namespace.
    pub here: bool,
}

/// An expected Job.
#[derive(Default)]
pub struct JobSeen {
    /// UID, once it exists and is ours.
    pub uid: Option<String>,
    /// It exists and is held back.
    pub held: bool,
    /// What it needs before its result counts.
    pub turn: Option<Turn>,
    /// What it came to.
    pub state: Option<JobState>,
    /// Its name belongs to somebody else.
    pub taken: bool,
}

/// One look at the caches.
pub struct Observed {
    /// The restore.
    pub restore: Arc<Restore>,
    /// The backup it names.
    pub backup: Option<Arc<Backup>>,
    /// What restores it, while a Job is still to be made; `None` where nobody asked.
    pub chain: Option<Result<Chain, Stop>>,
    /// The repository of each step that fills volumes.
    pub repos: Vec<RepoSeen>,
    /// The claims to fill, in their order.
    pub claims: Vec<ClaimSeen>,
    /// The expected Jobs, in their order: as recorded, else one for each step that fills volumes.
    pub jobs: Vec<JobSeen>,
    /// Service accounts that a Restore may name.
    pub allowed_accounts: Vec<String>,
}

/// What to do now.
#[derive(Debug)]
pub enum Plan {
    /// Nothing.
    Leave,
    /// Something blocks.
    Blocked(Stop),
    /// It can never work.
    Refuse(Stop),
    /// The wire label comes before anything else.
    Mark,
    /// It only describes volumes for others.
    AsDataSource,
    /// Ask the controller of the repository of that name to prepare it here.
    AskForRepo(String, Stop),
    /// Create the claims of these indices.
    CreateClaims(Vec<usize>),
    /// Create the Job at this place, held back.
    CreateJob(usize),
    /// Store phase Running with the expected Jobs, and the UIDs of those that are there.
    Record,
    /// Let the recorded Job at this place run, or stop it because its only pod succeeded.
    TurnJob(usize, Turn),
    /// Store what the Jobs came to.
    Store,
    /// It runs, and something blocks its next Job.
    Held(Stop),
    /// It runs, and its next Job can never be made.
    GiveUp(Stop),
    /// The result is stored: its Jobs may go.
    CleanUp,
}

/// What the restore needs next.
pub fn plan(seen: &Observed) -> Plan {
    let restore = &seen.restore;
    if restore.metadata.deletion_timestamp.is_some() {
        return Plan::Leave;
    }
    let phase = restore.status.as_ref().and_then(|s| s.phase.clone());
    let decided = match phase {
        None => begin(seen),
        Some(RestorePhase::Other(text)) if text.is_empty() => begin(seen),
        Some(RestorePhase::Running) => return running(seen),
        Some(RestorePhase::Completed) if seen.jobs.iter().any(|j| j.uid.is_some()) => Ok(Plan::CleanUp),
        Some(_) => Ok(Plan::Leave),
    };
    match decided {
        Ok(plan) => plan,
        Err(stop) if stop.class == Class::Terminal => Plan::Refuse(stop),
        Err(stop) => Plan::Blocked(stop),
    }
}

/// The steps that fill volumes, in order.
pub fn steps(seen: &Observed) -> Vec<&Step> {
    match &seen.chain {
        Some(Ok(chain)) => chain.filling().collect(),
        _ => vec![],
    }
}

/// The pod whose data is read, where one was chosen.
pub fn source_pod(restore: &Restore) -> Option<&str> {
    let policy = restore.spec.prepare_data_config.as_ref()?.required_policy_for_all_pod_selection.as_ref()?;
    policy.source_of_one_to_many.as_ref().map(|s| s.target_pod_name.as_str())
}

fn begin(seen: &Observed) -> Result<Plan, Stop> {
    let restore = &seen.restore;
    if !restore.labels().contains_key(labels::MANAGED_BY) {
        return Ok(Plan::Mark);
    }
    let config = restore.spec.prepare_data_config.as_ref();
    if config.is_some_and(|c| c.data_source_ref.is_some()) {
        return Ok(Plan::AsDataSource);
    }
    for (there, field) in [
        (config.is_some_and(|c| c.volume_claims_template.is_some()), "spec.prepareDataConfig.volumeClaimsTemplate"),
        (restore.spec.ready_config.is_some(), "spec.readyConfig"),
        (restore.spec.resources.is_some(), "spec.resources"),
    ] {
        if there {
            return Err(Stop::terminal(reasons::NOT_SERVED_YET, format!("{field} is not served yet")));
        }
    }
    let account = restore.spec.service_account_name.as_deref().unwrap_or_default();
    if !account.is_empty() && !seen.allowed_accounts.iter().any(|a| a == account) {
        return Err(Stop::terminal(
            reasons::SERVICE_ACCOUNT_NOT_ALLOWED,
            format!(
                "spec.serviceAccountName: {account} is not among the accounts the operator allows (allowedServiceAccounts)"
            ),
        ));
    }
    check_backup(seen)?;
    let claims = config.map(|c| c.volume_claims.as_slice()).unwrap_or_default();
    let chain = match &seen.chain {
        Some(Ok(chain)) => chain,
        Some(Err(stop)) => return Err(stop.clone()),
        None => return Ok(Plan::Leave), // asked for whenever the Backup is there
    };
    let steps = steps(seen);
    if steps.is_empty() {
        let name = chain.named.action_set.name_any();
        return Err(Stop::terminal(reasons::NO_RESTORE_ACTION, format!("ActionSet {name} has no restore.prepareData")));
    }
    if claims.is_empty() {
        return Err(Stop::terminal(
            reasons::NO_RESTORE_ACTION,
            "spec.prepareDataConfig.volumeClaims is empty: there is nothing to restore into",
        ));
    }
    for (claim, step) in claims.iter().flat_map(|c| steps.iter().map(move |s| (c, s))) {
        build::mount_path(claim, &step.backup, step.base.as_deref())?;
    }
    check_parameters(restore, &chain.named.action_set)?;
    if chain.before.is_some() {
        steps.iter().try_for_each(|step| check_source(restore, &step.backup))?;
    }
    if let Some(next) = check_repos(seen, &steps)? {
        return Ok(next);
    }
    if let Some(next) = check_claims(seen)? {
        return Ok(next);
    }
    if let Some(stop) =
        seen.jobs.iter().zip(&steps).find_map(|(job, step)| taken(restore, job, &step.backup.name_any()))
    {
        return Err(stop);
    }
    // What is chosen among several is stored first; one step alone can only be this one, and its Job tells of it.
    let begun = seen.jobs.first().is_some_and(|j| j.uid.is_some());
    Ok(if begun || chain.before.is_some() { Plan::Record } else { Plan::CreateJob(0) })
}

fn taken(restore: &Restore, job: &JobSeen, backup: &str) -> Option<Stop> {
    let text = || format!("Job {} belongs to somebody else", build::job_name(restore, backup, 0));
    job.taken.then(|| Stop::terminal(reasons::JOB_NAME_COLLISION, text()))
}

fn check_backup(seen: &Observed) -> Result<(), Stop> {
    let wanted = &seen.restore.spec.backup;
    let (name, namespace) = (&wanted.name, &wanted.namespace);
    if seen.restore.namespace().as_deref() != Some(namespace) {
        return Err(Stop::wait(
            reasons::GRANT_MISSING,
            format!(
                "spec.backup.namespace: reading Backup {namespace}/{name} from another namespace needs a ReferenceGrant"
            ),
        ));
    }
    if seen.backup.is_none() {
        let text = format!("spec.backup: there is no Backup {namespace}/{name}");
        return Err(Stop::wait(reasons::BACKUP_NOT_FOUND, text));
    }
    Ok(())
}

fn check_parameters(restore: &Restore, actions: &ActionSet) -> Result<(), Stop> {
    let allowed = actions.spec.restore.as_ref().map(|r| r.with_parameters.as_slice()).unwrap_or_default();
    parameters::check(&restore.spec.parameters, allowed, actions).map_err(|why| {
        let name = actions.name_any();
        Stop::terminal(reasons::INVALID_PARAMETERS, format!("spec.parameters: restore with ActionSet {name}: {why}"))
    })
}

/// A chain is of one database, but its backups may have been taken of different pods.
fn check_source(restore: &Restore, backup: &Backup) -> Result<(), Stop> {
    let name = backup.name_any();
    let asked = restore.spec.backup.source_target_name.as_deref().unwrap_or_default();
    let Some(target) = env::target(backup, asked) else {
        let text = format!("spec.backup.sourceTargetName: Backup {name} has no target {asked:?}");
        return Err(Stop::terminal(reasons::TARGET_NOT_FOUND, text));
    };
    let pods = &target.selected_target_pods;
    let chosen = source_pod(restore).is_some_and(|pod| pods.iter().any(|p| p == pod));
    if target.strategy() != PodSelectionStrategy::All || chosen {
        return Ok(());
    }
    Err(Stop::terminal(
        reasons::SOURCE_POD_NOT_FOUND,
        format!(
            "spec.prepareDataConfig.requiredPolicyForAllPodSelection: Backup {name} holds pods {}; choose one that every \
             Backup of the chain holds",
            pods.join(", ")
        ),
    ))
}

/// Every step's repository must be there and prepared before the first Job is made: no Job of a chain is to wait for what
/// nobody prepares.
fn check_repos(seen: &Observed, steps: &[&Step]) -> Result<Option<Plan>, Stop> {
    for (found, step) in seen.repos.iter().zip(steps) {
        check_repo(seen, found, &step.backup)?;
    }
    let away = seen.repos.iter().find(|r| !r.here);
    Ok(away.map(|found| {
        let name = &found.name;
        let text = format!("BackupRepo {name} is being prepared in this namespace");
        Plan::AskForRepo(name.clone(), Stop::wait(reasons::WAIT_FOR_BACKUP_REPO, text))
    }))
}

fn check_repo(seen: &Observed, found: &RepoSeen, backup: &Backup) -> Result<(), Stop> {
    let repo = found.repo.as_ref().ok_or_else(|| {
        let text = format!("there is no BackupRepo {}, where Backup {} lies", found.name, backup.name_any());
        Stop::wait(reasons::BACKUP_REPO_NOT_FOUND, text)
    })?;
    select::check_repo(repo, &seen.restore.namespace().unwrap_or_default())
}

/// The claims must be there; an execution's must be the very one it was made for.
fn check_claims(seen: &Observed) -> Result<Option<Plan>, Stop> {
    if let Some(prime) = seen.restore.annotations().get(annotations::PRIME_UID) {
        let same = seen.claims.iter().all(|c| c.uid.as_ref() == Some(prime));
        return if same {
            Ok(None)
        } else {
            Err(Stop::wait(
                reasons::WAIT_FOR_CLEANUP,
                "the claim this execution was made for is gone; the attempt starts over",
            ))
        };
    }
    let missing: Vec<usize> =
        seen.claims.iter().enumerate().filter_map(|(i, c)| c.uid.is_none().then_some(i)).collect();
    Ok((!missing.is_empty()).then_some(Plan::CreateClaims(missing)))
}

/// What the recorded Jobs need. The first that has not worked decides: the next begins when the one before is done, and
/// that is stored.
fn running(seen: &Observed) -> Plan {
    let recorded = recorded(&seen.restore);
    let Some((place, action)) = recorded.iter().enumerate().find(|(_, a)| a.status != RestoreActionPhase::Completed)
    else {
        return Plan::Store;
    };
    let (RestoreActionPhase::Processing, Some(job)) = (&action.status, seen.jobs.get(place)) else {
        return Plan::Store;
    };
    if action.job_uid.is_none() {
        return match next_job(seen, place, action, job) {
            Ok(()) => Plan::CreateJob(place),
            Err(stop) if stop.class == Class::Terminal => Plan::GiveUp(stop),
            Err(stop) => Plan::Held(stop),
        };
    }
    if action.job_uid != job.uid {
        return Plan::Store;
    }
    match &job.turn {
        Some(turn) => Plan::TurnJob(place, turn.clone()),
        None if job.held => Plan::TurnJob(place, Turn::Resume),
        None => Plan::Store,
    }
}

/// Whether the recorded Job at `place` can be made: its Backup and repository are still what they were.
fn next_job(seen: &Observed, place: usize, action: &RestoreStatusAction, job: &JobSeen) -> Result<(), Stop> {
    check_backup(seen)?;
    if let Some(Err(stop)) = &seen.chain {
        return Err(stop.clone());
    }
    let steps = steps(seen);
    let (Some(step), Some(repo)) = (steps.get(place), seen.repos.get(place)) else {
        let text = format!("Backup {} is no step of this restore any more", action.backup_name);
        return Err(Stop::terminal(reasons::BACKUP_CHAIN_BROKEN, text));
    };
    if step.backup.name_any() != action.backup_name {
        let text = format!("Backup {} has taken the place of {}", step.backup.name_any(), action.backup_name);
        return Err(Stop::terminal(reasons::BACKUP_CHAIN_BROKEN, text));
    }
    check_repo(seen, repo, &step.backup)?;
    taken(&seen.restore, job, &action.backup_name).map_or(Ok(()), Err)
}

/// The Jobs that a restore expects, as its status records them.
pub fn recorded(restore: &Restore) -> &[RestoreStatusAction] {
    let actions = restore.status.as_ref().and_then(|s| s.actions.as_ref());
    actions.map(|a| a.prepare_data.as_slice()).unwrap_or_default()
}

/// Whether a Job of the restore is still to be made.
pub fn is_to_begin(restore: &Restore) -> bool {
    match restore.status.as_ref().and_then(|s| s.phase.as_ref()) {
        None => true,
        Some(RestorePhase::Running) => {
            let open = |a: &RestoreStatusAction| a.status == RestoreActionPhase::Processing && a.job_uid.is_none();
            recorded(restore).iter().any(open)
        }
        Some(phase) => phase.as_str().is_empty(),
    }
}
