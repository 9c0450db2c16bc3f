//! Every ActionSet and BackupPolicyTemplate of the field, unmodified, goes through the controllers.

use api_types::dp::{BackupPolicy, BackupPolicyTemplate, BackupSchedule};
use e2e_api::apps_objects::{APPS_API, cluster_alone, component, install_kinds};
use e2e_api::driver::until;
use e2e_api::objects::until_phase;
use e2e_api::{Stage, stage};
use kube::ResourceExt;
use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use test_kit::builders;

/// The documents of that kind in the corpus.
fn documents(corpus: &Path, prefix: &str) -> Vec<Value> {
    let folders = std::fs::read_dir(corpus).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_dir());
    let mut files: Vec<PathBuf> =
        folders.flat_map(|f| std::fs::read_dir(f).unwrap()).map(|e| e.unwrap().path()).collect();
    files.retain(|f| f.file_name().is_some_and(|n| n.to_string_lossy().starts_with(prefix)));
    files.sort();
    let options = || serde_saphyr::options! { strict_booleans: true };
    let read = |f: &PathBuf| std::fs::read_to_string(f).unwrap();
    files.iter().map(|f| serde_saphyr::from_str_with_options(&read(f), options()).unwrap()).collect()
}

async fn apply(stage: &Stage, api_version: &str, kind: &str, object: &Value) -> String {
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let api: kube::Api<DynamicObject> =
        kube::Api::all_with(stage.client.clone(), &builders::resource(api_version, kind));
    api.patch(&name, &PatchParams::apply("test").force(), &Patch::Apply(object))
        .await
        .unwrap_or_else(|e| panic!("{name}: {e}"));
    name
}

/// A name that a pattern is for: its literal characters, and digits for what is not one.
fn fitting(pattern: &str) -> String {
    let literal: String = pattern.replace("\\d", "1").replace("\\w", "1").replace("[0-9]", "1").replace('.', "1");
    literal
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect::<String>()
        .trim_end_matches('-')
        .to_owned()
        + if pattern.ends_with('-') { "-1" } else { "" }
}

#[tokio::test]
async fn every_action_set_and_template_of_the_field_is_available_and_its_clusters_get_policies() {
    let Some(corpus) = test_kit::shared_file("corpus") else {
        println!("SKIPPED(shared missing): 27 cases");
        return;
    };
    let (stage, _) = stage("driver-corpus").await;
    install_kinds(stage.server).await;
    let group = builders::DP_API;
    let mut sets = Vec::new();
    for object in documents(&corpus, "actionset-") {
        sets.push(apply(&stage, group, "ActionSet", &object).await);
    }
    for name in &sets {
        until_phase(&stage.client, "ActionSet", "", name, "Available").await;
    }
    let mut definitions = BTreeSet::new();
    for object in documents(&corpus, "componentdefinition-") {
        definitions.insert(apply(&stage, APPS_API, "ComponentDefinition", &object).await);
    }
    let mut templates = Vec::new();
    for object in documents(&corpus, "backuppolicytemplate-") {
        for pattern in object["spec"]["compDefs"].as_array().unwrap() {
            let name = fitting(pattern.as_str().unwrap());
            apply(
                &stage,
                APPS_API,
                "ComponentDefinition",
                &json!({"apiVersion": APPS_API, "kind": "ComponentDefinition",
                "metadata": {"name": name}, "spec": {}}),
            )
            .await;
            definitions.insert(name);
        }
        templates.push(apply(&stage, group, "BackupPolicyTemplate", &object).await);
    }
    let mut clusters = 0;
    for name in &templates {
        let object = until_phase(&stage.client, "BackupPolicyTemplate", "", name, "Available").await;
        let template: BackupPolicyTemplate = serde_json::from_value(serde_json::to_value(&object).unwrap()).unwrap();
        let matched = template.status.clone().unwrap().matched_comp_defs;
        assert!(!matched.is_empty(), "{name} is for none of {definitions:?}");
        for definition in matched {
            clusters += 1;
            cluster_of(&stage, &template, &definition, &format!("k{clusters}")).await;
        }
    }
    println!(
        "corpus: {} ActionSets, {} BackupPolicyTemplates Available, {clusters} Clusters",
        sets.len(),
        templates.len()
    );
    assert!(sets.len() >= 15 && templates.len() >= 12 && clusters >= templates.len());
}

