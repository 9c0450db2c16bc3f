//! `run -- CMD`: process 1 of action containers (design D20).
//!
//! Enters: the action's command and the environment of an action container. Leaves: the action's
//! exit code, a [`RunResult`] in the termination message, and for backups the saved object that
//! makes the object set valid. The reference spreads this over a shell loop in a sidecar, which
//! never learns that the action was killed (behaviour-backup D3).

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use mover_protocol::{Reason, RunResult};

use crate::error::{one_line, plain, say};
use crate::info::{self, Reported};
use crate::reap::{Ending, Forwarder, run_and_reap};
use crate::tee::Tee;
use crate::{manifest, saved_object, termination};

/// Ends the name of the journal of an action's pushes.
const JOURNAL: &str = ".objects";

/// Runs an action; gives the exit code of the container.
pub fn run(command: &[OsString], conf: &Path) -> i32 {
    let begun = Instant::now();
    let info_file =
        env::var_os(mover_protocol::env::BACKUP_INFO_FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
    let mut result = RunResult {
        v: 1,
        exit: 0,
        reason: Reason::Ok,
        message: String::new(),
        info: None,
        elapsed_ms: 0,
        transfer: None,
        log_tail: String::new(),
    };
    match start(command, info_file.as_deref()) {
        Ok((ending, log_tail)) => {
            result.log_tail = log_tail;
            judge(&mut result, ending, info_file.as_deref());
        }
        Err((exit, message)) => {
            result.exit = exit;
            result.reason = Reason::Producer;
            result.message = message;
        }
    }
    if result.exit == 0 {
        succeed(&mut result, info_file.as_deref(), conf);
    }
    if result.exit == 0 {
        // The tail explains failures; after success it would only take room from the rest.
        result.log_tail = String::new();
    }
    if result.exit != 0 {
        say!("Error: {}", result.message);
    } else if !result.message.is_empty() {
        say!("Warning: {}", result.message);
    }
    result.elapsed_ms = termination::elapsed_ms(begun);
    let exit = result.exit;
    termination::write(result);
    exit
}

/// Starts the action and waits for it; the error is the exit code and message of one that could
/// not be started, as a shell would give them.
fn start(command: &[OsString], info_file: Option<&Path>) -> Result<(Ending, String), (i32, String)> {
    let ours = |what: &str, error: io::Error| (126, format!("{what}: {}", plain(&error)));
    let (program, arguments) = command.split_first().ok_or_else(|| (126, "no command was given".to_owned()))?;
    if let Some(path) = info_file {
        // A container that was restarted must not report for the one before.
        for stale in [path.to_owned(), beside(path, ".exit"), beside(path, JOURNAL)] {
            match fs::remove_file(&stale) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(ours(&format!("remove {}", stale.display()), error));
                }
                _ => {}
            }
        }
    }
    let forwarder = Forwarder::start().map_err(|error| ours("install signal handlers", error))?;
    let (stderr, child_stderr) = io::pipe().map_err(|error| ours("make a pipe", error))?;
    let tee = Tee::start(stderr, io::stderr()).map_err(|error| ours("start a thread", error))?;
    let mut child = Command::new(program);
    // The termination log is ours: records of pushes in it would only be overwritten at the end.
    child.args(arguments).env_remove(mover_protocol::env::TERMLOG).stderr(Stdio::from(child_stderr));
    if let Some(path) = info_file.filter(|_| manifest_dir().is_some()) {
        child.env(mover_protocol::env::JOURNAL, beside(path, JOURNAL));
    }
    let ended = run_and_reap(&mut child, &forwarder);
    // Our own copy of the write end goes, or the tee would never see the end.
    drop(child);
    let tail = tee.finish();
    match ended {
        Ok(ending) => Ok((ending, tail)),
        Err(error) => {
            let exit = if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 };
            Err((exit, format!("the action {:?} could not be started: {}", program.to_string_lossy(), plain(&error))))
        }
    }
}

/// A file beside the info file. `.exit` is where a script says that it failed, whatever its exit code
/// (behaviour-backup §3.10).
fn beside(info_file: &Path, suffix: &str) -> PathBuf {
    let mut path = info_file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn manifest_dir() -> Option<OsString> {
    env::var_os(mover_protocol::env::MANIFEST_DIR).filter(|dir| !dir.is_empty())
}

/// Tells success from failure: exit 0 and no exit marker.
fn judge(result: &mut RunResult, ending: Ending, info_file: Option<&Path>) {
    result.exit = ending.exit;
    if ending.exit == 0 {
        let marker = info_file.map(|path| beside(path, ".exit")).filter(|marker| marker.exists());
        if let Some(marker) = marker {
            result.exit = 1;
            result.reason = Reason::Producer;
            result.message = format!("the action left {}, so it failed", marker.display());
        }
        return;
    }
    result.reason = match ending.asked_to_stop {
        Some(_) => Reason::Signal,
        None => Reason::Producer,
    };
    let how = match ending.killed_by {
        Some(9) => "the action was killed by signal 9 (SIGKILL; out of memory?)".to_owned(),
        Some(signal) => format!("the action was killed by signal {signal}"),
        None => format!("the action exited with status {}", ending.exit),
    };
    result.message = match ending.asked_to_stop {
        Some(signal) => format!("{how}, after signal {signal} asked it to stop"),
        None => how,
    };
}

/// After a successful action: what it reported, and the saved object.
fn succeed(result: &mut RunResult, info_file: Option<&Path>, conf: &Path) {
    let mut content = None;
    if let Some(path) = info_file {
        match fs::read(path) {
            Ok(read) => content = Some((path, read)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => result.message = format!("{} {}", path.display(), plain(&error)),
        }
    }
    if let Some((path, content)) = content {
        match info::parse(&content) {
            Ok(Reported { info, remarks }) => {
                result.info = Some(info).filter(|info| !info::is_empty(info));
                if !remarks.is_empty() {
                    result.message = format!("{}: {}", path.display(), remarks.join("; "));
                }
            }
            // The backup is good although its size stays unknown; say it and go on.
            Err(why) => result.message = one_line(&format!("{} {why}", path.display())),
        }
    }
    let base = env::var_os(mover_protocol::env::BACKUP_BASE_PATH).unwrap_or_default();
    if let Some(dir) = manifest_dir() {
        let journal = info_file.map(|path| beside(path, JOURNAL));
        // The backup is good without it; say it and go on.
        if let Err(error) = manifest::write(&base, &dir, journal.as_deref(), conf) {
            let separator = if result.message.is_empty() { "" } else { "; " };
            let told = one_line(&format!("the backup's manifest was not written: {error}"));
            result.message = format!("{}{separator}{told}", result.message);
        }
    }
    let object = env::var_os(mover_protocol::env::BACKUP_OBJECT_FILE).filter(|path| !path.is_empty());
    if let Some(object) = object
        && let Err(error) = saved_object::save(Path::new(&object), &base, result.info.as_ref(), conf)
    {
        result.exit = 1;
        result.reason = error.reason();
        result.message = one_line(&format!("the backup's object was not saved: {error}"));
    }
}
