//! A multipart upload that has begun: how its parts are sent, and how it is aborted.
//!
//! Enters: an upload that the server has opened. Leaves: parts that the server has verified, or
//! nothing; a signal finds the upload and aborts it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::checksum::{self, Method};
use super::client::{Call, Client, Payload, header, text};
use super::failure::{CallResult, Failure};
use super::parts::{Parts, Stored};
use crate::error::{Error, say};
use crate::progress;
use crate::staging::{self, OpenUpload};

/// A multipart upload that has begun.
pub struct Multipart {
    /// What it takes to end it.
    pub open: Arc<Open>,
    /// What protects its parts.
    pub method: Method,
    /// Its parts.
    pub parts: Parts,
}

/// What it takes to abort an upload.
pub struct Open {
    /// The server.
    pub client: Arc<Client>,
    /// Bucket.
    pub bucket: String,
    /// Key of the object.
    pub key: Vec<u8>,
    /// The server's name for the upload.
    pub id: String,
}

impl OpenUpload for Open {
    fn abort_now(&self) {
        // A part that was just arriving may outlive the first abort; the second sees to it.
        for _ in 0..2 {
            let call = Call::new("DELETE", &self.bucket, &self.key).query("uploadId", self.id.as_str());
            match self.client.once(&call, Some(Duration::from_millis(900))) {
                Err(failure) if failure.is_absent() => return,
                _ => {}
            }
        }
    }
}

impl Open {
    /// Aborts with all patience.
    pub fn abort(&self) {
        let call = Call::new("DELETE", &self.bucket, &self.key).query("uploadId", self.id.as_str());
        match self.client.text(&call) {
            Ok(_) => {}
            Err(failure) if failure.is_absent() || failure.no_bucket() => {}
            Err(failure) => say!(
                "Warning: parts of an unfinished upload stay in the bucket; gc-multipart removes them: {}",
                Error::from(failure)
            ),
        }
    }
}

impl Multipart {
    /// From now on a signal aborts it. Unless the server is `trusted` to verify `method`,
    /// Content-MD5 goes along until the reply to a part shows what was verified.
    pub fn new(open: Open, method: Method, trusted: bool) -> Self {
        let open = Arc::new(open);
        staging::remote_open(Arc::<Open>::clone(&open));
        let sender = PartSender { open: Arc::clone(&open), method, trusted: AtomicBool::new(trusted) };
        let parts = Parts::new(Arc::new(move |number, bytes: &[u8]| sender.send(number, bytes)));
        Self { open, method, parts }
    }
}

/// What all threads that send parts of one upload share.
struct PartSender {
    open: Arc<Open>,
    method: Method,
    /// The server is known to verify `method`.
    trusted: AtomicBool,
}

impl PartSender {
    fn send(&self, number: u32, bytes: &[u8]) -> CallResult<Stored> {
        let Open { client, bucket, key, id } = &*self.open;
        let checksum = self.method.of(bytes);
        let mut call = Call::new("PUT", bucket, key)
            .query("partNumber", number.to_string())
            .query("uploadId", id.as_str())
            .header(self.method.header(), checksum.as_str())
            .payload(Payload::Data(bytes));
        if !self.trusted.load(Ordering::Relaxed) {
            call = call.header("content-md5", Method::Md5.of(bytes));
        }
        let (headers, _) = client.call(&call, |reply| {
            let (headers, body) = text(reply)?;
            if header(&headers, "etag").is_none_or(str::is_empty) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it has no entity tag"));
            }
            Ok((headers, body))
        })?;
        match header(&headers, self.method.header()) {
            Some(theirs) if self.method != Method::Md5 => {
                if theirs != checksum {
                    let status = 400;
                    let code = "BadDigest".to_owned();
                    let message = "the server computed another checksum of the part";
                    return Err(Failure { status, code, ..Failure::network(&call.what(), message) });
                }
                self.trusted.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
        progress::PARTS.add(1);
        Ok(Stored {
            number,
            tag: header(&headers, "etag").unwrap_or_default().to_owned(),
            crc64: if self.method == Method::Crc64 { checksum::parse64(&checksum).unwrap_or(0) } else { 0 },
            checksum,
            length: bytes.len() as u64,
        })
    }
}
