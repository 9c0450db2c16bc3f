//! A proxy between the mover and a server that breaks chosen requests in chosen ways.
//!
//! Enters: HTTP/1.1 requests, counted as they arrive. Leaves: the server's replies, or what a
//! [`Rule`] makes of them. Each request goes upstream on a connection of its own; towards the
//! mover connections are kept, as real servers do.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The server is not asked; the reply is this status.
    Status(u16),
    /// As 503, and the server asks to wait this many seconds.
    RetryAfter(u32),
    /// The server says that it does not know what is asked of it.
    NotImplemented,
    /// The connection is reset in the middle of the request, which the server never sees.
    ResetRequest,
    /// The server does it, and nobody hears of it.
    LoseReply,
    /// The reply ends in its middle.
    TruncateReply,
    /// The reply comes in small pieces.
    SlowReply,
    /// The credentials have expired.
    ExpiredToken,
    /// The server finds our clock wrong, and says what time it is.
    ClockSkew,
    /// As before, and it is new year's day 2040 there.
    ClockInTheFuture,
    /// The entity tag in the reply is another.
    WrongTag,
    /// One bit of the data is flipped: of the request's, or else of the reply's.
    FlipBit,
}

/// Whether a fault hits this request, the n-th from 0.
pub type Hits = Box<dyn Fn(usize, &Seen) -> bool + Send + Sync>;

/// Which requests a fault hits.
pub struct Rule {
    /// What happens.
    pub fault: Fault,
    /// Whether it hits a request.
    pub hits: Hits,
}

impl Rule {
    /// The n-th request, from 0.
    pub fn nth(fault: Fault, index: usize) -> Self {
        Self { fault, hits: Box::new(move |number, _| number == index) }
    }

    /// The n-th request and all that follow.
    pub fn from(fault: Fault, index: usize) -> Self {
        Self { fault, hits: Box::new(move |number, _| number >= index) }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Method.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// How many bytes it carried.
    pub length: usize,
    /// When it was signed.
    pub signed: String,
    /// Its headers, names in lower case.
    pub headers: Vec<(String, String)>,
}

impl Seen {
    /// A header's text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// A running proxy; ends when it is dropped.
pub struct FaultProxy {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    rules: Vec<Rule>,
    seen: Mutex<Vec<Seen>>,
    stopped: AtomicBool,
}

impl FaultProxy {
    /// Starts a proxy before a server.
    pub fn start(upstream: &str, rules: Vec<Rule>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            rules,
            seen: Mutex::default(),
            stopped: AtomicBool::new(false),
        });
        let ours = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ours.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let ours = Arc::clone(&ours);
                std::thread::spawn(move || while matches!(serve(&ours, &stream), Ok(true)) {});
            }
        });
        Self { address, shared }
    }

    /// The endpoint as configurations write it.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(&self.address);
    }
}

/// One request; false ends the connection.
fn serve(shared: &Shared, client: &TcpStream) -> io::Result<bool> {
    let mut reader = BufReader::with_capacity(64 * 1024, client);
    let mut head = Vec::new();
    let mut length = 0;
    let mut signed = String::new();
    loop {
        let mut line = Vec::new();
        if reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(false);
        }
        if line == b"\r\n" {
            break;
        }
        let text = String::from_utf8_lossy(&line).to_ascii_lowercase();
        if let Some(value) = text.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
        if let Some(value) = text.strip_prefix("x-amz-date:") {
            value.trim().to_ascii_uppercase().clone_into(&mut signed);
        }
        head.push(line);
    }
    let first = String::from_utf8_lossy(head.first().map_or(&b""[..], Vec::as_slice)).into_owned();
    let mut words = first.split_whitespace();
    let mut word = || words.next().unwrap_or_default().to_owned();
    let headers = head.iter().skip(1).map(|line| String::from_utf8_lossy(line).into_owned());
    let headers = headers.filter_map(|line| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    });
    let headers = headers.collect();
    let request = Seen { method: word(), target: word(), length, signed, headers };
    let fault = {
        let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let number = seen.len();
        seen.push(request.clone());
        shared.rules.iter().find(|rule| (rule.hits)(number, &request)).map(|rule| rule.fault)
    };
    if fault == Some(Fault::ResetRequest) {
        // Closing with unread bytes in our buffer makes the kernel send a reset.
        let _ = reader.read_exact(&mut vec![0; (length / 2).min(100_000)]);
        return Ok(false);
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let made = match fault {
        Some(fault) => made_reply(shared, fault, request.method == "HEAD")?,
        None => None,
    };
    if let Some(made) = made {
        let mut client = client;
        client.write_all(made.as_bytes())?;
        return Ok(true);
    }
    let mut flipped = false;
    if fault == Some(Fault::FlipBit)
        && let Some(byte) = body.get_mut(length / 2)
    {
        *byte ^= 4;
        flipped = true;
    }
    let mut reply = forward(shared, &head, &body)?;
    let mut client = client;
    match fault {
        Some(Fault::LoseReply) => return Ok(false),
        Some(Fault::TruncateReply) => {
            let end = end_of_head(&reply);
            // In the body, if it has one.
            let cut = if reply.len() > end { end + (reply.len() - end) / 2 } else { end / 2 };
            client.write_all(&reply[..cut])?;
            return Ok(false);
        }
        Some(Fault::SlowReply) => {
            let piece = (reply.len() / 8).max(1);
            for piece in reply.chunks(piece) {
                client.write_all(piece)?;
                std::thread::sleep(Duration::from_millis(20));
            }
            return Ok(true);
        }
        Some(Fault::WrongTag) => change_tag(&mut reply),
        Some(Fault::FlipBit) if !flipped => {
            let end = end_of_head(&reply);
            let middle = end + (reply.len() - end) / 2;
            if let Some(byte) = reply.get_mut(middle) {
                *byte ^= 4;
            }
        }
        _ => {}
    }
    client.write_all(&reply)?;
    Ok(true)
}

