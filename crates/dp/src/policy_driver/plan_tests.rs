//! Tables about what the policy driver makes of a Cluster.

use super::build::is_frozen;
use super::plan::{Observed, Plan, Step, plan};
use crate::cluster::{Cluster, Component};
use api_types::dp::{ActionSet, BackupPolicy, BackupPolicyTemplate, BackupSchedule};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::sync::Arc;

fn of<T: serde::de::DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn action_set(name: &str, type_: &str) -> (String, Arc<ActionSet>) {
    (name.into(), Arc::new(of(json!({"metadata": {"name": name}, "spec": {"backupType": type_}}))))
}

/// A template with every kind of method, for `toy-1` and `other-1`.
fn template() -> Value {
    json!({
        "metadata": {"name": "t", "annotations": {"dataprotection.kubeblocks.io/reconfigure-ref": "{\"name\":\"x\"}"}},
        "spec": {
            "compDefs": ["toy-"], "target": {"role": "secondary", "fallbackRole": "primary", "account": "root"},
            "backupMethods": [
                {"name": "full", "actionSetName": "full", "env": [
                    {"name": "IMAGE", "valueFrom": {"versionMapping": [
                        {"serviceVersions": ["8"], "mappedValue": "prefix"},
                        {"serviceVersions": ["8.0.1"], "mappedValue": "exact"}]}},
                    {"name": "LOST", "valueFrom": {"versionMapping": [{"serviceVersions": ["9"], "mappedValue": "x"}]}},
                    {"name": "LITERAL", "value": "1"}]},
                {"name": "other", "actionSetName": "full"},
                {"name": "snap", "snapshotVolumes": true},
                {"name": "inc", "actionSetName": "inc", "compatibleMethod": "full"},
                {"name": "log", "actionSetName": "log", "target": {"role": "primary"}},
            ],
            "schedules": [
                {"backupMethod": "full", "enabled": false, "cronExpression": "0 1 * * *", "retentionPeriod": "3d"},
                {"backupMethod": "snap", "enabled": true, "cronExpression": "0 2 * * *"},
                {"backupMethod": "log", "enabled": false, "cronExpression": "*/5 * * * *"},
            ],
        },
        "status": {"matchedCompDefs": ["other-1", "toy-1"]},
    })
}

fn cluster(spec: &Value) -> Value {
    json!({"metadata": {"name": "c", "namespace": "n", "uid": "c-uid"}, "spec": spec})
}

fn one_part(extra: &Value) -> Value {
    let mut spec =
        json!({"componentSpecs": [{"name": "db", "componentDef": "toy-1", "replicas": 2, "serviceVersion": "8.0.1"}]});
    for (key, value) in extra.as_object().unwrap() {
        spec[key] = value.clone();
    }
    cluster(&spec)
}

fn seen(cluster: Value, template: Value) -> Observed {
    Observed {
        cluster: Arc::new(of::<Cluster>(cluster)),
        templates: vec![Arc::new(of::<BackupPolicyTemplate>(template))],
        action_sets: [action_set("full", "Full"), action_set("inc", "Incremental"), action_set("log", "Continuous")]
            .into(),
        components: vec![],
        policies: vec![],
        schedules: vec![],
        encryption: None,
    }
}

fn created(plan: &Plan) -> (Vec<BackupPolicy>, Vec<BackupSchedule>) {
    fn all<K: Clone>(steps: &[Step<K>]) -> Vec<K> {
        let new = |s: &Step<K>| match s {
            Step::Create(object) => Some(object.as_ref().clone()),
            Step::Change(..) => None,
        };
        steps.iter().filter_map(new).collect()
    }
    (all(&plan.policies), all(&plan.schedules))
}

/// The world after the plan was done, as the server would show it.
fn done(mut seen: Observed, plan: &Plan) -> Observed {
    let (policies, schedules) = created(plan);
    seen.policies.extend(policies.into_iter().map(Arc::new));
    seen.schedules.extend(schedules.into_iter().map(Arc::new));
    seen
}

