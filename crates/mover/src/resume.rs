//! `pull --resume STATE`: a pull into a file that goes on where an earlier one ended.
//!
//! Enters: an object that is stored as it is, and what an earlier pull left. Leaves: the file,
//! whole; or the part that came and STATE, which says of which version of which object it is, how
//! far it is safe and what its checksum is. Nothing is trusted: the part is read again before it
//! is used, and another version of the object starts from the beginning.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result, say};
use crate::progress;
use crate::staging::sync_dir;
use crate::store::{Object, Store};

const BUFFER: usize = 256 * 1024;
/// Prefix of the part beside the file that it becomes.
const PART_PREFIX: &str = ".dsf-part-";
/// Bytes between two records.
const STEP: u64 = 256 << 20;
/// Overrides [`STEP`]; for tests.
const STEP_ENV: &str = "DATASAFED_MOVER_RESUME_STEP";

/// What STATE holds.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct State {
    v: u32,
    /// Store and key.
    object: String,
    /// Version of the object.
    etag: String,
    part: PathBuf,
    offset: u64,
    crc64: u64,
}

/// A pull that can go on.
pub struct Resumable<'a> {
    store: &'a dyn Store,
    key: &'a Path,
    state: &'a Path,
    target: &'a Path,
    part: PathBuf,
}

impl<'a> Resumable<'a> {
    /// A pull of `key` into `target`, which is absolute.
    pub fn new(store: &'a dyn Store, key: &'a Path, state: &'a Path, target: &'a Path) -> Self {
        let mut name = std::ffi::OsString::from(PART_PREFIX);
        name.push(target.file_name().unwrap_or_default());
        Self { store, key, state, target, part: target.with_file_name(name) }
    }

    /// Fetches what is missing; `finish` prepares the file before it gets its name.
    pub fn fetch(&self, finish: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
        let (object, mut file, mut digest, mut at) = match self.earlier()? {
            Some(found) => found,
            None => self.anew()?,
        };
        let Object { mut body, tag, size } = object;
        let step = std::env::var(STEP_ENV).ok().and_then(|text| text.parse().ok()).unwrap_or(STEP);
        let mut recorded = at;
        let mut buffer = vec![0; BUFFER];
        let outcome = loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => break Err(Error::read(error)),
            };
            let bytes = buffer.get(..count).unwrap_or_default();
            if let Err(error) = file.write_all(bytes) {
                break Err(self.failed("write", error));
            }
            digest.update(bytes);
            progress::moved(bytes);
            at += count as u64;
            if at - recorded >= step {
                self.record(&file, tag.as_deref(), at, &digest)?;
                recorded = at;
            }
        };
        let outcome = match (outcome, size) {
            (Ok(()), Some(size)) if size != at => {
                Err(Error::Mismatch(format!("{at} bytes came of an object of {size}")))
            }
            (outcome, _) => outcome,
        };
        if let Err(error) = outcome {
            self.keep(&file, tag.as_deref(), at, &digest, &error);
            return Err(error);
        }
        let failed = |error| self.failed("commit", error);
        finish(&file).map_err(failed)?;
        file.sync_all().map_err(failed)?;
        fs::rename(&self.part, self.target).map_err(failed)?;
        if let Some(dir) = self.target.parent() {
            File::open(dir).and_then(sync_dir).map_err(failed)?;
        }
        let _ = fs::remove_file(self.state);
        Ok(())
    }

    /// After a failure: what came stays, unless it is known to be of no use.
    fn keep(&self, file: &File, tag: Option<&str>, at: u64, digest: &Digest, error: &Error) {
        let damaged = error.reason() == mover_protocol::Reason::ChecksumMismatch;
        if tag.is_none() || damaged {
            let _ = fs::remove_file(&self.part);
            let _ = fs::remove_file(self.state);
        } else if let Err(other) = self.record(file, tag, at, digest) {
            say!("Warning: {other}");
        }
    }

    /// What an earlier pull left, if it is of use.
    #[allow(clippy::type_complexity, reason = "what fetch goes on with, in one place")]
    fn earlier(&self) -> Result<Option<(Object, File, Digest, u64)>> {
        let Ok(text) = fs::read(self.state) else { return Ok(None) };
        let Ok(state) = serde_json::from_slice::<State>(&text) else { return Ok(None) };
        if state.v != 1 || state.object != self.object() || state.part != self.part {
            return Ok(None);
        }
        let Ok(mut file) = OpenOptions::new().read(true).write(true).open(&self.part) else { return Ok(None) };
        let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
        let mut head = (&file).take(state.offset);
        let mut buffer = vec![0; BUFFER];
        let mut length = 0;
        loop {
            let count = head.read(&mut buffer).map_err(|error| self.failed("read", error))?;
            if count == 0 {
                break;
            }
            digest.update(buffer.get(..count).unwrap_or_default());
            length += count as u64;
        }
        if length != state.offset || digest.finalize() != state.crc64 {
            return Ok(None);
        }
        let Some(object) = self.store.open_at(self.key, &state.etag, state.offset, &digest)? else { return Ok(None) };
        let cut = file.set_len(state.offset).and_then(|()| file.seek(SeekFrom::Start(state.offset)));
        cut.map_err(|error| self.failed("truncate", error))?;
        Ok(Some((object, file, digest, state.offset)))
    }

    #[allow(clippy::type_complexity, reason = "as in earlier")]
    fn anew(&self) -> Result<(Object, File, Digest, u64)> {
        let object = self.store.open(self.key)?;
        let _ = fs::remove_file(self.state);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(&self.part);
        let file = file.map_err(|error| self.failed("create", error))?;
        Ok((object, file, Digest::new(CrcAlgorithm::Crc64Nvme), 0))
    }

    fn object(&self) -> String {
        format!("{} {}", self.store.describe(), self.key.display())
    }

    /// What has come so far is safe on disk, then STATE says so.
    fn record(&self, file: &File, tag: Option<&str>, offset: u64, digest: &Digest) -> Result<()> {
        let Some(etag) = tag else { return Ok(()) };
        let state = State {
            v: 1,
            object: self.object(),
            etag: etag.to_owned(),
            part: self.part.clone(),
            offset,
            crc64: digest.finalize(),
        };
        let text = serde_json::to_vec(&state).unwrap_or_default();
        let mut new = self.state.as_os_str().to_owned();
        new.push(".new");
        let write = || {
            file.sync_data()?;
            fs::write(&new, &text)?;
            fs::rename(&new, self.state)
        };
        write().map_err(|error| Error::io(format!("write {}", self.state.display()), error))
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::io(format!("{what} {}", self.part.display()), error)
    }
}
