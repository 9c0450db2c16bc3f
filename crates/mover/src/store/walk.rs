//! Walks a directory tree of the local store.
//!
//! Enters: a directory. Leaves: every entry below it, each directory's entries together and in
//! name order before those of its subdirectories. Memory holds one directory per level.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use super::Visit;
use super::inode::Directory;
use super::local::LocalStore;
use crate::error::{Error, Result};

/// Calls `visit` with the path below `top` and the entry.
pub fn walk(store: &LocalStore, top: &Path, levels: Option<NonZeroUsize>, visit: &mut Visit<'_>) -> Result<()> {
    let below = levels.map_or(usize::MAX, |levels| levels.get() - 1);
    descend(store, top, Path::new(""), below, &mut Vec::new(), visit)
}

fn descend(
    store: &LocalStore,
    dir: &Path,
    below: &Path,
    levels: usize,
    ancestors: &mut Vec<Directory>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let entries = match store.entries(dir) {
        // Removed while we were walking; the top itself must exist.
        Err(Error::DirNotFound) if !below.as_os_str().is_empty() => return Ok(()),
        other => other?,
    };
    let mut inner: Vec<(PathBuf, Directory)> = Vec::new();
    for (entry, directory) in entries {
        let path = below.join(&entry.name);
        visit(&path, &entry)?;
        if let Some(directory) = directory
            && levels > 0
        {
            inner.push((path, directory));
        }
    }
    for (path, directory) in inner {
        // A link that leads to one of its own parents would never end.
        if ancestors.contains(&directory) {
            continue;
        }
        ancestors.push(directory);
        let name = path.file_name().unwrap_or_default();
        descend(store, &dir.join(name), &path, levels - 1, ancestors, visit)?;
        ancestors.pop();
    }
    Ok(())
}
