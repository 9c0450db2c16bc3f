//! Decides what a BackupRepo needs next, and what its status says. Pure.

use super::claim;
use crate::error::Stop;
use api_types::contract::reasons::repo as reasons;
use api_types::contract::{FINALIZER, annotations, conditions::repo as conditions};
use api_types::dp::{
    AccessMethod, BackupRepo, BackupRepoPhase, BackupRepoStatus, StorageProvider, StorageProviderPhase,
};
use controller_kit::conditions::{self as kit, Status};
use jiff::{SignedDuration, Timestamp};
use job_runtime::observe::JobState;
use k8s_openapi::api::core::v1::PersistentVolumeClaimSpec;
use kube::ResourceExt;
use std::sync::Arc;
use std::time::Duration;

/// A Backup or Restore that waits until the repository is prepared in its namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// It is a Backup; else a Restore.
    pub is_backup: bool,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The repository's claim is there.
    pub claim_here: bool,
}

/// One look at the caches.
pub struct Observed {
    /// The repository.
    pub repo: Arc<BackupRepo>,
    /// Its provider.
    pub provider: Option<Arc<StorageProvider>>,
    /// The pre-check Job and the digest it was made for.
    pub check: Option<(JobState, String)>,
    /// The pre-check's claim is there.
    pub check_claim: bool,
    /// Who waits for it.
    pub waiting: Vec<Waiting>,
    /// Backups that lie in it.
    pub backups: Vec<String>,
    /// Claims of it that are still there.
    pub claims_left: usize,
    /// How long after a failed pre-check the next is made (behaviour-backup D14: it was never).
    pub retry: SignedDuration,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Put the finalizer on.
    Mark,
    /// Create claim and Job of the pre-check.
    StartCheck(Box<PersistentVolumeClaimSpec>),
    /// Delete claim and Job of the pre-check.
    EndCheck,
    /// Store the digest that was checked.
    StoreDigest(String),
    /// Create the repository's claim in a namespace.
    CreateClaim {
        /// Where.
        namespace: String,
        /// What.
        spec: Box<PersistentVolumeClaimSpec>,
    },
    /// Take the waiting label off.
    Wake(Waiting),
    /// Delete all claims of it.
    DeleteClaims,
    /// Take the finalizer off.
    Release,
}

impl Step {
    /// The namespace that is served by it; other steps are about the repository itself.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::CreateClaim { namespace, .. } => Some(namespace),
            Self::Wake(waiting) => Some(&waiting.namespace),
            _ => None,
        }
    }
}

/// What to do, what the status says, and when to look again without being woken.
pub struct Plan {
    /// In this order; the status is stored after them.
    pub steps: Vec<Step>,
    /// The status after this look.
    pub status: BackupRepoStatus,
    /// The digest of what is rendered now.
    pub digest: String,
    /// When to look again.
    pub again: Option<Duration>,
}

/// What the repository needs next.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    let repo = &seen.repo;
    let mut plan =
        Plan { steps: vec![], status: repo.status.clone().unwrap_or_default(), digest: String::new(), again: None };
    if repo.metadata.deletion_timestamp.is_some() {
        deletion(seen, &mut plan, now);
        return plan;
    }
    if !repo.finalizers().iter().any(|f| f == FINALIZER) {
        plan.steps.push(Step::Mark);
        return plan;
    }
    plan.status.observed_generation = repo.metadata.generation;
    plan.status.is_default =
        Some(repo.annotations().get(annotations::IS_DEFAULT_REPO).map(String::as_str) == Some("true"));
    plan.status.backup_pvc_name.get_or_insert_with(|| claim::name(repo));
    let mut writer = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    match checks(seen, &mut writer) {
        Err(stop) => {
            writer.set(condition_of(stop.reason), Status::False, stop.reason, &stop.message);
            plan.status.phase = Some(BackupRepoPhase::Failed);
        }
        Ok((spec, digest)) => {
            plan.digest = digest;
            pre_check(seen, &mut plan, &spec, now);
            if plan.status.phase == Some(BackupRepoPhase::Ready) {
                serve(seen, &mut plan, &spec);
            }
        }
    }
    plan
}

