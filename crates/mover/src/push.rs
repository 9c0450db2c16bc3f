//! `push LPATH RPATH`: a file or standard input becomes one object, whole or not at all.
//!
//! Enters: bytes. Leaves: an object that is visible only after the last byte was read without
//! error, compressed, synced, and the producer is not known to have died (MD4, MD9).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};

use crate::codec::{Codec, Encoder, Trailer};
use crate::config::Repository;
use crate::error::{Error, Result, plain};
use crate::paths::RemotePath;
use crate::producer::{Policy, Watch};

/// Enough for few system calls; pages of a small push are never touched.
const BUFFER: usize = 256 * 1024;
/// A pipe of this size lets the producer run ahead.
const PIPE: usize = 1024 * 1024;

/// Where the bytes come from.
pub struct Source {
    input: Box<dyn Read>,
    producer: Option<Watch>,
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
            return Ok(Self { input: Box::new(file), producer: None });
        }
        let stdin = io::stdin();
        let producer = Watch::start(&stdin, Policy::from_env()?);
        // Not a pipe, or not allowed: as it is then.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdin, PIPE);
        Ok(Self { input: Box::new(stdin.lock()), producer })
    }
}

/// Stores one object.
pub fn push(repository: &Repository, source: Source, path: &RemotePath, codec: Option<Codec>) -> Result<()> {
    store(repository, source, path, codec).map_err(|error| error.during(format!("push to {}", path.quoted())))
}

fn store(repository: &Repository, mut source: Source, path: &RemotePath, codec: Option<Codec>) -> Result<()> {
    let trailer = Trailer::from_env()?;
    let upload = repository.store.create(path.as_file()?)?;
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
        if first && let Some(producer) = &mut source.producer {
            producer.look();
        }
        first = false;
        sink.write_all(buffer.get(..count).unwrap_or_default()).map_err(write_error)?;
    }
    let upload = sink.finish().map_err(write_error)?;
    if let Some(producer) = &source.producer {
        producer.verdict()?;
    }
    upload.commit()
}
