//! Cost of many Backups and schedules at rest: resident memory after a scrape, requests, start to ready.

use crate::observe::{AT_ONCE, create, memory, peak, requests, until_leading};
use e2e_api::objects::{apply_cluster, dp};
use e2e_api::{OPERATOR, REPO, install, process};
use futures::{StreamExt, stream};
use jiff::SignedDuration;
use kube::Client;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};
use test_kit::api_server::{ApiServer, AuditScope};
use test_kit::builders::{self, DP_API};
use test_kit::operator::http_get;

/// Namespaces that Backups and schedules are spread over.
const NAMESPACES: usize = 20;
/// Annotation with a Cluster, as every Backup of one carries it; of the size seen on real clusters.
const SNAPSHOT_BYTES: usize = 4096;

/// Prints one line for `backups` completed Backups and `schedules` schedules.
pub async fn run(binary: &Path, backups: usize, schedules: usize, seconds: u64) {
    let server = ApiServer::builder().audit(AuditScope::Everything).without_controllers().start().await;
    install(&server).await;
    fill(&server.client(), backups, schedules).await;
    let kubeconfig = server.kubeconfig_for(OPERATOR.0, OPERATOR.1).await;
    let log = server.dir().join("backup-scale.log");
    let process = process(binary, OPERATOR.0, &log, &kubeconfig).env("RUST_LOG", "info").start().await;
    let ready = process.ready_after();
    eprintln!("at ready: {:?} MB", memory(process.id()));
    until_leading(&process).await;
    // Policies and schedules get their first status; after that nothing happens.
    until_at_rest(&server).await;
    let before = requests(&server, OPERATOR);
    tokio::time::sleep(Duration::from_secs(seconds)).await; // the measured interval itself
    let during = requests(&server, OPERATOR) - before;
    let asked = Instant::now();
    let scraped = http_get(process.metrics_port(), "/metrics").await.expect("metrics");
    let scrape = asked.elapsed();
    assert!(scraped.contains(&format!("phase=\"Completed\"}} {backups}")), "every Backup is counted: {scraped}");
    let (rss, anon) = memory(process.id());
    println!(
        "{}",
        json!({
            "bench": "backup-scale", "backups": backups, "schedules": schedules, "rss_mb": rss, "anon_mb": anon,
            "peak_mb": peak(process.id()),
            "requests_60s": during * 60 / seconds.max(1), "ready_s": ready.as_secs_f64(), "scrape_ms": scrape.as_millis(),
        })
    );
}

async fn until_at_rest(server: &ApiServer) {
    let mut last = requests(server, OPERATOR);
    loop {
        tokio::time::sleep(Duration::from_secs(3)).await; // long enough to see a request, were there one
        let now = requests(server, OPERATOR);
        if std::mem::replace(&mut last, now) == now {
            return;
        }
    }
}

async fn fill(client: &Client, backups: usize, schedules: usize) {
    let spec = json!({"backupType": "Full", "backup": {"backupData": {"image": "registry.example/db:1", "command": ["true"]}}});
    apply_cluster(client, "ActionSet", "actions", &spec).await;
    let mut namespaces = Vec::new();
    for index in 0..NAMESPACES {
        namespaces.push(builders::namespace(client, &format!("scale-{index}")).await);
    }
    let of = |count: usize, namespace: usize| count / NAMESPACES + usize::from(namespace < count % NAMESPACES);
    for (index, namespace) in namespaces.iter().enumerate() {
        let object = |kind: &str, name: String, spec: Value| json!({"apiVersion": DP_API, "kind": kind, "metadata": {"name": name, "namespace": namespace}, "spec": spec});
        create(&dp(client, "BackupPolicy", namespace), 1, |_| {
            object(
                "BackupPolicy",
                "policy".into(),
                json!({
                    "backupRepoName": REPO, "target": {"podSelector": {"matchLabels": {"app": "db"}}},
                    "backupMethods": [{"name": "full", "actionSetName": "actions"}],
                }),
            )
        })
        .await;
        create(&dp(client, "BackupSchedule", namespace), of(schedules, index), |i| {
            object("BackupSchedule", format!("schedule-{i}"), json!({
                "backupPolicyName": "policy",
                // Not within the measured minute, whenever that is.
                "schedules": [{"backupMethod": "full", "enabled": true, "cronExpression": next_year(), "retentionPeriod": "7d"}],
            }))
        })
        .await;
        completed(client, namespace, of(backups, index)).await;
    }
}

