//! A store over a protocol that shows a file system: FTP, WebDAV.
//!
//! Enters: the few things such a protocol can do ([`Tree`]). Leaves: the hierarchical kind of
//! store. An upload goes to a temporary name and is renamed when all of it is there; what a
//! killed push left is hidden from listings and removed by `gc-multipart`.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::clock;
use crate::error::{Error, Result, say};
use crate::paths::{TEMP_PREFIX, is_temporary};
use crate::progress;
use crate::staging::{self, OpenUpload};
use crate::store::{Entry, Kind, Object, Store, Upload, Visit};

/// What a protocol can do. Keys are relative to the root; the empty one is the root.
pub trait Tree: Send + Sync {
    /// How messages name it.
    fn describe(&self) -> String;
    /// What is in a directory, in no order; `None` when there is no such directory.
    fn entries(&self, dir: &Path) -> Result<Option<Vec<Entry>>>;
    /// What a key is.
    fn stat(&self, key: &Path) -> Result<Option<Entry>>;
    /// Opens a file.
    fn read(&self, key: &Path) -> Result<Object>;
    /// Begins to write a file whose directory exists.
    fn write(&self, key: &Path) -> Result<Box<dyn Sink>>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file; a missing one is fine.
    fn remove_file(&self, key: &Path) -> Result<()>;
    /// Removes a directory that is empty.
    fn remove_empty(&self, key: &Path) -> Result<()>;
    /// Makes a directory whose parent exists; that it exists already is fine.
    fn make_one(&self, key: &Path) -> Result<()>;
    /// Removes a file that is being written, from another thread and within two seconds.
    fn discard(&self, key: &Path);
}

/// A file that is being written; dropped, it is cut short.
pub trait Sink: Write {
    /// Everything is written; the server must say that it has all of it.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// A store over such a protocol.
pub struct TreeStore<T>(Arc<T>);

impl<T: Tree + 'static> TreeStore<T> {
    /// The store.
    pub fn new(tree: T) -> Self {
        Self(Arc::new(tree))
    }

    fn is_dir(&self, key: &Path) -> Result<bool> {
        Ok(key.as_os_str().is_empty() || self.0.stat(key)?.is_some_and(|entry| entry.is_dir))
    }

    fn ensure_dir(&self, key: &Path) -> Result<()> {
        if self.is_dir(key)? {
            return Ok(());
        }
        let mut made = PathBuf::new();
        for part in key.components() {
            made.push(part);
            self.0.make_one(&made)?;
        }
        Ok(())
    }

    fn descend(&self, dir: &Path, below: &Path, levels: usize, visit: &mut Visit<'_>) -> Result<()> {
        let mut entries = match self.0.entries(dir)? {
            Some(entries) => entries,
            // Removed while we were walking; the top itself must exist.
            None if !below.as_os_str().is_empty() => return Ok(()),
            None => return Err(Error::DirNotFound),
        };
        entries.retain(|entry| !is_temporary(&entry.name));
        entries.sort_unstable_by(|one, two| one.name.cmp(&two.name));
        for entry in &entries {
            visit(&below.join(&entry.name), entry)?;
        }
        for entry in entries.iter().filter(|entry| entry.is_dir && levels > 0) {
            self.descend(&dir.join(&entry.name), &below.join(&entry.name), levels - 1, visit)?;
        }
        Ok(())
    }

