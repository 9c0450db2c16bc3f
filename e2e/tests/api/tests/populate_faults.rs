//! Strangers who delete and bind what a restore uses, at every moment of it: the claim ends with the data
//! of one whole attempt, or says that it has none; nothing is left behind.

use e2e_api::objects::{
    self, claims, completed_backup, condition, dp, message, patch_claim, prepare_data, prime_name, until_restore,
};
use e2e_api::populate::{
    assert_filled, claim_from_b, delete_claim, loose_volume, own_class, pods_end, ready, refuse, told, until_pod_runs,
    until_volume, volumes, writes,
};
use e2e_api::{Company, IMMEDIATE, OPERATOR, PATIENCE, Stage, stage};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PropagationPolicy};
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use test_kit::builders::{Binding, Claim};
use test_kit::{Outcome, wait};

/// A claim whose restore pod runs and is held.
async fn running(name: &str) -> (Stage, &'static Company, PersistentVolumeClaim, Pod) {
    let (stage, company) = ready(name).await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = claim_from_b(&stage, IMMEDIATE).await;
    let pod = until_pod_runs(&stage, &claim).await;
    (stage, company, claim, pod)
}

async fn prime_uid(stage: &Stage, claim: &PersistentVolumeClaim) -> String {
    claims(stage).get(&prime_name(claim)).await.expect("the prime claim").uid().expect("a UID")
}

/// Deletes the execution of `claim`.
async fn delete_execution(stage: &Stage, claim: &PersistentVolumeClaim, propagation: PropagationPolicy) {
    let params = DeleteParams { propagation_policy: Some(propagation), ..DeleteParams::default() };
    dp(&stage.client, "Restore", &stage.namespace).delete(&prime_name(claim), &params).await.expect("delete");
}

/// D9: the prime claim is deleted under the running pod. The pod goes on writing into a volume that is
/// doomed; that attempt counts for nothing.
#[tokio::test]
async fn d9_prime_claim_deleted_under_the_running_pod() {
    let (stage, company, claim, _) = running("prime-mid").await;
    let doomed = prime_uid(&stage, &claim).await;
    delete_claim(&stage, &prime_name(&claim), PropagationPolicy::Background).await;
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
    let written = company.executor.written_to(&stage.namespace, &prime_name(&claim));
    assert_eq!(written[0].claim_uid, doomed, "the first pod wrote into the claim that was deleted: {written:?}");
}

/// Case 25: the execution is Completed and the prime claim is deleted before the volume changes hands: the
/// data are restored again.
#[tokio::test]
async fn restore_25_prime_claim_deleted_before_the_rebind() {
    let (stage, company, claim, _) = running("prime-late").await;
    let prime = claims(&stage).get(&prime_name(&claim)).await.unwrap();
    let volume = prime.spec.as_ref().unwrap().volume_name.clone().unwrap();
    let closed = refuse(company, {
        let volume = volume.clone();
        move |r| r.method.as_str() == "PATCH" && r.resource == "persistentvolumes" && r.name == volume
    });
    pods_end(&stage, company, Outcome::succeed());
    objects::until_phase(&stage.client, "Restore", &stage.namespace, &prime_name(&claim), "Completed").await;
    wait::eventually(PATIENCE, "the hand-over was tried", async || {
        let tried = company.proxy.writes().into_iter().any(|w| w.request.name == volume && w.status == Some(500));
        if tried { Ok(()) } else { Err(company.proxy.journal()) }
    })
    .await;
    delete_claim(&stage, &prime_name(&claim), PropagationPolicy::Background).await;
    wait::watch_until_gone(&volumes(&stage), &volume, PATIENCE).await;
    closed.store(false, Ordering::SeqCst);
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
    assert_ne!(claim.spec.unwrap().volume_name.unwrap(), volume);
}

/// D9: the execution is deleted while its pod runs, in each propagation mode. Orphaned, its Job goes on and
/// no garbage collector takes it: it must be gone, too, before the next attempt writes.
#[tokio::test]
async fn d9_execution_deleted_under_the_running_pod() {
    for mode in [PropagationPolicy::Background, PropagationPolicy::Foreground, PropagationPolicy::Orphan] {
        let (stage, company, claim, first) = running("execution-mid").await;
        delete_execution(&stage, &claim, mode).await;
        let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
        wait::watch_until_gone(&pods, &first.name_any(), PATIENCE).await;
        pods_end(&stage, company, Outcome::succeed());
        let claim = until_restore(&stage, "data", "True", "Succeed").await;
        assert!(assert_filled(&stage, company, &claim).await > 1);
    }
}

