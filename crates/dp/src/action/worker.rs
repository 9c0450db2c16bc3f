//! The service account that action pods run under, one per namespace (contract-dp §10.8).

use crate::error::Error;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::json;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

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
    done: Mutex<HashSet<String>>,
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

    /// Applies account and binding in `namespace`; once per process and namespace, and again after
    /// [`Workers::forget`].
    pub async fn ensure(&self, writer: &Writer, namespace: &str) -> Result<(), Error> {
        if self.seen().contains(namespace) {
            return Ok(());
        }
        let account = &self.names.account;
        let labels = json!({"app.kubernetes.io/managed-by": "kubeblocks-dataprotection"});
        let body = json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": {"name": account, "namespace": namespace, "labels": labels},
        });
        writer.apply(&writer.namespaced::<ServiceAccount>(namespace), account, &body).await?;
        let binding = format!("{account}-rolebinding");
        let body = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": binding, "namespace": namespace, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.names.role},
            "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
        });
        writer.apply(&writer.namespaced::<RoleBinding>(namespace), &binding, &body).await?;
        self.seen().insert(namespace.to_owned());
        Ok(())
    }

    /// The account may be gone: look again next time. Called when a pod could not be made for want
    /// of it, and when a namespace comes back under the same name.
    pub fn forget(&self, namespace: &str) {
        self.seen().remove(namespace);
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
