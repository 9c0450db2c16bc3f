//! Cost of an operator at rest: resident memory, requests, start to ready.

use crate::observe::{create, megabytes, memory, requests, until_leading};
use e2e_api::clusters::{self, APPS_OPERATOR};
use e2e_api::{OPERATOR, install, process};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use test_kit::api_server::{ApiServer, AuditScope};
use test_kit::builders;

/// One operator under test.
struct Subject {
    /// `dp` or `apps`.
    name: String,
    /// Namespace and service account.
    account: (&'static str, &'static str),
    binary: PathBuf,
    image_mb: Option<f64>,
    kubeconfig: PathBuf,
}

/// Prints one line for each operator alone, then one for each beside `foreign` objects of each kind.
pub async fn run(binaries: &[PathBuf], images: &[PathBuf], seconds: u64, foreign: usize) {
    // No controllers: what is measured is the operator beside objects, not what others do with them.
    let server = ApiServer::builder().audit(AuditScope::Everything).without_controllers().start().await;
    // The kinds of both: either may be installed beside the other.
    install(&server).await;
    clusters::install(&server).await;
    let mut subjects = Vec::new();
    for (index, binary) in binaries.iter().enumerate() {
        let file = binary.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let account = if file == APPS_OPERATOR.0 { APPS_OPERATOR } else { OPERATOR };
        let size = |path: &PathBuf| megabytes(std::fs::metadata(path).expect("the image").len());
        subjects.push(Subject {
            name: file.trim_start_matches("holdfast-").to_owned(),
            account,
            binary: binary.clone(),
            image_mb: images.get(index).map(size),
            kubeconfig: server.kubeconfig_for(account.0, account.1).await,
        });
    }
    for loaded in [false, true] {
        if loaded {
            fill(&server.client(), foreign).await;
        }
        for subject in &subjects {
            println!("{}", measure(&server, subject, seconds, loaded).await);
        }
    }
}

async fn measure(server: &ApiServer, subject: &Subject, seconds: u64, loaded: bool) -> Value {
    // A log for each start: what an earlier one wrote tells nothing of this one.
    let log = server.dir().join(format!("idle-{}-{loaded}.log", subject.name));
    let process = process(&subject.binary, subject.account.0, &log, &subject.kubeconfig).env("RUST_LOG", "info");
    let process = process.start().await;
    let ready = process.ready_after();
    until_leading(&process).await;
    let before = requests(server, subject.account);
    tokio::time::sleep(Duration::from_secs(seconds)).await; // the measured interval itself
    let during = requests(server, subject.account) - before;
    let (rss, anon) = memory(process.id());
    json!({
        "bench": "idle", "operator": subject.name, "loaded": loaded,
        "rss_mb": rss, "anon_mb": anon, "requests_60s": during * 60 / seconds.max(1),
        "image_mb": subject.image_mb, "ready_s": ready.as_secs_f64(),
    })
}

/// Makes `count` pods, claims, Jobs and Secrets that are none of the operator's business.
async fn fill(client: &Client, count: usize) {
    let namespace = builders::namespace(client, "foreign").await;
    let container = json!({
        "name": "app", "image": "registry.example/app:1", "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
        "env": [{"name": "A", "value": "some configuration value"}, {"name": "B", "value": "another one"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    });
    let pod_spec = json!({
        "containers": [container], "volumes": [{"name": "data", "emptyDir": {}}], "restartPolicy": "Never",
        "serviceAccountName": "default", "automountServiceAccountToken": false,
    });
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}});
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::namespaced(client.clone(), &namespace);
    // No controllers run, so nobody else makes the account that pods need.
    let _ = accounts.create(&PostParams::default(), &serde_json::from_value(account).unwrap()).await;
    let labels = json!({"app": "foreign", "tier": "backend"});
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    create(&pods, count, |i| json!({"metadata": {"name": format!("pod-{i}"), "labels": labels}, "spec": pod_spec}))
        .await;
    let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
    create(&jobs, count, |i| {
        json!({"metadata": {"name": format!("job-{i}"), "labels": labels}, "spec": {"suspend": true, "template": {"spec": pod_spec}}})
    })
    .await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &namespace);
    create(&claims, count, |i| {
        json!({"metadata": {"name": format!("data-{i}"), "labels": labels}, "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "other", "resources": {"requests": {"storage": "1Gi"}}}})
    })
    .await;
    let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
    create(&secrets, count, |i| {
        json!({"metadata": {"name": format!("secret-{i}"), "labels": labels}, "stringData": {"password": "x".repeat(500)}})
    })
    .await;
}
