//! So many Jobs of backups at once in a repository and on a node (ADR 0025). One test, since the operator is killed in it and
//! started with other settings.

use e2e_api::backups::{backup, database, delete, jobs, policy, until_backup, until_gone, until_job, until_says};
use e2e_api::objects::{action_set, dp, prepare_data, until_phase};
use e2e_api::{Company, IMMEDIATE, PATIENCE, REPO, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::operator::http_get;
use test_kit::{Outcome, wait};

const TURN: &str = "WaitingForTurn";

fn is_of(pod: &Pod, namespace: &str, job: &str) -> bool {
    let of = pod.labels().get("batch.kubernetes.io/job-name");
    pod.namespace().as_deref() == Some(namespace) && of.is_some_and(|of| of.starts_with(job))
}

/// Pods of Jobs of this namespace whose names begin so end so.
fn ends(company: &Company, stage: &Stage, job: &str, outcome: Outcome) {
    let (namespace, job) = (stage.namespace.clone(), job.to_owned());
    company.executor.plan_with(move |pod| is_of(pod, &namespace, &job).then(|| outcome.clone()));
}

/// Data Jobs that have not ended.
async fn at_work(stages: &[&Stage]) -> Vec<String> {
    let mut found = Vec::new();
    for stage in stages {
        let all = jobs(stage).list(&ListParams::default()).await.expect("list Jobs");
        let ended = |job: &Job| {
            let conditions = job.status.iter().flat_map(|s| s.conditions.iter().flatten());
            job.metadata.deletion_timestamp.is_some()
                || job.spec.as_ref().is_some_and(|s| s.suspend == Some(true))
                || conditions
                    .into_iter()
                    .any(|c| c.status == "True" && ["Complete", "Failed"].contains(&c.type_.as_str()))
        };
        let data = all.items.iter().filter(|job| job.name_any().starts_with("dp-backup-") && !ended(job));
        found.extend(data.map(|job| format!("{}/{}", stage.namespace, job.name_any())));
    }
    found
}

async fn alone(stages: &[&Stage], job: &str) {
    let now = at_work(stages).await;
    assert!(now.len() == 1 && now[0].contains(job), "only {job} may run: {now:?}");
}

async fn tenant(name: &str, repo: &str) -> (Stage, &'static Company) {
    let (stage, company) = stage(name).await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |spec| spec["backupRepoName"] = json!(repo)).await;
    ends(company, &stage, "dp-backup-", Outcome::Hold);
    (stage, company)
}

async fn limit(stage: &Stage, repo: &str, limit: &str) {
    let patch = json!({"metadata": {"annotations": {"holdfast.dev/max-concurrent-jobs": limit}}});
    let api = dp(&stage.client, "BackupRepo", "");
    api.patch(repo, &PatchParams::default(), &Patch::Merge(patch)).await.expect("patch");
}

/// A Backup that is younger than all that are there: their age is known in whole seconds.
async fn younger(stage: &Stage, name: &str) {
    let all = dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.expect("list Backups");
    let newest = all.items.iter().filter_map(ResourceExt::creation_timestamp).map(|t| t.0.as_second()).max();
    wait::eventually(PATIENCE, "the next second", async || {
        let now = test_kit::clock::now().as_second();
        if newest.is_none_or(|newest| newest < now) { Ok(()) } else { Err(now.to_string()) }
    })
    .await;
    backup(stage, name, |_| {}).await;
}

async fn status(stage: &Stage, name: &str) -> Value {
    dp(&stage.client, "Backup", &stage.namespace).get(name).await.expect("the Backup").data["status"].clone()
}

async fn until_metric(company: &Company, line: &str) {
    let operator = company.operator.lock().await;
    let port = operator.metrics_port();
    drop(operator);
    wait::eventually(PATIENCE, line, async || {
        let text = http_get(port, "/metrics").await.map_err(|e| e.to_string())?;
        if text.lines().any(|l| l == line) { Ok(()) } else { Err("not there".into()) }
    })
    .await;
}

#[tokio::test]
async fn backups_wait_for_their_turn_and_say_where_they_stand() {
    in_a_repository().await;
    on_a_node().await;
}

