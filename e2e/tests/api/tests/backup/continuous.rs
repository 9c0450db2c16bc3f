//! Archives that are written for as long as they are wanted (behaviour-backup §3.13, §16.25–29).

use e2e_api::backups::{
    actions, backup, database, delete, enable, pods, policy, schedule, scheduled, until_backup, until_says,
    until_status, until_waits,
};
use e2e_api::populate::pods_end;
use e2e_api::{PATIENCE, Stage, stage};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::{Outcome, builders, wait};

fn sets(stage: &Stage) -> Api<StatefulSet> {
    Api::namespaced(stage.client.clone(), &stage.namespace)
}

async fn until_set(stage: &Stage, what: &str, seen: impl Fn(&StatefulSet) -> bool) -> StatefulSet {
    wait::eventually(PATIENCE, what, async || {
        let all = sets(stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
        let shown = serde_json::to_string(&all.iter().map(|s| &s.metadata.name).collect::<Vec<_>>()).unwrap();
        all.into_iter().find(&seen).ok_or(shown)
    })
    .await
}

fn value(set: &StatefulSet, name: &str) -> String {
    let spec = set.spec.as_ref().and_then(|s| s.template.spec.as_ref()).unwrap();
    let env = spec.containers[0].env.clone().unwrap_or_default();
    env.iter().rev().find(|v| v.name == name).and_then(|v| v.value.clone()).unwrap_or_default()
}

/// A policy with a continuous method `log` and a full one, and its schedule.
async fn archive(stage: &Stage) -> String {
    let spec = json!({"backupType": "Continuous", "backup": {"backupData": {
        "image": "docker.io/local/busybox:1", "runOnTargetPodNode": true, "command": ["sh", "-c", "archive"],
        "syncProgress": {"enabled": true, "intervalSeconds": 7}}}});
    let name = actions(stage, "log", &spec).await;
    policy(stage, &name, |spec| spec["backupMethods"][0]["name"] = json!("log")).await;
    schedule(stage, "log", true).await;
    name
}

/// The Backup that the schedule `schedule` makes for its continuous entry.
async fn made(stage: &Stage) -> String {
    let api = e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace);
    let of = ListParams::default().labels("dataprotection.kubeblocks.io/backup-schedule=schedule");
    wait::eventually(PATIENCE, "the Backup of the entry", async || {
        let all = api.list(&of).await.map_err(|e| e.to_string())?.items;
        all.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
    })
    .await
}

