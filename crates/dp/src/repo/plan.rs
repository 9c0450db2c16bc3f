//! Decides what a BackupRepo needs next, and what its status says. Pure.

use super::rendered::{Fault, Rendered, Secrets, Source};
use super::secret::Wanted;
use super::{check, names, removal, serve};
use crate::repo::claim::ClaimTemplate;
use api_types::contract::reasons::{provider as provider_reasons, repo as reasons};
use api_types::contract::{FINALIZER, annotations, conditions as all_conditions, conditions::repo as conditions};
use api_types::dp::{AccessMethod, BackupRepo, BackupRepoPhase, BackupRepoStatus, StorageProvider};
use controller_kit::conditions::{self as kit, Status};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::storage::v1::StorageClass;
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

/// One look at the caches, and at the Secrets that are named.
pub struct Observed {
    /// The repository.
    pub repo: Arc<BackupRepo>,
    /// Its provider.
    pub provider: Option<Arc<StorageProvider>>,
    /// The Secrets it names.
    pub secrets: Secrets,
    /// The generated class, where it is there.
    pub class: Option<Arc<StorageClass>>,
    /// The pre-check that was made.
    pub check: Option<check::Seen>,
    /// The pre-check's claim is there.
    pub check_claim: bool,
    /// Who waits for it.
    pub waiting: Vec<Waiting>,
    /// Backups that lie in it.
    pub backups: Vec<String>,
    /// Claims of it that are there.
    pub claims: Vec<Arc<PersistentVolumeClaim>>,
    /// Classes of it that are there.
    pub classes: Vec<Arc<StorageClass>>,
    /// Pause after the first pre-check that failed (behaviour-backup D14: there was no second).
    pub retry: SignedDuration,
    /// The operator's own namespace.
    pub own_namespace: String,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Put the finalizer on.
    Mark,
    /// Apply a Secret; one that has its content already is left alone.
    ApplySecret(Wanted),
    /// Create the generated class.
    CreateClass(Box<StorageClass>),
    /// Create claim or Secret, and Job, of the pre-check.
    StartCheck(check::Subject),
    /// Delete what the pre-check was made of.
    EndCheck,
    /// Store the digest that was checked; configurations made from another one are stale.
    StoreDigest {
        /// The digest.
        digest: String,
        /// Configurations of it are in namespaces.
        stale: bool,
    },
    /// Configurations are no longer stale.
    Refreshed,
    /// Create the repository's claim in a namespace.
    CreateClaim {
        /// Where.
        namespace: String,
        /// What.
        template: Box<ClaimTemplate>,
    },
    /// Take the waiting label off.
    Wake(Waiting),
    /// Delete all claims of it.
    DeleteClaims,
    /// Delete the generated classes, and all Secrets of it.
    DeleteRest,
    /// Take the finalizer off.
    Release,
}

impl Step {
    /// The namespace that is served by it; other steps are about the repository itself.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::CreateClaim { namespace, .. } => Some(namespace),
            Self::ApplySecret(wanted) if wanted.is_configuration => Some(&wanted.namespace),
            Self::Wake(waiting) => Some(&waiting.namespace),
            _ => None,
        }
    }

    /// The condition that says that it failed.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ApplySecret(wanted) if !wanted.is_configuration => {
                Some((conditions::STORAGE_CLASS_CREATED, reasons::PREPARE_CSI_SECRET_FAILED))
            }
            Self::CreateClass(_) => Some((conditions::STORAGE_CLASS_CREATED, reasons::PREPARE_STORAGE_CLASS_FAILED)),
            Self::StartCheck(_) => Some((conditions::PRE_CHECK_PASSED, reasons::PRE_CHECK_FAILED)),
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

/// Sets conditions of one status.
pub struct Conditions<'a> {
    /// The status.
    pub status: &'a mut BackupRepoStatus,
    /// Generation of the repository.
    pub generation: Option<i64>,
    /// Now.
    pub now: Timestamp,
}

impl Conditions<'_> {
    /// Sets one.
    pub fn set(&mut self, type_: &str, status: Status, reason: &str, message: &str) {
        kit::set(&mut self.status.conditions, type_, status, reason, message, self.generation, self.now);
    }

    /// Takes one away.
    pub fn clear(&mut self, type_: &str) {
        self.status.conditions.retain(|c| c.type_ != type_);
    }

    /// One that holds, with the wire's reason: its own name.
    pub fn holds(&mut self, type_: &str) {
        self.set(type_, Status::True, type_, "");
    }
}

/// What the repository needs next.
pub fn plan(seen: &Observed, now: Timestamp) -> Plan {
    let repo = &seen.repo;
    let mut plan =
        Plan { steps: vec![], status: repo.status.clone().unwrap_or_default(), digest: String::new(), again: None };
    if repo.metadata.deletion_timestamp.is_some() {
        removal::plan(seen, &mut plan, now);
        return plan;
    }
    if !repo.finalizers().iter().any(|f| f == FINALIZER) {
        plan.steps.push(Step::Mark);
        return plan;
    }
    plan.status.observed_generation = repo.metadata.generation;
    plan.status.is_default =
        Some(repo.annotations().get(annotations::IS_DEFAULT_REPO).map(String::as_str) == Some("true"));
    if let Some(provider) = &seen.provider {
        let before = plan.status.clone();
        names::record(&mut plan.status, repo, provider, &seen.own_namespace);
        if plan.status != before && repo.status.as_ref().is_none_or(|s| !same_names(s, &plan.status)) {
            return plan; // recorded before anything of it is made (design D8); the write wakes it
        }
    }
    let mut write = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    match checks(seen, &mut write) {
        Err(fault) => {
            write.set(fault.condition, Status::False, fault.reason, &fault.message);
            plan.status.phase = Some(BackupRepoPhase::Failed);
        }
        Ok(rendered) => {
            plan.digest.clone_from(&rendered.digest);
            make_driver_objects(seen, &mut plan, &rendered, now);
            check::plan(seen, &mut plan, &rendered, now);
            if plan.status.phase == Some(BackupRepoPhase::Ready) {
                serve::plan(seen, &mut plan, &rendered, now);
            }
        }
    }
    plan
}

