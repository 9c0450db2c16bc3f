//! HTTP for people and machines that look after the process: metrics, health and, on loopback
//! only, its inner state.

use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::stores::{StoreState, Watched};
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the admin server tells about the process.
#[derive(Clone, Default)]
pub struct Health(Arc<Inner>);

#[derive(Default)]
struct Inner {
    ready: AtomicBool,
    leading: AtomicBool,
    stores: Mutex<Vec<Box<dyn Watched>>>,
    queues: Mutex<Vec<(&'static str, Arc<Queue>)>>,
}

#[derive(serde::Serialize)]
struct QueueState {
    controller: &'static str,
    ready: usize,
    delayed: usize,
}

#[derive(serde::Serialize)]
struct DebugState {
    ready: bool,
    leading: bool,
    stores: Vec<StoreState>,
    queues: Vec<QueueState>,
}

impl Health {
    /// Caches are filled and the process is not stopping.
    pub fn set_ready(&self, ready: bool) {
        self.0.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether this process leads.
    pub fn set_leading(&self, leading: bool) {
        self.0.leading.store(leading, Ordering::Relaxed);
    }

    /// Shows a store under `/debug/state`.
    pub fn show_store(&self, store: Box<dyn Watched>) {
        lock(&self.0.stores).push(store);
    }

    /// Shows a queue under `/debug/state`.
    pub fn show_queue(&self, controller: &'static str, queue: Arc<Queue>) {
        lock(&self.0.queues).push((controller, queue));
    }

    fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Relaxed)
    }

    fn state(&self) -> DebugState {
        let queue = |(controller, queue): &(&'static str, Arc<Queue>)| {
            let (ready, delayed) = queue.depth();
            QueueState { controller, ready, delayed }
        };
        DebugState {
            ready: self.is_ready(),
            leading: self.0.leading.load(Ordering::Relaxed),
            stores: lock(&self.0.stores).iter().map(|s| s.state()).collect(),
            queues: lock(&self.0.queues).iter().map(queue).collect(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the admin server listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// `/metrics`.
    pub metrics: SocketAddr,
    /// `/livez`, `/readyz`.
    pub health: SocketAddr,
    /// `/debug/state`; loopback.
    pub debug: SocketAddr,
}

/// Starts the three servers; they live as long as the process.
///
/// # Errors
/// When an address can not be bound.
pub async fn start(at: Addresses, health: &Health, metrics: &Metrics) -> std::io::Result<()> {
    let metrics_app = Router::new().route("/metrics", get(encode)).with_state(metrics.clone());
    let health_app =
        Router::new().route("/livez", get(|| async { "ok" })).route("/readyz", get(readyz)).with_state(health.clone());
    let debug_app = Router::new().route("/debug/state", get(debug)).with_state(health.clone());
    for (address, app) in [(at.metrics, metrics_app), (at.health, health_app), (at.debug, debug_app)] {
        let listener = tokio::net::TcpListener::bind(address).await?;
        tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, app).await {
                tracing::error!(%address, "admin server ended: {error}");
            }
        });
    }
    Ok(())
}

async fn encode(State(metrics): State<Metrics>) -> String {
    metrics.encode()
}

async fn readyz(State(health): State<Health>) -> (StatusCode, &'static str) {
    if health.is_ready() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not filled, or the process is stopping")
    }
}

async fn debug(State(health): State<Health>) -> ([(axum::http::HeaderName, &'static str); 1], String) {
    let text = serde_json::to_string_pretty(&health.state()).unwrap_or_default();
    ([(CONTENT_TYPE, "application/json")], text)
}
