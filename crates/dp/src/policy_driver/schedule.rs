//! The BackupSchedule of one component or sharding, and what `Cluster.spec.backup` makes of it (behaviour-backup §10). Pure.

use super::build::Source;
use api_types::apps::ClusterBackup;
use api_types::contract::names;
use api_types::dp::{BackupPolicySpec, BackupSchedule, BackupScheduleSpec, BackupType, SchedulePolicy};
use api_types::retention::Retention;

/// When backups are taken that nobody gave a time.
const DEFAULT_CRON: &str = "0 18 * * *";
/// How often a continuous backup looks for new logs where nobody said it.
const CONTINUOUS_CRON: &str = "*/5 * * * *";

/// The type of a policy's method; `None` where its ActionSet is missing. A snapshot without ActionSet is Full.
pub type TypeOf<'a> = &'a dyn Fn(&str) -> Option<BackupType>;

/// The schedule as it should be, and whether it is wanted at all: an empty list can not be stored.
///
/// Entries that are there stay as they are, the template adds those whose name is new, and then comes what the Cluster
/// asks for. A Cluster that asks for backups has a schedule also where the template has none.
pub fn schedule(
    source: &Source<'_>,
    policy: (&str, &BackupPolicySpec),
    old: Option<&BackupSchedule>,
    type_of: TypeOf<'_>,
) -> Option<BackupSchedule> {
    let (policy_name, policy) = policy;
    let mut spec = old.map(|old| old.spec.clone()).unwrap_or_default();
    policy_name.clone_into(&mut spec.backup_policy_name);
    let of_template = source.template.spec.schedules.iter().filter(|s| policy.method(&s.backup_method).is_some());
    for entry in of_template {
        if !spec.schedules.iter().any(|s| s.name() == entry.name()) {
            spec.schedules.push(SchedulePolicy {
                enabled: Some(entry.enabled()),
                name: Some(entry.name().to_owned()),
                retention_period: Some(entry.retention_period().to_owned()),
                ..entry.clone()
            });
        }
    }
    if let Some(backup) = source.cluster.backup() {
        merge(&mut spec, &backup, policy, type_of);
    }
    (!spec.schedules.is_empty()).then(|| BackupSchedule {
        metadata: source.metadata(names::BACKUP_SCHEDULE_SUFFIX, old.map(|old| &old.metadata)),
        spec,
        status: None,
    })
}

/// Whether a policy can do what the Cluster asks for.
pub fn has_method(backup: &ClusterBackup, policy: &BackupPolicySpec) -> bool {
    backup.method.is_empty() || policy.method(&backup.method).is_some()
}

fn merge(spec: &mut BackupScheduleSpec, backup: &ClusterBackup, policy: &BackupPolicySpec, type_of: TypeOf<'_>) {
    // Cluster.spec.backup is said once for all components; one whose policy has not the method is not meant.
    if !has_method(backup, policy) {
        return;
    }
    if backup.starting_deadline_minutes.is_some() {
        spec.starting_deadline_minutes = backup.starting_deadline_minutes;
    }
    let merging = Merging { backup, policy, type_of };
    if !backup.method.is_empty() {
        merging.main(&mut spec.schedules);
        merging.incremental(&mut spec.schedules);
    }
    merging.continuous(&mut spec.schedules);
}

struct Merging<'a> {
    backup: &'a ClusterBackup,
    policy: &'a BackupPolicySpec,
    type_of: TypeOf<'a>,
}

/// An expression or period that is really there.
fn given(text: Option<&String>) -> Option<&String> {
    text.filter(|text| !text.trim().is_empty())
}

