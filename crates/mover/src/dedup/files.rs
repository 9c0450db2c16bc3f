//! The files of a restic repository as objects of a store.
//!
//! Enters: what `rustic_core` reads and writes. Leaves: objects below the repository's root under
//! the names that the `restic` program knows. The library forgives read errors of a source and
//! makes a snapshot without the file; so snapshots are refused here until the source is complete,
//! and stored only by [`super::sealing`].

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};

use super::record::Record;
use crate::error::{Error, Result};
use crate::staging;
use crate::store::{Entry, Store};

/// The files of one repository.
pub struct Files {
    store: Arc<dyn Store>,
    root: PathBuf,
    /// One object is on its way at a time: a signal must find it and take it back.
    writing: Mutex<()>,
    complete: AtomicBool,
    /// Whether a snapshot is stored, or only prepared.
    sealing: AtomicBool,
    snapshot: Mutex<Option<Id>>,
    /// Whether the push has reached its aim, so that a signal no longer makes it a failure.
    visible: AtomicBool,
}

impl Files {
    /// The files below a root.
    pub fn new(store: Arc<dyn Store>, root: &Path) -> Self {
        Self {
            store,
            root: root.to_owned(),
            writing: Mutex::new(()),
            complete: AtomicBool::new(false),
            sealing: AtomicBool::new(false),
            snapshot: Mutex::new(None),
            visible: AtomicBool::new(false),
        }
    }

    /// The source has been read to its end, and its producer is not known to have died.
    pub fn source_is_complete(&self) {
        self.complete.store(true, Ordering::SeqCst);
    }

    /// Whether [`Self::source_is_complete`] was called.
    pub fn is_complete(&self) -> bool {
        self.complete.load(Ordering::SeqCst)
    }

    /// The next snapshot is stored; those before are only prepared, and nobody sees them.
    pub fn allow_snapshot(&self) {
        self.sealing.store(true, Ordering::SeqCst);
    }

    /// The snapshot that was stored last.
    pub fn snapshot(&self) -> Option<String> {
        let stored = *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner);
        stored.map(|id| id.to_hex().as_str().to_owned())
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Stores a small or large object that is a part of the repository.
    pub fn put(&self, key: &Path, pieces: &[Bytes]) -> Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut upload = self.store.create(key)?;
        for piece in pieces {
            upload.write_all(piece).map_err(|error| Error::io(format!("write {}", key.display()), error))?;
        }
        let committed = upload.commit();
        if !self.visible.load(Ordering::SeqCst) {
            staging::remote_ended(false);
        }
        committed
    }

    /// Makes a path visible; while nothing else is on its way, the renewal of a lease included.
    pub fn publish(&self, record: &Record, key: &Path) -> Result<()> {
        let _one = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        staging::commits_are_final(true);
        record.write(self.store.as_ref(), key)?;
        self.visible.store(true, Ordering::SeqCst);
        Ok(())
    }

    /// Where a file is.
    pub fn key(&self, kind: FileType, id: &Id) -> PathBuf {
        let directory = self.root.join(kind.dirname());
        let name = id.to_hex();
        match kind {
            FileType::Config => directory,
            FileType::Pack => directory.join(name.get(..2).unwrap_or_default()).join(name.as_str()),
            _ => directory.join(name.as_str()),
        }
    }

    /// All files of a kind.
    fn entries(&self, kind: FileType) -> Result<Vec<(Id, u32)>> {
        let directory = self.root.join(kind.dirname());
        let mut found = Vec::new();
        if kind == FileType::Config {
            found.extend(self.store.object(&directory)?.map(|entry| (Id::default(), size(&entry))));
            return Ok(found);
        }
        let listed = self.store.list(&directory, None, &mut |_, entry| {
            // Other names are not of the repository: temporary files of other programs.
            let id = entry.name.to_str().filter(|name| !entry.is_dir && name.len() == 64);
            found.extend(id.and_then(|name| name.parse().ok()).map(|id| (id, size(entry))));
            Ok(())
        });
        match listed {
            Ok(()) | Err(Error::DirNotFound) => Ok(found),
            Err(error) => Err(error),
        }
    }

    fn read(&self, key: &Path) -> Result<Bytes> {
        let mut content = Vec::new();
        let mut body = self.store.open(key)?.body;
        body.read_to_end(&mut content).map_err(|error| Error::io(format!("read {}", key.display()), error))?;
        Ok(content.into())
    }
}

fn size(entry: &Entry) -> u32 {
    u32::try_from(entry.size).unwrap_or(u32::MAX)
}

/// An error of ours on its way through the library; [`super::failure`] finds it again.
fn wrapped(what: &str, key: &Path, error: Error) -> Box<RusticError> {
    RusticError::with_source(ErrorKind::Backend, "the store failed", error.during(format!("{what} {}", key.display())))
}

impl ReadBackend for Files {
    fn location(&self) -> String {
        self.root.display().to_string()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.entries(kind).map_err(|error| wrapped("list", &self.root.join(kind.dirname()), error))
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let key = self.key(kind, id);
        self.read(&key).map_err(|error| wrapped("read", &key, error))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        let key = self.key(kind, id);
        match self.store.read_range(&key, offset.into(), length.into()) {
            Ok(piece) if piece.len() as u64 == u64::from(length) => Ok(piece.into()),
            Ok(piece) => {
                let why = format!("{} bytes came at {offset}, not {length}: it is cut short", piece.len());
                Err(wrapped("read", &key, Error::Mismatch(why)))
            }
            Err(error) => Err(wrapped("read", &key, error)),
        }
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.key(kind, id).display().to_string()
    }
}

impl WriteBackend for Files {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let key = self.key(kind, id);
        if kind == FileType::Snapshot {
            if !self.is_complete() {
                let why = "the data did not come to its end, so no snapshot is made".to_owned();
                return Err(wrapped("write", &key, Error::Producer(why)));
            }
            if !self.sealing.load(Ordering::SeqCst) {
                return Ok(());
            }
        }
        self.put(&key, content.slice()).map_err(|error| wrapped("write", &key, error))?;
        if kind == FileType::Snapshot {
            *self.snapshot.lock().unwrap_or_else(PoisonError::into_inner) = Some(*id);
        }
        Ok(())
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        let key = self.key(kind, id);
        self.store.remove(&key).map_err(|error| wrapped("remove", &key, error))
    }
}
