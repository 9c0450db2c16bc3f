//! Encryption on top of a store: names with a suffix below, without it above.
//!
//! Enters: keys as commands know them. Leaves: objects `KEY.enc` or `KEY.hfe` in the inner
//! store. What has no such name is invisible, and sizes are those of the content, computed
//! without a look into the object. The two kinds never share a directory: what is of the other
//! kind would silently be missing from every listing.

use std::ffi::{OsStr, OsString};
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Entry, Kind, LOOKED_AT, Object, Store, Upload, Visit, buffered};
use crate::cipher::{Cipher, Encryptor};
use crate::error::{Error, Result};

/// A store whose objects are encrypted.
pub struct EncryptedStore {
    inner: Box<dyn Store>,
    cipher: Cipher,
}

impl EncryptedStore {
    /// Encrypts what goes into `inner`.
    pub fn new(inner: Box<dyn Store>, cipher: Cipher) -> Self {
        Self { inner, cipher }
    }

    /// The key below.
    fn stored(&self, key: &Path) -> PathBuf {
        let mut name = key.as_os_str().to_owned();
        name.push(self.cipher.suffix());
        name.into()
    }

    /// The entry above; `None` for what is not ours.
    fn shown(&self, entry: &Entry) -> Option<Entry> {
        let mut entry = entry.clone();
        if !entry.is_dir {
            entry.name = without(&entry.name, self.cipher.suffix())?;
            entry.size = self.cipher.plain_size(entry.size);
        }
        Some(entry)
    }

    /// Refuses to mix. One look at the directory, at the first names of a large one: both kinds
    /// refuse the other from the first object on, so any name tells.
    fn refuse_mixture(&self, key: &Path) -> Result<()> {
        let (ours, other) = (self.cipher.suffix(), self.cipher.other_suffix());
        let dir = key.parent().unwrap_or(Path::new(""));
        if !self.inner.holds_suffix(dir, other)? {
            return Ok(());
        }
        Err(Error::Encrypt(format!(
            "the directory {:?} holds objects of the other kind of encryption ({other}), which {ours} objects beside \
             them would hide; use another path or repository, or change {} back",
            dir.display().to_string(),
            mover_protocol::env::ENVELOPE
        )))
    }
}

/// A name without its suffix; nothing but a suffix is no name.
fn without(name: &OsStr, suffix: &str) -> Option<OsString> {
    let stem = name.as_bytes().strip_suffix(suffix.as_bytes()).filter(|stem| !stem.is_empty())?;
    Some(OsString::from_vec(stem.to_vec()))
}

impl Store for EncryptedStore {
    fn describe(&self) -> String {
        format!("{} (encrypted, {})", self.inner.describe(), self.cipher.suffix())
    }

    fn open(&self, key: &Path) -> Result<Object> {
        let Object { body, size, tag } = self.inner.open(&self.stored(key))?;
        let body = buffered(self.cipher.decrypt(body).map_err(Error::read)?);
        Ok(Object { body, size: size.map(|stored| self.cipher.plain_size(stored)), tag })
    }

    fn create(&self, key: &Path) -> Result<Box<dyn Upload>> {
        self.refuse_mixture(key)?;
        let upload = self.inner.create(&self.stored(key))?;
        let encryptor = self.cipher.encrypt(upload).map_err(|error| Error::io("write", error))?;
        Ok(Box::new(EncryptedUpload(encryptor)))
    }

    fn object(&self, key: &Path) -> Result<Option<Entry>> {
        Ok(self.inner.object(&self.stored(key))?.and_then(|entry| self.shown(&entry)))
    }

    fn kind(&self) -> Kind {
        self.inner.kind()
    }

    /// Order: that of the names below, which differs where one name is the beginning of another.
    fn list(&self, dir: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
        self.inner.list(dir, levels, &mut |path, entry| match self.shown(entry) {
            Some(shown) if entry.is_dir => visit(path, &shown),
            Some(shown) => visit(&path.with_file_name(&shown.name), &shown),
            None => Ok(()),
        })
    }

    fn holds_suffix(&self, dir: &Path, suffix: &str) -> Result<bool> {
        self.inner.holds_suffix(dir, suffix)
    }

    fn refuse_mixture_below(&self, dir: &Path) -> Result<()> {
        let (ours, other) = (self.cipher.suffix(), self.cipher.other_suffix());
        let (mut seen, mut found) = (0, None);
        let looked = self.inner.list(dir, None, &mut |below, entry| {
            seen += 1;
            if !entry.is_dir && entry.name.as_bytes().ends_with(other.as_bytes()) {
                found = Some(below.to_owned());
            }
            if found.is_some() || seen >= LOOKED_AT { Err(Error::SeenEnough) } else { Ok(()) }
        });
        match (looked, found) {
            (_, Some(found)) => Err(Error::Encrypt(format!(
                "the repository holds {:?}, an object of the other kind of encryption ({other}), which {ours} objects \
                 would hide; use another repository or path, or change {} back (the first {LOOKED_AT} names were looked at)",
                found.display().to_string(),
                mover_protocol::env::ENVELOPE
            ))),
            (Ok(()) | Err(Error::SeenEnough | Error::DirNotFound), None) => Ok(()),
            (Err(error), None) => Err(error),
        }
    }

    fn sweep(&self, dir: &Path, older_than: Duration) -> Result<u64> {
        self.inner.sweep(dir, older_than)
    }

    fn remove(&self, key: &Path) -> Result<()> {
        self.inner.remove(&self.stored(key))
    }

    fn remove_all(&self, key: &Path) -> Result<()> {
        self.inner.remove_all(key)
    }

    fn remove_dir(&self, key: &Path) -> Result<()> {
        self.inner.remove_dir(key)
    }

    fn make_dir(&self, key: &Path) -> Result<()> {
        self.inner.make_dir(key)
    }
}

/// An object on its way in, through the cipher.
struct EncryptedUpload(Encryptor<Box<dyn Upload>>);

impl Write for EncryptedUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Upload for EncryptedUpload {
    fn commit(self: Box<Self>) -> Result<()> {
        self.0.finish().map_err(|error| Error::io("write", error))?.commit()
    }
}
