//! Starting, restarting, ending: of the server, and of a process under test.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, ServiceAccount};
use kube::api::{DynamicObject, ListParams};
use kube::{Api, Client};
use serde_json::json;
use test_kit::api_server::{AuditScope, HOSTPATH_PROVISIONER};
use test_kit::builders::{
    Binding, Claim, create_object, dynamic, namespace, object, storage_class, until_default_account,
};
use test_kit::operator::{free_port, http_status};
use test_kit::wait::{eventually, watch_until};
use test_kit::{ApiServer, Component, Operator};

const SOON: Duration = Duration::from_secs(15);

fn runs(id: u32) -> bool {
    // A zombie has been killed too; its parent may not have reaped it yet.
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

fn example(name: &str) -> std::path::PathBuf {
    Operator::built(&format!("examples/{name}"))
}

#[tokio::test]
async fn a_server_restarts_and_leaves_nothing() {
    let server = ApiServer::builder().audit(AuditScope::Everything).with_hostpath_provisioner().start().await;
    let client = server.client();

    // A service account may do only what RBAC allows.
    let config = server.config_for("default", "default").await;
    let poor = Client::try_from(config).unwrap();
    let refused = Api::<ConfigMap>::namespaced(poor, "default").list(&ListParams::default()).await.unwrap_err();
    assert!(matches!(refused, kube::Error::Api(status) if status.is_forbidden()));
    eventually(SOON, "the refusal is in the audit log", async || {
        let log = server.audit().of_service_account("default", "default");
        if log.entries.iter().any(|e| e.code == 403 && e.resource == "configmaps") {
            Ok(())
        } else {
            Err(format!("{:?}", log.count()))
        }
    })
    .await;

    // The real provisioner makes real directories.
    let class = storage_class(&client, "hostpath", HOSTPATH_PROVISIONER, Binding::Immediate).await;
    Claim::new("data", &class).create(&client, "default").await;
    let claims: Api<PersistentVolumeClaim> = Api::namespaced(client.clone(), "default");
    watch_until(&claims, "data", SOON, |claim| {
        claim.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Bound"))
    })
    .await;
    assert_eq!(std::fs::read_dir(server.dir().join("volumes")).unwrap().count(), 1);

    let before = server.process_id(Component::ControllerManager).unwrap();
    server.restart_controller_manager().await;
    assert_ne!(server.process_id(Component::ControllerManager), Some(before));
    server.stop(Component::ApiServer);
    assert!(client.apiserver_version().await.is_err());
    server.start_component(Component::ApiServer).await;
    let ns = namespace(&client, "later").await;
    until_default_account(&client, &ns).await;

    let all = [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::HostpathProvisioner];
    let ids: Vec<u32> = all.iter().map(|c| server.process_id(*c).unwrap()).collect();
    let dir = server.dir().to_owned();
    drop(server);
    assert!(!dir.exists());
    assert_eq!(ids.into_iter().filter(|id| runs(*id)).count(), 0);
}

#[tokio::test]
async fn a_killed_test_process_leaves_nothing() {
    let logs = tempfile::tempdir().unwrap();
    let mut test = Operator::builder(example("server_until_killed"), logs.path().join("log")).start().await;
    let line = eventually(Duration::from_secs(60), "the server inside is up", async || {
        if !test.is_running() {
            return Ok(None); // shown below
        }
        test.log().lines().find_map(|line| line.strip_prefix("STARTED ").map(str::to_owned)).map(Some).ok_or(test.log())
    })
    .await;
    let line = line.unwrap_or_else(|| panic!("{}", test.log()));
    let mut words = line.split(' ');
    let dir = Path::new(words.next().unwrap());
    let ids: Vec<u32> = words.map(|id| id.parse().unwrap()).collect();
    assert!(dir.is_dir() && ids.len() == 2 && ids.iter().all(|id| runs(*id)));
    test.kill();
    eventually(SOON, "processes and directory are gone", async || {
        match (ids.iter().any(|id| runs(*id)), dir.exists()) {
            (false, false) => Ok(()),
            left => Err(format!("(processes, directory) left: {left:?}")),
        }
    })
    .await;
}

#[tokio::test]
async fn an_operator_starts_stops_is_killed_and_restarted() {
    let logs = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut operator = Operator::builder(example("small_operator"), logs.path().join("operator.log"))
        .arg(port.to_string())
        .env("UNUSED", "1")
        .health_port(port)
        .start()
        .await;
    assert!(operator.is_running() && operator.resident_bytes().unwrap() > 0);
    let first = operator.id();
    operator.kill();
    assert!(!operator.is_running() && !runs(first));
    assert!(http_status(port, "/readyz").await.is_err());
    operator.restart().await;
    assert_ne!(operator.id(), first);
    assert_eq!(operator.stop(SOON).await, Some(0));
    assert_eq!(operator.log().matches("listens on").count(), 2, "one log over both starts");
    assert_eq!(operator.log_tail(1), "small_operator ends");
    operator.restart().await;
    let last = operator.id();
    drop(operator);
    assert!(!runs(last));
}

#[tokio::test]
async fn an_operator_that_ends_at_once_says_why() {
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("operator.log");
    let start = Operator::builder(example("small_operator"), &log)
        .arg("no port")
        .env("RUST_BACKTRACE", "0")
        .health_port(1)
        .start();
    let panic = tokio::spawn(start).await.map(|_| ()).unwrap_err().into_panic();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.contains("before it was ready") && message.contains("a port"), "{message}");
}

#[tokio::test]
async fn shared_servers_are_one() {
    let (one, two) = (ApiServer::shared().await, ApiServer::shared().await);
    assert_eq!(one.url(), two.url());
    let accounts: Api<ServiceAccount> = Api::namespaced(one.client(), "default");
    assert!(accounts.get("default").await.is_ok());
}

#[tokio::test]
async fn yaml_is_applied_crds_first() {
    let server = ApiServer::shared().await;
    let client = server.client();
    server
        .apply_yaml(
            "
apiVersion: test.holdfast.dev/v1
kind: Widget
metadata: {name: a}
spec: {size: 1}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.test.holdfast.dev}
spec:
  group: test.holdfast.dev
  scope: Namespaced
  names: {kind: Widget, plural: widgets}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
",
        )
        .await;
    let widgets = dynamic(&client, "test.holdfast.dev/v1", "Widget", "default");
    assert_eq!(widgets.get("a").await.unwrap().data["spec"]["size"], 1);
    let second = object("test.holdfast.dev/v1", "Widget", Some("default"), "b", &json!({ "spec": {} }));
    let _: DynamicObject = create_object(&client, &second, None).await;
    let all = widgets.list(&ListParams::default()).await.unwrap();
    assert_eq!(all.items.len(), 2);
}
