//! Schedules and retention: runs that come when they are due and once, whatever happens to the operator; what expires
//! and what stays. Entries run by `@every`, so that slots lie seconds apart.

mod adoption;
mod continuous;
mod expiry;
mod reconfigure;
mod runs;

use e2e_api::backups::policy;
use e2e_api::objects::{action_set, apply_cluster, create, dp, prepare_data};
use e2e_api::{PATIENCE, Stage};
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use test_kit::wait;

/// A schedule `s` of the policy `policy` with these entries.
async fn schedule(stage: &Stage, entries: Value) -> DynamicObject {
    schedule_with(stage, &json!({}), |spec| spec["schedules"] = entries).await
}

async fn schedule_with(stage: &Stage, annotations: &Value, change: impl FnOnce(&mut Value)) -> DynamicObject {
    let mut spec = json!({"backupPolicyName": "policy"});
    change(&mut spec);
    create(stage, "BackupSchedule", "s", annotations, &spec).await
}

/// An entry by method `full`.
fn entry(cron: &str) -> Value {
    json!({"backupMethod": "full", "cronExpression": cron, "enabled": true, "retentionPeriod": "3d"})
}

/// The policy `policy` with a full method, and a continuous one `log`.
async fn policy_with_log(stage: &Stage) {
    let actions = action_set(stage, prepare_data()).await;
    let archive = format!("archive-{}", stage.namespace);
    let spec = json!({"backupType": "Continuous", "backup": {"backupData": {"image": "docker.io/local/busybox:1",
        "command": ["sh", "-c", "true"]}}});
    apply_cluster(&stage.client, "ActionSet", &archive, &spec).await;
    policy(stage, &actions, |spec| {
        spec["backupMethods"].as_array_mut().unwrap().push(json!({"name": "log", "actionSetName": archive}));
    })
    .await;
}

async fn backups(stage: &Stage) -> Vec<DynamicObject> {
    dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.expect("list Backups").items
}

async fn until_backups(stage: &Stage, what: &str, enough: impl Fn(&[DynamicObject]) -> bool) -> Vec<DynamicObject> {
    wait::eventually(PATIENCE, what, async || {
        let all = backups(stage).await;
        let seen: Vec<String> = all.iter().map(|b| format!("{:?} {}", b.metadata.name, b.data["status"])).collect();
        if enough(&all) { Ok(all) } else { Err(seen.join("\n")) }
    })
    .await
}

/// Waits until the schedule's status is as wanted, and gives it.
async fn until_schedule(stage: &Stage, what: &str, enough: impl Fn(&Value) -> bool) -> Value {
    let api = dp(&stage.client, "BackupSchedule", &stage.namespace);
    wait::eventually(PATIENCE, what, async || {
        let status = api.get("s").await.map_err(|e| e.to_string())?.data["status"].clone();
        if enough(&status) { Ok(status) } else { Err(status.to_string()) }
    })
    .await
}

async fn change(stage: &Stage, kind: &str, name: &str, patch: Value) {
    let api = dp(&stage.client, kind, &stage.namespace);
    api.patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.expect("patch");
}

async fn change_status(stage: &Stage, kind: &str, name: &str, status: Value) {
    let api = dp(&stage.client, kind, &stage.namespace);
    let patch = Patch::Merge(json!({"status": status}));
    api.patch_status(name, &PatchParams::default(), &patch).await.expect("status");
}

fn slot(backup: &DynamicObject) -> String {
    let annotations = backup.metadata.annotations.clone().unwrap_or_default();
    annotations.get(api_types::contract::annotations::SCHEDULE_SLOT).cloned().unwrap_or_default()
}

/// An instant this many seconds from now.
fn from_now(seconds: i64) -> String {
    let now = test_kit::clock::now();
    jiff::Timestamp::from_second(now.as_second() + seconds).expect("an instant").to_string()
}
