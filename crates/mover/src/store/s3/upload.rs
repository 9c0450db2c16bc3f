//! An object on its way in (mover.md §4.2): one PUT when it is small, else a multipart upload that
//! is visible only when it is completed.
//!
//! Enters: bytes. Leaves: the object, or nothing. Every new object carries a random token in its
//! metadata, so that after a lost reply HEAD can tell whether what is there is ours.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use super::checksum::{self, CRC64_HEADER, Method};
use super::client::{Call, Client, PATIENCE, Payload, header, jittered, text};
use super::failure::{CallResult, Failure};
use super::memory::{MAX_PARTS, Plan};
use super::multipart::{Multipart, Open};
use super::parts::Stored;
use super::{CRC64_METADATA, xml};
use crate::error::{Error, Result, say};
use crate::fill::random;
use crate::progress;
use crate::staging;
use crate::store::Upload;
use crate::tuning::{RetainMode, tuning};

/// Metadata that tells our upload from any other.
const TOKEN: &str = "x-amz-meta-dsf-upload";
/// How often a completed upload is looked for after its reply was lost.
const LOOKS: u32 = 8;

/// An upload of one object.
pub struct S3Upload {
    client: Arc<Client>,
    bucket: String,
    key: Vec<u8>,
    token: String,
    plan: Plan,
    buffer: Vec<u8>,
    /// Number of the part in the buffer.
    number: u32,
    multipart: Option<Multipart>,
    total: u64,
}

impl S3Upload {
    /// An upload; nothing is sent yet.
    pub fn new(client: Arc<Client>, bucket: String, key: Vec<u8>) -> Result<Self> {
        let plan = Plan::new(client.settings.chunk_size, tuning());
        Ok(Self {
            client,
            bucket,
            key,
            token: hex::encode(random::<16>()?),
            plan,
            buffer: Vec::new(),
            number: 1,
            multipart: None,
            total: 0,
        })
    }

    fn part_size(&self) -> usize {
        usize::try_from(self.plan.part(self.number)).unwrap_or(usize::MAX)
    }

