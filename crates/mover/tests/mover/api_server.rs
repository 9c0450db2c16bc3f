//! An API server of one resource: speaks HTTP or HTTPS, records requests, answers from a script.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;

/// One recorded request.
#[derive(Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<String>,
    pub body: Value,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find_map(|header| {
            let (key, value) = header.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

pub struct ApiServer {
    pub url: String,
    pub ca: String,
    requests: Receiver<Request>,
    answers: Arc<Mutex<Vec<u16>>>,
}

impl ApiServer {
    /// `answers` are the status codes of the first requests; 200 after them.
    pub fn start(tls: bool, answers: &[u16]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (config, ca) = server_config();
        let answers = Arc::new(Mutex::new(answers.iter().rev().copied().collect::<Vec<_>>()));
        let (seen, requests) = channel();
        let script = Arc::clone(&answers);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = serve(stream.unwrap(), tls.then_some(&config), &script, &seen);
            }
        });
        let scheme = if tls { "https" } else { "http" };
        Self { url: format!("{scheme}://127.0.0.1:{port}"), ca, requests, answers }
    }

    /// The next request; panics when none comes in time.
    #[track_caller]
    pub fn next(&self) -> Request {
        self.requests.recv_timeout(Duration::from_secs(20)).expect("a request")
    }

    pub fn nothing_more(&self) -> bool {
        self.requests.try_recv().is_err()
    }

    pub fn script_is_over(&self) -> bool {
        self.answers.lock().unwrap().is_empty()
    }
}

/// A pod's service account directory.
pub fn service_account(dir: &Path, token: &str, ca: &str) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("token"), format!("{token}\n")).unwrap();
    std::fs::write(dir.join("ca.crt"), ca).unwrap();
}

fn server_config() -> (Arc<rustls::ServerConfig>, String) {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    (Arc::new(config), own.cert.pem())
}

fn serve(
    stream: TcpStream,
    tls: Option<&Arc<rustls::ServerConfig>>,
    answers: &Mutex<Vec<u16>>,
    seen: &Sender<Request>,
) -> io::Result<()> {
    match tls {
        None => answer(stream, answers, seen),
        Some(config) => {
            let connection = rustls::ServerConnection::new(Arc::clone(config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            answer(&mut stream, answers, seen)?;
            stream.conn.send_close_notify();
            stream.flush()
        }
    }
}

fn answer(stream: impl Read + Write, answers: &Mutex<Vec<u16>>, seen: &Sender<Request>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        if line.trim().is_empty() {
            break;
        }
        lines.push(line.trim().to_owned());
    }
    let mut request = Request { line: lines.remove(0), headers: lines, body: Value::Null };
    let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    request.body = serde_json::from_slice(&body).unwrap();
    let code = answers.lock().unwrap().pop().unwrap_or(200);
    let text = r#"{"kind":"Status","message":"scripted"}"#;
    let out = stream.get_mut();
    write!(out, "HTTP/1.1 {code} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())?;
    out.flush()?;
    seen.send(request).map_err(io::Error::other)
}