fn is_quiet(plan: &Plan) -> bool {
    plan.policies.is_empty() && plan.schedules.is_empty()
}

/// Enabled, cron and retention by name.
fn entries(schedule: &BackupSchedule) -> Vec<(String, bool, String, String)> {
    let entry = |s: &api_types::dp::SchedulePolicy| {
        (s.name().to_owned(), s.enabled(), s.cron_expression.clone(), s.retention_period().to_owned())
    };
    schedule.spec.schedules.iter().map(entry).collect()
}

#[test]
fn rule_41_a_component_gets_a_policy_and_a_schedule_and_then_nothing_is_left_to_write() {
    let world = seen(one_part(&json!({})), template());
    let first = plan(&world);
    let (policies, schedules) = created(&first);
    let policy = serde_json::to_value(&policies[0]).unwrap();
    assert_eq!(policy["metadata"]["name"], "c-db-backup-policy");
    assert_eq!(
        policy["metadata"]["ownerReferences"],
        json!([{"apiVersion": "apps.kubeblocks.io/v1", "kind": "Cluster", "name": "c", "uid": "c-uid", "controller": true}])
    );
    assert_eq!(policy["spec"]["pathPrefix"], "/c-c-uid/db");
    let full = &policy["spec"]["backupMethods"][0];
    assert_eq!(full["env"], json!([{"name": "IMAGE", "value": "exact"}, {"name": "LITERAL", "value": "1"}]), "rule 41");
    assert_eq!(full["snapshotVolumes"], false);
    assert_eq!(policy["spec"]["target"]["podSelector"]["matchLabels"]["kubeblocks.io/role"], "secondary");
    let log = &policy["spec"]["backupMethods"][4];
    assert_eq!(log["target"]["podSelector"]["matchLabels"]["kubeblocks.io/role"], "primary");
    assert_eq!(log["target"].get("connectionCredential"), None);
    assert_eq!(schedules[0].name_any(), "c-db-backup-schedule");
    assert_eq!(schedules[0].spec.backup_policy_name, "c-db-backup-policy");
    assert_eq!(schedules[0].annotations()["dataprotection.kubeblocks.io/reconfigure-ref"], "{\"name\":\"x\"}");
    assert_eq!(schedules[0].annotations()["apps.kubeblocks.io/backup-policy-template"], "t");
    assert!(is_quiet(&plan(&done(world, &first))));
}

#[test]
fn without_a_definition_or_a_template_nothing_is_made() {
    for part in
        [json!({"name": "db"}), json!({"name": "db", "componentDef": "toy"}), json!({"name": "db", "componentDef": ""})]
    {
        let world = seen(cluster(&json!({"componentSpecs": [part], "backup": {"method": "full"}})), template());
        let planned = plan(&world);
        assert!(is_quiet(&planned) && planned.problems.is_empty());
    }
}

#[test]
fn the_first_template_by_name_wins() {
    let mut world = seen(one_part(&json!({})), template());
    let mut other = template();
    other["metadata"]["name"] = json!("a");
    world.templates.insert(0, Arc::new(of(other)));
    let (policies, _) = created(&plan(&world));
    assert_eq!(policies[0].annotations()["apps.kubeblocks.io/backup-policy-template"], "a");
}

#[test]
fn rule_40_long_names_are_cut_with_a_hash_and_differ() {
    let long = "component-with-a-name-of-forty-eight-characters-a";
    let parts: Vec<Value> =
        ["x", "y"].iter().map(|e| json!({"name": format!("{long}{e}"), "componentDef": "toy-1"})).collect();
    let (policies, schedules) = created(&plan(&seen(cluster(&json!({"componentSpecs": parts})), template())));
    let names: Vec<String> =
        policies.iter().map(ResourceExt::name_any).chain(schedules.iter().map(ResourceExt::name_any)).collect();
    let unique: std::collections::BTreeSet<&String> = names.iter().collect();
    assert!(names.iter().all(|n| n.len() <= 63) && unique.len() == 4, "{names:?}");
    assert_eq!(schedules[1].spec.backup_policy_name, policies[1].name_any());
}

