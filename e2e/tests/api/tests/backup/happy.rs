//! Backups that work: status, labels, several pods, long names.

use api_types::contract::{annotations, labels};
use e2e_api::backups::{
    backup, database, delete, job_names, jobs, policy, told, until_backup, until_gone, until_job, until_no_job,
    until_running,
};
use e2e_api::objects::{self, dp, prepare_data};
use e2e_api::populate::pods_end;
use e2e_api::{PATIENCE, REPO, stage};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{EnvVar, Secret};
use kube::ResourceExt;
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::{Outcome, wait};

const HOUR: i64 = 3600;

fn instant(value: &Value) -> Timestamp {
    value.as_str().and_then(|t| t.parse().ok()).unwrap_or_else(|| panic!("no instant: {value}"))
}

#[tokio::test]
async fn a_backup_by_job_says_everything_about_itself() {
    let (stage, company) = stage("happy").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    let message = told("1024", "2026-11-21T00:00:00Z", "2026-11-21T00:00:10Z");
    let ours = stage.namespace.clone();
    company
        .executor
        .plan_with(move |p| (p.namespace().as_deref() == Some(&ours)).then(|| Outcome::succeed_with(message.clone())));
    backup(&stage, "b", |spec| spec["retentionPeriod"] = json!("1d2h")).await;
    let done = until_backup(&stage, "b", "Completed").await;
    let status = &done.data["status"];

    assert_eq!(status["formatVersion"], "0.1.0");
    assert_eq!(status["path"], format!("/{}/db/b", stage.namespace));
    assert_eq!(status["backupRepoName"], REPO);
    assert_eq!(status["backupMethod"]["actionSetName"], actions.as_str());
    assert_eq!(status["backupMethod"]["targetVolumes"]["volumeMounts"][0]["mountPath"], "/data");
    assert_eq!(status["target"]["selectedTargetPods"], json!(["db-0"]));
    assert_eq!(status["target"]["podSelector"]["matchLabels"], json!({"app": "db"}));
    assert_eq!(status.get("targets"), None, "one target is `target`");

    let uid = done.uid().unwrap();
    let action = &status["actions"][0];
    assert_eq!(status["actions"].as_array().map(Vec::len), Some(1));
    assert_eq!((&action["name"], &action["phase"]), (&json!("dp-backup-0"), &json!("Completed")));
    assert_eq!((&action["actionType"], &action["targetPodName"]), (&json!("Job"), &json!("db-0")));
    let reference = &action["objectRef"];
    assert_eq!((&reference["kind"], &reference["apiVersion"]), (&json!("Job"), &json!("batch/v1")));
    assert_eq!(reference["name"], format!("dp-backup-0-b-{}", &uid[..8]));
    assert_eq!(reference["namespace"], stage.namespace.as_str());
    assert!(reference["uid"].is_string(), "{reference}");

    assert_eq!(status["totalSize"], "1024");
    assert_eq!(status["timeRange"]["start"], "2026-11-21T00:00:00Z");
    assert_eq!(status["timeRange"]["end"], "2026-11-21T00:00:10Z");
    assert_eq!(status["timeRange"]["timeZone"], "+08:00");
    assert_eq!(status["extras"], json!([{"gtid": "1-2"}]));
    let completed = instant(&status["completionTimestamp"]);
    assert!(completed >= instant(&status["startTimestamp"]));
    assert_eq!(instant(&status["expiration"]).as_second(), completed.as_second() + 26 * HOUR);
    assert!(status["duration"].as_str().is_some_and(|d| d.ends_with('s')), "{}", status["duration"]);
    assert_eq!(status.get("conditions"), None, "nothing blocks a completed backup");

    let own = done.labels();
    assert_eq!(own[labels::BACKUP_TYPE], "Full");
    assert_eq!(own[labels::BACKUP_POLICY], "policy");
    assert_eq!(own[labels::BACKUP_REPO_NAME], REPO);
    assert_eq!(own[labels::MANAGED_BY], labels::MANAGED_BY_DP);
    assert!(!own.contains_key(labels::WAIT_REPO_PREPARATION), "the handshake is over");
    assert_eq!(done.finalizers(), ["dataprotection.kubeblocks.io/finalizer"]);
    let claim = status["persistentVolumeClaimName"].as_str().unwrap();
    assert!(objects::claims(&stage).get(claim).await.is_ok(), "the repository's claim came into the namespace");
    until_no_job(&stage, "dp-backup").await;
    let ran = company.executor.written_to(&stage.namespace, claim);
    assert_eq!(ran.len(), 1, "one pod ran: {ran:?}");
}

