//! An object on its way out (mover.md §4.3): an ordered window of ranges, all of one version.
//!
//! Enters: a key. Leaves: its bytes in order; the end of file comes only after all of them, and
//! only if their checksum is the one the object was stored with, where one is known. Ranges are
//! bound to the entity tag of the first reply; a dropped connection goes on at the byte reached.

use std::io::{self, BufRead, Read};
use std::sync::Arc;

use crc_fast::{CrcAlgorithm, Digest};
use ureq::Body;
use ureq::http::HeaderMap;

use super::CRC64_METADATA;
use super::checksum::{self, CRC64_HEADER};
use super::client::{Call, Client, header};
use super::failure::{CallResult, Failure};
use super::memory::Plan;
use super::range::{Range, Source, Stream};
use super::window::{RANGE, Window};
use crate::error::{Error, Result};
use crate::progress;
use crate::store::Object;
use crate::tuning::tuning;

/// What is handed out at once: small enough to be in the processor's cache, where its checksum
/// has just brought it, when it is written.
const PIECE: usize = 256 * 1024;

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
    let known = Some(tag.clone()).filter(|tag| !tag.is_empty());
    let source = Arc::new(Source { client, bucket, key, tag, size });
    let first = Range::new(Arc::clone(&source), 0, upto, Some(Stream::new(body)));
    let body = Download::start(source, first, &Digest::new(CrcAlgorithm::Crc64Nvme), expected)?;
    Ok(Object { body: Box::new(body), size: Some(size), tag: known })
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
    let source = Arc::new(Source { client, bucket, key, tag: tag.to_owned(), size });
    let first = Range::new(Arc::clone(&source), offset, size.min(offset + RANGE), None);
    let body = Download::start(source, first, before, None)?;
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
        let mut body = Stream::new(body);
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

/// The checksum of the whole object, if the server or its metadata knows it.
fn stored_checksum(headers: &HeaderMap) -> Option<u64> {
    let composite = header(headers, "x-amz-checksum-type").is_some_and(|kind| kind != "FULL_OBJECT");
    let server = header(headers, CRC64_HEADER).filter(|_| !composite);
    // A reply to a range may carry the range's own; the metadata is always the object's.
    let ranged = header(headers, "content-range").is_some();
    header(headers, CRC64_METADATA).or(server.filter(|_| !ranged)).and_then(checksum::parse64)
}

/// The whole object.
struct Download {
    source: Arc<Source>,
    first: Range,
    window: Option<Window>,
    /// Where in the object the bytes of the buffer end.
    at: u64,
    buffer: Vec<u8>,
    /// How many bytes of the buffer are here, are handed out, and are consumed.
    filled: usize,
    given: usize,
    used: usize,
    crc: Digest,
    expected: Option<u64>,
    done: bool,
    /// A range is lost: whoever reads on must not get the next one.
    broken: bool,
}

impl Download {
    fn start(source: Arc<Source>, first: Range, before: &Digest, expected: Option<u64>) -> Result<Self> {
        let (at, upto) = (first.at(), first.at() + first.left());
        let ahead = Plan::new(None, tuning()).window();
        let window = (upto < source.size).then(|| Window::start(&source, upto, ahead)).transpose()?;
        let (buffer, filled, given, used, done, broken) = (Vec::new(), 0, 0, 0, false, false);
        let crc = *before;
        Ok(Self { source, first, window, at, buffer, filled, given, used, crc, expected, done, broken })
    }

    /// The next bytes into the buffer; none at the end.
    fn fill(&mut self) -> CallResult<()> {
        (self.filled, self.given, self.used) = (0, 0, 0);
        if self.first.left() > 0 {
            self.buffer.resize(PIECE, 0);
            self.filled = self.first.read(&mut self.buffer)?;
        } else if let Some(window) = self.window.as_ref().filter(|_| self.at < self.source.size) {
            self.buffer = window.take(std::mem::take(&mut self.buffer))?;
            self.filled = self.buffer.len();
        }
        self.at += self.filled as u64;
        Ok(())
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

impl BufRead for Download {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.given && !self.done {
            if self.broken {
                return Err(io::Error::other("an earlier part could not be read"));
            }
            if self.given == self.filled {
                self.broken = true;
                self.fill().map_err(Error::from)?;
                self.broken = false;
            }
            let piece = self.given..self.filled.min(self.given + PIECE);
            if piece.is_empty() {
                self.verify()?;
                self.done = true;
            }
            self.given = piece.end;
            progress::STORED.add(piece.len() as u64);
            self.crc.update(self.buffer.get(piece).unwrap_or_default());
        }
        Ok(self.buffer.get(self.used..self.given).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.used = self.given.min(self.used + count);
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}
