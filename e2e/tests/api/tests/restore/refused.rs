//! What fails a restore for good, and what its user is told.

use super::{claim, condition, restore, until};
use e2e_api::backups::{job_names, jobs, told_failure, until_condition, until_job, until_running};
use e2e_api::objects::{
    self, action_set, apply_cluster, completed_backup, completed_status, message, prepare_data, set_backup_status,
    until_restore,
};
use e2e_api::populate::pods_end;
use e2e_api::{IMMEDIATE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::builders::Claim;
use test_kit::{Outcome, wait};

/// Requires that the Restore `r` is Failed for `reason`, with all of `parts` in the message.
async fn assert_refused(stage: &Stage, reason: &str, parts: &[&str]) {
    let status = until(stage, "Failed").await;
    let said = condition(&status, "ValidationPassed");
    assert_eq!((&said["status"], &said["reason"]), (&json!("False"), &json!(reason)), "{status}");
    for part in parts {
        assert!(said["message"].as_str().is_some_and(|m| m.contains(part)), "{part} is not in: {said}");
    }
    assert!(status["completionTimestamp"].is_string());
}

async fn schema_actions(stage: &Stage) -> String {
    let name = format!("actions-{}", stage.namespace);
    let spec = json!({
        "backupType": "Full",
        "parametersSchema": {"openAPIV3Schema": {"type": "object", "properties": {"level": {"type": "integer", "maximum": 9}}}},
        "restore": {"withParameters": ["level"], "prepareData": {"image": "i", "command": ["restore"]}},
    });
    apply_cluster(&stage.client, "ActionSet", &name, &spec).await;
    name
}

#[tokio::test]
async fn restore_43_parameters_that_do_not_fit_are_told_on_restore_and_claim() {
    for (parameter, value, complaint) in [
        ("level", "10", "is above the maximum 9"),
        ("level", "high", "is no integer"),
        ("other", "1", "it does not take other"),
    ] {
        let (stage, _) = stage("parameters").await;
        let actions = schema_actions(&stage).await;
        completed_backup(&stage, "b", &actions).await;
        restore(&stage, |spec| spec["parameters"] = json!([{"name": parameter, "value": value}])).await;
        assert_refused(&stage, "InvalidParameters", &["spec.parameters", complaint]).await;
        let given = json!({parameter: value}).to_string();
        let target = Claim::new("target", IMMEDIATE).from_backup("b");
        target
            .annotation("apps.kubeblocks.io/restore-parameters", &given)
            .create(&stage.client, &stage.namespace)
            .await;
        let refused = wait::eventually(e2e_api::PATIENCE, "the claim says so too", async || {
            let claim = objects::claims(&stage).get("target").await.map_err(|e| e.to_string())?;
            match objects::condition(&claim, "Restore") {
                Some(c) if c.status == "False" => Ok(claim),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert!(message(&refused).contains(complaint), "{}", message(&refused));
        assert_eq!(job_names(&stage, "").await, Vec::<String>::new());
    }
}

#[tokio::test]
async fn restore_42_a_job_of_somebody_else_under_our_name_is_left_alone() {
    let (stage, _) = stage("collision").await;
    let actions = action_set(&stage, prepare_data()).await;
    restore(&stage, |_| {}).await;
    until_condition(&stage, "Restore", "r", "ValidationPassed", "BackupNotFound").await;
    let uid = objects::dp(&stage.client, "Restore", &stage.namespace).get("r").await.unwrap().uid().unwrap();
    let name = format!("restore-preparedata-{}-b-0", &uid[..8]);
    let foreign: Job = serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}},
    }))
    .unwrap();
    let foreign = jobs(&stage).create(&PostParams::default(), &foreign).await.unwrap();
    completed_backup(&stage, "b", &actions).await;
    assert_refused(&stage, "JobNameCollision", &[&name]).await;
    let left = jobs(&stage).get(&name).await.unwrap();
    assert_eq!((left.uid(), left.spec.unwrap().suspend), (foreign.uid(), Some(true)), "untouched");
}