#[test]
fn shards_are_targets_one_each_and_the_first_policy_waits_for_all_of_them() {
    let sharding =
        json!({"shardings": [{"name": "shard", "shards": 2, "template": {"componentDef": "toy-1", "replicas": 1}}]});
    let mut world = seen(cluster(&sharding), template());
    let shard = |name: &str| -> Arc<Component> {
        Arc::new(of(json!({"metadata": {"name": format!("c-{name}"), "labels": {
            "app.kubernetes.io/instance": "c", "apps.kubeblocks.io/component-name": name,
            "apps.kubeblocks.io/sharding-name": "shard"}}, "spec": {"serviceVersion": "8.4"}})))
    };
    assert!(is_quiet(&plan(&world)), "no shard yet");
    world.components.push(shard("shard-b"));
    assert!(is_quiet(&plan(&world)), "a backup of one shard would lack the other");
    world.components.push(shard("shard-a"));
    let first = plan(&world);
    let (policies, _) = created(&first);
    let names = |p: &BackupPolicy| -> Vec<String> { p.spec.targets.iter().map(|t| t.name().to_owned()).collect() };
    assert_eq!(names(&policies[0]), ["shard-a", "shard-b"]);
    assert_eq!(policies[0].spec.target, None);
    assert_eq!(
        policies[0].spec.method("full").unwrap().env[0].value.as_deref(),
        Some("prefix"),
        "the Component's version"
    );
    assert_eq!(policies[0].spec.method("log").unwrap().targets.len(), 2);
    assert_eq!(policies[0].labels()["apps.kubeblocks.io/sharding-name"], "shard");
    let mut world = done(world, &first);
    world.components.remove(0);
    world.components.push(shard("shard-c"));
    let Step::Change(_, patch) = &plan(&world).policies[0] else { panic!("a change") };
    let targets = patch["spec"]["targets"].as_array().unwrap();
    assert_eq!(targets.iter().map(|t| t["name"].as_str().unwrap()).collect::<Vec<_>>(), ["shard-a", "shard-c"]);
}

#[test]
fn rule_33_and_a_frozen_policy_keeps_its_edits() {
    let world = seen(one_part(&json!({})), template());
    let mut world = {
        let first = plan(&world);
        done(world, &first)
    };
    let mut edited = world.policies[0].as_ref().clone();
    edited.spec.backup_methods.retain(|m| m.name == "full");
    edited.spec.backoff_limit = Some(7);
    edited.spec.target.as_mut().unwrap().connection_credential = None;
    world.policies = vec![Arc::new(edited.clone())];
    let Step::Change(_, patch) = &plan(&world).policies[0] else { panic!("a change") };
    assert_eq!(patch["spec"]["backupMethods"].as_array().unwrap().len(), 5, "methods are the template's");
    assert_eq!(patch["spec"]["backoffLimit"], 2);
    assert_eq!(patch["spec"].get("target"), None, "a target is its user's");
    edited.annotations_mut().insert("dataprotection.kubeblocks.io/disable-sync-from-template".into(), "true".into());
    assert!(is_frozen(&edited));
    world.policies = vec![Arc::new(edited)];
    assert!(is_quiet(&plan(&world)), "{:?}", plan(&world));
}

