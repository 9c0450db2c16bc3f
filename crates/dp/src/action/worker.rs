//! The service account that action pods run under, one per namespace (contract-dp §10.8).

use super::exec::ExecSettings;
use crate::error::Error;
use api_types::contract::config::EXEC_WORKER_CLUSTER_ROLE;
use api_types::contract::labels;
use api_types::contract::names::ROLE_BINDING_SUFFIX;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::{LocalObjectReference, ServiceAccount};
use k8s_openapi::api::rbac::v1::RoleBinding;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long an account that was applied counts as being there: a storm of Jobs pays once, and one
/// that was deleted, or whose namespace was made anew, is mended with the next Job.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// What the installation says about accounts of workers.
#[derive(Clone, Debug, Default)]
pub struct WorkerSettings {
    /// `WORKER_SERVICE_ACCOUNT_NAME`.
    pub account: String,
    /// `WORKER_CLUSTER_ROLE_NAME`.
    pub role: String,
    /// `WORKER_SERVICE_ACCOUNT_ANNOTATIONS`, such as those of a cloud's identities; a user may add others.
    pub annotations: Annotations,
    /// `KUBEBLOCKS_IMAGE_PULL_SECRETS`: given to an account that is made, and the user's from then on.
    pub pull_secrets: PullSecrets,
}

/// A flag with several annotations in it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Annotations(pub BTreeMap<String, String>);

/// A flag with names of several Secrets in it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct PullSecrets(pub Vec<LocalObjectReference>);

/// Makes sure that a namespace has its worker account and binding. Both are applied, so a missing
/// binding beside an existing account is mended (behaviour-backup D35).
pub struct Workers {
    settings: WorkerSettings,
    done: Mutex<HashMap<String, Instant>>,
}

impl Workers {
    /// Nothing is known of any namespace yet.
    pub fn new(settings: WorkerSettings) -> Self {
        Workers { settings, done: Mutex::default() }
    }

    /// The account's name.
    pub fn account(&self) -> &str {
        &self.settings.account
    }

    /// Applies account and binding in `namespace`, unless that was done a moment ago.
    pub async fn ensure(&self, writer: &Writer, namespace: &str) -> Result<(), Error> {
        if self.seen().get(namespace).is_some_and(|at| at.elapsed() < GOOD_FOR) {
            return Ok(());
        }
        let account = &self.settings.account;
        let labels = json!({labels::MANAGED_BY: labels::MANAGED_BY_DP});
        self.put(writer, namespace, account).await?;
        let binding = format!("{account}{ROLE_BINDING_SUFFIX}");
        let body = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": binding, "namespace": namespace, "labels": labels},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": self.settings.role},
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
        self.put(writer, &exec.namespace, &exec.account).await?;
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

    /// Makes an account, or mends what of it is ours: pull secrets are one list, so those of an account that is there are
    /// not touched.
    async fn put(&self, writer: &Writer, namespace: &str, account: &str) -> Result<(), Error> {
        let api = writer.namespaced::<ServiceAccount>(namespace);
        let own = ServiceAccount {
            metadata: ObjectMeta {
                name: Some(account.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some([(labels::MANAGED_BY.to_owned(), labels::MANAGED_BY_DP.to_owned())].into()),
                annotations: Some(self.settings.annotations.0.clone()).filter(|a| !a.is_empty()),
                ..ObjectMeta::default()
            },
            ..ServiceAccount::default()
        };
        let secrets = &self.settings.pull_secrets.0;
        if !secrets.is_empty() {
            let with_secrets = ServiceAccount { image_pull_secrets: Some(secrets.clone()), ..own.clone() };
            match writer.create(&api, &with_secrets).await {
                Ok(_) => return Ok(()),
                Err(error) if error.is_already_exists() => {}
                Err(error) => return Err(error.into()),
            }
        }
        writer.apply(&api, account, &json!(own)).await?;
        Ok(())
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