/// D8: the Job is deleted while its pod runs, before a result was stored: nobody knows what was written, so
/// the attempt is void.
#[tokio::test]
async fn d9_job_deleted_under_the_running_pod() {
    let (stage, company, _, pod) = running("job-mid").await;
    let jobs: Api<Job> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let job = pod.labels()["batch.kubernetes.io/job-name"].clone();
    jobs.delete(&job, &DeleteParams::background()).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    wait::watch_until_gone(&pods, &pod.name_any(), PATIENCE).await;
    pods_end(&stage, company, Outcome::succeed());
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
}

/// D9: the Job is deleted and its pod goes on without it. The claim names that pod; once it is gone, it goes
/// on. (An ended pod holds the prime claim as a running one does, and we may not delete pods.)
#[tokio::test]
async fn d9_an_orphaned_pod_is_waited_for() {
    let (stage, company, _, pod) = running("orphan").await;
    let jobs: Api<Job> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let job = pod.labels()["batch.kubernetes.io/job-name"].clone();
    let orphan = DeleteParams { propagation_policy: Some(PropagationPolicy::Orphan), ..DeleteParams::default() };
    jobs.delete(&job, &orphan).await.unwrap();
    until_restore(&stage, "data", "Unknown", "WaitForCleanup").await;
    let named = wait::watch_until(&claims(&stage), "data", PATIENCE, |c| message(c).contains(&pod.name_any())).await;
    assert!(message(&named).contains(&format!("Pod {}", pod.name_any())), "{}", message(&named));
    pods_end(&stage, company, Outcome::succeed());
    let pods: Api<Pod> = Api::namespaced(stage.client.clone(), &stage.namespace);
    let ended = |p: &Pod| p.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Succeeded"));
    wait::watch_until(&pods, &pod.name_any(), PATIENCE, ended).await;
    wait::stays(Duration::from_secs(1), "still named", async || {
        let claim = claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        if message(&claim).contains(&pod.name_any()) { Ok(()) } else { Err(message(&claim)) }
    })
    .await;
    pods.delete(&pod.name_any(), &DeleteParams::default()).await.unwrap();
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(assert_filled(&stage, company, &claim).await > 1);
}

/// A client with the operator's own rights: the only one the binding policy lets through.
async fn as_operator(stage: &Stage) -> Client {
    Client::try_from(stage.server.config_for(OPERATOR.0, OPERATOR.1).await).expect("a client")
}

/// Case 24: the target gets another volume while data are written: the claim says that it holds no data,
/// and the prime claim is not touched.
#[tokio::test]
async fn restore_24_bound_elsewhere_is_bound_without_data() {
    let (stage, company, claim, _) = running("elsewhere").await;
    let prime = prime_uid(&stage, &claim).await;
    let loose = loose_volume(&stage, IMMEDIATE, Some("data")).await;
    let stranger: Api<PersistentVolumeClaim> = Api::namespaced(as_operator(&stage).await, &stage.namespace);
    let bind = Patch::Merge(json!({"spec": {"volumeName": loose}}));
    stranger.patch("data", &PatchParams::default(), &bind).await.expect("bind");
    let claim = until_restore(&stage, "data", "False", "BoundWithoutData").await;
    assert!(message(&claim).contains("holds no restored data"), "{}", message(&claim));
    pods_end(&stage, company, Outcome::succeed());
    objects::until_phase(&stage.client, "Restore", &stage.namespace, &prime_name(&claim), "Completed").await;
    wait::stays(Duration::from_secs(1), "prime claim and verdict stay", async || {
        let now = claims(&stage).get(&prime_name(&claim)).await.map_err(|e| e.to_string())?;
        let verdict = claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        let same = now.uid().as_ref() == Some(&prime) && now.metadata.deletion_timestamp.is_none();
        let still = condition(&verdict, "Restore").is_some_and(|c| c.status == "False");
        if same && still { Ok(()) } else { Err(format!("{now:?} {verdict:?}")) }
    })
    .await;
    // The user can take it for restored all the same, and then it is.
    let vouch = json!({"metadata": {"annotations": {"holdfast.dev/retry": "1", "holdfast.dev/accept": "I copied it"}}});
    patch_claim(&stage, "data", vouch).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(message(&claim).contains("I copied it"), "{}", message(&claim));
}

