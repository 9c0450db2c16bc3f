//! Restores: those that users write, and what the executions of claims have in common with them.

mod chains;
mod done;
mod golden;
mod refused;
mod waits;

use e2e_api::{IMMEDIATE, Stage, objects};
use serde_json::{Value, json};

/// A claim that a Restore makes.
fn claim(name: &str) -> Value {
    json!({"metadata": {"name": name}, "volumeSource": "data", "volumeClaimSpec": {
        "accessModes": ["ReadWriteOnce"], "storageClassName": IMMEDIATE, "resources": {"requests": {"storage": "1Gi"}}}})
}

/// A Restore `r` of Backup `b` into the claim `data`; `change` may alter its spec.
async fn restore(stage: &Stage, change: impl FnOnce(&mut Value)) {
    let mut spec = json!({
        "backup": {"name": "b", "namespace": stage.namespace},
        "prepareDataConfig": {"volumeClaims": [claim("data")], "volumeClaimRestorePolicy": "Parallel"},
    });
    change(&mut spec);
    objects::create(stage, "Restore", "r", &json!({}), &spec).await;
}

/// Waits for the Restore's phase and gives its status.
async fn until(stage: &Stage, phase: &str) -> Value {
    objects::until_phase(&stage.client, "Restore", &stage.namespace, "r", phase).await.data["status"].clone()
}

/// One condition of a status.
fn condition<'a>(status: &'a Value, type_: &str) -> &'a Value {
    let all = status["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().find(|c| c["type"] == type_).unwrap_or(&Value::Null)
}
