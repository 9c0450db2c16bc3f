//! A cluster that is not as the chart leaves it: the binding policy is gone, `dataSourceRef` may carry a
//! namespace, VolumePopulators are served, and kube-controller-manager stops at times.
//!
//! One server for all tests of this file. Those that stop kube-controller-manager take turns.

use e2e_api::objects::{
    self, claims, completed_backup, condition, message, prepare_data, prime_name, until_restore, volume_of,
};
use e2e_api::populate::{
    assert_filled, assert_nothing_was_made, loose_volume, own_class, pods_end, refuse, until_pod_runs, until_volume,
    volumes,
};
use e2e_api::{Company, IMMEDIATE, PATIENCE, Stage, company, stage_on, workspace};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicyBinding;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use std::sync::atomic::Ordering;
use std::time::Duration;
use test_kit::builders::{self, Binding, Claim};
use test_kit::{ApiServer, Component, Outcome, wait};
use tokio::sync::{Mutex, OnceCell};

/// Who stops kube-controller-manager.
static CONTROLLERS: Mutex<()> = Mutex::const_new(());

async fn server() -> &'static ApiServer {
    static SERVER: OnceCell<ApiServer> = OnceCell::const_new();
    static BARE: OnceCell<()> = OnceCell::const_new();
    let start = || ApiServer::builder().api_server_arg("--feature-gates=CrossNamespaceVolumeDataSource=true").start();
    let server = SERVER.get_or_init(start).await;
    BARE.get_or_init(|| take_policy_away(server)).await;
    server
}

/// Deletes the policy's binding and waits until the API server acts so.
async fn take_policy_away(server: &'static ApiServer) {
    company(server).await;
    let client = server.client();
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(client.clone());
    bindings.delete("holdfast-dp-binding", &DeleteParams::default()).await.expect("the chart's policy");
    let namespace = builders::namespace(&client, "policy-gone").await;
    let probe = Claim::new("probe", IMMEDIATE).from_backup("none").create(&client, &namespace).await;
    let api: Api<PersistentVolumeClaim> = Api::namespaced(client, &namespace);
    wait::eventually(PATIENCE, "the policy is not enforced any more", async || {
        let body = kube::api::Patch::Merge(json!({"spec": {"volumeName": "nothing"}}));
        let bound = api.patch(&probe.name_any(), &kube::api::PatchParams::default(), &body).await;
        bound.map(|_| ()).map_err(|e| e.to_string())
    })
    .await;
}

async fn stage(name: &str) -> (Stage, &'static Company) {
    let (stage, company) = stage_on(server().await, name).await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    completed_backup(&stage, "b", &actions).await;
    (stage, company)
}

fn source(kind: &str, name: &str, namespace: &str) -> serde_json::Value {
    json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": kind, "name": name, "namespace": namespace})
}

/// Case 2: a Restore of another namespace is refused, and nothing is made.
#[tokio::test]
async fn restore_2_a_restore_of_another_namespace_is_refused() {
    let (stage, company) = stage("foreign-restore").await;
    let claim = Claim::new("data", IMMEDIATE).data_source_ref(&source("Restore", "r", "elsewhere"));
    let claim = claim.create(&stage.client, &stage.namespace).await;
    let stored = claim.spec.unwrap().data_source_ref.unwrap().namespace;
    assert_eq!(stored.as_deref(), Some("elsewhere"), "the gate is on, or this test proves nothing");
    let claim = until_restore(&stage, "data", "False", "ForeignNamespace").await;
    let said = message(&claim);
    assert!(said.contains("spec.dataSourceRef") && said.contains("Restore elsewhere/r"), "{said}");
    assert_nothing_was_made(&stage, company);
}

/// Case 3: two namespaces that contradict each other are told before the Backup is looked for: there is none.
#[tokio::test]
async fn restore_3_contradicting_namespaces_are_told_before_the_backup() {
    let (stage, company) = stage("contradiction").await;
    let claim = Claim::new("data", IMMEDIATE).data_source_ref(&source("Backup", "none", "a"));
    let claim = claim.annotation("apps.kubeblocks.io/restore-source-namespace", "b");
    claim.create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, "data", "False", "NamespaceConflict").await;
    let said = message(&claim);
    assert!(
        said.contains("spec.dataSourceRef.namespace is a")
            && said.contains("annotation apps.kubeblocks.io/restore-source-namespace is b"),
        "{said}"
    );
    assert_nothing_was_made(&stage, company);
}

