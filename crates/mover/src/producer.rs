//! Who feeds our standard input, and how it ended (mover.md §4.2, 4a).
//!
//! End of file on a pipe does not tell a finished producer from a dead one. At the start we look
//! for processes that hold the write end of our pipe and keep a pidfd of each; at the end we ask
//! how they exited. Best effort: named FIFOs, producers gone before we looked, and kernels before
//! 6.15 give "unknown", and unknown means as the reference: the data is taken.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::FileType;
use rustix::process::{Pid, PidfdFlags};

use crate::error::{Error, Result, say};
use crate::sys::{WaitStatus, exit_status};

use mover_protocol::env::PRODUCER as POLICY_ENV;

/// How long after the end of file a producer may take to exit.
const PATIENCE: Duration = Duration::from_secs(2);

/// What makes a push fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Do not look.
    Off,
    /// A producer killed by a signal.
    Signal,
    /// Also a non-zero exit of the process that leads the pipeline element.
    Strict,
}

impl Policy {
    /// Reads the policy from the environment; default [`Policy::Signal`].
    pub fn from_env() -> Result<Self> {
        match std::env::var(POLICY_ENV).as_deref() {
            Err(_) | Ok("" | "signal") => Ok(Self::Signal),
            Ok("off") => Ok(Self::Off),
            Ok("strict") => Ok(Self::Strict),
            Ok(other) => Err(Error::Config(format!("{POLICY_ENV} is {other:?}; known are signal, strict and off"))),
        }
    }
}

/// A process that held the write end of our pipe.
struct Holder {
    pidfd: OwnedFd,
    name: String,
    parent: Option<i32>,
}

/// The producers seen so far.
pub struct Watch {
    policy: Policy,
    pipe: String,
    ignored: Vec<i32>,
    holders: BTreeMap<i32, Holder>,
}

impl Watch {
    /// Looks at a descriptor; `None` when it is no pipe or the policy is off.
    pub fn start(input: impl AsFd, policy: Policy) -> Option<Self> {
        let stat = rustix::fs::fstat(input).ok()?;
        if policy == Policy::Off || FileType::from_raw_mode(stat.st_mode) != FileType::Fifo {
            return None;
        }
        let mut watch =
            Self { policy, pipe: format!("pipe:[{}]", stat.st_ino), ignored: lineage(), holders: BTreeMap::new() };
        watch.look();
        Some(watch)
    }

    /// Adds producers that appeared since, and forgets what held the pipe only in passing (a
    /// child between fork and exec); called again when the first bytes have come, because a shell
    /// may start the real producer after us.
    pub fn look(&mut self) {
        let pipe = &self.pipe;
        self.holders.retain(|pid, _| !alive(*pid) || holds_write_end(*pid, pipe));
        let Ok(processes) = fs::read_dir("/proc") else {
            return;
        };
        for process in processes.flatten() {
            let Some(pid) = process.file_name().to_str().and_then(|n| n.parse().ok()) else {
                continue;
            };
            if self.ignored.contains(&pid) || self.holders.contains_key(&pid) || !holds_write_end(pid, &self.pipe) {
                continue;
            }
            if let Some(holder) = hold(pid) {
                self.holders.insert(pid, holder);
            }
        }
    }

    /// Judges the producers after the end of file.
    pub fn verdict(&self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (pid, holder) in &self.holders {
            let Some(status) = ended(*pid, holder, deadline) else {
                continue;
            };
            let leads = holder.parent.is_none_or(|parent| !self.holders.contains_key(&parent));
            if let Some(signal) = status.signal() {
                return Err(Error::Producer(format!(
                    "the producer {} (pid {pid}) was killed by signal {signal}; its data is incomplete and was not stored",
                    holder.name
                )));
            }
            let Some(code) = status.code().filter(|code| *code != 0) else {
                continue;
            };
            if self.policy == Policy::Strict && leads {
                return Err(Error::Producer(format!(
                    "the producer {} (pid {pid}) exited with status {code}; its data was not stored",
                    holder.name
                )));
            }
            if leads {
                say!("Warning: the producer {} (pid {pid}) exited with status {code}", holder.name);
            }
        }
        Ok(())
    }
}

