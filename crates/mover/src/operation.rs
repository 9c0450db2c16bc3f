//! What this process is doing, told while it lasts and at its end (mover.md §4.6).
//!
//! Enters: the name and object of a transfer, then its outcome or a signal. Leaves: lines on
//! standard error as `--progress` asks for, and a record in the termination log where
//! `DATASAFED_MOVER_TERMLOG=1` asks for one. Never anything on standard output.

use std::fmt::Write as _;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use mover_protocol::{Reason, Transfer};
use serde::Serialize;

use crate::error::{Result, say};
use crate::tuning::{Progress, tuning};
use crate::{progress, termination};

/// Time between two lines of `--progress json`.
const INTERVAL: Duration = Duration::from_secs(5);
/// Bytes of a path that a record keeps, counted from its end.
const PATH_KEPT: usize = 512;

/// The transfer of this process.
struct Operation {
    name: &'static str,
    done: &'static str,
    path: String,
    codec: Option<String>,
    begun: Instant,
}

static OPERATION: OnceLock<Operation> = OnceLock::new();

/// A line of `--progress json`.
#[derive(Serialize)]
struct Line<'a> {
    op: &'a str,
    path: &'a str,
    ms: u64,
    #[serde(flatten)]
    transfer: Transfer,
    done: bool,
}

/// One record of the termination log.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    v: u32,
    op: &'a str,
    path: &'a str,
    bytes_in: u64,
    bytes_stored: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    crc64: Option<String>,
    parts: u64,
    retries: u64,
    ms: u64,
    exit: i32,
    reason: Reason,
}

/// A transfer begins: `name` is its subcommand, `done` what people say when it is over.
pub fn begin(name: &'static str, done: &'static str, path: &str, codec: Option<&str>) {
    let codec = codec.filter(|codec| !codec.is_empty()).map(str::to_owned);
    let operation = Operation { name, done, path: path.to_owned(), codec, begun: Instant::now() };
    if OPERATION.set(operation).is_err() {
        return;
    }
    if tuning().termination_log || tuning().journal.is_some() {
        progress::want_checksum();
    }
    if tuning().progress == Progress::Json {
        // Ends with the process. Without it there are no lines, but the transfer goes on.
        let _ = std::thread::Builder::new().name("progress".into()).spawn(|| {
            loop {
                std::thread::sleep(INTERVAL);
                line(false);
            }
        });
    }
}

/// The transfer is over.
pub fn end(outcome: &Result<()>) {
    let Some(operation) = OPERATION.get() else { return };
    match (tuning().progress, outcome) {
        (Progress::Json, _) => line(outcome.is_ok()),
        (Progress::Terminal, Ok(())) => say!("{}", summary(operation, progress::transfer(), operation.begun.elapsed())),
        _ => {}
    }
    let (exit, reason) = match outcome {
        Ok(()) => (0, Reason::Ok),
        Err(error) => (1, error.reason()),
    };
    record(operation, exit, reason);
}

/// The transfer is ended by a signal.
pub fn stopped(signal: i32) {
    if let Some(operation) = OPERATION.get() {
        record(operation, 128 + signal, Reason::Signal);
    }
}

fn record(operation: &Operation, exit: i32, reason: Reason) {
    if !tuning().termination_log {
        return;
    }
    let transfer = progress::transfer();
    let path = operation.path.as_str();
    let mut from = path.len().saturating_sub(PATH_KEPT);
    while !path.is_char_boundary(from) {
        from += 1;
    }
    let record = Record {
        v: 1,
        op: operation.name,
        path: path.get(from..).unwrap_or_default(),
        bytes_in: transfer.bytes,
        bytes_stored: transfer.bytes_stored,
        crc64: progress::moved_crc64().map(|crc| format!("{crc:016x}")),
        parts: transfer.parts,
        retries: transfer.retries,
        ms: termination::elapsed_ms(operation.begun),
        exit,
        reason,
    };
    termination::append(&serde_json::to_string(&record).unwrap_or_default());
}

fn line(done: bool) {
    let Some(operation) = OPERATION.get() else { return };
    let line = Line {
        op: operation.name,
        path: &operation.path,
        ms: termination::elapsed_ms(operation.begun),
        transfer: progress::transfer(),
        done,
    };
    say!("{}", serde_json::to_string(&line).unwrap_or_default());
}

/// One line for people: `pushed 4.0 GiB -> 1.2 GiB zstd, 812 MB/s, 3 retries`.
fn summary(operation: &Operation, transfer: Transfer, elapsed: Duration) -> String {
    let mut text = format!("{} {}", operation.done, size(transfer.bytes));
    if transfer.bytes_stored != transfer.bytes {
        let _ = write!(text, " -> {}", size(transfer.bytes_stored));
    }
    if let Some(codec) = &operation.codec {
        let _ = write!(text, " {codec}");
    }
    let millis = elapsed.as_millis().max(1);
    let _ = write!(text, ", {} MB/s", u128::from(transfer.bytes) / millis / 1000);
    match transfer.retries {
        0 => {}
        1 => text.push_str(", 1 retry"),
        many => {
            let _ = write!(text, ", {many} retries");
        }
    }
    text
}

fn size(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut tenths, mut unit) = (bytes.saturating_mul(10), None);
    for name in units {
        if tenths < 10_240 {
            break;
        }
        tenths /= 1024;
        unit = Some(name);
    }
    unit.map_or_else(|| format!("{bytes} B"), |unit| format!("{}.{} {unit}", tenths / 10, tenths % 10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_for_people_reads_well() {
        let mut operation = Operation {
            name: "push",
            done: "pushed",
            path: "x".into(),
            codec: Some("zstd".into()),
            begun: Instant::now(),
        };
        let transfer = Transfer { bytes: 4 << 30, bytes_stored: 1_288_490_188, parts: 9, retries: 3 };
        let text = summary(&operation, transfer, Duration::from_secs(5));
        assert_eq!(text, "pushed 4.0 GiB -> 1.1 GiB zstd, 858 MB/s, 3 retries");
        operation.codec = None;
        let transfer = Transfer { bytes: 900, bytes_stored: 900, parts: 0, retries: 1 };
        assert_eq!(summary(&operation, transfer, Duration::from_millis(1)), "pushed 900 B, 0 MB/s, 1 retry");
    }
}