async fn in_a_repository() {
    let (many, _) = stage("repo").await;
    let repo = many.namespace.clone();
    let spec = json!({
        "storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": IMMEDIATE},
    });
    e2e_api::objects::apply_cluster(&many.client, "BackupRepo", &repo, &spec).await;
    limit(&many, &repo, "1").await;
    until_phase(&many.client, "BackupRepo", "", &repo, "Ready").await;
    let (many, company) = tenant("many", &repo).await;
    let (one, _) = tenant("one", &repo).await;
    let both = [&many, &one];
    let in_line = |place: usize, of: usize| {
        format!("place {place} of {of} in the queue of BackupRepo {repo}, which runs 1 of at most 1")
    };

    // Whose namespace runs nothing goes first, although the others were there before.
    younger(&many, "m1").await;
    until_job(&many, "dp-backup-0-m1").await;
    younger(&many, "m2").await;
    until_says(&many, "m2", TURN, &in_line(1, 1)).await;
    younger(&many, "m3").await;
    until_says(&many, "m3", TURN, &in_line(2, 2)).await;
    younger(&one, "o1").await;
    until_says(&one, "o1", TURN, &in_line(1, 3)).await;
    until_says(&many, "m2", TURN, &in_line(2, 3)).await;
    until_says(&many, "m3", TURN, &in_line(3, 3)).await;
    until_metric(company, &format!("dp_backup_jobs_waiting{{repo=\"{repo}\"}} 3")).await;
    let waiting = status(&many, "m2").await;
    assert_eq!(waiting["conditions"][0]["status"], "Unknown");
    assert_eq!((waiting.get("phase"), waiting.get("startTimestamp"), waiting.get("actions")), (None, None, None));
    assert_eq!(waiting["queue"]["repoName"], json!(repo));
    assert_eq!(waiting["queue"].get("left"), None);
    alone(&both, "-m1-").await;

    // The end of one is the turn of the next.
    ends(company, &many, "dp-backup-0-m1", Outcome::succeed());
    until_backup(&many, "m1", "Completed").await;
    until_job(&one, "dp-backup-0-o1").await;
    until_says(&many, "m2", TURN, &in_line(1, 2)).await;
    alone(&both, "-o1-").await;

    // A new process knows it all from the objects.
    company.operator.lock().await.restart().await;
    younger(&many, "m4").await;
    until_says(&many, "m4", TURN, &in_line(3, 3)).await;
    until_says(&many, "m2", TURN, &in_line(1, 3)).await;
    alone(&both, "-o1-").await;

    // One that fails frees its place, and so does one that is deleted.
    ends(company, &one, "dp-backup-0-o1", Outcome::fail(3, "no"));
    until_backup(&one, "o1", "Failed").await;
    until_job(&many, "dp-backup-0-m2").await;
    let began = status(&many, "m2").await;
    assert!(began["queue"]["left"].is_string() && began["queue"]["since"].is_string(), "{began}");
    until_says(&many, "m3", TURN, &in_line(1, 2)).await;
    delete(&many, "Backup", "m2").await;
    until_job(&many, "dp-backup-0-m3").await;
    until_says(&many, "m4", TURN, &in_line(1, 1)).await;
    until_gone(&many, "Backup", "m2").await;

    // One that waits and is deleted leaves the queue; a higher limit lets the next begin.
    younger(&many, "m5").await;
    until_says(&many, "m5", TURN, &in_line(2, 2)).await;
    delete(&many, "Backup", "m4").await;
    until_gone(&many, "Backup", "m4").await;
    until_says(&many, "m5", TURN, &in_line(1, 1)).await;
    limit(&many, &repo, "2").await;
    until_job(&many, "dp-backup-0-m5").await;
    ends(company, &many, "dp-backup-", Outcome::succeed());
    until_backup(&many, "m3", "Completed").await;
    let done = until_backup(&many, "m5", "Completed").await;
    assert_eq!(done.data["status"].get("conditions"), None);
}

/// A backup of two pods of one node, on which one Job may run at once.
async fn on_a_node() {
    let (stage, company) = stage("node").await;
    let actions = action_set(&stage, prepare_data()).await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    policy(&stage, &actions, |spec| spec["target"]["podSelector"]["strategy"] = json!("All")).await;
    ends(company, &stage, "dp-backup-", Outcome::Hold);
    company.operator.lock().await.restart_with(|b| b.env("HOLDFAST_MAX_JOBS_PER_NODE", "1")).await;
    younger(&stage, "b").await;
    until_job(&stage, "dp-backup-0-b").await;
    let of_node = "place 1 of 1 in the queue of node node-a, which runs 1 of at most 1";
    until_says(&stage, "b", TURN, of_node).await;
    let seen = status(&stage, "b").await;
    assert_eq!((&seen["phase"], &seen["backupRepoName"]), (&json!("Running"), &json!(REPO)));
    assert_eq!(seen["actions"][0]["nodeName"], "node-a");
    assert!(seen["actions"][1]["queue"]["since"].is_string(), "{seen}");
    alone(&[&stage], "dp-backup-0-b").await;
    company.operator.lock().await.restart().await;
    younger(&stage, "c").await;
    until_says(&stage, "c", TURN, "place 2 of 2 in the queue of node node-a").await;
    alone(&[&stage], "dp-backup-0-b").await;
    ends(company, &stage, "dp-backup-0-b", Outcome::succeed());
    until_job(&stage, "dp-backup-1-b").await;
    until_says(&stage, "c", TURN, "place 1 of 1 in the queue of node node-a").await;
    ends(company, &stage, "dp-backup-", Outcome::succeed());
    until_backup(&stage, "b", "Completed").await;
    until_backup(&stage, "c", "Completed").await;
}