#[tokio::test]
async fn bd1_an_archive_follows_its_pod_and_never_expires_while_it_is_written() {
    let (stage, company) = stage("archive").await;
    database(&stage, "db-0").await;
    archive(&stage).await;
    pods_end(&stage, company, Outcome::Hold);
    let log = made(&stage).await;
    let set = until_set(&stage, "a StatefulSet", |_| true).await;
    assert_eq!(set.name_any(), log, "named as the backup");
    assert_eq!(set.spec.as_ref().unwrap().replicas, Some(1));
    assert_eq!(value(&set, "DP_TARGET_POD_NAME"), "db-0");
    assert_eq!(value(&set, "DP_ARCHIVE_INTERVAL"), "300s");
    assert_eq!(value(&set, "DP_TTL_SECONDS"), "691200");
    let spec = set.spec.clone().unwrap().template.spec.unwrap();
    let agent = spec.init_containers.iter().flatten().find(|c| c.name == "manager").expect("the agent");
    assert_eq!(agent.restart_policy.as_deref(), Some("Always"));
    let interval = agent.env.iter().flatten().find(|v| v.name == "DP_CHECK_INTERVAL").unwrap();
    assert_eq!(interval.value.as_deref(), Some("7"));
    let own = |v: &&k8s_openapi::api::core::v1::EnvVar| v.name == "DP_ARCHIVE_INTERVAL";
    assert!(agent.env.iter().flatten().find(own).is_none(), "the interval is on the archive's container alone");

    let running =
        until_status(&stage, &log, "it runs", |s| s["phase"] == "Running" && s["actions"][0]["availableReplicas"] == 1)
            .await;
    assert_eq!(running["actions"][0]["actionType"], "StatefulSet");
    assert_eq!(running["actions"][0]["objectRef"]["kind"], "StatefulSet");
    assert_eq!(running.get("expiration"), None);
    // A look that finds nothing new writes nothing.
    let version = sets(&stage).get(&log).await.unwrap().metadata.generation;
    let poke = Patch::Merge(json!({"metadata": {"annotations": {"example": "poke"}}}));
    e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace)
        .patch(&log, &PatchParams::default(), &poke)
        .await
        .unwrap();
    wait::stays(Duration::from_secs(1), "the template is not written again", async || {
        let seen = sets(&stage).get(&log).await.map_err(|e| e.to_string())?.metadata.generation;
        if seen == version { Ok(()) } else { Err(format!("{version:?} → {seen:?}")) }
    })
    .await;

    // The pod goes: its volume is freed. Another comes: the archive goes on there.
    pods(&stage).delete("db-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    until_set(&stage, "rule 29: scaled to zero", |s| s.spec.as_ref().unwrap().replicas == Some(0)).await;
    let said = until_waits(&stage, &log, "TargetPodNotFound").await;
    assert!(said.contains("goes on"), "{said}");
    database(&stage, "db-1").await;
    let moved = until_set(&stage, "it follows", |s| value(s, "DP_TARGET_POD_NAME") == "db-1").await;
    assert_eq!(moved.spec.as_ref().unwrap().replicas, Some(1));
    assert_eq!(value(&moved, "DP_BACKUP_BASE_PATH"), value(&set, "DP_BACKUP_BASE_PATH"), "the same archive");
    let status = until_status(&stage, &log, "the new pod is recorded", |s| {
        s["target"]["selectedTargetPods"] == json!(["db-1"]) && s.get("conditions").is_none()
    })
    .await;
    assert_eq!((status.get("expiration"), &status["actions"][0]["targetPodName"]), (None, &json!("db-1")));

    // Its schedule still wants one: another of the same name may follow it.
    let api = e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace);
    let old = api.get(&log).await.unwrap().uid();
    delete(&stage, "Backup", &log).await;
    wait::eventually(PATIENCE, "its StatefulSet is gone", async || {
        let left = sets(&stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
        if left.iter().all(|s| s.uid() != moved.uid()) { Ok(()) } else { Err("it is there".into()) }
    })
    .await;
    pods_end(&stage, company, Outcome::succeed());
    wait::eventually(PATIENCE, "the archive is gone", async || match api.get_opt(&log).await {
        Ok(Some(backup)) if backup.uid() == old => Err(backup.data["status"].to_string()),
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    })
    .await;
}

