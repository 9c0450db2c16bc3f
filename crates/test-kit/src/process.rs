//! Child processes that can never outlive the test.
//!
//! Takes a program with arguments, gives a running child whose output goes to a log file. Three nets: `Drop` kills
//! and reaps; `setpriv --pdeathsig KILL` makes the kernel kill it when the test process dies (even by SIGKILL); a
//! [`Janitor`] removes a directory when the test process dies without having removed it.
//!
//! The kernel sends that signal when the *thread* that forked ends, and a test's thread ends long before the process
//! does, so every child is forked by one thread that lives as long as the process.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{OnceLock, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Forks `command` on the thread that lives as long as this process.
fn fork_on_lasting_thread(command: Command) -> io::Result<Child> {
    static ORDERS: OnceLock<mpsc::Sender<Order>> = OnceLock::new();
    let orders = ORDERS.get_or_init(|| {
        let (send, receive) = mpsc::channel::<Order>();
        std::thread::Builder::new()
            .name("test-kit-forks".to_owned())
            .spawn(move || {
                for (mut command, reply) in receive {
                    let _ = reply.send(command.spawn());
                }
            })
            .expect("a thread for child processes");
        send
    });
    let (reply, answer) = mpsc::channel();
    orders.send((command, reply)).expect("the forking thread never ends");
    answer.recv().expect("the forking thread answers every order")
}

/// What to start: program, arguments, environment, log file, working directory.
#[derive(Debug, Clone)]
pub struct Program {
    /// Shown in error messages.
    pub name: String,
    /// Path of the executable.
    pub executable: PathBuf,
    /// Arguments, without the program's name.
    pub args: Vec<String>,
    /// Variables added to the environment of the test.
    pub env: Vec<(String, String)>,
    /// Standard output and error are appended here.
    pub log: PathBuf,
    /// Working directory; the test's own when `None`.
    pub dir: Option<PathBuf>,
}

impl Program {
    /// Starts the program; its process id stays the same through `setpriv`, which replaces itself.
    pub fn start(&self) -> io::Result<Process> {
        let log = append_to(&self.log)?;
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(&self.executable).args(&self.args);
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        command.stdin(Stdio::null()).stderr(log.try_clone()?).stdout(log);
        let child = fork_on_lasting_thread(command)
            .map_err(|e| io::Error::new(e.kind(), format!("start {} by setpriv (util-linux): {e}", self.name)))?;
        Ok(Process { child, name: self.name.clone(), log: self.log.clone() })
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// A running child, killed and reaped on drop.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `Some` with a sentence when the process is no longer running.
    pub fn ended(&mut self) -> Option<String> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(format!("{} ended with {status}", self.name)),
            Err(e) => Some(format!("{} cannot be waited for: {e}", self.name)),
        }
    }

    /// SIGKILL and reap. Nothing happens when it already ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, then waits; gives the exit code. Still running after `patience`: killed, and `Err` tells so.
    pub async fn terminate(&mut self, patience: Duration) -> Result<Option<i32>, String> {
        self.signal(Signal::TERM);
        let start = Instant::now();
        while start.elapsed() < patience {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status.code()),
                Ok(None) => tokio::time::sleep(Duration::from_millis(10)).await,
                Err(e) => return Err(format!("{} cannot be waited for: {e}", self.name)),
            }
        }
        self.kill();
        Err(format!("{} ignored SIGTERM for {patience:?} and was killed", self.name))
    }

    /// Sends a signal; a process that has ended is left alone (its id may belong to somebody else by now).
    pub fn signal(&mut self, signal: Signal) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none())
            && let Ok(raw) = i32::try_from(self.child.id())
            && let Some(pid) = Pid::from_raw(raw)
        {
            let _ = kill_process(pid, signal);
        }
    }

    /// Path of the log file.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// The last `lines` lines of the log.
    pub fn log_tail(&self, lines: usize) -> String {
        tail(&self.log, lines)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The last `lines` lines of a file; empty when it cannot be read.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

/// Removes a directory once this process is gone, however it went.
///
/// It is a shell that reads from a pipe of ours: the pipe closes when we die, and the shell then removes. Interrupts
/// from the terminal are ignored so that Ctrl-C does not end the shell before it has done its work.
#[derive(Debug)]
pub struct Janitor {
    child: Child,
}

impl Janitor {
    /// Watches over `dir`.
    pub fn of(dir: &Path) -> io::Result<Self> {
        let mut command = Command::new("sh");
        // Twice: a process that is just being killed may still create a file.
        command.args(["-c", "trap '' INT TERM HUP; cat >/dev/null; [ -e \"$1\" ] || exit 0; sleep 0.3; rm -rf \"$1\"; sleep 1; rm -rf \"$1\"", "janitor"]);
        command.arg(dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        fork_on_lasting_thread(command).map(|child| Self { child })
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}
