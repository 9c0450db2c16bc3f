//! The process under test: an operator as its users run it.
//!
//! Takes a binary with arguments, gives a process that is ready, and lets the test kill, stop and restart it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::process::{Process, Program};

/// A source of this workspace that changed after the binary was built, by the list that cargo wrote beside it.
fn newer_source(binary: &Path, workspace: &Path) -> Option<PathBuf> {
    let changed = |path: &Path| path.metadata().and_then(|m| m.modified()).ok();
    let built = changed(binary)?;
    let list = std::fs::read_to_string(binary.with_extension("d")).ok()?;
    let (_, sources) = list.split_once(": ")?;
    let own = sources.split_whitespace().map(Path::new).filter(|source| source.starts_with(workspace));
    own.filter(|source| changed(source).is_some_and(|at| at > built)).map(Path::to_owned).next()
}

/// How to start an operator; see [`Operator::builder`].
#[derive(Debug, Clone)]
pub struct OperatorBuilder {
    program: Program,
    health_port: Option<u16>,
    patience: Duration,
}

/// A running operator; SIGKILLed on drop.
#[derive(Debug)]
pub struct Operator {
    start: OperatorBuilder,
    process: Process,
    /// Of the last start.
    ready_after: Duration,
}

impl Operator {
    /// Starts to describe an operator; `log` is appended to over restarts.
    pub fn builder(executable: impl Into<PathBuf>, log: impl Into<PathBuf>) -> OperatorBuilder {
        let executable = executable.into();
        let name = executable.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let program = Program { name, executable, args: vec![], env: vec![], log: log.into(), dir: None };
        OperatorBuilder { program, health_port: None, patience: Duration::from_secs(20) }
    }

    /// Path of a binary of this workspace: below `$HOLDFAST_BIN_DIR`, else where cargo put the test's own profile.
    /// Build it first (`cargo build -p dp`): cargo does not build other packages' binaries for a test, and one that was
    /// built before its sources changed would be tested in their place.
    pub fn built(name: &str) -> PathBuf {
        let beside_test = || {
            // A test lies in target/PROFILE/deps.
            let test = std::env::current_exe().expect("the path of the test itself");
            test.ancestors().nth(2).expect("target/PROFILE/deps/test").to_owned()
        };
        let dir = std::env::var_os("HOLDFAST_BIN_DIR").map_or_else(beside_test, PathBuf::from);
        let path = dir.join(name);
        assert!(path.is_file(), "{} is missing: build it first, or set HOLDFAST_BIN_DIR", path.display());
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("WORKSPACE/crates/test-kit");
        if let Some(source) = newer_source(&path, workspace) {
            panic!("{} is older than {}: build it again", path.display(), source.display());
        }
        path
    }

