//! A real etcd, kube-apiserver and kube-controller-manager in a temporary directory.
//!
//! Takes [`Options`], gives clients, tokens and kubeconfigs. Only one TCP port is used (the API server's, on
//! 127.0.0.1): etcd listens on a Unix socket in the directory, so two servers can never talk to each other's store.
//! Authorization is RBAC. The binary is the multi-call one of `e2e/cluster`, found below `$HOLDFAST_STATE`.

mod apply;
pub mod audit;
mod components;
mod options;
mod pki;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client, Config};
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub use audit::{AuditEntry, AuditLog, AuditScope};
pub(crate) use components::kubeconfig;
pub use components::{Component, HOSTPATH_PROVISIONER};
pub use options::Options;

use crate::process::{Janitor, Process};
use components::Layout;

/// A running API server with its store and controllers. Dropping it kills everything and removes its directory.
pub struct ApiServer {
    layout: Layout,
    config: Config,
    running: Mutex<BTreeMap<Component, Process>>,
    // Dropped in this order, after the processes were killed by our own `Drop`.
    dir: Option<tempfile::TempDir>,
    janitor: Option<Janitor>,
}

/// What went wrong with one attempt to start.
enum StartError {
    /// Another process took the port between choosing and binding: choose another.
    PortTaken,
    Fatal(String),
}

