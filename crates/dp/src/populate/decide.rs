//! Decides what a claim's volume is to hold and where it comes from (behaviour-restore §2, §4;
//! design D6, D7, D11). Pure.

use super::parameters::{self, Asked};
use super::rebind::Mode;
use super::source::{self, Choice, NoData};
use crate::error::Stop;
use crate::reasons;
use crate::restore::chain::{self, Chain, Shelf, Unresolved};
use api_types::contract::annotations;
use api_types::dp::{Backup, GROUP, Restore, SchedulingSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, ResourceRequirements};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::ResourceExt;
use std::sync::Arc;

/// Where a claim's data comes from, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceRef {
    /// `Backup` or `Restore`.
    pub kind: String,
    /// Namespace of that object.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// One look at what the decision depends on.
pub struct Sources<'a> {
    /// The waiting claim.
    pub claim: &'a PersistentVolumeClaim,
    /// Its class, where it names one and it exists.
    pub class: Option<&'a StorageClass>,
    /// The source Restore, for a claim of that kind.
    pub source_restore: Option<&'a Restore>,
    /// The backup.
    pub backup: Option<&'a Arc<Backup>>,
    /// Where the other backups of its chain are, and all actions.
    pub shelf: &'a dyn Shelf,
    /// The base that a running execution has chosen.
    pub base: Option<&'a str>,
}

/// What is to be done for a claim.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// Data, or an empty volume.
    pub mode: Mode,
    /// Namespace and name of the backup.
    pub backup: (String, String),
    /// The backup that holds targets and volumes: the base, where that one is a log.
    pub holder: String,
    /// Why the volume is to stay empty, in mode `ProvisionOnly`.
    pub no_data: Option<NoData>,
    /// The same for people, as the conditions tell it.
    pub why_empty: Option<String>,
    /// Target of the backup; `None` where it has no name.
    pub target: Option<String>,
    /// Source pod, where the backup holds several.
    pub source_pod: Option<String>,
    /// Volume of the backup.
    pub volume: Option<String>,
    /// Explicit mount path.
    pub mount_path: Option<String>,
    /// What the annotations ask for.
    pub asked: Asked,
    /// The ActionSet has a postReady stage, which a claim alone does not run.
    pub post_ready_of: Option<String>,
    /// From a source Restore.
    pub resources: Option<ResourceRequirements>,
    /// From a source Restore.
    pub backoff_limit: Option<i32>,
    /// From a source Restore.
    pub service_account: Option<String>,
    /// From a source Restore.
    pub scheduling: Option<SchedulingSpec>,
}

/// The source a claim names.
///
/// # Errors
/// Terminal where namespaces contradict each other, before anything is read.
pub fn source_ref(claim: &PersistentVolumeClaim) -> Result<Option<SourceRef>, Stop> {
    let Some(source) = claim.spec.as_ref().and_then(|s| s.data_source_ref.as_ref()) else {
        return Ok(None);
    };
    if source.api_group.as_deref() != Some(GROUP) || source.name.is_empty() {
        return Ok(None);
    }
    let own = claim.namespace().unwrap_or_default();
    let explicit = source.namespace.clone().filter(|n| !n.is_empty());
    let noted = claim.annotations().get(annotations::RESTORE_SOURCE_NAMESPACE).cloned().filter(|n| !n.is_empty());
    let namespace = match (source.kind.as_str(), explicit, noted) {
        ("Restore", Some(other), _) if other != own => {
            return Err(Stop::terminal(
                reasons::FOREIGN_NAMESPACE,
                format!(
                    "spec.dataSourceRef: Restore {other}/{} is in another namespace; use one of {own}",
                    source.name
                ),
            ));
        }
        ("Restore", _, _) => own,
        ("Backup", Some(a), Some(b)) if a != b => {
            return Err(Stop::terminal(
                reasons::NAMESPACE_CONFLICT,
                format!(
                    "spec.dataSourceRef.namespace is {a}, annotation {} is {b}",
                    annotations::RESTORE_SOURCE_NAMESPACE
                ),
            ));
        }
        ("Backup", explicit, noted) => explicit.or(noted).unwrap_or(own),
        _ => return Ok(None),
    };
    Ok(Some(SourceRef { kind: source.kind.clone(), namespace, name: source.name.clone() }))
}

