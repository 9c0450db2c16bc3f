//! Walks a directory tree of the store, for `list -r` and `stat`.
//!
//! Enters: a directory. Leaves: every entry below it, each directory's entries together and in
//! name order before those of its subdirectories. Memory holds one directory per level.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::store::{Directory, Entry, Store};

/// Calls `visit` with the path below `top` and the entry; `depth` 0 means all levels.
pub fn walk(
    store: &dyn Store,
    top: &Path,
    depth: usize,
    visit: &mut dyn FnMut(&Path, &Entry) -> Result<()>,
) -> Result<()> {
    descend(store, top, Path::new(""), depth.wrapping_sub(1), &mut Vec::new(), visit)
}

fn descend(
    store: &dyn Store,
    dir: &Path,
    below: &Path,
    levels: usize,
    ancestors: &mut Vec<Directory>,
    visit: &mut dyn FnMut(&Path, &Entry) -> Result<()>,
) -> Result<()> {
    let entries = match store.entries(dir) {
        // Removed while we were walking; the top itself must exist.
        Err(Error::DirNotFound) if !below.as_os_str().is_empty() => return Ok(()),
        other => other?,
    };
    let mut inner: Vec<(PathBuf, Directory)> = Vec::new();
    for entry in entries {
        let path = below.join(&entry.name);
        visit(&path, &entry)?;
        if let Some(directory) = entry.dir
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
