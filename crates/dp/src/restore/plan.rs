//! Decides what a Restore needs next. Pure.
//!
//! Order of writes of one Job: created suspended, its UID recorded in the status, then resumed. So a
//! Job without a recorded UID never ran and may be made again; a recorded one that is gone may have
//! written anything, and is [`reasons::JOB_VANISHED`] (design D8, D9).

use super::build;
use super::env::Set;
use crate::action::parameters;
use crate::backup::select;
use crate::error::Stop;
use crate::reasons;
use api_types::contract::{annotations, labels};
use api_types::dp::{
    ActionSet, Backup, BackupPhase, BackupRepo, BackupType, Restore, RestoreActionPhase, RestorePhase,
};
use job_runtime::observe::JobState;
use job_runtime::stop::Turn;
use kube::ResourceExt;
use std::sync::Arc;

/// A claim that the restore fills.
pub struct ClaimSeen {
    /// Its UID, while it exists and is not going away.
    pub uid: Option<String>,
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
    /// The backup it reads.
    pub backup: Option<Arc<Backup>>,
    /// That backup's actions.
    pub action_set: Option<Arc<ActionSet>>,
    /// The repository the backup lies in.
    pub repo: Option<Arc<BackupRepo>>,
    /// The repository's claim, or the mover's configuration for it, is in the restore's namespace.
    pub repo_here: bool,
    /// The claims to fill, in their order.
    pub claims: Vec<ClaimSeen>,
    /// The expected Job.
    pub job: JobSeen,
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
    /// Ask the repository's controller to prepare it here.
    AskForRepo(Stop),
    /// Create the claims of these indices.
    CreateClaims(Vec<usize>),
    /// Create the Job, held back.
    CreateJob,
    /// Store phase Running with the expected Job and its UID.
    Record,
    /// Let the recorded Job run, or stop it because its only pod succeeded.
    TurnJob(Turn),
    /// Store what the Job came to.
    Store,
    /// The result is stored: its Job may go.
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
        Some(RestorePhase::Running) => Ok(running(seen)),
        Some(RestorePhase::Completed) if seen.job.uid.is_some() => Ok(Plan::CleanUp),
        Some(_) => Ok(Plan::Leave),
    };
    match decided {
        Ok(plan) => plan,
        Err(stop) if stop.class == controller_kit::error::Class::Terminal => Plan::Refuse(stop),
        Err(stop) => Plan::Blocked(stop),
    }
}

/// The set of a restore that is served: one backup, whole.
pub fn set(seen: &Observed) -> Option<Set<'_>> {
    Some(Set {
        backup: seen.backup.as_deref()?,
        action_set: seen.action_set.as_deref()?,
        base: None,
        ancestors: vec![],
        source_pod: source_pod(&seen.restore),
    })
}

fn source_pod(restore: &Restore) -> Option<&str> {
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
    let backup = check_backup(seen)?;
    let claims = config.map(|c| c.volume_claims.as_slice()).unwrap_or_default();
    let actions = check_actions(seen, backup)?;
    if claims.is_empty() {
        return Err(Stop::terminal(
            reasons::NO_RESTORE_ACTION,
            "spec.prepareDataConfig.volumeClaims is empty: there is nothing to restore into",
        ));
    }
    for claim in claims {
        build::mount_path(claim, backup)?;
    }
    check_parameters(restore, actions)?;
    if let Some(next) = check_repo(seen, backup)? {
        return Ok(next);
    }
    if let Some(next) = check_claims(seen)? {
        return Ok(next);
    }
    if seen.job.taken {
        return Err(Stop::terminal(
            reasons::JOB_NAME_COLLISION,
            format!("Job {} belongs to somebody else", build::job_name(restore, &backup.name_any(), 0)),
        ));
    }
    Ok(if seen.job.uid.is_some() { Plan::Record } else { Plan::CreateJob })
}

fn check_backup(seen: &Observed) -> Result<&Backup, Stop> {
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
    let backup = seen.backup.as_deref().ok_or_else(|| {
        Stop::wait(reasons::BACKUP_NOT_FOUND, format!("spec.backup: there is no Backup {namespace}/{name}"))
    })?;
    usable(backup)?;
    Ok(backup)
}

