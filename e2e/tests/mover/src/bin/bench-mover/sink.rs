//! An S3 server that costs next to nothing, so that what is measured is the mover.
//!
//! Enters: uploads, whose bytes are dropped and whose checksums are believed. Leaves: for each
//! object as many bytes as were sent, always those of [`Sink::serve`], over and over; and a bucket
//! with a million keys that exist only in its listing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};

/// The bucket of a million keys.
pub const MILLION: &str = "million";

/// Headers that come back with an object.
type Kept = Vec<(String, String)>;

#[derive(Clone, Default)]
struct Object {
    size: u64,
    tag: String,
    kept: Kept,
}

#[derive(Default)]
struct Upload {
    kept: Kept,
    parts: HashMap<u32, (u64, [u8; 16])>,
}

#[derive(Default)]
struct State {
    content: Arc<Vec<u8>>,
    objects: HashMap<String, Object>,
    uploads: HashMap<String, Upload>,
}

/// A running server; ends with the process.
pub struct Sink {
    address: String,
    state: Arc<Mutex<State>>,
    requests: Arc<AtomicU64>,
}

impl Sink {
    /// Starts a server.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let (state, requests): (Arc<Mutex<State>>, Arc<AtomicU64>) = (Arc::default(), Arc::default());
        let (ours, counted) = (Arc::clone(&state), Arc::clone(&requests));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (ours, counted) = (Arc::clone(&ours), Arc::clone(&counted));
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    let mut reader = BufReader::with_capacity(256 * 1024, &stream);
                    while matches!(serve(&ours, &counted, &mut reader, &stream), Ok(true)) {}
                });
            }
        });
        Self { address, state, requests }
    }

    /// The endpoint as configurations write it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on objects have this content.
    pub fn serve(&self, content: &Arc<Vec<u8>>) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).content = Arc::clone(content);
    }

    /// Requests so far.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

struct Request {
    method: String,
    path: String,
    query: HashMap<String, String>,
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Headers that belong to the object; those of checksums only in the form of values.
    fn kept(&self) -> Kept {
        let belongs = |name: &str| {
            name.starts_with("x-amz-meta-")
                || name == "content-type"
                || name.starts_with("x-amz-checksum-") && name != "x-amz-checksum-algorithm"
        };
        self.headers.iter().filter(|(name, _)| belongs(name)).cloned().collect()
    }
}

/// A reply's status, headers and body; the body of HEAD only has a length.
struct Reply {
    status: &'static str,
    headers: Kept,
    body: Vec<u8>,
}

impl Reply {
    fn new(status: &'static str) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    fn xml(text: String) -> Self {
        Self { body: text.into_bytes(), ..Self::new("200 OK") }
    }

    fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    fn head(&self, length: u64) -> String {
        let mut head = format!("HTTP/1.1 {}\r\nContent-Length: {length}\r\n", self.status);
        for (name, value) in &self.headers {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        head + "\r\n"
    }
}

/// One request; false ends the connection.
fn serve(
    state: &Mutex<State>,
    requests: &AtomicU64,
    reader: &mut BufReader<&TcpStream>,
    mut out: &TcpStream,
) -> io::Result<bool> {
    let Some(request) = read_head(reader)? else { return Ok(false) };
    requests.fetch_add(1, Ordering::SeqCst);
    if request.header("expect").is_some() {
        out.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let mut length: u64 = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    // Frames of a signed or trailed body are not data.
    let data = request.header("x-amz-decoded-content-length").and_then(|text| text.parse().ok()).unwrap_or(length);
    while length > 0 {
        let there = reader.fill_buf()?.len();
        if there == 0 {
            return Ok(false);
        }
        let taken = there.min(usize::try_from(length).unwrap_or(usize::MAX));
        reader.consume(taken);
        length -= taken as u64;
    }
    let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
    if matches!(request.method.as_str(), "GET" | "HEAD") && !request.query.contains_key("list-type") {
        let (found, content) = {
            let state = lock();
            (state.objects.get(&request.path).cloned(), Arc::clone(&state.content))
        };
        if let Some(object) = found {
            send(&request, &object, &content, out)?;
            return Ok(true);
        }
    }
    let reply = answer(&mut lock(), &request, data);
    let body: &[u8] = if request.method == "HEAD" { b"" } else { &reply.body };
    let mut bytes = reply.head(reply.body.len() as u64).into_bytes();
    bytes.extend(body);
    out.write_all(&bytes)?;
    Ok(true)
}

fn read_head(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut first = String::new();
    if reader.read_line(&mut first)? == 0 {
        return Ok(None);
    }
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut words = first.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let query = query.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Ok(Some(Request { method, path: path.to_owned(), query, headers }))
}

/// An object, or a range of it.
fn send(request: &Request, object: &Object, content: &[u8], mut out: &TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (0, object.size);
    let range = request.header("range").and_then(|text| text.strip_prefix("bytes=")?.split_once('-'));
    if let Some((first, last)) = range {
        from = first.parse().unwrap_or(0);
        to = last.parse::<u64>().map_or(object.size, |last| object.size.min(last + 1));
    }
    let status = if range.is_some() { "206 Partial Content" } else { "200 OK" };
    let mut reply = Reply::new(status)
        .header("ETag", object.tag.as_str())
        .header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        .header("Accept-Ranges", "bytes");
    // The checksum of the whole would be taken for that of the range.
    let sent = object.kept.iter().filter(|(name, _)| range.is_none() || !name.starts_with("x-amz-checksum-"));
    reply.headers.extend(sent.cloned());
    if range.is_some() {
        reply = reply.header("Content-Range", format!("bytes {from}-{}/{}", to.saturating_sub(1), object.size));
    }
    out.write_all(reply.head(to.saturating_sub(from)).as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let whole = content.len().max(1) as u64;
    while from < to {
        let begin = usize::try_from(from % whole).unwrap_or(0);
        let end = content.len().min(begin + usize::try_from(to - from).unwrap_or(usize::MAX));
        let piece = content.get(begin..end).filter(|piece| !piece.is_empty()).ok_or(io::ErrorKind::NotFound)?;
        out.write_all(piece)?;
        from += piece.len() as u64;
    }
    Ok(())
}

fn answer(state: &mut State, request: &Request, length: u64) -> Reply {
    let path = request.path.as_str();
    let is_bucket = path.trim_matches('/').split('/').count() < 2;
    let upload = request.query.get("uploadId");
    match (request.method.as_str(), upload) {
        ("POST", None) if request.query.contains_key("uploads") => {
            let id = format!("upload-{}", state.uploads.len());
            state.uploads.insert(id.clone(), Upload { kept: request.kept(), ..Upload::default() });
            let mut reply = Reply::xml(format!(
                "<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>{id}</UploadId>\
                 </InitiateMultipartUploadResult>"
            ));
            for name in ["x-amz-checksum-algorithm", "x-amz-checksum-type"] {
                if let Some(value) = request.header(name) {
                    reply = reply.header(name, value);
                }
            }
            reply
        }
        ("PUT", Some(id)) => {
            let number = request.query.get("partNumber").and_then(|text| text.parse().ok()).unwrap_or(0);
            let md5 = content_md5(request);
            if let Some(upload) = state.uploads.get_mut(id) {
                upload.parts.insert(number, (length, md5));
            }
            let mut reply = Reply::new("200 OK").header("ETag", format!("\"{}\"", hex(&md5)));
            let checksums = request.headers.iter().filter(|(name, _)| name.starts_with("x-amz-checksum-"));
            reply.headers.extend(checksums.cloned());
            reply
        }
        ("POST", Some(id)) => {
            let Some(upload) = state.uploads.remove(id) else { return Reply::new("404 Not Found") };
            let mut parts: Vec<_> = upload.parts.into_iter().collect();
            parts.sort_unstable();
            let mut all = Md5::new();
            for (_, (_, md5)) in &parts {
                all.update(md5);
            }
            let tag = format!("\"{}-{}\"", hex(&all.finalize()), parts.len());
            let mut kept = upload.kept;
            kept.extend(request.kept().into_iter().filter(|(name, _)| name.starts_with("x-amz-checksum-")));
            let size = parts.iter().map(|(_, (length, _))| length).sum();
            state.objects.insert(path.to_owned(), Object { size, tag: tag.clone(), kept });
            Reply::xml(format!(
                "<CompleteMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><ETag>{}</ETag>\
                 </CompleteMultipartUploadResult>",
                tag.replace('"', "&quot;")
            ))
        }
        ("PUT", None) | ("HEAD", _) if is_bucket => Reply::new("200 OK"),
        ("PUT", None) => {
            let tag = format!("\"{}\"", hex(&content_md5(request)));
            let object = Object { size: length, tag: tag.clone(), kept: request.kept() };
            state.objects.insert(path.to_owned(), object);
            Reply::new("200 OK").header("ETag", tag)
        }
        ("DELETE", id) => {
            if let Some(id) = id {
                state.uploads.remove(id);
            } else {
                state.objects.remove(path);
            }
            Reply::new("204 No Content")
        }
        ("GET", _) if is_bucket && path.trim_matches('/') == MILLION => page(request),
        ("GET", _) if is_bucket => listing(state, request),
        _ => Reply::new("404 Not Found"),
    }
}

/// All objects below a prefix; there are few, and none in deeper directories.
fn listing(state: &State, request: &Request) -> Reply {
    let bucket = format!("/{}/", request.path.trim_matches('/'));
    let prefix = request.query.get("prefix").map(|text| text.replace("%2F", "/")).unwrap_or_default();
    let mut body = String::from("<ListBucketResult><IsTruncated>false</IsTruncated>");
    for (path, object) in &state.objects {
        let Some(key) = path.strip_prefix(&bucket).filter(|key| key.starts_with(&prefix)) else { continue };
        let _ = write!(
            body,
            "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{}</ETag>\
             <Size>{}</Size></Contents>",
            object.tag.replace('"', "&quot;"),
            object.size
        );
    }
    Reply::xml(body + "</ListBucketResult>")
}

/// A thousand of the million keys.
fn page(request: &Request) -> Reply {
    let v2 = request.query.contains_key("list-type");
    // A token is the page's number; a marker is the last key of the page before.
    let page: u64 = if v2 {
        request.query.get("continuation-token").and_then(|text| text.parse().ok()).unwrap_or(0)
    } else {
        let page = request.query.get("marker").and_then(|key| key.replace("%2F", "/").split('/').nth(1)?.parse().ok());
        page.map_or(0, |page: u64| page + 1)
    };
    let last = page >= 999;
    let mut body = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", !last);
    if !last && v2 {
        let _ = write!(body, "<NextContinuationToken>{}</NextContinuationToken>", page + 1);
    }
    for number in 0..1000 {
        let _ = write!(
            body,
            "<Contents><Key>backups/{page:04}/wal/{number:024}.zst</Key><LastModified>2026-01-01T00:00:00.000Z\
             </LastModified><ETag>&#34;d41d8cd98f00b204e9800998ecf8427e&#34;</ETag><Size>7</Size>\
             <StorageClass>STANDARD</StorageClass></Contents>"
        );
    }
    Reply::xml(body + "</ListBucketResult>")
}

/// What clients send along is what most servers make their tags of.
fn content_md5(request: &Request) -> [u8; 16] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits: u128 = 0;
    let mut digits = 0;
    for letter in request.header("content-md5").unwrap_or_default().bytes() {
        let Some(digit) = alphabet.iter().position(|known| *known == letter) else { continue };
        if digits < 21 {
            bits = bits << 6 | digit as u128;
        } else {
            // Two bits of the last digit complete 128.
            bits = bits << 2 | (digit as u128 >> 4);
        }
        digits += 1;
    }
    bits.to_be_bytes()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
