//! Jobs of the real Job controller, run by the fake executor; volumes of the fake provisioner, bound by the real
//! binder.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::time::Duration;

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};
use test_kit::builders::{Binding, Claim, namespace, secret, storage_class, target_pod};
use test_kit::wait::{eventually, stays, watch_until, watch_until_gone};
use test_kit::{ApiServer, FakeExecutor, Outcome, Provisioner, provisioner};

const SOON: Duration = Duration::from_secs(15);

fn job(name: &str, claim: Option<&str>) -> Job {
    let volumes: Vec<Value> =
        claim.iter().map(|c| json!({ "name": "data", "persistentVolumeClaim": { "claimName": c } })).collect();
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "spec": { "backoffLimit": 0, "template": { "spec": {
            "restartPolicy": "Never", "volumes": volumes,
            "initContainers": [{ "name": "prepare", "image": "i" }],
            "containers": [{ "name": "main", "image": "i" }, { "name": "second", "image": "i" }],
        } } },
    }))
    .unwrap()
}

fn has_condition(job: &Job, type_: &str) -> bool {
    let conditions = job.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|c| c.type_ == type_ && c.status == "True")
}

async fn pod_of(client: &Client, namespace: &str, job: &str) -> Result<Pod, String> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = pods.list(&ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"))).await;
    list.map_err(|e| e.to_string())?.items.pop().ok_or_else(|| "no pod".to_owned())
}

fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default()
}

fn first_message(pod: &Pod) -> Option<(i32, String)> {
    let status = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let end = status.state.as_ref()?.terminated.as_ref()?;
    Some((end.exit_code, end.message.clone().unwrap_or_default()))
}

async fn until_phase(client: &Client, namespace: &str, job: &str, wanted: &str) -> Pod {
    eventually(SOON, &format!("the pod of {job} is {wanted}"), async || {
        let pod = pod_of(client, namespace, job).await?;
        if phase(&pod) == wanted { Ok(pod) } else { Err(phase(&pod).to_owned()) }
    })
    .await
}

/// One executor for all tests of this file would mix their rules; each runs its own namespace.
async fn executor(client: &Client, namespace: &str) -> FakeExecutor {
    FakeExecutor::builder(client.clone()).namespace(namespace).start().await
}

#[tokio::test]
async fn a_job_ends_as_planned() {
    let client = ApiServer::shared().await.client();
    let ns = namespace(&client, "jobs").await;
    let executor = executor(&client, &ns).await;
    executor.plan("good", Outcome::succeed_with("42 bytes"));
    executor.plan("bad", Outcome::fail(7, "disk full"));
    let jobs: Api<Job> = Api::namespaced(client.clone(), &ns);
    for name in ["good", "bad", "other"] {
        jobs.create(&PostParams::default(), &job(name, None)).await.unwrap();
    }
    watch_until(&jobs, "good", SOON, |job| has_condition(job, "Complete")).await;
    watch_until(&jobs, "other", SOON, |job| has_condition(job, "Complete")).await;
    watch_until(&jobs, "bad", SOON, |job| has_condition(job, "Failed")).await;
    let good = pod_of(&client, &ns, "good").await.unwrap();
    assert_eq!(first_message(&good), Some((0, "42 bytes".to_owned())));
    let bad = pod_of(&client, &ns, "bad").await.unwrap();
    assert_eq!(first_message(&bad), Some((7, "disk full".to_owned())));
    assert_eq!(phase(&bad), "Failed");
}

