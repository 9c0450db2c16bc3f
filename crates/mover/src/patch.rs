//! One call to the API server: a merge patch of a Backup's status, or of an annotation of it.
//!
//! Enters: the allowed fields. Leaves: the patched Backup, or why not. Token and CA are read for
//! each call, because the kubelet rotates them. No proxy: the API server is inside the cluster.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mover_protocol::ActionInfo;
use serde_json::json;
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::error::{Error, Result};

/// Longest wait for one call.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Where and what to patch.
pub struct Target {
    url: String,
    credentials: PathBuf,
    /// Whole text goes here, and the status is left alone.
    annotation: Option<String>,
}

impl Target {
    /// Reads the target from the environment of the container.
    pub fn from_env() -> Result<Self> {
        let needed = |name: &str| {
            env::var(name)
                .ok()
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Error::Config(format!("{name} is not set")))
        };
        let server = match env::var(mover_protocol::env::API_SERVER) {
            Ok(server) if !server.is_empty() => server,
            _ => {
                let host = needed("KUBERNETES_SERVICE_HOST")?;
                let port = needed("KUBERNETES_SERVICE_PORT")?;
                if host.contains(':') { format!("https://[{host}]:{port}") } else { format!("https://{host}:{port}") }
            }
        };
        let namespace = needed(mover_protocol::env::NAMESPACE)?;
        let name = needed(mover_protocol::env::BACKUP_NAME)?;
        let credentials = env::var_os(mover_protocol::env::SERVICE_ACCOUNT_DIR)
            .filter(|dir| !dir.is_empty())
            .unwrap_or_else(|| mover_protocol::SERVICE_ACCOUNT_DIR.into());
        let annotation = env::var(mover_protocol::env::REPORT_ANNOTATION).ok().filter(|key| !key.is_empty());
        Ok(Self {
            url: format!(
                "{}/apis/dataprotection.kubeblocks.io/v1alpha1/namespaces/{namespace}/backups/{name}{}",
                server.trim_end_matches('/'),
                if annotation.is_some() { "" } else { "/status" }
            ),
            credentials: credentials.into(),
            annotation,
        })
    }

    /// Patches the status, or the annotation, with these fields and nothing else.
    pub fn patch(&self, info: &ActionInfo) -> Result<()> {
        let failed = |why: String| Error::Config(format!("PATCH {}: {why}", self.url));
        let text = |value: &serde_json::Value| serde_json::to_vec(value).map_err(|error| failed(error.to_string()));
        let body = match &self.annotation {
            None => text(&json!({ "status": info }))?,
            Some(key) => text(&json!({ "metadata": { "annotations": { key: json!(info).to_string() } } }))?,
        };
        let token = read(&self.credentials.join("token"))?;
        let agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIMEOUT))
            .http_status_as_error(false)
            .proxy(None)
            .max_redirects(0)
            .user_agent(concat!("datasafed/", env!("CARGO_PKG_VERSION")))
            .tls_config(self.tls()?)
            .build()
            .new_agent();
        let mut response = agent
            .patch(&self.url)
            .header("Authorization", &format!("Bearer {}", token.trim()))
            .header("Content-Type", "application/merge-patch+json")
            .header("Accept", "application/json")
            .send(&body)
            .map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let text = response.body_mut().with_config().limit(64 * 1024).read_to_string().unwrap_or_default();
        Err(failed(format!("{status}: {}", message(&text))))
    }

    fn tls(&self) -> Result<TlsConfig> {
        let config = TlsConfig::builder()
            .provider(TlsProvider::Rustls)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
        if !self.url.starts_with("https:") {
            return Ok(config.build());
        }
        let path = self.credentials.join("ca.crt");
        let text = read(&path)?;
        let certificates: Vec<_> = parse_pem(text.as_bytes())
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(Error::Config(format!("{} has no certificate", path.display())));
        }
        Ok(config.root_certs(RootCerts::new_with_certs(&certificates)).build())
    }
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| Error::io(format!("read {}", path.display()), error))
}

/// The message of a Kubernetes Status object, or the start of whatever came.
fn message(body: &str) -> String {
    serde_json::from_str::<serde_json::Value>(body)
        .ok()
        .and_then(|status| Some(status.get("message")?.as_str()?.to_owned()))
        .unwrap_or_else(|| body.chars().take(200).collect())
}
