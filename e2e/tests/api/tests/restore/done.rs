//! Restores of users that work.

use super::{claim, condition, restore, until};
use e2e_api::backups::{until_job, until_no_job};
use e2e_api::objects::{
    self, action_set, apply_cluster, completed_backup, completed_status, prepare_data, set_backup_status,
};
use e2e_api::populate::{pods_end, source, source_restore};
use e2e_api::{IMMEDIATE, stage};
use kube::ResourceExt;
use serde_json::json;
use test_kit::Outcome;
use test_kit::builders::Claim;

#[tokio::test]
async fn a_user_gets_claims_with_data() {
    let (stage, company) = stage("user").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    restore(&stage, |spec| {
        let mut second = claim("second");
        second["mountPath"] = json!("/second");
        second["volumeSource"] = json!("");
        second["metadata"]["labels"] = json!({"mine": "yes"});
        spec["prepareDataConfig"]["volumeClaims"].as_array_mut().unwrap().push(second);
    })
    .await;
    let status = until(&stage, "Completed").await;
    for (type_, reason) in [
        ("CheckBackupRepo", "CheckBackupRepoSuccessfully"),
        ("ValidationPassed", "ValidateSuccessfully"),
        ("PrepareData", "Succeed"),
    ] {
        assert_eq!(
            (&condition(&status, type_)["status"], &condition(&status, type_)["reason"]),
            (&json!("True"), &json!(reason))
        );
    }
    let action = &status["actions"]["prepareData"][0];
    assert_eq!(
        (&action["name"], &action["backupName"], &action["status"]),
        (&json!("prepareData-0"), &json!("b"), &json!("Completed"))
    );
    assert!(action["objectKey"].as_str().is_some_and(|k| k.starts_with("Job/restore-preparedata-")), "{action}");
    assert!(action["endTime"].is_string() && status["completionTimestamp"].is_string());
    assert!(status["duration"].is_string(), "{status}");
    // One Job fills all claims: the script runs once with both mounted (behaviour-restore §17.45).
    for name in ["data", "second"] {
        let claim = objects::claims(&stage).get(name).await.unwrap();
        let written = company.executor.written_to(&stage.namespace, name);
        let pvs: Vec<&str> = written.iter().map(|w| w.pv.as_str()).collect();
        assert_eq!(pvs, [claim.spec.as_ref().unwrap().volume_name.as_deref().unwrap()]);
        assert!(claim.owner_references().is_empty(), "a user's claim outlives the Restore");
    }
    assert_eq!(objects::claims(&stage).get("second").await.unwrap().labels()["mine"], "yes");
    until_no_job(&stage, "").await;
}

#[tokio::test]
async fn a_claim_that_is_there_is_filled() {
    let (stage, company) = stage("existing").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let made = Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    restore(&stage, |_| {}).await;
    until(&stage, "Completed").await;
    let written = company.executor.written_to(&stage.namespace, "data");
    assert_eq!(written.iter().map(|w| w.claim_uid.clone()).collect::<Vec<_>>(), [made.uid().unwrap()]);
}

