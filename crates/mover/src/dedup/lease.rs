//! Who is at work in a repository: pushes beside each other, maintenance alone.
//!
//! Enters: a kind of work. Leaves: an object below `<root>/holdfast-leases` that is written anew
//! while the work goes on, and removed at its end. Each side writes its own before it looks for
//! the other's, so one of the two always sees the other. A lease nobody renewed for a quarter of
//! an hour is of a process that was killed.

use std::ffi::OsStr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use super::files::Files;
use super::settings::Settings;
use crate::clock;
use crate::error::{Error, Result, say};
use crate::fill::random;

const DIRECTORY: &str = "holdfast-leases";
const RENEWAL: Duration = Duration::from_secs(120);
const STALE: Duration = Duration::from_secs(900);
/// How often a push looks whether maintenance has ended.
const LOOK: Duration = Duration::from_millis(500);

/// What the holder does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Adds a snapshot; many at a time.
    Push,
    /// Removes what no snapshot needs; one, and no push beside it.
    Maintenance,
}

impl Work {
    fn prefix(self) -> &'static str {
        match self {
            Self::Push => "push-",
            Self::Maintenance => "maintenance-",
        }
    }
}

/// A lease that is held.
pub struct Lease {
    files: Arc<Files>,
    key: PathBuf,
    stop: Option<Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

impl Lease {
    /// Waits until no maintenance is at work, and keeps it from beginning.
    pub fn push(files: &Arc<Files>, settings: &Settings) -> Result<Self> {
        let lease = Self::write(files, settings, Work::Push)?;
        let mut told = false;
        while lease.others(settings, Work::Maintenance)? {
            if !told {
                say!("Warning: waiting for the maintenance of the repository to end");
                told = true;
            }
            std::thread::sleep(LOOK);
        }
        Ok(lease)
    }

    /// A lease to be alone; `None` while others are at work.
    pub fn maintenance(files: &Arc<Files>, settings: &Settings) -> Result<Option<Self>> {
        let lease = Self::write(files, settings, Work::Maintenance)?;
        let busy = lease.others(settings, Work::Push)? || lease.others(settings, Work::Maintenance)?;
        Ok((!busy).then_some(lease))
    }

    fn write(files: &Arc<Files>, settings: &Settings, work: Work) -> Result<Self> {
        let name = format!("{}{:032x}", work.prefix(), u128::from_ne_bytes(random()?));
        let key = settings.root.join(DIRECTORY).join(name);
        put(files, &key)?;
        let (stop, stopped) = mpsc::channel();
        let (kept, renewed) = (Arc::clone(files), key.clone());
        let renewal = std::thread::Builder::new().name("lease".into()).spawn(move || {
            while stopped.recv_timeout(RENEWAL) == Err(RecvTimeoutError::Timeout) {
                if let Err(error) = put(&kept, &renewed) {
                    say!("Warning: the lease on the repository was not renewed: {error}");
                }
            }
        });
        let renewal = renewal.map_err(|error| Error::io("start a thread", error))?;
        Ok(Self { files: Arc::clone(files), key, stop: Some(stop), renewal: Some(renewal) })
    }

    /// Whether somebody else is at this work.
    fn others(&self, settings: &Settings, work: Work) -> Result<bool> {
        let mut found = false;
        let own = self.key.file_name().unwrap_or_default();
        let listed = self.files.store().list(&settings.root.join(DIRECTORY), NonZeroUsize::new(1), &mut |_, entry| {
            let alive = clock::now().duration_since(entry.modified).is_ok_and(|age| age < STALE)
                // A clock ahead of ours.
                || entry.modified > clock::now();
            found |= alive && !entry.is_dir && entry.name != own && is_of(&entry.name, work);
            Ok(())
        });
        match listed {
            Ok(()) | Err(Error::DirNotFound) => Ok(found),
            Err(error) => Err(error),
        }
    }
}

fn is_of(name: &OsStr, work: Work) -> bool {
    name.to_str().is_some_and(|name| name.starts_with(work.prefix()))
}

fn put(files: &Files, key: &Path) -> Result<()> {
    files.put(key, &[bytes::Bytes::from_static(b"at work\n")])
}

impl Drop for Lease {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewal) = self.renewal.take() {
            let _ = renewal.join();
        }
        if let Err(error) = self.files.store().remove(&self.key) {
            say!("Warning: the lease on the repository was not removed; it delays maintenance for 15 minutes: {error}");
        }
    }
}
