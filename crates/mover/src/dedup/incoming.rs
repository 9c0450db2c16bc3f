//! A stream on its way into the repository.
//!
//! Enters: pieces of a stream. Leaves: a snapshot with one file, then the record that makes the
//! path visible; the snapshot that the path had before is forgotten last. A stream that is not
//! committed leaves chunks that nobody refers to, which maintenance removes.

use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::iter::{Once, once};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile};
use rustic_core::{
    BackupOptions, FileType, IndexedIdsStatus, ReadSource, ReadSourceEntry, Repository, RusticResult, SnapshotOptions,
};

use super::failure::repository_error;
use super::files::Files;
use super::lease::Lease;
use super::record::Record;
use super::sealing::seal;
use super::settings::{Settings, record_key};
use crate::clock;
use crate::codec::Codec;
use crate::error::{Error, Result, say};
use crate::staging;
use crate::store::Upload;

/// Pieces that may wait for the chunker.
const WAITING: usize = 4;
/// Marks snapshots of ours.
pub const TAG: &str = "datasafed";

/// The repository, and a snapshot of which only the chunks and the tree are stored.
type Archived = (Repository<IndexedIdsStatus>, SnapshotFile);

/// The upload of one path.
pub struct Incoming {
    settings: Arc<Settings>,
    files: Arc<Files>,
    key: PathBuf,
    codec: Option<Codec>,
    pieces: Option<SyncSender<Vec<u8>>>,
    archiver: Option<JoinHandle<Result<Archived>>>,
    size: u64,
    sha256: Context,
    _lease: Lease,
}

impl Incoming {
    /// Starts an upload into an open repository.
    pub fn start(
        repository: Repository<IndexedIdsStatus>,
        files: Arc<Files>,
        settings: Arc<Settings>,
        lease: Lease,
        key: &Path,
        codec: Option<Codec>,
    ) -> Result<Self> {
        let (sender, receiver) = sync_channel(WAITING);
        let stream = Stream { pieces: receiver, files: Arc::clone(&files), piece: Vec::new(), used: 0 };
        let root = settings.root.display().to_string();
        let (name, shown) = (key.file_name().unwrap_or_default().to_owned(), key.to_string_lossy().into_owned());
        let archive = move |repository: &Repository<IndexedIdsStatus>| {
            let snapshot = blank_snapshot()?;
            let mut options = BackupOptions::default().no_scan(true);
            // Each snapshot stands for itself.
            options.parent_opts.force = true;
            let source = Source { name, stream: Mutex::new(Some(stream)) };
            repository.archive(&options, &source, snapshot, &[PathBuf::from(format!("/{shown}"))])
        };
        let archiver = std::thread::Builder::new()
            .name("archiver".into())
            .spawn(move || {
                let snapshot = archive(&repository).map_err(|error| repository_error(&root, &error))?;
                Ok((repository, snapshot))
            })
            .map_err(|error| Error::io("start a thread", error))?;
        // Until the record is written a signal must end the push.
        staging::commits_are_final(false);
        Ok(Self {
            settings,
            files,
            key: key.to_owned(),
            codec,
            pieces: Some(sender),
            archiver: Some(archiver),
            size: 0,
            sha256: Context::new(&SHA256),
            _lease: lease,
        })
    }

    /// Waits for the archiver, which must have been told the end.
    fn archived(&mut self) -> Result<Archived> {
        let gone = || Error::Mismatch("the thread that stores the data died".to_owned());
        self.archiver.take().ok_or_else(gone)?.join().map_err(|_| gone())?
    }

    /// Removes a snapshot; what it alone needed goes with the next maintenance.
    fn forget(&self, snapshot: &str) {
        if let Err(error) = forget(&self.files, snapshot) {
            say!("Warning: the snapshot {snapshot} stays in the repository: {error}");
        }
    }
}

/// Removes a snapshot by its identifier.
pub fn forget(files: &Files, snapshot: &str) -> Result<()> {
    let id = snapshot.parse().map_err(|_| Error::Mismatch(format!("{snapshot:?} is no snapshot identifier")))?;
    files.store().remove(&files.key(FileType::Snapshot, &id))
}

impl Write for Incoming {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.pieces.as_ref().is_some_and(|pieces| pieces.send(bytes.to_vec()).is_ok());
        if !taken {
            // The archiver ended early, and says why.
            let why = self.archived().err();
            return Err(why.map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::from));
        }
        self.sha256.update(bytes);
        self.size += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for Incoming {
    fn commit(mut self: Box<Self>) -> Result<()> {
        self.files.source_is_complete();
        drop(self.pieces.take());
        let (repository, snapshot) = self.archived()?;
        let root = self.settings.root.display().to_string();
        let id = seal(repository, &self.files, &root, snapshot, self.size)?;
        let place = record_key(&self.settings.records, &self.key);
        let before = Record::read(self.files.store().as_ref(), &place);
        let digest = hex::encode(self.sha256.clone().finish());
        let mut record = Record::new(&self.key, self.size, digest, id, clock::now());
        record.codec = self.codec.map(|codec| codec.name().to_owned());
        if let Err(error) = self.files.publish(&record, &place) {
            self.forget(&record.snapshot_id);
            return Err(error);
        }
        match before {
            Ok(old) if old.snapshot_id != record.snapshot_id => self.forget(&old.snapshot_id),
            _ => {}
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        drop(self.pieces.take());
        if let Some(archiver) = self.archiver.take() {
            let _ = archiver.join();
        }
    }
}

fn blank_snapshot() -> RusticResult<SnapshotFile> {
    SnapshotOptions::default()
        .host("holdfast".to_owned())
        .command(format!("datasafed {} push", env!("CARGO_PKG_VERSION")))
        .add_tags(TAG)?
        .to_snapshot()
}

/// The stream as the archiver reads it: it ends only where the upload was committed.
struct Stream {
    pieces: Receiver<Vec<u8>>,
    files: Arc<Files>,
    piece: Vec<u8>,
    used: usize,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() {
            match self.pieces.recv() {
                Ok(piece) => (self.piece, self.used) = (piece, 0),
                Err(_) if self.files.is_complete() => return Ok(0),
                Err(_) => return Err(io::Error::other("the data did not come to its end")),
            }
        }
        let mut rest = self.piece.get(self.used..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

/// The one file of a snapshot.
struct Source {
    name: OsString,
    stream: Mutex<Option<Stream>>,
}

impl ReadSource for Source {
    type Open = Stream;
    type Iter = Once<RusticResult<ReadSourceEntry<Stream>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let meta = Metadata { mode: Some(0o644), mtime: Timestamp::try_from(clock::now()).ok(), ..Metadata::default() };
        let node = Node::new_node(&self.name, NodeType::File, meta);
        let open = self.stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        once(Ok(ReadSourceEntry { path: PathBuf::from(&self.name), node, open }))
    }
}