fn same_names(a: &BackupRepoStatus, b: &BackupRepoStatus) -> bool {
    a.backup_pvc_name == b.backup_pvc_name
        && a.tool_config_secret_name == b.tool_config_secret_name
        && a.generated_storage_class_name == b.generated_storage_class_name
        && a.generated_csi_driver_secret == b.generated_csi_driver_secret
}

/// Everything before the pre-check, each with its condition.
fn checks(seen: &Observed, write: &mut Conditions<'_>) -> Result<Rendered, Fault> {
    let repo = &seen.repo;
    let provider = usable_provider(repo, seen.provider.as_deref())?;
    write.holds(conditions::STORAGE_PROVIDER_READY);
    let source = Source { repo, provider, secrets: &seen.secrets, own_namespace: &seen.own_namespace };
    let parameters = source.own_parameters()?;
    write.holds(conditions::PARAMETERS_CHECKED);
    let rendered = source.render(&parameters)?;
    write.holds(conditions::STORAGE_CLASS_CREATED);
    if rendered.claim.is_some() {
        write.holds(conditions::PVC_TEMPLATE_CHECKED);
    } else {
        write.set(conditions::PVC_TEMPLATE_CHECKED, Status::True, reasons::SKIPPED, "");
    }
    Ok(rendered)
}

fn usable_provider<'a>(repo: &BackupRepo, provider: Option<&'a StorageProvider>) -> Result<&'a StorageProvider, Fault> {
    let name = &repo.spec.storage_provider_ref;
    let fault = |reason, message: String| Fault::new(conditions::STORAGE_PROVIDER_READY, reason, message);
    let provider = provider.ok_or_else(|| {
        fault(
            reasons::STORAGE_PROVIDER_NOT_FOUND,
            format!("spec.storageProviderRef: there is no StorageProvider {name}"),
        )
    })?;
    let has = |template: &Option<String>| template.as_deref().is_some_and(|t| !t.trim().is_empty());
    let spec = &provider.spec;
    let lacks = |what: &str, other: &str| {
        fault(
            reasons::INVALID_STORAGE_PROVIDER,
            format!(
                "spec.accessMethod: StorageProvider {name} has no {what}; use accessMethod {other} or another provider"
            ),
        )
    };
    if repo.spec.access_method() == AccessMethod::Tool {
        // The driver is not needed then, and its absence no obstacle.
        return if has(&spec.datasafed_config_template) {
            Ok(provider)
        } else {
            Err(lacks("datasafedConfigTemplate", "Mount"))
        };
    }
    if !has(&spec.persistent_volume_claim_template) && !has(&spec.storage_class_template) {
        return Err(lacks("storageClassTemplate and no persistentVolumeClaimTemplate", "Tool"));
    }
    let status = provider.status.as_ref();
    let installed = status.and_then(|s| kit::get(&s.conditions, all_conditions::provider::CSI_DRIVER_INSTALLED));
    if installed.is_none_or(|c| c.status != "True" || c.reason != provider_reasons::CSI_DRIVER_OBJECT_FOUND) {
        let why = installed.map(|c| format!(": {}", c.message)).unwrap_or_default();
        return Err(fault(reasons::STORAGE_PROVIDER_NOT_READY, format!("StorageProvider {name} is not Ready{why}")));
    }
    Ok(provider)
}

/// The CSI driver's Secret and the class: what the claim of the pre-check needs first.
fn make_driver_objects(seen: &Observed, plan: &mut Plan, rendered: &Rendered, now: Timestamp) {
    let status = seen.repo.status.as_ref();
    let reference = status.and_then(|s| s.generated_csi_driver_secret.clone());
    if let (Some(data), Some(reference)) = (&rendered.driver_secret, reference) {
        plan.steps.push(Step::ApplySecret(Wanted {
            namespace: reference.namespace.unwrap_or_default(),
            name: reference.name.unwrap_or_default(),
            data: data.clone(),
            is_configuration: false,
        }));
    }
    let mut write = Conditions { status: &mut plan.status, generation: seen.repo.metadata.generation, now };
    match (&rendered.class, &seen.class) {
        (Some(class), None) => plan.steps.push(Step::CreateClass(Box::new(class.clone()))),
        (Some(class), Some(there)) if !super::reach::is_ours(there.as_ref(), &seen.repo) => {
            let text = format!("StorageClass {} belongs to somebody else; delete it", class.name_any());
            write.set(conditions::STORAGE_CLASS_CREATED, Status::False, reasons::PREPARE_STORAGE_CLASS_FAILED, &text);
        }
        _ => {}
    }
}
