//! A directory of a WebDAV server.
//!
//! Enters: `[storage]` with `type = webdav`. Leaves: a [`Tree`]. The general store libraries hold
//! a whole upload in memory; here it streams.

use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::TrySendError;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::fmt::rfc2822;
use mover_protocol::Reason;
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body, SendBody};

use super::settings::{Section, text_of};
use super::transport;
use super::tree::{Sink, Tree};
use super::webdav_upload::{Cut, DavSink, Piece};
use crate::error::{Class, Error, Result};
use crate::ini::Ini;
use crate::progress;
use crate::store::s3::client::{header, jittered, text};
use crate::store::s3::sign;
use crate::store::s3::throttle::Throttled;
use crate::store::s3::xml::{self, Met};
use crate::store::{Entry, Object, buffered};

const TRIES: u32 = 5;
const HURRY: Duration = Duration::from_millis(900);

const WANTED: &str = "<?xml version=\"1.0\"?><propfind xmlns=\"DAV:\"><prop><resourcetype/><getcontentlength/>\
    <getlastmodified/></prop></propfind>";

/// A directory of a WebDAV server.
pub struct WebDav {
    client: Arc<Client>,
    /// To the thread that sends an upload, for a signal to cut it.
    uploading: Cut,
}

/// The protocol.
pub struct Client {
    agent: Agent,
    /// Scheme and host.
    origin: String,
    /// Path of the root, encoded, without trailing slash.
    base: String,
    authorization: Option<String>,
}

/// Why a request failed.
struct Failure {
    what: String,
    status: u16,
    why: String,
    tls: bool,
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let Failure { what, status, why, tls } = failure;
        let (reason, class) = match status {
            0 if tls => (Reason::Tls, Class::Terminal),
            0 => (Reason::Network, Class::Transient),
            401 | 403 => (Reason::AuthFailed, Class::Terminal),
            423 => (Reason::Locked, Class::Terminal),
            429 | 503 => (Reason::Throttled, Class::Transient),
            507 => (Reason::NoSpace, Class::Transient),
            500.. => (Reason::Internal, Class::Transient),
            _ => (Reason::Internal, Class::Terminal),
        };
        let why = if status == 0 { why } else { format!("the server answered {status} {why}").trim_end().to_owned() };
        Self::Remote { what, why, reason, class }
    }
}

impl WebDav {
    /// Reads the section; connects to nothing yet.
    pub fn open(ini: &Ini) -> Result<Self> {
        let section = Section(ini);
        let url = section.need("url")?;
        let wrong = || Error::Config(format!("url = {url:?} in the configuration is not an address"));
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        let scheme = scheme.to_ascii_lowercase();
        if !matches!(scheme.as_str(), "http" | "https") || rest.contains(['@', '?', '#']) {
            return Err(wrong());
        }
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let root = section.get("root").unwrap_or_default();
        let mut base = String::new();
        for part in
            path.split('/').map(str::to_owned).chain(root.split('/').map(|part| sign::encode(part.as_bytes(), false)))
        {
            if !part.is_empty() {
                base.push('/');
                base.push_str(&part);
            }
        }
        let authorization = match (section.get("bearer_token"), section.get("user")) {
            (Some(token), _) => Some(format!("Bearer {token}")),
            (None, Some(user)) => {
                let pass = section.secret("pass")?.unwrap_or_default();
                Some(format!("Basic {}", STANDARD.encode(format!("{user}:{pass}"))))
            }
            (None, None) => None,
        };
        let agent = transport::agent(scheme == "https", !section.flag("no_check_certificate"));
        let client = Client { agent, origin: format!("{scheme}://{host}"), base, authorization };
        Ok(Self { client: Arc::new(client), uploading: Cut::default() })
    }

