//! The service account that action pods run under, one per namespace (contract-dp §10.8).

use super::exec::ExecSettings;
use crate::error::Error;
use api_types::contract::config::EXEC_WORKER_CLUSTER_ROLE;
use api_types::contract::labels;
use api_types::contract::names::ROLE_BINDING_SUFFIX;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an account that was applied counts as being there: a storm of Jobs pays once, and one
/// that was deleted, or whose namespace was made anew, is mended with the next Job.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Names of the worker's account and role.
#[derive(Clone, Debug)]
pub struct WorkerNames {
    /// `WORKER_SERVICE_ACCOUNT_NAME`.
    pub account: String,
    /// `WORKER_CLUSTER_ROLE_NAME`.
    pub role: String,
}

/// Makes sure that a namespace has its worker account and binding. Both are applied, so a missing
/// binding beside an existing account is mended (behaviour-backup D35).
pub struct Workers {
    names: WorkerNames,
    done: Mutex<HashMap<String, Instant>>,
}

impl Workers {
    /// Nothing is known of any namespace yet.
    pub fn new(names: WorkerNames) -> Self {
        Workers { names, done: Mutex::default() }
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.names.account
    }

    /// Applies account and binding in `namespace`, unless that was done a moment ago.
    pub async fn ensure(&self, writer: &Writer, namespace: &str) -> Result<(), Error> {
        if self.seen().get(namespace).is_some_and(|at| at.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        let account = &self.names.account;
        let labels = json!({labels::MANAGED_BY: labels::MANAGED_BY_DP});
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": namespace, "labels": labels},
        });
        writer.apply(&writer.namespaced::<ServiceAccount>(namespace), account, &body).await?;
        let binding = format!("{account}{ROLE_BINDING_SUFFIX}");
        let body = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": binding, "namespace": namespace, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.names.role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        });
        writer.apply(&writer.namespaced::<RoleBinding>(namespace), &binding, &body).await?;
        let mut seen = self.seen();
        seen.retain(|_, at| at.elapsed() < GOOD_FOR);
        seen.insert(namespace.to_owned(), Instant::now());
        Ok(())
    }

    /// As [`Workers::ensure`], for the account of exec Jobs: it lives in the operator's namespace and may exec only in
    /// namespaces where it was needed (behaviour-backup D33).
    pub async fn ensure_exec(&self, writer: &Writer, exec: &ExecSettings, namespace: &str) -> Result<(), Error> {
        let mark = format!("{namespace}/exec");
        if self.seen().get(&mark).is_some_and(|at| at.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        let labels = json!({labels::MANAGED_BY: labels::MANAGED_BY_DP});
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": exec.account, "namespace": exec.namespace, "labels": labels},
        });
        writer.apply(&writer.namespaced::<ServiceAccount>(&exec.namespace), &exec.account, &body).await?;
        let binding = format!("{}{ROLE_BINDING_SUFFIX}", exec.account);
        let body = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": binding, "namespace": namespace, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": EXEC_WORKER_CLUSTER_ROLE},
            "subjects": [{"kind": "ServiceAccount", "name": exec.account, "namespace": exec.namespace}],
        });
        writer.apply(&writer.namespaced::<RoleBinding>(namespace), &binding, &body).await?;
        self.seen().insert(mark, Instant::now());
        Ok(())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
