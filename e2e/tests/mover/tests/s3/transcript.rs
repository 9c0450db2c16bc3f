//! The reference tool's own session on S3, played again with ours.
//!
//! The transcript is data outside of this repository; without it the rules are still covered by
//! the other tests here. Intended differences are listed in [`DEVIATIONS`].

use std::fs;
use std::path::PathBuf;

use e2e_mover::{Mover, Seen, Server, feed, versitygw};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Case {
    #[serde(rename = "case")]
    name: String,
    args: Vec<String>,
    stdin: Option<String>,
    exit: i32,
    stdout: String,
    stderr: String,
}

/// What differs on purpose (mover.md §4.8), by the name of the case.
const DEVIATIONS: [(&str, &str); 2] =
    [("list json", "MD1: one array on one line, otherwise equal"), ("version", "our own version number")];
/// Sizes of the reference's compressed objects, which depend on its encoder.
const REFERENCE: [(&str, u64); 3] = [("a/f.zst", 35), ("a/z.zst", 35), ("a/g.gz", 78)];

fn transcript() -> Option<PathBuf> {
    let shared = std::env::var_os("HOLDFAST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared"), PathBuf::from);
    Some(shared.join("observed/mover/s3.json")).filter(|path| path.exists())
}

/// Input is literal, or `"text" x N`.
fn input(text: &str) -> Vec<u8> {
    if let Some((literal, times)) = text.rsplit_once(" x ")
        && let (Ok(literal), Ok(times)) = (serde_json::from_str::<String>(literal), times.parse::<usize>())
    {
        return literal.repeat(times).into_bytes();
    }
    text.as_bytes().to_vec()
}

fn without_times(text: &str) -> String {
    text.lines()
        .map(|line| match line.split_once('\t') {
            Some((time, rest)) if time.ends_with('Z') => format!("<time>\t{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

fn json_without_times(text: &str) -> Value {
    let mut rows: Value = serde_json::from_str(text).unwrap();
    for row in rows.as_array_mut().unwrap() {
        row["mtime"] = 0.into();
        row["mtime_str"] = "<time>".into();
    }
    rows
}

#[test]
fn the_references_session_reads_the_same() {
    let Some(path) = transcript() else {
        println!("SKIPPED(shared missing): 45 cases");
        return;
    };
    let cases: Vec<Case> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    let mut differences = Vec::new();
    for case in &cases {
        let mut command = mover.command(&case.args);
        // One of the rows sorts by the size of a compressed object.
        command.env("DATASAFED_MOVER_ZSTD_TRAILER", "off");
        let seen = feed(command, &case.stdin.as_deref().map(input).unwrap_or_default());
        if let Some(difference) = compare(&server, case, &seen) {
            differences.push(format!("{}: {difference}\n{seen:?}", case.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    println!("{} cases, {} with a stated deviation", cases.len(), DEVIATIONS.len());
}

fn compare(server: &Server, case: &Case, seen: &Seen) -> Option<String> {
    let size = |name: &str| fs::metadata(server.object(name)).map_or(0, |found| found.len());
    if case.name == "version" {
        return (!seen.stdout.starts_with("datasafed: ")).then(|| "no version".to_owned());
    }
    if seen.exit != case.exit {
        return Some(format!("exit {} instead of {}", seen.exit, case.exit));
    }
    let class = |text: &str| text.lines().last().is_some_and(|line| line.starts_with("Error: "));
    if class(&seen.stderr) != class(&case.stderr) || case.stderr.is_empty() != seen.stderr.is_empty() {
        return Some("another class of standard error".to_owned());
    }
    let (ours, theirs) = if case.name == "list json" {
        let mut theirs = json_without_times(&case.stdout);
        for row in theirs.as_array_mut().unwrap() {
            if let Some((name, _)) = REFERENCE.iter().find(|(name, _)| row["path"] == *name) {
                row["size"] = size(name).into();
            }
        }
        (json_without_times(&seen.stdout).to_string(), theirs.to_string())
    } else {
        let mut theirs = case.stdout.clone();
        let mut total = 12_154;
        for (name, reference) in REFERENCE {
            theirs = theirs.replace(&format!("{reference}\t{name}"), &format!("{}\t{name}", size(name)));
            total = total - reference + size(name);
        }
        (without_times(&seen.stdout), without_times(&theirs.replace("12154", &total.to_string())))
    };
    (ours != theirs).then(|| format!("expected {theirs:?}"))
}
