//! `pull --resume`: a pull goes on where an earlier one ended.

use std::fs;

use mover_protocol::RunResult;

use crate::bench::{Bench, Seen, names};

const SIZE: usize = 1_000_000;

/// A pull that may write no more than `limit` bytes into a file: the disk is full.
fn pull(bench: &Bench, limit: usize, more: &str) -> Seen {
    let blocks = limit / 512;
    let script =
        format!("ulimit -f {blocks}; trap '' XFSZ; exec \"$DATASAFED\" --report report pull --resume state {more}");
    let mut command = bench.program("sh");
    command.args(["-c", &script]).env("DATASAFED_MOVER_RESUME_STEP", "65536");
    command.output().unwrap().into()
}

fn moved(bench: &Bench) -> u64 {
    let report = fs::read_to_string(bench.work("report")).unwrap();
    RunResult::parse(&report).unwrap().transfer.unwrap().bytes
}

fn content(seed: u8) -> Vec<u8> {
    (0..=250).cycle().map(|byte: u8| byte ^ seed).take(SIZE).collect()
}

/// A pull that ended after 300 KiB.
fn interrupted(bench: &Bench) {
    bench.put("d/x", &content(1));
    fs::write(bench.work("out"), "old").unwrap();
    pull(bench, 300 << 10, "d/x out").fails("file too large");
    assert_eq!(fs::read(bench.work("out")).unwrap(), b"old");
    assert!(names(&bench.work("")).contains(&".dsf-part-out".to_owned()));
}

#[test]
fn a_pull_goes_on_where_it_ended() {
    let bench = Bench::new();
    interrupted(&bench);
    pull(&bench, 10 << 20, "d/x out").ok("");
    assert!(moved(&bench) < SIZE as u64 - 250_000, "{} bytes came again", moved(&bench));
    assert!(fs::read(bench.work("out")).unwrap() == content(1));
    assert_eq!(names(&bench.work("")), ["out", "report"], "state and part are gone");
}

#[test]
fn a_changed_object_starts_from_zero() {
    let bench = Bench::new();
    interrupted(&bench);
    bench.put("d/x", &content(2));
    pull(&bench, 10 << 20, "d/x out").ok("");
    assert_eq!(moved(&bench), SIZE as u64);
    assert!(fs::read(bench.work("out")).unwrap() == content(2));
}

#[test]
fn a_part_that_was_changed_is_not_used() {
    let bench = Bench::new();
    interrupted(&bench);
    let part = bench.work(".dsf-part-out");
    let mut bytes = fs::read(&part).unwrap();
    bytes[1000] ^= 1;
    fs::write(&part, bytes).unwrap();
    pull(&bench, 10 << 20, "d/x out").ok("");
    assert_eq!(moved(&bench), SIZE as u64);
    assert!(fs::read(bench.work("out")).unwrap() == content(1));
}

#[test]
fn a_state_of_something_else_is_not_used() {
    let bench = Bench::new();
    interrupted(&bench);
    bench.put("d/y", &content(3));
    pull(&bench, 10 << 20, "d/y out").ok("");
    assert!(fs::read(bench.work("out")).unwrap() == content(3));
    fs::write(bench.work("state"), "{\"v\":1").unwrap();
    pull(&bench, 10 << 20, "d/x out").ok("");
    assert!(fs::read(bench.work("out")).unwrap() == content(1));
    fs::remove_file(bench.repo("d/x")).unwrap();
    pull(&bench, 10 << 20, "d/x out").fails("object not found");
    assert!(fs::read(bench.work("out")).unwrap() == content(1));
}

#[test]
fn what_cannot_go_on_is_refused() {
    let bench = Bench::new();
    bench.put("x", b"1");
    pull(&bench, 10 << 20, "x -").fails("--resume needs a local file");
    pull(&bench, 10 << 20, "-d gzip x out").fails("inside of a compressed object");
    let mut command = bench.command(["pull", "--resume", "state", "x", "out"]);
    command.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB").env("DATASAFED_ENCRYPTION_PASS_PHRASE", "p");
    crate::bench::feed(command, b"").fails("inside of an encrypted object");
}
