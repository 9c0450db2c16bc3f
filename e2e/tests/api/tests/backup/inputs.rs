//! What a backup was started with counts, whatever becomes of its policy and ActionSet (behaviour-backup D17, D18, D25;
//! users-and-reliability K10).

use e2e_api::backups::{
    actions, backup, data_action, database, delete, exec_jobs, jobs, policy, until_backup, until_gone, until_job,
};
use e2e_api::objects::dp;
use e2e_api::populate::pods_end;
use e2e_api::{PATIENCE, stage};
use kube::ResourceExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use test_kit::{Outcome, wait};

#[tokio::test]
async fn bd25_a_changed_policy_and_a_deleted_action_set_change_no_backup_that_runs() {
    let (stage, company) = stage("frozen").await;
    database(&stage, "db-0").await;
    let spec = json!({
        "backupType": "Full",
        "backup": {
            "backupData": data_action(),
            "postBackup": [{"job": {"image": "docker.io/local/busybox:1", "command": ["first"]}}],
            "preDelete": {"image": "docker.io/local/busybox:1", "command": ["forget"]},
        },
    });
    let name = actions(&stage, "frozen", &spec).await;
    policy(&stage, &name, |spec| spec["backoffLimit"] = json!(4)).await;
    let ours = stage.namespace.clone();
    let held = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let holds = std::sync::Arc::clone(&held);
    company.executor.plan_with(move |p| {
        let hold = holds.load(std::sync::atomic::Ordering::Relaxed);
        (p.namespace().as_deref() == Some(&ours)).then(|| if hold { Outcome::Hold } else { Outcome::succeed() })
    });
    backup(&stage, "b", |_| {}).await;
    until_job(&stage, "dp-backup-0-b-").await;
    // The policy gets another target and is then deleted; the ActionSet goes.
    let other = json!({"spec": {"backoffLimit": 0, "target": {"podSelector": {"matchLabels": {"app": "none"}}}}});
    let policies = dp(&stage.client, "BackupPolicy", &stage.namespace);
    policies.patch("policy", &PatchParams::default(), &Patch::Merge(other)).await.unwrap();
    policies.delete("policy", &DeleteParams::default()).await.unwrap();
    dp(&stage.client, "ActionSet", "").delete(&name, &DeleteParams::default()).await.unwrap();
    held.store(false, std::sync::atomic::Ordering::Relaxed);
    company.executor.plan_times("nobody", 1, Outcome::Hold);
    let done = until_backup(&stage, "b", "Completed").await;
    assert_eq!(done.data["status"]["actions"][1]["name"], "dp-postbackup-0-0");
    let kept = &done.data["status"]["inputs"];
    assert_eq!(kept["backoffLimit"], 4);
    assert!(kept["actionSet"]["backup"].get("backupData").is_none(), "only what deletion needs is kept: {kept}");

    // K10: it can be deleted without any of its parents, and its preDelete action runs before its files go.
    pods_end(&stage, company, Outcome::Hold);
    delete(&stage, "Backup", "b").await;
    let uid = done.uid().unwrap();
    let job = until_job(&stage, &format!("{}-predelete-b", &uid[..8])).await;
    let pod = job.spec.unwrap().template.spec.unwrap();
    let command = pod.containers[0].command.clone().unwrap();
    assert_eq!(command, ["/bin/datasafed/datasafed", "run", "--", "forget"]);
    let all = jobs(&stage).list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 1, "the files wait for it");
    pods_end(&stage, company, Outcome::succeed());
    until_gone(&stage, "Backup", "b").await;
    assert!(exec_jobs(&stage).await.is_empty());
}

#[tokio::test]
async fn rule_11_a_pre_delete_job_that_fails_holds_the_files_back_and_is_tried_again() {
    let (stage, company) = stage("predelete").await;
    database(&stage, "db-0").await;
    let spec = json!({"backupType": "Full", "backup": {"backupData": data_action(),
        "preDelete": {"image": "docker.io/local/busybox:1", "command": ["forget"]}}});
    let name = actions(&stage, "predelete", &spec).await;
    policy(&stage, &name, |_| {}).await;
    let uid = backup(&stage, "b", |_| {}).await.uid().unwrap();
    until_backup(&stage, "b", "Completed").await;
    pods_end(&stage, company, Outcome::Hold);
    delete(&stage, "Backup", "b").await;
    let job = until_job(&stage, &format!("{}-predelete-b", &uid[..8])).await.name_any();
    let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
    jobs(&stage).patch(&job, &PatchParams::default(), &once).await.unwrap();
    pods_end(&stage, company, Outcome::fail(1, e2e_api::backups::told_failure(1, "the catalogue is locked", "")));
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, "the failure is told", async || {
        let status = api.get("b").await.map_err(|e| e.to_string())?.data["status"].clone();
        let why = status["deletionFailureReason"].as_str().unwrap_or_default();
        if why.contains("the catalogue is locked") && why.contains(&job) { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let all = jobs(&stage).list(&ListParams::default()).await.unwrap();
    assert!(all.items.iter().all(|j| !j.name_any().contains("-delete-")), "its files are still there");
    pods_end(&stage, company, Outcome::succeed());
    jobs(&stage).delete(&job, &DeleteParams::background()).await.unwrap();
    until_gone(&stage, "Backup", "b").await;
}
