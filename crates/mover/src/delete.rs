//! `delete PATH...`: removes a backup from the repository (design D20), and says so only if it is
//! true: the reference's script ignored failures and orphaned the data (behaviour-backup D2).
//!
//! Enters: the backup's paths. Leaves: no such directories, no empty parents, and a
//! [`RunResult`](mover_protocol::RunResult) in the termination message.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::store::Kind;
use crate::termination;

/// Removes paths, one after the other; gives the exit code. None is removed when one of them is refused.
pub fn delete(paths: &[OsString], conf: &Path) -> i32 {
    let begun = Instant::now();
    let failed = |path: &OsString| format!("delete {:?}", path.to_string_lossy());
    let refused = paths.iter().try_for_each(|path| refuse_broad(path).map_err(|error| error.during(failed(path))));
    let outcome = refused.and_then(|()| {
        paths.iter().try_for_each(|path| remove(path, conf).map_err(|error| error.during(failed(path))))
    });
    termination::conclude(&outcome, begun)
}

fn remove(path: &OsStr, conf: &Path) -> Result<()> {
    let repository = Repository::open(conf)?;
    let target = repository.locate(path)?;
    match repository.store.remove_all(&target.key) {
        // Gone already, or never written.
        Ok(()) | Err(Error::DirNotFound) => {}
        Err(Error::IsFile) => repository.store.remove(&target.key)?,
        Err(error) => return Err(error),
    }
    if repository.store.kind() == Kind::Flat {
        // A prefix and an object may share a name there, and there are no empty parents.
        return repository.store.remove(&target.key);
    }
    // Upwards until something else lives there; never the root of the store.
    for parent in target.key.ancestors().skip(1) {
        if parent.as_os_str().is_empty() {
            break;
        }
        match repository.store.remove_dir(parent) {
            Ok(()) => {}
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::DirectoryNotEmpty => {
                break;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A delete that names everything, or climbs, is a mistake of the caller.
fn refuse_broad(path: &OsStr) -> Result<()> {
    let refuse = |why| Err(Error::InvalidPath { path: path.to_string_lossy().into_owned(), why });
    let mut named = false;
    for part in path.as_bytes().split(|byte| *byte == b'/') {
        match part {
            b".." => return refuse("'..' is not allowed here"),
            b"" | b"." => {}
            _ => named = true,
        }
    }
    if named { Ok(()) } else { refuse("it names the whole repository") }
}
