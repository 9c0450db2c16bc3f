//! Objects as files below one directory: a mounted repository PVC.
//!
//! Links are followed, but only to places inside the root (`openat2` with `RESOLVE_BENEATH`);
//! kernels or sandboxes without that call fall back to plain resolution. Errors carry the words
//! of the reference tool, and the matrix of exit codes is the one of its local backend
//! (mover.md §1.3).

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crc_fast::Digest;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::direct::Ahead;
use super::inode::{self, Found, absent, entry, not_there, tag};
use super::local_upload::LocalUpload;
use super::walk::walk;
use super::{Entry, Kind, LOOKED_AT, Object, Store, Upload, Visit, buffered};
use crate::error::{Error, Result};
use crate::paths::is_temporary;
use crate::progress::Counted;
use crate::staging::{Staged, sweep_stale, sync_dir};

/// A store below one directory.
pub struct LocalStore {
    root: PathBuf,
    root_fd: OwnedFd,
}

impl LocalStore {
    /// Opens the root, which must be an existing directory; `named_by` says in messages who chose
    /// it.
    pub fn open_root(root: &Path, named_by: &str) -> Result<Self> {
        let root =
            std::path::absolute(root).map_err(|error| Error::io(format!("resolve {}", root.display()), error))?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&root, flags, Mode::empty()) {
            Ok(root_fd) => Ok(Self { root, root_fd }),
            Err(Errno::NOENT) => Err(Error::Config(format!(
                "the path {:?} specified by {named_by} does not exist",
                root.display().to_string()
            ))),
            Err(Errno::NOTDIR) => Err(Error::Config(format!(
                "the path {:?} specified by {named_by} is not a directory",
                root.display().to_string()
            ))),
            Err(error) => Err(Error::io(format!("open {}", root.display()), error)),
        }
    }

    /// Opens a key without leaving the root.
    fn resolve(&self, key: &Path, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if key.as_os_str().is_empty() { Path::new(".") } else { key };
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        match rustix::fs::openat2(&self.root_fd, path, flags, Mode::empty(), beneath) {
            // No such call, or a sandbox that does not know it.
            Err(Errno::NOSYS | Errno::PERM) => rustix::fs::openat(&self.root_fd, path, flags, Mode::empty()),
            other => other,
        }
    }

    fn directory(&self, key: &Path) -> std::result::Result<OwnedFd, Errno> {
        self.resolve(key, OFlags::RDONLY | OFlags::DIRECTORY)
    }

    /// What a key is, links followed; `None` when there is nothing.
    fn stat(&self, key: &Path) -> Result<Option<rustix::fs::Stat>> {
        match self.resolve(key, OFlags::PATH).and_then(|found| rustix::fs::fstat(&found)) {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if absent(error) => Ok(None),
            Err(error) => Err(self.failed("stat", key, error)),
        }
    }

    /// Opens a directory, making it and its parents, each new name durable.
    fn ensure_directory(&self, key: &Path) -> Result<OwnedFd> {
        let mut made = PathBuf::new();
        match self.directory(key) {
            Ok(found) => return Ok(found),
            Err(Errno::NOENT) => {}
            Err(error) => return Err(self.failed("mkdir", key, error)),
        }
        for part in key.components() {
            let parent = self.directory(&made).map_err(|error| self.failed("mkdir", &made, error))?;
            made.push(part);
            match rustix::fs::mkdirat(&parent, part.as_os_str(), Mode::from_raw_mode(0o777)) {
                Ok(()) => {
                    sync_dir(&parent).map_err(|error| self.failed("sync", &made, error))?;
                }
                Err(Errno::EXIST) => {}
                Err(error) => return Err(self.failed("mkdir", &made, error)),
            }
        }
        self.directory(key).map_err(|error| self.failed("mkdir", key, error))
    }

    /// The full path of a key; for messages only.
    fn shown(&self, key: &Path) -> PathBuf {
        if key.as_os_str().is_empty() { self.root.clone() } else { self.root.join(key) }
    }

    fn failed(&self, what: &str, key: &Path, error: impl Into<io::Error>) -> Error {
        Error::io(format!("{what} {}", self.shown(key).display()), error)
    }
}

impl Store for LocalStore {
    fn describe(&self) -> String {
        format!("local store at {}", self.root.display())
    }

    fn kind(&self) -> Kind {
        Kind::Hierarchical
    }

