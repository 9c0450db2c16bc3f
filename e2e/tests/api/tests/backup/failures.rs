//! What fails a backup for good, and what its user is told.

use e2e_api::backups::{
    backup, database, job_names, jobs, pods, policy, told_failure, until_backup, until_job, until_running,
};
use e2e_api::objects::{action_set, apply_cluster, prepare_data};
use e2e_api::populate::pods_end;
use e2e_api::stage;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{DeleteParams, PostParams};
use serde_json::{Value, json};
use test_kit::builders;
use test_kit::{Outcome, wait};

/// Why a Failed backup failed.
fn reason(backup: &kube::api::DynamicObject) -> String {
    backup.data["status"]["failureReason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn bd3_an_action_that_fails_says_why_and_shows_its_last_output() {
    let (stage, company) = stage("fails").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| spec["backoffLimit"] = json!(0)).await;
    let message = told_failure(3, "the action failed", "pg_basebackup: error: connection refused");
    pods_end(&stage, company, Outcome::fail(3, message));
    backup(&stage, "b", |_| {}).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = reason(&failed);
    for part in ["dp-backup-0", "the action failed", "exit code 3", "pg_basebackup: error: connection refused"] {
        assert!(why.contains(part), "{part} is not in: {why}");
    }
    let action = &failed.data["status"]["actions"][0];
    assert_eq!(action["phase"], "Failed");
    assert!(action["failureReason"].as_str().is_some_and(|w| w.contains("connection refused")), "{action}");
    assert!(failed.data["status"]["completionTimestamp"].is_string());
    assert_eq!(job_names(&stage, "dp-backup").await.len(), 1, "the Job of a failed backup stays for a look");
}

#[tokio::test]
async fn bd3_a_container_killed_for_memory_fails_the_backup_and_is_named() {
    let (stage, company) = stage("oom").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| spec["backoffLimit"] = json!(0)).await;
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    let job = until_job(&stage, "dp-backup-0-b").await;
    let pod = until_running(&stage, &job.name_any()).await;
    // Nothing could write a termination message: the kernel killed the wrapper itself.
    let killed = json!({"phase": "Failed", "containerStatuses": [{
        "name": "backupdata", "image": "i", "imageID": "", "restartCount": 0, "ready": false,
        "state": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}}]});
    builders::set_status(&pods(&stage), &pod.name_any(), &killed).await;
    let why = reason(&until_backup(&stage, "b", "Failed").await);
    for part in ["backupdata", "more memory than its limit", &pod.name_any()] {
        assert!(why.contains(part), "{part} is not in: {why}");
    }
}