/// A Backup's own namespace may be named; another one waits for a grant, whichever way it is named.
#[tokio::test]
async fn d11_another_namespace_waits_for_a_grant() {
    let (stage, company) = stage("grant").await;
    let own = Claim::new("own", IMMEDIATE).data_source_ref(&source("Backup", "b", &stage.namespace));
    own.create(&stage.client, &stage.namespace).await;
    let by_field = Claim::new("by-field", IMMEDIATE).data_source_ref(&source("Backup", "b", "elsewhere"));
    by_field.create(&stage.client, &stage.namespace).await;
    let key = "apps.kubeblocks.io/restore-source-namespace";
    let by_note = Claim::new("by-note", IMMEDIATE).from_backup("b").annotation(key, "elsewhere");
    by_note.create(&stage.client, &stage.namespace).await;
    for name in ["by-field", "by-note"] {
        let claim = until_restore(&stage, name, "Unknown", "GrantMissing").await;
        let said = message(&claim);
        assert!(said.contains("Backup elsewhere/b") && said.contains("ReferenceGrant"), "{said}");
    }
    let claim = until_restore(&stage, "own", "True", "Succeed").await;
    assert_filled(&stage, company, &claim).await;
}

/// D7d: without the policy the binder takes a loose volume of the class; the claim says that it holds no
/// data instead of calling it restored.
#[tokio::test]
async fn d7_without_the_policy_a_loose_volume_is_bound_without_data() {
    let (stage, company) = stage("unguarded").await;
    let class = own_class(&stage, Binding::Immediate).await;
    let loose = loose_volume(&stage, &class, None).await;
    until_volume(&stage, &loose, "Available").await;
    Claim::new("data", &class).from_backup("b").create(&stage.client, &stage.namespace).await;
    let claim = until_restore(&stage, "data", "False", "BoundWithoutData").await;
    let said = message(&claim);
    assert!(said.contains("no restored data") && said.contains("create it again"), "{said}");
    assert_eq!(volume_of(&stage, &claim).await.name_any(), loose);
    let written = company.executor.written_to(&stage.namespace, "data");
    assert!(written.is_empty(), "{written:?}");
}

/// Case 27: with the CRD of VolumePopulators there, the manifest registers both kinds.
#[tokio::test]
async fn restore_27_both_kinds_are_registered() {
    let (stage, _) = stage("populators").await;
    let crd = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "volumepopulators.populator.storage.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "populator.storage.k8s.io", "scope": "Cluster",
            "names": {"kind": "VolumePopulator", "plural": "volumepopulators", "singular": "volumepopulator"},
            "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                "type": "object", "required": ["sourceKind"], "properties": {"sourceKind": {
                    "type": "object", "required": ["group", "kind"],
                    "properties": {"group": {"type": "string"}, "kind": {"type": "string"}},
                }},
            }}}],
        },
    });
    stage.server.apply_yaml(&crd.to_string()).await;
    stage.server.apply_file(workspace().join("deploy/install/holdfast-dp-volume-populators.yaml")).await;
    let resource = builders::resource("populator.storage.k8s.io/v1beta1", "VolumePopulator");
    let api: Api<kube::api::DynamicObject> = Api::all_with(stage.client.clone(), &resource);
    let all = api.list(&ListParams::default()).await.unwrap();
    let mut kinds: Vec<_> = all.iter().map(|p| p.data["sourceKind"].clone()).collect();
    kinds.sort_by_key(|k| k["kind"].to_string());
    let of = |kind: &str| json!({"group": "dataprotection.kubeblocks.io", "kind": kind});
    assert_eq!(kinds, [of("Backup"), of("Restore")]);
}

/// kube-controller-manager dies while the restore pod runs and comes back.
#[tokio::test]
async fn d9_controller_manager_restarts_under_the_running_pod() {
    let (stage, company) = stage("restart").await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_pod_runs(&stage, &claim).await;
    {
        let _turn = CONTROLLERS.lock().await;
        stage.server.stop(Component::ControllerManager);
        // The pod ends while nobody counts.
        pods_end(&stage, company, Outcome::succeed());
        stage.server.start_component(Component::ControllerManager).await;
    }
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_eq!(assert_filled(&stage, company, &claim).await, 1, "one attempt was enough");
}

