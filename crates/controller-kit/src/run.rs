//! The life of an operator process: client, caches, leases, controllers, an orderly end.

use crate::admin::{self, Addresses, Health};
use crate::drive::Driver;
use crate::error::chain;
use crate::lease::Election;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::telemetry;
use crate::writes::Writer;
use clap::Args;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long running reconciles may take to finish after the first signal.
const GRACE: Duration = Duration::from_secs(25);

/// Flags every operator has. Flag wins over environment, environment over default.
#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// Kubeconfig file; inside a cluster the service account is used when this is not given.
    #[arg(long, env = "KUBECONFIG")]
    pub kubeconfig: Option<PathBuf>,
    /// Namespaces to work in, comma separated; all when empty.
    #[arg(long, env = "HOLDFAST_NAMESPACES", value_delimiter = ',')]
    pub namespaces: Vec<String>,
    /// Address of /metrics.
    #[arg(long, env = "HOLDFAST_METRICS_ADDRESS", default_value = "0.0.0.0:8080")]
    pub metrics_address: SocketAddr,
    /// Address of /livez and /readyz.
    #[arg(long, env = "HOLDFAST_HEALTH_ADDRESS", default_value = "0.0.0.0:8081")]
    pub health_address: SocketAddr,
    /// Address of /debug/state; keep it on loopback.
    #[arg(long, env = "HOLDFAST_DEBUG_ADDRESS", default_value = "127.0.0.1:8082")]
    pub debug_address: SocketAddr,
    /// Who holds the lease; the pod's name.
    #[arg(long, env = "POD_NAME", default_value_t = default_identity())]
    pub identity: String,
    /// The operator's own namespace: its lease, exec Jobs and pre-checks live there.
    #[arg(long, env = "CM_NAMESPACE", default_value = "default")]
    pub namespace: String,
    /// What to log, as a RUST_LOG expression.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
    /// Objects looked at at once by each controller.
    #[arg(long, env = "DATAPROTECTION_RECONCILE_WORKERS", default_value_t = 16)]
    pub workers: usize,
}

fn default_identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}-{}", host.trim(), std::process::id())
}

/// Why an operator could not run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No usable way to reach a cluster.
    #[error("could not find out how to reach the cluster")]
    Config(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The client could not be built.
    #[error("could not build the Kubernetes client")]
    Client(#[source] Box<kube::Error>),
    /// A port is taken.
    #[error("could not listen on one of {addresses}")]
    Listen {
        /// The addresses asked for.
        addresses: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The lease went to somebody else.
    #[error("lost the lease {0}: ended, so that two operators never write at once")]
    LeaseLost(String),
    /// Signals can not be received.
    #[error("could not install signal handlers")]
    Signals(#[source] std::io::Error),
}

/// Runs an operator to its end, as the whole of its `main`.
pub fn to_the_end(operator: impl Future<Output = Result<(), RunError>>) -> ExitCode {
    // Reconciles wait for the API server most of the time; two threads keep the process small.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(operator),
        Err(error) => {
            eprintln!("could not start the async runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

/// What a process gives its controllers.
#[derive(Clone)]
pub struct Runtime {
    /// Flags.
    pub settings: Settings,
    /// Client.
    pub client: Client,
    /// Metrics.
    pub metrics: Metrics,
    /// Readiness and state.
    pub health: Health,
    /// Ends watches and controllers.
    pub stop: CancellationToken,
}

impl Runtime {
    /// Logs, TLS, client and admin server.
    pub async fn start(settings: Settings, metrics: Metrics) -> Result<Self, RunError> {
        telemetry::start(&settings.log);
        // A second provider in the process would have been our own doing; the first one stays.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = client(&settings).await?;
        let health = Health::default();
        let at = Addresses {
            metrics: settings.metrics_address,
            health: settings.health_address,
            debug: settings.debug_address,
        };
        admin::start(at, &health, &metrics).await.map_err(|source| RunError::Listen {
            addresses: format!("{}, {}, {}", at.metrics, at.health, at.debug),
            source,
        })?;
        let stop = CancellationToken::new();
        Ok(Runtime { settings, client, metrics, health, stop })
    }

    /// The driver of one controller; its queue shows under `/debug/state`.
    pub fn driver(&self, name: &'static str, queue: &Arc<Queue>) -> Driver {
        self.health.show_queue(name, Arc::clone(queue));
        let workers = self.settings.workers.max(1);
        Driver { name, queue: Arc::clone(queue), workers, metrics: self.metrics.clone() }
    }

    /// An election for one Lease of this process.
    pub fn election(&self, namespace: &str, name: &str) -> Election {
        Election {
            namespace: namespace.into(),
            name: name.into(),
            identity: self.settings.identity.clone(),
            writer: Writer::new(self.client.clone(), "holdfast/lease", self.metrics.clone()),
        }
    }

    /// Takes every lease, starts the controllers, and ends them in order on a signal or when a
    /// lease is lost. `start_controllers` is called once, as leader.
    pub async fn lead<F>(self, elections: Vec<Election>, start_controllers: F) -> Result<(), RunError>
    where
        F: FnOnce(&mut JoinSet<()>),
    {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(RunError::Signals)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(RunError::Signals)?;
        for election in &elections {
            tokio::select! {
                () = election.acquire() => {}
                _ = interrupt.recv() => return Ok(()),
                _ = terminate.recv() => return Ok(()),
            }
        }
        tracing::info!(identity = self.settings.identity, "leading");
        self.metrics.leader.set(1);
        self.health.set_leading(true);
        let mut controllers = JoinSet::new();
        start_controllers(&mut controllers);
        let leases_stop = CancellationToken::new();
        let mut leases = JoinSet::new();
        for election in elections {
            let stop = leases_stop.clone();
            leases.spawn(async move {
                election.keep(stop).await;
                election.name
            });
        }
        let lost = tokio::select! {
            _ = interrupt.recv() => None,
            _ = terminate.recv() => None,
            lost = leases.join_next() => Some(lost.and_then(Result::ok).unwrap_or_default()),
        };
        self.health.set_ready(false);
        self.health.set_leading(false);
        if let Some(name) = lost {
            return Err(RunError::LeaseLost(name));
        }
        tracing::info!("stopping: running reconciles finish first");
        self.stop.cancel();
        let finished = async { while controllers.join_next().await.is_some() {} };
        tokio::select! {
            _ = tokio::time::timeout(GRACE, finished) => {}
            _ = terminate.recv() => tracing::warn!("second signal: not waiting"),
        }
        leases_stop.cancel();
        while leases.join_next().await.is_some() {}
        Ok(())
    }
}

async fn client(settings: &Settings) -> Result<Client, RunError> {
    let config = match &settings.kubeconfig {
        Some(path) => {
            let file = Kubeconfig::read_from(path).map_err(|e| RunError::Config(Box::new(e)))?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default())
                .await
                .map_err(|e| RunError::Config(Box::new(e)))?
        }
        None => Config::infer().await.map_err(|e| RunError::Config(Box::new(e)))?,
    };
    Client::try_from(config).map_err(|e| RunError::Client(Box::new(e)))
}
