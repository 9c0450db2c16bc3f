//! A container of Azure or a bucket of Google, through OpenDAL.
//!
//! Enters: `[storage]` with `type = azureblob` or `google cloud storage`. Leaves: the flat kind of
//! store. Reads are bound to what the object was at their start: its generation where the service counts them, since not
//! every one heeds entity tags, else its entity tag.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::SystemTime;

use futures::StreamExt;
use mover_protocol::Reason;
use opendal::layers::RetryLayer;
use opendal::{
    Buffer, BufferStream, ErrorKind, HttpTransporter, Lister, Metadata, OperationContext, Operator, services,
};

use super::bridge::{Bridge, wait};
use super::objects_upload::ObjectUpload;
use super::settings::{Section, text_of};
use crate::error::{Class, Error, Result, one_line};
use crate::ini::Ini;
use crate::progress;
use crate::size;
use crate::store::s3::listing::Directories;
use crate::store::s3::memory::Plan;
use crate::store::{Entry, Kind, Object, Store, Upload, Visit, buffered};
use crate::tuning::tuning;

const TRIES: u32 = 8;
/// Length of one range.
const RANGE: usize = 8 << 20;
/// Keys that are removed together.
const BATCH: usize = 200;

/// A container, or a prefix of it.
pub struct ObjectStore {
    operator: Operator,
    /// How messages name it.
    shown: String,
    chunk_size: Option<u64>,
}

impl ObjectStore {
    /// `type = azureblob`.
    pub fn azure(ini: &Ini) -> Result<Self> {
        let section = Section(ini);
        let (container, prefix) = split(section.need("root")?);
        let account = section.need("account")?;
        let endpoint =
            section.get("endpoint").map_or_else(|| format!("https://{account}.blob.core.windows.net"), with_scheme);
        let mut builder = services::Azblob::default()
            .container(container)
            .root(&format!("/{prefix}"))
            .endpoint(&endpoint)
            .account_name(account);
        builder = match (section.get("key"), section.get("sas_url")) {
            (Some(key), _) => builder.account_key(key),
            (None, Some(url)) => builder.sas_token(url.split_once('?').map_or(url, |(_, token)| token)),
            (None, None) => {
                return Err(Error::Config(
                    "storage type \"azureblob\" needs key or sas_url in the configuration".into(),
                ));
            }
        };
        let shown = format!("Azure container {endpoint}/{container}/{prefix}");
        Self::new(section, Operator::new(builder), shown, &endpoint)
    }

    /// `type = google cloud storage`.
    pub fn google(ini: &Ini) -> Result<Self> {
        let section = Section(ini);
        let (bucket, prefix) = split(section.need("root")?);
        let endpoint = section.get("endpoint").map_or_else(|| "https://storage.googleapis.com".to_owned(), with_scheme);
        let mut builder = services::Gcs::default()
            .bucket(bucket)
            .root(&format!("/{prefix}"))
            .endpoint(&endpoint)
            .disable_vm_metadata();
        if section.flag("anonymous") {
            builder = builder.skip_signature();
        } else if let Some(document) = section.get("service_account_credentials") {
            use base64::Engine;
            builder = builder.credential(&base64::engine::general_purpose::STANDARD.encode(document));
        } else {
            builder = builder.credential_path(section.need("service_account_file")?);
        }
        let shown = format!("Google bucket {endpoint}/{bucket}/{prefix}");
        Self::new(section, Operator::new(builder), shown, &endpoint)
    }

