//! What every benchmark of an operator needs: its requests, its memory, and objects to run it beside.

use futures::{StreamExt, stream};
use kube::Api;
use kube::api::PostParams;
use serde_json::Value;
use std::time::Duration;
use test_kit::api_server::ApiServer;
use test_kit::operator::Operator;

/// Objects created at once while the cluster is filled.
pub const AT_ONCE: usize = 32;

/// What the start itself asks for (leases, lists) is over once the process leads.
pub async fn until_leading(process: &Operator) {
    test_kit::wait::eventually(Duration::from_secs(30), "the operator leads", async || {
        if process.log().contains("leading") { Ok(()) } else { Err(process.log_tail(3)) }
    })
    .await;
}

/// Requests of the operator that ended, but for its leases and the renewal of its watches.
pub fn requests(server: &ApiServer, account: (&str, &str)) -> u64 {
    let all = server.audit().of_service_account(account.0, account.1);
    all.only(|entry| entry.verb != "watch" && !entry.resource.starts_with("leases")).entries.len() as u64
}

/// The most that was ever resident, in MB of 2^20 bytes.
pub fn peak(process: u32) -> f64 {
    field(process, "VmHWM:")
}

/// Resident and anonymous memory in MB of 2^20 bytes.
pub fn memory(process: u32) -> (f64, f64) {
    (field(process, "VmRSS:"), field(process, "RssAnon:"))
}

fn field(process: u32, name: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find(|l| l.starts_with(name)).expect("a field of /proc");
    let kib: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("a number");
    megabytes(kib * 1024)
}

#[allow(clippy::cast_precision_loss)] // sizes far below 2^52
pub fn megabytes(bytes: u64) -> f64 {
    (bytes as f64 / f64::from(1u32 << 20) * 100.0).round() / 100.0
}

/// Creates `count` objects, several at a time.
pub async fn create<K>(api: &Api<K>, count: usize, body: impl Fn(usize) -> Value)
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let make = |i: usize| {
        let object: K = serde_json::from_value(body(i)).expect("an object");
        async move { api.create(&PostParams::default(), &object).await.expect("create") }
    };
    stream::iter(0..count).map(make).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
}