#[tokio::test]
async fn pods_are_held_and_released_and_go_when_their_job_is_deleted() {
    let client = ApiServer::shared().await.client();
    let ns = namespace(&client, "held").await;
    let executor = executor(&client, &ns).await;
    executor.plan("held", Outcome::Hold);
    executor.plan("nowhere", Outcome::NeverStart);
    executor.plan("no-image", Outcome::ImagePullBackOff);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &ns);
    for name in ["held", "held-too", "nowhere", "no-image"] {
        jobs.create(&PostParams::default(), &job(name, None)).await.unwrap();
    }
    until_phase(&client, &ns, "held", "Running").await;
    until_phase(&client, &ns, "held-too", "Running").await;
    let reason = |pod: &Pod| {
        let status = pod.status.as_ref()?;
        let waiting = status.container_statuses.as_ref()?.first()?.state.as_ref()?.waiting.as_ref()?;
        waiting.reason.clone()
    };
    eventually(SOON, "the image cannot be pulled", async || {
        let pod = pod_of(&client, &ns, "no-image").await?;
        if reason(&pod).as_deref() == Some("ImagePullBackOff") { Ok(()) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    assert_eq!(phase(&pod_of(&client, &ns, "nowhere").await.unwrap()), "Pending");
    stays(Duration::from_millis(300), "held pods run", async || {
        let pod = pod_of(&client, &ns, "held").await?;
        if phase(&pod) == "Running" { Ok(()) } else { Err(phase(&pod).to_owned()) }
    })
    .await;

    // A running pod ends by its signal and goes.
    let running = pod_of(&client, &ns, "held-too").await.unwrap().name_any();
    jobs.delete("held-too", &DeleteParams::background()).await.unwrap();
    watch_until_gone(&Api::<Pod>::namespaced(client.clone(), &ns), &running, SOON).await;

    for name in ["held", "nowhere", "no-image"] {
        executor.release(name);
        watch_until(&jobs, name, SOON, |job| has_condition(job, "Complete")).await;
    }
}

#[tokio::test]
async fn volumes_are_made_written_and_deleted() {
    let client = ApiServer::shared().await.client();
    let ns = namespace(&client, "volumes").await;
    let executor = executor(&client, &ns).await;
    let provisioner = Provisioner::start_in(client.clone(), &ns).await;
    let now = storage_class(&client, "now", provisioner::DRIVER, Binding::Immediate).await;
    let later = storage_class(&client, "later", provisioner::DRIVER, Binding::WaitForFirstConsumer).await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), &ns);
    let jobs: Api<Job> = Api::namespaced(client.clone(), &ns);
    let bound = |claim: &PersistentVolumeClaim| {
        claim.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Bound")
    };

    Claim::new("at-once", &now).create(&client, &ns).await;
    watch_until(&claims, "at-once", SOON, bound).await;

    // One failure first: the chosen node is taken back, and the scheduler chooses again.
    provisioner.fail_next(1, "out of space");
    let waiting = Claim::new("waits", &later).create(&client, &ns).await;
    jobs.create(&PostParams::default(), &job("writer", Some("waits"))).await.unwrap();
    let waits = watch_until(&claims, "waits", SOON, bound).await;
    watch_until(&jobs, "writer", SOON, |job| has_condition(job, "Complete")).await;
    let written = executor.written();
    assert_eq!(written.len(), 1, "{written:?}");
    assert_eq!(Some(&written[0].claim_uid), waiting.metadata.uid.as_ref());
    assert_eq!(Some(&written[0].pv), waits.spec.as_ref().and_then(|spec| spec.volume_name.as_ref()));
    assert_eq!(written[0].job.as_deref(), Some("writer"));

    // A populator's claim is left alone.
    Claim::new("foreign", &now).from_backup("b").create(&client, &ns).await;
    provisioner.hold();
    Claim::new("held", &now).create(&client, &ns).await;
    stays(Duration::from_millis(400), "no volume", async || {
        for name in ["foreign", "held"] {
            if claims.get(name).await.is_ok_and(|claim| bound(&claim)) {
                return Err(format!("{name} is bound"));
            }
        }
        Ok(())
    })
    .await;
    provisioner.release();
    watch_until(&claims, "held", SOON, bound).await;

    assert_eq!(provisioner.alive().await.len(), 3);
    jobs.delete("writer", &DeleteParams::background()).await.unwrap();
    for name in ["at-once", "waits", "held", "foreign"] {
        claims.delete(name, &DeleteParams::default()).await.unwrap();
    }
    eventually(SOON, "no volume is left", async || {
        let alive = provisioner.alive().await;
        if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
    })
    .await;
    assert_eq!(provisioner.deleted().len(), 3);
}

#[tokio::test]
async fn a_pod_waits_for_its_secret() {
    let client = ApiServer::shared().await.client();
    let ns = namespace(&client, "secrets").await;
    let _executor = executor(&client, &ns).await;
    let mut with_secret = job("needs-secret", None);
    let pod = with_secret.spec.as_mut().unwrap().template.spec.as_mut().unwrap();
    pod.containers[0].env_from = Some(serde_json::from_value(json!([{ "secretRef": { "name": "key" } }])).unwrap());
    let jobs: Api<Job> = Api::namespaced(client.clone(), &ns);
    jobs.create(&PostParams::default(), &with_secret).await.unwrap();
    eventually(SOON, "it has a node", async || {
        let pod = pod_of(&client, &ns, "needs-secret").await?;
        pod.spec.and_then(|spec| spec.node_name).ok_or_else(|| "none".to_owned())
    })
    .await;
    stays(Duration::from_millis(300), "it does not start", async || {
        let pod = pod_of(&client, &ns, "needs-secret").await?;
        if phase(&pod) == "Pending" { Ok(()) } else { Err(phase(&pod).to_owned()) }
    })
    .await;
    secret(&client, &ns, "key", &[("a", "b")]).await;
    watch_until(&jobs, "needs-secret", SOON, |job| has_condition(job, "Complete")).await;
}

#[tokio::test]
async fn a_target_pod_is_ready_and_left_alone() {
    let client = ApiServer::shared().await.client();
    let ns = namespace(&client, "target").await;
    let _executor = FakeExecutor::builder(client.clone()).all_pods().namespace(&ns).start().await;
    let class = storage_class(&client, "no-claim", "kubernetes.io/no-provisioner", Binding::Immediate).await;
    Claim::new("data", &class).create(&client, &ns).await;
    target_pod(&client, &ns, "db-0", &[("app", "db")], &["data"]).await;
    let pods: Api<Pod> = Api::namespaced(client, &ns);
    stays(Duration::from_millis(300), "it is Running and Ready", async || {
        let pod = pods.get("db-0").await.map_err(|e| e.to_string())?;
        let ready = pod
            .status
            .iter()
            .flat_map(|s| s.conditions.iter().flatten())
            .any(|c| c.type_ == "Ready" && c.status == "True");
        if phase(&pod) == "Running" && ready { Ok(()) } else { Err(format!("{:?}", pod.status)) }
    })
    .await;
    // A deletion is carried out as by a kubelet.
    pods.delete("db-0", &DeleteParams::default()).await.unwrap();
    watch_until_gone(&pods, "db-0", SOON).await;
}