    /// Removes what is in a directory, temporary files too; counts what was there and what stayed.
    fn empty(&self, dir: &Path, count: &mut Removal) -> Result<()> {
        for entry in self.0.entries(dir)?.unwrap_or_default() {
            let key = dir.join(&entry.name);
            if entry.is_dir {
                self.empty(&key, count)?;
            }
            count.seen += 1;
            let removed = if entry.is_dir { self.0.remove_empty(&key) } else { self.0.remove_file(&key) };
            if let Err(error) = removed {
                count.left += 1;
                count.why.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// Removes temporary files older than this.
    fn sweep_below(&self, dir: &Path, older_than: Duration, deep: bool) -> Result<u64> {
        let mut swept = 0;
        for entry in self.0.entries(dir)?.unwrap_or_default() {
            let key = dir.join(&entry.name);
            if entry.is_dir && deep {
                swept += self.sweep_below(&key, older_than, deep)?;
            } else if !entry.is_dir
                && is_temporary(&entry.name)
                && clock::now().duration_since(entry.modified).is_ok_and(|age| age >= older_than)
            {
                self.0.remove_file(&key)?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

#[derive(Default)]
struct Removal {
    seen: u64,
    left: u64,
    why: Option<Error>,
}

impl<T: Tree + 'static> Store for TreeStore<T> {
    fn describe(&self) -> String {
        self.0.describe()
    }

    fn kind(&self) -> Kind {
        Kind::Hierarchical
    }

    fn open(&self, key: &Path) -> Result<Object> {
        if self.is_dir(key)? {
            return Err(Error::IsDirectory);
        }
        let Object { body, size, tag } = self.0.read(key)?;
        Ok(Object { body: Box::new(progress::Counted(body)), size, tag })
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        if self.is_dir(key)? {
            return Err(Error::IsDirectory);
        }
        let parent = key.parent().unwrap_or(Path::new(""));
        self.ensure_dir(parent)?;
        let mut random = [0u8; 8];
        rustix::rand::getrandom(&mut random[..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| Error::io("draw a random number", error))?;
        let temporary = parent.join(format!("{TEMP_PREFIX}{}-{:016x}", std::process::id(), u64::from_ne_bytes(random)));
        let open = Arc::new(OpenTemporary { tree: Arc::clone(&self.0), key: temporary.clone() });
        staging::remote_open(open);
        let mut upload = Box::new(TreeUpload {
            tree: Arc::clone(&self.0),
            temporary,
            key: key.to_owned(),
            sink: None,
            total: 0,
            committed: false,
        });
        // From here on a drop cleans up.
        upload.sink = Some(self.0.write(&upload.temporary)?);
        Ok(upload)
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        if key.file_name().is_none_or(is_temporary) {
            return Ok(None);
        }
        Ok(self.0.stat(key)?.filter(|entry| !entry.is_dir))
    }

    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        self.descend(dir, Path::new(""), levels.map_or(usize::MAX, |levels| levels.get() - 1), visit)
    }

    fn remove(&self, key: &Path) -> Result<()> {
        if self.is_dir(key)? {
            return Err(Error::IsDirectory);
        }
        self.0.remove_file(key)
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        let root = key.as_os_str().is_empty();
        match if root { None } else { self.0.stat(key)? } {
            Some(entry) if !entry.is_dir => return Err(Error::IsFile),
            None if !root => return Err(Error::DirNotFound),
            _ => {}
        }
        let mut count = Removal::default();
        self.empty(key, &mut count)?;
        if let Some(why) = count.why {
            return Err(why.during(format!("{} of {} entries could not be removed", count.left, count.seen)));
        }
        if root { Ok(()) } else { self.0.remove_empty(key) }
    }

    fn remove_dir(&self, key: &Path) -> Result<()> {
        match self.0.stat(key)? {
            None => return Ok(()),
            Some(entry) if !entry.is_dir => return Err(Error::IsFile),
            Some(_) => {}
        }
        // What listing hides must not keep a directory from being removed.
        self.sweep_below(key, Duration::from_secs(24 * 3600), false)?;
        // Some protocols remove a directory with all that is in it.
        if self.0.entries(key)?.is_some_and(|entries| !entries.is_empty()) {
            return Err(Error::io(format!("remove {}", key.display()), rustix::io::Errno::NOTEMPTY));
        }
        self.0.remove_empty(key)
    }

    fn make_dir(&self, key: &Path) -> Result<()> {
        self.ensure_dir(key)
    }

    fn sweep(&self, dir: &Path, older_than: Duration) -> Result<u64> {
        self.sweep_below(dir, older_than, true)
    }
}

struct OpenTemporary<T> {
    tree: Arc<T>,
    key: PathBuf,
}

impl<T: Tree> OpenUpload for OpenTemporary<T> {
    fn abort_now(&self) {
        self.tree.discard(&self.key);
    }
}

/// A file on its way in, under its temporary name.
struct TreeUpload<T: Tree> {
    tree: Arc<T>,
    temporary: PathBuf,
    key: PathBuf,
    sink: Option<Box<dyn Sink>>,
    total: u64,
    committed: bool,
}

impl<T: Tree> Write for TreeUpload<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(sink) = &mut self.sink else { return Err(io::ErrorKind::NotConnected.into()) };
        let count = sink.write(bytes)?;
        self.total += count as u64;
        progress::STORED.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<T: Tree> Upload for TreeUpload<T> {
    fn commit(mut self: Box<Self>) -> Result<()> {
        if let Some(sink) = self.sink.take() {
            sink.finish()?;
        }
        let stored = self.tree.stat(&self.temporary)?.map(|entry| entry.size);
        if stored != Some(self.total) {
            return Err(Error::Mismatch(format!(
                "the server has {} bytes of the {} that were sent",
                stored.unwrap_or_default(),
                self.total
            )));
        }
        staging::remote_completing();
        self.tree.rename(&self.temporary, &self.key)?;
        self.committed = true;
        staging::remote_ended(true);
        Ok(())
    }
}

impl<T: Tree> Drop for TreeUpload<T> {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        drop(self.sink.take());
        if let Err(error) = self.tree.remove_file(&self.temporary) {
            let name = self.temporary.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
            say!("Warning: the temporary file {name} stays; gc-multipart removes it: {error}");
        }
        staging::remote_ended(false);
    }
}