/// Whether a backup can be read.
///
/// # Errors
/// Wait while it is being made; Terminal when it failed or is being deleted.
pub fn usable(backup: &Backup) -> Result<(), Stop> {
    let name = backup.name_any();
    if backup.metadata.deletion_timestamp.is_some() {
        return Err(Stop::terminal(reasons::BACKUP_DELETING, format!("Backup {name} is being deleted")));
    }
    match backup.phase() {
        BackupPhase::Completed => Ok(()),
        BackupPhase::Failed => {
            let why = backup.status.as_ref().and_then(|s| s.failure_reason.clone()).unwrap_or_default();
            Err(Stop::terminal(reasons::BACKUP_FAILED, format!("Backup {name} failed: {why}")))
        }
        BackupPhase::Deleting => {
            Err(Stop::terminal(reasons::BACKUP_DELETING, format!("Backup {name} is being deleted")))
        }
        other => Err(Stop::wait(reasons::BACKUP_NOT_COMPLETED, format!("Backup {name} is {other}, not Completed"))),
    }
}

fn check_actions<'a>(seen: &'a Observed, backup: &Backup) -> Result<&'a ActionSet, Stop> {
    let method = backup.status.as_ref().and_then(|s| s.backup_method.as_ref()).ok_or_else(|| {
        Stop::terminal(
            reasons::BACKUP_FAILED,
            format!("Backup {} recorded no method (status.backupMethod)", backup.name_any()),
        )
    })?;
    let name = method.action_set_name().unwrap_or_default();
    let actions = seen.action_set.as_deref().ok_or_else(|| {
        Stop::wait(
            reasons::ACTION_SET_NOT_FOUND,
            format!("there is no ActionSet {name}, which Backup {} was made with", backup.name_any()),
        )
    })?;
    if !matches!(actions.spec.backup_type, BackupType::Full | BackupType::Selective) {
        return Err(Stop::terminal(
            reasons::NOT_SERVED_YET,
            format!("ActionSet {name}: restoring backupType {} is not served yet", actions.spec.backup_type),
        ));
    }
    if actions.spec.restore.as_ref().and_then(|r| r.prepare_data.as_ref()).is_none() {
        return Err(Stop::terminal(reasons::NO_RESTORE_ACTION, format!("ActionSet {name} has no restore.prepareData")));
    }
    Ok(actions)
}

fn check_parameters(restore: &Restore, actions: &ActionSet) -> Result<(), Stop> {
    let allowed = actions.spec.restore.as_ref().map(|r| r.with_parameters.as_slice()).unwrap_or_default();
    parameters::check(&restore.spec.parameters, allowed, actions).map_err(|why| {
        let name = actions.name_any();
        Stop::terminal(reasons::INVALID_PARAMETERS, format!("spec.parameters: restore with ActionSet {name}: {why}"))
    })
}

fn check_repo(seen: &Observed, backup: &Backup) -> Result<Option<Plan>, Stop> {
    let name = backup.status.as_ref().and_then(|s| s.backup_repo_name.clone()).unwrap_or_default();
    let repo = seen.repo.as_ref().ok_or_else(|| {
        Stop::wait(
            reasons::BACKUP_REPO_NOT_FOUND,
            format!("there is no BackupRepo {name}, where Backup {} lies", backup.name_any()),
        )
    })?;
    select::check_repo(repo, &seen.restore.namespace().unwrap_or_default())?;
    Ok((!seen.repo_here).then(|| {
        Plan::AskForRepo(Stop::wait(
            reasons::WAIT_FOR_BACKUP_REPO,
            format!("BackupRepo {name} is being prepared in this namespace"),
        ))
    }))
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

fn running(seen: &Observed) -> Plan {
    let actions = seen.restore.status.as_ref().and_then(|s| s.actions.as_ref());
    let recorded = actions.and_then(|a| a.prepare_data.first());
    let unfinished = recorded.is_some_and(|a| a.status == RestoreActionPhase::Processing);
    if !unfinished || recorded.is_none_or(|a| a.job_uid != seen.job.uid) {
        return Plan::Store;
    }
    match &seen.job.turn {
        Some(turn) => Plan::TurnJob(turn.clone()),
        None if seen.job.held => Plan::TurnJob(Turn::Resume),
        None => Plan::Store,
    }
}
