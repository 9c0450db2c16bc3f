//! A server that is every host: with TLS, a certificate for each name that is asked for, and without.
//!
//! Enters: listings. Leaves: empty ones; and what was asked of whom.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// A running server; ends with the process.
pub struct AnyHost {
    /// Host and port.
    pub address: String,
    authority: PathBuf,
    /// First lines of requests, with the `Host` of each.
    pub asked: Arc<Mutex<Vec<(String, String)>>>,
}

struct Names(Issuer<'static, KeyPair>);

impl fmt::Debug for Names {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Names")
    }
}

impl ResolvesServerCert for Names {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let key = KeyPair::generate().ok()?;
        let leaf = CertificateParams::new(vec![hello.server_name()?.to_owned()]).ok()?;
        let certificate = leaf.signed_by(&key, &self.0).ok()?;
        let key = PrivateKeyDer::try_from(key.serialize_der()).ok()?;
        let key = ring::sign::any_supported_type(&key).ok()?;
        Some(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
    }
}

impl AnyHost {
    /// Starts it; its authority's certificate goes into a directory.
    pub fn start(dir: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::new(Vec::new()).unwrap();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.distinguished_name.push(DnType::CommonName, "authority of a test");
        let authority = dir.join("any-host.pem");
        std::fs::write(&authority, ca.self_signed(&key).unwrap().pem()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config = Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(Names(Issuer::new(ca, key)))));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let ours = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (config, ours) = (Arc::clone(&config), Arc::clone(&ours));
                std::thread::spawn(move || {
                    let mut first = [0; 1];
                    // A record of TLS begins with 22, a request with a letter.
                    match stream.peek(&mut first) {
                        Ok(1) if first == [22] => {
                            let connection = ServerConnection::new(config).unwrap();
                            let _ = serve(StreamOwned::new(connection, stream), &ours);
                        }
                        _ => drop(serve::<TcpStream>(stream, &ours)),
                    }
                });
            }
        });
        Self { address, authority, asked }
    }

    /// What `SSL_CERT_FILE` says where the server is to be trusted.
    pub fn authority(&self) -> &Path {
        &self.authority
    }
}

fn serve<S: Read + Write>(stream: S, asked: &Mutex<Vec<(String, String)>>) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut first, mut host) = (String::new(), String::new());
        if reader.read_line(&mut first)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("host") {
                value.trim().clone_into(&mut host);
            }
        }
        let empty = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";
        let reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{empty}", empty.len());
        asked.lock().unwrap().push((first, host));
        reader.get_mut().write_all(reply.as_bytes())?;
        reader.get_mut().flush()?;
    }
}