/// A Cluster of that definition, three pods and a version of the template's, and what the driver makes of it.
async fn cluster_of(stage: &Stage, template: &BackupPolicyTemplate, definition: &str, name: &str) {
    let mapped = || template.spec.backup_methods.iter().flat_map(|m| &m.env).filter_map(|e| e.value_from.as_ref());
    let version = mapped().flat_map(|f| &f.version_mapping).flat_map(|m| &m.service_versions).next().cloned();
    let part = json!({"name": "db", "componentDef": definition, "replicas": 3, "serviceVersion": version});
    cluster_alone(stage, name, &json!({"terminationPolicy": "Delete", "componentSpecs": [part]})).await;
    component(stage, name, &part).await;
    let policy =
        until_phase(&stage.client, "BackupPolicy", &stage.namespace, &format!("{name}-db-backup-policy"), "Available")
            .await;
    assert_eq!(policy.annotations()["apps.kubeblocks.io/backup-policy-template"], template.name_any());
    let policy: BackupPolicy = serde_json::from_value(serde_json::to_value(&policy).unwrap()).unwrap();
    assert_eq!(policy.spec.backup_methods.len(), template.spec.backup_methods.len(), "{definition}");
    let wanted = template.spec.target.clone().unwrap_or_default();
    let target = policy.spec.target.as_ref().unwrap();
    let labels = &target.pod_selector.as_ref().unwrap().match_labels;
    assert_eq!(labels.get("kubeblocks.io/role").map(String::as_str).unwrap_or_default(), wanted.role, "{definition}");
    let secret = wanted.account.map(|a| format!("{name}-db-account-{}", a.replace('_', "-")));
    assert_eq!(target.connection_credential.as_ref().map(|c| c.secret_name.clone()), secret, "{definition}");
    for (made, from) in policy.spec.backup_methods.iter().zip(&template.spec.backup_methods) {
        assert_eq!((&made.name, &made.action_set_name), (&from.name, &from.action_set_name));
        assert_eq!((&made.target_volumes, &made.compatible_method), (&from.target_volumes, &from.compatible_method));
        assert_eq!(made.target.is_some(), from.target.is_some(), "{definition} {}", made.name);
        for variable in &from.env {
            let value = made.env.iter().find(|e| e.name == variable.name).and_then(|e| e.value.clone());
            let exact = variable.value_from.iter().flat_map(|f| &f.version_mapping);
            let exact = exact.filter(|m| version.as_ref().is_some_and(|v| m.service_versions.contains(v)));
            let exact = exact.map(|m| m.mapped_value.clone()).next();
            assert!(exact.is_none() || value == exact, "{definition} {}: {value:?} ≠ {exact:?}", variable.name);
            assert!(variable.value.is_none() || value == variable.value, "{definition} {}", variable.name);
        }
    }
    if template.spec.schedules.is_empty() {
        return;
    }
    let schedule = until(stage, "BackupSchedule", &format!("{name}-db-backup-schedule"), |_| true).await;
    let schedule: BackupSchedule = serde_json::from_value(serde_json::to_value(&schedule).unwrap()).unwrap();
    assert_eq!(schedule.spec.backup_policy_name, policy.name_any());
    let entry = |s: &api_types::dp::SchedulePolicy| {
        (
            s.name().to_owned(),
            s.enabled(),
            s.backup_method.clone(),
            s.cron_expression.clone(),
            s.retention_period().to_owned(),
        )
    };
    let made: Vec<_> = schedule.spec.schedules.iter().map(entry).collect();
    assert_eq!(made, template.spec.schedules.iter().map(entry).collect::<Vec<_>>(), "{definition}");
}