/// A moment eleven months from now, once a year.
fn next_year() -> String {
    let at = test_kit::clock::now() + SignedDuration::from_hours(24 * 330);
    at.strftime("%-M %-H %-d %-m *").to_string()
}

/// Backups as they are when they have worked: labels, annotations, finalizer and status.
async fn completed(client: &Client, namespace: &str, count: usize) {
    let api = dp(client, "Backup", namespace);
    let now = test_kit::clock::now();
    let name = |i: usize| format!("db-cluster-full-{i}");
    create(&api, count, |i| {
        json!({
            "apiVersion": DP_API, "kind": "Backup",
            "metadata": {
                "name": name(i), "namespace": namespace, "finalizers": ["dataprotection.kubeblocks.io/finalizer"],
                "labels": {
                    "app.kubernetes.io/instance": "db-cluster", "app.kubernetes.io/managed-by": "kubeblocks-dataprotection",
                    "apps.kubeblocks.io/component-name": "db", "dataprotection.kubeblocks.io/autobackup": "true",
                    "dataprotection.kubeblocks.io/backup-policy": "policy", "dataprotection.kubeblocks.io/backup-repo-name": REPO,
                    "dataprotection.kubeblocks.io/backup-schedule": "schedule-0", "dataprotection.kubeblocks.io/backup-type": "Full",
                    "dataprotection.kubeblocks.io/cluster-uid": "6f1f0c0e-0000-4000-8000-000000000000",
                },
                "annotations": {
                    "kubeblocks.io/cluster-snapshot": "x".repeat(SNAPSHOT_BYTES),
                    "kubeblocks.io/encrypted-system-accounts": json!({"db": {"root": "A".repeat(80)}}).to_string(),
                },
            },
            "spec": {"backupPolicyName": "policy", "backupMethod": "full", "retentionPeriod": "30d"},
        })
    })
    .await;
    let status = |i: usize| {
        let ended = now - SignedDuration::from_mins(i64::try_from(i).unwrap_or(0));
        json!({"status": {
            "phase": "Completed", "formatVersion": "0.1.0", "path": format!("/{namespace}/db/{}", name(i)),
            "backupRepoName": REPO, "persistentVolumeClaimName": "pvc-shared", "totalSize": "123456789", "duration": "10s",
            "startTimestamp": (ended - SignedDuration::from_secs(10)).to_string(), "completionTimestamp": ended.to_string(),
            "expiration": (ended + SignedDuration::from_hours(720)).to_string(),
            "backupMethod": {"name": "full", "actionSetName": "actions"}, "inputs": {"backoffLimit": 2},
            "target": {"podSelector": {"matchLabels": {"app": "db"}}, "selectedTargetPods": ["db-0"]},
            "actions": [{"name": "dp-backup-0", "actionType": "Job", "phase": "Completed", "targetPodName": "db-0",
                "objectRef": {"apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": format!("dp-backup-0-{i}")}}],
        }})
    };
    let store = |i: usize| {
        let (api, patch) = (api.clone(), status(i));
        async move {
            let patch = Patch::Merge(patch);
            api.patch_status(&name(i), &PatchParams::default(), &patch).await.expect("status");
        }
    };
    stream::iter(0..count).map(store).buffer_unordered(AT_ONCE).for_each(|()| async {}).await;
}
