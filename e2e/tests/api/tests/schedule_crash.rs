//! The operator is killed before and after every write of a scheduled run and of an expiry: a slot makes one Backup
//! whatever happens, also when that Backup is deleted while nobody looks. The tests share one operator and take turns.

use e2e_api::backups::{delete, policy, until_gone, until_waits};
use e2e_api::crash_points::{self, Choice, Point, restart};
use e2e_api::objects::{action_set, create, dp, prepare_data, until_phase};
use e2e_api::{PATIENCE, Stage, stage};
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use std::time::Duration;
use test_kit::{Fault, JournalEntry, wait};

/// The slot of the plays: a real one of their expression, long past.
const SLOT: &str = "2026-01-01T00:00:00Z";
const RUN: &str = "s-full-20260101000000";

async fn status(stage: &Stage, kind: &str, name: &str, status: Value) {
    let patch = Patch::Merge(json!({"status": status}));
    dp(&stage.client, kind, &stage.namespace)
        .patch_status(name, &PatchParams::default(), &patch)
        .await
        .expect("status");
}

/// A schedule that runs each New Year, and has nothing to do.
async fn idle_schedule(stage: &Stage) {
    let actions = action_set(stage, prepare_data()).await;
    policy(stage, &actions, |_| {}).await;
    let entry = json!({"backupMethod": "full", "cronExpression": "0 0 1 1 *", "enabled": true});
    let spec = json!({"backupPolicyName": "policy", "schedules": [entry]});
    create(stage, "BackupSchedule", "s", &json!({}), &spec).await;
    until_phase(&stage.client, "BackupSchedule", &stage.namespace, "s", "Available").await;
    wait::eventually(PATIENCE, "it is labelled", async || {
        let made = dp(&stage.client, "BackupSchedule", &stage.namespace).get("s").await.map_err(|e| e.to_string())?;
        if made.labels().is_empty() { Err("no label".into()) } else { Ok(()) }
    })
    .await;
}

/// The slot becomes due, as if it had been missed.
async fn becomes_due(stage: &Stage) {
    status(stage, "BackupSchedule", "s", json!({"schedules": {"full": {"nextScheduleTime": SLOT}}})).await;
}

async fn ran_once(stage: &Stage) {
    wait::eventually(PATIENCE, "the run is there and told", async || {
        let made = dp(&stage.client, "BackupSchedule", &stage.namespace).get("s").await.map_err(|e| e.to_string())?;
        let full = &made.data["status"]["schedules"]["full"];
        let told = full["lastBackupName"] == RUN && full["lastScheduleTime"] == SLOT;
        let rest = full.get("startingBackupName").is_none() && full["nextScheduleTime"] == "2027-01-01T00:00:00Z";
        if told && rest { Ok(()) } else { Err(full.to_string()) }
    })
    .await;
    let all = dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.unwrap();
    assert_eq!(all.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), [RUN]);
    until_waits(stage, RUN, "TargetPodNotFound").await;
}

