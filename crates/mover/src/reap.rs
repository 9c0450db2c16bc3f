//! Process 1: starts one command, forwards signals to its group, reaps whatever is orphaned, and
//! knows exactly how the command ended.
//!
//! Enters: a prepared command. Leaves: its [`Ending`]. Works as process 1, where the kernel hands
//! us orphans anyway, and elsewhere as sub-reaper.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, WaitOptions};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Its exit code; 128 + n when a signal killed it.
    pub exit: i32,
    /// The signal that killed it.
    pub killed_by: Option<i32>,
    /// The last signal that asked us, and so the command, to stop.
    pub asked_to_stop: Option<i32>,
}

/// What the signal thread and the waiting thread share.
#[derive(Default)]
struct Shared {
    /// The command's process group while the command lives.
    group: Option<Pid>,
    /// Signals that came before the command did.
    early: Vec<i32>,
    asked_to_stop: Option<i32>,
}

/// Forwards signals; create it before the command, so that no signal is lost in between.
pub struct Forwarder(Arc<Mutex<Shared>>);

impl Forwarder {
    /// Installs the handlers and the thread.
    pub fn start() -> io::Result<Self> {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2])?;
        let seen = Arc::clone(&shared);
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in &mut signals {
                let mut shared = seen.lock().unwrap_or_else(PoisonError::into_inner);
                if !matches!(signal, SIGUSR1 | SIGUSR2) {
                    shared.asked_to_stop = Some(signal);
                }
                match shared.group {
                    Some(group) => send(group, signal),
                    None => shared.early.push(signal),
                }
            }
        })?;
        Ok(Self(shared))
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attach(&self, group: Pid) {
        let mut shared = self.lock();
        shared.group = Some(group);
        for signal in std::mem::take(&mut shared.early) {
            send(group, signal);
        }
    }
}

fn send(group: Pid, signal: i32) {
    if let Some(signal) = Signal::from_named_raw(signal) {
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Starts the command in a process group of its own and waits for its end, reaping everything
/// that ends before it. The error is that of the start.
pub fn run_and_reap(command: &mut Command, forwarder: &Forwarder) -> io::Result<Ending> {
    // Elsewhere than in a container, orphans would go to init and not be ours to reap.
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
    let child = command.process_group(0).spawn()?;
    // From here on waiting is ours alone: `child` is never asked, and dropping it does nothing.
    let pid = Pid::from_child(&child);
    forwarder.attach(pid);
    loop {
        // Look first, reap under the lock: a number that is reaped may be used again, and no
        // signal may be sent to it from then on.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        match rustix::process::waitid(WaitId::All, look) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut shared = forwarder.lock();
        let Some((reaped, status)) = rustix::process::wait(WaitOptions::NOHANG)? else {
            continue;
        };
        if reaped != pid {
            continue;
        }
        shared.group = None;
        let killed_by = status.terminating_signal();
        return Ok(Ending {
            exit: killed_by.map_or(status.exit_status().unwrap_or(1), |signal| 128 + signal),
            killed_by,
            asked_to_stop: shared.asked_to_stop,
        });
    }
}