    /// Waits until `/readyz` answers 200; panics with the end of the log when it does not in time.
    pub async fn until_ready(mut self) -> Self {
        let begin = Instant::now();
        let Some(port) = self.start.health_port else {
            return self;
        };
        let mut last = String::new();
        while begin.elapsed() < self.start.patience {
            if let Some(how) = self.process.ended() {
                panic!("{how} before it was ready\n{}", self.log_tail(60));
            }
            match http_status(port, "/readyz").await {
                Ok(200) => {
                    self.ready_after = begin.elapsed();
                    return self;
                }
                Ok(status) => last = format!("/readyz answers {status}"),
                Err(e) => last = format!("/readyz: {e}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} not ready within {:?}: {last}\n{}", self.start.program.name, self.start.patience, self.log_tail(60));
    }

    /// SIGKILL, as a node that dies.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM; gives the exit code, `None` if a signal ended it. Panics when it does not end within `patience`.
    pub async fn stop(&mut self, patience: Duration) -> Option<i32> {
        match self.process.terminate(patience).await {
            Ok(code) => code,
            Err(why) => panic!("{why}\n{}", self.log_tail(20)),
        }
    }

    /// Kills it if it still runs, starts it again in the same way and waits until it is ready.
    pub async fn restart(&mut self) {
        self.process.kill();
        let fresh = self.start.clone().start().await;
        self.process = fresh.process;
        self.ready_after = fresh.ready_after;
    }

    /// Kills it, then starts it as `change` says: other flags, another kubeconfig.
    pub async fn restart_with(&mut self, change: impl FnOnce(OperatorBuilder) -> OperatorBuilder) {
        self.process.kill();
        *self = change(self.start.clone()).start().await;
    }

    /// `true` while the process runs.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Process id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The port that it was given for its metrics, `--metrics-address=127.0.0.1:PORT`.
    pub fn metrics_port(&self) -> u16 {
        let line = std::fs::read_to_string(format!("/proc/{}/cmdline", self.id())).expect("the operator runs");
        let port = line.split('\0').find_map(|word| word.strip_prefix("--metrics-address=127.0.0.1:"));
        port.and_then(|port| port.parse().ok()).expect("an address of metrics")
    }

    /// How long the last start took until it was ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Resident memory in bytes; `None` when the process has ended.
    pub fn resident_bytes(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
    }

    /// The whole log, all starts.
    pub fn log(&self) -> String {
        std::fs::read(self.log_path()).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    /// Path of the log.
    pub fn log_path(&self) -> &Path {
        self.process.log_path()
    }

    /// The last lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        self.process.log_tail(lines)
    }
}

impl OperatorBuilder {
    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<String>) -> Self {
        self.program.args.push(arg.into());
        self
    }

    /// More arguments.
    #[must_use]
    pub fn args<S: Into<String>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.program.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.program.env.push((name.into(), value.into()));
        self
    }

    /// Sets `KUBECONFIG`.
    #[must_use]
    pub fn kubeconfig(self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().display().to_string();
        self.env("KUBECONFIG", path)
    }

    /// The port on 127.0.0.1 whose `/readyz` says when it is ready; without one, a running process counts as ready.
    #[must_use]
    pub fn health_port(mut self, port: u16) -> Self {
        self.health_port = Some(port);
        self
    }

    /// How long a start may take, default 20 s.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts it and waits until it is ready; panics with the end of its log when it is not.
    pub async fn start(self) -> Operator {
        let operator = self.start_unready();
        operator.until_ready().await
    }

    /// Starts it and does not wait: for a test that wants to see it not ready.
    pub fn start_unready(self) -> Operator {
        let process = self.program.start().unwrap_or_else(|e| panic!("{e}"));
        Operator { start: self, process, ready_after: Duration::ZERO }
    }
}

/// Status of a GET to 127.0.0.1.
pub async fn http_status(port: u16, path: &str) -> std::io::Result<u16> {
    let text = http_get(port, path).await?;
    let status = text.split_whitespace().nth(1).and_then(|code| code.parse().ok());
    status.ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidData, "no HTTP status line"))
}

/// The whole answer (head and body) to a GET to 127.0.0.1, for health and metrics. Gives up after 2 s.
pub async fn http_get(port: u16, path: &str) -> std::io::Result<String> {
    let exchange = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(2), exchange)
        .await
        .unwrap_or_else(|_| Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 2 s")))
}

/// A port on 127.0.0.1 that was free a moment ago, for an operator's health or metrics address.
pub fn free_port() -> u16 {
    crate::api_server::free_port().expect("a free port on 127.0.0.1")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests ran against a binary from before the change that they were to prove, and passed.
    #[test]
    fn a_binary_older_than_its_sources_is_known() {
        let dir = std::env::temp_dir().join(format!("holdfast-built-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (binary, source) = (dir.join("operator"), dir.join("main.rs"));
        for file in [&binary, &source] {
            std::fs::write(file, "").unwrap();
        }
        let list = format!("{}: {} /elsewhere/lib.rs\n", binary.display(), source.display());
        std::fs::write(dir.join("operator.d"), list).unwrap();
        let at = |file: &Path, seconds: u64| {
            let file = std::fs::File::options().write(true).open(file).unwrap();
            file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        at(&binary, 10);
        at(&source, 9);
        assert_eq!(newer_source(&binary, &dir), None);
        at(&source, 11);
        assert_eq!(newer_source(&binary, &dir), Some(source));
        assert_eq!(newer_source(&binary, Path::new("/another/workspace")), None);
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
