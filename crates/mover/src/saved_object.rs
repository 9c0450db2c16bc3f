//! The saved Backup object, the mark that a backup's objects are complete.
//!
//! Enters: the Backup as JSON in a local file, and what the action reported. Leaves:
//! `<base path>/kubeblocks-backup.json`, with `.status` knowing size, time range and extras;
//! scripts of addons read it (contract-dp §10.7). Tried five times: without it the set is void.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use mover_protocol::{ActionInfo, SAVED_OBJECT};
use serde_json::{Map, Value};

use crate::config::Repository;
use crate::error::{Class, Error, Result, plain, say};

const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// Stores the object of one backup.
pub fn save(object: &Path, base: &OsStr, info: Option<&ActionInfo>, conf: &Path) -> Result<()> {
    let named = mover_protocol::env::BACKUP_BASE_PATH;
    if base.is_empty() {
        return Err(Error::Config(format!("{named} is not set")));
    }
    let content = merged(object, info)?;
    let mut pause = FIRST_PAUSE;
    for attempt in 1.. {
        match store(base, &content, conf) {
            Err(error) if attempt < TRIES && error.class() == Class::Transient => {
                say!("Warning: the backup's object was not saved, trying again: {error}");
            }
            outcome => return outcome,
        }
        std::thread::sleep(pause);
        pause *= 2;
    }
    Ok(())
}

fn store(base: &OsStr, content: &[u8], conf: &Path) -> Result<()> {
    let repository = Repository::open_at(conf, base)?;
    let path = repository.locate(OsStr::new(SAVED_OBJECT))?;
    let mut upload = repository.store.create(path.as_file()?)?;
    upload.write_all(content).map_err(|error| Error::io("write", error))?;
    upload.commit()
}

/// The object with what the action reported, merged as the status patch would have.
fn merged(object: &Path, info: Option<&ActionInfo>) -> Result<Vec<u8>> {
    let wrong = |why: String| Error::Config(format!("{}: {why}", object.display()));
    let content = std::fs::read(object).map_err(|error| wrong(plain(&error)))?;
    let mut backup: Map<String, Value> = serde_json::from_slice(&content).map_err(|error| wrong(error.to_string()))?;
    if let Some(info) = info {
        let info = serde_json::to_value(info).map_err(|error| wrong(error.to_string()))?;
        let status = backup.entry("status").or_insert_with(|| Value::Object(Map::new()));
        merge(status, info);
    }
    let mut text = serde_json::to_vec(&backup).map_err(|error| wrong(error.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// A merge patch (RFC 7396) without deletions; ours never carries null.
fn merge(target: &mut Value, patch: Value) {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(target.entry(key).or_insert(Value::Null), value);
            }
        }
        (target, patch) => *target = patch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_merge_and_arrays_are_replaced() {
        let mut target = serde_json::json!({"a":{"x":1,"y":2},"b":[1,2],"c":3});
        merge(&mut target, serde_json::json!({"a":{"y":5},"b":[9],"d":{"e":1}}));
        assert_eq!(target, serde_json::json!({"a":{"x":1,"y":5},"b":[9],"c":3,"d":{"e":1}}));
    }
}