#[test]
fn an_object_of_that_name_that_is_not_the_clusters_is_left_alone() {
    let world = seen(one_part(&json!({})), template());
    let first = plan(&world);
    for (owners, said) in [
        (None, true),
        (Some(json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "u"}])), true),
        (
            Some(
                json!([{"apiVersion": "apps.kubeblocks.io/v1", "kind": "Cluster", "name": "c", "uid": "an-earlier-one"}]),
            ),
            false,
        ),
    ] {
        let mut foreign = created(&first).0.remove(0);
        foreign.metadata.owner_references = owners.map(of);
        let mut world = seen(one_part(&json!({})), template());
        world.policies = vec![Arc::new(foreign)];
        let planned = plan(&world);
        assert!(is_quiet(&planned));
        assert_eq!(planned.problems.len(), usize::from(said), "{:?}", planned.problems);
    }
    // One of ours under another name, as another operator cut it, is the one.
    let mut other = created(&first).0.remove(0);
    other.metadata.name = Some("c-db-backup-policy-0a1b2c3d".into());
    let mut world = seen(one_part(&json!({})), template());
    world.policies = vec![Arc::new(other)];
    let planned = plan(&world);
    assert!(planned.policies.is_empty(), "{:?}", planned.policies);
    assert_eq!(created(&planned).1[0].spec.backup_policy_name, "c-db-backup-policy-0a1b2c3d");
}

#[test]
fn encryption_repository_and_deadline_follow_settings_and_cluster() {
    let backup = json!({"backup": {"method": "full", "repoName": "r", "startingDeadlineMinutes": 10}});
    let mut world = seen(one_part(&backup), template());
    world.encryption = of(json!({"algorithm": "AES-128-CFB", "passPhraseSecretKeyRef": {"name": "s", "key": "k"}}));
    let (policies, schedules) = created(&plan(&world));
    assert_eq!(policies[0].spec.backup_repo_name.as_deref(), Some("r"));
    assert_eq!(policies[0].spec.encryption_config, world.encryption);
    assert_eq!(schedules[0].spec.starting_deadline_minutes, Some(10));
}

#[test]
fn rule_38_spec_backup_is_merged_into_the_schedule() {
    let day = |text: &str| text.to_owned();
    for (what, backup, wanted) in [
        (
            "the named entry is updated, other full ones and pure snapshots are off (rule 38)",
            json!({"enabled": true, "method": "full", "cronExpression": "5 5 * * *", "retentionPeriod": "9d"}),
            vec![
                ("full", true, "5 5 * * *", "9d"),
                ("snap", false, "0 2 * * *", "7d"),
                ("log", false, "*/5 * * * *", "7d"),
            ],
        ),
        (
            "not enabled: the others stay as they are",
            json!({"enabled": false, "method": "full"}),
            vec![
                ("full", false, "0 1 * * *", "3d"),
                ("snap", true, "0 2 * * *", "7d"),
                ("log", false, "*/5 * * * *", "7d"),
            ],
        ),
        (
            "a method without an entry gets one",
            json!({"enabled": true, "method": "other", "retentionPeriod": "1mo"}),
            vec![
                ("full", false, "0 1 * * *", "3d"),
                ("snap", false, "0 2 * * *", "7d"),
                ("log", false, "*/5 * * * *", "7d"),
                ("other", true, "0 18 * * *", "1mo"),
            ],
        ),
        (
            "the log follows pitrEnabled and the retention",
            json!({"enabled": false, "method": "full", "pitrEnabled": true, "retentionPeriod": "8d"}),
            vec![
                ("full", false, "0 1 * * *", "8d"),
                ("snap", true, "0 2 * * *", "7d"),
                ("log", true, "*/5 * * * *", "8d"),
            ],
        ),
        (
            "increments of the method are added where they are wanted",
            json!({"enabled": true, "method": "full", "incrementalBackupEnabled": true, "incrementalCronExpression": "0 * * * *"}),
            vec![
                ("full", true, "0 1 * * *", "3d"),
                ("snap", false, "0 2 * * *", "7d"),
                ("log", false, "*/5 * * * *", "7d"),
                ("inc", true, "0 * * * *", "7d"),
            ],
        ),
        (
            "a method that no component has changes nothing",
            json!({"enabled": true, "method": "lost", "pitrEnabled": true}),
            vec![
                ("full", false, "0 1 * * *", "3d"),
                ("snap", true, "0 2 * * *", "7d"),
                ("log", false, "*/5 * * * *", "7d"),
            ],
        ),
    ] {
        let world = seen(one_part(&json!({"backup": backup})), template());
        let planned = plan(&world);
        let wanted: Vec<_> = wanted.into_iter().map(|(n, e, c, r)| (day(n), e, day(c), day(r))).collect();
        assert_eq!(entries(&created(&planned).1[0]), wanted, "{what}");
        assert!(is_quiet(&plan(&done(world, &planned))), "{what}: and then nothing is left to write");
    }
}