async fn until_no_set(stage: &Stage) {
    wait::eventually(PATIENCE, "no StatefulSet is left", async || {
        let left = sets(stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?.items.len();
        if left == 0 { Ok(()) } else { Err(left.to_string()) }
    })
    .await;
}

#[tokio::test]
async fn rule_25_it_completes_when_its_schedule_is_disabled_and_goes_on_when_it_is_enabled() {
    let (stage, company) = stage("resume").await;
    database(&stage, "db-0").await;
    archive(&stage).await;
    pods_end(&stage, company, Outcome::Hold);
    let log = made(&stage).await;
    until_set(&stage, "a StatefulSet", |_| true).await;
    let path = until_backup(&stage, &log, "Running").await.data["status"]["path"].clone();
    enable(&stage, false).await;
    let done = until_backup(&stage, &log, "Completed").await;
    assert!(done.data["status"]["expiration"].is_string(), "its age counts from now on");
    assert_eq!(done.data["status"]["actions"][0]["availableReplicas"], 0);
    until_no_set(&stage).await;
    enable(&stage, true).await;
    until_set(&stage, "a StatefulSet again", |_| true).await;
    let again = until_backup(&stage, &log, "Running").await;
    assert_eq!(again.data["status"]["path"], path);
    assert_eq!(again.data["status"].get("expiration"), None);
    assert_eq!(again.data["status"].get("completionTimestamp"), None);
}

#[tokio::test]
async fn rule_26_what_failed_before_it_began_is_tried_again_when_that_is_mended() {
    let (stage, company) = stage("mended").await;
    database(&stage, "db-0").await;
    let name = actions(&stage, "log", &json!({"backupType": "Continuous", "backup": {}})).await;
    policy(&stage, &name, |spec| spec["backupMethods"][0]["name"] = json!("log")).await;
    pods_end(&stage, company, Outcome::Hold);
    schedule(&stage, "log", true).await;
    let log = made(&stage).await;
    let failed = until_backup(&stage, &log, "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("NoBackupAction"), "{why}");
    let data = json!({"image": "docker.io/local/busybox:1", "command": ["sh", "-c", "archive"]});
    let mended = Patch::Merge(json!({"spec": {"backup": {"backupData": data}}}));
    let api = e2e_api::objects::dp(&stage.client, "ActionSet", "");
    api.patch(&name, &PatchParams::default(), &mended).await.unwrap();
    let goes_on = until_backup(&stage, &log, "Running").await;
    assert_eq!(goes_on.data["status"].get("failureReason"), None);
    assert!(
        goes_on.data["status"]["persistentVolumeClaimName"].is_string(),
        "its repository was prepared all the same"
    );
}

#[tokio::test]
async fn rule_27_only_a_schedule_can_make_one() {
    let (stage, _) = stage("unscheduled").await;
    database(&stage, "db-0").await;
    archive(&stage).await;
    backup(&stage, "b", |spec| spec["backupMethod"] = json!("log")).await;
    let failed = until_backup(&stage, "b", "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap();
    assert!(
        why.contains("BackupScheduleMissing") && why.contains("dataprotection.kubeblocks.io/backup-schedule"),
        "{why}"
    );
    e2e_api::objects::dp(&stage.client, "BackupSchedule", &stage.namespace)
        .delete("schedule", &DeleteParams::default())
        .await
        .unwrap();
    scheduled(&stage, "log", "log").await;
    until_says(&stage, "log", "BackupScheduleNotFound", "schedule").await;
    schedule(&stage, "log", false).await;
    until_says(&stage, "log", "BackupScheduleDisabled", "log").await;
    enable(&stage, true).await;
    until_backup(&stage, "log", "Running").await;
}

#[tokio::test]
async fn rule_29_an_archive_that_fails_is_said_and_recovers() {
    let (stage, company) = stage("sick").await;
    database(&stage, "db-0").await;
    archive(&stage).await;
    pods_end(&stage, company, Outcome::Hold);
    let log = made(&stage).await;
    until_status(&stage, &log, "it runs", |s| s["actions"][0]["availableReplicas"] == 1).await;
    // As the kubelet tells of a container that keeps ending.
    pods_end(&stage, company, Outcome::Unresponsive);
    let container = |state: Value, ready: &str, since: &str| {
        json!({"conditions": [{"type": "Ready", "status": ready, "lastTransitionTime": since}],
            "containerStatuses": [{"name": "backupdata", "image": "i", "imageID": "", "restartCount": 3, "ready": ready == "True",
                "state": state}]})
    };
    let crashing = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}});
    builders::set_status(&pods(&stage), &format!("{log}-0"), &container(crashing, "False", "2026-01-01T00:00:00Z"))
        .await;
    let failed = until_backup(&stage, &log, "Failed").await;
    let why = failed.data["status"]["failureReason"].as_str().unwrap();
    assert!(why.contains("dp-backup-0") && why.contains("back-off restarting"), "{why}");
    assert_eq!(failed.data["status"].get("expiration"), None, "BD1: an outage is no end");
    let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
    builders::set_status(&pods(&stage), &format!("{log}-0"), &container(running, "True", "2026-01-01T00:00:00Z")).await;
    let well = until_backup(&stage, &log, "Running").await;
    assert_eq!(well.data["status"].get("failureReason"), None);
}

