//! `agent`: reports an action's progress while it runs (design D20, native sidecar `manager`).
//!
//! Enters: the info file as the action rewrites it. Leaves: status patches. Woken by the file
//! system, with the check interval as net. It never fails the pod (behaviour-backup D4): what
//! goes wrong is logged and tried again at the next look, and SIGTERM ends it at once.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::error::{Error, Result, plain, say};
use crate::info;
use crate::patch::Target;

const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// A script in a tight loop must not become a storm of patches.
const SHORTEST: Duration = Duration::from_secs(1);

/// Runs until a signal; gives an exit code only when it cannot start.
pub fn agent() -> i32 {
    match Agent::new() {
        Ok(mut agent) => loop {
            agent.look();
            agent.wait();
        },
        Err(error) => error.report(),
    }
}

struct Agent {
    file: PathBuf,
    interval: Duration,
    target: Target,
    wake: Option<OwnedFd>,
    /// Content that needs nothing more: reported, or known to be useless.
    done: Option<Vec<u8>>,
    last_try: Option<Instant>,
}

impl Agent {
    fn new() -> Result<Self> {
        let armed = Arc::new(AtomicBool::new(true));
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register_conditional_shutdown(signal, 0, Arc::clone(&armed))
                .map_err(|error| Error::io("install signal handlers", error))?;
        }
        let file = env::var_os(mover_protocol::env::BACKUP_INFO_FILE)
            .filter(|path| !path.is_empty())
            .unwrap_or_else(|| mover_protocol::INFO_FILE.into());
        let file = PathBuf::from(file);
        let wake = watch(&file)
            .inspect_err(|error| {
                say!("Warning: no file events, looking at intervals: {}", plain(error));
            })
            .ok();
        Ok(Self {
            file,
            interval: interval(env::var_os(mover_protocol::env::CHECK_INTERVAL).as_deref()),
            target: Target::from_env()?,
            wake,
            done: None,
            last_try: None,
        })
    }

    /// Reports what is new in the file.
    fn look(&mut self) {
        let content = match fs::read(&self.file) {
            Ok(content) => content,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    say!("Error: read {}: {}", self.file.display(), plain(&error));
                }
                return;
            }
        };
        // An empty file is one that is being written.
        if content.is_empty() || self.done.as_ref() == Some(&content) {
            return;
        }
        match info::parse(&content) {
            Err(why) => {
                say!("Error: {} {why}", self.file.display());
                self.done = Some(content);
            }
            Ok(reported) => {
                for remark in &reported.remarks {
                    say!("Warning: {}: {remark}", self.file.display());
                }
                if info::is_empty(&reported.info) {
                    self.done = Some(content);
                    return;
                }
                self.last_try = Some(Instant::now());
                match self.target.patch(&reported.info) {
                    Ok(()) => self.done = Some(content),
                    Err(error) => {
                        error.report();
                    }
                }
            }
        }
    }

    /// Sleeps until the file may have changed, or the interval is over.
    fn wait(&self) {
        let mut ready = self.wake.iter().map(|wake| PollFd::new(wake, PollFlags::IN)).collect::<Vec<_>>();
        let timeout = Timespec::try_from(self.interval).ok();
        let _ = poll(&mut ready, timeout.as_ref());
        if let Some(wake) = &self.wake {
            let mut events = [0u8; 4096];
            while rustix::io::read(wake, &mut events[..]).is_ok_and(|count| count > 0) {}
        }
        if let Some(rest) = self.last_try.and_then(|tried| SHORTEST.checked_sub(tried.elapsed())) {
            std::thread::sleep(rest);
        }
    }
}

/// Seconds as text; anything that is no positive number means the default.
fn interval(text: Option<&OsStr>) -> Duration {
    text.and_then(OsStr::to_str)
        .and_then(|text| text.trim().parse().ok())
        .filter(|seconds| *seconds > 0)
        .map_or(DEFAULT_INTERVAL, Duration::from_secs)
}

/// Events for files that were written or moved into the directory.
fn watch(file: &Path) -> io::Result<OwnedFd> {
    let wake = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    inotify::add_watch(&wake, dir, WatchFlags::CLOSE_WRITE | WatchFlags::MOVED_TO)?;
    Ok(wake)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_that_make_no_sense_are_the_default() {
        for text in ["", "0", "-3", "soon"] {
            assert_eq!(interval(Some(OsStr::new(text))), DEFAULT_INTERVAL);
        }
        assert_eq!(interval(Some(OsStr::new("7"))), Duration::from_secs(7));
        assert_eq!(interval(None), DEFAULT_INTERVAL);
    }
}
