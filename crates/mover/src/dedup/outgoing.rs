//! A stream on its way out of the repository.
//!
//! Enters: a record. Leaves: the bytes as they were pushed; the end of file comes only after all
//! of them, and only if their SHA-256 is that of the record. Every chunk was authenticated before.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use ring::digest::{Context, SHA256};
use rustic_core::{IndexedFullStatus, Repository, RusticResult};

use super::failure::repository_error;
use super::record::Record;
use crate::codec::{Codec, Encoder, Trailer};
use crate::error::{Error, Result};

/// Chunks that may wait for the reader.
const WAITING: usize = 4;

/// A stream that is being read.
pub struct Outgoing {
    chunks: Receiver<Vec<u8>>,
    reader: Option<JoinHandle<Result<()>>>,
    chunk: Vec<u8>,
    used: usize,
    record: Record,
    size: u64,
    sha256: Context,
    done: bool,
}

impl Outgoing {
    /// Starts to read what a record names.
    pub fn start(repository: Repository<IndexedFullStatus>, record: Record, root: String) -> Result<Self> {
        let (sender, chunks) = sync_channel(WAITING);
        let id = record.snapshot_id.clone();
        let dump = move || -> RusticResult<()> {
            let snapshot = repository.get_snapshots(&[id])?;
            let Some(tree) = snapshot.first().map(|snapshot| snapshot.tree) else { return Ok(()) };
            // A snapshot of ours holds one file and nothing else; without it the size below differs.
            let Some(node) = repository.get_tree(&tree)?.nodes.into_iter().next() else { return Ok(()) };
            repository.dump(&node, &mut Chunks(sender))
        };
        let reader = std::thread::Builder::new()
            .name("restorer".into())
            .spawn(move || dump().map_err(|error| repository_error(&root, &error)))
            .map_err(|error| Error::io("start a thread", error))?;
        Ok(Self {
            chunks,
            reader: Some(reader),
            chunk: Vec::new(),
            used: 0,
            record,
            size: 0,
            sha256: Context::new(&SHA256),
            done: false,
        })
    }

    /// Its size.
    pub fn size(&self) -> u64 {
        self.record.size
    }

    /// What it was pushed for.
    pub fn codec(&self) -> Result<Option<Codec>> {
        self.record.codec.as_deref().map(|name| Codec::parse(name, "-z, --compress")).transpose()
    }

    /// At the end: whether it was the end.
    fn verify(&mut self) -> Result<()> {
        let died = || Error::Mismatch("the thread that reads the repository died".to_owned());
        self.reader.take().ok_or_else(died)?.join().map_err(|_| died())??;
        let found = hex::encode(self.sha256.clone().finish());
        if self.size != self.record.size || found != self.record.sha256 {
            return Err(Error::Mismatch(format!(
                "{} bytes with SHA-256 {found} came out of the repository, but {} with {} were stored",
                self.size, self.record.size, self.record.sha256
            )));
        }
        Ok(())
    }
}

impl Read for Outgoing {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.done || buffer.is_empty() {
            return Ok(0);
        }
        while self.used == self.chunk.len() {
            let Ok(chunk) = self.chunks.recv() else {
                self.verify()?;
                self.done = true;
                return Ok(0);
            };
            (self.chunk, self.used) = (chunk, 0);
        }
        let mut rest = self.chunk.get(self.used..).unwrap_or_default();
        let count = rest.read(buffer)?;
        self.sha256.update(buffer.get(..count).unwrap_or_default());
        self.used += count;
        self.size += count as u64;
        Ok(count)
    }
}

/// Where the library writes what it reads.
struct Chunks(SyncSender<Vec<u8>>);

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.send(bytes.to_vec()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A stream that was pushed for a codec and is read without undoing it: encoded now, because a
/// plain repository would give encoded bytes.
pub struct Encoded {
    plain: Outgoing,
    encoder: Option<Encoder<Sink>>,
    ready: VecDeque<u8>,
    sink: Sink,
}

/// What the encoder has put out.
#[derive(Clone, Default)]
struct Sink(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Encoded {
    /// The encoded form of a stream.
    pub fn new(plain: Outgoing, codec: Codec) -> Self {
        let sink = Sink::default();
        Self {
            plain,
            encoder: Some(Encoder::new(sink.clone(), Some(codec), Trailer::On)),
            ready: VecDeque::new(),
            sink,
        }
    }
}

impl Read for Encoded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut piece = vec![0; 64 * 1024];
        while self.ready.is_empty() {
            let Some(mut encoder) = self.encoder.take() else { return Ok(0) };
            match self.plain.read(&mut piece)? {
                0 => drop(encoder.finish()?),
                count => {
                    encoder.write_all(piece.get(..count).unwrap_or_default())?;
                    self.encoder = Some(encoder);
                }
            }
            self.ready.extend(self.sink.0.borrow_mut().drain(..));
        }
        self.ready.read(buffer)
    }
}
