//! Increments, logs, and the moment to restore (behaviour-restore §7.3).

use super::{claim, condition, restore, until};
use e2e_api::backups::{job_names, until_condition, until_job, until_running};
use e2e_api::chains::{log, made, of_type};
use e2e_api::objects::{
    self, apply_cluster, completed_status, dp, message, prime_name, set_backup_status, until_phase, until_restore,
};
use e2e_api::populate::{assert_nothing_was_made, pods_end, refuse, until_execution};
use e2e_api::{Company, IMMEDIATE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::DeleteParams;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use test_kit::builders::Claim;
use test_kit::{Outcome, wait};

const PITR: &str = "apps.kubeblocks.io/restore-pitr";

async fn increment(stage: &Stage, name: &str, actions: &str, hour: u8, parent: &str) {
    made(stage, name, actions, hour, |status| {
        status["parentBackupName"] = json!(parent);
        status["baseBackupName"] = json!("f");
        status["backupMethod"]["name"] = json!("inc");
        status["backupMethod"]["compatibleMethod"] = json!("full");
    })
    .await;
}

fn env(job: &Job) -> Vec<String> {
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let all = pod.containers[0].env.iter().flatten();
    all.map(|v| format!("{}={}", v.name, v.value.clone().unwrap_or_default())).collect()
}

fn assert_has(env: &[String], wanted: &[&str]) {
    for line in wanted {
        assert!(env.iter().any(|l| l == line), "{line} is not in {env:#?}");
    }
}

/// The claim of the repository that a Job reads.
fn repo_claim(job: &Job) -> String {
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    let volume = pod.volumes.iter().flatten().find(|v| v.name == "dp-backup-data").expect("a repository");
    volume.persistent_volume_claim.as_ref().unwrap().claim_name.clone()
}

fn mounts(job: &Job) -> Vec<String> {
    let pod = job.spec.as_ref().unwrap().template.spec.as_ref().unwrap();
    pod.containers[0].volume_mounts.iter().flatten().map(|m| m.mount_path.clone()).collect()
}

#[tokio::test]
async fn restore_33_a_chain_of_three_is_one_job() {
    let (stage, company) = stage("chain").await;
    let (full, inc) = (of_type(&stage, "Full").await, of_type(&stage, "Incremental").await);
    made(&stage, "f", &full, 1, |_| {}).await;
    for (name, hour, parent) in [("i1", 2, "f"), ("i2", 3, "i1"), ("i3", 4, "i2")] {
        increment(&stage, name, &inc, hour, parent).await;
    }
    pods_end(&stage, company, Outcome::Hold);
    Claim::new("data", IMMEDIATE).from_backup("i3").create(&stage.client, &stage.namespace).await;
    let job = until_job(&stage, "restore-preparedata-").await;
    let root = format!("/{}", stage.namespace);
    assert_eq!(
        env(&job)[..9],
        [
            "DP_BACKUP_NAME=i3".to_owned(),
            "DP_TARGET_RELATIVE_PATH=".into(),
            format!("DP_BACKUP_ROOT_PATH={root}"),
            format!("DP_BACKUP_BASE_PATH={root}/i3"),
            "DP_BASE_BACKUP_NAME=f".into(),
            "DP_ANCESTOR_INCREMENTAL_BACKUP_NAMES=i1,i2".into(),
            "DP_BACKUP_STOP_TIME=2026-11-21T04:00:00Z".into(),
            "DP_BASE_BACKUP_START_TIME=2026-11-21T00:00:00Z".into(),
            "DP_BASE_BACKUP_START_TIMESTAMP=1795219200".into(),
        ]
    );
    pods_end(&stage, company, Outcome::succeed());
    let target = until_restore(&stage, "data", "True", "Succeed").await;
    e2e_api::populate::assert_filled(&stage, company, &target).await;
}

/// Pods of the Job of `backup` end so, those of others do not end.
fn only(stage: &Stage, company: &Company, backup: &'static str, outcome: Outcome) {
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| {
        let job = pod.labels().get("batch.kubernetes.io/job-name").cloned().unwrap_or_default();
        let ours = pod.namespace().as_deref() == Some(&namespace);
        ours.then(|| if job.contains(&format!("-{backup}-")) { outcome.clone() } else { Outcome::Hold })
    });
}