    fn propfind(&self, key: &Path, depth: &str) -> Result<Option<Vec<(String, Entry)>>> {
        let call = Call { method: "PROPFIND", key, headers: vec![("depth", depth.to_owned())], body: WANTED };
        match self.client.call(&call, |reply| parse(&text(reply)?.1)) {
            Ok(found) => Ok(Some(found)),
            Err(failure) if failure.status == 404 => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn simple(
        &self,
        method: &'static str,
        key: &Path,
        headers: Vec<(&'static str, String)>,
    ) -> std::result::Result<(), Failure> {
        self.client.call(&Call { method, key, headers, body: "" }, |reply| text(reply).map(drop))
    }
}

/// A request with a small body, which may be sent again.
struct Call<'a> {
    method: &'static str,
    key: &'a Path,
    headers: Vec<(&'static str, String)>,
    body: &'static str,
}

impl Client {
    fn address(&self, key: &Path) -> String {
        let slash = if key.as_os_str().is_empty() { "" } else { "/" };
        format!("{}{}{slash}{}", self.origin, self.base, sign::encode(key.as_os_str().as_encoded_bytes(), true))
    }

    fn what(&self, method: &str, key: &Path) -> String {
        format!("{method} {}{}/{}", self.origin, self.base, key.display())
    }

    fn call<T>(
        &self,
        call: &Call<'_>,
        read: impl Fn(Response<Body>) -> io::Result<T>,
    ) -> std::result::Result<T, Failure> {
        let mut pause = Duration::from_millis(100);
        let what = self.what(call.method, call.key);
        for attempt in 1.. {
            let outcome = self
                .once(call, None)
                .and_then(|reply| read(reply).map_err(|error| network(&what, &format!("read the reply: {error}"))));
            match outcome {
                Err(failure)
                    if attempt < TRIES && !failure.tls && matches!(failure.status, 0 | 429 | 500 | 502..=504) => {}
                outcome => return outcome,
            }
            progress::RETRIES.add(1);
            std::thread::sleep(jittered(pause));
            pause *= 3;
        }
        Err(network(&what, "not sent"))
    }

    fn once(&self, call: &Call<'_>, within: Option<Duration>) -> std::result::Result<Response<Body>, Failure> {
        let mut request = self.request(call.method, call.key);
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        let what = self.what(call.method, call.key);
        let request = request.body(call.body).map_err(|error| network(&what, &error.to_string()))?;
        let request = self.agent.configure_request(request).timeout_global(within).build();
        judge(&what, self.agent.run(request))
    }

    fn request(&self, method: &str, key: &Path) -> ureq::http::request::Builder {
        let method = Method::from_bytes(method.as_bytes()).unwrap_or_default();
        let request = Request::builder().method(method).uri(self.address(key));
        match &self.authorization {
            Some(text) => request.header("authorization", text),
            None => request,
        }
    }

    /// Removes what an upload has left that was cut. The server may first notice the cut, and only
    /// then show the file.
    pub fn clear(&self, key: &Path) {
        let call = Call { method: "DELETE", key, headers: Vec::new(), body: "" };
        let mut gone = false;
        for _ in 0..8 {
            let removed = self.once(&call, Some(HURRY)).is_ok();
            if gone && !removed {
                return;
            }
            gone |= removed;
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Sends a file as it comes.
    pub fn put(&self, key: &Path, length: Option<usize>, body: &mut dyn Read) -> Result<()> {
        let what = self.what("PUT", key);
        let mut request = self.request("PUT", key).header("content-type", "application/octet-stream");
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let mut body = Throttled::new(body);
        let request =
            request.body(SendBody::from_reader(&mut body)).map_err(|error| network(&what, &error.to_string()))?;
        let reply = judge(&what, self.agent.run(request))?;
        text(reply).map_err(|error| network(&what, &error.to_string()))?;
        Ok(())
    }
}

fn network(what: &str, why: &str) -> Failure {
    Failure { what: what.to_owned(), status: 0, why: why.to_owned(), tls: false }
}

fn judge(
    what: &str,
    reply: std::result::Result<Response<Body>, ureq::Error>,
) -> std::result::Result<Response<Body>, Failure> {
    match reply {
        Ok(reply) if reply.status().is_success() => Ok(reply),
        Ok(reply) => {
            let status = reply.status();
            Err(Failure { status: status.as_u16(), ..network(what, status.canonical_reason().unwrap_or_default()) })
        }
        Err(error) => Err(Failure { tls: transport::is_tls(&error), ..network(what, &transport::said(&error)) }),
    }
}

/// Paths, decoded and without trailing slash, and what they are.
fn parse(document: &str) -> io::Result<Vec<(String, Entry)>> {
    let blank = || Entry { name: "".into(), size: 0, modified: SystemTime::UNIX_EPOCH, is_dir: false };
    let mut found = Vec::new();
    let (mut path, mut entry) = (String::new(), blank());
    xml::walk(document, |names, met| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match (names.as_slice(), met) {
            ([_, "response", "href"], Met::Text(text)) => path = decoded(text.trim()),
            ([_, "response", "propstat", "prop", "resourcetype", "collection"], _) => entry.is_dir = true,
            ([_, "response", "propstat", "prop", "getcontentlength"], Met::Text(text)) => {
                entry.size = text.trim().parse().unwrap_or(entry.size);
            }
            ([_, "response", "propstat", "prop", "getlastmodified"], Met::Text(text)) => {
                if let Ok(time) = rfc2822::parse(text.trim()) {
                    entry.modified = time.timestamp().into();
                }
            }
            ([_, "response"], Met::End) => {
                entry.name = path.rsplit('/').next().unwrap_or_default().into();
                if entry.is_dir {
                    entry.size = 0;
                }
                found.push((std::mem::take(&mut path), std::mem::replace(&mut entry, blank())));
            }
            _ => {}
        }
    })?;
    Ok(found)
}

/// The path of a reference, percent signs resolved.
fn decoded(href: &str) -> String {
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').and_then(|at| rest.get(at..)).unwrap_or("/"),
        None => href,
    };
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.trim_end_matches('/').bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digits = (byte == b'%').then(|| Some([ahead.next()?, ahead.next()?])).flatten();
        match digits.and_then(|pair| u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()) {
            Some(value) => {
                bytes.push(value);
                rest = ahead;
            }
            None => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Tree for WebDav {
    fn describe(&self) -> String {
        format!("WebDAV store {}{}", self.client.origin, self.client.base)
    }

    fn entries(&self, dir: &Path) -> Result<Option<Vec<Entry>>> {
        text_of(dir)?;
        let itself = decoded(&self.client.address(dir));
        let Some(found) = self.propfind(dir, "1")? else { return Ok(None) };
        if found.iter().any(|(path, entry)| *path == itself && !entry.is_dir) {
            return Ok(None);
        }
        Ok(Some(found.into_iter().filter(|(path, _)| *path != itself).map(|(_, entry)| entry).collect()))
    }

    fn stat(&self, key: &Path) -> Result<Option<Entry>> {
        text_of(key)?;
        let name = key.file_name().unwrap_or_default();
        let found = self.propfind(key, "0")?.unwrap_or_default().into_iter().next();
        Ok(found.map(|(_, entry)| Entry { name: name.to_owned(), ..entry }))
    }

    fn read(&self, key: &Path) -> Result<Object> {
        let call = Call { method: "GET", key, headers: Vec::new(), body: "" };
        let reply = match self.client.call(&call, Ok) {
            Ok(reply) => reply,
            Err(failure) if failure.status == 404 => return Err(Error::NotFound),
            Err(failure) => return Err(failure.into()),
        };
        let size = header(reply.headers(), "content-length").and_then(|text| text.parse().ok());
        let body = Sized { inner: Throttled::new(reply.into_body().into_reader()), size, at: 0 };
        Ok(Object { body: buffered(body), size, tag: None })
    }

    fn write(&self, key: &Path) -> Result<Box<dyn Sink>> {
        text_of(key)?;
        let sink = DavSink::new(Arc::clone(&self.client), key.to_owned(), Arc::clone(&self.uploading));
        Ok(Box::new(sink))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let headers = vec![("destination", self.client.address(to)), ("overwrite", "T".to_owned())];
        let Err(failure) = self.simple("MOVE", from, headers) else { return Ok(()) };
        // The reply may have been lost, and the second try finds nothing to move.
        if self.stat(from)?.is_none() && self.stat(to)?.is_some() { Ok(()) } else { Err(failure.into()) }
    }

    fn remove_file(&self, key: &Path) -> Result<()> {
        match self.simple("DELETE", key, Vec::new()) {
            Ok(()) => Ok(()),
            Err(failure) if failure.status == 404 => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn remove_empty(&self, key: &Path) -> Result<()> {
        self.remove_file(key)
    }

    fn make_one(&self, key: &Path) -> Result<()> {
        match self.simple("MKCOL", key, Vec::new()) {
            Ok(()) => Ok(()),
            Err(failure) => match self.stat(key)? {
                Some(entry) if entry.is_dir => Ok(()),
                Some(_) => Err(Error::IsFile.during(failure.what)),
                None => Err(failure.into()),
            },
        }
    }

    fn discard(&self, key: &Path) {
        let uploading = self.uploading.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(pieces) = uploading {
            // Full while the network takes what came before; if it does not, the end of this process
            // cuts the connection.
            for _ in 0..100 {
                match pieces.try_send(Piece::Cut) {
                    Err(TrySendError::Full(_)) => std::thread::sleep(Duration::from_millis(10)),
                    _ => break,
                }
            }
            self.client.clear(key);
        }
    }
}

/// A body that ends only after all of it.
struct Sized<R> {
    inner: R,
    size: Option<u64>,
    at: u64,
}

impl<R: Read> Read for Sized<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.at += count as u64;
        if count == 0 && !buffer.is_empty() && self.size.is_some_and(|size| size != self.at) {
            return Err(Error::Mismatch(format!("{} bytes came, the file has another size", self.at)).into());
        }
        Ok(count)
    }
}