    /// Headers of a new object, in whichever way it is made.
    fn object_headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = self.client.settings.put_headers.clone();
        headers.push((TOKEN, self.token.clone()));
        headers.push(("content-type", "application/octet-stream".to_owned()));
        if let Some(until) = tuning().retain_until {
            let mode = match tuning().retain_mode {
                RetainMode::Governance => "GOVERNANCE",
                RetainMode::Compliance => "COMPLIANCE",
            };
            headers.push(("x-amz-object-lock-mode", mode.to_owned()));
            headers.push(("x-amz-object-lock-retain-until-date", until.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()));
        }
        headers
    }

    /// Sends a request that makes something in the bucket, and makes the bucket if it is absent.
    fn in_bucket<T>(&self, send: impl Fn() -> CallResult<T>) -> CallResult<T> {
        match send() {
            Err(failure) if failure.no_bucket() && !self.client.settings.no_check_bucket => {
                super::make_bucket(&self.client, &self.bucket)?;
                send()
            }
            other => other,
        }
    }

    /// The buffer is full and there is more: it becomes a part.
    fn send_part(&mut self) -> CallResult<()> {
        if self.number > MAX_PARTS {
            let what = Call::new("PUT", &self.bucket, &self.key).what();
            return Err(Failure {
                status: 400,
                code: "TooManyParts".to_owned(),
                ..Failure::network(&what, "an object has at most 10,000 parts: use a larger --part-size")
            });
        }
        if self.multipart.is_none() {
            self.multipart = Some(self.begin()?);
        }
        let number = self.number;
        self.number += 1;
        let next = self.plan.part(self.number);
        let in_flight = self.plan.in_flight(next);
        let bytes = std::mem::take(&mut self.buffer);
        if let Some(multipart) = &mut self.multipart {
            self.buffer =
                multipart.parts.submit(number, bytes, in_flight, usize::try_from(next).unwrap_or(usize::MAX))?;
        }
        Ok(())
    }

    /// Starts a multipart upload with the strongest checksum that the server takes.
    fn begin(&self) -> CallResult<Multipart> {
        let dialect = &self.client.settings.dialect;
        let mut method = if dialect.checksums { Method::Crc64 } else { Method::Md5 };
        let (headers, id) = loop {
            let mut call =
                Call::new("POST", &self.bucket, &self.key).query("uploads", "").headers(self.object_headers());
            if let Some(algorithm) = method.algorithm() {
                call = call.header("x-amz-checksum-algorithm", algorithm);
            }
            if method == Method::Crc64 {
                call = call.header("x-amz-checksum-type", "FULL_OBJECT");
            }
            let started = self.in_bucket(|| {
                self.client.call(&call, |reply| {
                    let (headers, text) = text(reply)?;
                    let id = xml::value(&text, "UploadId").filter(|id| !id.is_empty());
                    let id = id.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "it has no upload id"))?;
                    Ok((headers, id))
                })
            });
            match (started, method.weaker()) {
                (Ok(started), _) => break started,
                (Err(failure), Some(weaker)) if failure.unsupported() => method = weaker,
                (Err(failure), _) => return Err(failure),
            }
        };
        // A server that does not name the algorithm may ignore it.
        let named = header(&headers, "x-amz-checksum-algorithm");
        let trusted = method == Method::Md5 || named.is_some_and(|named| Some(named) == method.algorithm());
        let open = Open { client: Arc::clone(&self.client), bucket: self.bucket.clone(), key: self.key.clone(), id };
        Ok(Multipart::new(open, method, trusted))
    }

    /// A small object in one request.
    fn put(&self) -> CallResult<()> {
        let data = self.buffer.as_slice();
        let crc64 = checksum::text64(checksum::crc64(data));
        // Every server verifies Content-MD5, and on one part it costs little; the newer checksum
        // goes along where the dialect has it, and stays with the object as metadata.
        let call = |with_crc: bool| {
            let mut call = Call::new("PUT", &self.bucket, &self.key)
                .headers(self.object_headers())
                .header("content-md5", Method::Md5.of(data))
                .header(CRC64_METADATA, crc64.as_str())
                .payload(Payload::Data(data));
            if with_crc {
                call = call.header(CRC64_HEADER, crc64.as_str());
            }
            call
        };
        let attempt = |with_crc| self.in_bucket(|| self.client.call(&call(with_crc), text).map(drop));
        let checksums = self.client.settings.dialect.checksums;
        let retries = progress::transfer().retries;
        let sent = match attempt(checksums) {
            Err(failure) if checksums && failure.unsupported() => attempt(false),
            other => other,
        };
        match sent {
            // An earlier try may have been carried out although its reply never came.
            Err(failure) if failure.ambiguous() || progress::transfer().retries > retries => match self.look() {
                Ok(Some(_)) => Ok(()),
                _ => Err(failure),
            },
            // versitygw stores first and refuses the lock then: unlocked it must not stay.
            Err(failure) if tuning().retain_until.is_some() => {
                if let Ok(Some(_)) = self.look() {
                    let _ = self.client.text(&Call::new("DELETE", &self.bucket, &self.key));
                }
                Err(failure)
            }
            other => other,
        }
    }

    /// Whether the object under our key is the one of this upload: its size, if so.
    fn look(&self) -> CallResult<Option<Looked>> {
        let call = Call::new("HEAD", &self.bucket, &self.key).header("x-amz-checksum-mode", "ENABLED");
        match self.client.text(&call) {
            Ok((headers, _)) if header(&headers, TOKEN) == Some(self.token.as_str()) => Ok(Some(Looked {
                size: header(&headers, "content-length").and_then(|text| text.parse().ok()),
                crc64: header(&headers, CRC64_HEADER).and_then(checksum::parse64),
                tag: header(&headers, "etag").unwrap_or_default().trim_matches('"').to_owned(),
            })),
            Ok(_) => Ok(None),
            Err(failure) if failure.is_absent() => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    /// Completes the upload; a lost reply is neither a failure nor a second object.
    fn complete(&self, multipart: &Multipart, stored: &[Stored]) -> Result<()> {
        let crc64 = stored.iter().fold(0, |all, part| checksum::combine(all, part.crc64, part.length));
        let body = completing_body(multipart.method, stored);
        let mut call = Call::new("POST", &self.bucket, &self.key)
            .query("uploadId", multipart.open.id.as_str())
            .header("content-type", "application/xml")
            .payload(Payload::Document(body.as_bytes()))
            .tries(1);
        if multipart.method == Method::Crc64 {
            call = call.header(CRC64_HEADER, checksum::text64(crc64)).header("x-amz-checksum-type", "FULL_OBJECT");
        }
        let what = call.what();
        let mut pause = Duration::from_millis(100);
        let tries = tuning().tries.unwrap_or(LOOKS);
        for attempt in 1.. {
            let outcome = self.client.text(&call).and_then(|(_, reply)| judge_completion(&what, &reply));
            let failure = match outcome {
                Ok(()) => break,
                Err(failure) => failure,
            };
            // Also "no such upload" is what a second try hears after a first that worked.
            if failure.ambiguous() || failure.is_absent() || failure.retryable() {
                match self.look() {
                    Ok(Some(_)) => break,
                    Ok(None) if attempt < tries && failure.retryable() => {}
                    Ok(None) => return Err(failure.into()),
                    Err(_) if attempt < tries => {}
                    Err(looking) => {
                        return Err(Error::from(looking)
                            .during("the completing request was sent, but whether the object is stored is unknown"));
                    }
                }
            } else {
                return Err(failure.into());
            }
            progress::RETRIES.add(1);
            std::thread::sleep(failure.retry_after.map_or_else(|| jittered(pause), |asked| asked.min(PATIENCE)));
            pause = (pause * 2).min(Duration::from_secs(20));
        }
        self.verify(multipart, stored, crc64)
    }

    /// The server has what we sent, as far as it can say: its size and, where it keeps one, the
    /// checksum of the whole.
    fn verify(&self, multipart: &Multipart, stored: &[Stored], crc64: u64) -> Result<()> {
        let looked = match self.look() {
            Ok(Some(looked)) => looked,
            // Somebody else has written it since; ours was complete.
            Ok(None) => return Ok(()),
            // Each part was verified, and the server has said that it put them together.
            Err(failure) => {
                say!("Warning: the object is stored, but could not be looked at: {}", Error::from(failure));
                return Ok(());
            }
        };
        let wrong = if looked.size.is_some_and(|size| size != self.total) {
            format!("the server stored {} bytes of {}", looked.size.unwrap_or_default(), self.total)
        } else if multipart.method == Method::Crc64 && looked.crc64.is_some_and(|theirs| theirs != crc64) {
            "the server's checksum of the object is not ours".to_owned()
        } else if multipart.method == Method::Md5
            && self.client.settings.dialect.tags
            && looked.tag.ends_with(&format!("-{}", stored.len()))
            && checksum::multipart_tag(stored).is_some_and(|expected| expected != looked.tag)
        {
            // Where the tags of parts were their MD5s, and that of the object is made of as many
            // parts, it follows from them. Some servers have another rule.
            "the server's entity tag of the object is not that of our parts".to_owned()
        } else {
            return Ok(());
        };
        let removed = self.client.text(&Call::new("DELETE", &self.bucket, &self.key));
        let also = if removed.is_ok() { "it was removed again" } else { "it could not be removed again" };
        Err(Error::Mismatch(format!("{wrong}; {also}")))
    }

    fn store(&mut self) -> Result<()> {
        if self.multipart.is_none() {
            staging::remote_completing();
            let put = self.put();
            staging::remote_ended(put.is_ok());
            return put.map_err(Into::into);
        }
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        let Some(mut multipart) = self.multipart.take() else { return Ok(()) };
        let finished = multipart.parts.finish().map_err(Error::from).and_then(|stored| {
            staging::remote_completing();
            self.complete(&multipart, &stored)
        });
        if finished.is_err() {
            drop(multipart.parts);
            multipart.open.abort();
        }
        staging::remote_ended(finished.is_ok());
        finished
    }
}

struct Looked {
    size: Option<u64>,
    crc64: Option<u64>,
    tag: String,
}

fn completing_body(method: Method, stored: &[Stored]) -> String {
    let mut body = String::from("<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for part in stored {
        let _ = write!(body, "<Part><PartNumber>{}</PartNumber><ETag>{}</ETag>", part.number, xml::escape(&part.tag));
        if let Some(element) = method.element() {
            let _ = write!(body, "<{element}>{}</{element}>", part.checksum);
        }
        body += "</Part>";
    }
    body + "</CompleteMultipartUpload>"
}

/// The reply to the completing request starts before the outcome is known, so a failure may come
/// with a good status.
fn judge_completion(what: &str, reply: &str) -> CallResult<()> {
    if xml::value(reply, "ETag").is_some() && xml::value(reply, "Code").is_none() {
        return Ok(());
    }
    let code = xml::value(reply, "Code");
    let status = match code.as_deref() {
        None => return Err(Failure::network(what, "the reply is cut short")),
        Some("NoSuchUpload") => 404,
        Some("InternalError" | "ServiceUnavailable" | "SlowDown") => 503,
        Some(_) => 400,
    };
    Err(Failure::refused(what, status, reply, None))
}

impl Write for S3Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.part_size();
        if self.buffer.capacity() == 0 {
            // Pages are touched only as they fill.
            self.buffer.reserve_exact(size);
        }
        if self.buffer.len() >= size {
            self.send_part().map_err(Error::from)?;
        }
        let room = self.part_size().saturating_sub(self.buffer.len());
        let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.buffer.extend_from_slice(taken);
        self.total += taken.len() as u64;
        progress::STORED.add(taken.len() as u64);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for S3Upload {
    fn commit(mut self: Box<Self>) -> Result<()> {
        self.store()
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        if let Some(Multipart { open, parts, .. }) = self.multipart.take() {
            drop(parts);
            open.abort();
            staging::remote_ended(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Class;

    #[test]
    fn a_good_status_may_carry_a_failure() {
        let judge = |reply: &str| judge_completion("POST", reply);
        let good = "<CompleteMultipartUploadResult><ETag>\"x-2\"</ETag></CompleteMultipartUploadResult>";
        assert!(judge(good).is_ok());
        assert!(judge(&good[..good.len() - 5]).unwrap_err().retryable());
        assert!(judge("").unwrap_err().retryable());
        assert!(judge("<Error><Code>InternalError</Code></Error>").unwrap_err().retryable());
        assert!(judge("<Error><Code>NoSuchUpload</Code></Error>").unwrap_err().is_absent());
        assert_eq!(Error::from(judge("<Error><Code>InvalidPart</Code></Error>").unwrap_err()).class(), Class::Terminal);
    }
}
