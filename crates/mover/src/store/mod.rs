//! Where objects live. Commands know only [`Store`]; each backend is one file here.
//!
//! Enters: keys relative to the root of the store, already cleaned ([`crate::paths`]). Leaves:
//! streams and entries. An upload is visible only after its commit, on every backend.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crc_fast::Digest;

use crate::codec::Codec;
use crate::error::{Error, Result};

mod direct;
pub mod encrypted;
mod inode;
pub mod local;
mod local_upload;
pub mod remote;
pub mod s3;
mod walk;

/// How a backend thinks of directories; decides what absent ones mean (mover.md §1.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Directories exist by themselves: local, and protocols that show a file system.
    Hierarchical,
    /// Only keys exist; a directory is a prefix that some key has. An absent one is an empty one.
    Flat,
}

/// Receives the entries of a listing with their paths below the listed directory.
pub type Visit<'a> = dyn FnMut(&Path, &Entry) -> Result<()> + 'a;

/// How many names of a directory [`Store::holds_suffix`] looks at: one page of a flat store.
pub const LOOKED_AT: usize = 1000;

/// What is read at once where a body does not hold its bytes itself.
const BUFFER: usize = 256 * 1024;

/// A backend.
pub trait Store: Send + Sync {
    /// How messages name this store, without secrets.
    fn describe(&self) -> String;

    /// What kind of backend this is.
    fn kind(&self) -> Kind;

    /// Opens an object for reading from its start.
    fn open(&self, key: &Path) -> Result<Object>;

    /// Opens an object at an offset; `None` when it is not the version with this tag any more, or
    /// this backend cannot do it. `before` is the CRC64NVME of what comes before the offset.
    fn open_at(&self, _key: &Path, _tag: &str, _offset: u64, _before: &Digest) -> Result<Option<Object>> {
        Ok(None)
    }

    /// Starts an upload; parents are made. A directory of that name is an error where there are
    /// directories.
    fn create(&self, key: &Path) -> Result<Box<dyn Upload>>;

    /// Starts the upload of a stream that `codec` is meant for; gives the codec that is still to
    /// be applied by the caller.
    fn create_encoded(&self, key: &Path, codec: Option<Codec>) -> Result<(Box<dyn Upload>, Option<Codec>)> {
        Ok((self.create(key)?, codec))
    }

    /// Opens an object that `codec` is to be undone of; gives the codec that is still to be undone
    /// by the caller.
    fn open_encoded(&self, key: &Path, codec: Option<Codec>) -> Result<(Object, Option<Codec>)> {
        Ok((self.open(key)?, codec))
    }

    /// A piece of an object that never changes under its name; less where the object ends.
    fn read_range(&self, key: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        let failed = |error| Error::io(format!("read {}", key.display()), error);
        let mut body = self.open(key)?.body;
        std::io::copy(&mut body.by_ref().take(offset), &mut std::io::sink()).map_err(failed)?;
        let mut piece = Vec::new();
        body.take(length).read_to_end(&mut piece).map_err(failed)?;
        Ok(piece)
    }

    /// The object itself; `None` when there is none or it is a directory.
    fn object(&self, key: &Path) -> Result<Option<Entry>>;

    /// Visits what is below a directory, `levels` deep (`None`: all levels), temporary objects
    /// left out, as it comes and without holding it. Hierarchical: each directory's entries in
    /// name order before those of its subdirectories; an absent directory is
    /// [`crate::error::Error::DirNotFound`]. Flat: the files in key order, then each directory
    /// once; an absent one is empty.
    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()>;

    /// Whether one of the first [`LOOKED_AT`] names of a directory ends so; a missing directory
    /// holds nothing.
    fn holds_suffix(&self, dir: &Path, suffix: &str) -> Result<bool> {
        let (mut seen, mut found) = (0, false);
        let looked = self.list(dir, NonZeroUsize::new(1), &mut |_, entry| {
            seen += 1;
            found |= !entry.is_dir && entry.name.as_encoded_bytes().ends_with(suffix.as_bytes());
            if found || seen >= LOOKED_AT { Err(Error::SeenEnough) } else { Ok(()) }
        });
        match looked {
            Ok(()) | Err(Error::SeenEnough | Error::DirNotFound) => Ok(found),
            Err(error) => Err(error),
        }
    }

    /// Removes one object; a missing one is fine, a directory is not where there are directories.
    fn remove(&self, key: &Path) -> Result<()>;

    /// Removes a directory with all that is in it; a missing one is an error where there are
    /// directories. What could not be removed is an error that counts it.
    fn remove_all(&self, key: &Path) -> Result<()>;

    /// Removes an empty directory; a missing one is fine. Nothing to do on flat stores.
    fn remove_dir(&self, key: &Path) -> Result<()>;

    /// Makes a directory and its parents. Nothing to do on flat stores.
    fn make_dir(&self, key: &Path) -> Result<()>;

    /// Looks after a store that needs it.
    fn maintain(&self) -> Result<()> {
        Ok(())
    }

    /// Refuses a repository, below a directory, whose objects this store would not show. Looks at
    /// the first [`LOOKED_AT`] names.
    fn refuse_mixture_below(&self, _dir: &Path) -> Result<()> {
        Ok(())
    }

    /// Removes what pushes that were killed left below a directory longer ago than this; gives
    /// how many. Hierarchical stores sweep by themselves.
    fn sweep(&self, _dir: &Path, _older_than: Duration) -> Result<u64> {
        Ok(0)
    }
}

/// An object that is being read.
pub struct Object {
    /// Its content. End of file comes only after all of it, checked against what the backend
    /// knows of it; anything else is an error.
    pub body: Box<dyn BufRead>,
    /// Its size, where the backend says it before the end.
    pub size: Option<u64>,
    /// What tells this version of it from any other, where the backend can.
    pub tag: Option<String>,
}

/// A body that others than its store can look at before they take it.
pub fn buffered(body: impl Read + 'static) -> Box<dyn BufRead> {
    Box::new(BufReader::with_capacity(BUFFER, body))
}

/// An object on its way in; dropped without commit, nothing remains.
pub trait Upload: Write {
    /// Makes the object visible and durable.
    fn commit(self: Box<Self>) -> Result<()>;
}

/// One entry of a directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Base name.
    pub name: OsString,
    /// Size in bytes; 0 for directories, whose size means nothing.
    pub size: u64,
    /// Last modification.
    pub modified: SystemTime,
    /// Whether it is a directory.
    pub is_dir: bool,
}
