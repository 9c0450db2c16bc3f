//! What a restore waits for: it says so by name and goes on by itself.

use super::{condition, restore, until};
use e2e_api::backups::until_condition;
use e2e_api::objects::{
    self, action_set, completed_backup, completed_status, dp, message, prepare_data, set_backup_status, until_restore,
};
use e2e_api::{IMMEDIATE, PATIENCE, Stage, stage};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;
use test_kit::builders::Claim;
use test_kit::wait;

#[tokio::test]
async fn a_backup_that_comes_later_and_ends_later() {
    let (stage, _) = stage("later").await;
    restore(&stage, |_| {}).await;
    let said = until_condition(&stage, "Restore", "r", "ValidationPassed", "BackupNotFound").await;
    assert!(said.contains(&format!("{}/b", stage.namespace)), "{said}");
    let actions = format!("actions-{}", stage.namespace);
    completed_backup(&stage, "b", &actions).await;
    let said = until_condition(&stage, "Restore", "r", "ValidationPassed", "ActionSetNotFound").await;
    assert!(said.contains(&actions), "{said}");
    let mut status = completed_status(&stage, "b", &actions);
    status["phase"] = json!("Running");
    set_backup_status(&stage, "b", &status).await;
    let said = until_condition(&stage, "Restore", "r", "ValidationPassed", "BackupNotCompleted").await;
    assert!(said.contains("Running"), "{said}");
    action_set(&stage, prepare_data()).await;
    set_backup_status(&stage, "b", &completed_status(&stage, "b", &actions)).await;
    let status = until(&stage, "Completed").await;
    assert_eq!(condition(&status, "ValidationPassed")["status"], "True");
}

/// Lets no more claims into the namespace than `hard`.
pub(super) async fn quota(stage: &Stage, hard: &str) -> Api<ResourceQuota> {
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "claims"}, "spec": {"hard": {"persistentvolumeclaims": hard}},
    }))
    .unwrap();
    let api: Api<ResourceQuota> = Api::namespaced(stage.client.clone(), &stage.namespace);
    api.create(&PostParams::default(), &quota).await.unwrap();
    wait::watch_until(&api, "claims", PATIENCE, |q| q.status.as_ref().is_some_and(|s| s.used.is_some())).await;
    api
}

#[tokio::test]
async fn restore_49_the_repository_being_prepared_is_stored_and_asked_for() {
    let (stage, _) = stage("repo").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let quotas = quota(&stage, "0").await;
    restore(&stage, |_| {}).await;
    let said = until_condition(&stage, "Restore", "r", "CheckBackupRepo", "WaitForBackupRepo").await;
    assert!(said.contains("shared"), "{said}");
    let seen = dp(&stage.client, "Restore", &stage.namespace);
    wait::eventually(PATIENCE, "the label asks", async || {
        let restore = seen.get("r").await.map_err(|e| e.to_string())?;
        let labels = restore.labels();
        let asks = labels.get("dataprotection.kubeblocks.io/wait-repo-preparation").map(String::as_str) == Some("true")
            && labels.get("dataprotection.kubeblocks.io/backup-repo-name").map(String::as_str) == Some("shared");
        if asks { Ok(()) } else { Err(format!("{labels:?}")) }
    })
    .await;
    quotas.delete("claims", &DeleteParams::default()).await.unwrap();
    let status = until(&stage, "Completed").await;
    assert_eq!(condition(&status, "CheckBackupRepo")["reason"], "CheckBackupRepoSuccessfully");
    let restore = seen.get("r").await.unwrap();
    assert!(!restore.labels().contains_key("dataprotection.kubeblocks.io/wait-repo-preparation"));
}

#[tokio::test]
async fn restore_49_and_the_claim_shows_it() {
    let (stage, _) = stage("repo-claim").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let quotas = quota(&stage, "2").await; // target and prime claim, but not the repository's
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    let waiting = until_restore(&stage, "data", "Unknown", "WaitForBackupRepo").await;
    assert!(message(&waiting).contains("shared"), "{}", message(&waiting));
    quotas.delete("claims", &DeleteParams::default()).await.unwrap();
    until_restore(&stage, "data", "True", "Succeed").await;
}

#[tokio::test]
async fn d11_a_backup_of_another_namespace_is_not_read_without_a_grant() {
    let (source, _) = stage("source").await;
    let actions = action_set(&source, prepare_data()).await;
    completed_backup(&source, "b", &actions).await;
    let (stage, company) = stage("thief").await;
    restore(&stage, |spec| spec["backup"]["namespace"] = json!(source.namespace)).await;
    let said = until_condition(&stage, "Restore", "r", "ValidationPassed", "GrantMissing").await;
    assert!(said.contains("ReferenceGrant"), "{said}");
    wait::stays(Duration::from_secs(1), "nothing is made", async || {
        let made = company.executor.written().iter().any(|w| w.namespace == stage.namespace);
        let claims =
            objects::claims(&stage).list(&kube::api::ListParams::default()).await.map_err(|e| e.to_string())?;
        if made || !claims.items.is_empty() { Err(format!("{claims:?}")) } else { Ok(()) }
    })
    .await;
}