/// The backup that a claim reads, as far as its source is known.
pub fn backup_ref(source: &SourceRef, source_restore: Option<&Restore>) -> Option<(String, String)> {
    if source.kind == "Backup" {
        return Some((source.namespace.clone(), source.name.clone()));
    }
    source_restore.map(|r| (r.spec.backup.namespace.clone(), r.spec.backup.name.clone()))
}

/// What is to be done for this claim.
///
/// # Errors
/// One blocker: Terminal or Wait; or a backup of the chain that only the cache may lack.
pub fn decide(seen: &Sources<'_>, source: &SourceRef) -> Result<Intent, Unresolved> {
    let claim = seen.claim;
    let mut asked = parameters::read(claim)?;
    check_class(claim, seen.class)?;
    let source_restore = match source.kind.as_str() {
        "Restore" => Some(source_restore(seen, source)?),
        _ => None,
    };
    let own = claim.namespace().unwrap_or_default();
    let (namespace, name) = backup_ref(source, seen.source_restore).unwrap_or_default();
    if namespace != own {
        return Err(Stop::wait(
            reasons::GRANT_MISSING,
            format!("Backup {namespace}/{name} is in another namespace; reading it needs a ReferenceGrant there"),
        )
        .into());
    }
    let backup = seen
        .backup
        .ok_or_else(|| Stop::wait(reasons::BACKUP_NOT_FOUND, format!("there is no Backup {namespace}/{name}")))?;
    if let Some(restore) = source_restore {
        asked.restore_time.clone_from(&restore.spec.restore_time);
    }
    let chain = chain::resolve(backup, asked.restore_time.as_deref(), seen.base, seen.shelf)?;
    let backup = chain.holder();
    let (no_data, target, pod, volume) = match source_restore {
        Some(restore) => {
            let target = restore.spec.backup.source_target_name.clone();
            let config = restore.spec.prepare_data_config.as_ref().and_then(|c| c.data_source_ref.as_ref());
            (None, target, None, config.and_then(|c| c.volume_source.clone()))
        }
        None => match source::choose(claim, backup, &asked)? {
            Choice::Data { target, pod, volume } => (None, target, pod, Some(volume)),
            Choice::Empty(no_data) => (Some(no_data), None, None, None),
        },
    };
    let mode = mode(claim, &chain, no_data.is_some())?;
    let post_ready = chain.steps().find(|s| s.runs_after_start()).map(|s| s.action_set.name_any());
    if let Some(restore) = source_restore {
        asked.env.clone_from(&restore.spec.env);
        asked.parameters.clone_from(&restore.spec.parameters);
    }
    let config = source_restore.and_then(|r| r.spec.prepare_data_config.as_ref());
    Ok(Intent {
        mode,
        backup: (namespace, name),
        holder: backup.name_any(),
        why_empty: no_data.as_ref().map(|why| why.told(backup)),
        no_data,
        target: target.filter(|t| !t.is_empty()),
        source_pod: pod,
        volume,
        post_ready_of: post_ready,
        mount_path: config.and_then(|c| c.data_source_ref.as_ref()?.mount_path.clone()),
        asked,
        resources: source_restore.and_then(|r| r.spec.container_resources.clone()),
        backoff_limit: source_restore.and_then(|r| r.spec.backoff_limit),
        service_account: source_restore.and_then(|r| r.spec.service_account_name.clone()),
        scheduling: config.and_then(|c| c.scheduling_spec.clone()),
    })
}

