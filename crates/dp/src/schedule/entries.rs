//! The entries of a schedule, checked against its policy and action sets (behaviour-backup §8.1). Pure.

use super::cron::Cron;
use crate::action::parameters;
use api_types::dp::{ActionSet, BackupMethod, BackupPolicy, BackupSchedule, BackupType, SchedulePolicy};
use api_types::retention::Retention;
use kube::ResourceExt;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Longest schedule name: Backups carry it as a label value (BD10).
const LONGEST_NAME: usize = 63;

/// How an entry runs.
#[derive(Clone, Debug)]
pub enum Mode {
    /// Not at all.
    Off,
    /// At the slots of its expression.
    Timed {
        /// When.
        cron: Box<Cron>,
        /// Method a completed backup of which it builds on.
        builds_on: Option<String>,
    },
    /// One Backup that never ends; off where it is switched off.
    Continuous {
        /// Not explicitly switched off.
        enabled: bool,
    },
}

/// One entry.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Name, else method.
    pub name: String,
    /// As the user wrote it.
    pub spec: SchedulePolicy,
    /// How it runs, or what is wrong with it: field, value and rule.
    pub mode: Result<Mode, String>,
}

/// What is wrong with the schedule as a whole; its entries can not run then.
pub fn refusal(schedule: &BackupSchedule, policy: Option<&BackupPolicy>) -> Option<String> {
    let name = schedule.name_any();
    if name.len() > LONGEST_NAME {
        return Some(format!(
            "metadata.name: {name:?} has {} characters; Backups carry it as a label, which takes {LONGEST_NAME}",
            name.len()
        ));
    }
    if policy.is_none() {
        let wanted = &schedule.spec.backup_policy_name;
        return Some(format!("spec.backupPolicyName: there is no BackupPolicy {wanted:?}; create it, or name another"));
    }
    None
}

/// Every entry, in the order of the spec.
pub fn entries(
    schedule: &BackupSchedule,
    policy: &BackupPolicy,
    action_sets: &BTreeMap<String, Arc<ActionSet>>,
) -> Vec<Entry> {
    let all = &schedule.spec.schedules;
    let check = |entry: &SchedulePolicy| Entry {
        name: entry.name().to_owned(),
        spec: entry.clone(),
        mode: unique(all, entry)
            .and_then(|()| mode(entry, policy, action_sets))
            .map_err(|why| format!("spec.schedules[{}].{why}", entry.name())),
    };
    all.iter().map(check).collect()
}

fn unique(all: &[SchedulePolicy], entry: &SchedulePolicy) -> Result<(), String> {
    let same = all.iter().filter(|other| other.name() == entry.name()).count();
    if same > 1 {
        return Err(format!(
            "name: {:?} stands {same} times; names (the method, where there is none) are unique",
            entry.name()
        ));
    }
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    let name = entry.name();
    if name.is_empty() || !name.chars().all(fits) || name.starts_with(['-', '.']) || name.ends_with(['-', '.']) {
        return Err(format!("name: {name:?} is part of Backup names: lower case letters, digits, - and . inside"));
    }
    Ok(())
}

fn mode(
    entry: &SchedulePolicy,
    policy: &BackupPolicy,
    action_sets: &BTreeMap<String, Arc<ActionSet>>,
) -> Result<Mode, String> {
    let method = policy.spec.method(&entry.backup_method).ok_or_else(|| {
        let known: Vec<&str> = policy.spec.backup_methods.iter().map(|m| m.name.as_str()).collect();
        format!(
            "backupMethod: {:?} is no method of BackupPolicy {}; it has {}",
            entry.backup_method,
            policy.name_any(),
            known.join(", ")
        )
    })?;
    entry.retention_period().parse::<Retention>().map_err(|e| format!("retentionPeriod: {e}"))?;
    let actions = match method.action_set_name() {
        None => None,
        Some(name) => Some(action_sets.get(name).ok_or_else(|| {
            format!("backupMethod: ActionSet {name} of method {} does not exist; create it", method.name)
        })?),
    };
    check_parameters(entry, method, actions.map(AsRef::as_ref))?;
    if actions.is_some_and(|a| a.spec.backup_type == BackupType::Continuous) {
        return Ok(Mode::Continuous { enabled: entry.enabled != Some(false) });
    }
    if !entry.enabled() {
        return Ok(Mode::Off);
    }
    let text = &entry.cron_expression;
    let cron = Cron::parse(text).map_err(|why| format!("cronExpression: {text:?}: {why}"))?;
    let builds =
        actions.is_some_and(|a| matches!(a.spec.backup_type, BackupType::Incremental | BackupType::Differential));
    let builds_on = builds.then(|| method.compatible_method.clone().unwrap_or_default());
    Ok(Mode::Timed { cron: Box::new(cron), builds_on })
}

fn check_parameters(entry: &SchedulePolicy, method: &BackupMethod, actions: Option<&ActionSet>) -> Result<(), String> {
    if entry.parameters.is_empty() {
        return Ok(());
    }
    let Some(actions) = actions else {
        return Err(format!("parameters: method {} has no ActionSet that takes any", method.name));
    };
    let allowed = actions.spec.backup.as_ref().map(|b| b.with_parameters.as_slice()).unwrap_or_default();
    parameters::check(&entry.parameters, allowed, actions)
        .map_err(|why| format!("parameters: ActionSet {}: {why}", actions.name_any()))
}

