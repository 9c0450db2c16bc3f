//! A file that appears complete or not at all: written under a temporary name, synced, renamed,
//! the directory synced.
//!
//! Enters: an open directory and bytes. Leaves: the named file after [`Staged::commit`]; nothing
//! after a drop, an error or a signal. At most one file or remote upload is open per process, so
//! the signal thread can find and remove it ([`stop_on_signals`]).

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{AtFlags, Mode, OFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::clock;
use crate::error::say;
use crate::exec;
use crate::fill::random;
use crate::operation;
use crate::paths::{TEMP_PREFIX, is_temporary};

/// A temporary file older than this belongs to nobody.
const STALE: Duration = Duration::from_secs(24 * 3600);

/// How long a signal waits for an upload that is just being made visible.
const COMPLETION: Duration = Duration::from_millis(2500);

/// An upload that an object store keeps until somebody ends it.
pub trait OpenUpload: Send + Sync {
    /// Ends it with nothing stored; returns within two seconds.
    fn abort_now(&self);
}

/// Where the process stands with its staged file.
enum Stage {
    /// Nothing staged.
    Idle,
    /// This name in this directory must go if we do not get to commit it.
    Open(OwnedFd, String),
    /// This upload must be aborted if we do not get to complete it.
    Remote(Arc<dyn OpenUpload>),
    /// The request that makes an object visible is on its way.
    Completing(Option<Arc<dyn OpenUpload>>),
    /// Renamed, or completed; a signal must no longer turn success into failure.
    Committed,
}

static STAGE: Mutex<Stage> = Mutex::new(Stage::Idle);
static STAGE_CHANGED: Condvar = Condvar::new();
/// The last signal that came after a commit.
static ASKED_TO_STOP: AtomicI32 = AtomicI32::new(0);

/// Whether what is committed is the command's outcome, and not only a part of it.
static FINAL: AtomicBool = AtomicBool::new(true);

/// From now on commits make parts of something that nobody sees yet, or again the thing itself.
pub fn commits_are_final(is_final: bool) {
    FINAL.store(is_final, Ordering::SeqCst);
}

/// An upload is open from now on.
pub fn remote_open(upload: Arc<dyn OpenUpload>) {
    *stage() = Stage::Remote(upload);
}

/// The request that makes the object visible goes out now.
pub fn remote_completing() {
    let mut stage = stage();
    *stage = match std::mem::replace(&mut *stage, Stage::Idle) {
        Stage::Remote(upload) => Stage::Completing(Some(upload)),
        _ => Stage::Completing(None),
    };
}

/// The object is visible, or the upload is gone.
pub fn remote_ended(committed: bool) {
    *stage() = if committed { Stage::Committed } else { Stage::Idle };
    STAGE_CHANGED.notify_all();
}

fn stage() -> MutexGuard<'static, Stage> {
    STAGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process with 128 + n on SIGTERM, SIGINT and SIGHUP, after removing the staged file.
pub fn stop_on_signals() -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        for signal in &mut signals {
            // The lock is held until the process is gone: no commit can slip in between.
            let held = stage();
            let completing = |stage: &mut Stage| matches!(stage, Stage::Completing(_));
            let (held, _) =
                STAGE_CHANGED.wait_timeout_while(held, COMPLETION, completing).unwrap_or_else(PoisonError::into_inner);
            match &*held {
                Stage::Open(dir, name) => {
                    let _ = rustix::fs::unlinkat(dir, name.as_str(), AtFlags::empty());
                }
                Stage::Remote(upload) | Stage::Completing(Some(upload)) => upload.abort_now(),
                Stage::Committed if FINAL.load(Ordering::SeqCst) => {
                    ASKED_TO_STOP.store(signal, Ordering::SeqCst);
                    continue;
                }
                Stage::Idle | Stage::Committed | Stage::Completing(None) => {}
            }
            exec::end_on_signal(signal);
            stop(signal);
        }
    })?;
    Ok(())
}

fn stop(signal: i32) -> ! {
    operation::stopped(signal);
    say!("Error: stopped by signal {signal}, before it was complete");
    std::process::exit(128 + signal)
}

/// What was committed was not the last: from now on a signal ends the process again, and so does
/// one that came meanwhile.
pub fn more_follows() {
    let mut stage = stage();
    *stage = Stage::Idle;
    let signal = ASKED_TO_STOP.load(Ordering::SeqCst);
    if signal != 0 {
        // The lock is held: the other thread waits, and the process ends here.
        stop(signal);
    }
}

/// A file under a temporary name in the directory of its future name.
pub struct Staged {
    file: File,
    dir: OwnedFd,
    name: String,
    committed: bool,
}

impl Staged {
    /// Creates the temporary file; `mode` is subject to the umask.
    pub fn create(dir: OwnedFd, mode: u32) -> io::Result<Self> {
        let name = format!("{TEMP_PREFIX}{}-{:016x}", std::process::id(), u64::from_ne_bytes(random()?));
        let kept = dir.try_clone()?;
        let mut stage = stage();
        let file = rustix::fs::openat(
            &dir,
            name.as_str(),
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW,
            Mode::from_raw_mode(mode),
        )?;
        *stage = Stage::Open(kept, name.clone());
        Ok(Self { file: File::from(file), dir, name, committed: false })
    }

    /// The open temporary file.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Syncs the content, gives the file its name and syncs the directory.
    pub fn commit(mut self, name: &OsStr) -> io::Result<()> {
        self.file.sync_all()?;
        {
            let mut stage = stage();
            rustix::fs::renameat(&self.dir, self.name.as_str(), &self.dir, name)?;
            *stage = Stage::Committed;
            self.committed = true;
        }
        sync_dir(&self.dir)
    }
}

impl Write for Staged {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if self.committed {
            return;
        }
        let mut stage = stage();
        let _ = rustix::fs::unlinkat(&self.dir, self.name.as_str(), AtFlags::empty());
        if matches!(&*stage, Stage::Open(_, name) if *name == self.name) {
            *stage = Stage::Idle;
        }
    }
}

/// Makes a new name in a directory durable. File systems that cannot sync a directory (some
/// FUSE and CIFS mounts) say so with EINVAL; there is nothing more to do on those.
pub fn sync_dir(dir: impl AsFd) -> io::Result<()> {
    match rustix::fs::fsync(dir) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTSUP) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Removes what killed pushes left in this directory more than a day ago. Best effort.
pub fn sweep_stale(dir: impl AsFd) {
    let Ok(entries) = rustix::fs::Dir::read_from(&dir) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !is_temporary(OsStr::from_bytes(name.to_bytes())) {
            continue;
        }
        let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
            continue;
        };
        let written = std::time::UNIX_EPOCH + Duration::from_secs(stat.st_mtime.unsigned_abs());
        if clock::now().duration_since(written).is_ok_and(|age| age > STALE) {
            let _ = rustix::fs::unlinkat(&dir, name, AtFlags::empty());
        }
    }
}