/// Ourselves and our ancestors: a shell that is about to close its copy is no producer.
fn lineage() -> Vec<i32> {
    let mut line = vec![std::process::id().cast_signed()];
    while let Some(parent) = line.last().and_then(|pid| stat_field(*pid, PARENT)) {
        if parent <= 0 || line.contains(&parent) {
            break;
        }
        line.push(parent);
    }
    line
}

const STATE: usize = 0;
const PARENT: usize = 1;
const FLAGS: usize = 6;
const EXIT_CODE: usize = 49;
/// The kernel's `PF_EXITING`; set before a process closes its files.
const EXITING: u32 = 4;

/// A field of `/proc/PID/stat` counted from the state, which is the first after the name.
fn stat_text(pid: i32, field: usize) -> Option<String> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(field).map(str::to_owned)
}

fn stat_field(pid: i32, field: usize) -> Option<i32> {
    stat_text(pid, field)?.parse().ok()
}

/// Whether a process has the write end of this pipe open.
fn holds_write_end(pid: i32, pipe: &str) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else {
        return false;
    };
    descriptors.flatten().any(|descriptor| {
        fs::read_link(descriptor.path()).is_ok_and(|link| link.as_os_str() == pipe)
            && descriptor.file_name().to_str().is_some_and(|number| {
                fs::read_to_string(format!("/proc/{pid}/fdinfo/{number}")).is_ok_and(|info| writes(&info))
            })
    })
}

/// Reads the access mode from an fdinfo file: the last octal digit's low two bits.
fn writes(fdinfo: &str) -> bool {
    fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("flags:"))
        .and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok())
        .is_some_and(|flags| matches!(flags & 3, 1 | 2))
}

fn hold(pid: i32) -> Option<Holder> {
    let pidfd = rustix::process::pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()).ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(Holder { pidfd, name: name.trim().to_owned(), parent: stat_field(pid, PARENT) })
}

/// Whether a process has not begun to exit.
fn alive(pid: i32) -> bool {
    stat_text(pid, STATE).is_some_and(|state| state != "Z" && state != "X")
        && stat_text(pid, FLAGS).and_then(|flags| flags.parse::<u32>().ok()).is_some_and(|flags| flags & EXITING == 0)
}

/// How a holder ended; waits until the deadline for one that is ending. After the end of file
/// nobody holds the write end any more, so a holder that is not exiting has closed it and lives
/// on: it tells nothing.
fn ended(pid: i32, holder: &Holder, deadline: Instant) -> Option<WaitStatus> {
    loop {
        if let Some(status) = exit_status(holder.pidfd.as_fd()) {
            return Some(status);
        }
        let Some(state) = stat_text(pid, STATE) else {
            // Waited for between these two lines, or the kernel keeps no status.
            return exit_status(holder.pidfd.as_fd());
        };
        if state == "Z" {
            let code = stat_field(pid, EXIT_CODE);
            // Ask again: if it was reaped meanwhile, the number may belong to somebody else.
            return exit_status(holder.pidfd.as_fd()).or(code.map(WaitStatus));
        }
        if alive(pid) {
            return None;
        }
        let left = deadline.checked_duration_since(Instant::now())?;
        let step = Timespec::try_from(left).ok()?;
        let _ = poll(&mut [PollFd::new(&holder.pidfd, PollFlags::IN)], Some(&step));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_access_is_read_from_fdinfo() {
        assert!(writes("pos:\t0\nflags:\t0100001\nmnt_id:\t14\n"));
        assert!(writes("flags:\t02000002\n"));
        assert!(!writes("flags:\t0100000\n"));
        assert!(!writes("pos:\t0\n"));
    }

    #[test]
    fn our_own_line_starts_with_us() {
        let line = lineage();
        assert_eq!(line.first().copied(), Some(std::process::id().cast_signed()));
        assert!(line.len() > 1);
    }
}
