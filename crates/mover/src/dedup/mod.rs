//! Deduplicating repositories in the format of restic, chosen by `DATASAFED_KOPIA_REPO_ROOT`
//! (docs/adr/0018).
//!
//! Enters: a plain store. Leaves: a store with the same paths, whose streams are chunks in a
//! restic repository at `<root>` and whose names are records below `<root>.meta`. A path exists if
//! and only if its record does, so everything but push and pull works on records alone.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::error::{Error, Result, say};
use crate::paths::is_temporary;
use crate::store::{Entry, Kind, Object, Store, Upload, Visit, buffered};

mod failure;
mod files;
mod founding;
mod incoming;
mod lease;
mod maintenance;
mod outgoing;
mod record;
mod sealing;
mod settings;

use files::Files;
use incoming::Incoming;
use lease::Lease;
use outgoing::{Encoded, Outgoing};
use record::{Record, SUFFIX};
use settings::record_key;

pub use settings::Settings;

/// The file by which a kopia repository is known.
const KOPIA: &str = "kopia.repository.f";
/// How often an index that changes while it is read is read again.
const INDEX_TRIES: u32 = 3;

/// A deduplicating repository in a store.
pub fn layered(store: Box<dyn Store>, settings: Settings) -> Result<Box<dyn Store>> {
    Ok(Box::new(DedupStore::new(store, settings)?))
}

/// Runs maintenance where it was asked for; its failure is printed and nothing else.
pub fn maintain_if_asked(conf: &Path) {
    if !settings::is_chosen() || !settings::wants_maintenance() {
        return;
    }
    let outcome = crate::config::Repository::open(conf).and_then(|repository| repository.store.maintain());
    if let Err(error) = outcome {
        say!("Warning: the maintenance of the repository failed: {error}");
    }
}

/// A deduplicating repository.
struct DedupStore {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
}

impl DedupStore {
    fn new(store: Box<dyn Store>, settings: Settings) -> Result<Self> {
        let store: Arc<dyn Store> = Arc::from(store);
        if store.object(&settings.root.join(KOPIA))?.is_some() {
            return Err(Error::Config(format!(
                "{} holds a kopia repository, which this program neither reads nor changes: restore or delete its \
                 backups with the legacy datasafed image that the operator is configured with, or name another {}",
                settings.root.display(),
                settings::ROOT
            )));
        }
        Ok(Self { store, settings: Arc::new(settings) })
    }

    fn record_key(&self, key: &Path) -> PathBuf {
        record_key(&self.settings.records, key)
    }

    fn directory(&self, key: &Path) -> PathBuf {
        self.settings.records.join(key)
    }

    fn files(&self) -> Arc<Files> {
        Arc::new(Files::new(Arc::clone(&self.store), &self.settings.root))
    }

    fn failed(&self, error: &rustic_core::RusticError) -> Error {
        failure::repository_error(&self.settings.root.display().to_string(), error)
    }