#[cfg(test)]
#[allow(clippy::needless_pass_by_value)] // literals of `json!`
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy() -> BackupPolicy {
        serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {"backupMethods": [
            {"name": "full", "actionSetName": "full"}, {"name": "inc", "actionSetName": "inc", "compatibleMethod": "full"},
            {"name": "log", "actionSetName": "log"}, {"name": "snap", "snapshotVolumes": true},
            {"name": "lost", "actionSetName": "lost"}]}}))
        .unwrap()
    }

    fn actions() -> BTreeMap<String, Arc<ActionSet>> {
        let one = |name: &str, kind: &str| {
            let set: ActionSet =
                serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"backupType": kind,
                "parametersSchema": {"openAPIV3Schema": {"properties": {"n": {"type": "integer"}}}},
                "backup": {"withParameters": ["n"]}}}))
                .unwrap();
            (name.to_owned(), Arc::new(set))
        };
        [one("full", "Full"), one("inc", "Incremental"), one("log", "Continuous")].into()
    }

    fn checked(schedules: Value) -> Vec<Result<Mode, String>> {
        let schedule: BackupSchedule = serde_json::from_value(
            json!({"metadata": {"name": "s"}, "spec": {"backupPolicyName": "p", "schedules": schedules}}),
        )
        .unwrap();
        entries(&schedule, &policy(), &actions()).into_iter().map(|e| e.mode).collect()
    }

    fn refused(entry: Value) -> String {
        checked(json!([entry])).remove(0).expect_err("refused")
    }

    #[test]
    fn each_refusal_names_field_value_and_rule() {
        let with = |change: Value| {
            let mut entry = json!({"backupMethod": "full", "cronExpression": "0 0 * * *", "enabled": true});
            entry.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            refused(entry)
        };
        for (change, said) in [
            (
                json!({"backupMethod": "no"}),
                "spec.schedules[no].backupMethod: \"no\" is no method of BackupPolicy p; it has full, inc",
            ),
            (
                json!({"cronExpression": "61 * * * *"}),
                "spec.schedules[full].cronExpression: \"61 * * * *\": minute \"61\": 61 is not in 0-59",
            ),
            (json!({"retentionPeriod": "7"}), "spec.schedules[full].retentionPeriod"),
            (json!({"name": "Full"}), "spec.schedules[Full].name: \"Full\" is part of Backup names"),
            (
                json!({"parameters": [{"name": "x", "value": "1"}]}),
                "parameters: ActionSet full: it does not take x; it takes n",
            ),
            (
                json!({"parameters": [{"name": "n", "value": "x"}]}),
                "parameters: ActionSet full: n = \"x\": is no integer",
            ),
            (
                json!({"backupMethod": "snap", "parameters": [{"name": "n", "value": "1"}]}),
                "parameters: method snap has no ActionSet",
            ),
            (json!({"backupMethod": "lost"}), "backupMethod: ActionSet lost of method lost does not exist"),
        ] {
            let why = with(change.clone());
            assert!(why.contains(said), "{change}: {why}");
        }
    }

    #[test]
    fn names_are_unique_and_default_to_the_method() {
        let entry = |name: Option<&str>| json!({"name": name, "backupMethod": "full", "cronExpression": "@daily", "enabled": true});
        let both = checked(json!([entry(None), entry(Some("full")), entry(Some("nightly"))]));
        assert!(both[0].as_ref().unwrap_err().contains("stands 2 times"));
        assert!(both[1].is_err());
        assert!(matches!(both[2], Ok(Mode::Timed { .. })), "the others run");
    }

    #[test]
    fn modes_follow_the_action_set() {
        let entry = |method: &str, enabled: Option<bool>| json!({"backupMethod": method, "cronExpression": "@daily", "enabled": enabled});
        let modes = checked(json!([
            entry("full", None),
            entry("inc", Some(true)),
            entry("log", None),
            entry("snap", Some(true))
        ]));
        assert!(matches!(modes[0], Ok(Mode::Off)), "an entry runs when it is enabled");
        assert!(matches!(&modes[1], Ok(Mode::Timed { builds_on: Some(on), .. }) if on == "full"));
        assert!(matches!(modes[2], Ok(Mode::Continuous { enabled: true })), "unless it is switched off explicitly");
        assert!(matches!(modes[3], Ok(Mode::Timed { builds_on: None, .. })));
        assert!(matches!(checked(json!([entry("log", Some(false))]))[0], Ok(Mode::Continuous { enabled: false })));
        let odd = checked(json!([{"backupMethod": "full", "cronExpression": "odd", "enabled": false}]));
        assert!(matches!(odd[0], Ok(Mode::Off)), "what is off may be wrong");
    }

    #[test]
    fn bd10_a_schedule_name_that_is_no_label_value_is_refused_early() {
        let named =
            |name: String| -> BackupSchedule { serde_json::from_value(json!({"metadata": {"name": name}})).unwrap() };
        assert_eq!(refusal(&named("s".repeat(63)), Some(&policy())), None);
        assert!(refusal(&named("s".repeat(64)), Some(&policy())).unwrap().contains("64 characters"));
        assert!(refusal(&named("s".into()), None).unwrap().contains("spec.backupPolicyName"));
    }
}
