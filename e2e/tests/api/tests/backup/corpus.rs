//! Every ActionSet of the field, unmodified, through the controllers: what its actions run as has the env and the mounts
//! of contract-dp §10.

use e2e_api::backups::{database, exec_jobs, jobs, policy, scheduled};
use e2e_api::objects::{apply_cluster, create, dp};
use e2e_api::populate::pods_end;
use e2e_api::{PATIENCE, Stage, stage};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::PodSpec;
use kube::Api;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use test_kit::{Outcome, wait};

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("the corpus").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else if path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with("actionset-")) {
            found.push(path);
        }
    }
}

/// Our own, one of each type, so that the rule is covered without the corpus.
fn fixtures() -> Vec<(String, Value)> {
    let data = json!({"image": "docker.io/local/busybox:$(TAG)", "runOnTargetPodNode": true, "command": ["sh", "-c", "x"],
        "syncProgress": {"enabled": true, "intervalSeconds": 5}});
    let of = |type_: &str| json!({"backupType": type_, "env": [{"name": "TAG", "value": "1"}], "backup": {"backupData": data.clone()}});
    ["Full", "Continuous", "Incremental", "Selective"].map(|t| (format!("own-{}", t.to_lowercase()), of(t))).into()
}

fn all() -> Vec<(String, Value)> {
    let Some(shared) = test_kit::shared_dir() else {
        println!("SKIPPED(shared missing): ActionSets of the corpus");
        return fixtures();
    };
    let mut found = Vec::new();
    files(&shared.join("corpus"), &mut found);
    found.sort();
    let options = serde_saphyr::options! { strict_booleans: true };
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).expect("an ActionSet");
        let object: Value = serde_saphyr::from_str_with_options(&text, options.clone()).expect("YAML");
        let name = path.file_stem().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        (name.trim_start_matches("actionset-").to_owned(), object["spec"].clone())
    };
    fixtures().into_iter().chain(found.iter().map(read)).collect()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or_default()
}

/// The pod of the data action, once it is there, or why there never will be one.
async fn pod_of(stage: &Stage, backup: &str, continuous: bool) -> Result<PodSpec, String> {
    wait::eventually(PATIENCE, &format!("what {backup} runs as"), async || {
        let seen = dp(&stage.client, "Backup", &stage.namespace).get(backup).await.map_err(|e| e.to_string())?;
        if seen.data["status"]["phase"] == "Failed" {
            return Ok(Err(text(&seen.data, "/status/failureReason").to_owned()));
        }
        let names = seen.data["status"]["actions"].as_array().cloned().unwrap_or_default();
        let of_data = |a: &&Value| text(a, "/name").starts_with("dp-backup");
        let name = names.iter().find(of_data).map(|a| text(a, "/objectRef/name").to_owned()).unwrap_or_default();
        if name.is_empty() {
            return Err(seen.data["status"].to_string());
        }
        let pod = if continuous {
            let sets: Api<StatefulSet> = Api::namespaced(stage.client.clone(), &stage.namespace);
            sets.get(&name).await.map_err(|e| e.to_string())?.spec.and_then(|s| s.template.spec)
        } else {
            jobs(stage).get(&name).await.map_err(|e| e.to_string())?.spec.and_then(|s| s.template.spec)
        };
        pod.map(Ok).ok_or_else(|| "no pod".to_owned())
    })
    .await
}

#[tokio::test]
async fn every_action_set_of_the_corpus_runs_with_the_contracts_env_and_mounts() {
    let (stage, company) = stage("corpus").await;
    database(&stage, "db-0").await;
    let sets = all();
    for (name, spec) in &sets {
        apply_cluster(&stage.client, "ActionSet", &format!("corpus-{name}"), spec).await;
    }
    let method = |name: &str, set: &str, compatible: Option<&str>| {
        let mut method = json!({"name": name, "actionSetName": set,
            "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]},
            "env": [{"name": "OF_METHOD", "value": name}]});
        if let Some(compatible) = compatible {
            method["compatibleMethod"] = json!(compatible);
        }
        method
    };
    policy(&stage, "corpus-own-full", |policy| {
        let others = sets.iter().map(|(name, _)| method(name, &format!("corpus-{name}"), Some("own-full")));
        policy["backupMethods"] = others.collect();
    })
    .await;
    let entries: Vec<Value> = sets
        .iter()
        .map(|(name, _)| json!({"backupMethod": name, "cronExpression": "*/5 * * * *", "enabled": true}))
        .collect();
    create(
        &stage,
        "BackupSchedule",
        "schedule",
        &json!({}),
        &json!({"backupPolicyName": "policy", "schedules": entries}),
    )
    .await;
    // The full one that the incremental ones build on.
    scheduled(&stage, "own-full", "own-full").await;
    e2e_api::backups::until_backup(&stage, "own-full", "Completed").await;
    pods_end(&stage, company, Outcome::Hold);
    let (mut jobs, mut archives, mut refused) = (0, 0, Vec::new());
    for (name, spec) in sets.iter().filter(|(name, _)| name != "own-full") {
        let backup = format!("b-{name}");
        let hooks =
            ["preBackup", "postBackup"].iter().any(|h| spec["backup"][h].as_array().is_some_and(|a| !a.is_empty()));
        assert!(!hooks, "{name}: its hooks would have to be ended first");
        scheduled(&stage, &backup, name).await;
        let continuous = text(spec, "/backupType") == "Continuous";
        let pod = match pod_of(&stage, &backup, continuous).await {
            Ok(pod) => pod,
            Err(why) => {
                // Only an ActionSet that can not back up is refused.
                assert!(spec["backup"]["backupData"].is_null() && why.contains("NoBackupAction"), "{name}: {why}");
                refused.push(name.clone());
                continue;
            }
        };
        assert_pod(name, spec, &stage, &backup, &pod, continuous);
        if continuous { archives += 1 } else { jobs += 1 }
    }
    println!("corpus: {jobs} Jobs, {archives} StatefulSets, without a backup half: {refused:?}");
    assert!(jobs + archives >= 3, "nothing was looked at");
    assert!(exec_jobs(&stage).await.is_empty());
}

