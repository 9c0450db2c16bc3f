//! `stat RPATH`: how much is below a path. Scripts take `TotalSize` from the text form.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::paths::RemotePath;
use crate::store::Entry;

/// The totals; alphabetical, as the reference prints its JSON.
#[derive(Default, Serialize)]
struct Totals {
    dirs: u64,
    entries: u64,
    files: u64,
    total_size: u64,
}

/// Prints the recursive totals of a path.
pub fn stat(repository: &Repository, path: &RemotePath, json: bool) -> Result<()> {
    let mut totals = Totals::default();
    let file =
        if path.slash || path.shown.as_os_str().is_empty() { None } else { repository.store.object(&path.key)? };
    if let Some(entry) = file {
        totals.files = 1;
        totals.total_size = entry.size;
    } else {
        let mut add = |_: &Path, entry: &Entry| {
            if entry.is_dir {
                totals.dirs += 1;
            } else {
                totals.files += 1;
                totals.total_size += entry.size;
            }
            Ok(())
        };
        repository.store.list(&path.key, None, &mut add).map_err(|error| error.during("error in ListJSON"))?;
    }
    totals.entries = totals.dirs + totals.files;
    let text = if json {
        serde_json::to_string(&totals).map_err(|error| Error::stdout(error.into()))? + "\n"
    } else {
        format!(
            "TotalSize: {}\nEntries: {}\nDirs: {}\nFiles: {}\n",
            totals.total_size, totals.entries, totals.dirs, totals.files
        )
    };
    io::stdout().write_all(text.as_bytes()).map_err(Error::stdout)
}
