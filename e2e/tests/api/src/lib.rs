//! The stage on which API-level tests play: a real API server with the operator's charts applied, the
//! operator as a process under its own service account, a provisioner and an executor for pods.
// A stage that can not be set up ends the test; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, clippy::missing_panics_doc)]

pub mod apps_objects;
pub mod backups;
pub mod chains;
pub mod clusters;
pub mod crash_points;
pub mod driver;
pub mod end_state;
pub mod golden;
pub mod objects;
pub mod populate;
pub mod snapshots;

use kube::Client;
use std::path::{Path, PathBuf};
use std::time::Duration;
use test_kit::api_server::ApiServer;
use test_kit::builders::{self, Binding};
use test_kit::crash_proxy::{CrashProxy, Identity};
use test_kit::executor::FakeExecutor;
use test_kit::operator::{Operator, OperatorBuilder, free_port};
use test_kit::provisioner::{DRIVER, Provisioner};
use tokio::sync::OnceCell;

/// Namespace and account of the operator, as the chart makes them.
pub const OPERATOR: (&str, &str) = ("holdfast-dp", "holdfast-dp");
/// Class that binds at once.
pub const IMMEDIATE: &str = "fake";
/// Class that waits for a consumer.
pub const LATER: &str = "fake-later";
/// Name of the repository that every namespace can use.
pub const REPO: &str = "shared";
/// How long a test waits for what must happen: longer than the operators wait after a refused call (30 s).
pub const PATIENCE: Duration = Duration::from_secs(75);

/// Everything a test needs.
pub struct Stage {
    /// The API server.
    pub server: &'static ApiServer,
    /// A client of the test's own runtime, as cluster admin.
    pub client: Client,
    /// The test's namespace.
    pub namespace: String,
}

/// Root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(3).expect("the workspace").to_path_buf()
}

/// Applies CRDs, roles and policies as a user would, and makes classes.
pub async fn install(server: &ApiServer) {
    let root = workspace();
    server.apply_file(&root.join("deploy/install/holdfast-crds-dp.yaml")).await;
    server.apply_file(&root.join("deploy/install/holdfast-dp.yaml")).await;
    let client = server.client();
    builders::storage_class(&client, IMMEDIATE, DRIVER, Binding::Immediate).await;
    builders::storage_class(&client, LATER, DRIVER, Binding::WaitForFirstConsumer).await;
}

/// The dp operator's command line for tests: its own ports, quick to read logs.
pub fn operator(dir: &Path, kubeconfig: &Path) -> OperatorBuilder {
    operator_at(&Operator::built("holdfast-dp"), dir, kubeconfig)
}

/// The same for any binary.
pub fn operator_at(binary: &Path, dir: &Path, kubeconfig: &Path) -> OperatorBuilder {
    process(binary, OPERATOR.0, &dir.join("dp.log"), kubeconfig)
        .env("HOLDFAST_REPO_CHECK_RETRY_SECONDS", "2")
        .env("HOLDFAST_ALLOWED_SERVICE_ACCOUNTS", "allowed")
}

/// The command line of any operator.
pub fn operator_of(name: &str, namespace: &str, dir: &Path, kubeconfig: &Path) -> OperatorBuilder {
    process(&Operator::built(name), namespace, &dir.join(format!("{name}.log")), kubeconfig)
}

/// The command line of any binary; `log` is appended to.
pub fn process(binary: &Path, namespace: &str, log: &Path, kubeconfig: &Path) -> OperatorBuilder {
    let health = free_port();
    Operator::builder(binary, log)
        .kubeconfig(kubeconfig)
        .env("CM_NAMESPACE", namespace)
        .env("POD_NAME", "under-test")
        .env("RUST_LOG", "info,dp=debug,apps=debug,controller_kit=debug")
        .arg(format!("--health-address=127.0.0.1:{health}"))
        .arg(format!("--metrics-address=127.0.0.1:{}", free_port()))
        .arg(format!("--debug-address=127.0.0.1:{}", free_port()))
        .health_port(health)
}

/// Makes the repository [`REPO`] and waits until it is Ready.
pub async fn repository(client: &Client) {
    let spec = serde_json::json!({
        "storageProviderRef": "pvc", "accessMethod": "Mount", "pvReclaimPolicy": "Delete",
        "volumeCapacity": "1Gi", "config": {"storageClassName": IMMEDIATE},
    });
    objects::apply_cluster(client, "BackupRepo", REPO, &spec).await;
    objects::until_phase(client, "BackupRepo", "", REPO, "Ready").await;
}

/// Processes that all tests of one binary share.
pub struct Company {
    /// Keeps the operator alive.
    pub operator: tokio::sync::Mutex<Operator>,
    /// Ends pods.
    pub executor: FakeExecutor,
    /// Makes volumes.
    pub provisioner: Provisioner,
    /// Between the operator and the API server.
    pub proxy: CrashProxy,
}

static COMPANY: OnceCell<Company> = OnceCell::const_new();
static RUNTIME: std::sync::LazyLock<tokio::runtime::Runtime> = std::sync::LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("runtime")
});

/// Executor, provisioner, proxy and operator on `server`. They run on a runtime of their own, because
/// a test's runtime ends with the test.
pub async fn company(server: &'static ApiServer) -> &'static Company {
    COMPANY
        .get_or_init(|| async {
            let start = move || RUNTIME.block_on(start_company(server));
            tokio::task::spawn_blocking(start).await.expect("the company starts")
        })
        .await
}

async fn start_company(server: &'static ApiServer) -> Company {
    install(server).await;
    // The garbage collector looks for new kinds every 30 s only; a fresh one knows ours at once.
    server.restart_controller_manager().await;
    let client = server.client();
    let executor = FakeExecutor::builder(client.clone())
        .selector("app.kubernetes.io/managed-by in (kubeblocks,kubeblocks-dataprotection)")
        .start()
        .await;
    let provisioner = Provisioner::start(client.clone()).await;
    let identity = Identity::service_account(OPERATOR.0, OPERATOR.1);
    let proxy = CrashProxy::start(server, identity).await;
    let kubeconfig = proxy.kubeconfig(server.dir());
    let operator = operator(server.dir(), &kubeconfig).start().await;
    repository(&client).await;
    Company { operator: tokio::sync::Mutex::new(operator), executor, provisioner, proxy }
}

/// A namespace on the shared server, with the shared company at work.
pub async fn stage(name: &str) -> (Stage, &'static Company) {
    stage_on(ApiServer::shared().await, name).await
}

/// As [`stage`], on a server that the test binary started itself; one per binary.
pub async fn stage_on(server: &'static ApiServer, name: &str) -> (Stage, &'static Company) {
    let company = company(server).await;
    let client = server.client();
    let namespace = builders::namespace(&client, name).await;
    (Stage { server, client, namespace }, company)
}

/// As [`stage`], in a namespace whose name [`test_kit::crash_proxy::stable`] makes the same in every run, and short
/// enough to stay whole in names that are made from it.
pub async fn stage_of_run() -> (Stage, &'static Company) {
    use std::hash::{BuildHasher, RandomState};
    let server = ApiServer::shared().await;
    let company = company(server).await;
    let client = server.client();
    let namespace = format!("c-{:08x}", RandomState::new().hash_one(0) >> 32);
    let body = serde_json::json!({"metadata": {"name": namespace}});
    let body: k8s_openapi::api::core::v1::Namespace = serde_json::from_value(body).expect("a namespace");
    kube::Api::all(client.clone()).create(&kube::api::PostParams::default(), &body).await.expect("make a namespace");
    (Stage { server, client, namespace }, company)
}