    /// Whether a key is a directory, where there are directories.
    fn is_directory(&self, key: &Path) -> Result<bool> {
        if self.store.kind() == Kind::Flat {
            return Ok(false);
        }
        // One entry says enough.
        let mut met = false;
        let listed = self.store.list(&self.directory(key), NonZeroUsize::new(1), &mut |_, _| {
            met = true;
            Err(Error::IsDirectory)
        });
        match listed {
            Ok(()) => Ok(true),
            Err(Error::DirNotFound | Error::IsFile) => Ok(false),
            Err(_) if met => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn read_record(&self, key: &Path) -> Result<Option<Record>> {
        match Record::read(self.store.as_ref(), &self.record_key(key)) {
            Ok(record) => Ok(Some(record)),
            Err(Error::NotFound | Error::IsDirectory) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reading(&self, key: &Path) -> Result<Outgoing> {
        // A wrong password shows before anything is read.
        let repository = founding::open(&self.files(), &self.settings)?;
        let Some(record) = self.read_record(key)? else {
            return Err(if self.is_directory(key)? { Error::IsDirectory } else { Error::NotFound });
        };
        let root = self.settings.root.display().to_string();
        let mut repository = repository
            .ok_or_else(|| Error::Mismatch(format!("there is a record of this path, but no repository at {root}")))?;
        for last in [false; INDEX_TRIES as usize - 1].into_iter().chain([true]) {
            match repository.to_indexed() {
                Ok(indexed) => return Outgoing::start(indexed, record, root),
                Err(error) if last => return Err(self.failed(&error)),
                // Maintenance replaces index files while we read them.
                Err(_) => {}
            }
            repository = founding::open(&self.files(), &self.settings)?
                .ok_or_else(|| Error::Mismatch(format!("the repository at {root} vanished")))?;
        }
        Err(Error::NotFound)
    }

    /// Removes the snapshot of a record, then the record: cut short, the same call ends it.
    fn forget(&self, key: &Path, record: &Record) -> Result<()> {
        incoming::forget(&self.files(), &record.snapshot_id)?;
        self.store.remove(key)
    }
}

impl Store for DedupStore {
    fn describe(&self) -> String {
        format!("deduplicating repository {} in the {}", self.settings.root.display(), self.store.describe())
    }

    fn kind(&self) -> Kind {
        self.store.kind()
    }

    fn open(&self, key: &Path) -> Result<Object> {
        self.open_encoded(key, None).map(|(object, _)| object)
    }

    fn open_encoded(&self, key: &Path, codec: Option<Codec>) -> Result<(Object, Option<Codec>)> {
        let reading = self.reading(key)?;
        let pushed_for = reading.codec()?;
        let size = reading.size();
        match (pushed_for, codec) {
            (Some(pushed_for), Some(wanted)) if wanted.reads(pushed_for) => {
                Ok((Object { body: buffered(reading), size: Some(size), tag: None }, None))
            }
            (Some(pushed_for), wanted) => {
                Ok((Object { body: buffered(Encoded::new(reading, pushed_for)), size: None, tag: None }, wanted))
            }
            (None, wanted) => Ok((Object { body: buffered(reading), size: Some(size), tag: None }, wanted)),
        }
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        self.create_encoded(key, None).map(|(upload, _)| upload)
    }

    fn create_encoded(&self, key: &Path, codec: Option<Codec>) -> Result<(Box<dyn Upload>, Option<Codec>)> {
        if self.is_directory(key)? {
            return Err(Error::IsDirectory);
        }
        let files = self.files();
        // Known before the first byte is read: a wrong password, a store that refuses.
        let repository = founding::open_or_found(&files, &self.settings)?;
        // The index is read while no maintenance is at work, or it would name packs about to go.
        let lease = Lease::push(&files, &self.settings)?;
        let repository = repository.to_indexed_ids().map_err(|error| self.failed(&error))?;
        let incoming = Incoming::start(repository, files, Arc::clone(&self.settings), lease, key, codec)?;
        Ok((Box::new(incoming), None))
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        let Some(name) = key.file_name().filter(|name| !is_temporary(name)) else {
            return Ok(None);
        };
        Ok(self.read_record(key)?.map(|record| entry(name, &record)))
    }

    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        self.store.list(&self.directory(dir), levels, &mut |below, found| {
            if found.is_dir {
                return visit(below, found);
            }
            let Some(name) = found.name.as_bytes().strip_suffix(SUFFIX.as_bytes()) else {
                return Ok(());
            };
            let name = OsStr::from_bytes(name);
            match Record::read(self.store.as_ref(), &self.directory(dir).join(below)) {
                Ok(record) => visit(&below.with_file_name(name), &entry(name, &record)),
                // Removed while we were listing.
                Err(Error::NotFound) => Ok(()),
                Err(error) => Err(error),
            }
        })
    }

    fn remove(&self, key: &Path) -> Result<()> {
        match self.read_record(key)? {
            Some(record) => self.forget(&self.record_key(key), &record),
            None if self.is_directory(key)? => Err(Error::IsDirectory),
            None => Ok(()),
        }
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        let directory = self.directory(key);
        let mut records = Vec::new();
        let listed = self.store.list(&directory, None, &mut |below, found| {
            if !found.is_dir && found.name.as_bytes().ends_with(SUFFIX.as_bytes()) {
                records.push(directory.join(below));
            }
            Ok(())
        });
        match listed {
            Ok(()) => {}
            Err(Error::DirNotFound) if self.object(key)?.is_some() => return Err(Error::IsFile),
            Err(error) => return Err(error),
        }
        if records.is_empty() && self.kind() == Kind::Flat && self.object(key)?.is_some() {
            return Err(Error::IsFile);
        }
        for record in records {
            match Record::read(self.store.as_ref(), &record) {
                Ok(found) => self.forget(&record, &found)?,
                Err(Error::NotFound) => {}
                Err(error) => return Err(error),
            }
        }
        self.store.remove_all(&directory)
    }

    fn remove_dir(&self, key: &Path) -> Result<()> {
        if !self.is_directory(key)? && self.object(key)?.is_some() {
            return Err(Error::IsFile);
        }
        self.store.remove_dir(&self.directory(key))
    }

    fn make_dir(&self, key: &Path) -> Result<()> {
        self.store.make_dir(&self.directory(key))
    }

    fn sweep(&self, dir: &Path, older_than: Duration) -> Result<u64> {
        Ok(self.store.sweep(&self.directory(dir), older_than)? + self.store.sweep(&self.settings.root, older_than)?)
    }

    fn maintain(&self) -> Result<()> {
        maintenance::maintain(&self.files(), &self.settings)
    }
}

fn entry(name: &OsStr, record: &Record) -> Entry {
    Entry {
        name: OsString::from_vec(name.as_bytes().to_vec()),
        size: record.size,
        modified: record.modified(),
        is_dir: false,
    }
}
