//! `cp --from PLACE --to PLACE RPATH [RPATH]`: objects of one repository into another.
//!
//! Enters: two repositories and a path. Leaves: each object in the second one, whole or not at
//! all, as it is stored in the first: compressed and encrypted objects stay so, and no key is
//! needed. What was written is read back and compared. The saved object of a backup, which says
//! that the set is complete, comes last.

use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, Digest};

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::paths::RemotePath;
use crate::progress;
use crate::staging;
use crate::store::Entry;

const BUFFER: usize = 256 * 1024;

/// Copies one object, or all below a directory.
pub fn copy(from: &Path, to: &Path, source: &OsStr, target: &OsStr) -> Result<()> {
    let (from, to) = (Repository::as_stored(from)?, Repository::as_stored(to)?);
    let (source, target) = (from.locate(source)?, to.locate(target)?);
    every(&from, &to, &source, &target).map_err(|error| error.during(format!("cp {}", source.quoted())))
}

fn every(from: &Repository, to: &Repository, source: &RemotePath, target: &RemotePath) -> Result<()> {
    let same = from.store.describe() == to.store.describe();
    if same && (target.key.starts_with(&source.key) || source.key.starts_with(&target.key)) {
        return Err(Error::Usage("source and target are the same, or one is inside of the other".to_owned()));
    }
    if !source.slash && !source.shown.as_os_str().is_empty() && from.store.object(&source.key)?.is_some() {
        return one(from, to, source.as_file()?, target.as_file()?);
    }
    let saved = mover_protocol::SAVED_OBJECT.trim_start_matches('/');
    // One of a backup, so few of any directory.
    let mut last: Vec<PathBuf> = Vec::new();
    let mut copied = 0u64;
    from.store.list(&source.key, None, &mut |below: &Path, entry: &Entry| {
        if entry.is_dir {
            return to.store.make_dir(&target.key.join(below));
        }
        copied += 1;
        if entry.name.to_string_lossy().starts_with(saved) {
            last.push(below.to_owned());
            return Ok(());
        }
        one(from, to, &source.key.join(below), &target.key.join(below))
    })?;
    for below in &last {
        one(from, to, &source.key.join(below), &target.key.join(below))?;
    }
    if copied == 0 {
        return Err(Error::NotFound);
    }
    Ok(())
}

fn one(from: &Repository, to: &Repository, source: &Path, target: &Path) -> Result<()> {
    transfer(from, to, source, target).map_err(|error| error.during(format!("{:?}", source.display().to_string())))
}

fn transfer(from: &Repository, to: &Repository, source: &Path, target: &Path) -> Result<()> {
    let object = from.store.open(source)?;
    let mut upload = to.store.create(target)?;
    let written = pump(object.body, |bytes| {
        progress::moved(bytes);
        upload.write_all(bytes)
    })?;
    if object.size.is_some_and(|size| size != written.0) {
        return Err(Error::Mismatch(format!("{} bytes came, the object has another size", written.0)));
    }
    upload.commit()?;
    staging::more_follows();
    let read = pump(to.store.open(target).map_err(|error| error.during("read back"))?.body, |_| Ok(()))?;
    if read == written {
        return Ok(());
    }
    // Whoever finds it must not take it for the object.
    let _ = to.store.remove(target);
    Err(Error::Mismatch("what was written reads back as something else, and was removed".to_owned()))
}

/// Reads to the end; gives length and checksum.
fn pump(mut input: Box<dyn Read>, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> Result<(u64, u64)> {
    let mut digest = Digest::new(CrcAlgorithm::Crc64Nvme);
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        let count = match input.read(&mut buffer) {
            Ok(0) => return Ok((length, digest.finalize())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::read(error)),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        digest.update(bytes);
        length += count as u64;
        take(bytes).map_err(|error| Error::io("write", error))?;
    }
}
