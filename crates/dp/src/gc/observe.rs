//! What is there of one policy's Backups. Reads caches only.

use crate::context::Stores;
use crate::retention::fate::{self, Facts, Fate};
use crate::retention::restoring::{Progress, Target};
use crate::retention::rules::Rules;
use crate::{populate, restore};
use api_types::contract::{annotations, labels};
use api_types::dp::{ActionSet, Backup, BackupSchedule, BackupStatus, BackupType, Restore, RestorePhase};
use controller_kit::Key;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Every Backup's fate, by name.
pub type Fates = BTreeMap<String, Fate>;

/// Everything that decides.
pub struct Observed {
    /// All Backups of the policy in the namespace.
    pub backups: Vec<Arc<Backup>>,
    rules: Result<Rules, String>,
    action_sets: BTreeMap<String, Arc<ActionSet>>,
    schedules: Vec<Arc<BackupSchedule>>,
    restores: Vec<Arc<Restore>>,
    claims: Vec<Arc<PersistentVolumeClaim>>,
}

/// Looks at everything that concerns the Backups of the policy of that key.
pub fn observe(key: &Key, stores: &Stores) -> Observed {
    let backups = stores.backups.select_in(&key.namespace, |b| super::key_of(b) == *key);
    let policy = stores.policies.get(&key.namespace, &key.name);
    let names = backups.iter().filter_map(|b| b.status.as_ref()?.backup_method.as_ref()?.action_set_name());
    let action_sets = names.filter_map(|n| Some((n.to_owned(), stores.action_sets.get("", n)?))).collect();
    Observed {
        rules: Rules::of(policy.as_deref()),
        action_sets,
        schedules: stores.schedules.select(|s| s.namespace().as_deref() == Some(&key.namespace)),
        // Restores of other namespaces may read these Backups.
        restores: stores.restores.select(|_| true),
        claims: stores.claims.select(populate::is_unproven),
        backups,
    }
}

impl Observed {
    /// What becomes of each. A Backup that is to be left alone is, by its annotation.
    pub fn fates(&self, now: Timestamp) -> Fates {
        let all: Vec<&Backup> = self.backups.iter().map(AsRef::as_ref).collect();
        let facts = Facts {
            rules: &self.rules,
            kind: &|b| self.kind(b),
            served_by: &|b| self.served_by(b),
            read_by: &|b| self.read_by(b),
            unproven: &|b| self.unproven(b),
        };
        let mut fates = fate::fates(&all, &facts, now);
        for backup in &all {
            let skip = backup.annotations().get(annotations::SKIP_RECONCILIATION);
            if skip.is_some_and(|v| v.eq_ignore_ascii_case(labels::TRUE)) {
                fates.remove(&backup.name_any());
            }
        }
        fates
    }

    fn kind(&self, backup: &Backup) -> BackupType {
        let told = backup.labels().get(labels::BACKUP_TYPE).map(String::as_str).unwrap_or_default();
        let told = serde_json::from_value(serde_json::Value::from(told)).ok().filter(|_| !told.is_empty());
        let method = backup.status.as_ref().and_then(|s| s.backup_method.as_ref());
        let actions = method.and_then(|m| self.action_sets.get(m.action_set_name()?));
        told.or_else(|| actions.map(|a| a.spec.backup_type.clone())).unwrap_or_default()
    }

    fn served_by(&self, backup: &Backup) -> Option<String> {
        let name = backup.labels().get(labels::BACKUP_SCHEDULE)?;
        let schedule = self.schedules.iter().find(|s| s.name_any() == *name)?;
        let mut entries = schedule.spec.schedules.iter();
        let entry = entries.find(|e| e.backup_method == backup.spec.backup_method && e.enabled != Some(false))?;
        Some(format!("entry {} of BackupSchedule {name}", entry.name()))
    }

    fn read_by(&self, backup: &Backup) -> Option<String> {
        let (namespace, name) = (backup.namespace().unwrap_or_default(), backup.name_any());
        let restore = self.restores.iter().find(|r| {
            let phase = r.status.as_ref().and_then(|s| s.phase.as_ref());
            let running = matches!(phase, None | Some(RestorePhase::Running));
            running && restore::reads(r, &namespace, &name)
        });
        if let Some(restore) = restore {
            return Some(format!("Restore {}/{}", restore.namespace().unwrap_or_default(), restore.name_any()));
        }
        let claim = self.claims.iter().find(|c| {
            let source = c.spec.as_ref().and_then(|s| s.data_source_ref.as_ref());
            let from = c.annotations().get(annotations::RESTORE_SOURCE_NAMESPACE).filter(|n| !n.is_empty());
            let from = from.cloned().or_else(|| c.namespace()).unwrap_or_default();
            from == namespace
                && source.is_some_and(|s| s.kind == "Backup" && s.name == name)
                && populate::is_unsettled(c)
        });
        claim.map(|c| format!("claim {}/{}", c.namespace().unwrap_or_default(), c.name_any()))
    }

    fn unproven(&self, backup: &Backup) -> Option<String> {
        let namespace = backup.namespace().unwrap_or_default();
        let recorded = backup.status.iter().flat_map(BackupStatus::targets).filter_map(|t| t.pod_selector.as_ref());
        let mut targets: Vec<Target> = recorded.filter_map(|s| Target::new(&namespace, &s.match_labels)).collect();
        let own = [labels::INSTANCE, labels::COMPONENT_NAME, labels::SHARDING_NAME];
        if backup.labels().get(labels::INSTANCE).is_some_and(|i| !i.is_empty()) {
            let labels = own.iter().filter_map(|k| Some(((*k).to_owned(), backup.labels().get(*k)?.clone())));
            targets.extend(Target::new(&namespace, &labels.collect()));
        }
        let open = |progress: Option<Progress>| matches!(progress, Some(Progress::Running | Progress::Failed));
        let claim = self.claims.iter().find(|c| targets.iter().any(|t| open(t.claim(c))));
        let claim = claim.map(|c| format!("claim {}", c.name_any()));
        claim.or_else(|| {
            let restore = self.restores.iter().find(|r| targets.iter().any(|t| open(t.restore(r))))?;
            Some(format!("Restore {}", restore.name_any()))
        })
    }
}