    fn new(section: Section<'_>, made: opendal::Result<Operator>, shown: String, endpoint: &str) -> Result<Self> {
        let operator = made.map_err(|error| Error::Config(one_line(error.message())))?;
        let bridge = Bridge::new(endpoint.starts_with("https:"), !section.flag("no_check_certificate"));
        let context = OperationContext::new().with_http_transport(HttpTransporter::new(bridge));
        let tries = usize::try_from(tuning().tries.unwrap_or(TRIES)).unwrap_or(usize::MAX);
        let retry = RetryLayer::new()
            .with_jitter()
            .with_max_times(tries.saturating_sub(1))
            .with_notify(|_: opendal::layers::RetryEvent<'_>| progress::RETRIES.add(1));
        let chunk_size = section.get("chunk_size").and_then(|text| size::parse(text, 1024)).filter(|size| *size > 0);
        Ok(Self { operator: operator.with_context(context).layer(retry), shown, chunk_size })
    }

    fn name(key: &Path) -> Result<&str> {
        let name = text_of(key)?;
        if name.trim() != name {
            return Err(Error::InvalidPath {
                path: name.to_owned(),
                why: "this storage type cannot have blanks at the ends of a name",
            });
        }
        Ok(name)
    }

    fn failed(&self, doing: &str, name: &str) -> impl FnOnce(opendal::Error) -> Error {
        let what = format!("{doing} {:?} in the {}", name, self.shown);
        move |error| explain(what, &error)
    }

    fn stat(&self, name: &str) -> Result<Option<Metadata>> {
        match wait(self.operator.stat(name))? {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.failed("look for", name)(error)),
        }
    }

    fn lister(&self, prefix: &str, recursive: bool) -> Result<Lister> {
        let listing = async { self.operator.lister_with(prefix).recursive(recursive).await };
        wait(listing)?.map_err(self.failed("list", prefix))
    }

    fn remove_names(&self, names: Vec<String>) -> opendal::Result<()> {
        wait(self.operator.delete_iter(names))
            .unwrap_or_else(|error| Err(opendal::Error::new(ErrorKind::Unexpected, error.to_string())))
    }
}

/// Container and prefix of `root`.
fn split(root: &str) -> (&str, String) {
    let root = root.trim_matches('/');
    let (container, prefix) = root.split_once('/').unwrap_or((root, ""));
    let parts: Vec<_> = prefix.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (container, parts.join("/"))
}

fn with_scheme(endpoint: &str) -> String {
    if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
}

/// The library's error without what it would print of the request.
pub fn explain(what: String, error: &opendal::Error) -> Error {
    let (reason, class) = match error.kind() {
        ErrorKind::NotFound => (Reason::NotFound, Class::Terminal),
        ErrorKind::PermissionDenied => (Reason::AuthFailed, Class::Terminal),
        ErrorKind::RateLimited => (Reason::Throttled, Class::Transient),
        ErrorKind::ConditionNotMatch => (Reason::ChecksumMismatch, Class::Terminal),
        ErrorKind::ConfigInvalid => (Reason::Config, Class::Terminal),
        _ if error.is_temporary() || error.is_persistent() => (Reason::Network, Class::Transient),
        _ => (Reason::Internal, Class::Terminal),
    };
    let message: String = one_line(error.message()).chars().take(300).collect();
    Error::Remote { what, why: format!("{}: {message}", error.kind()), reason, class }
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.last_modified().map_or(SystemTime::UNIX_EPOCH, |time| time.into_inner().into())
}

impl Store for ObjectStore {
    fn describe(&self) -> String {
        self.shown.clone()
    }

    fn kind(&self) -> Kind {
        Kind::Flat
    }