#[test]
fn a_method_nobody_has_is_said_once_for_the_whole_cluster() {
    let parts = json!({"componentSpecs": [{"name": "db", "componentDef": "toy-1"}, {"name": "proxy", "componentDef": "other-1"}],
        "backup": {"method": "lost"}});
    let planned = plan(&seen(cluster(&parts), template()));
    assert_eq!(planned.problems.len(), 1);
    assert_eq!(planned.problems[0].0, "BackupMethodNotFound");
    assert!(planned.problems[0].1.contains("spec.backup.method: no component has lost"), "{:?}", planned.problems);
}

#[test]
fn rule_46_a_cluster_that_asks_for_backups_has_a_schedule_though_the_template_has_none() {
    let mut bare = template();
    bare["spec"]["schedules"] = json!([]);
    let silent = plan(&seen(one_part(&json!({})), bare.clone()));
    assert!(silent.schedules.is_empty() && silent.policies.len() == 1);
    let backup = json!({"backup": {"enabled": true, "method": "full", "pitrEnabled": true}});
    let planned = plan(&seen(one_part(&backup), bare));
    let wanted = [("full", "0 18 * * *"), ("log", "*/5 * * * *")].map(|(n, c)| (n.into(), true, c.into(), "7d".into()));
    assert_eq!(entries(&created(&planned).1[0]), wanted);
}

#[test]
fn entries_of_a_user_and_of_an_earlier_template_stay() {
    let world = seen(one_part(&json!({})), template());
    let mut world = {
        let first = plan(&world);
        done(world, &first)
    };
    let mut edited = world.schedules[0].as_ref().clone();
    edited.spec.schedules[0].cron_expression = "mine".into();
    edited
        .spec
        .schedules
        .push(of(json!({"name": "weekly", "backupMethod": "full", "cronExpression": "0 0 * * 0", "enabled": true})));
    edited.spec.schedules.remove(2);
    world.schedules = vec![Arc::new(edited)];
    let Step::Change(_, patch) = &plan(&world).schedules[0] else { panic!("a change") };
    let names: Vec<&str> =
        patch["spec"]["schedules"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["full", "snap", "weekly", "log"]);
    assert_eq!(patch["spec"]["schedules"][0]["cronExpression"], "mine");
}

#[test]
fn continuous_methods_change_over_when_another_is_named() {
    let mut two = template();
    two["spec"]["backupMethods"].as_array_mut().unwrap().push(json!({"name": "log2", "actionSetName": "log"}));
    two["spec"]["schedules"]
        .as_array_mut()
        .unwrap()
        .push(json!({"backupMethod": "log2", "enabled": true, "cronExpression": "x"}));
    let on = |schedule: &BackupSchedule| -> Vec<String> {
        schedule.spec.schedules.iter().filter(|s| s.enabled()).map(|s| s.name().to_owned()).collect()
    };
    let backup = json!({"backup": {"enabled": true, "method": "full", "pitrEnabled": true, "continuousMethod": "log"}});
    assert_eq!(on(&created(&plan(&seen(one_part(&backup), two.clone()))).1[0]), ["full", "log"]);
    let backup = json!({"backup": {"enabled": true, "method": "full", "pitrEnabled": true}});
    assert_eq!(on(&created(&plan(&seen(one_part(&backup), two))).1[0]), ["full", "log", "log2"]);
}
