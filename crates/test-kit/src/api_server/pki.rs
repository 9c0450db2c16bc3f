//! Certificates and keys of one test server: an authority, the server's certificate, an administrator's.
//!
//! P-256 everywhere: a key takes microseconds. Valid 2020 to 2120, so that a test under any clock works.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

/// Where the PEM files lie.
#[derive(Debug, Clone)]
pub(super) struct Pki {
    pub ca: PathBuf,
    pub ca_key: PathBuf,
    pub server: PathBuf,
    pub server_key: PathBuf,
    pub admin: PathBuf,
    pub admin_key: PathBuf,
    /// Signs service account tokens.
    pub accounts_key: PathBuf,
    /// Verifies them.
    pub accounts_public: PathBuf,
}

impl Pki {
    /// Writes everything below `dir`.
    pub fn write(dir: &Path) -> io::Result<Self> {
        fs::create_dir_all(dir)?;
        let at = |name: &str| dir.join(name);
        let pki = Self {
            ca: at("ca.crt"),
            ca_key: at("ca.key"),
            server: at("api.crt"),
            server_key: at("api.key"),
            admin: at("admin.crt"),
            admin_key: at("admin.key"),
            accounts_key: at("sa.key"),
            accounts_public: at("sa.pub"),
        };
        pki.generate().map_err(io::Error::other)??;
        Ok(pki)
    }

    fn generate(&self) -> Result<io::Result<()>, rcgen::Error> {
        let mut authority = params("test-kit-ca", None, vec![])?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages =
            vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let names = ["127.0.0.1", "10.96.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned).to_vec();
        let server_key = KeyPair::generate()?;
        let server = params("kube-apiserver", None, names)?.signed_by(&server_key, &ca)?;
        let admin_key = KeyPair::generate()?;
        let admin = params("admin", Some("system:masters"), vec![])?.signed_by(&admin_key, &ca)?;
        let accounts = KeyPair::generate()?;

        let files = [
            (&self.ca, ca.pem()),
            (&self.ca_key, ca.key().serialize_pem()),
            (&self.server, server.pem()),
            (&self.server_key, server_key.serialize_pem()),
            (&self.admin, admin.pem()),
            (&self.admin_key, admin_key.serialize_pem()),
            (&self.accounts_key, accounts.serialize_pem()),
            (&self.accounts_public, accounts.public_key_pem()),
        ];
        Ok(files.into_iter().try_for_each(|(path, pem)| fs::write(path, pem)))
    }
}

fn params(name: &str, group: Option<&str>, alternative_names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(alternative_names)?;
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2120, 1, 1);
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}