/// Whether the steps fill the volume, or leave it empty beside others.
fn mode(claim: &PersistentVolumeClaim, chain: &Chain, empty: bool) -> Result<Mode, Stop> {
    let name = chain.named.action_set.name_any();
    let by_apps = source::asked_by_apps(claim);
    let has_prepare = chain.filling().next().is_some();
    let post_ready = chain.steps().find(|s| s.runs_after_start()).map(|s| s.action_set.name_any());
    if let Some(name) = post_ready.as_ref().filter(|_| by_apps) {
        return Err(Stop::terminal(
            reasons::NOT_SERVED_YET,
            format!(
                "ActionSet {name}: restore.postReady is not run for a Cluster yet, and without it the restore would be \
                 incomplete; nothing was made"
            ),
        ));
    }
    let rest_follows = by_apps && chain.named.runs_after_start();
    if has_prepare && !chain.named.fills() && !rest_follows {
        // The volume would hold the base alone, and be called restored to that moment.
        let (base, named) = (chain.holder().name_any(), chain.named.backup.name_any());
        return Err(Stop::terminal(
            reasons::NO_DATA_RESTORED,
            format!(
                "ActionSet {name} brings Backup {named} into no volume (restore.prepareData); a volume alone can be filled \
                 from Backup {base} itself"
            ),
        ));
    }
    let mode = match (has_prepare, post_ready) {
        (true, _) if empty => Mode::ProvisionOnly,
        (true, _) => Mode::Data,
        (false, Some(name)) => {
            return Err(Stop::terminal(
                reasons::NO_DATA_RESTORED,
                format!("ActionSet {name} restores only into a running database; a volume alone can not be filled"),
            ));
        }
        // Also for a volume that would stay empty: beside it nothing is restored either (design D7e).
        (false, None) => {
            return Err(Stop::terminal(
                reasons::NO_RESTORE_ACTION,
                format!("ActionSet {name} has neither restore.prepareData nor restore.postReady"),
            ));
        }
    };
    let block = claim.spec.as_ref().and_then(|s| s.volume_mode.as_deref()) == Some("Block");
    if mode == Mode::Data && block {
        return Err(Stop::terminal(
            reasons::BLOCK_VOLUME,
            "spec.volumeMode: Block volumes can not be filled by a Job yet",
        ));
    }
    Ok(mode)
}

fn check_class(claim: &PersistentVolumeClaim, class: Option<&StorageClass>) -> Result<(), Stop> {
    let name = claim.spec.as_ref().and_then(|s| s.storage_class_name.as_deref());
    let class = match (name, class) {
        (None, _) => return Ok(()),
        (Some(""), _) => {
            return Err(Stop::terminal(
                reasons::STATIC_CLASS,
                "spec.storageClassName is empty: statically provisioned volumes can not be populated; name a class",
            ));
        }
        (Some(name), None) => {
            return Err(Stop::wait(
                reasons::STORAGE_CLASS_NOT_FOUND,
                format!("spec.storageClassName: there is no StorageClass {name}"),
            ));
        }
        (Some(_), Some(class)) => class,
    };
    let migrated = claim.annotations().contains_key(annotations::MIGRATED_TO);
    if class.provisioner.starts_with("kubernetes.io/") && !migrated {
        return Err(Stop::terminal(
            reasons::IN_TREE_PROVISIONER,
            format!(
                "StorageClass {}: the in-tree provisioner {} takes no data source; use a CSI class",
                class.name_any(),
                class.provisioner
            ),
        ));
    }
    Ok(())
}

fn source_restore<'a>(seen: &Sources<'a>, source: &SourceRef) -> Result<&'a Restore, Stop> {
    let restore = seen.source_restore.ok_or_else(|| {
        let at = format!("{}/{}", source.namespace, source.name);
        Stop::wait(reasons::SOURCE_RESTORE_NOT_FOUND, format!("spec.dataSourceRef: there is no Restore {at}"))
    })?;
    let config = restore.spec.prepare_data_config.as_ref();
    if config.is_none_or(|c| c.data_source_ref.is_none()) {
        return Err(Stop::terminal(
            reasons::NO_RESTORE_ACTION,
            format!("Restore {} has no spec.prepareDataConfig.dataSourceRef", source.name),
        ));
    }
    Ok(restore)
}
