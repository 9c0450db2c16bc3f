//! Cost of an operator at rest: resident memory, requests, start to ready.

use e2e_api::clusters::{self, APPS_OPERATOR};
use e2e_api::{OPERATOR, install, process};
use futures::{StreamExt, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use kube::api::PostParams;
use kube::{Api, Client};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;
use test_kit::api_server::{ApiServer, AuditScope};
use test_kit::builders;

/// Objects created at once while the cluster is filled.
const AT_ONCE: usize = 32;

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
    // What the start itself asks for (leases, lists) is over once the process leads.
    test_kit::wait::eventually(Duration::from_secs(30), "the operator leads", async || {
        if process.log().contains("leading") { Ok(()) } else { Err(process.log_tail(3)) }
    })
    .await;
    let before = requests(server, subject);
    tokio::time::sleep(Duration::from_secs(seconds)).await; // the measured interval itself
    let during = requests(server, subject) - before;
    let (rss, anon) = memory(process.id());
    json!({
        "bench": "idle", "operator": subject.name, "loaded": loaded,
        "rss_mb": rss, "anon_mb": anon, "requests_60s": during * 60 / seconds.max(1),
        "image_mb": subject.image_mb, "ready_s": ready.as_secs_f64(),
    })
}

/// Requests of the operator that ended, but for its leases and the renewal of its watches.
fn requests(server: &ApiServer, subject: &Subject) -> u64 {
    let all = server.audit().of_service_account(subject.account.0, subject.account.1);
    all.only(|entry| entry.verb != "watch" && !entry.resource.starts_with("leases")).entries.len() as u64
}

/// Resident and anonymous memory in MB of 2^20 bytes.
fn memory(process: u32) -> (f64, f64) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).expect("a field of /proc");
        let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
        megabytes(kib * 1024)
    };
    (field("VmRSS:"), field("RssAnon:"))
}

#[allow(clippy::cast_precision_loss)] // sizes far below 2^52
fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1u32 << 20) * 100.0).round() / 100.0
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

async fn create<K>(api: &Api<K>, count: usize, body: impl Fn(usize) -> Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let make = |i: usize| {
        let object: K = serde_json::from_value(body(i)).expect("an object");
        async move { api.create(&PostParams::default(), &object).await.expect("create") }
    };
    stream::iter(0..count).map(make).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}