impl ApiServer {
    /// Starts one with the default [`Options`].
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// One server with default options for all tests of the process; it ends with the process. Tests keep apart by
    /// namespace, and none may restart or stop its components.
    pub async fn shared() -> &'static Self {
        static SHARED: tokio::sync::OnceCell<ApiServer> = tokio::sync::OnceCell::const_new();
        SHARED.get_or_init(|| Box::pin(Self::start())).await
    }

    /// Options to set before [`Options::start`].
    pub fn builder() -> Options {
        Options::default()
    }

    async fn start_with(options: Options) -> Self {
        install_crypto();
        for _ in 0..5 {
            match Self::attempt(&options).await {
                Ok(server) => return server,
                Err(StartError::PortTaken) => {}
                Err(StartError::Fatal(why)) => panic!("the test API server did not start: {why}"),
            }
        }
        panic!("the test API server did not start: every chosen port was taken by somebody else");
    }

    async fn attempt(options: &Options) -> Result<Self, StartError> {
        let fatal = |what: &str, e: &dyn std::fmt::Display| StartError::Fatal(format!("{what}: {e}"));
        let node = components::node_binary().map_err(StartError::Fatal)?;
        let dir =
            tempfile::Builder::new().prefix("holdfast-api-").tempdir().map_err(|e| fatal("temporary directory", &e))?;
        let janitor = Janitor::of(dir.path()).map_err(|e| fatal("start sh", &e))?;
        let pki = pki::Pki::write(&dir.path().join("pki")).map_err(|e| fatal("certificates", &e))?;
        let port = free_port().map_err(|e| fatal("free port", &e))?;
        let layout = Layout::prepare(dir.path(), &node, port, pki, options.clone())
            .map_err(|e| fatal("prepare the directory", &e))?;

        let mut config = Config::new(layout.url().parse().expect("our own address is one"));
        let ca = CertificateDer::from_pem_file(&layout.pki.ca).map_err(|e| fatal("read the authority", &e))?;
        config.root_cert = Some(vec![ca.to_vec()]);
        config.auth_info.client_certificate = Some(layout.pki.admin.display().to_string());
        config.auth_info.client_key = Some(layout.pki.admin_key.display().to_string());

        let server = Self { layout, config, running: Mutex::default(), dir: Some(dir), janitor: Some(janitor) };
        let deadline = Instant::now() + options.patience;
        server.spawn(Component::Etcd)?;
        server.spawn(Component::ApiServer)?;
        server.until_ok("/livez", deadline).await?;
        if options.controller_manager {
            server.spawn(Component::ControllerManager)?;
        }
        server.until_ok("/readyz", deadline).await?;
        if options.hostpath_provisioner {
            server.spawn(Component::HostpathProvisioner)?;
        }
        if options.controller_manager {
            server.until_controllers_work(deadline).await?;
        }
        Ok(server)
    }

    fn spawn(&self, component: Component) -> Result<(), StartError> {
        let process = self.layout.program(component).start().map_err(|e| StartError::Fatal(e.to_string()))?;
        self.running.lock().unwrap().insert(component, process);
        Ok(())
    }

    /// Polls a health path until it answers 200; fails at once when a component has ended.
    async fn until_ok(&self, path: &str, deadline: Instant) -> Result<(), StartError> {
        let mut config = self.config.clone();
        config.default_retry = false;
        let client = Client::try_from(config).map_err(|e| StartError::Fatal(e.to_string()))?;
        let mut last = String::new();
        while Instant::now() < deadline {
            self.all_run()?;
            let request = kube::client::Body::empty();
            let request = hyper::Request::get(path).body(request).expect("a plain GET");
            match client.send(request).await {
                Ok(answer) if answer.status().is_success() => return Ok(()),
                Ok(answer) => last = format!("{path} answers {}", answer.status()),
                Err(e) => last = e.to_string(),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Err(StartError::Fatal(format!("{last}\n{}", self.log_tail(Component::ApiServer, 15))))
    }

    fn all_run(&self) -> Result<(), StartError> {
        for (component, process) in self.running.lock().unwrap().iter_mut() {
            if let Some(how) = process.ended() {
                let tail = process.log_tail(15);
                let taken = *component == Component::ApiServer && tail.contains("address already in use");
                return Err(if taken { StartError::PortTaken } else { StartError::Fatal(format!("{how}\n{tail}")) });
            }
        }
        Ok(())
    }

    /// Pods need the `default` service account, which a controller makes.
    async fn until_controllers_work(&self, deadline: Instant) -> Result<(), StartError> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), "default");
        while Instant::now() < deadline {
            self.all_run()?;
            if matches!(accounts.get_opt("default").await, Ok(Some(_))) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let tail = self.log_tail(Component::ControllerManager, 15);
        Err(StartError::Fatal(format!("no service account default/default\n{tail}")))
    }

    /// A client of the administrator. Make one per test: it lives on the calling test's runtime.
    pub fn client(&self) -> Client {
        Client::try_from(self.config()).expect("a client from our own settings")
    }

    /// The administrator's client settings, to be changed before making a client.
    pub fn config(&self) -> Config {
        self.config.clone()
    }

    /// Client settings of a service account.
    pub async fn config_for(&self, namespace: &str, name: &str) -> Config {
        let mut config = self.config();
        config.auth_info = kube::config::AuthInfo::default();
        config.auth_info.token = Some(self.token_for(namespace, name).await.into());
        config
    }

    /// A token of a service account, good for a day. The account must exist.
    pub async fn token_for(&self, namespace: &str, name: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let spec = TokenRequestSpec { expiration_seconds: Some(86_400), ..TokenRequestSpec::default() };
        let request = TokenRequest { spec: Some(spec), ..TokenRequest::default() };
        let answer = accounts.create_token_request(name, &PostParams::default(), &request).await;
        let answer = answer.unwrap_or_else(|e| panic!("token for service account {namespace}/{name}: {e}"));
        answer.status.and_then(|status| status.token).expect("a token request answers with a token")
    }

    /// Writes a kubeconfig that uses a service account's token and gives its path.
    pub async fn kubeconfig_for(&self, namespace: &str, name: &str) -> PathBuf {
        let path = self.dir().join(format!("{namespace}-{name}.conf"));
        let user = serde_json::json!({ "token": self.token_for(namespace, name).await });
        self.layout.write_kubeconfig(&path, &user).expect("write a kubeconfig");
        path
    }

    /// Path of the administrator's kubeconfig.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.layout.admin_kubeconfig
    }

    /// `https://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        self.layout.url()
    }

    /// Path of the authority's certificate.
    pub fn ca(&self) -> &Path {
        &self.layout.pki.ca
    }

    /// The temporary directory: logs below `log/`, free for the test's own files too.
    pub fn dir(&self) -> &Path {
        &self.layout.dir
    }

    /// Path of the audit log (JSON lines).
    pub fn audit_log(&self) -> &Path {
        &self.layout.audit_log
    }

    /// Reads the audit log.
    pub fn audit(&self) -> AuditLog {
        AuditLog::read(self.audit_log())
    }

    /// SIGKILL for one component; the data stay. Nothing happens when it does not run.
    pub fn stop(&self, component: Component) {
        self.running.lock().unwrap().remove(&component);
    }

    /// Starts a component that was stopped; the API server's port stays the same. Returns when it answers
    /// (controllers have no health port: returns when the process runs).
    pub async fn start_component(&self, component: Component) {
        self.stop(component);
        let started = match self.spawn(component) {
            Ok(()) => self.until_ok("/readyz", Instant::now() + self.layout.options.patience).await,
            failed @ Err(_) => failed,
        };
        match started {
            Ok(()) => {}
            Err(StartError::PortTaken) => panic!("the port of {component} was taken meanwhile"),
            Err(StartError::Fatal(why)) => panic!("{component} did not start again: {why}"),
        }
    }

    /// [`stop`](Self::stop) and [`start_component`](Self::start_component).
    pub async fn restart(&self, component: Component) {
        self.stop(component);
        self.start_component(component).await;
    }

    /// Restarts kube-controller-manager.
    pub async fn restart_controller_manager(&self) {
        self.restart(Component::ControllerManager).await;
    }

    /// Process id of a component, `None` when it does not run.
    pub fn process_id(&self, component: Component) -> Option<u32> {
        self.running.lock().unwrap().get(&component).map(Process::id)
    }

    /// The last lines of a component's log.
    pub fn log_tail(&self, component: Component, lines: usize) -> String {
        crate::process::tail(&self.layout.log(component), lines)
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        // The API server first: it would only log about a store that went away.
        let running = self.running.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        for (_, mut process) in std::mem::take(running).into_iter().rev() {
            process.kill();
        }
        if let Some(dir) = self.dir.take()
            && let Err(e) = dir.close()
        {
            eprintln!("test-kit: could not remove the directory of a test API server: {e}");
        }
        drop(self.janitor.take());
    }
}

/// Installs rustls' ring provider once per process; every client needs it, and kube installs none.
pub fn install_crypto() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// A port on 127.0.0.1 that was free a moment ago, below the range from which outgoing connections take theirs.
pub(crate) fn free_port() -> std::io::Result<u16> {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes that start together begin at different places.
    let base = u16::try_from(std::process::id() % 1_000).expect("below 1000") * 11;
    for _ in 0..11_000 {
        let port = 20_000 + (base + NEXT.fetch_add(1, Ordering::Relaxed)) % 11_000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::AddrInUse, "no free port between 20000 and 31000"))
}
