//! The operator is killed before and after every write of a play; the end is that of the uninterrupted
//! run (design §5, behaviour-restore §17.72).
//!
//! Each test plays its piece once uninterrupted and counts the writes. Then, for each chosen one of them, a
//! fresh namespace: the link is cut at that write, the operator is SIGKILLed, started again, and must
//! come to the same end with nothing left over. The tests of this file share one operator, so they
//! take turns.

use api_types::contract::annotations;
use e2e_api::apps_objects;
use e2e_api::backups::{backup, job_names, policy, until_backup, until_no_job};
use e2e_api::chains;
use e2e_api::crash_points::{self, Choice, Point};
use e2e_api::objects::{self, completed_backup, dp, prepare_data, until_phase, until_restore};
use e2e_api::{Company, IMMEDIATE, LATER, PATIENCE, Stage, stage};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use test_kit::builders::{self, Claim};

use test_kit::{JournalEntry, wait};

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    /// A claim of this class is filled from a Backup.
    Claim(&'static str),
    /// A claim of a Cluster is filled, and the Cluster's accounts are put back: one is made, one is there, one is there
    /// and immutable.
    ClaimWithAccounts,
    /// A claim is filled from a base and then from a log.
    PointInTime,
    /// A Restore written by a user makes a claim and fills it.
    UserRestore,
    /// A Backup of a Cluster's component is made, with the Cluster and its accounts.
    BackupOfCluster,
}

impl Play {
    /// Everything that stands before; ends when the operator has nothing left to write.
    async fn prepare(self, stage: &Stage) {
        let actions = objects::action_set(stage, prepare_data()).await;
        until_phase(&stage.client, "ActionSet", "", &actions, "Available").await;
        match self {
            Play::Claim(_) | Play::UserRestore => completed_backup(stage, "b", &actions).await,
            Play::PointInTime => chains::log(stage).await,
            Play::ClaimWithAccounts => restored_cluster(stage, &actions).await,
            Play::BackupOfCluster => running_cluster(stage, &actions).await,
        }
    }

    async fn begin(self, stage: &Stage) {
        match self {
            Play::Claim(class) => {
                // As the scheduler would for a consumer; without meaning for a class that binds at once.
                let claim = Claim::new("data", class).from_backup("b");
                let claim = claim.annotation(annotations::SELECTED_NODE, "node-a");
                claim.create(&stage.client, &stage.namespace).await;
            }
            Play::ClaimWithAccounts => {
                let claim = apps_objects::as_made_for(Claim::new("data", IMMEDIATE), "c", "db", "data", 0);
                claim.create(&stage.client, &stage.namespace).await;
            }
            Play::PointInTime => {
                let claim = Claim::new("data", IMMEDIATE).from_backup("log");
                let claim = claim.annotation(annotations::RESTORE_PITR, "2026-11-21T04:00:00Z");
                claim.create(&stage.client, &stage.namespace).await;
            }
            Play::UserRestore => {
                let claim = json!({
                    "metadata": {"name": "data"}, "volumeSource": "data",
                    "volumeClaimSpec": {"accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE,
                        "resources": {"requests": {"storage": "1Gi"}}},
                });
                let spec = json!({
                    "backup": {"name": "b", "namespace": stage.namespace},
                    "prepareDataConfig": {"volumeClaims": [claim], "volumeClaimRestorePolicy": "Parallel"},
                });
                objects::create(stage, "Restore", "r", &json!({}), &spec).await;
            }
            Play::BackupOfCluster => {
                backup(stage, "b", |_| {}).await;
            }
        }
    }

    /// Waits for the end and requires that it is the right one.
    async fn end(self, stage: &Stage, company: &Company) {
        match self {
            Play::Claim(_) => claim_is_filled(stage, company, &["b"]).await,
            Play::PointInTime => claim_is_filled(stage, company, &["f3", "log"]).await,
            Play::ClaimWithAccounts => {
                claim_is_filled(stage, company, &["b"]).await;
                for account in ACCOUNTS {
                    let secret = apps_objects::secrets(stage).get(&format!("c-db-account-{account}")).await.unwrap();
                    assert_eq!(apps_objects::text(&secret, "password").as_deref(), Some(SEALED.0), "{account}");
                    assert_eq!(secret.owner_references().len(), 1, "{account}: {:?}", secret.owner_references());
                }
            }
            Play::UserRestore => user_restore_is_done(stage, company).await,
            Play::BackupOfCluster => {
                let done = until_backup(stage, "b", "Completed").await;
                let accounts = done.annotations().get(annotations::ENCRYPTED_SYSTEM_ACCOUNTS);
                let saved = accounts.is_some_and(|text| ACCOUNTS.iter().all(|account| text.contains(account)));
                assert!(saved, "{accounts:?}");
                assert!(done.annotations().contains_key(annotations::CLUSTER_SNAPSHOT));
                assert_eq!(done.data["status"]["actions"].as_array().map(Vec::len), Some(1), "{:?}", done.data);
                assert_eq!(done.data["status"]["actions"][0]["phase"], "Completed");
                assert_eq!(done.data["status"].get("conditions"), None, "nothing blocks any more");
                let ran = company.executor.written_to(&stage.namespace, &repo_claim(&done));
                assert_eq!(ran.len(), 1, "one Job backed up, once: {ran:?}");
                until_no_job(stage, "").await;
            }
        }
    }
}