#[tokio::test]
async fn the_repository_is_asked_for_by_label_and_answers_by_taking_it_off() {
    let (stage, company) = stage("handshake").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "b", |_| {}).await;
    until_backup(&stage, "b", "Completed").await;
    let of_backup = |e: &test_kit::JournalEntry| {
        e.request.namespace == stage.namespace && e.request.resource == "backups" && e.request.subresource.is_empty()
    };
    let bodies: Vec<String> = company.proxy.writes().into_iter().filter(of_backup).map(|e| e.body).collect();
    let asks = bodies.iter().position(|b| b.contains(r#""dataprotection.kubeblocks.io/wait-repo-preparation":"true""#));
    let answers =
        bodies.iter().position(|b| b.contains(r#""dataprotection.kubeblocks.io/wait-repo-preparation":null"#));
    assert!(asks.is_some() && asks < answers, "{bodies:#?}");
}

/// A full update of what another manager owns took its fields over, and lost what was changed meanwhile.
#[tokio::test]
async fn rule_50_labels_and_finalizers_are_patched_against_what_was_seen() {
    let (stage, company) = stage("optimistic").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "b", |_| {}).await;
    until_backup(&stage, "b", "Completed").await;
    let of_backup =
        |e: &test_kit::JournalEntry| e.request.namespace == stage.namespace && e.request.resource == "backups";
    let writes: Vec<_> = company.proxy.writes().into_iter().filter(of_backup).collect();
    assert!(writes.iter().all(|w| w.request.method.as_str() == "PATCH"), "no full update");
    let mut with_finalizer = 0;
    for write in writes.iter().filter(|w| w.request.subresource.is_empty()) {
        let body: serde_json::Value = serde_json::from_str(&write.body).unwrap();
        let fields: Vec<&String> = body.as_object().unwrap().keys().collect();
        assert_eq!(fields, ["metadata"], "{body}");
        if body["metadata"]["finalizers"].is_array() {
            assert!(body["metadata"]["resourceVersion"].is_string() && body["metadata"]["uid"].is_string(), "{body}");
            with_finalizer += usize::from(write.was_done()); // one that was overtaken is made again
        }
    }
    assert_eq!(with_finalizer, 1, "added once: {}", company.proxy.journal());
}

#[tokio::test]
async fn bd6_sizes_of_several_pods_add_up_and_their_ranges_span() {
    let (stage, company) = stage("all").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    policy(&stage, &actions, |spec| spec["target"]["podSelector"]["strategy"] = json!("All")).await;
    let ours = stage.namespace.clone();
    company.executor.plan_with(move |p| {
        if p.namespace().as_deref() != Some(&ours) {
            return None;
        }
        let first = p.labels().get("batch.kubernetes.io/job-name")?.starts_with("dp-backup-0-");
        Some(Outcome::succeed_with(if first {
            told("1000", "2026-11-21T00:00:05Z", "2026-11-21T00:00:20Z")
        } else {
            told("24", "2026-11-21T00:00:00Z", "2026-11-21T00:00:10Z")
        }))
    });
    backup(&stage, "b", |_| {}).await;
    let done = until_backup(&stage, "b", "Completed").await;
    let status = &done.data["status"];
    assert_eq!(status["target"]["selectedTargetPods"], json!(["db-0", "db-1"]));
    let names: Vec<&Value> = status["actions"].as_array().unwrap().iter().map(|a| &a["name"]).collect();
    assert_eq!(names, ["dp-backup-0", "dp-backup-1"]);
    let sizes: Vec<&Value> = status["actions"].as_array().unwrap().iter().map(|a| &a["totalSize"]).collect();
    assert_eq!(sizes, ["1000", "24"]);
    assert_eq!(status["totalSize"], "1024");
    assert_eq!(status["timeRange"]["start"], "2026-11-21T00:00:00Z");
    assert_eq!(status["timeRange"]["end"], "2026-11-21T00:00:20Z");
}

#[tokio::test]
async fn each_pod_of_strategy_all_has_a_path_of_its_own() {
    let (stage, company) = stage("paths").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    policy(&stage, &actions, |spec| {
        let mut target = spec["target"].take();
        target["name"] = json!("shard");
        target["podSelector"]["strategy"] = json!("All");
        spec.as_object_mut().unwrap().remove("target");
        spec["targets"] = json!([target]);
    })
    .await;
    e2e_api::populate::pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    for (i, pod) in ["db-0", "db-1"].iter().enumerate() {
        let job = until_job(&stage, &format!("dp-backup-shard-{i}-b-")).await;
        let env = job.spec.unwrap().template.spec.unwrap().containers[0].env.clone().unwrap();
        let value = |name: &str| env.iter().rev().find(|v| v.name == name).and_then(|v| v.value.clone()).unwrap();
        assert_eq!(value("DP_BACKUP_BASE_PATH"), format!("/{}/db/b/shard/{pod}", stage.namespace));
        assert_eq!(value("DP_TARGET_POD_NAME"), *pod);
    }
    e2e_api::populate::pods_end(&stage, company, Outcome::succeed());
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"].get("target"), None);
    assert_eq!(done.data["status"]["targets"][0]["selectedTargetPods"], json!(["db-0", "db-1"]));
}

#[tokio::test]
async fn bd7_long_names_that_share_their_beginning_do_not_share_a_job() {
    let (stage, company) = stage("names").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| spec["backoffLimit"] = json!(0)).await;
    let common = "a".repeat(60);
    let exactly = "b".repeat(63); // a label value can be no longer
    let names = [format!("{common}-0123456789-first"), format!("{common}-0123456789-second"), exactly];
    e2e_api::populate::pods_end(&stage, company, Outcome::Hold);
    for name in &names {
        backup(&stage, name, |_| {}).await;
    }
    let jobs = wait::eventually(PATIENCE, "three Jobs", async || {
        let jobs = job_names(&stage, "dp-backup-0-").await;
        if jobs.len() == 3 { Ok(jobs) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    assert!(jobs.iter().all(|j| j.len() <= 63), "{jobs:?}");
    for job in &jobs {
        until_running(&stage, job).await;
    }
    // The first fails, which must not reach the others.
    let first = until_backup(&stage, &names[0], "Running").await;
    let failing = first.data["status"]["actions"][0]["objectRef"]["name"].as_str().unwrap().to_owned();
    let ours = stage.namespace.clone();
    company.executor.plan_with(move |p| {
        let ends = p.namespace().as_deref() == Some(&ours);
        let fails = p.labels().get("batch.kubernetes.io/job-name") == Some(&failing);
        ends.then(|| if fails { Outcome::fail(1, "no") } else { Outcome::succeed_with(told("7", "", "")) })
    });
    until_backup(&stage, &names[0], "Failed").await;
    for name in &names[1..] {
        let done = until_backup(&stage, name, "Completed").await;
        assert_eq!(done.data["status"]["totalSize"], "7", "{name}: its own pod's message was read");
    }
}

#[tokio::test]
async fn bd5_what_an_action_reports_sets_no_other_field() {
    let (stage, company) = stage("allowlist").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    let message = json!({"v": 1, "exit": 0, "reason": "Ok", "elapsedMs": 1, "phase": "Failed", "info": {
        "totalSize": "5", "phase": "Failed", "path": "/elsewhere", "backupRepoName": "other", "expiration": "2020-01-01T00:00:00Z",
    }});
    e2e_api::populate::pods_end(&stage, company, Outcome::succeed_with(message.to_string()));
    backup(&stage, "b", |_| {}).await;
    let done = until_backup(&stage, "b", "Completed").await;
    let status = &done.data["status"];
    assert_eq!((&status["totalSize"], &status["backupRepoName"]), (&json!("5"), &json!(REPO)));
    assert_eq!(status["path"], format!("/{}/db/b", stage.namespace));
    assert_eq!(status.get("expiration"), None, "no retention, kept for ever");
}

#[tokio::test]
async fn a_backup_that_asks_to_be_left_alone_is() {
    let (stage, _) = stage("skip").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    let annotations = json!({annotations::SKIP_RECONCILIATION: "True"});
    let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    objects::create(&stage, "Backup", "b", &annotations, &spec).await;
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::stays(Duration::from_secs(1), "untouched", async || {
        let seen = api.get("b").await.map_err(|e| e.to_string())?;
        let touched = seen.data.get("status").is_some() || !seen.finalizers().is_empty();
        if touched { Err(format!("{:?}", seen.data["status"])) } else { Ok(()) }
    })
    .await;
}

/// Values of a Job's variables; of those from a Secret its name and key.
fn storage_env(job: &Job) -> Value {
    let spec = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let wanted = ["DATASAFED_KOPIA_REPO_ROOT", "DATASAFED_ENCRYPTION_ALGORITHM", "DATASAFED_ENCRYPTION_PASS_PHRASE"];
    let all = spec.containers[0].env.iter().flatten().filter(|v| wanted.contains(&v.name.as_str()));
    let value = |v: &EnvVar| match (&v.value, v.value_from.as_ref().and_then(|f| f.secret_key_ref.as_ref())) {
        (Some(value), _) => json!(value),
        (None, from) => json!(from),
    };
    Value::Object(all.map(|v| (v.name.clone(), value(v))).collect())
}

/// Contract-dp §10: what the policy says of deduplication and encryption is recorded, and is in force for this backup
/// whatever the policy says later: its data is deleted as it was written.
#[tokio::test]
async fn deduplication_and_encryption_are_recorded_and_reach_each_job() {
    let (stage, company) = stage("kopia").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let phrase = json!({"name": "phrase", "key": "p"});
    policy(&stage, &actions, |spec| {
        spec["useKopia"] = json!(true);
        spec["encryptionConfig"] = json!({"algorithm": "AES-192-CFB", "passPhraseSecretKeyRef": phrase});
    })
    .await;
    let secret: Secret =
        serde_json::from_value(json!({"metadata": {"name": "phrase"}, "stringData": {"p": "words"}})).unwrap();
    let secrets: kube::Api<Secret> = kube::Api::namespaced(stage.client.clone(), &stage.namespace);
    secrets.create(&kube::api::PostParams::default(), &secret).await.unwrap();
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    let root = format!("/{}/db/kopia", stage.namespace);
    let wanted = json!({"DATASAFED_KOPIA_REPO_ROOT": root, "DATASAFED_ENCRYPTION_ALGORITHM": "AES-192-CFB",
        "DATASAFED_ENCRYPTION_PASS_PHRASE": phrase});
    assert_eq!(storage_env(&until_job(&stage, "dp-backup-0-b").await), wanted);
    let api = dp(&stage.client, "BackupPolicy", &stage.namespace);
    let off = json!({"spec": {"useKopia": false, "encryptionConfig": null}});
    api.patch("policy", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(off)).await.unwrap();
    pods_end(&stage, company, Outcome::succeed());
    let status = until_backup(&stage, "b", "Completed").await.data["status"].clone();
    assert_eq!(status["kopiaRepoPath"], root);
    assert_eq!(status["encryptionConfig"], json!({"algorithm": "AES-192-CFB", "passPhraseSecretKeyRef": phrase}));
    pods_end(&stage, company, Outcome::Hold);
    delete(&stage, "Backup", "b").await;
    let deleter = wait::eventually(PATIENCE, "the Job that deletes", async || {
        let all = jobs(&stage).list(&kube::api::ListParams::default()).await.map_err(|e| e.to_string())?.items;
        all.into_iter().find(|j| j.name_any().contains("-delete-b")).ok_or_else(|| "none".to_owned())
    })
    .await;
    assert_eq!(storage_env(&deleter), wanted, "as it was written");
    pods_end(&stage, company, Outcome::succeed());
    until_gone(&stage, "Backup", "b").await;
}
