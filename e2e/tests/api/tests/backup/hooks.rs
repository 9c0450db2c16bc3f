//! Actions before and after the data: order, where they run, what their failure means (behaviour-backup §3.6, §3.12).

use e2e_api::backups::{
    actions, backup, data_action, database, delete, exec_jobs, job_names, policy, until_backup, until_gone, until_job,
    until_status,
};
use e2e_api::populate::pods_end;
use e2e_api::{OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use test_kit::{Outcome, wait};

fn exec(command: &str) -> Value {
    json!({"exec": {"command": ["sh", "-c", command]}})
}

fn job(command: &str) -> Value {
    json!({"job": {"image": "docker.io/local/busybox:1", "command": ["sh", "-c", command]}})
}

async fn with_hooks(stage: &Stage, pre: Value, post: Value) {
    let spec =
        json!({"backupType": "Full", "backup": {"preBackup": pre, "backupData": data_action(), "postBackup": post}});
    let name = actions(stage, "hooks", &spec).await;
    policy(stage, &name, |spec| spec["backoffLimit"] = json!(0)).await;
}

/// Names and phases of a status' actions.
fn phases(status: &Value) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    status["actions"].as_array().into_iter().flatten().map(|a| (text(&a["name"]), text(&a["phase"]))).collect()
}

async fn until_exec(stage: &Stage, prefix: &str) -> Job {
    wait::eventually(PATIENCE, &format!("an exec Job {prefix}…"), async || {
        let all = exec_jobs(stage).await;
        let names: Vec<String> = all.iter().map(ResourceExt::name_any).collect();
        all.into_iter().find(|j| j.name_any().starts_with(prefix)).ok_or_else(|| format!("{names:?}"))
    })
    .await
}

