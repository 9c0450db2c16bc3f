//! The apps operator is killed before and after every write while a Cluster is made and while one is restored; the end
//! is that of the uninterrupted run (design §5). The data protection operator runs on.

use e2e_api::clusters::{
    Apps, both, cluster, clusters, component, definition, from_backup, pod_uids, until_cluster, until_told,
};
use e2e_api::crash_points::{self, Choice, Point};
use e2e_api::objects::{self, claims, completed_status, create, prepare_data, set_backup_status};
use e2e_api::{Company, PATIENCE, Stage};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use test_kit::{JournalEntry, wait};

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Play {
    /// A Cluster is made.
    Create,
    /// A Cluster is restored.
    Restore,
}

fn one(definition: &str) -> Value {
    let mut component = component(definition);
    component["replicas"] = json!(1);
    component
}

async fn backup_of_db(stage: &Stage) {
    let actions = objects::action_set(stage, prepare_data()).await;
    let notes = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(stage, "Backup", "b", &notes, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(stage, "b", &actions);
    status["target"]["podSelector"]["matchLabels"] = json!({"apps.kubeblocks.io/component-name": "db"});
    set_backup_status(stage, "b", &status).await;
}

impl Play {
    async fn begin(self, stage: &Stage, definition: &str) {
        let extra = match self {
            Play::Create => json!({}),
            Play::Restore => json!({"restore": from_backup("b")}),
        };
        cluster(stage, "c", &[one(definition)], &extra).await;
    }

    /// Waits for the end and requires that it is the right one.
    async fn end(self, stage: &Stage, company: &Company) {
        until_cluster(stage, "c", "Running").await;
        if self == Play::Restore {
            until_told(stage, "c", "Restore", "True", "1/1 claims restored").await;
            let claim = claims(stage).get("data-c-db-0").await.unwrap();
            let written = company.executor.written_to(&stage.namespace, &objects::prime_name(&claim));
            let volume = objects::volume_of(stage, &claim).await;
            assert_eq!(written.iter().filter(|w| w.pv == volume.name_any()).count(), 1, "{written:?}");
            wait::eventually(PATIENCE, "the marks are gone", async || {
                let own = clusters(stage).get("c").await.map_err(|e| e.to_string())?;
                let component = e2e_api::clusters::components(stage).get("c-db").await.map_err(|e| e.to_string())?;
                let set = e2e_api::clusters::sets(stage).get("c-db").await.map_err(|e| e.to_string())?;
                let text = json!([own.spec.component_specs, component.spec, set.spec]).to_string();
                if text.contains("restore-source") { Err(text) } else { Ok(()) }
            })
            .await;
        }
        let pods = pod_uids(stage, "c").await;
        assert_eq!(pods.keys().collect::<Vec<_>>(), ["c-db-0"]);
        let secrets: Api<Secret> = Api::namespaced(stage.client.clone(), &stage.namespace);
        let of_us = ListParams::default().labels("app.kubernetes.io/managed-by=kubeblocks");
        assert_eq!(secrets.list(&of_us).await.unwrap().items.len(), 1);
        let all = claims(stage).list(&ListParams::default().labels("app.kubernetes.io/instance=c")).await.unwrap();
        assert_eq!(all.items.len(), 1);
    }
}

/// One run, see [`crash_points::walk`]. A pod that ran is never replaced: its UID before the kill is that of the end.
async fn run(play: Play, point: Option<&Point>) -> Vec<JournalEntry> {
    let (stage, company, apps) = both("crash").await;
    let definition = definition(&stage, |_| {}).await;
    if play == Play::Restore {
        backup_of_db(&stage).await;
    }
    let Apps { operator, proxy } = apps;
    let writes = || proxy.writes().into_iter().filter(|w| w.request.namespace == stage.namespace).collect();
    proxy.clear_journal();
    let Some(point) = point else {
        play.begin(&stage, &definition).await;
        play.end(&stage, company).await;
        return writes();
    };
    proxy.arm(point.fault(&stage.namespace));
    play.begin(&stage, &definition).await;
    tokio::select! {
        _ = proxy.cut() => {}
        () = play.end(&stage, company) => {}
    }
    let hit = crash_points::cut_by_plan(proxy).await;
    if hit.is_some() {
        let before = pod_uids(&stage, "c").await;
        let mut operator = operator.lock().await;
        operator.kill();
        proxy.heal();
        operator.restart().await;
        drop(operator);
        play.end(&stage, company).await;
        let after = pod_uids(&stage, "c").await;
        assert!(
            before.iter().all(|(name, uid)| after.get(name) == Some(uid)),
            "a pod was replaced: {before:?} {after:?}"
        );
    }
    hit.into_iter().collect()
}

async fn at(choice: Choice, play: Play) {
    let _turn = TURN.lock().await;
    let recover = async || {
        let (_, _, Apps { operator, proxy }) = both("crash").await;
        proxy.disarm();
        let mut operator = operator.lock().await;
        operator.kill();
        proxy.heal();
        operator.restart().await;
    };
    crash_points::walk(&format!("Cluster{play:?}"), choice, async |point| run(play, point).await, recover).await;
}

static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_cluster_ends_the_same_whichever_write_the_operator_dies_at() {
    at(Choice::every(6), Play::Create).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_cluster_ends_the_same_whichever_write_the_operator_dies_at() {
    at(Choice::every(6), Play::Restore).await;
}