/// Cases 35 and 8: the newest base before the moment, then the log, strictly in that order; the base's volumes.
#[tokio::test]
async fn restore_35_8_a_claim_is_filled_from_the_base_and_then_from_the_log() {
    let (stage, company) = stage("pitr").await;
    log(&stage).await;
    pods_end(&stage, company, Outcome::Hold);
    let target = Claim::new("data", IMMEDIATE).from_backup("log").annotation(PITR, "2026-11-21T12:00:04+08:00");
    let target = target.create(&stage.client, &stage.namespace).await;
    let base = until_job(&stage, "restore-preparedata-").await;
    assert!(base.name_any().ends_with("-f3-0"), "{}", base.name_any());
    let wanted = ["DP_BACKUP_NAME=f3", "DP_RESTORE_TIME=2026-11-21T04:00:04Z", "DP_RESTORE_TIMESTAMP=1795233604"];
    assert_has(&env(&base), &wanted);
    assert!(!env(&base).iter().any(|l| l.starts_with("DP_BASE_BACKUP")), "a full one has no base");
    until_running(&stage, &base.name_any()).await;
    let execution = until_execution(&stage, &target).await;
    assert_eq!(execution.data["spec"]["restoreTime"], "2026-11-21T04:00:04Z", "as the CRD wants it");
    let recorded = execution.data["status"]["actions"]["prepareData"].clone();
    let told = |v: &Value| (v["name"].clone(), v["backupName"].clone(), v["jobUid"].is_string());
    let all: Vec<_> = recorded.as_array().unwrap().iter().map(told).collect();
    let expected = [(json!("prepareData-0"), json!("f3"), true), (json!("prepareData-1"), json!("log"), false)];
    assert_eq!(all, expected, "both are recorded before the log's Job exists");
    // One that is completed meanwhile is not taken any more.
    made(&stage, "f4", &format!("actions-{}-full", stage.namespace), 4, |_| {}).await;
    wait::stays(Duration::from_secs(1), "the log waits for the base", async || {
        let names = job_names(&stage, "").await;
        if names == [base.name_any()] { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;

    only(&stage, company, "f3", Outcome::succeed());
    let uid = execution.uid().unwrap();
    let log = until_job(&stage, &format!("restore-preparedata-{}-log-0", &uid[..8])).await;
    let then = until_execution(&stage, &target).await;
    let done = &then.data["status"]["actions"]["prepareData"][0];
    assert_eq!(done["status"], "Completed", "the base was stored as done before: {done}");
    let wanted = [
        "DP_BACKUP_NAME=log",
        "DP_BASE_BACKUP_NAME=f3",
        "DP_BACKUP_STOP_TIME=2026-11-21T14:00:00+08:00",
        "DP_BASE_BACKUP_STOP_TIME=2026-11-21T03:00:00Z",
        "DP_BASE_BACKUP_STOP_TIMESTAMP=1795230000",
        "DP_RESTORE_TIME=2026-11-21T12:00:04+08:00",
        "DP_RESTORE_TIMESTAMP=1795233604",
    ];
    assert_has(&env(&log), &wanted);
    assert!(mounts(&log).contains(&"/data".to_owned()), "where the base had it: {:?}", mounts(&log));
    let waiting = until_restore(&stage, "data", "Unknown", "PopulatingData").await;
    assert!(message(&waiting).contains("Step 2 of 2: Backup log"), "{}", message(&waiting));
    pods_end(&stage, company, Outcome::succeed());
    until_restore(&stage, "data", "True", "Succeed").await;
    let writers: Vec<String> =
        company.executor.written_to(&stage.namespace, &prime_name(&target)).into_iter().filter_map(|w| w.job).collect();
    assert_eq!(writers, [base.name_any(), log.name_any()]);
    wait::eventually(e2e_api::PATIENCE, "both Jobs go", async || {
        let left = job_names(&stage, "").await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test]
async fn restore_35_a_base_that_fails_begins_no_log() {
    let (stage, company) = stage("base-fails").await;
    log(&stage).await;
    pods_end(&stage, company, Outcome::fail(3, "no"));
    restore(&stage, |spec| {
        spec["backup"]["name"] = json!("log");
        spec["restoreTime"] = json!("2026-11-21T04:00:00Z");
        spec["backoffLimit"] = json!(0);
    })
    .await;
    let status = until(&stage, "Failed").await;
    let all = &status["actions"]["prepareData"];
    assert_eq!((&all[0]["status"], &all[1]["status"]), (&json!("Failed"), &json!("Failed")), "{all}");
    assert_eq!(all[1]["message"], "not begun: the step before it failed");
    assert_eq!(condition(&status, "PrepareData")["reason"], "Failed");
    let names = job_names(&stage, "").await;
    assert!(names.len() == 1 && names[0].ends_with("-f3-0"), "{names:?}");
}

#[tokio::test]
async fn restore_36_a_moment_outside_the_window_is_refused_with_the_window() {
    let (stage, company) = stage("window").await;
    log(&stage).await;
    let window = "2026-11-21T01:00:00Z to 2026-11-21T06:00:00Z";
    for (name, time, part) in [
        ("late", "2026-11-21T06:00:01Z", window),
        ("early", "2026-11-21T00:59:59Z", window),
        ("malformed", "soon", "\"soon\""),
    ] {
        let target = Claim::new(name, IMMEDIATE).from_backup("log").annotation(PITR, time);
        target.create(&stage.client, &stage.namespace).await;
        let refused = until_restore(&stage, name, "False", "InvalidRestoreTime").await;
        assert!(message(&refused).contains(part), "{}", message(&refused));
    }
    let timeless = Claim::new("timeless", IMMEDIATE).from_backup("log");
    timeless.create(&stage.client, &stage.namespace).await;
    let refused = until_restore(&stage, "timeless", "False", "InvalidRestoreTime").await;
    assert!(message(&refused).contains(window), "{}", message(&refused));
    restore(&stage, |spec| {
        spec["backup"]["name"] = json!("log");
        spec["restoreTime"] = json!("2026-11-21T07:00:00Z");
    })
    .await;
    let status = until(&stage, "Failed").await;
    let said = condition(&status, "ValidationPassed");
    assert_eq!(said["reason"], "InvalidRestoreTime");
    assert!(said["message"].as_str().unwrap().contains(window), "{said}");
    assert_nothing_was_made(&stage, company);
    // Both ends are inside.
    for (name, time) in [("first", "Nov 21,2026 10:00:00 UTC+0800"), ("last", "2026-11-21T06:00:00Z")] {
        let target = Claim::new(name, IMMEDIATE).from_backup("log").annotation(PITR, time);
        target.create(&stage.client, &stage.namespace).await;
        until_restore(&stage, name, "True", "Succeed").await;
    }
}

#[tokio::test]
async fn restore_34_a_parent_that_is_gone_breaks_the_chain_once_the_server_says_so() {
    let (stage, company) = stage("no-parent").await;
    let inc = of_type(&stage, "Incremental").await;
    increment(&stage, "i2", &inc, 3, "i1").await;
    let namespace = stage.namespace.clone();
    let gate = refuse(company, move |r| r.namespace == namespace && r.name == "i1");
    Claim::new("data", IMMEDIATE).from_backup("i2").create(&stage.client, &stage.namespace).await;
    wait::stays(Duration::from_secs(2), "an answer that does not come is no verdict", async || {
        let claim = objects::claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        match objects::condition(&claim, "Restore") {
            Some(c) if c.status == "False" => Err(format!("{c:?}")),
            _ => Ok(()),
        }
    })
    .await;
    gate.store(false, Ordering::SeqCst);
    let refused = until_restore(&stage, "data", "False", "BackupChainBroken").await;
    assert!(message(&refused).contains("i1 does not exist"), "{}", message(&refused));
    assert_nothing_was_made(&stage, company);
}

/// Case 50: the base in one repository, the log in another; each Job reads its own.
#[tokio::test]
async fn restore_50_every_repository_is_prepared_before_the_first_job() {
    let (stage, company) = stage("two-repos").await;
    let other = format!("other-{}", stage.namespace);
    let spec = json!({"storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": IMMEDIATE}});
    apply_cluster(&stage.client, "BackupRepo", &other, &spec).await;
    until_phase(&stage.client, "BackupRepo", "", &other, "Ready").await;
    log(&stage).await;
    let full = format!("actions-{}-full", stage.namespace);
    let mut status = completed_status(&stage, "f3", &full);
    status["completionTimestamp"] = json!("2026-11-21T03:00:00Z");
    status["backupRepoName"] = json!(other);
    set_backup_status(&stage, "f3", &status).await;
    pods_end(&stage, company, Outcome::Hold);

    // Room for one repository's claim only.
    let quotas = super::waits::quota(&stage, "1").await;
    restore(&stage, |spec| {
        spec["backup"]["name"] = json!("log");
        spec["restoreTime"] = json!("2026-11-21T04:00:00Z");
        spec["prepareDataConfig"]["volumeClaims"] = json!([claim("data")]);
    })
    .await;
    wait::eventually(e2e_api::PATIENCE, "it waits for the second repository", async || {
        let said = until_condition(&stage, "Restore", "r", "CheckBackupRepo", "WaitForBackupRepo").await;
        if said.contains("BackupRepo shared") { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(job_names(&stage, "").await, Vec::<String>::new(), "the base's repository is there, and it waits");
    quotas.delete("claims", &DeleteParams::default()).await.unwrap();
    let base = until_job(&stage, "restore-preparedata-").await;
    only(&stage, company, "f3", Outcome::succeed());
    let uid = dp(&stage.client, "Restore", &stage.namespace).get("r").await.unwrap().uid().unwrap();
    let log = until_job(&stage, &format!("restore-preparedata-{}-log-", &uid[..8])).await;
    let of = async |repo: &str| {
        let repo = dp(&stage.client, "BackupRepo", "").get(repo).await.unwrap();
        repo.data["status"]["backupPVCName"].as_str().unwrap().to_owned()
    };
    assert_eq!((repo_claim(&base), repo_claim(&log)), (of(&other).await, of("shared").await));
    pods_end(&stage, company, Outcome::succeed());
    let status = until(&stage, "Completed").await;
    assert_eq!(condition(&status, "PrepareData")["reason"], "Succeed");
    assert_eq!(company.executor.written_to(&stage.namespace, "data").len(), 2);
}

#[tokio::test]
async fn a_differential_backup_comes_after_its_full_one() {
    let (stage, company) = stage("differential").await;
    let (full, diff) = (of_type(&stage, "Full").await, of_type(&stage, "Differential").await);
    made(&stage, "f", &full, 1, |_| {}).await;
    made(&stage, "d", &diff, 2, |status| {
        status["parentBackupName"] = json!("f");
        status["backupMethod"]["name"] = json!("diff");
        status["backupMethod"]["compatibleMethod"] = json!("full");
    })
    .await;
    restore(&stage, |spec| spec["backup"]["name"] = json!("d")).await;
    let status = until(&stage, "Completed").await;
    let names: Vec<&str> =
        status["actions"]["prepareData"].as_array().unwrap().iter().filter_map(|a| a["backupName"].as_str()).collect();
    assert_eq!(names, ["f", "d"]);
    let jobs: Vec<String> =
        company.executor.written_to(&stage.namespace, "data").into_iter().filter_map(|w| w.job).collect();
    assert!(jobs.len() == 2 && jobs[0].ends_with("-f-0") && jobs[1].ends_with("-d-0"), "{jobs:?}");
}
