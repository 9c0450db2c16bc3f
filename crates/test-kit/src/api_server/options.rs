//! What can be chosen about a test API server.

use std::time::Duration;

use super::ApiServer;
use super::audit::AuditScope;

/// Options of a test API server; see [`ApiServer::builder`].
#[derive(Debug, Clone)]
pub struct Options {
    pub(super) controller_manager: bool,
    pub(super) controllers: String,
    pub(super) controller_qps: u32,
    pub(super) hostpath_provisioner: bool,
    pub(super) audit: AuditScope,
    pub(super) api_server_args: Vec<String>,
    pub(super) controller_manager_args: Vec<String>,
    pub(super) patience: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            controller_manager: true,
            // Nodes here have no kubelet that renews leases; this controller would call them dead after 50 s.
            controllers: "*,-node-lifecycle-controller".to_owned(),
            controller_qps: 500,
            hostpath_provisioner: false,
            audit: AuditScope::Writes,
            api_server_args: Vec::new(),
            controller_manager_args: Vec::new(),
            patience: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// Starts the server. Panics with the tail of a log when it does not come up, and with what to build when the
    /// binary is missing.
    pub async fn start(self) -> ApiServer {
        Box::pin(ApiServer::start_with(self)).await
    }

    /// Without kube-controller-manager: no Jobs, no binding, no garbage collection, no default service accounts.
    #[must_use]
    pub fn without_controllers(mut self) -> Self {
        self.controller_manager = false;
        self
    }

    /// Value of `--controllers`; default all but the one that watches node heartbeats.
    #[must_use]
    pub fn controllers(mut self, list: &str) -> Self {
        list.clone_into(&mut self.controllers);
        self
    }

    /// Requests per second of each controller; burst is twice that. Default 500; a cluster's default is 20.
    #[must_use]
    pub fn controller_qps(mut self, qps: u32) -> Self {
        self.controller_qps = qps;
        self
    }

    /// Also runs the real dynamic provisioner ([`HOSTPATH_PROVISIONER`](super::HOSTPATH_PROVISIONER)), with volumes below the directory.
    #[must_use]
    pub fn with_hostpath_provisioner(mut self) -> Self {
        self.hostpath_provisioner = true;
        self
    }

    /// Which requests the audit log holds; default [`AuditScope::Writes`].
    #[must_use]
    pub fn audit(mut self, scope: AuditScope) -> Self {
        self.audit = scope;
        self
    }

    /// One more flag for kube-apiserver; a repeated flag overrides ours.
    #[must_use]
    pub fn api_server_arg(mut self, flag: impl Into<String>) -> Self {
        self.api_server_args.push(flag.into());
        self
    }

    /// One more flag for kube-controller-manager; a repeated flag overrides ours.
    #[must_use]
    pub fn controller_manager_arg(mut self, flag: impl Into<String>) -> Self {
        self.controller_manager_args.push(flag.into());
        self
    }

    /// How long the start may take, default 60 s (4 s are usual).
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}