    fn open(&self, key: &Path) -> Result<Object> {
        // NONBLOCK: opening a FIFO somebody left in the repository must not hang.
        let opened = self
            .resolve(key, OFlags::RDONLY | OFlags::NONBLOCK)
            .and_then(|found| Ok((rustix::fs::fstat(&found)?, found)));
        match opened {
            Ok((stat, found)) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => {
                    let size = u64::try_from(stat.st_size).unwrap_or(0);
                    let body = Ahead::open(File::from(found), size).map_err(|error| self.failed("open", key, error))?;
                    Ok(Object { body: buffered(Counted(body)), size: Some(size), tag: Some(tag(&stat)) })
                }
                FileType::Directory => Err(Error::IsDirectory),
                _ => Err(Error::NotFound),
            },
            Err(error) if absent(error) => Err(Error::NotFound),
            Err(error) => Err(self.failed("open", key, error)),
        }
    }

    /// The checksum before the offset is of no use: files have none.
    fn open_at(&self, key: &Path, tag: &str, offset: u64, _: &Digest) -> Result<Option<Object>> {
        let Some(stat) = self.stat(key)?.filter(|stat| inode::tag(stat) == tag) else { return Ok(None) };
        let mut file = match self.resolve(key, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(found) => File::from(found),
            Err(error) if absent(error) => return Err(Error::NotFound),
            Err(error) => return Err(self.failed("open", key, error)),
        };
        file.seek(SeekFrom::Start(offset)).map_err(|error| self.failed("seek", key, error))?;
        let (body, size) = (buffered(Counted(file)), u64::try_from(stat.st_size).ok());
        Ok(Some(Object { body, size, tag: Some(tag.to_owned()) }))
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        if let Some(stat) = self.stat(key)?
            && FileType::from_raw_mode(stat.st_mode) == FileType::Directory
        {
            return Err(Error::IsDirectory);
        }
        let parent = key.parent().unwrap_or(Path::new(""));
        let name = key.file_name().ok_or(Error::IsDirectory)?.to_owned();
        // A delete job may remove the still empty parent between our two calls: make it again.
        for last in [false, false, true] {
            let dir = self.ensure_directory(parent)?;
            sweep_stale(&dir);
            match Staged::create(dir, 0o666) {
                Ok(staged) => {
                    let target = self.shown(key);
                    return Ok(Box::new(LocalUpload::new(staged, name, target)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound && !last => {}
                Err(error) => return Err(self.failed("create", key, error)),
            }
        }
        Err(Error::DirNotFound)
    }

    fn read_range(&self, key: &Path, offset: u64, length: u64) -> Result<Vec<u8>> {
        let file = match self.resolve(key, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(found) => File::from(found),
            Err(error) if absent(error) => return Err(Error::NotFound),
            Err(error) => return Err(self.failed("open", key, error)),
        };
        let mut piece = vec![0; usize::try_from(length).map_err(|_| Error::NotFound)?];
        let mut filled = 0;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("read", key, error)),
            }
        }
        piece.truncate(filled);
        Ok(piece)
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        if key.file_name().is_none_or(is_temporary) {
            return Ok(None);
        }
        Ok(self
            .stat(key)?
            .filter(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile)
            .and_then(|stat| Some(entry(key.file_name()?.to_owned(), &stat)?.0)))
    }

    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        walk(self, dir, levels, visit)
    }

    /// Names only: a directory of many objects is not asked about each of them.
    fn holds_suffix(&self, dir: &Path, suffix: &str) -> Result<bool> {
        let opened = match self.directory(dir) {
            Ok(opened) => opened,
            Err(error) if absent(error) => return Ok(false),
            Err(error) => return Err(self.failed("list", dir, error)),
        };
        let reader = rustix::fs::Dir::read_from(&opened).map_err(|error| self.failed("list", dir, error))?;
        for item in reader.take(LOOKED_AT) {
            let item = item.map_err(|error| self.failed("list", dir, error))?;
            if item.file_name().to_bytes().ends_with(suffix.as_bytes()) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn remove(&self, key: &Path) -> Result<()> {
        let parent = match self.directory(key.parent().unwrap_or(Path::new(""))) {
            Ok(parent) => parent,
            Err(error) if absent(error) => return Ok(()),
            Err(error) => return Err(self.failed("remove", key, error)),
        };
        let name = key.file_name().ok_or(Error::IsDirectory)?;
        match rustix::fs::unlinkat(&parent, name, AtFlags::empty()) {
            Ok(()) => {
                sync_dir(&parent).map_err(|error| self.failed("sync", key, error))?;
                Ok(())
            }
            Err(error) if absent(error) => Ok(()),
            Err(Errno::ISDIR) => Err(Error::IsDirectory),
            Err(error) => Err(self.failed("remove", key, error)),
        }
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        let path = self.shown(key);
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(Error::IsFile),
            Err(error) if not_there(&error) => return Err(Error::DirNotFound),
            Err(error) => return Err(self.failed("remove", key, error)),
        }
        // The parent is resolved inside the root; below, std never follows a link.
        if let Some(parent) = key.parent() {
            self.directory(parent).map_err(|error| self.failed("remove", key, error))?;
        }
        let removed = if key.as_os_str().is_empty() { self.empty_root() } else { std::fs::remove_dir_all(&path) };
        removed.map_err(|error| self.failed("remove", key, error))
    }

    fn remove_dir(&self, key: &Path) -> Result<()> {
        let Some(name) = key.file_name() else {
            return Err(self.failed("remove", key, Errno::BUSY));
        };
        let parent = match self.directory(key.parent().unwrap_or(Path::new(""))) {
            Ok(parent) => parent,
            Err(error) if absent(error) => return Ok(()),
            Err(error) => return Err(self.failed("remove", key, error)),
        };
        let remove = || rustix::fs::unlinkat(&parent, name, AtFlags::REMOVEDIR);
        let removed = remove().or_else(|error| {
            // Only leftovers of killed pushes, which listing hides, may be in the way.
            if error == Errno::NOTEMPTY && self.directory(key).map(sweep_stale).is_ok() { remove() } else { Err(error) }
        });
        match removed {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::NOTDIR) => Err(Error::IsFile),
            Err(error) => Err(self.failed("remove", key, error)),
        }
    }

    fn make_dir(&self, key: &Path) -> Result<()> {
        self.ensure_directory(key).map(drop)
    }
}