const ACCOUNTS: [&str; 3] = ["made", "patched", "replaced"];
/// A password under the reference's public default key.
const SEALED: (&str, &str) = ("two", "rJW/zMqtzEFU6KK13G98z4jwpuQmX4gzt+PXgU2gwg==");

async fn cluster_of(stage: &Stage) {
    apps_objects::install_kinds(stage.server).await;
    let definition = apps_objects::definition(stage, "db", &ACCOUNTS).await;
    apps_objects::cluster(stage, "c", &[apps_objects::part("db", &definition, &["data"])]).await;
}

/// Backup `b` of a Cluster with three accounts, and the Cluster that is restored from it.
async fn restored_cluster(stage: &Stage, actions: &str) {
    completed_backup(stage, "b", actions).await;
    let sealed: serde_json::Map<String, Value> = ACCOUNTS.iter().map(|a| ((*a).into(), SEALED.1.into())).collect();
    let notes = json!({(annotations::ENCRYPTED_SYSTEM_ACCOUNTS): json!({"db": sealed}).to_string()});
    let patch = Patch::Merge(json!({"metadata": {"annotations": notes}}));
    dp(&stage.client, "Backup", &stage.namespace).patch("b", &PatchParams::default(), &patch).await.unwrap();
    let mut selector = apps_objects::selector("old", "db");
    selector["matchLabels"]["app"] = Value::Null;
    let status = json!({"target": {"podSelector": selector}});
    objects::set_backup_status(stage, "b", &status).await;
    cluster_of(stage).await;
    for account in ["patched", "replaced"] {
        apps_objects::account(stage, &format!("c-db-account-{account}"), account, "random").await;
    }
    let fixed = Patch::Merge(json!({"immutable": true}));
    apps_objects::secrets(stage).patch("c-db-account-replaced", &PatchParams::default(), &fixed).await.unwrap();
}

