//! One repository, one working directory, and the binary under test.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use mover_protocol::RunResult;

pub const BINARY: &str = env!("CARGO_BIN_EXE_datasafed");
/// Generous: the machine of a CI job may be busy.
const DEADLINE: Duration = Duration::from_secs(20);

pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for part in ["repo", "work"] {
            fs::create_dir(dir.path().join(part)).unwrap();
        }
        Self { dir }
    }

    /// The root of the local backend.
    pub fn repo(&self, path: &str) -> PathBuf {
        self.dir.path().join("repo").join(path)
    }

    /// The working directory of every command.
    pub fn work(&self, path: &str) -> PathBuf {
        self.dir.path().join("work").join(path)
    }

    /// Any program in the environment of an action container.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.work(""))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .env("DATASAFED", BINARY)
            .env("DATASAFED_LOCAL_BACKEND_PATH", self.repo(""))
            .env("DATASAFED_MOVER_TERMLOG_FILE", self.work("termination"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(BINARY);
        command.args(args);
        command
    }

    pub fn run<const N: usize>(&self, args: [&str; N]) -> Seen {
        self.command(args).output().unwrap().into()
    }

    pub fn run_with<const N: usize>(&self, args: [&str; N], input: &[u8]) -> Seen {
        feed(self.command(args), input)
    }

    /// Pushes and expects success.
    pub fn put(&self, path: &str, content: &[u8]) {
        self.run_with(["push", "-", path], content).ok("");
    }

    pub fn set_mtime(&self, path: &str, seconds: u64) {
        let time = std::time::UNIX_EPOCH + Duration::from_secs(seconds);
        fs::File::open(self.repo(path)).unwrap().set_modified(time).unwrap();
    }

    /// The termination message, which must be there, valid and within the limit.
    pub fn result(&self) -> RunResult {
        let message = fs::read_to_string(self.work("termination")).unwrap();
        assert!(message.len() <= mover_protocol::TERMINATION_MESSAGE_LIMIT);
        RunResult::parse(&message).unwrap_or_else(|| panic!("not a result: {message}"))
    }

    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.work(name);
        let made = Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        path
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Seen {
    /// Exit code; 128 + n for a signal.
    pub exit: i32,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Seen {
    fn from(output: Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap()),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Seen {
    /// Success with exactly this output and a silent standard error.
    #[track_caller]
    pub fn ok(&self, stdout: &str) {
        assert_eq!((self.exit, self.stdout.as_str(), self.stderr.as_str()), (0, stdout, ""));
    }

    /// Failure: exit 1 and one `Error:` line that says `text`; the line is given back.
    #[track_caller]
    pub fn fails(&self, text: &str) -> &str {
        assert_eq!(self.exit, 1, "{self:?}");
        let line = self.stderr.strip_suffix('\n').unwrap_or_default();
        assert!(line.starts_with("Error: ") && !line.contains('\n') && line.contains(text), "{self:?}");
        line
    }
}

pub fn feed(mut command: Command, input: &[u8]) -> Seen {
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // The reader may have gone away: its exit tells.
    let _ = stdin.write_all(input);
    drop(stdin);
    child.wait_with_output().unwrap().into()
}

/// Waits for a condition, with a deadline instead of a fixed sleep.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Waits for the end of a child, with the deadline.
#[track_caller]
pub fn finish(mut child: Child) -> Seen {
    until("the end of the process", || child.try_wait().unwrap().is_some());
    child.wait_with_output().unwrap().into()
}

pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Names in a directory, hidden ones included; empty when it does not exist.
pub fn names(dir: &Path) -> Vec<String> {
    let Ok(listed) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let mut names: Vec<_> = listed.map(|item| item.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Size of the temporary file in a directory, 0 while there is none.
pub fn staged_size(dir: &Path) -> u64 {
    names(dir)
        .iter()
        .find(|name| name.starts_with(".dsf-tmp-"))
        .and_then(|name| Some(fs::metadata(dir.join(name)).ok()?.len()))
        .unwrap_or(0)
}