impl LocalStore {
    /// The entries of one directory, sorted by name, temporary ones left out.
    pub(super) fn entries(&self, dir: &Path) -> Result<Vec<Found>> {
        let opened = match self.directory(dir) {
            Ok(opened) => opened,
            Err(error) if absent(error) => return Err(Error::DirNotFound),
            Err(error) => return Err(self.failed("list", dir, error)),
        };
        let reader = rustix::fs::Dir::read_from(&opened).map_err(|error| self.failed("list", dir, error))?;
        let mut entries = Vec::new();
        for item in reader {
            let item = item.map_err(|error| self.failed("list", dir, error))?;
            let name = OsString::from_vec(item.file_name().to_bytes().to_vec());
            if name == "." || name == ".." || is_temporary(&name) {
                continue;
            }
            let stat = match rustix::fs::statat(&opened, &name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => {
                    // Dangling, circular and outward links are as if absent.
                    match self.stat(&dir.join(&name)) {
                        Ok(Some(stat)) => stat,
                        _ => continue,
                    }
                }
                Ok(stat) => stat,
                // Removed while we were reading.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(self.failed("stat", &dir.join(&name), error)),
            };
            entries.extend(entry(name, &stat));
        }
        entries.sort_unstable_by(|(one, _), (two, _)| one.name.cmp(&two.name));
        Ok(entries)
    }

    /// Removes what is in the root but not the root, which is a mount point.
    fn empty_root(&self) -> io::Result<()> {
        for item in std::fs::read_dir(&self.root)? {
            let item = item?;
            if item.file_type()?.is_dir() {
                std::fs::remove_dir_all(item.path())?;
            } else {
                std::fs::remove_file(item.path())?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, LocalStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = LocalStore::open_root(dir.path(), "the test").unwrap();
        (dir, store)
    }

    fn put(store: &LocalStore, key: &str, content: &[u8]) {
        let mut upload = store.create(Path::new(key)).unwrap();
        upload.write_all(content).unwrap();
        upload.commit().unwrap();
    }

    #[test]
    fn links_are_followed_inside_the_root_only() {
        let (dir, store) = store();
        put(&store, "a/x", b"1");
        std::os::unix::fs::symlink("a", dir.path().join("inside")).unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("outside")).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join("dangling")).unwrap();
        let names: Vec<_> = store.entries(Path::new("")).unwrap().into_iter().map(|entry| entry.0.name).collect();
        assert_eq!(names, ["a", "inside"]);
        assert!(store.open(Path::new("inside/x")).is_ok());
        assert!(store.open(Path::new("outside/passwd")).is_err());
        assert!(store.create(Path::new("outside/new")).is_err());
        assert!(store.remove_all(Path::new("outside/apt")).is_err());
    }

    #[test]
    fn a_dropped_upload_leaves_nothing() {
        let (dir, store) = store();
        let mut upload = store.create(Path::new("d/x")).unwrap();
        upload.write_all(b"half").unwrap();
        assert!(store.entries(Path::new("d")).unwrap().is_empty());
        drop(upload);
        assert_eq!(std::fs::read_dir(dir.path().join("d")).unwrap().count(), 0);
    }
}
