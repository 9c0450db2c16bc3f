//! The API server refuses, throttles or does not answer: nothing fails for it, nothing is dropped, and
//! no outside event is needed to go on (design D6, behaviour-backup D12, behaviour-restore §17.62).

use e2e_api::backups::{backup, database, policy, until_backup, until_gone};
use e2e_api::objects::{self, action_set, completed_backup, dp, prepare_data, until_phase, until_restore};
use e2e_api::populate::assert_filled;
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage, stage};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_kit::builders::Claim;
use test_kit::crash_proxy::Request;
use test_kit::{Fault, wait};

/// The next `times` requests that `wanted` holds for are answered with `code`; gives how many were.
fn refuse(
    company: &Company,
    code: u16,
    times: usize,
    wanted: impl Fn(&Request) -> bool + Send + 'static,
) -> Arc<AtomicUsize> {
    let hits = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&hits);
    company.proxy.arm(Fault::answer(1, code).times(times).when(move |r| {
        let hit = wanted(r);
        if hit {
            seen.fetch_add(1, Ordering::Relaxed);
        }
        hit
    }));
    hits
}

fn assert_hit(hits: &AtomicUsize, at_least: usize) {
    let hit = hits.load(Ordering::Relaxed);
    assert!(hit >= at_least, "the fault was to hit {at_least} requests and hit {hit}");
}

/// Every write in the namespace, refused once in every two: a write that is tried again gets through.
fn every_second_write(stage: &Stage, company: &Company, code: u16) -> Arc<AtomicUsize> {
    let (ns, hits) = (stage.namespace.clone(), Arc::new(AtomicUsize::new(0)));
    let seen = Arc::clone(&hits);
    let turns = std::sync::Mutex::new(std::collections::HashMap::<String, usize>::new());
    company.proxy.arm(Fault::answer(1, code).times(usize::MAX / 2).when(move |r| {
        if r.namespace != ns || !r.is_write() || r.is_noise() {
            return false;
        }
        let key = format!("{} {}/{} {}", r.method, r.resource, r.subresource, r.name);
        let mut turns = turns.lock().unwrap();
        let turn = turns.entry(key).or_insert(0);
        *turn += 1;
        let hit = *turn % 2 == 1;
        seen.fetch_add(usize::from(hit), Ordering::Relaxed);
        hit
    }));
    hits
}

async fn claim_from_backup(stage: &Stage) {
    let actions = action_set(stage, prepare_data()).await;
    completed_backup(stage, "b", &actions).await;
    Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
}

/// Volumes carry no namespace in their path: those of this stage's prime claim, by name.
async fn prime_volume(stage: &Stage) -> String {
    let claim = objects::claims(stage).get("data").await.unwrap();
    let name = objects::prime_name(&claim);
    wait::eventually(PATIENCE, "the prime claim has a volume", async || {
        let prime = objects::claims(stage).get(&name).await.map_err(|e| e.to_string())?;
        prime.spec.and_then(|s| s.volume_name).ok_or_else(|| "no volume yet".into())
    })
    .await
}

