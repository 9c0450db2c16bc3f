//! An object on its way out (mover.md §4.3): an ordered window of ranges, all of one version.
//!
//! Enters: a key. Leaves: its bytes in order; the end of file comes only after all of them, and
//! only if their checksum is the one the object was stored with, where one is known. Ranges are
//! bound to the entity tag of the first reply; a dropped connection goes on at the byte reached.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crc_fast::{CrcAlgorithm, Digest};
use ureq::http::HeaderMap;
use ureq::{Body, BodyReader};

use super::CRC64_METADATA;
use super::checksum::{self, CRC64_HEADER};
use super::client::{Call, Client, header, jittered};
use super::failure::{CallResult, Failure};
use super::memory::Plan;
use super::throttle::Throttled;
use crate::error::{Error, Result};
use crate::progress;
use crate::store::Object;
use crate::tuning::tuning;

/// Length of one range.
const RANGE: u64 = 8 << 20;
const TRIES: u32 = 8;

/// Which version of which object.
struct Source {
    client: Arc<Client>,
    bucket: String,
    key: Vec<u8>,
    tag: String,
    size: u64,
}

type Stream = Throttled<BodyReader<'static>>;

/// Opens an object.
pub fn open(client: Arc<Client>, bucket: String, key: Vec<u8>) -> Result<Object> {
    let get = || Call::new("GET", &bucket, &key).header("x-amz-checksum-mode", "ENABLED");
    let first = get().header("range", format!("bytes=0-{}", RANGE - 1));
    let (head, body) = match client.call(&first, |reply| Ok(reply.into_parts())) {
        Ok(reply) => reply,
        // No byte of an empty object can be asked for.
        Err(failure) if failure.status == 416 => client.call(&get(), |reply| Ok(reply.into_parts())).map_err(absent)?,
        Err(failure) => return Err(absent(failure)),
    };
    let what = first.what();
    let wrong = |why: &str| Error::from(Failure::network(&what, why));
    let length = header(&head.headers, "content-length").and_then(|text| text.parse::<u64>().ok());
    let (size, upto) = if head.status.as_u16() == 206 {
        let range = header(&head.headers, "content-range").unwrap_or_default();
        let size = range.strip_prefix("bytes 0-").and_then(|rest| rest.split_once('/')?.1.parse::<u64>().ok());
        let size = size.ok_or_else(|| wrong("the server sent another range than it was asked for"))?;
        (size, size.min(RANGE))
    } else {
        let size = length.ok_or_else(|| wrong("the server does not say how large the object is"))?;
        (size, size)
    };
    let tag = header(&head.headers, "etag").unwrap_or_default().to_owned();
    let expected = stored_checksum(&head.headers);
    let plan = Plan::new(None, tuning());
    let source = Arc::new(Source { client, bucket, key, tag, size });
    let first = Range::new(Arc::clone(&source), 0, upto, Some(stream(body)));
    let window = (upto < size).then(|| Window::start(&source, upto, plan.window())).transpose()?;
    let body = Download {
        source,
        first,
        window,
        at: 0,
        piece: Vec::new(),
        used: 0,
        crc: Digest::new(CrcAlgorithm::Crc64Nvme),
        expected,
        done: false,
    };
    let tag = Some(body.source.tag.clone()).filter(|tag| !tag.is_empty());
    Ok(Object { body: Box::new(body), size: Some(size), tag })
}

/// Opens an object at an offset, if it is still the one with this tag. `before` is the checksum
/// of what comes before, so that in the end that of the whole object can be compared.
pub fn open_at(
    client: Arc<Client>,
    bucket: String,
    key: Vec<u8>,
    tag: &str,
    offset: u64,
    before: &Digest,
) -> Result<Option<Object>> {
    let head = match client.text(&Call::new("HEAD", &bucket, &key)) {
        Ok((headers, _)) => headers,
        Err(failure) => return Err(absent(failure)),
    };
    let size = header(&head, "content-length").and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    if tag.is_empty() || header(&head, "etag") != Some(tag) || offset > size {
        return Ok(None);
    }
    let plan = Plan::new(None, tuning());
    let source = Arc::new(Source { client, bucket, key, tag: tag.to_owned(), size });
    let upto = size.min(offset + RANGE);
    let first = Range::new(Arc::clone(&source), offset, upto, None);
    let window = (upto < size).then(|| Window::start(&source, upto, plan.window())).transpose()?;
    let (piece, used, expected, done) = (Vec::new(), 0, None, false);
    let body = Download { source, first, window, at: offset, piece, used, crc: *before, expected, done };
    Ok(Some(Object { body: Box::new(body), size: Some(size), tag: Some(tag.to_owned()) }))
}