#[tokio::test]
async fn rule_3_one_pod_that_fails_fails_the_backup_after_the_others_have_ended() {
    let (stage, company) = stage("partly").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    policy(&stage, &actions, |spec| {
        spec["backoffLimit"] = json!(0);
        spec["target"]["podSelector"]["strategy"] = json!("All");
    })
    .await;
    let (ours, second) = (stage.namespace.clone(), std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let may_end = std::sync::Arc::clone(&second);
    company.executor.plan_with(move |p| {
        if p.namespace().as_deref() != Some(&ours) {
            return None;
        }
        let first = p.labels().get("batch.kubernetes.io/job-name")?.starts_with("dp-backup-0-");
        let done = may_end.load(std::sync::atomic::Ordering::Relaxed);
        Some(match (first, done) {
            (true, _) => Outcome::fail(1, told_failure(1, "broken", "")),
            (false, false) => Outcome::Hold,
            (false, true) => Outcome::succeed(),
        })
    });
    backup(&stage, "b", |_| {}).await;
    wait::eventually(e2e_api::PATIENCE, "the first has failed, the second runs", async || {
        let seen = e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace).get("b").await;
        let status = seen.map_err(|e| e.to_string())?.data["status"].clone();
        let phases: Vec<&Value> = status["actions"].as_array().into_iter().flatten().map(|a| &a["phase"]).collect();
        if phases == ["Failed", "Running"] && status["phase"] == "Running" { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    second.store(true, std::sync::atomic::Ordering::Relaxed);
    company.executor.plan_times("nobody", 1, Outcome::Hold); // the plan is looked at again
    let failed = until_backup(&stage, "b", "Failed").await;
    let phases: Vec<&Value> =
        failed.data["status"]["actions"].as_array().unwrap().iter().map(|a| &a["phase"]).collect();
    assert_eq!(phases, ["Failed", "Completed"]);
    assert!(reason(&failed).contains("broken"), "{}", reason(&failed));
}

#[tokio::test]
async fn what_can_never_work_is_refused_with_the_field() {
    let (stage, _) = stage("refused").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    let unfit = format!("unfit-{}", stage.namespace);
    let only_restore = json!({"backupType": "Full", "restore": prepare_data()});
    apply_cluster(&stage.client, "ActionSet", &unfit, &only_restore).await;
    policy(&stage, &actions, |spec| {
        let methods = spec["backupMethods"].as_array_mut().unwrap();
        methods.push(json!({"name": "unfit", "actionSetName": unfit}));
        let mut port = methods[0].clone();
        port["name"] = json!("port");
        port["target"] = json!({"podSelector": {"matchLabels": {"app": "db"}},
            "containerPort": {"containerName": "database", "portName": "sql"}});
        methods.push(port);
    })
    .await;
    for (name, method, parameters, parts) in [
        ("method", "none", json!([]), ["BackupMethodNotFound", "spec.backupMethod", "full, unfit, port"]),
        ("action", "unfit", json!([]), ["NoBackupAction", unfit.as_str(), "backup.backupData"]),
        ("parameter", "full", json!([{"name": "x", "value": "1"}]), ["InvalidParameters", "spec.parameters", "x"]),
        ("port", "port", json!([]), ["TargetPortNotFound", "sql", "database"]),
    ] {
        backup(&stage, name, |spec| {
            spec["backupMethod"] = json!(method);
            spec["parameters"] = parameters.clone();
        })
        .await;
        let why = reason(&until_backup(&stage, name, "Failed").await);
        for part in parts {
            assert!(why.contains(part), "{name}: {part} is not in: {why}");
        }
    }
    assert_eq!(job_names(&stage, "dp-backup").await, Vec::<String>::new(), "nothing was started");
}

#[tokio::test]
async fn a_job_of_somebody_else_under_our_name_is_left_alone() {
    let (stage, _) = stage("collision").await;
    let actions = action_set(&stage, prepare_data()).await;
    let created = backup(&stage, "b", |_| {}).await;
    let name = format!("dp-backup-0-b-{}", &created.uid().unwrap()[..8]);
    let foreign: Job = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "kubeblocks-dataprotection"}},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    }))
    .unwrap();
    let foreign = jobs(&stage).create(&PostParams::default(), &foreign).await.unwrap();
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    let why = reason(&until_backup(&stage, "b", "Failed").await);
    assert!(why.contains("JobNameCollision") && why.contains(&name), "{why}");
    let left = jobs(&stage).get(&name).await.unwrap();
    assert_eq!((left.uid(), left.spec.unwrap().suspend), (foreign.uid(), Some(true)), "untouched");
}

#[tokio::test]
async fn a_job_that_a_stranger_deletes_fails_the_backup() {
    let (stage, company) = stage("vanished").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    let job = until_job(&stage, "dp-backup-0-b").await;
    until_running(&stage, &job.name_any()).await;
    jobs(&stage).delete(&job.name_any(), &DeleteParams::background()).await.unwrap();
    let why = reason(&until_backup(&stage, "b", "Failed").await);
    assert!(why.contains("its Job was deleted before it finished"), "{why}");
    assert_eq!(job_names(&stage, "dp-backup").await, Vec::<String>::new(), "it is not made again");
}

#[tokio::test]
async fn a_job_that_the_server_refuses_fails_the_backup_with_its_words() {
    let (stage, _) = stage("invalid").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| {
        // Where the repository is mounted, too.
        spec["backupMethods"][0]["targetVolumes"]["volumeMounts"][0]["mountPath"] = json!("/backupdata");
    })
    .await;
    backup(&stage, "b", |_| {}).await;
    let why = reason(&until_backup(&stage, "b", "Failed").await);
    assert!(why.contains("JobRefused") && why.contains("must be unique"), "{why}");
}
