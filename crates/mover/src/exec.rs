//! The command of `exec`: our own child, of which we know exactly how it ended.
//!
//! Enters: a command. Leaves: its standard output, and at the end whether that is all of it. The
//! command runs in a process group of its own; when we are stopped, or can not store what it
//! prints, the whole group ends with us.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, WaitId, WaitIdOptions};

use crate::error::{Error, Result, plain};

/// How long a command that was asked to stop may take.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// The command that runs, until it is reaped.
static RUNNING: Mutex<Option<Running>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct Running {
    pid: Pid,
    /// It leads a process group.
    leads: bool,
}

fn running() -> MutexGuard<'static, Option<Running>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A command that has been started.
pub struct Producer {
    child: Child,
    name: String,
    reaped: bool,
}

impl Producer {
    /// Starts a command.
    pub fn start(command: &[OsString]) -> Result<(ChildStdout, Self)> {
        let (program, arguments) = command.split_first().ok_or_else(|| Error::Usage("no command was given".into()))?;
        let name = program.to_string_lossy().into_owned();
        let mut prepared = Command::new(program);
        // The key of the repository is no business of whoever dumps a database.
        prepared.args(arguments).env_remove(mover_protocol::env::ENCRYPTION_PASS_PHRASE).stdout(Stdio::piped());
        // Another group than the terminal's may not read from it.
        let leads = !io::stdin().is_terminal();
        if leads {
            prepared.process_group(0);
        }
        // Held over the start: a signal in between must find the command.
        let mut running = running();
        let mut child = prepared
            .spawn()
            .map_err(|error| Error::Producer(format!("{name} could not be started: {}", plain(&error))))?;
        *running = Some(Running { pid: Pid::from_child(&child), leads });
        drop(running);
        let output = child.stdout.take();
        let producer = Self { child, name, reaped: false };
        let output = output.ok_or_else(|| Error::Producer(format!("{} has no output", producer.name)))?;
        Ok((output, producer))
    }

    /// Waits for the end; an error unless it was a good one.
    pub fn verdict(mut self) -> Result<()> {
        let name = self.name.clone();
        let status = self.reap().map_err(|error| Error::io(format!("wait for {name}"), error))?;
        match (status.code(), status.signal()) {
            (Some(0), _) => Ok(()),
            (Some(code), _) => {
                Err(Error::Producer(format!("{name} exited with status {code}; its data was not stored")))
            }
            (None, signal) => Err(Error::Producer(format!(
                "{name} was killed by signal {}; its data is incomplete and was not stored",
                signal.unwrap_or_default()
            ))),
        }
    }

    fn reap(&mut self) -> io::Result<std::process::ExitStatus> {
        // Look first, reap under the lock: no signal may go to a number that is free again.
        while let Err(error) = rustix::process::waitid(
            WaitId::Pid(Pid::from_child(&self.child)),
            WaitIdOptions::EXITED | WaitIdOptions::NOWAIT,
        ) {
            if error != rustix::io::Errno::INTR {
                return Err(error.into());
            }
        }
        let mut running = running();
        *running = None;
        self.reaped = true;
        self.child.wait()
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if !self.reaped {
            end(Signal::TERM);
            let _ = self.reap();
        }
    }
}

/// Ends the command, if one runs: asked by the signal that ended us, then killed.
pub fn end_on_signal(signal: i32) {
    end(Signal::from_named_raw(signal).unwrap_or(Signal::TERM));
}

fn end(signal: Signal) {
    let running = running();
    let Some(Running { pid, leads }) = *running else { return };
    let send = |signal| {
        let _ = if leads {
            rustix::process::kill_process_group(pid, signal)
        } else {
            rustix::process::kill_process(pid, signal)
        };
    };
    send(signal);
    if let Ok(pidfd) = rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&PATIENCE));
    }
    // Also what outlives its leader. The number is the group's until we reap.
    send(Signal::KILL);
}