impl Merging<'_> {
    fn is(&self, method: &str, wanted: &BackupType) -> bool {
        (self.type_of)(method).as_ref() == Some(wanted)
    }

    fn step(&self, entry: &mut SchedulePolicy, enabled: bool, cron: Option<&String>) {
        entry.enabled = Some(enabled);
        entry.name = Some(entry.name().to_owned());
        if let Some(cron) = given(cron) {
            entry.cron_expression.clone_from(cron);
        }
        if let Some(period) = given(self.backup.retention_period.as_ref()) {
            entry.retention_period = Some(period.clone());
        }
    }

    fn append(&self, entries: &mut Vec<SchedulePolicy>, method: &str, enabled: bool, cron: Option<&String>, or: &str) {
        let mut entry = SchedulePolicy {
            backup_method: method.to_owned(),
            cron_expression: or.to_owned(),
            retention_period: Some(Retention::SCHEDULE_DEFAULT.to_owned()),
            ..SchedulePolicy::default()
        };
        // The method's name may be taken by an entry of another method.
        if entries.iter().any(|other| other.name() == method) {
            entry.name = Some(format!("{method}-cluster"));
        }
        self.step(&mut entry, enabled, cron);
        entries.push(entry);
    }

    /// The entry of the method; while backups are on, those of other full methods are off (rule 38).
    fn main(&self, entries: &mut Vec<SchedulePolicy>) {
        let (method, enabled) = (&self.backup.method, self.backup.enabled.unwrap_or_default());
        let cron = self.backup.cron_expression.as_ref();
        match entries.iter_mut().find(|e| e.backup_method == *method) {
            Some(entry) => self.step(entry, enabled, cron),
            None => self.append(entries, method, enabled, cron, DEFAULT_CRON),
        }
        if enabled {
            let others = entries.iter_mut().filter(|e| e.backup_method != *method);
            others.filter(|e| self.is(&e.backup_method, &BackupType::Full)).for_each(|e| e.enabled = Some(false));
        }
    }

    /// The entry of the named continuous method, else the first continuous one.
    fn continuous(&self, entries: &mut Vec<SchedulePolicy>) {
        let Some(enabled) = self.backup.pitr_enabled else {
            return;
        };
        let named = given(self.backup.continuous_method.as_ref());
        let continuous = |method: &str| self.is(method, &BackupType::Continuous);
        let wanted = |e: &SchedulePolicy| named.map_or_else(|| continuous(&e.backup_method), |n| e.backup_method == *n);
        match entries.iter_mut().find(|e| wanted(e)) {
            Some(entry) => self.step(entry, enabled, None),
            None if enabled => {
                let known = |name: &&String| continuous(name);
                let any = || self.policy.backup_methods.iter().map(|m| &m.name).find(known);
                if let Some(method) = named.filter(known).or_else(|| any().filter(|_| named.is_none())) {
                    self.append(entries, method, true, None, CONTINUOUS_CRON);
                }
            }
            None => {}
        }
        if let (true, Some(named)) = (enabled, named) {
            let others = entries.iter_mut().filter(|e| e.backup_method != *named && continuous(&e.backup_method));
            others.for_each(|e| e.enabled = Some(false));
        }
    }

    /// The entry of the first increment of the method; others are off.
    fn incremental(&self, entries: &mut Vec<SchedulePolicy>) {
        let Some(enabled) = self.backup.incremental_backup_enabled else {
            return;
        };
        let cron = self.backup.incremental_cron_expression.as_ref();
        let incremental = |method: &str| self.is(method, &BackupType::Incremental);
        let compatible = |method: &str| {
            let base = self.policy.method(method).and_then(|m| m.compatible_method.as_deref());
            incremental(method) && base == Some(self.backup.method.as_str())
        };
        let place = entries.iter().position(|e| compatible(&e.backup_method));
        match place.and_then(|i| entries.get_mut(i)) {
            Some(entry) => self.step(entry, enabled, cron),
            None if enabled => {
                let method = self.policy.backup_methods.iter().map(|m| &m.name).find(|name| compatible(name));
                if let Some(method) = method {
                    self.append(entries, method, true, cron, DEFAULT_CRON);
                }
            }
            None => {}
        }
        let kept = place.unwrap_or(entries.len().saturating_sub(1));
        for (i, entry) in entries.iter_mut().enumerate() {
            let own = i == kept && compatible(&entry.backup_method);
            if !own && incremental(&entry.backup_method) {
                entry.enabled = Some(false);
            }
        }
    }
}