/// A Cluster with three accounts and one running pod, and a policy for it.
async fn running_cluster(stage: &Stage, actions: &str) {
    cluster_of(stage).await;
    for account in ACCOUNTS {
        apps_objects::account(stage, &format!("c-db-account-{account}"), account, "known").await;
    }
    Claim::new("data", IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let own = apps_objects::identity("c", "db");
    let own: Vec<(&str, &str)> = own.iter().map(|(k, v)| (*k, v.as_str())).collect();
    builders::target_pod(&stage.client, &stage.namespace, "c-db-0", &own, &["data"]).await;
    let wanted = apps_objects::selector("c", "db");
    policy(stage, actions, |spec| spec["target"]["podSelector"] = wanted.clone()).await;
}

fn repo_claim(backup: &DynamicObject) -> String {
    backup.data["status"]["persistentVolumeClaimName"].as_str().unwrap_or_default().to_owned()
}

/// The claim's volume holds what one pod for each of `backups` wrote, in that order.
async fn claim_is_filled(stage: &Stage, company: &Company, backups: &[&str]) {
    let claim = until_restore(stage, "data", "True", "Succeed").await;
    let volume = objects::volume_of(stage, &claim).await;
    let holder = volume.spec.as_ref().and_then(|s| s.claim_ref.clone()).unwrap();
    assert_eq!(holder.uid, claim.uid(), "the volume is the claim's");
    let prime = objects::prime_name(&claim);
    let all = company.executor.written_to(&stage.namespace, &prime);
    let into_bound: Vec<String> =
        all.iter().filter(|w| w.pv == volume.name_any()).map(|w| w.job.clone().unwrap_or_default()).collect();
    let of = |(job, backup): (&String, &&str)| job.ends_with(&format!("-{backup}-0"));
    let in_order = into_bound.len() == backups.len() && into_bound.iter().zip(backups).all(of);
    assert!(in_order, "one pod for each of {backups:?} wrote into the bound volume; all: {all:?}");
    assert_eq!(all.last().map(|w| &w.pv), Some(&volume.name_any()), "the bound volume is that of the last attempt");
    nothing_leaks(stage, company, &volume).await;
    let restores = dp(&stage.client, "Restore", &stage.namespace).list(&ListParams::default()).await.unwrap();
    let owned = restores.iter().filter(|r| r.owner_references().iter().any(|o| Some(&o.uid) == claim.uid().as_ref()));
    let owned: Vec<&DynamicObject> = owned.collect();
    assert_eq!((owned.len(), restores.items.len()), (1, 1), "one execution, and it is the claim's");
    let attempt = &owned[0].annotations()[annotations::ATTEMPT];
    assert_eq!(&volume.annotations()[annotations::POPULATED_ATTEMPT], attempt, "proof and execution agree");
    assert_eq!(owned[0].data["status"]["phase"], "Completed");
}

async fn user_restore_is_done(stage: &Stage, company: &Company) {
    let done = until_phase(&stage.client, "Restore", &stage.namespace, "r", "Completed").await;
    let actions = done.data["status"]["actions"]["prepareData"].as_array().cloned().unwrap_or_default();
    assert_eq!(actions.len(), 1, "{actions:?}");
    let claim = objects::claims(stage).get("data").await.unwrap();
    let volume = objects::volume_of(stage, &claim).await;
    let written = company.executor.written_to(&stage.namespace, "data");
    let pvs: Vec<&str> = written.iter().map(|w| w.pv.as_str()).collect();
    assert_eq!(pvs, [volume.name_any().as_str()], "one pod wrote, into the claim's volume");
    nothing_leaks(stage, company, &volume).await;
}

/// No prime claim, no Job, and no volume of this namespace but the bound one and the repository's.
async fn nothing_leaks(stage: &Stage, company: &Company, bound: &PersistentVolume) {
    let own = format!("{}/", stage.namespace);
    wait::eventually(PATIENCE, "nothing is left over", async || {
        let claims = objects::claims(stage).list(&ListParams::default()).await.map_err(|e| e.to_string())?;
        let repo = |c: &PersistentVolumeClaim| c.labels().contains_key("dataprotection.kubeblocks.io/backup-repo-name");
        let left: Vec<String> = claims.iter().filter(|c| !repo(c)).map(ResourceExt::name_any).collect();
        let jobs = job_names(stage, "").await;
        let of_repo: Vec<String> =
            claims.iter().filter(|c| repo(c)).filter_map(|c| c.spec.as_ref()?.volume_name.clone()).collect();
        let volumes: Vec<_> =
            company.provisioner.alive().await.into_iter().filter(|v| v.claim.starts_with(&own)).collect();
        let stray: Vec<_> =
            volumes.iter().filter(|v| v.name != bound.name_any() && !of_repo.contains(&v.name)).collect();
        if left == ["data"] && jobs.is_empty() && stray.is_empty() {
            Ok(())
        } else {
            Err(format!("claims {left:?}, Jobs {jobs:?}, volumes {stray:?}"))
        }
    })
    .await;
}

/// One run. `None` plays uninterrupted and gives its writes; with a fault, no writes if it did not hit.
async fn run(play: Play, point: Option<&Point>) -> Vec<JournalEntry> {
    let (stage, company) = stage("crash").await;
    play.prepare(&stage).await;
    let proxy = &company.proxy;
    proxy.clear_journal();
    let Some(point) = point else {
        play.begin(&stage).await;
        play.end(&stage, company).await;
        return proxy.writes();
    };
    proxy.arm(point.fault(&stage.namespace));
    play.begin(&stage).await;
    tokio::select! {
        _ = proxy.cut() => {}
        () = play.end(&stage, company) => {}
    }
    let hit = crash_points::cut_by_plan(proxy).await;
    if hit.is_some() {
        crash_points::restart(company).await;
        play.end(&stage, company).await;
    }
    hit.into_iter().collect()
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// At the chosen writes of the play, before and after each.
async fn at(choice: Choice, play: Play) {
    let _turn = TURN.lock().await;
    let recover = async || {
        let (_, company) = stage("crash").await;
        company.proxy.disarm();
        crash_points::restart(company).await;
    };
    crash_points::walk(&format!("{play:?}"), choice, async |point| run(play, point).await, recover).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_a_filled_claim_ends_the_same_whichever_write_the_operator_dies_at() {
    at(Choice::every(3), Play::Claim(IMMEDIATE)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_a_claim_that_waited_for_its_consumer_too() {
    at(Choice::every(4), Play::Claim(LATER)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_a_claim_with_accounts_too() {
    at(Choice::every(2).first(8), Play::ClaimWithAccounts).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_35_a_base_and_then_its_log_too() {
    at(Choice::every(4), Play::PointInTime).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_a_backup_of_a_cluster_too() {
    at(Choice::every(4), Play::BackupOfCluster).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_72_a_restore_of_a_user_too() {
    at(Choice::every(4), Play::UserRestore).await;
}
