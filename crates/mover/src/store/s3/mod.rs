//! Objects in a bucket of an S3 server, of any of the dialects of mover.md §1.5.
//!
//! Enters: `[storage]` with `type = s3`. Leaves: the flat kind of store. Own thin client, without
//! an asynchronous runtime: the libraries lack object lock, CRC64NVME or parts that grow, and the
//! binary starts for every WAL segment (docs/adr/0014).

use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crc_fast::Digest;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use mover_protocol::Reason;

use super::{Entry, Kind, Object, Store, Upload, Visit};
use crate::clock;
use crate::error::{Error, Result, say};
use crate::ini::Ini;

mod checksum;
pub(super) mod client;
mod download;
#[cfg(test)]
mod download_tests;
mod failure;
pub(super) mod listing;
pub(super) mod memory;
mod multipart;
mod parts;
mod range;
mod removal;
mod settings;
pub(super) mod sign;
pub(super) mod throttle;
pub(super) mod tls;
mod upload;
mod window;
pub(super) mod xml;

use client::{Call, Client, Payload, header, text};
use failure::CallResult;
use settings::Settings;
use xml::Met;

/// Metadata that keeps the CRC64NVME of a small object for servers that do not.
const CRC64_METADATA: &str = "x-amz-meta-dsf-crc64";

/// A store in one bucket, or in all, each named by the first segment of a path.
pub struct S3Store {
    client: Arc<Client>,
}

/// Bucket and key of a path.
struct Place {
    bucket: String,
    key: Vec<u8>,
}

impl Place {
    /// The prefix of what is below this place.
    fn prefix(&self) -> Vec<u8> {
        let mut prefix = self.key.clone();
        if !prefix.is_empty() {
            prefix.push(b'/');
        }
        prefix
    }
}

impl S3Store {
    /// A store as the configuration says; connects to nothing yet.
    pub fn open(ini: &Ini) -> Result<Self> {
        Ok(Self { client: Arc::new(Client::new(Settings::read(ini)?)) })
    }

    fn place(&self, path: &Path) -> Result<Place> {
        let path = path.as_os_str().as_bytes();
        let settings = &self.client.settings;
        if let Some(bucket) = &settings.bucket {
            let mut key = settings.prefix.clone().into_bytes();
            if !key.is_empty() && !path.is_empty() {
                key.push(b'/');
            }
            key.extend(path);
            return Ok(Place { bucket: bucket.clone(), key });
        }
        let (bucket, key) = match path.iter().position(|byte| *byte == b'/') {
            Some(at) => (path.get(..at).unwrap_or_default(), path.get(at + 1..).unwrap_or_default()),
            None => (path, &b""[..]),
        };
        if bucket.is_empty() {
            return Err(Error::Config("the configuration has no root, and the path names no bucket".to_owned()));
        }
        Ok(Place { bucket: String::from_utf8_lossy(bucket).into_owned(), key: key.to_vec() })
    }

    fn object_place(&self, path: &Path) -> Result<Place> {
        self.place(path).and_then(|place| if place.key.is_empty() { Err(Error::IsDirectory) } else { Ok(place) })
    }
}

impl Store for S3Store {
    fn describe(&self) -> String {
        let settings = &self.client.settings;
        let bucket = settings.bucket.as_deref().unwrap_or_default();
        let slash = if settings.prefix.is_empty() { "" } else { "/" };
        format!("S3 store {}://{} at s3://{bucket}{slash}{}", settings.scheme, settings.host, settings.prefix)
    }

    fn kind(&self) -> Kind {
        Kind::Flat
    }

    fn open(&self, key: &Path) -> Result<Object> {
        let place = self.object_place(key)?;
        download::open(Arc::clone(&self.client), place.bucket, place.key)
    }

    fn read_range(&self, key: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        let place = self.object_place(key)?;
        download::piece(&self.client, &place.bucket, &place.key, offset, length)
    }

