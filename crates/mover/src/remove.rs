//! `rm`, `rmdir` and `mkdir`.

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::paths::RemotePath;

/// Removes a file, or with `recursive` a directory. MD8: the root of a repository is not purged
/// by an empty variable in a script; `force_root` says it is meant.
pub fn remove(repository: &Repository, path: &RemotePath, recursive: bool, force_root: bool) -> Result<()> {
    if !recursive {
        return if path.key.as_os_str().is_empty() {
            Err(Error::IsDirectory)
        } else {
            repository.store.remove(&path.key)
        };
    }
    if path.key.as_os_str().is_empty() && !force_root {
        return Err(Error::InvalidPath {
            path: path.given.to_string_lossy().into_owned(),
            why: "this would remove the whole repository; use --force-root if that is meant",
        });
    }
    repository.store.remove_all(&path.key).map_err(|error| error.during(format!("rm {}", path.quoted())))
}

/// Removes an empty directory.
pub fn remove_dir(repository: &Repository, path: &RemotePath) -> Result<()> {
    repository.store.remove_dir(&path.key)
}

/// Makes a directory and its parents.
pub fn make_dir(repository: &Repository, path: &RemotePath) -> Result<()> {
    repository.store.make_dir(&path.key)
}