#[tokio::test]
async fn rule_47_hooks_run_one_after_the_other_round_the_data() {
    let (stage, company) = stage("hooks").await;
    database(&stage, "db-0").await;
    with_hooks(&stage, json!([exec("lock"), job("check")]), json!([exec("unlock")])).await;
    // Every pod holds until it is told to end: each action is seen alone.
    let ours = stage.namespace.clone();
    let ended = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let list = std::sync::Arc::clone(&ended);
    company.executor.plan_with(move |p| {
        let of_us = p.namespace().as_deref() == Some(&ours)
            || p.labels().get("dataprotection.kubeblocks.io/backup-namespace") == Some(&ours);
        let job = p.labels().get("batch.kubernetes.io/job-name")?;
        let may_end = list.lock().unwrap().iter().any(|e| job.starts_with(e.as_str()));
        of_us.then(|| if may_end { Outcome::succeed() } else { Outcome::Hold })
    });
    let release = |name: &str| {
        ended.lock().unwrap().push(name.to_owned());
        company.executor.plan_times("nobody", 1, Outcome::Hold); // the plan is looked at again
    };
    let created = backup(&stage, "b", |_| {}).await;
    let first = until_exec(&stage, "dp-prebackup-0-0-b-").await;
    let recorded = until_status(&stage, "b", "all actions are recorded", |s| phases(s).len() == 4).await;
    let names: Vec<String> = phases(&recorded).into_iter().map(|(n, _)| n).collect();
    assert_eq!(names, ["dp-prebackup-0-0", "dp-prebackup-1-0", "dp-backup-0", "dp-postbackup-0-0"]);
    assert_eq!(recorded["actions"][0]["objectRef"]["namespace"], OPERATOR.0);
    assert_eq!(recorded["actions"][1]["objectRef"]["namespace"], stage.namespace.as_str());
    assert_eq!(job_names(&stage, "dp-").await, Vec::<String>::new(), "nothing but the first has begun");

    let labels = first.labels();
    assert_eq!(labels["dataprotection.kubeblocks.io/backup-name"], "b");
    assert_eq!(labels["holdfast.dev/owner-uid"], created.uid().unwrap());
    let pod = first.spec.clone().unwrap().template.spec.unwrap();
    let account = "kubeblocks-dataprotection-exec-worker";
    assert_eq!(pod.service_account_name.as_deref(), Some(account));
    let container = &pod.containers[0];
    assert_eq!(container.name, "dp-prebackup-0-0");
    let args: Vec<&str> = container.args.iter().flatten().map(String::as_str).collect();
    assert_eq!(args, ["-n", &stage.namespace, "exec", "db-0", "-c", "database", "--", "sh", "-c", "lock"]);
    let bindings: Api<RoleBinding> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let binding = bindings.get(&format!("{account}-rolebinding")).await.expect("BD33: rights in this namespace only");
    assert_eq!(binding.role_ref.name, "kubeblocks-dataprotection-exec-worker-role");

    release("dp-prebackup-0-0-b-");
    let check = until_job(&stage, "dp-prebackup-1-0-b-").await.spec.unwrap().template.spec.unwrap();
    assert_eq!(check.containers[0].name, "dp-prebackup-1-0");
    assert!(check.init_containers.iter().flatten().all(|c| c.name != "manager"), "no sidecar beside a hook");
    assert_eq!(job_names(&stage, "dp-backup").await, Vec::<String>::new());
    release("dp-prebackup-1-0-b-");
    until_job(&stage, "dp-backup-0-b-").await;
    release("dp-backup-0-b-");
    until_exec(&stage, "dp-postbackup-0-0-b-").await;
    release("dp-postbackup-0-0-b-");
    let done = until_backup(&stage, "b", "Completed").await;
    assert!(phases(&done.data["status"]).iter().all(|(_, phase)| phase == "Completed"));
    wait::eventually(PATIENCE, "rule 47: no Job is left, in neither namespace", async || {
        let left = (job_names(&stage, "dp-").await.len(), exec_jobs(&stage).await.len());
        if left == (0, 0) { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// Jobs that exec stand side by side in the operator's namespace, and those of a Backup were found by its name.
#[tokio::test]
async fn bd27_a_namesake_in_another_namespace_keeps_its_exec_jobs() {
    let (one, company) = stage("one").await;
    let (other, _) = stage("other").await;
    let held = [one.namespace.clone(), other.namespace.clone()];
    let release = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let released = std::sync::Arc::clone(&release);
    company.executor.plan_with(move |p| {
        let of = p.labels().get("dataprotection.kubeblocks.io/backup-namespace")?;
        let end = released.load(std::sync::atomic::Ordering::Relaxed);
        held.contains(of).then(|| if end { Outcome::succeed() } else { Outcome::Hold })
    });
    for stage in [&one, &other] {
        database(stage, "db-0").await;
        with_hooks(stage, json!([exec("lock")]), json!([])).await;
        backup(stage, "b", |_| {}).await;
        until_exec(stage, "dp-prebackup-0-0-b-").await;
        until_status(stage, "b", "its hook runs", |s| s["actions"][0]["phase"] == "Running").await;
    }
    delete(&one, "Backup", "b").await;
    until_gone(&one, "Backup", "b").await;
    assert_eq!(exec_jobs(&one).await.len(), 0);
    let kept = exec_jobs(&other).await;
    assert_eq!(kept.iter().map(|j| j.metadata.deletion_timestamp.is_none()).collect::<Vec<_>>(), [true]);
    release.store(true, std::sync::atomic::Ordering::Relaxed);
    company.executor.plan_times("nobody", 1, Outcome::Hold); // the plan is looked at again
    until_backup(&other, "b", "Completed").await;
}

#[tokio::test]
async fn rule_16_a_hook_that_fails_stops_only_its_own_chain() {
    let (stage, company) = stage("chains").await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    let spec = json!({"backupType": "Full", "backup": {"preBackup": [job("check")], "backupData": data_action(), "postBackup": []}});
    let name = actions(&stage, "hooks", &spec).await;
    policy(&stage, &name, |spec| {
        spec["backoffLimit"] = json!(0);
        spec["target"]["podSelector"]["strategy"] = json!("All");
    })
    .await;
    let ours = stage.namespace.clone();
    company.executor.plan_with(move |p| {
        let job = p.labels().get("batch.kubernetes.io/job-name")?;
        let fails = job.starts_with("dp-prebackup-0-0-");
        (p.namespace().as_deref() == Some(&ours))
            .then(|| if fails { Outcome::fail(7, "no") } else { Outcome::succeed() })
    });
    backup(&stage, "b", |_| {}).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let status = &failed.data["status"];
    let wanted = [
        ("dp-prebackup-0-0", "Failed"),
        ("dp-backup-0", "New"),
        ("dp-prebackup-0-1", "Completed"),
        ("dp-backup-1", "Completed"),
    ];
    let wanted: Vec<(String, String)> = wanted.iter().map(|(n, p)| ((*n).to_owned(), (*p).to_owned())).collect();
    assert_eq!(phases(status), wanted);
    let why = status["failureReason"].as_str().unwrap();
    assert!(why.contains("dp-prebackup-0-0") && why.contains("exit code 7"), "{why}");
    assert_eq!(job_names(&stage, "dp-backup-0-").await, Vec::<String>::new(), "its data action never began");
}

#[tokio::test]
async fn bd23_on_error_continue_goes_on_and_a_timeout_is_a_deadline() {
    let (stage, company) = stage("onerror").await;
    database(&stage, "db-0").await;
    let hook = json!({"exec": {"command": ["x"], "container": "database", "onError": "Continue", "timeout": "90s"}});
    with_hooks(&stage, json!([hook]), json!([])).await;
    let ours = stage.namespace.clone();
    company.executor.plan_with(move |p| {
        let home = p.labels().get("dataprotection.kubeblocks.io/backup-namespace");
        (home == Some(&ours)).then(|| Outcome::fail(1, "FATAL: not now"))
    });
    // The Job controller waits a minute for three tries of an exec Job.
    backup(&stage, "b", |_| {}).await;
    let exec = until_exec(&stage, "dp-prebackup-0-0-b-").await;
    assert_eq!(exec.spec.as_ref().unwrap().active_deadline_seconds, Some(90));
    let once = kube::api::Patch::Merge(json!({"spec": {"backoffLimit": 0}}));
    let api: Api<Job> = Api::namespaced(stage.client.clone(), OPERATOR.0);
    api.patch(&exec.name_any(), &kube::api::PatchParams::default(), &once).await.unwrap();
    let done = until_backup(&stage, "b", "Completed").await;
    let action = &done.data["status"]["actions"][0];
    assert_eq!(action["phase"], "Failed", "the failure is not hidden: {action}");
    assert!(action["failureReason"].as_str().is_some_and(|w| w.contains("FATAL: not now")), "{action}");
}

#[tokio::test]
async fn bd3_an_action_that_does_not_end_is_ended_by_its_deadline() {
    let (stage, company) = stage("deadline").await;
    database(&stage, "db-0").await;
    with_hooks(&stage, json!([]), json!([])).await;
    pods_end(&stage, company, Outcome::Hold);
    let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    let notes = json!({"holdfast.dev/action-deadline": "2s"});
    e2e_api::objects::create(&stage, "Backup", "b", &notes, &spec).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap().to_owned();
    assert!(why.contains("longer than specified deadline"), "{why}");
    pods_end(&stage, company, Outcome::succeed());
    delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
}

#[tokio::test]
async fn bd13_a_backup_that_can_not_begin_fails_after_its_time_and_says_for_what_it_waited() {
    let (stage, _) = stage("bounded").await;
    let notes = json!({"holdfast.dev/action-deadline": "2s"});
    let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    e2e_api::objects::create(&stage, "Backup", "b", &notes, &spec).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("DeadlineExceeded") && why.contains("BackupPolicyNotFound"), "{why}");
}

#[tokio::test]
async fn a_hook_that_is_neither_or_both_is_refused_with_its_field() {
    let (stage, _) = stage("badhook").await;
    database(&stage, "db-0").await;
    let both = json!({"exec": {"command": ["x"]}, "job": {"image": "i", "command": ["x"]}});
    with_hooks(&stage, json!([both]), json!([])).await;
    backup(&stage, "b", |_| {}).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("backup.preBackup[0]") && why.contains("both exec and job"), "{why}");
}
