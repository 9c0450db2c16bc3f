//! The termination message: how the operator learns what happened (never from logs).
//!
//! Enters: a [`RunResult`]. Leaves: at most [`TERMINATION_MESSAGE_LIMIT`] bytes of valid JSON in
//! the file that the kubelet reads. What does not fit is cut, least useful first.

use std::collections::VecDeque;
use std::env;
use std::fs::OpenOptions;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;
use std::time::Instant;

use mover_protocol::{Reason, RunResult, TERMINATION_LOG, TERMINATION_MESSAGE_LIMIT, Transfer};

use crate::error::{Result, one_line, say};
use crate::progress;
use crate::tuning::tuning;

/// Reports the end of `delete` and `precheck`: the error line, the termination message, the exit
/// code.
pub fn conclude(outcome: &Result<()>, begun: Instant) -> i32 {
    if let Err(error) = outcome {
        error.report();
    }
    let ended = result(outcome, begun, None);
    let exit = ended.exit;
    write(ended);
    exit
}

/// Writes the report that `--report` asks for: what was moved, and how it ended.
pub fn report(outcome: &Result<()>, begun: Instant) {
    let Some(path) = &tuning().report else { return };
    let ended = result(outcome, begun, Some(progress::transfer()));
    if let Err(error) = std::fs::write(path, json(&ended) + "\n") {
        say!("Warning: the report was not written: {error}");
    }
}

/// How a command that is no action ended.
fn result(outcome: &Result<()>, begun: Instant, transfer: Option<Transfer>) -> RunResult {
    let (exit, reason, message) = match outcome {
        Ok(()) => (0, Reason::Ok, String::new()),
        Err(error) => (1, error.reason(), one_line(&error.to_string())),
    };
    let (info, log_tail) = (None, String::new());
    RunResult { v: 1, exit, reason, message, info, elapsed_ms: elapsed_ms(begun), transfer, log_tail }
}

