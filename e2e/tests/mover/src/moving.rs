//! The binary under test, run as scripts run it: a configuration file, pipes, signals.

use std::ffi::OsStr;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use mover_protocol::{RunResult, Transfer};

use crate::{BUCKET, until};

/// One configuration and a working directory.
pub struct Mover {
    dir: tempfile::TempDir,
}

impl Mover {
    /// For an endpoint, as provider `Minio`: path style, second listing.
    pub fn new(endpoint: &str) -> Self {
        Self::with(endpoint, "Minio", BUCKET, "")
    }

    /// For any provider, root, and more lines.
    pub fn with(endpoint: &str, provider: &str, root: &str, extra: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!(
            "[storage]\ntype = s3\nprovider = {provider}\nenv_auth = false\naccess_key_id = test\n\
             secret_access_key = testsecret\nregion =\nendpoint = {endpoint}\nroot = {root}\n\
             no_check_certificate =\nchunk_size = 50Mi\n{extra}"
        );
        fs::write(dir.path().join("datasafed.conf"), text).expect("a configuration");
        Self { dir }
    }

    /// For any configuration.
    pub fn with_section(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("datasafed.conf"), format!("[storage]\n{text}")).expect("a configuration");
        Self { dir }
    }

    /// The binary; this package does not build it.
    pub fn binary() -> PathBuf {
        let test = std::env::current_exe().expect("this test");
        // target/debug/deps/NAME
        let path = test.ancestors().nth(2).expect("a target directory").join("datasafed");
        assert!(path.exists(), "{} is missing: run cargo build -p mover --bin datasafed", path.display());
        path
    }

    /// A file in the working directory.
    pub fn work(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Any program in the environment of an action container.
    pub fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.dir.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TZ", "UTC")
            .env("DATASAFED", Self::binary())
            .env("CONF", self.work("datasafed.conf"))
            .env("DATASAFED_MOVER_PART_SIZE", "5Mi")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// The binary with arguments.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.program(Self::binary());
        command.arg("-c").arg(self.work("datasafed.conf")).args(args);
        command
    }

    /// Runs it.
    pub fn run<const N: usize>(&self, args: [&str; N]) -> Seen {
        self.command(args).output().expect("the binary").into()
    }

    /// Runs it with input.
    pub fn run_with<const N: usize>(&self, args: [&str; N], input: &[u8]) -> Seen {
        feed(self.command(args), input)
    }

    /// Pushes and expects success.
    #[track_caller]
    pub fn put(&self, path: &str, content: &[u8]) {
        self.run_with(["push", "-", path], content).ok("");
    }

    /// What `--report` wrote into `report`.
    pub fn report(&self) -> (RunResult, Transfer) {
        let text = fs::read_to_string(self.work("report")).expect("a report");
        let result = RunResult::parse(&text).expect("a result");
        let transfer = result.transfer.expect("a transfer");
        (result, transfer)
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Seen {
    /// Exit code; 128 + n for a signal.
    pub exit: i32,
    /// Standard output, as it is.
    pub bytes: Vec<u8>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl From<Output> for Seen {
    fn from(output: Output) -> Self {
        let status = output.status;
        // Of large data only the bytes are of use.
        let text = if output.stdout.len() > 1 << 20 { b"(large)".as_slice() } else { &output.stdout };
        Self {
            exit: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(text).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            bytes: output.stdout,
        }
    }
}

impl Seen {
    /// Success with exactly this output and a silent standard error.
    #[track_caller]
    pub fn ok(&self, stdout: &str) {
        assert_eq!((self.exit, self.stdout.as_str(), self.stderr.as_str()), (0, stdout, ""));
    }

    /// Failure: exit 1 and an `Error:` line that says `text`.
    #[track_caller]
    pub fn fails(&self, text: &str) -> &str {
        let line = self.stderr.lines().last().unwrap_or_default();
        assert!(self.exit == 1 && line.starts_with("Error: ") && line.contains(text), "{}: {}", self.exit, self.stderr);
        line
    }
}

/// Runs a command with input.
pub fn feed(mut command: Command, input: &[u8]) -> Seen {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("a process");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // The reader may have gone away: its exit tells.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("a process").into()
    })
}

/// Waits for the end of a child, with the deadline.
#[track_caller]
pub fn finish(mut child: Child) -> Seen {
    until("the end of the process", || child.try_wait().expect("a child").is_some());
    child.wait_with_output().expect("a child").into()
}

/// Sends a signal.
pub fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// Bytes that do not compress, the same for the same seed.
pub fn random(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}