/// A piece of an object that never changes under its name; its content authenticates itself.
pub fn piece(client: &Client, bucket: &str, key: &[u8], offset: u64, length: u64) -> Result<Vec<u8>> {
    let Some(last) = (offset + length).checked_sub(1).filter(|_| length > 0) else {
        return Ok(Vec::new());
    };
    let call = Call::new("GET", bucket, key).header("range", format!("bytes={offset}-{last}"));
    let read = |reply: ureq::http::Response<Body>| {
        let (head, body) = reply.into_parts();
        // A server that does not know ranges sends all of it.
        let skip = if head.status.as_u16() == 206 { 0 } else { offset };
        let mut body = stream(body);
        io::copy(&mut body.by_ref().take(skip), &mut io::sink())?;
        let mut piece = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
        body.take(length).read_to_end(&mut piece)?;
        Ok(piece)
    };
    let piece = client.call(&call, read).map_err(absent)?;
    progress::STORED.add(piece.len() as u64);
    Ok(piece)
}

fn absent(failure: Failure) -> Error {
    if failure.is_absent() { Error::NotFound } else { failure.into() }
}

fn stream(body: Body) -> Stream {
    Throttled::new(body.into_reader())
}

/// The checksum of the whole object, if the server or its metadata knows it.
fn stored_checksum(headers: &HeaderMap) -> Option<u64> {
    let composite = header(headers, "x-amz-checksum-type").is_some_and(|kind| kind != "FULL_OBJECT");
    let server = header(headers, CRC64_HEADER).filter(|_| !composite);
    // A reply to a range may carry the range's own; the metadata is always the object's.
    let ranged = header(headers, "content-range").is_some();
    header(headers, CRC64_METADATA).or(server.filter(|_| !ranged)).and_then(checksum::parse64)
}

/// One range that is read in order and goes on after a dropped connection.
struct Range {
    source: Arc<Source>,
    at: u64,
    end: u64,
    stream: Option<Stream>,
    failed: u32,
}

impl Range {
    fn new(source: Arc<Source>, at: u64, end: u64, stream: Option<Stream>) -> Self {
        Self { source, at, end, stream, failed: 0 }
    }

    fn call(&self) -> Call<'_> {
        let call = Call::new("GET", &self.source.bucket, &self.source.key)
            .header("range", format!("bytes={}-{}", self.at, self.end - 1));
        if self.source.tag.is_empty() { call } else { call.header("if-match", self.source.tag.as_str()) }
    }

    fn reopen(&self) -> CallResult<Stream> {
        let call = self.call();
        let expected = format!("bytes {}-{}/{}", self.at, self.end - 1, self.source.size);
        let reply = self.source.client.call(&call, Ok)?;
        let (head, body) = reply.into_parts();
        let whole = head.status.as_u16() == 200 && self.at == 0 && self.end == self.source.size;
        if !whole && header(&head.headers, "content-range") != Some(expected.as_str()) {
            return Err(Failure {
                status: 412,
                code: "WrongRange".to_owned(),
                ..Failure::network(&call.what(), "the server sent another range than it was asked for")
            });
        }
        let tag = header(&head.headers, "etag").unwrap_or_default();
        if tag != self.source.tag {
            return Err(Failure {
                status: 412,
                code: "PreconditionFailed".to_owned(),
                ..Failure::network(&call.what(), "the object is not the one whose reading began")
            });
        }
        Ok(stream(body))
    }

    /// Reads some bytes; 0 only at the end of the range.
    fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        if self.at >= self.end {
            return Ok(0);
        }
        let room = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        loop {
            if self.stream.is_none() {
                self.stream = Some(self.reopen()?);
            }
            let Some(stream) = &mut self.stream else { continue };
            let why = match stream.read(buffer.get_mut(..room).unwrap_or_default()) {
                Ok(0) => "the connection ended early".to_owned(),
                Ok(count) => {
                    self.at += count as u64;
                    self.failed = 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => crate::error::plain(&error),
            };
            self.stream = None;
            self.failed += 1;
            if self.failed >= tuning().tries.unwrap_or(TRIES) {
                return Err(Failure::network(&self.call().what(), why));
            }
            progress::RETRIES.add(1);
            std::thread::sleep(jittered(Duration::from_millis(50) * 2u32.pow(self.failed.min(8))));
        }
    }
}

