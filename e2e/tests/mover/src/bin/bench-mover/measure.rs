//! One run of a mover, and what it cost.
//!
//! Enters: a command line, what it reads and what it must print. Leaves: time, CPU seconds and the
//! largest resident size, from `wait4` by way of GNU time. A child of this process would inherit
//! our own resident size as its largest; one of that small program does not.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

/// Bytes of each piece of a pull that is timed.
const LOOKED_AT: usize = 64;

/// A program under test.
pub struct Subject {
    /// How lines call it; `None` for ours.
    pub name: Option<String>,
    /// The program.
    pub program: PathBuf,
}

/// What one run cost.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Wall time.
    pub seconds: f64,
    /// CPU time, of user and system.
    pub cpu: f64,
    /// Largest resident size in MiB.
    pub rss: f64,
    /// Requests that the server counted.
    pub requests: u64,
}

/// What a run is fed, and what it must give.
#[derive(Clone)]
pub enum Flow {
    /// This many bytes: the content over and over.
    In(Arc<Vec<u8>>, u64),
    /// Must print this many bytes: the content over and over.
    Out(Arc<Vec<u8>>, u64),
    /// As many, of which a few of each piece are looked at: whoever compares all of them takes more of the two cores than
    /// whoever feeds a push.
    Timed(Arc<Vec<u8>>, u64),
    /// Must print this many lines.
    Lines(u64),
}

/// Runs a command in a directory that holds its configuration.
pub fn run(subject: &Subject, dir: &Path, local: Option<&Path>, args: &[&str], flow: &Flow) -> Cost {
    let report = dir.join("cost");
    let mut command = Command::new("/usr/bin/time");
    command.args(["-f", "%U %S %M", "-o"]).arg(&report).arg(&subject.program);
    command.arg("-c").arg(dir.join("datasafed.conf")).args(args);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TZ", "UTC");
    if let Some(local) = local {
        command.env("DATASAFED_LOCAL_BACKEND_PATH", local);
    }
    command.stdin(if matches!(flow, Flow::In(..)) { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let begun = Instant::now();
    let mut child = command.spawn().expect("/usr/bin/time: install the package time");
    let (input, output) = (child.stdin.take(), child.stdout.take().expect("a pipe"));
    let right = match flow {
        Flow::In(content, length) => {
            feed(input.expect("a pipe"), content, *length);
            true
        }
        Flow::Out(content, length) => same(output, content, *length, usize::MAX),
        Flow::Timed(content, length) => same(output, content, *length, LOOKED_AT),
        Flow::Lines(count) => lines(output) == *count,
    };
    let ended = child.wait_with_output().expect("a child");
    let seconds = begun.elapsed().as_secs_f64();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{args:?} of {} failed: {errors}", subject.program.display());
    assert!(right, "{args:?} of {} gave something else than it should", subject.program.display());
    let text = std::fs::read_to_string(&report).expect("a report of /usr/bin/time");
    let mut numbers = text.split_whitespace().map(|word| word.parse::<f64>().expect("a number"));
    let mut number = || numbers.next().expect("three numbers");
    let cpu = number() + number();
    Cost { seconds, cpu, rss: number() / 1024.0, requests: 0 }
}

fn feed(mut input: impl Write, content: &[u8], length: u64) {
    let mut left = length;
    while left > 0 {
        let piece = content.get(..usize::try_from(left).unwrap_or(usize::MAX)).unwrap_or(content);
        // A mover that ended early says so itself.
        if input.write_all(piece).is_err() {
            return;
        }
        left -= piece.len() as u64;
    }
}

/// Whether a stream is the content over and over, of this length; `most` bytes of each piece are compared.
fn same(mut output: impl Read, content: &[u8], length: u64, most: usize) -> bool {
    let mut buffer = vec![0; 1 << 20];
    let (mut at, mut total, mut right) = (0, 0, true);
    loop {
        let count = output.read(&mut buffer).expect("a pipe");
        if count == 0 {
            return right && total == length;
        }
        let mut got = &buffer[..count];
        while !got.is_empty() && right {
            let expected = &content[at..content.len().min(at + got.len())];
            let (now, later) = got.split_at(expected.len());
            let looked_at = expected.len().min(most);
            right &= now.get(..looked_at) == expected.get(..looked_at) && !expected.is_empty();
            at = (at + expected.len()) % content.len();
            got = later;
        }
        total += count as u64;
    }
}

fn lines(mut output: impl Read) -> u64 {
    let mut buffer = vec![0; 1 << 20];
    let mut lines = 0;
    loop {
        let count = output.read(&mut buffer).expect("a pipe");
        if count == 0 {
            return lines;
        }
        lines += buffer[..count].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}