    fn open(&self, key: &Path) -> Result<Object> {
        let name = Self::name(key)?;
        if name.is_empty() {
            return Err(Error::IsDirectory);
        }
        let found = self.stat(name)?.filter(|found| !found.is_dir()).ok_or(Error::NotFound)?;
        let (size, tag) = (found.content_length(), found.etag().map(str::to_owned));
        let ahead = Plan::new(None, tuning()).window();
        let by_generation = self.operator.info().capability().read_with_if_version_match;
        let generation = found.version().filter(|_| by_generation).map(str::to_owned);
        let bound = tag.clone();
        let opened = async {
            let mut reader = self.operator.reader_with(name).chunk(RANGE).concurrent(ahead);
            if let Some(generation) = generation.as_deref() {
                reader = reader.if_version_match(generation);
            } else if let Some(tag) = bound.as_deref() {
                reader = reader.if_match(tag);
            }
            reader.await?.into_stream(0..size).await
        };
        let stream = if size == 0 { None } else { Some(wait(opened)?.map_err(self.failed("read", name))?) };
        let what = format!("read {name:?} in the {}", self.shown);
        let body = Download { stream, piece: Buffer::new(), at: 0, size, what };
        Ok(Object { body: buffered(progress::Counted(body)), size: Some(size), tag })
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        let name = Self::name(key)?;
        if name.is_empty() {
            return Err(Error::IsDirectory);
        }
        let what = format!("write {name:?} in the {}", self.shown);
        Ok(Box::new(ObjectUpload::new(self.operator.clone(), name.to_owned(), what, self.chunk_size)))
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        let Some(base) = key.file_name() else { return Ok(None) };
        let found = self.stat(Self::name(key)?)?.filter(|found| !found.is_dir());
        Ok(found.map(|found| Entry {
            name: base.to_owned(),
            size: found.content_length(),
            modified: modified(&found),
            is_dir: false,
        }))
    }

    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        let depth = levels.map_or(usize::MAX, NonZeroUsize::get);
        let mut prefix = Self::name(dir)?.to_owned();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let mut lister = self.lister(&prefix, depth > 1)?;
        let mut directories = Directories::default();
        while let Some(next) = wait(lister.next())? {
            let (path, metadata) = next.map_err(self.failed("list", &prefix))?.into_parts();
            let path = path.strip_prefix(&prefix).unwrap_or_default().as_bytes();
            directories.add(path, depth);
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if name.is_empty() || path.split(|byte| *byte == b'/').count() > depth {
                continue;
            }
            let entry = Entry {
                name: OsStr::from_bytes(name).to_owned(),
                size: metadata.content_length(),
                modified: modified(&metadata),
                is_dir: false,
            };
            visit(Path::new(OsStr::from_bytes(path)), &entry)?;
        }
        directories.visit(visit)
    }

    fn remove(&self, key: &Path) -> Result<()> {
        let name = Self::name(key)?;
        wait(self.operator.delete(name))?.map_err(self.failed("remove", name))
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        let mut prefix = Self::name(key)?.to_owned();
        if !prefix.is_empty() {
            prefix.push('/');
        }
        let mut lister = self.lister(&prefix, true)?;
        let (mut seen, mut left, mut why) = (0, 0, None);
        loop {
            let mut names = Vec::new();
            while names.len() < BATCH
                && let Some(next) = wait(lister.next())?
            {
                names.push(next.map_err(self.failed("list", &prefix))?.into_parts().0);
            }
            if names.is_empty() {
                break;
            }
            seen += names.len();
            let count = names.len();
            if let Err(error) = self.remove_names(names) {
                left += count;
                why.get_or_insert(error);
            }
        }
        if let Some(error) = why {
            let error = self.failed("remove", &prefix)(error);
            return Err(error.during(format!("up to {left} of {seen} objects could not be removed")));
        }
        if seen == 0 && !key.as_os_str().is_empty() && self.object(key)?.is_some() {
            return Err(Error::IsFile);
        }
        Ok(())
    }

    fn remove_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }

    fn make_dir(&self, _: &Path) -> Result<()> {
        Ok(())
    }
}

/// An object on its way out.
struct Download {
    stream: Option<BufferStream>,
    piece: Buffer,
    at: u64,
    size: u64,
    what: String,
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.piece.is_empty() {
            let Some(stream) = &mut self.stream else { break };
            match wait(stream.next())? {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Err(explain(self.what.clone(), &error).into()),
                None => self.stream = None,
            }
        }
        let count = self.piece.read(buffer)?;
        self.at += count as u64;
        if count == 0 && self.at != self.size {
            let why = format!("{} bytes came of an object of {}", self.at, self.size);
            return Err(Error::Mismatch(why).into());
        }
        Ok(count)
    }
}
