//! Metrics every operator has. Labels are bounded: kinds, controllers and reasons, never names.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram};
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// Labels of one reconcile.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Reconcile {
    /// Controller, as its folder is named.
    pub controller: &'static str,
    /// `ok` or the reason of the error.
    pub result: &'static str,
}

/// Labels of one API request.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Request {
    /// Verb of the call.
    pub verb: &'static str,
    /// Kind of the object.
    pub kind: String,
    /// HTTP status, or `none` when there was no answer.
    pub code: String,
}

/// A kind that is watched.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct Kind {
    /// Its name.
    pub kind: String,
}

/// The metrics of one process.
#[derive(Clone)]
pub struct Metrics {
    /// Seconds one reconcile took.
    pub reconcile: Family<Reconcile, Histogram, fn() -> Histogram>,
    /// Requests to the API server, watches not counted.
    pub requests: Family<Request, Counter>,
    /// Watches that had to start again.
    pub watch_restarts: Family<Kind, Counter>,
    /// Objects that could not be decoded and are passed over.
    pub undecodable: Family<Kind, Counter>,
    /// 1 while this process leads.
    pub leader: Gauge,
    registry: Arc<Registry>,
}

fn seconds() -> Histogram {
    Histogram::new([0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0])
}

impl Metrics {
    /// Metrics under `prefix` (`dp`, `apps`); `more` registers those of the product.
    pub fn new(prefix: &str, more: impl FnOnce(&mut Registry)) -> Self {
        let mut registry = Registry::with_prefix(prefix);
        let reconcile = Family::new_with_constructor(seconds as fn() -> Histogram);
        let requests = Family::default();
        let watch_restarts = Family::default();
        let undecodable = Family::default();
        let leader = Gauge::default();
        registry.register("reconcile_duration_seconds", "Time of one reconcile", reconcile.clone());
        registry.register("api_requests", "Requests to the API server", requests.clone());
        registry.register("watch_restarts", "Watches that started again", watch_restarts.clone());
        registry.register("undecodable_objects", "Objects that could not be decoded", undecodable.clone());
        registry.register("leader", "Whether this process leads", leader.clone());
        more(&mut registry);
        Metrics { reconcile, requests, watch_restarts, undecodable, leader, registry: Arc::new(registry) }
    }

    /// All metrics as OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            Err(error) => format!("# could not encode: {error}\n"),
        }
    }
}
