//! The operator's encryption key: the one it was given, else one it makes once and keeps in a Secret of its own
//! namespace (design D21). Nobody but this operator holds it.
//!
//! The Secret is immutable, so that no second process and no slip of the hand can put another key in its place, and it
//! belongs to no chart, so that neither an upgrade nor an uninstall takes it away.

use super::Secrecy;
use super::cipher::{Ciphers, EncryptionKey, NonceBytes, PUBLIC_DEFAULT};
use crate::error::Error;
use api_types::contract::labels;
use controller_kit::pauses::Pauses;
use controller_kit::writes::Writer;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use ring::rand::{SecureRandom, SystemRandom};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// Name of the Secret; the chart's role names it.
pub const SECRET: &str = "holdfast-dp-encryption";
/// Its key.
pub const SECRET_KEY: &str = "encryptionKey";

const KEY_BYTES: usize = 32;

/// The keys of this process.
pub struct KeyRing {
    given: Option<EncryptionKey>,
    old: Vec<EncryptionKey>,
    namespace: String,
    ciphers: OnceCell<Arc<Ciphers>>,
}

impl KeyRing {
    /// `given` closes where it is not empty; `old` and the reference's public default are tried to open. `namespace` is
    /// the operator's own.
    pub fn new(given: Option<EncryptionKey>, old: Vec<EncryptionKey>, namespace: &str) -> Self {
        let given = given.filter(|k| !k.is_empty());
        KeyRing { given, old, namespace: namespace.into(), ciphers: OnceCell::new() }
    }

    /// The ciphers; the first call reads, and if need be makes, the Secret.
    pub async fn ciphers(&self, writer: &Writer) -> Result<Arc<Ciphers>, Error> {
        Ok(Arc::clone(self.ciphers.get_or_try_init(|| self.load(writer)).await?))
    }

    /// Makes sure of a key when the operator begins to lead, so that it can be saved before anything depends on it.
    pub async fn prepare(&self, writer: &Writer, stop: CancellationToken) {
        let mut pauses = Pauses::new(Duration::from_secs(1), Duration::from_secs(60));
        while let Err(error) = self.ciphers(writer).await {
            tracing::warn!("no encryption key yet: {}", controller_kit::error::chain(&error));
            tokio::select! {
                () = stop.cancelled() => return,
                () = pauses.wait() => {}
            }
        }
    }

    async fn load(&self, writer: &Writer) -> Result<Arc<Ciphers>, Error> {
        let api: Api<Secret> = writer.namespaced(&self.namespace);
        let kept = writer.get(&api, SECRET).await?.as_ref().and_then(key_of);
        let current = match (&self.given, &kept) {
            (Some(given), _) => given.clone(),
            (None, Some(kept)) => kept.clone(),
            (None, None) => self.make(writer, &api).await?,
        };
        // Also where another key was given since: what the kept one closed is still to be opened.
        let Ok(public) = PUBLIC_DEFAULT.parse();
        let others: Vec<EncryptionKey> = kept.into_iter().chain(self.old.iter().cloned()).chain([public]).collect();
        Ok(Arc::new(Ciphers::new(&current, &others)?))
    }

    async fn make(&self, writer: &Writer, api: &Api<Secret>) -> Result<EncryptionKey, Error> {
        let fresh = Secrecy(hex::encode(random::<KEY_BYTES>()?));
        let body = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": SECRET, "namespace": self.namespace,
                "labels": {labels::NAME: "holdfast-dp"},
            },
            "immutable": true, "type": "Opaque",
            "data": {SECRET_KEY: ByteString(fresh.0.into_bytes())},
        });
        let made = match writer.apply(api, SECRET, &body).await {
            Ok(made) => Some(made),
            // Somebody was faster, and what is immutable stays.
            Err(error) if error.is_invalid() => writer.get(api, SECRET).await?,
            Err(error) => return Err(error.into()),
        };
        tracing::info!(
            secret = SECRET,
            namespace = self.namespace,
            "made the key that accounts are encrypted with; keep a copy of it: backups are of no full use without"
        );
        made.as_ref().and_then(key_of).ok_or(Error::EncryptionKeyMissing { secret: SECRET })
    }
}

fn key_of(secret: &Secret) -> Option<EncryptionKey> {
    let bytes = secret.data.as_ref()?.get(SECRET_KEY)?;
    let Ok(key) = String::from_utf8_lossy(&bytes.0).trim().parse::<EncryptionKey>();
    (!key.is_empty()).then_some(key)
}

/// Bytes nobody can foretell.
fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}

/// A nonce for one password.
pub fn nonce() -> Result<NonceBytes, Error> {
    random()
}
