//! A range of an object, read in order; it goes on after a dropped connection.
//!
//! Enters: which bytes of which version. Leaves: those bytes, or a failure when the object is
//! another one by now. A reply that was read to its end gives its connection back to the pool.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use ureq::{Body, BodyReader};

use super::client::{Call, Client, header, jittered};
use super::failure::{CallResult, Failure};
use super::throttle::Throttled;
use crate::progress;
use crate::tuning::tuning;

const TRIES: u32 = 8;

/// Which version of which object.
pub struct Source {
    /// Where it is.
    pub client: Arc<Client>,
    /// Its bucket.
    pub bucket: String,
    /// Its key.
    pub key: Vec<u8>,
    /// Its entity tag; empty when the server sends none.
    pub tag: String,
    /// Its size.
    pub size: u64,
}

/// A reply's body.
pub struct Stream {
    body: Throttled<BodyReader<'static>>,
    /// What is still to come, where the server says how much it sends.
    left: Option<u64>,
}

impl Stream {
    /// The body of a reply.
    pub fn new(body: Body) -> Self {
        let left = body.content_length();
        Self { body: Throttled::new(body.into_reader()), left }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.body.read(buffer)?;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
            if *left == 0 && count > 0 {
                // The connection is free for others only when the end was read, which needs no
                // byte of it. What was read stays good if that fails.
                let _ = self.body.read(&mut [0]);
            }
        }
        Ok(count)
    }
}

/// One range that is read in order and goes on after a dropped connection.
pub struct Range {
    source: Arc<Source>,
    at: u64,
    end: u64,
    stream: Option<Stream>,
    failed: u32,
}

impl Range {
    /// From `at` to before `end`; `stream` is its reply, where there is one already.
    pub fn new(source: Arc<Source>, at: u64, end: u64, stream: Option<Stream>) -> Self {
        Self { source, at, end, stream, failed: 0 }
    }

    /// Where the next byte is in the object.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// How much is still to be read.
    pub fn left(&self) -> u64 {
        self.end.saturating_sub(self.at)
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
        Ok(Stream::new(body))
    }

    /// Reads some bytes; 0 only at the end of the range.
    pub fn read(&mut self, buffer: &mut [u8]) -> CallResult<usize> {
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