/// The reply of a proxy that does not ask the server.
fn made_reply(shared: &Shared, fault: Fault, no_body: bool) -> io::Result<Option<String>> {
    let error = |status: u16, code: &str, more: &str| {
        let text = format!("<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>");
        let body = if no_body { "" } else { &text };
        format!(
            "HTTP/1.1 {status} X\r\n{more}Content-Type: application/xml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    Ok(match fault {
        Fault::Status(status) => Some(error(status, if status == 503 { "SlowDown" } else { "InternalError" }, "")),
        Fault::RetryAfter(seconds) => Some(error(503, "SlowDown", &format!("Retry-After: {seconds}\r\n"))),
        Fault::NotImplemented => Some(error(501, "NotImplemented", "")),
        Fault::ExpiredToken => Some(error(403, "ExpiredToken", "")),
        Fault::ClockSkew => {
            let date = upstream_date(shared)?;
            Some(error(403, "RequestTimeTooSkewed", &format!("Date: {date}\r\n")))
        }
        Fault::ClockInTheFuture => Some(error(403, "RequestTimeTooSkewed", "Date: Sun, 01 Jan 2040 00:00:00 GMT\r\n")),
        _ => None,
    })
}

/// What time it is at the server.
fn upstream_date(shared: &Shared) -> io::Result<String> {
    let reply = forward(shared, &[b"GET / HTTP/1.1\r\n".to_vec(), b"Host: x\r\n".to_vec()], b"")?;
    let reply = String::from_utf8_lossy(&reply).into_owned();
    let date = reply.lines().find_map(|line| line.strip_prefix("Date: "));
    date.map(str::to_owned).ok_or_else(|| io::Error::other("no date"))
}

/// The whole reply of the server, told to close the connection, which the mover does not hear of.
fn forward(shared: &Shared, head: &[Vec<u8>], body: &[u8]) -> io::Result<Vec<u8>> {
    let mut upstream = TcpStream::connect(&shared.upstream)?;
    let mut request = Vec::new();
    for line in head {
        if !line.to_ascii_lowercase().starts_with(b"connection:") {
            request.extend(line);
        }
    }
    request.extend(b"Connection: close\r\n\r\n");
    upstream.write_all(&request)?;
    upstream.write_all(body)?;
    let mut reply = Vec::new();
    upstream.read_to_end(&mut reply)?;
    let _ = upstream.shutdown(Shutdown::Both);
    let end = end_of_head(&reply);
    let mut kept: Vec<u8> = Vec::with_capacity(reply.len());
    for line in reply[..end].split_inclusive(|byte| *byte == b'\n') {
        if !line.to_ascii_lowercase().starts_with(b"connection:") {
            kept.extend(line);
        }
    }
    kept.extend(&reply[end..]);
    Ok(kept)
}

fn end_of_head(reply: &[u8]) -> usize {
    reply.windows(4).position(|window| window == b"\r\n\r\n").map_or(reply.len(), |at| at + 4)
}

/// Changes a hexadecimal digit of the tag, in the header and in a document.
fn change_tag(reply: &mut [u8]) {
    for mark in [&b"etag: \""[..], b"<etag>&#34;", b"<etag>&quot;", b"<etag>\""] {
        let lower = reply.to_ascii_lowercase();
        if let Some(at) = lower.windows(mark.len()).position(|window| window == mark)
            && let Some(digit) = reply.get_mut(at + mark.len())
        {
            *digit = if *digit == b'0' { b'1' } else { b'0' };
        }
    }
}
