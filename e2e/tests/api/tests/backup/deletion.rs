//! Backups that are deleted: files, what holds them back, what is said when it fails.

use e2e_api::backups::{
    backup, database, delete, job_names, jobs, policy, told_failure, until_backup, until_gone, until_job, until_no_job,
    until_running, until_waits,
};
use e2e_api::objects::{action_set, claims, create, dp, prepare_data, until_phase};
use e2e_api::populate::pods_end;
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage, stage};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim};
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::time::Duration;
use test_kit::{Outcome, wait};

/// A namespace with a completed Backup `b`; gives its ActionSet.
async fn with_backup(name: &str, policy_of: &str) -> (Stage, &'static Company, String) {
    let (stage, company) = stage(name).await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "b", |spec| spec["deletionPolicy"] = json!(policy_of)).await;
    until_backup(&stage, "b", "Completed").await;
    until_no_job(&stage, "dp-backup").await;
    (stage, company, actions)
}

fn deletions(stage: &Stage, company: &Company) -> usize {
    let of = |w: &&test_kit::executor::Written| {
        w.namespace == stage.namespace && w.job.as_deref().is_some_and(|j| j.contains("-delete-"))
    };
    company.executor.written().iter().filter(of).count()
}

#[tokio::test]
async fn the_files_go_before_the_object() {
    let (stage, company, _) = with_backup("delete", "Delete").await;
    pods_end(&stage, company, Outcome::Hold);
    let uid = dp(&stage.client, "Backup", &stage.namespace).get("b").await.unwrap().uid().unwrap();
    delete(&stage, "Backup", "b").await;
    let job = until_job(&stage, &format!("{}-delete-b", &uid[..8])).await;
    let pod = job.spec.unwrap().template.spec.unwrap();
    let container = &pod.containers[0];
    assert_eq!(container.name, "deleter");
    let (data, manifests) =
        (format!("/{}/db/b", stage.namespace), format!("/{}/db/_manifests/v1/{uid}", stage.namespace));
    assert_eq!(container.command.as_deref().unwrap(), ["/datasafed", "delete", &data, &manifests]);
    let mounted = pod.volumes.iter().flatten().filter_map(|v| v.persistent_volume_claim.as_ref());
    let mounted: Vec<&str> = mounted.map(|c| c.claim_name.as_str()).collect();
    let seen = until_backup(&stage, "b", "Deleting").await;
    assert_eq!(mounted, [seen.data["status"]["persistentVolumeClaimName"].as_str().unwrap()]);
    wait::stays(Duration::from_millis(500), "the object stays while its files are there", async || {
        let seen = dp(&stage.client, "Backup", &stage.namespace).get_opt("b").await.map_err(|e| e.to_string())?;
        seen.map(|_| ()).ok_or_else(|| "gone".into())
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    until_gone(&stage, "Backup", "b").await;
}

#[tokio::test]
async fn bd20_retain_keeps_the_files_and_lets_the_object_go() {
    let (stage, company, _) = with_backup("retain", "Retain").await;
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert_eq!(deletions(&stage, company), 0, "nothing was deleted");
    assert_eq!(job_names(&stage, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_failed_deletion_says_why_and_is_tried_again_when_its_job_is_deleted() {
    let (stage, company, _) = with_backup("undeletable", "Delete").await;
    pods_end(&stage, company, Outcome::Hold);
    delete(&stage, "Backup", "b").await;
    let job = until_job(&stage, "").await.name_any();
    let once = Patch::Merge(json!({"spec": {"backoffLimit": 0}})); // the Job controller waits 30 s for three tries
    jobs(&stage).patch(&job, &PatchParams::default(), &once).await.unwrap();
    pods_end(&stage, company, Outcome::fail(1, told_failure(1, "the bucket is read-only", "")));
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, "the failure is told", async || {
        let status = api.get("b").await.map_err(|e| e.to_string())?.data["status"].clone();
        let why = status["deletionFailureReason"].as_str().ok_or_else(|| status.to_string())?.to_owned();
        if why.contains("the bucket is read-only") && why.contains(&job) { Ok(()) } else { Err(why) }
    })
    .await;
    pods_end(&stage, company, Outcome::Hold);
    jobs(&stage).delete(&job, &DeleteParams::background()).await.unwrap();
    wait::eventually(PATIENCE, "the old failure is no longer told", async || {
        let status = api.get("b").await.map_err(|e| e.to_string())?.data["status"].clone();
        if status.get("deletionFailureReason").is_none() { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    until_gone(&stage, "Backup", "b").await;
}

#[tokio::test]
async fn bd17_without_its_action_set_it_can_be_deleted() {
    let (stage, company, actions) = with_backup("no-actions", "Delete").await;
    dp(&stage.client, "ActionSet", "").delete(&actions, &DeleteParams::default()).await.unwrap();
    delete(&stage, "BackupPolicy", "policy").await;
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert_eq!(deletions(&stage, company), 1);
}

/// A pod that dies slowly wrote its files back (rule 6), and its end must wake the deletion (rule 7). Workloads are found
/// whatever labels the Backup has by then (rule 5).
#[tokio::test]
async fn rule_5_rule_6_rule_7_a_running_backup_is_stopped_before_its_files_go() {
    let (stage, company) = stage("running").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    pods_end(&stage, company, Outcome::Hold);
    backup(&stage, "b", |_| {}).await;
    let job = until_job(&stage, "dp-backup-0-b").await.name_any();
    until_running(&stage, &job).await;
    let labels = json!({"app": null, "team": "another", "dataprotection.kubeblocks.io/backup-method": "other"});
    let api = dp(&stage.client, "Backup", &stage.namespace);
    let relabelled = Patch::Merge(json!({"metadata": {"labels": labels}}));
    api.patch("b", &PatchParams::default(), &relabelled).await.unwrap();
    delete(&stage, "Backup", "b").await;
    let deleter = wait::eventually(PATIENCE, "the Job that deletes", async || {
        let names = job_names(&stage, "").await;
        let pods = e2e_api::backups::pods(&stage).list(&kube::api::ListParams::default()).await.unwrap();
        let working = pods.iter().any(|p| p.name_any().starts_with(&job));
        match names.iter().find(|n| n.contains("-delete-b")) {
            Some(_) if working => panic!("files are deleted while a pod of the backup still writes"),
            Some(name) => Ok(name.clone()),
            None => Err(format!("{names:?}, backup's pod is there: {working}")),
        }
    })
    .await;
    assert!(!deleter.is_empty());
    pods_end(&stage, company, Outcome::succeed());
    until_gone(&stage, "Backup", "b").await;
}

#[tokio::test]
async fn d13_a_running_restore_holds_back_the_deletion_of_its_source() {
    let (stage, company, _) = with_backup("read", "Delete").await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = json!({"metadata": {"name": "into"}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({"backup": {"name": "b", "namespace": stage.namespace},
        "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}});
    create(&stage, "Restore", "r", &json!({}), &spec).await;
    until_phase(&stage.client, "Restore", &stage.namespace, "r", "Running").await;
    delete(&stage, "Backup", "b").await;
    let said = until_waits(&stage, "b", "ReadByRestore").await;
    assert!(said.contains(&format!("{}/r", stage.namespace)), "{said}");
    wait::stays(Duration::from_secs(1), "the files are not touched", async || {
        if job_names(&stage, "").await.iter().any(|n| n.contains("-delete-b")) {
            Err("a Job deletes".into())
        } else {
            Ok(())
        }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    until_phase(&stage.client, "Restore", &stage.namespace, "r", "Completed").await;
    until_gone(&stage, "Backup", "b").await;
    assert_eq!(deletions(&stage, company), 1);
}

#[tokio::test]
async fn a_claim_of_the_repository_that_is_gone_is_made_again_to_delete_the_files() {
    let (stage, company, _) = with_backup("no-claim", "Delete").await;
    let backup = until_backup(&stage, "b", "Completed").await;
    let name = backup.data["status"]["persistentVolumeClaimName"].as_str().unwrap();
    let api: Api<PersistentVolumeClaim> = claims(&stage);
    let old = api.get(name).await.unwrap().uid();
    api.delete(name, &DeleteParams::default()).await.unwrap();
    wait::watch_until_gone(&api, name, PATIENCE).await;
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert_eq!(deletions(&stage, company), 1, "never released with its files left behind");
    assert_ne!(api.get(name).await.unwrap().uid(), old);
}

#[tokio::test]
async fn a_backup_that_never_began_goes_at_once() {
    let (stage, company) = stage("never").await;
    let actions = action_set(&stage, prepare_data()).await;
    policy(&stage, &actions, |_| {}).await;
    backup(&stage, "b", |_| {}).await;
    until_waits(&stage, "b", "TargetPodNotFound").await;
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert_eq!(deletions(&stage, company), 0);
}

/// Rule 10 is a right to read namespaces; the server's own refusal tells as much.
#[tokio::test]
async fn rule_9_rule_10_a_namespace_that_is_deleted_says_what_to_do_and_then_goes() {
    let (stage, _, _) = with_backup("terminating", "Delete").await;
    let namespaces: Api<Namespace> = Api::all(stage.client.clone());
    namespaces.delete(&stage.namespace, &DeleteParams::default()).await.unwrap();
    delete(&stage, "Backup", "b").await; // as the namespace controller, which does not run here
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, "the user is told", async || {
        let status = api.get("b").await.map_err(|e| e.to_string())?.data["status"].clone();
        let why = status["deletionFailureReason"].as_str().unwrap_or_default().to_owned();
        if why.contains("deletionPolicy") { Ok(()) } else { Err(status.to_string()) }
    })
    .await;
    let status = api.get("b").await.unwrap().data["status"].clone();
    assert_eq!(status.get("failureReason"), None, "the backup itself did not fail");
    let retain = Patch::Merge(json!({"spec": {"deletionPolicy": "Retain"}}));
    api.patch("b", &PatchParams::default(), &retain).await.unwrap();
    until_gone(&stage, "Backup", "b").await;
}