fn assert_pod(name: &str, spec: &Value, stage: &Stage, backup: &str, pod: &PodSpec, continuous: bool) {
    let data = &spec["backup"]["backupData"];
    let container = &pod.containers[0];
    let env = container.env.clone().unwrap_or_default();
    let value = |of: &str| env.iter().rev().find(|v| v.name == of).map(|v| v.value.clone().unwrap_or_default());
    let base = format!("/{}/db/{backup}", stage.namespace);
    for (variable, wanted) in [
        ("DP_BACKUP_NAME", backup),
        ("DP_TARGET_POD_NAME", "db-0"),
        ("DP_BACKUP_BASE_PATH", base.as_str()),
        ("DP_BACKUP_INFO_FILE", "/dp-manager/backup.info"),
        ("DP_TTL", "8d"),
        ("KB_NAMESPACE", stage.namespace.as_str()),
        ("OF_METHOD", name),
        ("DATASAFED_LOCAL_BACKEND_PATH", "/backupdata"),
        ("DP_DATASAFED_BIN_PATH", "/bin/datasafed"),
    ] {
        assert_eq!(value(variable).as_deref(), Some(wanted), "{name}: {variable}");
    }
    assert!(value("DP_DB_HOST").is_some() && value("DP_DB_PORT").is_some(), "{name}: rule 22");
    // The ActionSet's own come after those of the target, in its order, and before those of the method.
    let own: Vec<&str> = spec["env"].as_array().into_iter().flatten().map(|v| text(v, "/name")).collect();
    let after_port = env.iter().position(|v| v.name == "DP_DB_PORT").unwrap() + 1;
    let there: Vec<&str> = env[after_port..].iter().map(|v| v.name.as_str()).take(own.len()).collect();
    assert_eq!(there, own, "{name}: env of the ActionSet");
    let incremental = text(spec, "/backupType") == "Incremental";
    assert_eq!(value("DP_PARENT_BACKUP_NAME").is_some(), incremental, "{name}");
    if incremental {
        assert_eq!(value("DP_BASE_BACKUP_NAME").as_deref(), Some("own-full"), "{name}");
        assert_eq!(value("DP_BACKUP_ROOT_PATH"), Some(format!("/{}/db", stage.namespace)), "{name}");
    }
    assert_eq!(value("DP_ARCHIVE_INTERVAL").is_some(), continuous, "{name}");
    let image = container.image.as_deref().unwrap_or_default();
    let unexpanded = own.iter().any(|v| image.contains(&format!("$({v})")));
    assert!(!image.is_empty() && !unexpanded, "{name}: {image}");
    let command: Vec<&str> = container.command.iter().flatten().map(String::as_str).collect();
    let of_set: Vec<&str> = data["command"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    assert_eq!(command[..3], ["/bin/datasafed/datasafed", "run", "--"], "{name}");
    assert_eq!(command[3..], of_set, "{name}");
    let mounts: Vec<(&str, &str)> =
        container.volume_mounts.iter().flatten().map(|m| (m.name.as_str(), m.mount_path.as_str())).collect();
    let on_node = data["runOnTargetPodNode"] == true;
    for (mount, wanted) in [
        (("manager-shared-volume", "/dp-manager"), true),
        (("dp-backup-data", "/backupdata"), true),
        (("dp-datasafed-bin", "/bin/datasafed"), true),
        (("data", "/data"), on_node),
        (("holdfast-backup-object", "/holdfast"), !continuous),
    ] {
        assert_eq!(mounts.contains(&mount), wanted, "{name}: {mount:?} in {mounts:?}");
    }
    let node = pod.node_selector.as_ref().and_then(|s| s.get("kubernetes.io/hostname"));
    assert_eq!(node.is_some(), on_node, "{name}");
    let synced = continuous || data["syncProgress"]["enabled"] == true;
    let sidecars: Vec<String> = pod.init_containers.iter().flatten().map(|c| c.name.clone()).collect();
    assert_eq!(sidecars.contains(&"manager".to_owned()), synced, "{name}: {sidecars:?}");
    assert_eq!(pod.restart_policy.as_deref(), Some(if continuous { "Always" } else { "Never" }), "{name}");
    assert_eq!(pod.service_account_name.as_deref(), Some("kubeblocks-dataprotection-worker"), "{name}");
}
