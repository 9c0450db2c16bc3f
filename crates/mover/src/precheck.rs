//! `precheck PREFIX`: proves that a repository can be written, read and cleaned.
//!
//! Enters: a prefix. Leaves: an exit code, one `Error:` line that explains itself (the operator
//! quotes it in the BackupRepo's condition) and a result in the termination message.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Instant;

use crate::config::Repository;
use crate::error::{Error, Result};
use crate::fill;
use crate::paths::RemotePath;
use crate::termination;

/// Name of the test object, as the reference calls it.
const NAME: &str = "precheck.txt";

/// Checks the configured repository; gives the exit code.
pub fn precheck(prefix: &OsStr, conf: &Path) -> i32 {
    let begun = Instant::now();
    termination::conclude(&check(prefix, conf), begun)
}

fn check(prefix: &OsStr, conf: &Path) -> Result<()> {
    let repository = Repository::open(conf).map_err(|error| error.during("the pre-check cannot start"))?;
    let mut path = prefix.to_owned();
    path.push("/");
    path.push(NAME);
    let path = repository.locate(&path).map_err(|error| error.during("the pre-check cannot start"))?;
    let said = |doing: &str| {
        format!(
            "the pre-check of the {} failed while {doing} {:?}",
            repository.store.describe(),
            path.shown.display().to_string()
        )
    };
    // Once for all that will be stored here: each push looks at its own directory only.
    let root = path.key.parent().unwrap_or(Path::new(""));
    repository.store.refuse_mixture_below(root).map_err(|e| e.during(said("looking for other objects beside")))?;
    let token = token()?;
    let written = write(&repository, &path, &token).map_err(|e| e.during(said("writing")));
    let read = written.and_then(|()| {
        let read = read(&repository, &path).map_err(|e| e.during(said("reading back")))?;
        if read == token.as_bytes() {
            Ok(())
        } else {
            Err(Error::Mismatch(format!("{} bytes came back that differ from the {} written", read.len(), token.len()))
                .during(said("comparing")))
        }
    });
    // Also after a failure: nothing of ours stays.
    let removed = repository.store.remove(&path.key).map_err(|error| error.during(said("removing")));
    read.and(removed)
}

fn write(repository: &Repository, path: &RemotePath, token: &str) -> Result<()> {
    let mut upload = repository.store.create(path.as_file()?)?;
    upload.write_all(token.as_bytes()).map_err(|error| Error::io("write", error))?;
    upload.commit()
}

fn read(repository: &Repository, path: &RemotePath) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    repository
        .store
        .open(&path.key)?
        .body
        .take(4096)
        .read_to_end(&mut content)
        .map_err(|error| Error::io("read", error))?;
    Ok(content)
}

/// New for each check, so that an old file cannot pass for a fresh one.
fn token() -> Result<String> {
    Ok(format!("pre-check {:032x}\n", u128::from_ne_bytes(fill::random()?)))
}
