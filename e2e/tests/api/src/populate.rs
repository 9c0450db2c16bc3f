//! What tests about waiting claims do again and again: hold pods back, look for an execution, prove that
//! the volume of a claim holds the data of its last attempt.

use crate::objects::{claims, dp, prime_name, volume_of};
use crate::{Company, PATIENCE, Stage};
use api_types::contract::annotations::{POPULATED_ATTEMPT, POPULATED_MODE, POPULATED_TARGET_UID, PRIME_UID};
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, DynamicObject, ListParams, PostParams, PropagationPolicy};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use test_kit::builders::{self, Binding};
use test_kit::crash_proxy::{JournalEntry, Request};
use test_kit::provisioner::DRIVER;
use test_kit::{Fault, Outcome, wait};

/// A stage of this name with a completed Backup `b`.
pub async fn ready(name: &str) -> (Stage, &'static Company) {
    let (stage, company) = crate::stage(name).await;
    let actions = crate::objects::action_set(&stage, crate::objects::prepare_data()).await;
    crate::objects::completed_backup(&stage, "b", &actions).await;
    (stage, company)
}

/// The claim `data`, to be filled from Backup `b`.
pub async fn claim_from_b(stage: &Stage, class: &str) -> PersistentVolumeClaim {
    builders::Claim::new("data", class).from_backup("b").create(&stage.client, &stage.namespace).await
}

/// From now on pods of this namespace end so, also those that already wait or run.
pub fn pods_end(stage: &Stage, company: &Company, outcome: Outcome) {
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| {
        let ours = pod.namespace().as_deref() == Some(&namespace);
        ours.then(|| outcome.clone())
    });
}

/// From now on pods of Jobs of this namespace end so; those of databases run.
pub fn pods_of_jobs_end(stage: &Stage, company: &Company, outcome: Outcome) {
    let namespace = stage.namespace.clone();
    company.executor.plan_with(move |pod| {
        let of_job = pod.labels().contains_key("batch.kubernetes.io/job-name");
        (of_job && pod.namespace().as_deref() == Some(&namespace)).then(|| outcome.clone())
    });
}

/// A class of this test alone, so that no other test's claims meet its volumes.
pub async fn own_class(stage: &Stage, binding: Binding) -> String {
    builders::storage_class(&stage.client, &format!("class-{}", stage.namespace), DRIVER, binding).await
}

/// A volume nobody claimed, or one reserved for `claim` of the stage's namespace.
pub async fn loose_volume(stage: &Stage, class: &str, claim: Option<&str>) -> String {
    let name = format!("loose-{}", stage.namespace);
    let mut body = json!({
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "persistentVolumeReclaimPolicy": "Retain", "hostPath": {"path": "/nowhere"},
        },
    });
    if let Some(claim) = claim {
        body["spec"]["claimRef"] = json!({"namespace": stage.namespace, "name": claim});
    }
    let volume: PersistentVolume = serde_json::from_value(body).expect("a volume");
    volumes(stage).create(&PostParams::default(), &volume).await.expect("create a volume");
    name
}

/// All volumes.
pub fn volumes(stage: &Stage) -> Api<PersistentVolume> {
    Api::all(stage.client.clone())
}

/// Waits for a volume's phase.
pub async fn until_volume(stage: &Stage, name: &str, phase: &str) {
    wait::watch_until(&volumes(stage), name, PATIENCE, |v| {
        v.status.as_ref().and_then(|s| s.phase.as_deref()) == Some(phase)
    })
    .await;
}

/// Waits until the execution of `claim` exists.
pub async fn until_execution(stage: &Stage, claim: &PersistentVolumeClaim) -> DynamicObject {
    let api = dp(&stage.client, "Restore", &stage.namespace);
    let name = prime_name(claim);
    wait::eventually(PATIENCE, &format!("Restore {name}"), async || api.get(&name).await.map_err(|e| e.to_string()))
        .await
}

/// Waits until a pod that fills `claim` runs; pods must be held.
pub async fn until_pod_runs(stage: &Stage, claim: &PersistentVolumeClaim) -> Pod {
    let api: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let selector = ListParams::default().labels(&format!("dataprotection.kubeblocks.io/restore={}", prime_name(claim)));
    wait::eventually(PATIENCE, "a running restore pod", async || {
        let pods = api.list(&selector).await.map_err(|e| e.to_string())?.items;
        let phases: Vec<_> = pods.iter().map(|p| p.status.as_ref().and_then(|s| s.phase.clone())).collect();
        let runs = |p: &Pod| p.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running"));
        let alive = |p: &Pod| p.metadata.deletion_timestamp.is_none();
        pods.into_iter().find(|p| runs(p) && alive(p)).ok_or_else(|| format!("pods {phases:?}"))
    })
    .await
}