struct Conditions<'a> {
    status: &'a mut BackupRepoStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    fn set(&mut self, type_: &str, status: Status, reason: &str, message: &str) {
        kit::set(&mut self.status.conditions, type_, status, reason, message, self.generation, self.now);
    }
}

fn condition_of(reason: &str) -> &'static str {
    match reason {
        reasons::CREDENTIAL_SECRET_NOT_FOUND | super::INVALID_PARAMETERS => conditions::PARAMETERS_CHECKED,
        reasons::BAD_PVC_TEMPLATE => conditions::PVC_TEMPLATE_CHECKED,
        _ => conditions::STORAGE_PROVIDER_READY,
    }
}

/// Everything before the pre-check, each with its condition.
fn checks(seen: &Observed, write: &mut Conditions<'_>) -> Result<(PersistentVolumeClaimSpec, String), Stop> {
    let repo = &seen.repo;
    let provider = usable_provider(repo, seen.provider.as_deref())?;
    write.set(conditions::STORAGE_PROVIDER_READY, Status::True, reasons::STORAGE_PROVIDER_READY, "");
    let parameters = claim::parameters(repo, provider);
    if let Some(missing) = claim::missing_parameter(provider, &parameters) {
        return Err(Stop::terminal(
            super::INVALID_PARAMETERS,
            format!("spec.config: StorageProvider {} requires {missing}", provider.name_any()),
        ));
    }
    write.set(conditions::PARAMETERS_CHECKED, Status::True, reasons::PARAMETERS_CHECKED, "");
    write.set(conditions::STORAGE_CLASS_CREATED, Status::True, reasons::STORAGE_CLASS_CREATED, "");
    let spec = claim::spec(repo, provider, &parameters)?;
    write.set(conditions::PVC_TEMPLATE_CHECKED, Status::True, reasons::PVC_TEMPLATE_CHECKED, "");
    Ok((spec, claim::digest(provider, &parameters)))
}

fn usable_provider<'a>(repo: &BackupRepo, provider: Option<&'a StorageProvider>) -> Result<&'a StorageProvider, Stop> {
    let name = &repo.spec.storage_provider_ref;
    let invalid =
        |why: &str| Stop::terminal(reasons::INVALID_STORAGE_PROVIDER, format!("StorageProvider {name}: {why}"));
    let provider = provider.ok_or_else(|| {
        Stop::wait(
            reasons::STORAGE_PROVIDER_NOT_FOUND,
            format!("spec.storageProviderRef: there is no StorageProvider {name}"),
        )
    })?;
    if repo.spec.access_method() == AccessMethod::Tool {
        return Err(invalid("spec.accessMethod Tool is not served yet; use Mount"));
    }
    if repo.spec.credential.is_some() {
        return Err(invalid("spec.credential is not served yet for accessMethod Mount"));
    }
    if provider.spec.persistent_volume_claim_template.as_deref().unwrap_or_default().is_empty() {
        return Err(invalid(
            "has no persistentVolumeClaimTemplate; repositories from a storageClassTemplate are not served yet",
        ));
    }
    if provider.status.as_ref().and_then(|s| s.phase.as_ref()) != Some(&StorageProviderPhase::Ready) {
        return Err(Stop::wait(reasons::STORAGE_PROVIDER_NOT_READY, format!("StorageProvider {name} is not Ready")));
    }
    Ok(provider)
}

