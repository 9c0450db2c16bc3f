//! What a template's status says. Pure.

use super::matching::Pattern;
use crate::action::parameters;
use api_types::dp::{ActionSet, BackupPolicyTemplate, BackupPolicyTemplateStatus, Phase, SchedulePolicy};
use api_types::retention::Retention;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Available, or Unavailable with every field that is wrong; and the definitions it is for, in order.
///
/// `definitions` are the names of all ComponentDefinitions, `action_set` finds one by name. A template that is
/// Unavailable is matched all the same: its policies are made, and their backups say what they wait for.
pub fn status(
    template: &BackupPolicyTemplate,
    definitions: Vec<String>,
    action_set: impl Fn(&str) -> Option<Arc<ActionSet>>,
) -> BackupPolicyTemplateStatus {
    let mut problems = Vec::new();
    let patterns: Vec<Pattern> = template
        .spec
        .comp_defs
        .iter()
        .map(|text| {
            Pattern::new(text).unwrap_or_else(|why| {
                problems.push(format!("spec.compDefs: {text} is no regular expression: {why}"));
                Pattern::prefix(text)
            })
        })
        .collect();
    let mut matched: Vec<String> =
        definitions.into_iter().filter(|name| patterns.iter().any(|p| p.matches(name))).collect();
    matched.sort_unstable();
    problems.extend(of_methods(template, &action_set));
    problems.extend(of_schedules(template, &action_set));
    BackupPolicyTemplateStatus {
        phase: Some(if problems.is_empty() { Phase::Available } else { Phase::Unavailable }),
        message: (!problems.is_empty()).then(|| problems.join("; ")),
        observed_generation: template.metadata.generation,
        matched_comp_defs: matched,
    }
}

fn of_methods(template: &BackupPolicyTemplate, action_set: &impl Fn(&str) -> Option<Arc<ActionSet>>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for method in &template.spec.backup_methods {
        let field = format!("spec.backupMethods[{}]", method.name);
        if !names.insert(method.name.as_str()) {
            problems.push(format!("{field}: the name stands twice"));
        }
        match method.action_set_name.as_deref().filter(|name| !name.is_empty()) {
            None if !method.snapshot_volumes() => {
                problems.push(format!("{field}: set actionSetName, or snapshotVolumes to true"));
            }
            Some(name) if action_set(name).is_none() => {
                problems.push(format!("{field}.actionSetName: there is no ActionSet {name}"));
            }
            _ => {}
        }
    }
    problems
}

fn of_schedules(template: &BackupPolicyTemplate, action_set: &impl Fn(&str) -> Option<Arc<ActionSet>>) -> Vec<String> {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    for schedule in &template.spec.schedules {
        let field = format!("spec.schedules[{}]", schedule.name());
        if !names.insert(schedule.name()) {
            problems.push(format!("{field}: the name stands twice"));
        }
        if let Err(why) = schedule.retention_period().parse::<Retention>() {
            problems.push(format!("{field}.retentionPeriod: {why}"));
        }
        let method = template.spec.backup_methods.iter().find(|m| m.name == schedule.backup_method);
        let Some(method) = method else {
            problems.push(format!("{field}.backupMethod: spec.backupMethods has no {}", schedule.backup_method));
            continue;
        };
        let actions = method.action_set_name.as_deref().and_then(action_set);
        if let Some(why) = of_parameters(schedule, actions.as_deref()) {
            problems.push(format!("{field}.parameters: {why}"));
        }
    }
    problems
}

fn of_parameters(schedule: &SchedulePolicy, actions: Option<&ActionSet>) -> Option<String> {
    if schedule.parameters.is_empty() {
        return None;
    }
    // A missing ActionSet is said where the method names it.
    let Some(actions) = actions else {
        return Some(format!("method {} has no ActionSet that could take them", schedule.backup_method));
    };
    let allowed = actions.spec.backup.as_ref().map(|b| b.with_parameters.clone()).unwrap_or_default();
    parameters::check(&schedule.parameters, &allowed, actions).err()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn said(spec: &Value) -> BackupPolicyTemplateStatus {
        let template: BackupPolicyTemplate =
            serde_json::from_value(json!({"metadata": {"name": "t", "generation": 3}, "spec": spec})).unwrap();
        let actions: ActionSet = serde_json::from_value(json!({"metadata": {"name": "a"}, "spec": {
            "backup": {"withParameters": ["n"]},
            "parametersSchema": {"openAPIV3Schema": {"properties": {"n": {"type": "integer", "maximum": 3}}}},
        }}))
        .unwrap();
        let actions = Arc::new(actions);
        let definitions = ["toy-2", "other", "toy-1"].map(str::to_owned).to_vec();
        status(&template, definitions, |name| (name == "a").then(|| Arc::clone(&actions)))
    }

    /// Rule 39: what it is for is status, and no label that stays behind.
    #[test]
    fn rule_39_a_good_template_is_available_and_names_what_it_is_for_in_order() {
        let told = said(&json!({
            "compDefs": ["toy-", "^toy-1$"],
            "backupMethods": [{"name": "full", "snapshotVolumes": false, "actionSetName": "a"},
                {"name": "snap", "snapshotVolumes": true}],
            "schedules": [{"backupMethod": "full", "cronExpression": "", "parameters": [{"name": "n", "value": "3"}]},
                {"name": "again", "backupMethod": "full", "cronExpression": ""}],
        }));
        assert_eq!((told.phase, told.message), (Some(Phase::Available), None));
        assert_eq!((told.matched_comp_defs, told.observed_generation), (vec!["toy-1".into(), "toy-2".into()], Some(3)));
    }

    #[test]
    fn each_problem_names_field_value_and_rule() {
        let method = json!([{"name": "full", "actionSetName": "a"}]);
        for (spec, wanted) in [
            (json!({"compDefs": ["a(b"], "backupMethods": method}), "spec.compDefs: a(b is no regular expression"),
            (
                json!({"compDefs": ["x"], "backupMethods": [{"name": "m", "snapshotVolumes": false}]}),
                "spec.backupMethods[m]: set actionSetName, or snapshotVolumes to true",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": [{"name": "m", "actionSetName": "lost"}]}),
                "spec.backupMethods[m].actionSetName: there is no ActionSet lost",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": method, "schedules": [
                    {"backupMethod": "full", "cronExpression": ""}, {"name": "full", "backupMethod": "full", "cronExpression": ""}]}),
                "spec.schedules[full]: the name stands twice",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": method, "schedules": [{"backupMethod": "log", "cronExpression": ""}]}),
                "spec.schedules[log].backupMethod: spec.backupMethods has no log",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": method, "schedules": [
                    {"backupMethod": "full", "cronExpression": "", "retentionPeriod": "7"}]}),
                "spec.schedules[full].retentionPeriod: ",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": method, "schedules": [
                    {"backupMethod": "full", "cronExpression": "", "parameters": [{"name": "n", "value": "4"}]}]}),
                "spec.schedules[full].parameters: n = \"4\": is above the maximum 3",
            ),
            (
                json!({"compDefs": ["x"], "backupMethods": [{"name": "s", "snapshotVolumes": true}], "schedules": [
                    {"backupMethod": "s", "cronExpression": "", "parameters": [{"name": "n", "value": "4"}]}]}),
                "spec.schedules[s].parameters: method s has no ActionSet",
            ),
        ] {
            let told = said(&spec);
            assert_eq!(told.phase, Some(Phase::Unavailable), "{wanted}");
            assert!(told.message.as_deref().unwrap_or_default().contains(wanted), "{:?} lacks {wanted}", told.message);
        }
    }
}
