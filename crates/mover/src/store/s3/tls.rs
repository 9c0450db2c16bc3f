//! Whom we trust: the bundled roots, and what the environment or a directory beside us adds.
//!
//! Enters: `SSL_CERT_FILE`, `SSL_CERT_DIR`, `certs/` beside the executable. Leaves: the TLS
//! configuration. Read only when the endpoint is https: a small push over http must stay quick.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

/// The configuration for one endpoint.
pub fn config(https: bool, verify: bool) -> TlsConfig {
    let config = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()));
    if !https {
        return config.build();
    }
    if !verify {
        return config.disable_verification(true).build();
    }
    let mut roots: Vec<Certificate<'static>> =
        webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter().map(|root| Certificate::from_der(root)).collect();
    for file in files() {
        roots.extend(read(&file));
    }
    config.root_certs(RootCerts::new_with_certs(&roots)).build()
}

/// The same trust for protocols that are not HTTP.
pub fn client_config() -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(
        webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .cloned()
            .chain(files().iter().flat_map(|file| read(file)).map(|found| found.der().to_vec().into())),
    );
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    // The defaults of a provider are always consistent.
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap_or_else(|_| rustls::ClientConfig::builder());
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Certificate files that the environment names, and those beside the executable.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = env::var_os("SSL_CERT_FILE").map(PathBuf::from).into_iter().collect();
    let mut dirs: Vec<PathBuf> =
        env::var_os("SSL_CERT_DIR").map(|dirs| env::split_paths(&dirs).collect()).unwrap_or_default();
    dirs.extend(env::current_exe().ok().and_then(|program| Some(program.parent()?.join("certs"))));
    for dir in dirs {
        // A missing one adds nothing, as with OpenSSL.
        let Ok(listed) = fs::read_dir(&dir) else { continue };
        files.extend(listed.flatten().map(|item| item.path()).filter(|path| path.is_file()));
    }
    files
}

fn read(file: &Path) -> Vec<Certificate<'static>> {
    let text = fs::read(file).unwrap_or_default();
    parse_pem(&text)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate.to_owned()),
            _ => None,
        })
        .collect()
}