async fn expired_pair(stage: &Stage) {
    idle_schedule(stage).await;
    for (name, ended) in [("good", "2026-11-20T00:00:00Z"), ("old", "2026-11-19T00:00:00Z")] {
        let spec = json!({"backupPolicyName": "policy", "backupMethod": "full"});
        create(stage, "Backup", name, &json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"}), &spec)
            .await;
        status(stage, "Backup", name, json!({"phase": "Completed", "completionTimestamp": ended})).await;
        let own = json!({"metadata": {"annotations": {"dataprotection.kubeblocks.io/skip-reconciliation": null}}});
        let api = dp(&stage.client, "Backup", &stage.namespace);
        api.patch(name, &PatchParams::default(), &Patch::Merge(own)).await.unwrap();
    }
}

async fn expire(stage: &Stage) {
    for name in ["good", "old"] {
        status(stage, "Backup", name, json!({"expiration": "2026-11-20T00:00:00Z"})).await;
    }
}

async fn the_last_good_one_is_left(stage: &Stage) {
    until_gone(stage, "Backup", "old").await;
    wait::eventually(PATIENCE, "the other says why it stays", async || {
        let good = dp(&stage.client, "Backup", &stage.namespace).get("good").await.map_err(|e| e.to_string())?;
        let said = good.data["status"]["keptBecause"].as_str().unwrap_or_default().to_owned();
        if said.contains("latest completed") { Ok(()) } else { Err(good.data.to_string()) }
    })
    .await;
}

#[derive(Clone, Copy, Debug)]
enum Play {
    Run,
    Expiry,
}

impl Play {
    async fn prepare(self, stage: &Stage) {
        match self {
            Play::Run => idle_schedule(stage).await,
            Play::Expiry => expired_pair(stage).await,
        }
    }

    async fn begin(self, stage: &Stage) {
        match self {
            Play::Run => becomes_due(stage).await,
            Play::Expiry => expire(stage).await,
        }
    }

    async fn end(self, stage: &Stage) {
        match self {
            Play::Run => ran_once(stage).await,
            Play::Expiry => the_last_good_one_is_left(stage).await,
        }
    }
}

async fn run(play: Play, point: Option<&Point>) -> Vec<JournalEntry> {
    let (stage, company) = stage("scheduled").await;
    play.prepare(&stage).await;
    let proxy = &company.proxy;
    proxy.clear_journal();
    let Some(point) = point else {
        play.begin(&stage).await;
        play.end(&stage).await;
        return proxy.writes();
    };
    proxy.arm(point.fault(&stage.namespace));
    play.begin(&stage).await;
    tokio::select! {
        _ = proxy.cut() => {}
        () = play.end(&stage) => {}
    }
    let hit = crash_points::cut_by_plan(proxy).await;
    if hit.is_some() {
        restart(company).await;
        play.end(&stage).await;
    }
    hit.into_iter().collect()
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_makes_one_backup_whichever_write_the_operator_dies_at() {
    let _turn = TURN.lock().await;
    let recover = async || {
        let (_, company) = stage("scheduled").await;
        company.proxy.disarm();
        restart(company).await;
    };
    crash_points::walk("ScheduledRun", Choice::every(1), async |point| run(Play::Run, point).await, recover).await;
}

/// An expiry has two writes only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expiry_ends_the_same_whichever_write_the_operator_dies_at() {
    let _turn = TURN.lock().await;
    for resource in ["DELETE", "PATCH"] {
        for cut in [Fault::cut_before as fn(usize) -> Fault, Fault::cut_after] {
            let (stage, company) = stage("expired").await;
            Play::Expiry.prepare(&stage).await;
            let ours = stage.namespace.clone();
            company.proxy.arm(
                cut(1).when(move |r| r.namespace == ours && r.resource == "backups" && r.method.as_str() == resource),
            );
            Play::Expiry.begin(&stage).await;
            company.proxy.cut().await;
            company.proxy.disarm();
            restart(company).await;
            Play::Expiry.end(&stage).await;
        }
    }
}

async fn until_told(stage: &Stage) {
    let api = dp(&stage.client, "BackupSchedule", &stage.namespace);
    wait::eventually(PATIENCE, "the run is told", async || {
        let full = api.get("s").await.map_err(|e| e.to_string())?.data["status"]["schedules"]["full"].clone();
        if full["lastBackupName"] == RUN && full.get("startingBackupName").is_none() {
            Ok(())
        } else {
            Err(full.to_string())
        }
    })
    .await;
}

async fn never_again(stage: &Stage) {
    wait::stays(Duration::from_secs(3), "it does not run again", async || {
        let all = dp(&stage.client, "Backup", &stage.namespace).list(&ListParams::default()).await.unwrap();
        if all.items.is_empty() { Ok(()) } else { Err(format!("{:?}", all.items[0].metadata.name)) }
    })
    .await;
}

/// Created, not yet told, and deleted while the operator is away: its finalizer keeps it until its schedule told it.
/// The first look of the schedule comes late: the deletion alone would be faster.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_deleted_while_nobody_looked_does_not_come_again() {
    let _turn = TURN.lock().await;
    let (stage, company) = stage("deleted").await;
    idle_schedule(&stage).await;
    let ours = stage.namespace.clone();
    company.proxy.arm(
        Fault::cut_after(1)
            .when(move |r| r.namespace == ours && r.resource == "backups" && r.method.as_str() == "POST"),
    );
    becomes_due(&stage).await;
    company.proxy.cut().await;
    company.proxy.disarm();
    company.operator.lock().await.kill();
    delete(&stage, "Backup", RUN).await;
    let ours = stage.namespace.clone();
    company.proxy.arm(
        Fault::answer(1, 500)
            .times(usize::MAX)
            .when(move |r| r.namespace == ours && r.resource == "backupschedules" && r.subresource == "status"),
    );
    restart(company).await;
    until_waits(&stage, RUN, "RunNotRecorded").await;
    company.proxy.disarm();
    until_gone(&stage, "Backup", RUN).await;
    until_told(&stage).await;
    never_again(&stage).await;
}

/// The cache of schedules shows the run as about to be made for as long as it lags, and nothing bears its name any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_was_deleted_is_not_made_again_by_a_cache_that_lags() {
    let _turn = TURN.lock().await;
    let (stage, company) = stage("lags").await;
    idle_schedule(&stage).await;
    // The creation takes a while, so that the cache shows what was stored before it; what is stored after it comes late.
    let (here, there) = (stage.namespace.clone(), stage.namespace.clone());
    company.proxy.arm(
        Fault::delay(1, Duration::from_secs(1))
            .when(move |r| r.namespace == here && r.resource == "backups" && r.method.as_str() == "POST"),
    );
    company.proxy.arm(
        Fault::freeze_watch(2, "backupschedules")
            .when(move |r| r.namespace == there && r.resource == "backupschedules" && r.subresource == "status"),
    );
    becomes_due(&stage).await;
    until_told(&stage).await;
    assert_eq!(company.proxy.disarm(), [""; 0], "the cache lags");
    delete(&stage, "Backup", RUN).await;
    until_gone(&stage, "Backup", RUN).await;
    never_again(&stage).await;
    company.proxy.resume_watch("backupschedules");
    until_told(&stage).await;
    never_again(&stage).await;
}