#[tokio::test]
async fn the_action_sees_time_parameters_extras_and_env_in_their_order() {
    let (stage, company) = stage("env").await;
    let name = format!("actions-{}", stage.namespace);
    let spec = json!({
        "backupType": "Full", "env": [{"name": "DP_TIME_FORMAT", "value": "2006-01-02 15:04:05"}, {"name": "A", "value": "set"}],
        "parametersSchema": {"openAPIV3Schema": {"type": "object", "properties": {"db": {"type": "string"}}}},
        "restore": {"withParameters": ["db"], "prepareData": {"image": "i:$(db)", "command": ["restore"]}},
    });
    apply_cluster(&stage.client, "ActionSet", &name, &spec).await;
    completed_backup(&stage, "b", &name).await;
    let mut status = completed_status(&stage, "b", &name);
    status["extras"] = json!([{"gtid": "1-2"}]);
    status["timeRange"] = json!({"start": "2026-11-21T00:00:00Z", "end": "2026-11-21T00:00:05Z", "timeZone": "+08:00"});
    status["backupMethod"]["env"] = json!([{"name": "A", "value": "method"}, {"name": "B", "value": "method"}]);
    set_backup_status(&stage, "b", &status).await;
    pods_end(&stage, company, Outcome::Hold);
    restore(&stage, |spec| {
        spec["restoreTime"] = json!("2026-11-21T00:00:04Z");
        spec["parameters"] = json!([{"name": "db", "value": "shop"}]);
        spec["env"] = json!([{"name": "B", "value": "restore"}, {"name": "C", "value": "restore"}]);
        spec["backoffLimit"] = json!(4);
        spec["containerResources"] = json!({"requests": {"cpu": "100m"}});
        spec["prepareDataConfig"]["schedulingSpec"] = json!({"nodeSelector": {"disk": "fast"}});
    })
    .await;
    let job = until_job(&stage, "restore-preparedata-").await.spec.unwrap();
    assert_eq!(job.backoff_limit, Some(4));
    let note = job.template.metadata.as_ref().unwrap().annotations.as_ref().unwrap();
    assert_eq!(note["dataprotection.kubeblocks.io/backup-extras"], r#"[{"gtid":"1-2"}]"#);
    let pod = job.template.spec.unwrap();
    assert_eq!(pod.node_selector.as_ref().unwrap()["disk"], "fast");
    let container = &pod.containers[0];
    assert_eq!(container.image.as_deref(), Some("i:shop"));
    let mounts: Vec<&str> = container.volume_mounts.iter().flatten().map(|m| m.mount_path.as_str()).collect();
    assert_eq!(mounts, ["/data", "/dp_downward", "/backupdata", "/bin/datasafed"]);
    assert_eq!(container.resources.as_ref().unwrap().requests.as_ref().unwrap()["cpu"].0, "100m");
    let env: Vec<String> =
        container.env.iter().flatten().map(|v| format!("{}={}", v.name, v.value.clone().unwrap_or_default())).collect();
    let root = format!("DP_BACKUP_ROOT_PATH=/{}", stage.namespace);
    let base = format!("DP_BACKUP_BASE_PATH=/{}/b", stage.namespace);
    assert_eq!(
        env,
        [
            "DP_BACKUP_NAME=b",
            "DP_TARGET_RELATIVE_PATH=",
            root.as_str(),
            base.as_str(),
            "DP_BACKUP_STOP_TIME=2026-11-21 08:00:05",
            "DP_RESTORE_TIME=2026-11-21 08:00:04",
            "DP_RESTORE_TIMESTAMP=1795219204",
            "db=shop",
            "DP_TIME_FORMAT=2006-01-02 15:04:05",
            "A=method",
            "B=restore",
            "C=restore",
            "DATASAFED_LOCAL_BACKEND_PATH=/backupdata",
            "DP_DATASAFED_BIN_PATH=/bin/datasafed",
        ]
    );
}

#[tokio::test]
async fn a_restore_that_only_describes_a_source_serves_claims() {
    let (stage, company) = stage("source").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    source_restore(&stage, "r", "b").await;
    until(&stage, "AsDataSource").await;
    let claim = Claim::new("data", IMMEDIATE).data_source_ref(&source("Restore", "r"));
    claim.create(&stage.client, &stage.namespace).await;
    let claim = objects::until_restore(&stage, "data", "True", "Succeed").await;
    e2e_api::populate::assert_filled(&stage, company, &claim).await;
    assert_eq!(until(&stage, "AsDataSource").await.get("completionTimestamp"), None, "it never ran itself");
}

#[tokio::test]
async fn d24_an_allowed_account_runs_the_job() {
    let (stage, company) = stage("allowed").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::Hold);
    restore(&stage, |spec| spec["serviceAccountName"] = json!("allowed")).await;
    let job = until_job(&stage, "restore-preparedata-").await;
    assert_eq!(job.spec.unwrap().template.spec.unwrap().service_account_name.as_deref(), Some("allowed"));
}