/// BD19: the pods of several StatefulSets, which are named otherwise than their Backup, woke it as little at its deletion.
#[tokio::test]
async fn bd26_bd19_strategy_all_writes_one_archive_for_each_pod_and_all_go_with_it() {
    let (stage, company) = stage("archives").await;
    database(&stage, "db-0").await;
    database(&stage, "db-1").await;
    let spec = json!({"backupType": "Continuous", "backup": {"backupData": {"image": "docker.io/local/busybox:1", "command": ["x"]}}});
    let name = actions(&stage, "log", &spec).await;
    policy(&stage, &name, |spec| {
        spec["backupMethods"][0]["name"] = json!("log");
        spec["target"]["podSelector"]["strategy"] = json!("All");
    })
    .await;
    schedule(&stage, "log", true).await;
    pods_end(&stage, company, Outcome::Hold);
    let log = made(&stage).await;
    for pod in ["db-0", "db-1"] {
        let set = until_set(&stage, pod, |s| value(s, "DP_TARGET_POD_NAME") == pod).await;
        let name = set.name_any();
        assert!(name.ends_with(pod), "one for each: {name}");
        assert_eq!(value(&set, "DP_BACKUP_BASE_PATH"), format!("/{}/db/{log}/{pod}", stage.namespace));
    }
    each_reports_for_itself(&stage, &log).await;
    pods(&stage).delete("db-0", &DeleteParams::default().grace_period(0)).await.unwrap();
    wait::eventually(PATIENCE, "the archive of the pod that went is gone", async || {
        let left = sets(&stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?.items;
        let names: Vec<String> = left.iter().map(ResourceExt::name_any).collect();
        if matches!(&names[..], [only] if only.ends_with("db-1")) { Ok(()) } else { Err(format!("{names:?}")) }
    })
    .await;
    database(&stage, "db-0").await;
    until_set(&stage, "db-0", |s| value(s, "DP_TARGET_POD_NAME") == "db-0").await;
    e2e_api::backups::delete(&stage, "BackupSchedule", "schedule").await;
    e2e_api::backups::delete(&stage, "Backup", &log).await;
    until_no_set(&stage).await;
    pods_end(&stage, company, Outcome::succeed());
    e2e_api::backups::until_gone(&stage, "Backup", &log).await;
}

/// BD6: they wrote one another's size and range over; now each has an annotation, and the status is of them all.
async fn each_reports_for_itself(stage: &Stage, log: &str) {
    let spec = |set: StatefulSet| set.spec.unwrap().template.spec.unwrap();
    let all = sets(stage).list(&ListParams::default()).await.unwrap().items;
    let agents = all.into_iter().flat_map(|set| spec(set).init_containers.unwrap_or_default());
    let variables = agents.flat_map(|agent| agent.env.unwrap_or_default());
    let mut keys: Vec<String> =
        variables.filter(|v| v.name == "DATASAFED_MOVER_REPORT_ANNOTATION").filter_map(|v| v.value).collect();
    keys.sort();
    assert_eq!(keys, ["progress.holdfast.dev/dp-backup-0", "progress.holdfast.dev/dp-backup-1"]);
    let said = |size: &str, start: &str, end: &str| {
        json!({"totalSize": size, "timeRange": {"start": start, "end": end}}).to_string()
    };
    let told = json!({"metadata": {"annotations": {
        &keys[0]: said("5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
        &keys[1]: said("7", "2026-01-01T01:00:00Z", "2026-01-03T00:00:00Z"),
    }}});
    let api = e2e_api::objects::dp(&stage.client, "Backup", &stage.namespace);
    api.patch(log, &PatchParams::default(), &Patch::Merge(told)).await.unwrap();
    let status = until_status(stage, log, "what both said", |s| s["totalSize"] == "12").await;
    assert_eq!(status["timeRange"]["start"], "2026-01-01T00:00:00Z");
    assert_eq!(status["timeRange"]["end"], "2026-01-03T00:00:00Z");
    let sizes: Vec<&Value> = status["actions"].as_array().unwrap().iter().map(|a| &a["totalSize"]).collect();
    assert_eq!(sizes, ["5", "7"]);
}
