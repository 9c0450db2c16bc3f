//! Maintenance: space of snapshots that are forgotten comes back, in two steps.
//!
//! Enters: `DATASAFED_KOPIA_MAINTENANCE=true` after a command. Leaves: a repository in which
//! packs that no snapshot needs are marked, and those are gone that were marked two days ago. It
//! runs alone ([`super::lease`]); should a lease fail, the two days still hold: a pack that was
//! marked but is needed again is taken back by the next maintenance, not removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustic_core::PruneOptions;
use rustic_core::jiff::Span;
use rustic_core::repofile::SnapshotFile;

use super::failure::repository_error;
use super::files::Files;
use super::founding;
use super::incoming::{TAG, forget};
use super::lease::Lease;
use super::record::{Record, SUFFIX};
use super::settings::Settings;
use crate::error::{Error, Result, say};

/// How long a pack without use is kept after it was marked; a pull may take that long.
const GRACE_HOURS: i64 = 48;
/// A pack this young may be of a push whose lease we did not see.
const YOUNG_HOURS: i64 = 24;

/// Runs maintenance once; without a repository there is nothing to do.
pub fn maintain(files: &Arc<Files>, settings: &Settings) -> Result<()> {
    let Some(repository) = founding::open(files, settings)? else {
        return Ok(());
    };
    let Some(_alone) = Lease::maintenance(files, settings)? else {
        say!("Warning: maintenance is postponed: somebody else is at work in the repository");
        return Ok(());
    };
    let root = settings.root.display().to_string();
    let failed = |error: Box<rustic_core::RusticError>| repository_error(&root, &error);
    forget_superseded(files, settings, &repository.get_all_snapshots().map_err(failed)?)?;
    let mut options = PruneOptions::default();
    options.keep_delete = Span::new().hours(GRACE_HOURS);
    options.keep_pack = Span::new().hours(YOUNG_HOURS);
    let plan = repository.prune_plan(&options).map_err(failed)?;
    repository.prune(&options, plan).map_err(failed)
}

/// Forgets what pushes that were killed after their record was written left behind: snapshots of
/// ours of a path whose record names another. A snapshot whose path has no record stays: it may
/// be all there is if somebody lost the records.
fn forget_superseded(files: &Files, settings: &Settings, snapshots: &[SnapshotFile]) -> Result<()> {
    let mut current: BTreeMap<String, Record> = BTreeMap::new();
    let mut keys = Vec::new();
    let listed = files.store().list(&settings.records, None, &mut |below, entry| {
        if !entry.is_dir && below.to_string_lossy().ends_with(SUFFIX) {
            keys.push(below.to_owned());
        }
        Ok(())
    });
    match listed {
        Ok(()) | Err(Error::DirNotFound) => {}
        Err(error) => return Err(error),
    }
    for below in keys {
        let Some(path) = below.to_str().and_then(|path| path.strip_suffix(SUFFIX)) else { continue };
        match Record::read(files.store().as_ref(), &settings.records.join(&below)) {
            Ok(record) => drop(current.insert(format!("/{path}"), record)),
            Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    let named: Vec<&str> = current.values().map(|record| record.snapshot_id.as_str()).collect();
    for snapshot in snapshots.iter().filter(|snapshot| snapshot.tags.contains(TAG)) {
        let id = snapshot.id.to_hex();
        let path = snapshot.paths.iter().next().map_or("", String::as_str);
        let superseded = current.get(path).is_some_and(|record| is_older(snapshot, record));
        if superseded && !named.contains(&id.as_str()) {
            forget(files, id.as_str())?;
        }
    }
    Ok(())
}

fn is_older(snapshot: &SnapshotFile, record: &Record) -> bool {
    std::time::SystemTime::from(snapshot.time.timestamp()) <= record.modified()
}