/// Milliseconds since `begun`.
pub fn elapsed_ms(begun: Instant) -> u64 {
    u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Writes the message. A failure is told on standard error only: the exit code still stands.
pub fn write(result: RunResult) {
    let message = fit(result, TERMINATION_MESSAGE_LIMIT);
    if let Err(error) = store(message.as_bytes()) {
        say!("Warning: the termination message was not written: {error}");
    }
}

/// Appends one line to the records of earlier transfers in this container, the oldest of which go
/// when there is no room. What `run` left is never touched.
pub fn append(record: &str) {
    if let Err(error) = append_line(record) {
        say!("Warning: the termination log was not written: {error}");
    }
}

fn append_line(record: &str) -> io::Result<()> {
    let (path, chosen) = log_path();
    let opened = OpenOptions::new().read(true).write(true).create(chosen).truncate(false).open(&path);
    let mut file = match opened {
        Ok(file) => file,
        Err(error) if !chosen && error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    // Pushes of one container may end at the same time. A log that cannot be locked is a device.
    let _ = rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive);
    let mut before = String::new();
    if file.metadata()?.is_file() {
        (&file).take(4 * TERMINATION_MESSAGE_LIMIT as u64).read_to_string(&mut before).unwrap_or_default();
    }
    let Some(text) = with_record(&before, record) else { return Ok(()) };
    // In place: the kubelet has mounted this very file.
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}

/// The log with one more record; `None` when it holds a result, which is worth more.
fn with_record(before: &str, record: &str) -> Option<String> {
    if RunResult::parse(before).is_some() {
        return None;
    }
    let whole = |line: &&str| serde_json::from_str::<serde_json::Value>(line).is_ok_and(|value| value.is_object());
    let mut lines: VecDeque<&str> = before.lines().filter(whole).chain([record]).collect();
    let size = |lines: &VecDeque<&str>| lines.iter().map(|line| line.len() + 1).sum::<usize>();
    while size(&lines) > TERMINATION_MESSAGE_LIMIT {
        lines.pop_front();
    }
    Some(lines.into_iter().flat_map(|line| [line, "\n"]).collect())
}

/// The file, and whether somebody chose it.
fn log_path() -> (PathBuf, bool) {
    match env::var_os(mover_protocol::env::TERMINATION_LOG) {
        Some(path) if !path.is_empty() => (PathBuf::from(path), true),
        _ => (PathBuf::from(TERMINATION_LOG), false),
    }
}

fn store(message: &[u8]) -> io::Result<()> {
    let (path, chosen) = log_path();
    // The kubelet mounts the default file; where it is missing nobody wants it.
    let opened = OpenOptions::new().write(true).truncate(true).create(chosen).open(&path);
    match opened {
        Ok(mut file) => file.write_all(message),
        Err(error) if !chosen && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The JSON of a result, cut to `limit` bytes: the log tail from its front, then extras from
/// their end, then the message, then all of what the action said.
fn fit(mut result: RunResult, limit: usize) -> String {
    let tail = std::mem::take(&mut result.log_tail);
    let mut fits = longest(&tail, |start| {
        tail.get(start..).unwrap_or_default().clone_into(&mut result.log_tail);
        json(&result).len() <= limit
    });
    let dropped = "; some of what the action reported did not fit here";
    if !fits && result.info.as_ref().is_some_and(|info| !info.extras.is_empty()) {
        result.message += dropped;
        while !fits && let Some(info) = &mut result.info {
            if info.extras.pop().is_none() {
                break;
            }
            fits = json(&result).len() <= limit;
        }
    }
    if !fits {
        let message = std::mem::take(&mut result.message);
        // Counted from the end of the text: the beginning is what stays.
        fits = longest(&message, |cut| {
            let end = floor(&message, message.len() - cut);
            message.get(..end).unwrap_or_default().clone_into(&mut result.message);
            json(&result).len() <= limit
        });
    }
    if !fits {
        result.info = None;
        dropped.trim_start_matches("; ").clone_into(&mut result.message);
    }
    json(&result)
}

/// Finds the smallest cut, in bytes, for which `fits` holds, and leaves `fits` called with it
/// last; false when even cutting all is not enough.
fn longest(text: &str, mut fits: impl FnMut(usize) -> bool) -> bool {
    let (mut low, mut high) = (0, text.len());
    if fits(0) {
        return true;
    }
    if !fits(high) {
        return false;
    }
    while low + 1 < high {
        let middle = usize::midpoint(low, high);
        if fits(ceil(text, middle)) {
            high = middle;
        } else {
            low = middle;
        }
    }
    fits(ceil(text, high))
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// Our own types always serialise: all keys are text.
fn json(result: &RunResult) -> String {
    serde_json::to_string(result).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use mover_protocol::{ActionInfo, TimeRange};

    use super::*;

    fn result(tail: &str, message: &str, extras: usize) -> RunResult {
        RunResult {
            v: 1,
            exit: 1,
            reason: Reason::Producer,
            message: message.to_owned(),
            info: Some(ActionInfo {
                total_size: Some("12".into()),
                time_range: Some(TimeRange::default()),
                extras: (0..extras).map(|n| BTreeMap::from([(format!("key{n}"), "v".repeat(100))])).collect(),
            }),
            elapsed_ms: 5,
            transfer: None,
            log_tail: tail.to_owned(),
        }
    }

    #[test]
    fn records_are_kept_as_long_as_they_fit() {
        let record = |number: usize| format!("{{\"v\":1,\"op\":\"push\",\"path\":\"{number}{}\"}}", "x".repeat(100));
        let mut log = String::new();
        for number in 0..100 {
            log = with_record(&log, &record(number)).unwrap();
            assert!(log.len() <= TERMINATION_MESSAGE_LIMIT);
            assert!(log.ends_with(&(record(number) + "\n")));
        }
        let first = log.lines().next().unwrap();
        assert_eq!(log.lines().count(), TERMINATION_MESSAGE_LIMIT / (record(99).len() + 1));
        assert_eq!(first, record(100 - log.lines().count()));
        assert_eq!(with_record("garbage\n{\"cut\":", "{}").unwrap(), "{}\n");
        let result = json(&result("tail", "message", 2));
        assert_eq!(with_record(&result, "{}"), None);
    }

    #[test]
    fn small_results_are_whole() {
        let whole = result("tail", "message", 2);
        let text = fit(whole.clone(), TERMINATION_MESSAGE_LIMIT);
        assert_eq!(RunResult::parse(&text), Some(whole));
    }

    #[test]
    fn every_size_is_valid_json_below_the_limit() {
        for tail in ["", "x", "é\u{1}\n\"☺"] {
            for (repeat, message, extras) in [(0, 0, 0), (5000, 10, 3), (1000, 10, 100), (10, 9000, 0), (3, 9000, 90)] {
                let text =
                    fit(result(&tail.repeat(repeat), &"né\n".repeat(message), extras), TERMINATION_MESSAGE_LIMIT);
                assert!(text.len() <= TERMINATION_MESSAGE_LIMIT);
                let parsed = RunResult::parse(&text).unwrap();
                assert!(tail.repeat(repeat).ends_with(&parsed.log_tail));
                assert_eq!(parsed.exit, 1);
            }
        }
    }

    #[test]
    fn the_tail_goes_first_and_uses_all_the_room() {
        let text = fit(result(&"é".repeat(4000), "m", 5), TERMINATION_MESSAGE_LIMIT);
        let parsed = RunResult::parse(&text).unwrap();
        assert_eq!(parsed.info.unwrap().extras.len(), 5);
        assert!(text.len() > TERMINATION_MESSAGE_LIMIT - 4);
    }

    #[test]
    fn an_impossible_info_is_dropped() {
        let mut big = result("", "m", 0);
        if let Some(info) = &mut big.info {
            info.total_size = Some("9".repeat(5000));
        }
        let parsed = RunResult::parse(&fit(big, TERMINATION_MESSAGE_LIMIT)).unwrap();
        assert_eq!(parsed.info, None);
    }
}
