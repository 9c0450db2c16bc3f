//! Metrics about backups, made from the caches when somebody asks: nothing is counted twice or forgotten by a restart.
//!
//! Labels are names that administrators give (repositories, methods, policies and their namespaces) and reasons,
//! never names of single backups.

pub mod figures;

use api_types::dp::Backup;
use controller_kit::stores::Store;
use figures::{Figures, Last, OfMethod};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt::{self, Debug, Formatter};

/// Looks at all Backups at each scrape.
pub struct Backups(pub Store<Backup>);

impl Debug for Backups {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Backups")
    }
}

impl Collector for Backups {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), fmt::Error> {
        let mut all = Figures::default();
        self.0.visit(|backup| all.add(backup));
        let mut gauge = |name: &str, help: &str, series: Vec<Series<'_>>| -> Result<(), fmt::Error> {
            let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            for (labels, value) in series {
                ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
            }
            Ok(())
        };
        let success = "When the last backup that worked completed";
        gauge("backup_last_success_timestamp_seconds", success, of_last(&all, |last| Some(last.completed)))?;
        let bytes = |last: &Last| i64::try_from(last.bytes?).ok();
        gauge("backup_last_size_bytes", "Size of the last backup that worked", of_last(&all, bytes))?;
        let seconds = of_last(&all, |last| last.seconds);
        gauge("backup_last_duration_seconds", "Duration of the last backup that worked", seconds)?;
        gauge("backups", "Backups that are there", counted(&all, "phase", |of| &of.phases))?;
        gauge("backups_failed", "Failed backups that are there", counted(&all, "reason", |of| &of.failures))?;
        let waiting = all
            .waiting
            .iter()
            .map(|(repo, count)| (vec![("repo", repo.clone())], i64::try_from(*count).unwrap_or(i64::MAX)));
        gauge("backup_jobs_waiting", "Jobs of backups that wait for their turn", waiting.collect())?;
        let point = |((namespace, policy), at): (&'_ (String, String), &i64)| {
            (vec![("namespace", namespace.clone()), ("policy", policy.clone())], *at)
        };
        let points = all.recovery_points.iter().map(point).collect();
        gauge("recovery_point_timestamp_seconds", "The latest instant that can be restored", points)
    }
}

/// Labels and value.
type Series<'a> = (Vec<(&'a str, String)>, i64);

fn of_last(all: &Figures, get: impl Fn(&Last) -> Option<i64>) -> Vec<Series<'static>> {
    let one = |(of, method): (&(String, String), &OfMethod)| Some((labels(of), get(method.last.as_ref()?)?));
    all.methods.iter().filter_map(one).collect()
}

fn counted<'a>(
    all: &Figures,
    label: &'a str,
    get: impl Fn(&OfMethod) -> &std::collections::BTreeMap<String, u64>,
) -> Vec<Series<'a>> {
    let mut series = Vec::new();
    for (of, method) in &all.methods {
        for (value, count) in get(method) {
            let mut labels: Vec<(&'a str, String)> = labels(of);
            labels.push((label, value.clone()));
            series.push((labels, i64::try_from(*count).unwrap_or(i64::MAX)));
        }
    }
    series
}

fn labels((repo, method): &(String, String)) -> Vec<(&'static str, String)> {
    vec![("repo", repo.clone()), ("method", method.clone())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use controller_kit::metrics::Metrics;

    #[test]
    fn without_backups_there_are_names_and_no_series() {
        let store = Store::new(|_| true, |_: &mut Backup| {});
        let metrics = Metrics::new("dp", |registry| registry.register_collector(Box::new(Backups(store))));
        let text = metrics.encode();
        assert!(text.contains("# TYPE dp_recovery_point_timestamp_seconds gauge\n"), "{text}");
        assert!(!text.contains("dp_backups{"), "{text}");
    }
}
