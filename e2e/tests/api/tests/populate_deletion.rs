//! What is taken away, and by whom: after success the prime claim only; with the claim everything.

use e2e_api::objects::{claims, dp, prime_name, until_restore};
use e2e_api::populate::{
    CALM, claim_from_b, delete_claim, events_of, pods_end, ready, refuse, told, until_execution, until_pod_runs, writes,
};
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, PropagationPolicy};
use kube::{Api, ResourceExt};
use std::sync::atomic::Ordering;
use std::time::Duration;
use test_kit::{Fault, Outcome, wait};

/// Nothing of `claim` remains: no claim, Restore, Job, pod; no volume that knows its prime claim.
async fn until_nothing_remains(stage: &Stage, company: &Company, claim: &PersistentVolumeClaim) {
    let name = prime_name(claim);
    let jobs: Api<Job> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let restores = dp(&stage.client, "Restore", &stage.namespace);
    wait::eventually(PATIENCE, "nothing remains", async || {
        let all = ListParams::default();
        let mut left: Vec<String> = Vec::new();
        for found in claims(stage).list(&all).await.map_err(|e| e.to_string())? {
            let of_repo = found.labels().contains_key("dataprotection.kubeblocks.io/backup-repo-name");
            left.extend((!of_repo).then(|| format!("claim {}", found.name_any())));
        }
        let restores = restores.list(&all).await.map_err(|e| e.to_string())?;
        left.extend(restores.iter().map(|o| format!("Restore {}", o.name_any())));
        let jobs = jobs.list(&all).await.map_err(|e| e.to_string())?;
        left.extend(jobs.iter().map(|o| format!("Job {}", o.name_any())));
        let pods = pods.list(&all).await.map_err(|e| e.to_string())?;
        left.extend(pods.iter().map(|o| format!("Pod {}", o.name_any())));
        let key = format!("{}/{name}", stage.namespace);
        let alive = company.provisioner.alive().await;
        left.extend(alive.iter().filter(|v| v.claim == key).map(|v| format!("volume {}", v.name)));
        if left.is_empty() { Ok(()) } else { Err(left.join(", ")) }
    })
    .await;
}

/// Case 70: the target is deleted right after its execution was made, and while its pod runs, in background
/// and in foreground.
#[tokio::test]
async fn restore_70_a_deleted_target_leaves_nothing_behind() {
    for propagation in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        for runs in [false, true] {
            let (stage, company) = ready("deleted").await;
            pods_end(&stage, company, Outcome::Hold);
            let claim = claim_from_b(&stage, IMMEDIATE).await;
            until_execution(&stage, &claim).await;
            if runs {
                until_pod_runs(&stage, &claim).await;
            }
            delete_claim(&stage, "data", propagation.clone()).await;
            until_nothing_remains(&stage, company, &claim).await;
            assert!(events_of(&stage, "data").await.iter().all(|(reason, _)| reason != "VolumePopulateFailed"));
        }
    }
}

/// Case 70, the race: the target is deleted while the operator's creation of a child is on its way. The child
/// arrives after its owner is gone.
#[tokio::test]
async fn restore_70_a_child_that_arrives_too_late_goes_too() {
    for late in ["persistentvolumeclaims", "restores", "jobs"] {
        let (stage, company) = ready("late-child").await;
        pods_end(&stage, company, Outcome::Hold);
        let namespace = stage.namespace.clone();
        let on_its_way = move |r: &test_kit::crash_proxy::Request| {
            r.method.as_str() == "POST" && r.resource == late && r.namespace == namespace
        };
        company.proxy.arm(Fault::delay(1, Duration::from_secs(2)).when(on_its_way));
        let claim = claim_from_b(&stage, IMMEDIATE).await;
        let sent = |w: &test_kit::JournalEntry| {
            w.fault == Some("delayed") && w.request.resource == late && w.request.namespace == stage.namespace
        };
        wait::eventually(PATIENCE, "the creation is on its way", async || {
            let all = writes(&stage, company);
            if all.iter().any(sent) { Ok(()) } else { Err(told(&all)) }
        })
        .await;
        delete_claim(&stage, "data", PropagationPolicy::Background).await;
        wait::eventually(PATIENCE, "the child arrived", async || {
            let all = writes(&stage, company);
            if all.iter().any(|w| sent(w) && w.status.is_some()) { Ok(()) } else { Err(told(&all)) }
        })
        .await;
        until_nothing_remains(&stage, company, &claim).await;
    }
}

/// Case 69: success takes the prime claim away and leaves the execution to read; the claim needs no finalizer of ours,
/// so it goes with all that is its own though its Backup is long gone.
#[tokio::test]
async fn restore_69_success_leaves_the_execution_and_deletion_needs_no_backup() {
    let (stage, company) = ready("after").await;
    claim_from_b(&stage, IMMEDIATE).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    wait::watch_until_gone(&claims(&stage), &prime_name(&claim), PATIENCE).await;
    assert_eq!(claim.finalizers(), ["kubernetes.io/pvc-protection"]);
    assert_eq!(until_execution(&stage, &claim).await.data["status"]["phase"], "Completed");
    let backups = dp(&stage.client, "Backup", &stage.namespace);
    backups.delete("b", &DeleteParams::default()).await.unwrap();
    wait::watch_until_gone(&backups, "b", PATIENCE).await;
    delete_claim(&stage, "data", PropagationPolicy::Background).await;
    until_nothing_remains(&stage, company, &claim).await;
}

/// Case 71: a claim that is deleted waits for nothing of ours: all goes while every request of the operator in that
/// namespace fails, and nothing comes back when they work again.
#[tokio::test]
async fn restore_71_a_deletion_ends_though_every_request_of_ours_fails() {
    for propagation in [PropagationPolicy::Background, PropagationPolicy::Foreground] {
        let (stage, company) = ready("cut-off").await;
        pods_end(&stage, company, Outcome::Hold);
        let claim = claim_from_b(&stage, IMMEDIATE).await;
        until_pod_runs(&stage, &claim).await;
        let namespace = stage.namespace.clone();
        let cut_off = refuse(company, move |r| r.namespace == namespace);
        delete_claim(&stage, "data", propagation).await;
        until_nothing_remains(&stage, company, &claim).await;
        cut_off.store(false, Ordering::SeqCst);
        let before = writes(&stage, company).len();
        wait::stays(CALM, "nothing is made again", async || {
            let all = writes(&stage, company);
            let made = all.iter().skip(before).any(|w| w.request.method.as_str() == "POST");
            if made { Err(told(&all)) } else { Ok(()) }
        })
        .await;
    }
}