/// D5: conditions and state of a restored claim are wiped, as GitOps and backup tools do: the volume's own
/// proof makes it True again, and nothing is restored twice.
#[tokio::test]
async fn d5_a_wiped_claim_reads_true_again_from_its_volume() {
    let (stage, company) = ready("wiped").await;
    claim_from_b(&stage, IMMEDIATE).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
    let before = writes(&stage, company).len();
    let api = claims(&stage);
    let both = json!({"metadata": {"annotations": {"holdfast.dev/populate-state": null}}});
    patch_claim(&stage, "data", both).await;
    let none = Patch::Merge(json!({"status": {"conditions": null}}));
    let wiped = api.patch_status("data", &PatchParams::default(), &none).await.unwrap();
    assert!(condition(&wiped, "Restore").is_none());
    dp(&stage.client, "Backup", &stage.namespace).delete("b", &DeleteParams::default()).await.unwrap();
    until_restore(&stage, "data", "True", "Succeed").await;
    let after = writes(&stage, company).split_off(before);
    let others: Vec<_> = after.into_iter().filter(|w| w.request.subresource != "status").collect();
    assert!(others.is_empty(), "only the verdict is written: {}", told(&others));
}

/// D5: a claim first seen bound, without proof on its volume, is neither True nor False until the user says
/// why it may be taken for restored.
#[tokio::test]
async fn d5_bound_without_proof_is_unverified_until_accepted() {
    let (stage, company) = ready("unverified").await;
    let class = own_class(&stage, Binding::Immediate).await;
    let volume = loose_volume(&stage, &class, Some("data")).await;
    let claim = Claim::new("data", &class).from_backup("b").spec("volumeName", &json!(volume));
    claim.create(&stage.client, &stage.namespace).await;
    until_volume(&stage, &volume, "Bound").await;
    let claim = until_restore(&stage, "data", "Unknown", "Unverified").await;
    assert!(message(&claim).contains("holdfast.dev/accept"), "names the way out: {}", message(&claim));
    wait::eventually(PATIENCE, "the binder is done with it", async || {
        let claim = claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        let done = claim.annotations().contains_key("pv.kubernetes.io/bind-completed");
        if done { Ok(()) } else { Err(format!("{:?}", claim.annotations())) }
    })
    .await;
    wait::stays(Duration::from_secs(1), "Unverified", async || {
        let claim = claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        let still = condition(&claim, "Restore").is_some_and(|c| c.reason.as_deref() == Some("Unverified"));
        if still { Ok(()) } else { Err(format!("{claim:?}")) }
    })
    .await;
    e2e_api::populate::assert_nothing_was_made(&stage, company);
    let why = json!({"metadata": {"annotations": {"holdfast.dev/accept": "moved by velero"}}});
    patch_claim(&stage, "data", why).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert!(message(&claim).contains("moved by velero"), "{}", message(&claim));
}

/// D8: a claim of a stranger has the prime claim's name. It is not touched; once it is gone, a retry works.
#[tokio::test]
async fn d8_a_strangers_prime_claim_is_not_touched() {
    let (stage, company) = stage("collision").await;
    let claim = claim_from_b(&stage, IMMEDIATE).await;
    until_restore(&stage, "data", "Unknown", "BackupNotFound").await;
    let name = prime_name(&claim);
    let stranger = Claim::new(&name, IMMEDIATE).create(&stage.client, &stage.namespace).await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    let claim = until_restore(&stage, "data", "False", "NameCollision").await;
    let said = message(&claim);
    assert!(said.contains(&name) && said.contains("holdfast.dev/retry"), "names object and way out: {said}");
    assert_eq!(claims(&stage).get(&name).await.unwrap().uid(), stranger.uid());
    assert!(!company.executor.written().iter().any(|w| Some(&w.claim_uid) == stranger.uid().as_ref()));
    delete_claim(&stage, &name, PropagationPolicy::Background).await;
    e2e_api::populate::until_claim_gone(&stage, &name).await;
    patch_claim(&stage, "data", json!({"metadata": {"annotations": {"holdfast.dev/retry": "1"}}})).await;
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}
