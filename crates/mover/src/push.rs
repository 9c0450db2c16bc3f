//! `push LPATH RPATH`: a file or standard input becomes one object, whole or not at all.
//!
//! Enters: bytes. Leaves: an object that is visible only after the last byte was read without
//! error, compressed, synced, and the producer is not known to have died (MD4, MD9).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};

use crate::codec::{Codec, Encoder, Trailer};
use crate::config::Repository;
use crate::error::{Error, Result, plain};
use crate::exec;
use crate::journal;
use crate::paths::RemotePath;
use crate::producer::{Policy, Watch};
use crate::progress;

/// Enough for few system calls; pages of a small push are never touched.
const BUFFER: usize = 256 * 1024;
/// A pipe of this size lets the producer run ahead.
const PIPE: usize = 1024 * 1024;

/// Where the bytes come from.
pub struct Source {
    input: Box<dyn Read>,
    producer: Producer,
}

/// Who makes the bytes, and so who can tell that they are all.
enum Producer {
    /// A file, or somebody we cannot see.
    Unknown,
    /// Processes at the other end of our standard input.
    Watched(Watch),
    /// Our own child.
    Child(exec::Producer),
}

impl Source {
    /// Opens `-` or a local file. Called before anything slow, to see the producer alive.
    pub fn open(lpath: &OsStr) -> Result<Self> {
        if lpath != "-" {
            let shown = lpath.to_string_lossy();
            let file = File::open(lpath).map_err(|error| Error::Config(format!("open {shown}: {}", plain(&error))))?;
            if file.metadata().is_ok_and(|found| found.is_dir()) {
                return Err(Error::Config(format!("read {shown}: is a directory")));
            }
            return Ok(Self { input: Box::new(file), producer: Producer::Unknown });
        }
        let stdin = io::stdin();
        let producer = Watch::start(&stdin, Policy::from_env()?);
        // Not a pipe, or not allowed: as it is then.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        let producer = producer.map_or(Producer::Unknown, Producer::Watched);
        Ok(Self { input: Box::new(stdin.lock()), producer })
    }

    /// Starts a command and takes its standard output. Unlike a pipe of a shell this tells
    /// exactly how the producer ended, on every kernel.
    pub fn spawn(command: &[OsString]) -> Result<Self> {
        let (output, child) = exec::Producer::start(command)?;
        let _ = rustix::pipe::fcntl_setpipe_size(&output, PIPE);
        Ok(Self { input: Box::new(output), producer: Producer::Child(child) })
    }

    /// After the end of the bytes: whether they are all, as far as anybody can know.
    fn verdict(self) -> Result<()> {
        match self.producer {
            Producer::Unknown => Ok(()),
            Producer::Watched(watch) => watch.verdict(),
            Producer::Child(child) => child.verdict(),
        }
    }
}

/// Stores one object.
pub fn push(repository: &Repository, source: Source, path: &RemotePath, codec: Option<Codec>) -> Result<()> {
    store(repository, source, path, codec).map_err(|error| error.during(format!("push to {}", path.quoted())))
}

fn store(repository: &Repository, mut source: Source, path: &RemotePath, codec: Option<Codec>) -> Result<()> {
    let trailer = Trailer::from_env()?;
    let (upload, codec) = repository.store.create_encoded(path.as_file()?, codec)?;
    let write_error = |error| Error::io("write", error);
    let mut sink = Encoder::new(upload, codec, trailer);
    let mut buffer = vec![0; BUFFER];
    let mut first = true;
    loop {
        let count = match source.input.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io("read the data to push", error)),
        };
        if first && let Producer::Watched(watch) = &mut source.producer {
            watch.look();
        }
        first = false;
        let bytes = buffer.get(..count).unwrap_or_default();
        progress::moved(bytes);
        sink.write_all(bytes).map_err(write_error)?;
    }
    let upload = sink.finish().map_err(write_error)?;
    source.verdict()?;
    upload.commit()?;
    journal::tell(&path.key);
    Ok(())
}
