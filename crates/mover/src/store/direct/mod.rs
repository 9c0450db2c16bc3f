//! Long files past the page cache.
//!
//! Backups are larger than memory and nobody reads them again soon: in the page cache they cost more processor time than
//! everything else about them, and push out what the database has there.

use std::fs::File;
use std::io;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

mod read;
mod write;

pub use read::Ahead;
pub use write::Direct;

/// Large enough that a disk far away is kept busy; a multiple of every block size.
const CHUNK: usize = 4 * 1024 * 1024;
/// Block size that every file system which works directly can deal with.
const ALIGNMENT: usize = 4096;

/// Room for one chunk at an aligned address.
struct Chunk {
    buffer: Vec<u8>,
    start: usize,
}

impl Chunk {
    fn new() -> Self {
        let buffer = vec![0; CHUNK + ALIGNMENT];
        let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
        Self { buffer, start }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.start + CHUNK).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.start..self.start + CHUNK).unwrap_or_default()
    }
}

fn set(file: &File, direct: bool) -> io::Result<()> {
    let mut flags = fcntl_getfl(file)?;
    flags.set(OFlags::DIRECT, direct);
    Ok(fcntl_setfl(file, flags)?)
}

/// Some file systems refuse only the transfer, or a part of it.
fn refused(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::INVAL.raw_os_error())
}
