//! An object on its way into a mounted repository.
//!
//! Enters: bytes. Leaves: a file under its name, whole and durable, or none.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;

use super::Upload;
use super::direct::Direct;
use crate::error::{Error, Result};
use crate::progress;
use crate::staging::Staged;

/// An upload into a local store.
pub(super) struct LocalUpload {
    staged: Staged,
    direct: Direct,
    name: OsString,
    target: PathBuf,
}

impl LocalUpload {
    /// An upload into `staged`, which gets its `name` at the end; `target` is what errors call it.
    pub(super) fn new(staged: Staged, name: OsString, target: PathBuf) -> Self {
        Self { staged, direct: Direct::new(), name, target }
    }
}

impl Write for LocalUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.direct.write(self.staged.file(), bytes)?;
        progress::STORED.add(bytes.len() as u64);
        Ok(bytes.len())
    }

    /// Nobody reads the file before it is committed.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for LocalUpload {
    fn commit(self: Box<Self>) -> Result<()> {
        let LocalUpload { staged, mut direct, name, target } = *self;
        let failed = |doing: &str, error| Error::io(format!("{doing} {}", target.display()), error);
        direct.finish(staged.file()).map_err(|error| failed("write", error))?;
        staged.commit(&name).map_err(|error| failed("commit", error))
    }
}