fn pre_check(seen: &Observed, plan: &mut Plan, spec: &PersistentVolumeClaimSpec, now: Timestamp) {
    let repo = &seen.repo;
    let stored = repo.annotations().get(annotations::BACKUP_REPO_DIGEST);
    let generation = repo.metadata.generation;
    let passed = kit::is_true(&plan.status.conditions, conditions::PRE_CHECK_PASSED);
    if passed && stored == Some(&plan.digest) {
        plan.status.phase = Some(BackupRepoPhase::Ready);
        if seen.check.is_some() || seen.check_claim {
            plan.steps.push(Step::EndCheck);
        }
        return;
    }
    let mut write = Conditions { status: &mut plan.status, generation, now };
    match &seen.check {
        Some((_, digest)) if *digest != plan.digest => {
            write.set(
                conditions::PRE_CHECK_PASSED,
                Status::Unknown,
                reasons::DIGEST_CHANGED,
                "parameters changed; checking again",
            );
            plan.status.phase = Some(BackupRepoPhase::PreChecking);
            plan.steps.push(Step::EndCheck);
        }
        Some((JobState::Succeeded { .. }, _)) => {
            write.set(conditions::PRE_CHECK_PASSED, Status::True, reasons::PRE_CHECK_PASSED, "");
            plan.status.phase = Some(BackupRepoPhase::Ready);
            plan.steps.push(Step::StoreDigest(plan.digest.clone()));
        }
        Some((JobState::Failed { why, message, .. }, _)) => {
            let told = message.as_deref().and_then(mover_protocol::RunResult::parse).map(|r| r.message);
            let text = told.filter(|t| !t.is_empty()).unwrap_or_else(|| why.clone());
            write.set(conditions::PRE_CHECK_PASSED, Status::False, reasons::PRE_CHECK_FAILED, &text);
            plan.status.phase = Some(BackupRepoPhase::Failed);
            plan.steps.push(Step::EndCheck);
            plan.again = Duration::try_from(seen.retry).ok();
        }
        Some((JobState::Running { blocked }, _)) => {
            let text = blocked.as_ref().map_or("the pre-check Job is running", |d| d.message.as_str());
            write.set(conditions::PRE_CHECK_PASSED, Status::Unknown, super::PRE_CHECK_RUNNING, text);
            plan.status.phase = Some(BackupRepoPhase::PreChecking);
        }
        None => start_check(seen, plan, spec, now),
    }
}

fn start_check(seen: &Observed, plan: &mut Plan, spec: &PersistentVolumeClaimSpec, now: Timestamp) {
    let failed = kit::get(&plan.status.conditions, conditions::PRE_CHECK_PASSED).filter(|c| c.status == "False");
    if let Some(condition) = failed {
        let rest = seen.retry - now.duration_since(condition.last_transition_time.0);
        if rest > SignedDuration::ZERO {
            plan.status.phase = Some(BackupRepoPhase::Failed);
            plan.again = Duration::try_from(rest).ok();
            return;
        }
    }
    let generation = seen.repo.metadata.generation;
    let mut write = Conditions { status: &mut plan.status, generation, now };
    write.set(conditions::PRE_CHECK_PASSED, Status::Unknown, super::PRE_CHECK_RUNNING, "the pre-check Job is running");
    plan.status.phase = Some(BackupRepoPhase::PreChecking);
    plan.steps.push(Step::StartCheck(Box::new(spec.clone())));
}

fn serve(seen: &Observed, plan: &mut Plan, spec: &PersistentVolumeClaimSpec) {
    for waiting in &seen.waiting {
        if !waiting.claim_here {
            plan.steps.push(Step::CreateClaim { namespace: waiting.namespace.clone(), spec: Box::new(spec.clone()) });
        }
        plan.steps.push(Step::Wake(waiting.clone()));
    }
}

fn deletion(seen: &Observed, plan: &mut Plan, now: Timestamp) {
    let repo = &seen.repo;
    if !repo.finalizers().iter().any(|f| f == FINALIZER) {
        return;
    }
    plan.status.phase = Some(BackupRepoPhase::Deleting);
    let mut write = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    if !seen.backups.is_empty() {
        let text = format!("Backups lie in it; delete them first: {}", seen.backups.join(", "));
        write.set(conditions::DERIVED_OBJECTS_DELETED, Status::False, reasons::HAVE_ASSOCIATED_BACKUPS, &text);
        return;
    }
    if seen.check.is_some() {
        plan.steps.push(Step::EndCheck);
    }
    if seen.claims_left > 0 {
        let text = format!("{} claims of it are being deleted", seen.claims_left);
        write.set(conditions::DERIVED_OBJECTS_DELETED, Status::False, reasons::HAVE_RESIDUAL_PVCS, &text);
        plan.steps.push(Step::DeleteClaims);
        return;
    }
    plan.steps.push(Step::Release);
}