/// Ranges that are fetched ahead.
struct Window {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Where the first range begins.
    begin: u64,
    /// How many ranges may be in memory.
    ahead: u64,
}

#[derive(Default)]
struct State {
    /// Ranges handed out, and taken.
    started: u64,
    taken: u64,
    ready: BTreeMap<u64, CallResult<Vec<u8>>>,
    free: Vec<Vec<u8>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    fn start(source: &Arc<Source>, begin: u64, threads: usize) -> Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), begin, ahead: threads as u64 });
        let ranges = (source.size - begin).div_ceil(RANGE);
        for _ in 0..ranges.min(threads as u64) {
            let (shared, source) = (Arc::clone(&shared), Arc::clone(source));
            std::thread::Builder::new()
                .name("range".into())
                .spawn(move || fetch(&shared, &source, ranges))
                .map_err(|error| Error::io("start a thread", error))?;
        }
        Ok(Self { shared })
    }

    /// The next range; its predecessor's buffer goes back.
    fn take(&self, used: Vec<u8>) -> CallResult<Vec<u8>> {
        let mut state = self.shared.lock();
        if used.capacity() > 0 {
            state.free.push(used);
        }
        loop {
            let next = state.taken;
            if let Some(ready) = state.ready.remove(&next) {
                state.taken += 1;
                self.shared.changed.notify_all();
                return ready;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

fn fetch(shared: &Shared, source: &Arc<Source>, ranges: u64) {
    loop {
        let mut state = shared.lock();
        let number = state.started;
        if state.closed || number >= ranges {
            return;
        }
        if number >= state.taken + shared.ahead {
            drop(shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        state.started += 1;
        let mut buffer = state.free.pop().unwrap_or_default();
        drop(state);
        let at = shared.begin + number * RANGE;
        let mut range = Range::new(Arc::clone(source), at, source.size.min(at + RANGE), None);
        buffer.resize(usize::try_from(range.end - at).unwrap_or(usize::MAX), 0);
        let mut filled = 0;
        let got = loop {
            match range.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break Ok(buffer),
                Ok(count) => filled += count,
                Err(failure) => break Err(failure),
            }
        };
        shared.lock().ready.insert(number, got);
        shared.changed.notify_all();
    }
}

/// The whole object.
struct Download {
    source: Arc<Source>,
    first: Range,
    window: Option<Window>,
    at: u64,
    piece: Vec<u8>,
    used: usize,
    crc: Digest,
    expected: Option<u64>,
    done: bool,
}

impl Download {
    fn fill(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
        let count = self.first.read(buffer)?;
        if count > 0 {
            return Ok(count);
        }
        let Some(window) = &self.window else { return Ok(0) };
        if self.used == self.piece.len() {
            if self.at >= self.source.size {
                return Ok(0);
            }
            self.used = 0;
            self.piece = window.take(std::mem::take(&mut self.piece))?;
        }
        let left = self.piece.get(self.used..).unwrap_or_default();
        let count = left.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), left.get(..count)) {
            to.copy_from_slice(from);
        }
        self.used += count;
        Ok(count)
    }

    /// At the end: is this what was stored?
    fn verify(&self) -> Result<()> {
        let source = &self.source;
        let mut expected = self.expected;
        if expected.is_none() && source.size > 0 {
            let mut call = Call::new("HEAD", &source.bucket, &source.key).header("x-amz-checksum-mode", "ENABLED");
            if !source.tag.is_empty() {
                call = call.header("if-match", source.tag.as_str());
            }
            expected = stored_checksum(&source.client.text(&call)?.0);
        }
        match expected {
            Some(expected) if expected != self.crc.finalize() => {
                Err(Error::Mismatch("the bytes read do not have the checksum the object was stored with".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.done {
            return Ok(0);
        }
        let count = self.fill(buffer).map_err(Error::from)?;
        if count == 0 {
            self.verify()?;
            self.done = true;
        }
        self.crc.update(buffer.get(..count).unwrap_or_default());
        self.at += count as u64;
        progress::STORED.add(count as u64);
        Ok(count)
    }
}