#[tokio::test]
async fn d24_a_service_account_that_is_not_allowed_runs_nothing() {
    let (stage, _) = stage("account").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    restore(&stage, |spec| spec["serviceAccountName"] = json!("admin")).await;
    assert_refused(&stage, "ServiceAccountForbidden", &["spec.serviceAccountName", "admin"]).await;
    assert_eq!(job_names(&stage, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_job_that_a_stranger_deletes_fails_the_restore() {
    let (stage, company) = stage("vanished").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::Hold);
    restore(&stage, |_| {}).await;
    let job = until_job(&stage, "restore-preparedata-").await.name_any();
    until_running(&stage, &job).await;
    jobs(&stage).delete(&job, &DeleteParams::background()).await.unwrap();
    let status = until(&stage, "Failed").await;
    assert_eq!(condition(&status, "PrepareData")["reason"], "JobVanished");
    wait::stays(Duration::from_secs(1), "it is not made again", async || {
        let names = job_names(&stage, "").await;
        if names.is_empty() { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
}

#[tokio::test]
async fn restore_40_an_action_that_fails_shows_its_last_output() {
    let (stage, company) = stage("fails").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::fail(4, told_failure(4, "the action failed", "tar: invalid magic")));
    restore(&stage, |spec| spec["backoffLimit"] = json!(0)).await;
    let status = until(&stage, "Failed").await;
    let said = condition(&status, "PrepareData");
    assert_eq!((&said["status"], &said["reason"]), (&json!("False"), &json!("Failed")));
    for part in ["the action failed", "exit code 4", "tar: invalid magic"] {
        assert!(said["message"].as_str().is_some_and(|m| m.contains(part)), "{part}: {said}");
    }
    assert_eq!(status["actions"]["prepareData"][0]["status"], "Failed");
    assert_eq!(job_names(&stage, "").await.len(), 1, "the Job of a failed restore stays for a look");
}

#[tokio::test]
async fn restore_39_an_image_that_can_not_be_pulled_is_said_while_it_lasts() {
    let (stage, company) = stage("image").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::ImagePullBackOff);
    restore(&stage, |_| {}).await;
    let api = objects::dp(&stage.client, "Restore", &stage.namespace);
    wait::eventually(e2e_api::PATIENCE, "the condition names the image", async || {
        let status = api.get("r").await.map_err(|e| e.to_string())?.data["status"].clone();
        let said = condition(&status, "PrepareData")["message"].as_str().unwrap_or_default().to_owned();
        if said.contains("Back-off pulling image \"docker.io/local/busybox:1\"") {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    let status = until(&stage, "Completed").await;
    assert_eq!(condition(&status, "PrepareData")["message"], "prepare data successfully");
}

type Change = fn(&mut Value);

#[tokio::test]
async fn what_can_never_work_is_refused_with_the_field() {
    let cases: [(&str, Change, &[&str]); 5] = [
        (
            "NotServedYet",
            |s| s["readyConfig"] = json!({"jobAction": {"target": {"podSelector": {"matchLabels": {"a": "b"}}}}}),
            &["spec.readyConfig"],
        ),
        (
            "NoRestoreAction",
            |s| s["prepareDataConfig"]["volumeClaims"] = json!([]),
            &["spec.prepareDataConfig.volumeClaims"],
        ),
        (
            "VolumeNotInBackup",
            |s| s["prepareDataConfig"]["volumeClaims"][0]["volumeSource"] = json!("logs"),
            &["\"logs\"", "mountPath"],
        ),
        (
            "InvalidClaim",
            |s| s["prepareDataConfig"]["volumeClaims"][0]["volumeClaimSpec"]["accessModes"] = json!(["Sometimes"]),
            &["Sometimes"],
        ),
        (
            "JobRefused",
            |s| s["prepareDataConfig"]["volumeClaims"][0]["mountPath"] = json!("/backupdata"),
            &["must be unique"],
        ),
    ];
    for (reason, change, parts) in cases {
        let (stage, _) = stage("never").await;
        let actions = action_set(&stage, prepare_data()).await;
        completed_backup(&stage, "b", &actions).await;
        restore(&stage, change).await;
        assert_refused(&stage, reason, parts).await;
    }
}

#[tokio::test]
async fn a_backup_that_failed_is_no_source() {
    let (stage, _) = stage("failed").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let mut status = completed_status(&stage, "b", &actions);
    status["phase"] = json!("Failed");
    status["failureReason"] = json!("disk full");
    set_backup_status(&stage, "b", &status).await;
    restore(&stage, |_| {}).await;
    assert_refused(&stage, "BackupFailed", &["Backup b failed: disk full"]).await;
}

#[tokio::test]
async fn restore_38_long_names_that_share_beginning_and_end_do_not_share_a_job() {
    let (stage, company) = stage("names").await;
    let actions = action_set(&stage, prepare_data()).await;
    pods_end(&stage, company, Outcome::Hold);
    let long = |middle: &str| format!("{}-{middle}-{}", "a".repeat(45), "z".repeat(20));
    for (i, middle) in ["one", "two"].iter().enumerate() {
        completed_backup(&stage, &long(middle), &actions).await;
        let spec = json!({"backup": {"name": long(middle), "namespace": stage.namespace},
            "prepareDataConfig": {"volumeClaims": [claim(&format!("data-{i}"))], "volumeClaimRestorePolicy": "Parallel"}});
        objects::create(&stage, "Restore", &format!("r{i}"), &json!({}), &spec).await;
    }
    let names = wait::eventually(e2e_api::PATIENCE, "two Jobs", async || {
        let names = job_names(&stage, "restore-preparedata-").await;
        if names.len() == 2 { Ok(names) } else { Err(format!("{names:?}")) }
    })
    .await;
    assert!(names.iter().all(|n| n.len() <= 63), "{names:?}");
    pods_end(&stage, company, Outcome::succeed());
    for name in ["r0", "r1"] {
        objects::until_phase(&stage.client, "Restore", &stage.namespace, name, "Completed").await;
    }
}

#[tokio::test]
async fn a_failed_execution_is_told_on_the_claim_and_the_claim_can_be_tried_again() {
    let (stage, company) = stage("retry").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::fail(2, told_failure(2, "checksum mismatch", "")));
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    let job = until_job(&stage, "restore-preparedata-").await.name_any();
    let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
    jobs(&stage).patch(&job, &PatchParams::default(), &once).await.unwrap();
    let failed = until_restore(&stage, "data", "False", "ExecutionFailed").await;
    assert!(message(&failed).contains("checksum mismatch"), "{}", message(&failed));
    pods_end(&stage, company, Outcome::succeed());
    objects::patch_claim(&stage, "data", json!({"metadata": {"annotations": {"holdfast.dev/retry": "1"}}})).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_eq!(e2e_api::populate::assert_filled(&stage, company, &claim).await, 2, "the second attempt filled it");
}
