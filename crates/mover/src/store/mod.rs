//! Where objects live. Commands know only [`Store`]; each backend is one file here.
//!
//! Enters: keys relative to the root of the store, already cleaned ([`crate::paths`]). Leaves:
//! streams and entries. An upload is visible only after its commit, on every backend.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::error::{Error, Result};

pub mod encrypted;
mod inode;
pub mod local;

/// How many names of a directory [`Store::holds_suffix`] looks at: one page of a flat store.
pub const LOOKED_AT: usize = 1000;

/// A backend.
pub trait Store {
    /// How messages name this store, without secrets.
    fn describe(&self) -> String;

    /// Opens an object for reading from its start.
    fn open(&self, key: &Path) -> Result<Box<dyn Read>>;

    /// Starts an upload; parents are made. A directory of that name is an error.
    fn create(&self, key: &Path) -> Result<Box<dyn Upload>>;

    /// The object itself; `None` when there is none or it is a directory.
    fn object(&self, key: &Path) -> Result<Option<Entry>>;

    /// The entries of one directory, sorted by name, temporary ones left out.
    /// [`crate::error::Error::DirNotFound`] when there is none.
    fn entries(&self, dir: &Path) -> Result<Vec<Entry>>;

    /// Whether one of the first [`LOOKED_AT`] names of a directory ends so; a missing directory
    /// holds nothing.
    fn holds_suffix(&self, dir: &Path, suffix: &str) -> Result<bool> {
        match self.entries(dir) {
            Ok(entries) => Ok(entries
                .iter()
                .take(LOOKED_AT)
                .any(|entry| entry.dir.is_none() && entry.name.as_encoded_bytes().ends_with(suffix.as_bytes()))),
            Err(Error::DirNotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Removes one object; a missing one is fine, a directory is not.
    fn remove(&self, key: &Path) -> Result<()>;

    /// Removes a directory with all that is in it; a missing one is an error.
    fn remove_all(&self, key: &Path) -> Result<()>;

    /// Removes an empty directory; a missing one is fine.
    fn remove_dir(&self, key: &Path) -> Result<()>;

    /// Makes a directory and its parents.
    fn make_dir(&self, key: &Path) -> Result<()>;
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
    /// Set for directories.
    pub dir: Option<Directory>,
}

/// What tells one directory from another, so that links that lead in a circle end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Device number.
    pub device: u64,
    /// Inode number.
    pub inode: u64,
}
