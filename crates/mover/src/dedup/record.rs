//! The record of one path: which snapshot holds it, and what its bytes must be.
//!
//! Enters and leaves: `<root>.meta/<base>/<path>.meta`, JSON with the four keys of the reference
//! and ours. A path exists if and only if its record does.

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::store::Store;

/// Suffix of records.
pub const SUFFIX: &str = ".meta";
/// What `format` says in records of ours.
const FORMAT: &str = "restic2";
/// No record is that large.
const LIMIT: u64 = 1 << 20;

/// A record.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    /// Base name.
    pub name: String,
    /// Size of the stream as it was pushed, before any codec.
    pub size: u64,
    /// When it was stored, RFC 3339.
    pub mod_time: String,
    /// The snapshot that holds it.
    pub snapshot_id: String,
    /// Of what kind the repository is.
    #[serde(default)]
    pub format: String,
    /// SHA-256 of the stream.
    #[serde(default)]
    pub sha256: String,
    /// The codec that the stream was pushed for; the repository compresses by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub codec: Option<String>,
}

impl Record {
    /// A record of a path stored now.
    pub fn new(key: &Path, size: u64, sha256: String, snapshot_id: String, now: SystemTime) -> Self {
        let name = key.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mod_time = Timestamp::try_from(now).map(|now| now.to_string()).unwrap_or_default();
        Self { name, size, mod_time, snapshot_id, format: FORMAT.to_owned(), sha256, codec: None }
    }

    /// Reads a record.
    pub fn read(store: &dyn Store, key: &Path) -> Result<Self> {
        let mut text = Vec::new();
        let failed = |error| Error::io(format!("read {}", key.display()), error);
        store.open(key)?.body.take(LIMIT).read_to_end(&mut text).map_err(failed)?;
        let wrong = |why: &str| {
            Error::Mismatch(format!("{} is not a record of a deduplicating repository: {why}", key.display()))
        };
        let record: Self = serde_json::from_slice(&text).map_err(|error| wrong(&error.to_string()))?;
        if record.format != FORMAT {
            return Err(wrong(&format!("its format is {:?}, ours is {FORMAT:?}", record.format)));
        }
        Ok(record)
    }

    /// Makes a record visible in one step.
    pub fn write(&self, store: &dyn Store, key: &Path) -> Result<()> {
        let failed = |error| Error::io(format!("write {}", key.display()), error);
        let text = serde_json::to_vec(self).map_err(|error| failed(error.into()))?;
        let mut upload = store.create(key)?;
        upload.write_all(&text).map_err(failed)?;
        upload.commit()
    }

    /// When it was stored.
    pub fn modified(&self) -> SystemTime {
        self.mod_time.parse::<Timestamp>().map_or(SystemTime::UNIX_EPOCH, SystemTime::from)
    }
}
