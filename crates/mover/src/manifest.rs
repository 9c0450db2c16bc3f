//! The manifest of a backup (design D22): what lies in its directory, and what is needed to restore it.
//!
//! Enters: the directory of a backup whose action succeeded, the journal of its pushes, the Backup and the ActionSet
//! as JSON in local files. Leaves: `holdfast-manifest.json` in a directory of its own, outside of every backup.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::path::Path;

use jiff::Timestamp;
use mover_protocol::{MANIFEST, MANIFEST_OBJECTS, Manifest, ManifestObject};
use serde_json::Value;

use crate::config::Repository;
use crate::error::{Error, Result, plain};
use crate::{clock, journal};

/// Writes the manifest of the backup at `base` into `dir`, both paths of the repository.
pub fn write(base: &OsStr, dir: &OsStr, journal: Option<&Path>, conf: &Path) -> Result<()> {
    let repository = Repository::open_at(conf, OsStr::new(""))?;
    let manifest = list(&repository, base, journal)?;
    let mut text = serde_json::to_vec(&manifest).map_err(|error| Error::Config(error.to_string()))?;
    text.push(b'\n');
    let mut path = dir.to_owned();
    path.push("/");
    path.push(MANIFEST);
    let target = repository.locate(&path)?;
    let mut upload = repository.store.create(target.as_file()?)?;
    upload.write_all(&text).map_err(|error| Error::io("write", error))?;
    upload.commit()
}

fn list(repository: &Repository, base: &OsStr, journal: Option<&Path>) -> Result<Manifest> {
    let place = repository.locate(base)?;
    let mut pushed = journal.map(|file| journal::read(file, &place.key)).unwrap_or_default();
    let mut manifest = Manifest {
        v: 1,
        path: format!("/{}", place.key.display()),
        written: Timestamp::try_from(clock::now()).unwrap_or_default().to_string(),
        backup: document(mover_protocol::env::BACKUP_OBJECT_FILE)?,
        action_set: document(mover_protocol::env::ACTION_SET_FILE)?,
        count: 0,
        bytes: 0,
        objects: Vec::new(),
    };
    let listed = repository.store.list(&place.key, None, &mut |below, entry| {
        if entry.is_dir {
            return Ok(());
        }
        manifest.count += 1;
        manifest.bytes += entry.size;
        if manifest.objects.len() < MANIFEST_OBJECTS {
            let path = below.to_string_lossy().into_owned();
            let content = pushed.remove(&path);
            manifest.objects.push(ManifestObject { path, size: entry.size, content });
        }
        Ok(())
    });
    match listed {
        // An action may store nothing.
        Ok(()) | Err(Error::DirNotFound) => Ok(manifest),
        Err(error) => Err(error),
    }
}

/// The JSON in the file that a variable names; null without one.
fn document(variable: &str) -> Result<Value> {
    let Some(file) = env::var_os(variable).filter(|file| !file.is_empty()) else { return Ok(Value::Null) };
    let wrong = |why: String| Error::Config(format!("{}: {why}", Path::new(&file).display()));
    let content = fs::read(&file).map_err(|error| wrong(plain(&error)))?;
    serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))
}
