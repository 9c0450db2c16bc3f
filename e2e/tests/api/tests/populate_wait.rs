//! What a claim waits for, what it says meanwhile, and what it says no more once it is settled.

use e2e_api::objects::{
    self, claims, completed_backup, completed_status, condition, create, dp, message, patch_claim, prepare_data,
    prime_name, set_backup_status, until_restore, volume_of,
};
use e2e_api::populate::{
    CALM, assert_filled, assert_nothing_was_made, claim_from_b, loose_volume, own_class, pods_end, ready, source,
    source_restore, told, until_execution, until_pod_runs, writes,
};
use e2e_api::{Company, IMMEDIATE, LATER, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use test_kit::builders::{self, Binding, Claim};
use test_kit::{Outcome, wait};

const NODE: &str = "volume.kubernetes.io/selected-node";

/// Case 4: a Backup that does not exist yet is named, and its arrival is enough.
#[tokio::test]
async fn restore_4_a_missing_backup_is_named_and_its_arrival_wakes() {
    let (stage, company) = stage("missing").await;
    claim_from_b(&stage, IMMEDIATE).await;
    let claim = until_restore(&stage, "data", "Unknown", "BackupNotFound").await;
    assert!(message(&claim).contains(&format!("Backup {}/b", stage.namespace)), "{}", message(&claim));
    assert_nothing_was_made(&stage, company);
    // The Backup arrives, its ActionSet does not.
    let actions = format!("actions-{}", stage.namespace);
    completed_backup(&stage, "b", &actions).await;
    let claim = until_restore(&stage, "data", "Unknown", "ActionSetNotFound").await;
    assert!(message(&claim).contains(&format!("ActionSet {actions}")), "{}", message(&claim));
    assert_nothing_was_made(&stage, company);
    objects::action_set(&stage, prepare_data()).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

/// Case 73: the message follows the Backup's phase under one reason; the transition time stays.
#[tokio::test]
async fn restore_73_the_message_follows_under_one_reason() {
    let (stage, company) = stage("running").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    let skip = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(&stage, "Backup", "b", &skip, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    set_backup_status(&stage, "b", &json!({"phase": "New"})).await;
    claim_from_b(&stage, IMMEDIATE).await;
    let claim = until_restore(&stage, "data", "Unknown", "BackupNotCompleted").await;
    assert!(message(&claim).contains("Backup b is New"), "{}", message(&claim));
    let first = condition(&claim, "Restore").unwrap().last_transition_time.clone();
    // Transition times have whole seconds: one has to pass, or an unchanged time proves nothing.
    let api = claims(&stage);
    let seen = std::time::Instant::now();
    wait::eventually(PATIENCE, "another second", async || {
        if seen.elapsed().as_millis() > 1_200 { Ok(()) } else { Err("not yet".into()) }
    })
    .await;
    set_backup_status(&stage, "b", &json!({"phase": "Running"})).await;
    let claim = wait::watch_until(&api, "data", PATIENCE, |c| message(c).contains("Backup b is Running")).await;
    let second = condition(&claim, "Restore").unwrap();
    assert_eq!((second.reason.as_deref(), &second.last_transition_time), (Some("BackupNotCompleted"), &first));
    assert_nothing_was_made(&stage, company);
    set_backup_status(&stage, "b", &completed_status(&stage, "b", &actions)).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_ne!(condition(&claim, "Restore").unwrap().last_transition_time, first, "a new status has a new time");
    assert_filled(&stage, company, &claim).await;
}

/// A missing StorageClass is named with the field that asks for it; making it is enough.
#[tokio::test]
async fn restore_a_missing_class_is_named_and_its_arrival_wakes() {
    let (stage, company) = ready("no-class").await;
    let class = format!("class-{}", stage.namespace);
    claim_from_b(&stage, &class).await;
    let claim = until_restore(&stage, "data", "Unknown", "StorageClassNotFound").await;
    let said = message(&claim);
    assert!(said.contains("spec.storageClassName") && said.contains(&format!("StorageClass {class}")), "{said}");
    assert_nothing_was_made(&stage, company);
    own_class(&stage, Binding::Immediate).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

/// Case 39, first half: what keeps the restore pod shows on the claim while it waits.
#[tokio::test]
async fn restore_39_trouble_of_the_pod_shows_on_the_claim() {
    let (stage, company) = ready("trouble").await;
    pods_end(&stage, company, Outcome::NeverStart);
    claim_from_b(&stage, IMMEDIATE).await;
    let api = claims(&stage);
    let claim = wait::watch_until(&api, "data", PATIENCE, |c| message(c).contains("Insufficient memory")).await;
    let told = condition(&claim, "Restore").unwrap();
    assert_eq!((told.status.as_str(), told.reason.as_deref()), ("Unknown", Some("PodUnschedulable")));
    assert!(message(&claim).contains("pod restore-preparedata-"), "names the pod: {}", message(&claim));
    pods_end(&stage, company, Outcome::ImagePullBackOff);
    let claim = until_restore(&stage, "data", "Unknown", "ImagePullFailed").await;
    let said = message(&claim);
    assert!(said.contains("container restore of pod restore-preparedata-"), "names container and pod: {said}");
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

/// Case 18: with WaitForFirstConsumer nothing is made until a node is chosen; then prime claim and Job go
/// to that node.
#[tokio::test]
async fn restore_18_nothing_is_made_until_a_consumer_has_a_node() {
    let (stage, company) = ready("consumer").await;
    claim_from_b(&stage, LATER).await;
    let claim = until_restore(&stage, "data", "Unknown", "WaitForFirstConsumer").await;
    assert!(message(&claim).contains("pod that uses this claim"), "{}", message(&claim));
    wait::stays(CALM, "nothing made", async || {
        let made = writes(&stage, company).iter().any(|w| w.request.method.as_str() == "POST");
        if made { Err(told(&writes(&stage, company))) } else { Ok(()) }
    })
    .await;
    company.executor.add_node("node-b").await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = patch_claim(&stage, "data", json!({"metadata": {"annotations": {NODE: "node-b"}}})).await;
    let pod = until_pod_runs(&stage, &claim).await;
    assert_eq!(pod.spec.as_ref().unwrap().node_name.as_deref(), Some("node-b"));
    let prime = claims(&stage).get(&prime_name(&claim)).await.unwrap();
    assert_eq!(prime.annotations()[NODE], "node-b");
    assert_eq!(pinned_to(&stage, &pod.labels()["batch.kubernetes.io/job-name"]).await.as_deref(), Some("node-b"));
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

async fn pinned_to(stage: &Stage, job: &str) -> Option<String> {
    let jobs: Api<Job> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let template = jobs.get(job).await.expect("the Job").spec?.template.spec?;
    template.node_selector?.get("kubernetes.io/hostname").cloned()
}

/// Case 19: the scheduler moves the claim to another node before the data is there: prime claim and
/// execution are made again for it, and only that volume is delivered.
#[tokio::test]
async fn restore_19_another_node_starts_over() {
    let (stage, company) = ready("moved").await;
    company.executor.add_node("node-b").await;
    pods_end(&stage, company, Outcome::Hold);
    let body = Claim::new("data", LATER).from_backup("b").annotation(NODE, "node-a");
    let claim = body.create(&stage.client, &stage.namespace).await;
    let first = until_pod_runs(&stage, &claim).await;
    assert_eq!(first.spec.as_ref().unwrap().node_name.as_deref(), Some("node-a"));
    patch_claim(&stage, "data", json!({"metadata": {"annotations": {NODE: "node-b"}}})).await;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    wait::watch_until_gone(&pods, &first.name_any(), PATIENCE).await;
    let second = until_pod_runs(&stage, &claim).await;
    assert_eq!(second.spec.as_ref().unwrap().node_name.as_deref(), Some("node-b"));
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
}

/// Case 19, the cause of it: the provisioner can not serve on the chosen node and takes it off the prime
/// claim. The scheduler hears of that only through the target: the choice is taken back there, and the next
/// one is served.
#[tokio::test]
async fn restore_19_a_node_that_can_not_be_served_is_given_back() {
    let (stage, company) = stage_without_provisioner("given-back").await;
    let class = format!("class-{}", stage.namespace);
    // A scheduler that comes by between two looks of ours would only choose the same node again.
    pods_end(&stage, company, Outcome::NeverStart);
    let claim = Claim::new("data", &class).from_backup("b").annotation(NODE, "node-a");
    let claim = claim.create(&stage.client, &stage.namespace).await;
    let api = claims(&stage);
    let prime = prime_name(&claim);
    let on = |node: &'static str| move |c: &PersistentVolumeClaim| c.annotations().get(NODE).is_some_and(|n| n == node);
    wait::watch_until(&api, &prime, PATIENCE, on("node-a")).await;
    patch_claim(&stage, &prime, json!({"metadata": {"annotations": {NODE: null}}})).await;
    let waiting = until_restore(&stage, "data", "Unknown", "WaitForFirstConsumer").await;
    assert!(!waiting.annotations().contains_key(NODE), "the scheduler may choose again: {waiting:?}");
    wait::watch_until_gone(&api, &prime, PATIENCE).await;
    company.executor.add_node("node-b").await;
    patch_claim(&stage, "data", json!({"metadata": {"annotations": {NODE: "node-b"}}})).await;
    wait::watch_until(&api, &prime, PATIENCE, on("node-b")).await;
    loose_volume(&stage, &class, Some(&prime)).await;
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
}

/// A class that waits for a consumer and whose provisioner is the test itself.
async fn stage_without_provisioner(name: &str) -> (Stage, &'static Company) {
    let (stage, company) = ready(name).await;
    let class = format!("class-{}", stage.namespace);
    builders::storage_class(&stage.client, &class, "example.com/nobody", Binding::WaitForFirstConsumer).await;
    (stage, company)
}

/// Case 74: somebody applies `Resizing` under a manager of his own all the while; neither loses its
/// condition.
#[tokio::test]
async fn restore_74_a_concurrent_condition_survives() {
    let (stage, company) = ready("resizing").await;
    claim_from_b(&stage, IMMEDIATE).await;
    let done = AtomicBool::new(false);
    let resizer = async {
        let api = claims(&stage);
        let mut n = 0;
        while !done.load(Ordering::SeqCst) {
            n += 1;
            let body = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "data"},
                "status": {"conditions": [{"type": "Resizing", "status": "True", "message": format!("step {n}"),
                    "lastTransitionTime": "2026-01-01T00:00:00Z"}]},
            });
            api.patch_status("data", &PatchParams::apply("resizer"), &Patch::Apply(&body)).await.expect("apply");
            let merge = json!({"status": {"conditions": [
                {"type": "FileSystemResizePending", "status": "True", "message": format!("step {n}")}]}});
            let kubelet = PatchParams { field_manager: Some("kubelet".into()), ..PatchParams::default() };
            api.patch_status("data", &kubelet, &Patch::Strategic(&merge)).await.expect("strategic patch");
            tokio::task::yield_now().await;
        }
        n
    };
    let restored = async {
        until_restore(&stage, "data", "True", "Succeed").await;
        done.store(true, Ordering::SeqCst);
    };
    let (n, ()) = tokio::join!(resizer, restored);
    assert!(n > 5, "only {n} writes came in between");
    let claim = claims(&stage).get("data").await.unwrap();
    for type_ in ["Resizing", "FileSystemResizePending"] {
        let last = condition(&claim, type_).and_then(|c| c.message.clone());
        assert_eq!(last, Some(format!("step {n}")), "{type_}: {claim:?}");
    }
    for type_ in ["Restore", "Populating"] {
        assert_eq!(condition(&claim, type_).unwrap().status, "True");
    }
    assert_filled(&stage, company, &claim).await;
}

/// Case 23: no write of ours ever carries phase, capacity or access modes of a claim's status.
#[tokio::test]
async fn restore_23_phase_and_capacity_are_the_binders() {
    let (stage, company) = ready("phases").await;
    claim_from_b(&stage, IMMEDIATE).await;
    until_restore(&stage, "data", "True", "Succeed").await;
    let mut of_claims = writes(&stage, company);
    of_claims.retain(|w| w.request.resource == "persistentvolumeclaims" && w.request.name == "data");
    let mut with_status = 0;
    for write in &of_claims {
        let body: serde_json::Value = serde_json::from_str(&write.body).unwrap();
        let Some(status) = body.get("status") else { continue };
        with_status += 1;
        let keys: Vec<&String> = status.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["conditions"], "{write} {}", write.body);
    }
    assert!(with_status >= 2, "{}", told(&of_claims));
}

/// Case 64: once True, a claim stays so without a write: its Backup goes, its ActionSet goes, it is touched.
#[tokio::test]
async fn restore_64_true_is_final() {
    let (stage, company) = ready("latch").await;
    claim_from_b(&stage, IMMEDIATE).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    calm_writes(&stage, company).await;
    dp(&stage.client, "Backup", &stage.namespace).delete("b", &DeleteParams::default()).await.unwrap();
    let actions = format!("actions-{}", stage.namespace);
    dp(&stage.client, "ActionSet", "").delete(&actions, &DeleteParams::default()).await.unwrap();
    let bad = json!({"apps.kubeblocks.io/restore-parameters": "{", "holdfast.dev/retry": "again"});
    patch_claim(&stage, "data", json!({"metadata": {"annotations": bad}})).await;
    still_and_silent(&stage, company, "True").await;
    assert_eq!(volume_of(&stage, &claim).await.name_any(), claim.spec.unwrap().volume_name.unwrap());
}

/// Case 63: a failed claim is written once; touching it changes nothing, until a retry token does. The
/// token counts once.
#[tokio::test]
async fn restore_63_false_is_final_until_a_retry_token() {
    let (stage, company) = ready("failed").await;
    source_restore(&stage, "from", "b").await;
    pods_end(&stage, company, Outcome::fail(7, "no space left on device"));
    let claim = Claim::new("data", IMMEDIATE).data_source_ref(&source("Restore", "from"));
    claim.create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, "data", "False", "ExecutionFailed").await;
    let failed = until_execution(&stage, &claim).await;
    assert_eq!(failed.data["status"]["phase"], "Failed");
    calm_writes(&stage, company).await;
    for n in 0..5 {
        patch_claim(&stage, "data", json!({"metadata": {"annotations": {"example.com/touch": n.to_string()}}})).await;
    }
    still_and_silent(&stage, company, "False").await;

    pods_end(&stage, company, Outcome::succeed());
    let retry = json!({"metadata": {"annotations": {"holdfast.dev/retry": "monday"}}});
    patch_claim(&stage, "data", retry).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_eq!(assert_filled(&stage, company, &claim).await, 2);
    assert_ne!(until_execution(&stage, &claim).await.uid(), failed.uid(), "a Restore of its own");
    let state: serde_json::Value = serde_json::from_str(&claim.annotations()["holdfast.dev/populate-state"]).unwrap();
    assert_eq!((&state["attempt"], &state["retry"]), (&json!(2), &json!("monday")), "token and attempt are stored");
}

/// D5: a token that was used does not start a third attempt; a new one does.
#[tokio::test]
async fn d5_a_used_token_is_used_up() {
    let (stage, company) = ready("token").await;
    source_restore(&stage, "from", "b").await;
    pods_end(&stage, company, Outcome::fail(1, "no"));
    let claim = Claim::new("data", IMMEDIATE).data_source_ref(&source("Restore", "from"));
    claim.annotation("holdfast.dev/retry", "old").create(&stage.client, &stage.namespace).await;
    until_restore(&stage, "data", "False", "ExecutionFailed").await;
    calm_writes(&stage, company).await;
    still_and_silent(&stage, company, "False").await;
    patch_claim(&stage, "data", json!({"metadata": {"annotations": {"holdfast.dev/retry": "new"}}})).await;
    let api = claims(&stage);
    let attempt = |c: &PersistentVolumeClaim| c.annotations()["holdfast.dev/populate-state"].contains("\"attempt\":2");
    wait::watch_until(&api, "data", PATIENCE, attempt).await;
    until_restore(&stage, "data", "False", "ExecutionFailed").await;
    calm_writes(&stage, company).await;
    still_and_silent(&stage, company, "False").await;
}

/// Waits until the operator has written nothing in the namespace for half a second.
async fn calm_writes(stage: &Stage, company: &Company) {
    let mut last = (usize::MAX, std::time::Instant::now());
    wait::eventually(PATIENCE, "no more writes", async || {
        let now = writes(stage, company).len();
        if now != last.0 {
            last = (now, std::time::Instant::now());
        }
        if last.1.elapsed().as_millis() > 500 { Ok(()) } else { Err(told(&writes(stage, company))) }
    })
    .await;
}

/// Nothing is written in the namespace, and the claim keeps its verdict.
async fn still_and_silent(stage: &Stage, company: &Company, status: &str) {
    let before = writes(stage, company).len();
    wait::stays(CALM, "no write of ours", async || {
        let all = writes(stage, company);
        if all.len() == before { Ok(()) } else { Err(told(&all[before..])) }
    })
    .await;
    let claim = claims(stage).get("data").await.unwrap();
    assert_eq!(condition(&claim, "Restore").unwrap().status, status);
}
