//! The reference tool's own session on a local backend, played again with ours.
//!
//! The transcript is data outside of this repository; without it the rules are still covered by
//! the other tests here. Intended differences are listed in [`DEVIATIONS`].

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::bench::{Bench, Seen, feed};

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
/// Sizes of compressed objects depend on the encoder, not on the contract; these are the
/// reference's.
const REFERENCE_ZST: u64 = 35;
const REFERENCE_GZ: u64 = 78;

/// One row of the reference's encrypted objects.
pub struct Encrypted {
    pub algorithm: String,
    pub pass_phrase: String,
    pub codec: Option<String>,
    pub plain: Vec<u8>,
    pub objects: BTreeMap<String, Vec<u8>>,
    pub exit: i32,
}

#[derive(Deserialize)]
struct EncryptedRow {
    algorithm: String,
    pass_phrase: String,
    codec: Option<String>,
    plain_base64: String,
    objects: BTreeMap<String, String>,
    exit: i32,
}

/// What the reference encrypted; `None` without the data.
pub fn encrypted_objects() -> Option<Vec<Encrypted>> {
    let path = observed("encrypted-objects.json")?;
    let rows: Vec<EncryptedRow> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let encrypted = rows.into_iter().map(|row| Encrypted {
        plain: if row.plain_base64.contains(" x ") { input(&row.plain_base64) } else { base64(&row.plain_base64) },
        algorithm: row.algorithm,
        pass_phrase: row.pass_phrase,
        codec: row.codec,
        objects: row.objects.into_iter().map(|(path, stored)| (path, base64(&stored))).collect(),
        exit: row.exit,
    });
    Some(encrypted.collect())
}

/// The standard alphabet, with or without padding.
fn base64(text: &str) -> Vec<u8> {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits: Vec<usize> = text.bytes().filter_map(|byte| alphabet.iter().position(|known| *known == byte)).collect();
    digits
        .chunks(4)
        .flat_map(|group| {
            let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
            [bits >> 16, bits >> 8, bits].into_iter().take(group.len() - 1)
        })
        .map(|byte| u8::try_from(byte & 0xff).unwrap())
        .collect()
}

fn transcript() -> Option<PathBuf> {
    observed("local.json")
}

fn observed(name: &str) -> Option<PathBuf> {
    let shared = std::env::var_os("HOLDFAST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    Some(shared.join("observed/mover").join(name)).filter(|path| path.exists())
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

/// Replaces times of the last minutes by the transcript's placeholder.
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
    let bench = Bench::new();
    let mut differences = Vec::new();
    for case in &cases {
        let mut command = bench.command(&case.args);
        // Sorting by size must meet objects in the reference's order of sizes.
        command.env("DATASAFED_MOVER_ZSTD_TRAILER", "off");
        let seen = feed(command, &case.stdin.as_deref().map(input).unwrap_or_default());
        if let Some(difference) = compare(&bench, case, &seen) {
            differences.push(format!("{}: {difference}\n{seen:?}", case.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    println!("{} cases, {} with a stated deviation", cases.len(), DEVIATIONS.len());
}

fn compare(bench: &Bench, case: &Case, seen: &Seen) -> Option<String> {
    let size = |name: &str| fs::metadata(bench.repo(name)).map_or(0, |found| found.len());
    let (fastest, default, gzip) = (size("a/f.zst"), size("a/z.zst"), size("a/g.gz"));
    if case.name == "version" {
        return (!seen.stdout.starts_with("datasafed: ")).then(|| "no version".to_owned());
    }
    if seen.exit != case.exit {
        return Some(format!("exit {} instead of {}", seen.exit, case.exit));
    }
    // The class of standard error: silent, or a failure that ends with an Error line.
    let class = |text: &str| text.lines().last().is_some_and(|line| line.starts_with("Error: "));
    if class(&seen.stderr) != class(&case.stderr) || case.stderr.is_empty() != seen.stderr.is_empty() {
        return Some("another class of standard error".to_owned());
    }
    let (ours, theirs) = if case.name == "list json" {
        let mut theirs = json_without_times(&case.stdout);
        for row in theirs.as_array_mut().unwrap() {
            match row["path"].as_str() {
                Some("a/f.zst") => row["size"] = fastest.into(),
                Some("a/z.zst") => row["size"] = default.into(),
                Some("a/g.gz") => row["size"] = gzip.into(),
                _ => {}
            }
        }
        (json_without_times(&seen.stdout).to_string(), theirs.to_string())
    } else {
        let total = 12_154 - 2 * REFERENCE_ZST - REFERENCE_GZ + fastest + default + gzip;
        let theirs = case
            .stdout
            .replace(&format!("{REFERENCE_ZST}\ta/f.zst"), &format!("{fastest}\ta/f.zst"))
            .replace(&format!("{REFERENCE_ZST}\ta/z.zst"), &format!("{default}\ta/z.zst"))
            .replace(&format!("{REFERENCE_GZ}\ta/g.gz"), &format!("{gzip}\ta/g.gz"))
            .replace("12154", &total.to_string());
        (without_times(&seen.stdout), without_times(&theirs))
    };
    (ours != theirs).then(|| format!("expected {theirs:?}"))
}