/// Waits until a claim is gone.
pub async fn until_claim_gone(stage: &Stage, name: &str) {
    wait::watch_until_gone(&claims(stage), name, PATIENCE).await;
}

/// Deletes a claim as a stranger would.
pub async fn delete_claim(stage: &Stage, name: &str, propagation: PropagationPolicy) {
    let params = DeleteParams { propagation_policy: Some(propagation), ..DeleteParams::default() };
    claims(stage).delete(name, &params).await.expect("delete a claim");
}

/// The operator's writes in the stage's namespace so far.
pub fn writes(stage: &Stage, company: &Company) -> Vec<JournalEntry> {
    company.proxy.writes().into_iter().filter(|w| w.request.namespace == stage.namespace).collect()
}

/// The operator's writes in the stage's namespace as lines, for messages.
pub fn told(writes: &[JournalEntry]) -> String {
    writes.iter().map(|w| format!("{w} {}", w.body)).collect::<Vec<_>>().join("\n")
}

/// Makes the operator's matching requests fail until the gate is opened with `store(false)`.
pub fn refuse(company: &Company, wanted: impl Fn(&Request) -> bool + Send + 'static) -> Arc<AtomicBool> {
    let closed = Arc::new(AtomicBool::new(true));
    let gate = closed.clone();
    let fault = Fault::answer(1, 500).times(1_000_000);
    company.proxy.arm(fault.when(move |r| gate.load(Ordering::SeqCst) && wanted(r)));
    closed
}

/// No claim or execution was made by the operator in this namespace.
pub fn assert_nothing_was_made(stage: &Stage, company: &Company) {
    let made: Vec<JournalEntry> =
        writes(stage, company).into_iter().filter(|w| w.request.method.as_str() == "POST").collect();
    assert!(made.is_empty(), "{}", told(&made));
}

/// Proves that the volume of `claim` was filled by one pod of the attempt that finished, and by nobody
/// else. Gives the attempt.
pub async fn assert_filled(stage: &Stage, company: &Company, claim: &PersistentVolumeClaim) -> u32 {
    let volume = volume_of(stage, claim).await;
    let name = volume.name_any();
    let notes = volume.annotations();
    let holder = volume.spec.as_ref().and_then(|s| s.claim_ref.clone()).expect("a claim reference");
    assert_eq!(holder.uid, claim.uid());
    assert_eq!(notes.get(POPULATED_TARGET_UID), claim.uid().as_ref());
    assert_eq!(notes.get(POPULATED_MODE).map(String::as_str), Some("data"));
    let execution = until_execution(stage, claim).await;
    let attempt = &execution.annotations()["holdfast.dev/attempt"];
    assert_eq!(Some(attempt), notes.get(POPULATED_ATTEMPT), "the proof is of the last attempt");
    let status = &execution.data["status"];
    assert_eq!(status["phase"], "Completed");
    let action = &status["actions"]["prepareData"][0];
    assert_eq!(action["status"], "Completed", "{status}");
    let mut written = company.executor.written_to(&stage.namespace, &prime_name(claim));
    written.retain(|w| w.pv == name);
    assert_eq!(written.len(), 1, "one pod ever mounted {name}: {written:?}");
    assert_eq!(Some(&written[0].claim_uid), execution.annotations().get(PRIME_UID));
    let job = written[0].job.clone().expect("a pod of a Job");
    assert_eq!(action["objectKey"], format!("Job/{job}"), "the Job that completed is the one that wrote");
    assert!(!company.provisioner.deleted().contains(&name), "the storage of {name} was deleted");
    until_volume(stage, &name, "Bound").await;
    until_claim_gone(stage, &prime_name(claim)).await;
    attempt.parse().expect("a number")
}

/// Events about a claim: reason and message.
pub async fn events_of(stage: &Stage, claim: &str) -> Vec<(String, String)> {
    let api: Api<Event> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let about = ListParams::default().fields(&format!("involvedObject.name={claim}"));
    let events = api.list(&about).await.expect("events").items;
    events.into_iter().map(|e| (e.reason.unwrap_or_default(), e.message.unwrap_or_default())).collect()
}

/// A Restore that only describes a source, whose Jobs are tried once.
pub async fn source_restore(stage: &Stage, name: &str, backup: &str) {
    let spec = json!({
        "backup": {"name": backup, "namespace": stage.namespace}, "backoffLimit": 0,
        "prepareDataConfig": {"dataSourceRef": {"volumeSource": "data", "mountPath": "/data"}},
    });
    crate::objects::create(stage, "Restore", name, &Value::Null, &spec).await;
}

/// A `dataSourceRef` of the dp group.
pub fn source(kind: &str, name: &str) -> Value {
    json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": kind, "name": name})
}

/// Longest a test watches for what must not happen.
pub const CALM: Duration = Duration::from_secs(2);
