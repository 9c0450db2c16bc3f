//! What tests about Backups begin with and look at: a database pod, a policy, Jobs and what they told.

use crate::objects::{claims, create, dp, until_phase};
use crate::{IMMEDIATE, PATIENCE, REPO, Stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use mover_protocol::{ActionInfo, Reason, RunResult, TimeRange};
use serde_json::{Value, json};
use test_kit::builders::{self, Claim};
use test_kit::wait;

/// Label by which the policy of [`policy`] finds its pods.
pub const TARGET: (&str, &str) = ("app", "db");

/// A running database pod that a policy finds; its volume `data` is the claim of that name, made with
/// the first pod.
pub async fn database(stage: &Stage, name: &str) -> Pod {
    if claims(stage).get_opt("data").await.expect("read the claim").is_none() {
        Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    }
    builders::target_pod(&stage.client, &stage.namespace, name, &[TARGET], &["data"]).await
}

/// A policy `policy` with one method `full`; `change` may alter its spec.
pub async fn policy(stage: &Stage, actions: &str, change: impl FnOnce(&mut Value)) {
    let mut spec = json!({
        "backupRepoName": REPO, "pathPrefix": "/db",
        "target": {"podSelector": {"matchLabels": {TARGET.0: TARGET.1}}},
        "backupMethods": [{"name": "full", "actionSetName": actions,
            "targetVolumes": {"volumeMounts": [{"name": "data", "mountPath": "/data"}]}}],
    });
    change(&mut spec);
    create(stage, "BackupPolicy", "policy", &json!({}), &spec).await;
    until_phase(&stage.client, "BackupPolicy", &stage.namespace, "policy", "Available").await;
}

/// A Backup of the policy `policy` by its method `full`; `change` may alter its spec.
pub async fn backup(stage: &Stage, name: &str, change: impl FnOnce(&mut Value)) -> DynamicObject {
    let mut spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
    change(&mut spec);
    create(stage, "Backup", name, &json!({}), &spec).await
}

/// Waits for a Backup's phase.
pub async fn until_backup(stage: &Stage, name: &str, phase: &str) -> DynamicObject {
    until_phase(&stage.client, "Backup", &stage.namespace, name, phase).await
}

/// Waits until an object's condition has this reason, and gives its message.
pub async fn until_condition(stage: &Stage, kind: &str, name: &str, type_: &str, reason: &str) -> String {
    let api =
        if kind == "BackupRepo" { dp(&stage.client, kind, "") } else { dp(&stage.client, kind, &stage.namespace) };
    wait::eventually(PATIENCE, &format!("{kind} {name}: condition {type_} has reason {reason}"), async || {
        let object = api.get(name).await.map_err(|e| e.to_string())?;
        let status = object.data.get("status").cloned().unwrap_or_default();
        let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
        let found = conditions.iter().find(|c| c["type"] == type_ && c["reason"] == reason);
        found.map(|c| c["message"].as_str().unwrap_or_default().to_owned()).ok_or_else(|| status.to_string())
    })
    .await
}

/// What a Backup waits for: the message of its condition `Progressing`.
pub async fn until_waits(stage: &Stage, name: &str, reason: &str) -> String {
    until_condition(stage, "Backup", name, "Progressing", reason).await
}

/// As [`until_waits`], until the message has `part` too.
pub async fn until_says(stage: &Stage, name: &str, reason: &str, part: &str) {
    wait::eventually(PATIENCE, &format!("Backup {name} waits for {reason}: …{part}…"), async || {
        let said = until_waits(stage, name, reason).await;
        if said.contains(part) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// Asks for the deletion of an object of the dp group.
pub async fn delete(stage: &Stage, kind: &str, name: &str) {
    dp(&stage.client, kind, &stage.namespace).delete(name, &DeleteParams::default()).await.expect("delete");
}

/// Waits until an object of the dp group is gone.
pub async fn until_gone(stage: &Stage, kind: &str, name: &str) {
    let api = dp(&stage.client, kind, &stage.namespace);
    wait::eventually(PATIENCE, &format!("{kind} {name} is gone"), async || match api.get_opt(name).await {
        Ok(None) => Ok(()),
        Ok(Some(object)) => Err(format!("{:?} {}", object.metadata.finalizers, object.data["status"])),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

/// Jobs of the stage's namespace.
pub fn jobs(stage: &Stage) -> Api<Job> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// Pods of the stage's namespace.
pub fn pods(stage: &Stage) -> Api<Pod> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

/// Names of the Jobs that begin with `prefix`.
pub async fn job_names(stage: &Stage, prefix: &str) -> Vec<String> {
    let all = jobs(stage).list(&ListParams::default()).await.expect("list Jobs");
    all.items.iter().map(ResourceExt::name_any).filter(|n| n.starts_with(prefix)).collect()
}

/// Waits for a Job whose name begins with `prefix`.
pub async fn until_job(stage: &Stage, prefix: &str) -> Job {
    wait::eventually(PATIENCE, &format!("a Job {prefix}…"), async || {
        let all = jobs(stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let names: Vec<String> = all.items.iter().map(ResourceExt::name_any).collect();
        all.items.into_iter().find(|j| j.name_any().starts_with(prefix)).ok_or_else(|| format!("{names:?}"))
    })
    .await
}

/// Waits until the namespace holds no Job whose name begins with `prefix`.
pub async fn until_no_job(stage: &Stage, prefix: &str) {
    wait::eventually(PATIENCE, &format!("no Job {prefix}…"), async || {
        let left = job_names(stage, prefix).await;
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

/// Waits until a pod of the Job is Running, and gives it.
pub async fn until_running(stage: &Stage, job: &str) -> Pod {
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    wait::eventually(PATIENCE, &format!("a pod of Job {job} runs"), async || {
        let all = pods(stage).list(&of_job).await.map_err(|e| e.to_string())?;
        let running = |p: &Pod| p.status.as_ref().and_then(|s| s.phase.as_deref()) == Some("Running");
        let seen = format!("{} pods, none Running", all.items.len());
        all.items.into_iter().find(running).ok_or(seen)
    })
    .await
}

/// The termination message of an action that worked.
pub fn told(size: &str, start: &str, end: &str) -> String {
    let info = ActionInfo {
        total_size: Some(size.into()),
        time_range: Some(TimeRange {
            start: Some(start.into()),
            end: Some(end.into()),
            time_zone: Some("+08:00".into()),
        }),
        extras: vec![[("gtid".to_owned(), "1-2".to_owned())].into()],
    };
    result(0, Reason::Ok, "", Some(info), "")
}

/// The termination message of an action that failed.
pub fn told_failure(exit: i32, message: &str, log_tail: &str) -> String {
    result(exit, Reason::Producer, message, None, log_tail)
}

fn result(exit: i32, reason: Reason, message: &str, info: Option<ActionInfo>, log_tail: &str) -> String {
    let result = RunResult {
        v: 1,
        exit,
        reason,
        message: message.into(),
        info,
        elapsed_ms: 12,
        transfer: None,
        log_tail: log_tail.into(),
    };
    serde_json::to_string(&result).expect("a result")
}

/// A schedule `schedule` of the policy `policy` with one entry for `method`.
pub async fn schedule(stage: &Stage, method: &str, enabled: bool) {
    let entry =
        json!({"backupMethod": method, "cronExpression": "*/5 * * * *", "retentionPeriod": "8d", "enabled": enabled});
    let spec = json!({"backupPolicyName": "policy", "schedules": [entry]});
    create(stage, "BackupSchedule", "schedule", &json!({}), &spec).await;
}

/// Switches the entry of the schedule `schedule` on or off.
pub async fn enable(stage: &Stage, enabled: bool) {
    let api = dp(&stage.client, "BackupSchedule", &stage.namespace);
    let mut spec = api.get("schedule").await.expect("the schedule").data["spec"].clone();
    spec["schedules"][0]["enabled"] = json!(enabled);
    let patch = kube::api::Patch::Merge(json!({"spec": spec}));
    api.patch("schedule", &kube::api::PatchParams::default(), &patch).await.expect("patch");
}

/// A Backup of the policy `policy` as the schedule `schedule` makes it.
pub async fn scheduled(stage: &Stage, name: &str, method: &str) -> DynamicObject {
    let body = json!({
        "apiVersion": test_kit::builders::DP_API, "kind": "Backup",
        "metadata": {"name": name, "namespace": stage.namespace, "labels": {
            "dataprotection.kubeblocks.io/backup-schedule": "schedule", "dataprotection.kubeblocks.io/autobackup": "true"}},
        "spec": {"backupPolicyName": "policy", "backupMethod": method, "retentionPeriod": "8d"},
    });
    let object: DynamicObject = serde_json::from_value(body).expect("an object");
    let api = dp(&stage.client, "Backup", &stage.namespace);
    api.create(&kube::api::PostParams::default(), &object).await.expect("create")
}

/// Waits until `seen` holds for a Backup's status, and gives the status.
pub async fn until_status(stage: &Stage, name: &str, what: &str, seen: impl Fn(&Value) -> bool) -> Value {
    let api = dp(&stage.client, "Backup", &stage.namespace);
    wait::eventually(PATIENCE, &format!("Backup {name}: {what}"), async || {
        let status = api.get(name).await.map_err(|e| e.to_string())?.data["status"].clone();
        if seen(&status) { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

/// Jobs of the operator's own namespace that work for the stage's namespace.
pub async fn exec_jobs(stage: &Stage) -> Vec<Job> {
    let api: Api<Job> = Api::namespaced(stage.client.clone(), crate::OPERATOR.0);
    let of = format!("dataprotection.kubeblocks.io/backup-namespace={}", stage.namespace);
    api.list(&ListParams::default().labels(&of)).await.expect("list Jobs").items
}

/// Applies an ActionSet of the test's own, and gives its name.
pub async fn actions(stage: &Stage, suffix: &str, spec: &Value) -> String {
    let name = format!("actions-{}-{suffix}", stage.namespace);
    crate::objects::apply_cluster(&stage.client, "ActionSet", &name, spec).await;
    name
}

/// A data action that does nothing.
pub fn data_action() -> Value {
    json!({"image": "docker.io/local/busybox:1", "runOnTargetPodNode": true, "command": ["sh", "-c", "true"]})
}
