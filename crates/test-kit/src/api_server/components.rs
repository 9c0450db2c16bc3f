//! The processes of a test API server: where their files lie and with which flags they start.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::options::Options;
use super::pki::Pki;
use crate::process::Program;

/// The `provisioner` that [`Component::HostpathProvisioner`] serves (see `e2e/cluster/hostpath.go`).
pub const HOSTPATH_PROVISIONER: &str = "holdfast.dev/hostpath";

/// A process of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Component {
    /// The store.
    Etcd,
    /// kube-apiserver.
    ApiServer,
    /// kube-controller-manager.
    ControllerManager,
    /// The dynamic provisioner [`HOSTPATH_PROVISIONER`].
    HostpathProvisioner,
}

impl std::fmt::Display for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::HostpathProvisioner => "hostpath-provisioner",
        })
    }
}

/// The multi-call binary: `$HOLDFAST_STATE/bin/node`.
pub(super) fn node_binary() -> Result<PathBuf, String> {
    let state = std::env::var_os("HOLDFAST_STATE").unwrap_or_else(|| "/var/lib/holdfast-e2e".into());
    node_binary_below(Path::new(&state))
}

fn node_binary_below(state: &Path) -> Result<PathBuf, String> {
    let node = state.join("bin/node");
    if node.is_file() {
        return Ok(node);
    }
    let advice = "run `make cluster-build` (or e2e/cluster/build.sh) first";
    Err(format!("{} is missing: {advice}", node.display()))
}

/// Files of one server.
#[derive(Debug)]
pub(super) struct Layout {
    pub dir: PathBuf,
    pub port: u16,
    pub pki: Pki,
    pub admin_kubeconfig: PathBuf,
    pub audit_log: PathBuf,
    pub options: Options,
}

impl Layout {
    /// Makes directories, links to the binary, kubeconfig and audit policy.
    pub fn prepare(dir: &Path, node: &Path, port: u16, pki: Pki, options: Options) -> io::Result<Self> {
        for folder in ["bin", "log", "volumes"] {
            fs::create_dir_all(dir.join(folder))?;
        }
        let all = [Component::Etcd, Component::ApiServer, Component::ControllerManager, Component::HostpathProvisioner];
        for name in all.map(|c| c.to_string()).into_iter().chain(["kubectl".to_owned()]) {
            std::os::unix::fs::symlink(node, dir.join("bin").join(name))?;
        }
        let layout = Self {
            dir: dir.to_owned(),
            port,
            pki,
            admin_kubeconfig: dir.join("admin.conf"),
            audit_log: dir.join("log/audit.jsonl"),
            options,
        };
        let admin = json!({ "client-certificate": layout.pki.admin, "client-key": layout.pki.admin_key });
        layout.write_kubeconfig(&layout.admin_kubeconfig, &admin)?;
        fs::write(dir.join("audit.yaml"), layout.options.audit.policy().to_string())?;
        Ok(layout)
    }

    /// Writes a kubeconfig for `user` (JSON is YAML).
    pub fn write_kubeconfig(&self, path: &Path, user: &Value) -> io::Result<()> {
        let cluster = json!({ "server": self.url(), "certificate-authority": self.pki.ca });
        fs::write(path, kubeconfig(&cluster, user).to_string())
    }

    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    pub fn log(&self, component: Component) -> PathBuf {
        self.dir.join(format!("log/{component}.log"))
    }

    /// The program of a component with all its flags.
    pub fn program(&self, component: Component) -> Program {
        let args = match component {
            Component::Etcd => self.etcd(),
            Component::ApiServer => self.api_server(),
            Component::ControllerManager => self.controller_manager(),
            Component::HostpathProvisioner => vec![
                format!("--kubeconfig={}", self.admin_kubeconfig.display()),
                format!("--root={}", self.dir.join("volumes").display()),
            ],
        };
        Program {
            name: component.to_string(),
            executable: self.dir.join("bin").join(component.to_string()),
            args,
            env: Vec::new(),
            log: self.log(component),
            dir: Some(self.dir.clone()),
        }
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.dir.join("etcd.sock").display())
    }

    fn etcd(&self) -> Vec<String> {
        let socket = self.socket();
        // A peer address must look like host:port; as a Unix socket it is a file of that name in the directory.
        let peer = "unix://localhost:2380";
        vec![
            format!("--data-dir={}", self.dir.join("etcd").display()),
            format!("--listen-client-urls={socket}"),
            "--advertise-client-urls=http://127.0.0.1:1".to_owned(),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
        ]
    }

    fn api_server(&self) -> Vec<String> {
        let path = |p: &Path| p.display().to_string();
        let mut args = vec![
            format!("--etcd-servers={}", self.socket()),
            format!("--secure-port={}", self.port),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            format!("--tls-cert-file={}", path(&self.pki.server)),
            format!("--tls-private-key-file={}", path(&self.pki.server_key)),
            format!("--client-ca-file={}", path(&self.pki.ca)),
            format!("--service-account-key-file={}", path(&self.pki.accounts_public)),
            format!("--service-account-signing-key-file={}", path(&self.pki.accounts_key)),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--service-cluster-ip-range=10.96.0.0/16".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            "--allow-privileged=true".to_owned(),
            format!("--audit-policy-file={}", path(&self.dir.join("audit.yaml"))),
            format!("--audit-log-path={}", path(&self.audit_log)),
        ];
        args.extend(self.options.api_server_args.iter().cloned());
        args
    }

    fn controller_manager(&self) -> Vec<String> {
        let path = |p: &Path| p.display().to_string();
        let qps = self.options.controller_qps;
        let mut args = vec![
            format!("--kubeconfig={}", path(&self.admin_kubeconfig)),
            format!("--service-account-private-key-file={}", path(&self.pki.accounts_key)),
            format!("--root-ca-file={}", path(&self.pki.ca)),
            format!("--cluster-signing-cert-file={}", path(&self.pki.ca)),
            format!("--cluster-signing-key-file={}", path(&self.pki.ca_key)),
            "--use-service-account-credentials=true".to_owned(),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
            format!("--controllers={}", self.options.controllers),
            format!("--kube-api-qps={qps}"),
            format!("--kube-api-burst={}", 2 * qps),
        ];
        args.extend(self.options.controller_manager_args.iter().cloned());
        args
    }
}

/// A kubeconfig with one cluster and one user.
pub(crate) fn kubeconfig(cluster: &Value, user: &Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{ "name": "test", "cluster": cluster }],
        "users": [{ "name": "test", "user": user }],
        "contexts": [{ "name": "test", "context": { "cluster": "test", "user": "test" } }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_binary_says_what_to_run() {
        let empty = tempfile::tempdir().unwrap();
        let why = node_binary_below(empty.path()).unwrap_err();
        assert!(why.ends_with("is missing: run `make cluster-build` (or e2e/cluster/build.sh) first"), "{why}");
    }
}