    fn open_at(&self, key: &Path, tag: &str, offset: u64, before: &Digest) -> Result<Option<Object>> {
        let place = self.object_place(key)?;
        download::open_at(Arc::clone(&self.client), place.bucket, place.key, tag, offset, before)
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        let place = self.object_place(key)?;
        Ok(Box::new(upload::S3Upload::new(Arc::clone(&self.client), place.bucket, place.key)?))
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        let place = self.place(key)?;
        let Some(name) = key.file_name().filter(|_| !place.key.is_empty()) else { return Ok(None) };
        match self.client.text(&Call::new("HEAD", &place.bucket, &place.key)) {
            Ok((headers, _)) => Ok(Some(Entry {
                name: name.to_owned(),
                size: header(&headers, "content-length").and_then(|text| text.parse().ok()).unwrap_or(0),
                modified: header(&headers, "last-modified")
                    .and_then(|text| rfc2822::parse(text).ok())
                    .map_or(SystemTime::UNIX_EPOCH, |time| time.timestamp().into()),
                is_dir: false,
            })),
            // HEAD has no body that would tell an absent bucket from an absent object; a listing,
            // which follows, does.
            Err(failure) if failure.status == 404 => Ok(None),
            Err(failure) => Err(failure.into()),
        }
    }

    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        let place = self.place(dir)?;
        match listing::visit(&self.client, &place.bucket, &place.prefix(), levels, visit) {
            // The first push makes it; until then what lists before it pushes must not fail.
            Err(Error::Remote { reason: Reason::BucketMissing, .. }) if !self.client.settings.no_check_bucket => {
                say!("Warning: there is no bucket {:?} yet", place.bucket);
                Ok(())
            }
            other => other,
        }
    }

    fn remove(&self, key: &Path) -> Result<()> {
        let place = self.object_place(key)?;
        match self.client.text(&Call::new("DELETE", &place.bucket, &place.key)) {
            Ok(_) => Ok(()),
            Err(failure) if failure.is_absent() => Ok(()),
            Err(failure) => Err(failure.into()),
        }
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        if self.client.settings.bucket.is_none() {
            return Err(Error::Config(
                "the configuration has no root, so a path names a bucket: nothing is removed recursively".to_owned(),
            ));
        }
        let place = self.place(key)?;
        let removed = removal::remove_all(&self.client, &place.bucket, &place.prefix())?;
        if removed == 0 && self.object(key)?.is_some() {
            return Err(Error::IsFile);
        }
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    /// Directories are not made, but the bucket that they would be in is.
    fn make_dir(&self, key: &Path) -> Result<()> {
        if self.client.settings.no_check_bucket {
            return Ok(());
        }
        let place = self.place(key)?;
        match self.client.text(&Call::new("HEAD", &place.bucket, b"")) {
            Err(failure) if failure.status == 404 => Ok(make_bucket(&self.client, &place.bucket)?),
            // Credentials may allow objects only.
            Err(failure) if failure.status == 403 => Ok(()),
            Err(failure) => Err(failure.into()),
            Ok(_) => Ok(()),
        }
    }

    fn sweep(&self, dir: &Path, older_than: Duration) -> Result<u64> {
        let place = self.place(dir)?;
        sweep(&self.client, &place, older_than)
    }
}

/// Makes a bucket; that it is there already is fine.
fn make_bucket(client: &Client, bucket: &str) -> CallResult<()> {
    let region = client.settings.region.as_str();
    let body = if region == "us-east-1" {
        String::new()
    } else {
        format!(
            "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><LocationConstraint>{}\
             </LocationConstraint></CreateBucketConfiguration>",
            xml::escape(region)
        )
    };
    match client.text(&Call::new("PUT", bucket, b"").payload(Payload::Document(body.as_bytes()))) {
        Ok(_) => Ok(()),
        Err(failure) if failure.status == 409 => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Aborts unfinished uploads below a place that began longer ago than this; gives their number.
fn sweep(client: &Client, place: &Place, older_than: Duration) -> Result<u64> {
    let limit = Timestamp::try_from(clock::now()).ok().and_then(|now| now.checked_sub(older_than).ok());
    let limit = limit.ok_or_else(|| Error::Usage("that is too long ago".to_owned()))?;
    let prefix = String::from_utf8_lossy(&place.prefix()).into_owned();
    let (mut markers, mut aborted) = ((String::new(), String::new()), 0);
    loop {
        let mut call = Call::new("GET", &place.bucket, b"").query("uploads", "").query("prefix", prefix.as_str());
        if !markers.0.is_empty() {
            call = call.query("key-marker", markers.0.as_str()).query("upload-id-marker", markers.1.as_str());
        }
        let page = client.call(&call, |reply| Uploads::parse(&text(reply)?.1))?;
        for upload in &page.begun {
            let began: Timestamp = upload.initiated.parse().map_err(|_| {
                Error::Mismatch(format!("the server sent the time {:?} of an upload", upload.initiated))
            })?;
            // Some servers ignore the prefix of this listing.
            if began > limit || !upload.key.starts_with(&prefix) {
                continue;
            }
            let abort = Call::new("DELETE", &place.bucket, upload.key.as_bytes()).query("uploadId", upload.id.as_str());
            match client.text(&abort) {
                Ok(_) => aborted += 1,
                Err(failure) if failure.is_absent() => {}
                Err(failure) => return Err(failure.into()),
            }
        }
        if !page.truncated || page.next == markers {
            return Ok(aborted);
        }
        markers = page.next;
    }
}

#[derive(Default)]
struct Begun {
    key: String,
    id: String,
    initiated: String,
}

#[derive(Default)]
struct Uploads {
    begun: Vec<Begun>,
    truncated: bool,
    next: (String, String),
}

impl Uploads {
    fn parse(text: &str) -> std::io::Result<Self> {
        let mut page = Self::default();
        let mut upload = Begun::default();
        xml::walk(text, |path, met| {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            match (names.as_slice(), met) {
                ([_, "IsTruncated"], Met::Text(text)) => page.truncated = text.trim() == "true",
                ([_, "NextKeyMarker"], Met::Text(text)) => text.clone_into(&mut page.next.0),
                ([_, "NextUploadIdMarker"], Met::Text(text)) => text.clone_into(&mut page.next.1),
                ([_, "Upload", "Key"], Met::Text(text)) => text.clone_into(&mut upload.key),
                ([_, "Upload", "UploadId"], Met::Text(text)) => text.clone_into(&mut upload.id),
                ([_, "Upload", "Initiated"], Met::Text(text)) => text.trim().clone_into(&mut upload.initiated),
                ([_, "Upload"], Met::End) => page.begun.push(std::mem::take(&mut upload)),
                _ => {}
            }
        })?;
        Ok(page)
    }
}