/// The binder asks for a volume with a write to the prime claim. A write of ours that comes first makes that one fail,
/// and the binder repeats it only with its resync, so a restore stood still for up to 15 s.
#[tokio::test]
async fn d9_the_prime_claim_is_not_written_before_its_provisioner_is_asked() {
    let (stage, company) = stage("first").await;
    let turn = CONTROLLERS.lock().await;
    stage.server.stop(Component::ControllerManager);
    let claim = Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_restore(&stage, "data", "Unknown", "WaitForBinding").await;
    let name = prime_name(&claim);
    wait::eventually(PATIENCE, "the prime claim", async || claims(&stage).get(&name).await.map_err(|e| e.to_string()))
        .await;
    wait::stays(Duration::from_secs(1), "the prime claim is as it was made", async || {
        let prime = claims(&stage).get(&name).await.map_err(|e| e.to_string())?;
        let by = prime.managed_fields().iter().filter_map(|f| f.operation.clone()).collect::<Vec<_>>();
        if by.len() == 1 { Ok(()) } else { Err(format!("{:?}", prime.managed_fields())) }
    })
    .await;
    stage.server.start_component(Component::ControllerManager).await;
    drop(turn);
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_eq!(assert_filled(&stage, company, &claim).await, 1);
}

/// Case 22: the target has its volume name but not yet the binder's mark: prime claim and verdict wait.
#[tokio::test]
async fn restore_22_the_prime_claim_stays_until_the_bind_is_complete() {
    let (stage, company) = stage("bind").await;
    pods_end(&stage, company, Outcome::Hold);
    let claim = Claim::new("data", IMMEDIATE).from_backup("b").create(&stage.client, &stage.namespace).await;
    until_pod_runs(&stage, &claim).await;
    let prime = claims(&stage).get(&prime_name(&claim)).await.unwrap();
    let volume = prime.spec.as_ref().unwrap().volume_name.clone().unwrap();
    // Taken before the refusals: waiting for it, their backoff would outgrow the test's patience.
    let turn = CONTROLLERS.lock().await;
    let hand_over = refuse(company, {
        let volume = volume.clone();
        move |r| r.method.as_str() == "PATCH" && r.resource == "persistentvolumes" && r.name == volume
    });
    let bind = refuse(company, {
        let namespace = stage.namespace.clone();
        move |r| {
            r.namespace == namespace && r.name == "data" && r.method.as_str() == "PATCH" && r.subresource.is_empty()
        }
    });
    pods_end(&stage, company, Outcome::succeed());
    objects::until_phase(&stage.client, "Restore", &stage.namespace, &prime_name(&claim), "Completed").await;

    stage.server.stop(Component::ControllerManager);
    hand_over.store(false, Ordering::SeqCst);
    let target = claim.uid();
    let ours = |v: &k8s_openapi::api::core::v1::PersistentVolume| {
        v.spec.as_ref().and_then(|s| s.claim_ref.as_ref()).is_some_and(|r| r.uid == target)
    };
    wait::watch_until(&volumes(&stage), &volume, PATIENCE, ours).await;
    objects::patch_claim(&stage, "data", json!({"spec": {"volumeName": volume}})).await;
    let waiting = until_restore(&stage, "data", "Unknown", "WaitForBinding").await;
    assert!(!waiting.annotations().contains_key("pv.kubernetes.io/bind-completed"));
    bind.store(false, Ordering::SeqCst);
    wait::stays(Duration::from_secs(1), "prime claim and verdict wait", async || {
        let prime = claims(&stage).get(&prime_name(&claim)).await.map_err(|e| e.to_string())?;
        let target = claims(&stage).get("data").await.map_err(|e| e.to_string())?;
        let waits = condition(&target, "Restore").is_some_and(|c| c.status == "Unknown");
        if waits && prime.metadata.deletion_timestamp.is_none() { Ok(()) } else { Err(format!("{target:?} {prime:?}")) }
    })
    .await;
    stage.server.start_component(Component::ControllerManager).await;
    drop(turn);
    let claim = until_restore(&stage, "data", "True", "Succeed").await;
    assert_eq!(assert_filled(&stage, company, &claim).await, 1);
}
