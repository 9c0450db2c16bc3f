//! What each operator asked of the API server while a Cluster was made, backed up by hand and restored: the audit log
//! must show nothing that the contract between them does not give it (behaviour-apps §12; design §2).
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use e2e_api::clusters::{APPS_OPERATOR, apps, cluster, component, definition, from_backup, until_cluster, until_told};
use e2e_api::objects::{self, completed_status, create, prepare_data, set_backup_status};
use e2e_api::{OPERATOR, stage_on};
use serde_json::json;
use std::collections::BTreeSet;
use test_kit::ApiServer;
use test_kit::api_server::{AuditEntry, AuditScope};

const APPS: &str = "apps.kubeblocks.io";
const WORKLOADS: &str = "workloads.kubeblocks.io";
const OPERATIONS: &str = "operations.kubeblocks.io";
const DP: &str = "dataprotection.kubeblocks.io";

fn is_write(entry: &AuditEntry) -> bool {
    !matches!(entry.verb.as_str(), "get" | "list" | "watch")
}

/// The requests of one operator that `allowed` does not hold for, once each.
fn beyond(server: &ApiServer, account: (&str, &str), allowed: impl Fn(&AuditEntry) -> bool) -> BTreeSet<String> {
    let log = server.audit().of_service_account(account.0, account.1);
    assert!(log.entries.len() > 20, "the log holds what it did: {}", log.entries.len());
    let no_resource = |e: &AuditEntry| e.resource.starts_with('/');
    let others = log.only(|e| !no_resource(e) && !allowed(e));
    others.entries.iter().map(|e| format!("{} {}/{}", e.verb, e.group, e.resource)).collect()
}

#[tokio::test]
async fn each_operator_touches_what_the_contract_gives_it_and_nothing_else() {
    let server: &'static ApiServer =
        Box::leak(Box::new(ApiServer::builder().audit(AuditScope::Everything).start().await));
    let (stage, _) = stage_on(server, "contract").await;
    apps(server).await;
    let toy = definition(&stage, |_| {}).await;
    cluster(&stage, "c1", &[component(&toy)], &json!({})).await;
    until_cluster(&stage, "c1", "Running").await;
    let actions = objects::action_set(&stage, prepare_data()).await;
    let notes = json!({"dataprotection.kubeblocks.io/skip-reconciliation": "true"});
    create(&stage, "Backup", "b", &notes, &json!({"backupPolicyName": "policy", "backupMethod": "full"})).await;
    let mut status = completed_status(&stage, "b", &actions);
    status["target"]["podSelector"]["matchLabels"] = json!({"apps.kubeblocks.io/component-name": "db"});
    set_backup_status(&stage, "b", &status).await;
    cluster(&stage, "c2", &[component(&toy)], &json!({"restore": from_backup("b")})).await;
    until_told(&stage, "c2", "Restore", "True", "RestoreCompleted").await;
    until_cluster(&stage, "c2", "Running").await;

    let of_apps = beyond(server, APPS_OPERATOR, |e| match (e.group.as_str(), e.resource.as_str()) {
        (APPS | WORKLOADS | OPERATIONS, _)
        | ("", "pods" | "services" | "configmaps" | "serviceaccounts")
        | ("events.k8s.io", "events")
        | ("coordination.k8s.io", "leases") => true,
        // A claim is created and deleted, never changed: its conditions and its volume are the other's.
        ("", "persistentvolumeclaims") => matches!(e.verb.as_str(), "get" | "list" | "watch" | "create" | "delete"),
        ("storage.k8s.io", "storageclasses") => !is_write(e),
        // One by name; the password of a restore is the other's.
        ("", "secrets") => matches!(e.verb.as_str(), "get" | "create"),
        _ => false,
    });
    assert!(of_apps.is_empty(), "the apps operator: {of_apps:#?}");

    let of_dp = beyond(server, OPERATOR, |e| match (e.group.as_str(), e.resource.as_str()) {
        // Whether they are there, each by its name.
        ("apiextensions.k8s.io", "customresourcedefinitions") => !is_write(e) && e.name.ends_with(APPS),
        (DP, _)
        | ("", "persistentvolumeclaims" | "persistentvolumeclaims/status" | "persistentvolumes")
        | ("batch", "jobs")
        | ("events.k8s.io", "events")
        | ("coordination.k8s.io", "leases") => true,
        // Clusters and their like are watched while their kinds are there: for policies, and what a deletion means.
        (APPS, "clusters" | "components" | "componentdefinitions")
        // Archives of continuous backups; CronJobs of the reference, whose runs are taken over.
        | ("apps", "statefulsets")
        | ("batch", "cronjobs")
        | ("", "pods")
        | ("storage.k8s.io", "storageclasses" | "csidrivers") => !is_write(e),
        ("", "secrets") => !matches!(e.verb.as_str(), "list" | "watch" | "update"),
        // The worker's account of a namespace.
        ("", "serviceaccounts") | ("rbac.authorization.k8s.io", "rolebindings") => e.verb == "patch",
        _ => false,
    });
    assert!(of_dp.is_empty(), "the dp operator: {of_dp:#?}");
}