async fn hand_over_is_refused(name: &str, code: u16, times: usize) {
    let (stage, company) = stage(name).await;
    e2e_api::populate::pods_end(&stage, company, test_kit::Outcome::Hold);
    claim_from_backup(&stage).await;
    let volume = prime_volume(&stage).await;
    let hits = refuse(company, code, times, move |r| {
        r.resource == "persistentvolumes" && r.name == volume && r.method.as_str() == "PATCH"
    });
    e2e_api::populate::pods_end(&stage, company, test_kit::Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_hit(&hits, times);
    assert_filled(&stage, company, &claim).await;
}

#[tokio::test]
async fn restore_62_a_conflict_at_the_volume_is_tried_again() {
    hand_over_is_refused("conflict", 409, 1).await;
}

#[tokio::test]
async fn restore_62_timeouts_at_the_volume_are_tried_again_and_again() {
    hand_over_is_refused("timeout", 504, 6).await;
}

#[tokio::test]
async fn restore_62_an_answer_that_says_invalid_is_no_verdict_about_the_claim() {
    hand_over_is_refused("invalid", 422, 1).await;
}

#[tokio::test]
async fn a_claim_is_filled_though_every_write_fails_once() {
    let (stage, company) = stage("every-claim").await;
    let hits = every_second_write(&stage, company, 500);
    claim_from_backup(&stage).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_hit(&hits, 10);
    assert_filled(&stage, company, &claim).await;
}

#[tokio::test]
async fn status_writes_of_claim_and_execution_may_fail() {
    let (stage, company) = stage("status").await;
    let ns = stage.namespace.clone();
    let hits = refuse(company, 500, 3, move |r| {
        r.namespace == ns && r.subresource == "status" && r.resource == "persistentvolumeclaims" && r.is_write()
    });
    let ns = stage.namespace.clone();
    let more = refuse(company, 500, 3, move |r| {
        r.namespace == ns && r.subresource == "status" && r.resource == "restores" && r.is_write()
    });
    claim_from_backup(&stage).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_hit(&hits, 3);
    assert_hit(&more, 3);
    assert_filled(&stage, company, &claim).await;
}

/// A Backup that has ended well has run its action once, whatever was refused on the way.
async fn backup_is_whole(stage: &Stage, company: &Company) -> DynamicObject {
    let api = dp(&stage.client, "Backup", &stage.namespace);
    let done = wait::eventually(PATIENCE * 2, "the backup ends", async || {
        let seen = api.get("b").await.map_err(|e| e.to_string())?;
        let status = seen.data.get("status").cloned().unwrap_or_default();
        assert_ne!(status["phase"], "Failed", "a passing error failed it: {status}");
        if status["phase"] == "Completed" { Ok(seen) } else { Err(status.to_string()) }
    })
    .await;
    let claim = done.data["status"]["persistentVolumeClaimName"].as_str().unwrap();
    let ran = company.executor.written_to(&stage.namespace, claim);
    assert_eq!(ran.len(), 1, "{ran:?}");
    done
}

async fn prepared(name: &str) -> (Stage, &'static Company) {
    let (stage, company) = stage(name).await;
    let actions = action_set(&stage, prepare_data()).await;
    until_phase(&stage.client, "ActionSet", "", &actions, "Available").await;
    database(&stage, "db-0").await;
    policy(&stage, &actions, |_| {}).await;
    (stage, company)
}

#[tokio::test]
async fn bd12_no_passing_error_at_any_write_fails_a_backup() {
    for code in [409, 500] {
        let (stage, company) = prepared("every-backup").await;
        let hits = every_second_write(&stage, company, code);
        backup(&stage, "b", |_| {}).await;
        backup_is_whole(&stage, company).await;
        assert_hit(&hits, 8);
    }
}

#[tokio::test]
async fn bd12_nor_does_throttling() {
    let (stage, company) = prepared("throttled").await;
    let ns = stage.namespace.clone();
    let hits =
        refuse(company, 429, 4, move |r| r.namespace == ns && r.resource == "jobs" && r.method.as_str() == "POST");
    let ns = stage.namespace.clone();
    let more =
        refuse(company, 429, 3, move |r| r.namespace == ns && r.resource == "backups" && r.subresource == "status");
    backup(&stage, "b", |_| {}).await;
    backup_is_whole(&stage, company).await;
    assert_hit(&hits, 4);
    assert_hit(&more, 3);
}

#[tokio::test]
async fn bd12_nor_does_a_read_that_fails() {
    let (stage, company) = prepared("reads").await;
    let ns = stage.namespace.clone();
    let hits =
        refuse(company, 500, 4, move |r| r.namespace == ns && r.resource == "pods" && !r.is_write() && !r.is_watch());
    backup(&stage, "b", |_| {}).await;
    backup_is_whole(&stage, company).await;
    assert_hit(&hits, 4);
}

#[tokio::test]
async fn a_deletion_goes_on_though_every_write_fails_once() {
    let (stage, company) = prepared("every-deletion").await;
    backup(&stage, "b", |_| {}).await;
    until_backup(&stage, "b", "Completed").await;
    e2e_api::backups::until_no_job(&stage, "dp-backup").await;
    let hits = every_second_write(&stage, company, 500);
    e2e_api::backups::delete(&stage, "Backup", "b").await;
    until_gone(&stage, "Backup", "b").await;
    assert_hit(&hits, 3);
}

#[tokio::test]
async fn a_restore_of_a_user_ends_though_every_write_fails_once() {
    let (stage, company) = stage("every-restore").await;
    let actions = action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let hits = every_second_write(&stage, company, 500);
    let claim = json!({"metadata": {"name": "data"}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}});
    let spec = json!({"backup": {"name": "b", "namespace": stage.namespace},
        "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"}});
    objects::create(&stage, "Restore", "r", &json!({}), &spec).await;
    until_phase(&stage.client, "Restore", &stage.namespace, "r", "Completed").await;
    assert_hit(&hits, 7);
    assert_eq!(company.executor.written_to(&stage.namespace, "data").len(), 1);
    let left = dp(&stage.client, "Restore", &stage.namespace).list(&ListParams::default()).await.unwrap();
    assert_eq!(left.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["r"]);
}

#[tokio::test]
async fn a_write_whose_answer_comes_late_is_not_done_twice() {
    let (stage, company) = prepared("late").await;
    let ns = stage.namespace.clone();
    let slow = std::time::Duration::from_secs(2);
    company.proxy.arm(
        Fault::delay(1, slow).when(move |r| r.namespace == ns && r.resource == "jobs" && r.method.as_str() == "POST"),
    );
    backup(&stage, "b", |_| {}).await;
    let done = backup_is_whole(&stage, company).await;
    assert_eq!(done.data["status"]["actions"].as_array().map(Vec::len), Some(1));
}
