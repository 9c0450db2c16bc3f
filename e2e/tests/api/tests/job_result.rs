//! When the result of a Job counts (design D9, ADR 0015): before the Job says Complete where one pod was all, else not.
//! The Job controller is stopped, so nobody says Complete. One test at a time: all share it.

use e2e_api::backups::{backup, database, job_names, jobs, pods, policy, until_backup, until_job, until_running};
use e2e_api::objects::{self, dp, prepare_data, until_restore};
use e2e_api::populate::{pods_end, until_pod_runs};
use e2e_api::{IMMEDIATE, PATIENCE, stage};
use kube::ResourceExt;
use kube::api::ListParams;
use test_kit::api_server::Component;
use test_kit::builders::Claim;
use test_kit::{Outcome, wait};

const STOPPED_FOR: &str = "holdfast.dev/stopped-for-pod";
static JOB_CONTROLLER: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test]
async fn d9_a_volume_is_handed_over_before_the_job_says_complete() {
    let _turn = JOB_CONTROLLER.lock().await;
    let (stage, company) = stage("early").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    objects::completed_backup(&stage, "b", &actions).await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_pod_runs(&stage, &claim).await;
    stage.server.stop(Component::ControllerManager);
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    let volume = objects::volume_of(&stage, &claim).await;
    assert_eq!(volume.spec.unwrap().claim_ref.unwrap().uid, claim.uid());
    let stops: Vec<String> = company
        .proxy
        .writes()
        .into_iter()
        .filter(|w| {
            w.request.namespace == stage.namespace && w.request.resource == "jobs" && w.body.contains(STOPPED_FOR)
        })
        .map(|w| w.body)
        .collect();
    let [.., stop] = stops.as_slice() else { panic!("no Job was stopped: {}", company.proxy.journal()) };
    assert!(stop.contains("\"suspend\":true"), "{stop}");
    stage.server.start_component(Component::ControllerManager).await;
}

#[tokio::test]
async fn d9_a_pod_that_was_not_the_only_one_does_not_count_before_the_job_says_so() {
    let _turn = JOB_CONTROLLER.lock().await;
    let (stage, company) = stage("late").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    pods_end(&stage, company, Outcome::Hold);
    company.executor.plan_times("dp-backup-0-again", 1, Outcome::fail(1, "the first try"));
    backup(&stage, "again", |_| {}).await;
    let again = until_job(&stage, "dp-backup-0-again").await.name_any();
    let of_again = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={again}"));
    wait::eventually(PATIENCE, "a second pod runs", async || {
        let all = pods(&stage).list(&of_again).await.map_err(|e| e.to_string())?.items;
        let phases: Vec<_> = all.iter().filter_map(|p| p.status.as_ref()?.phase.clone()).collect();
        if phases.iter().any(|p| p == "Failed") && phases.iter().any(|p| p == "Running") {
            Ok(())
        } else {
            Err(format!("{phases:?}"))
        }
    })
    .await;
    backup(&stage, "once", |_| {}).await;
    let once = until_job(&stage, "dp-backup-0-once").await.name_any();
    until_running(&stage, &once).await;

    stage.server.stop(Component::ControllerManager);
    company.executor.plan("dp-backup-0-again", Outcome::succeed());
    wait::eventually(PATIENCE, "the second pod succeeded", async || {
        let all = pods(&stage).list(&of_again).await.map_err(|e| e.to_string())?.items;
        let done = all.iter().any(|p| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Succeeded"));
        if done { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    company.executor.plan("dp-backup-0-once", Outcome::succeed());
    // What happened before it has been seen by then.
    until_backup(&stage, "once", "Completed").await;
    let waiting = dp(&stage.client, "Backup", &stage.namespace).get("again").await.unwrap();
    assert_eq!(waiting.data["status"]["phase"], "Running", "{}", waiting.data["status"]);
    let job = jobs(&stage).get(&again).await.unwrap();
    assert!(!job.annotations().contains_key(STOPPED_FOR), "stopped though it had two pods");

    stage.server.start_component(Component::ControllerManager).await;
    until_backup(&stage, "again", "Completed").await;
    wait::eventually(PATIENCE, "no Job is left", async || {
        let left = job_names(&stage, "dp-backup").await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}
