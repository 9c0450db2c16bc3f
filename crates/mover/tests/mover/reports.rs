//! What a transfer tells: progress on standard error, records in the termination log.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use mover_protocol::{Reason, TERMINATION_MESSAGE_LIMIT};
use serde_json::Value;

use crate::bench::{Bench, feed, finish, signal, staged_size, until};

fn records(bench: &Bench) -> Vec<Value> {
    let text = fs::read_to_string(bench.work("termination")).unwrap();
    assert!(text.len() <= TERMINATION_MESSAGE_LIMIT);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn without_a_terminal_nothing_is_said() {
    let bench = Bench::new();
    bench.run_with(["push", "-", "x"], b"1").ok("");
    bench.run(["pull", "x", "-"]).ok("1");
    bench.run(["--progress", "none", "pull", "x", "-"]).ok("1");
    bench.run(["--progress", "loud", "pull", "x", "-"]).fails("invalid value 'loud'");
    let mut wrong = bench.command(["pull", "x", "-"]);
    wrong.env("DATASAFED_MOVER_PROGRESS", "loud");
    feed(wrong, b"").fails("DATASAFED_MOVER_PROGRESS is \"loud\"");
}

#[test]
fn people_get_one_line() {
    let bench = Bench::new();
    let seen = bench.run_with(["push", "--progress", "tty", "-z", "gzip", "-", "x"], &vec![b'x'; 1 << 20]);
    assert_eq!((seen.exit, seen.stdout.as_str()), (0, ""));
    let line = seen.stderr.strip_suffix('\n').unwrap();
    assert!(line.starts_with("pushed 1.0 MiB -> ") && line.contains(" gzip, ") && line.ends_with(" MB/s"), "{line}");
    let seen = bench.run(["pull", "--progress", "tty", "-d", "gzip", "x", "out"]);
    assert!(seen.stderr.starts_with("pulled 1.0 MiB -> "), "{seen:?}");
    // The last line is the error, and nothing claims success.
    bench.run(["pull", "--progress", "tty", "nope", "out"]).fails("object not found");
}

#[test]
fn programs_get_json_while_it_lasts_and_at_the_end() {
    let bench = Bench::new();
    let mut command = bench.command(["push", "-", "d/x"]);
    command.env("DATASAFED_MOVER_PROGRESS", "json");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&[b'x'; 1000]).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    // Comes although the producer waits.
    let during = next();
    assert_eq!((&during["op"], &during["path"], &during["bytes"]), (&"push".into(), &"d/x".into(), &1000.into()));
    assert_eq!(during["done"], false);
    drop(stdin);
    let mut last = next();
    while last["done"] != true {
        last = next();
    }
    assert_eq!((&last["bytes"], &last["bytesStored"]), (&1000.into(), &1000.into()));
    assert_eq!(child.wait().unwrap().code(), Some(0));
    // After a failure the error is last.
    let seen = bench.run(["--progress", "json", "pull", "nope", "-"]);
    let lines: Vec<_> = seen.stderr.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("\"done\":false") && lines[1].starts_with("Error: "), "{lines:?}");
}

#[test]
fn each_transfer_leaves_a_record() {
    let bench = Bench::new();
    let run = |args: &[&str], input: &[u8]| {
        let mut command = bench.command(args);
        command.env("DATASAFED_MOVER_TERMLOG", "1");
        feed(command, input)
    };
    run(&["push", "-z", "gzip", "-", "a/b"], b"123456789").ok("");
    run(&["list", "/"], b"").ok("a/\n");
    run(&["pull", "-d", "gzip", "a/b", "out"], b"").ok("");
    run(&["pull", "nope", "out"], b"").fails("object not found");
    let found = records(&bench);
    assert_eq!(found.len(), 3, "{found:?}");
    // The check value of CRC64NVME, over the content.
    assert_eq!(found[0]["crc64"], "ae8b14860a799888");
    assert_eq!(found[0]["op"], "push");
    assert_eq!((&found[0]["path"], &found[0]["bytesIn"]), (&"a/b".into(), &9.into()));
    assert_eq!(found[0]["bytesStored"], fs::metadata(bench.repo("a/b")).unwrap().len());
    assert_eq!((&found[1]["crc64"], &found[1]["exit"]), (&found[0]["crc64"], &0.into()));
    assert_eq!((&found[2]["exit"], &found[2]["reason"]), (&1.into(), &"NotFound".into()));
    // The oldest go, and what does not parse.
    for number in 0..40 {
        run(&["push", "-", &format!("many/{number}")], b"x").ok("");
    }
    let found = records(&bench);
    assert!(found.len() < 40 && found.len() > 15);
    assert_eq!(found.last().unwrap()["path"], "many/39");
    // Off unless asked for.
    bench.put("quiet", b"1");
    assert_eq!(records(&bench).last().unwrap()["path"], "many/39");
}

#[test]
fn a_stopped_push_leaves_its_record_too() {
    let bench = Bench::new();
    let mut command = bench.command(["push", "-", "d/x"]);
    command.env("DATASAFED_MOVER_TERMLOG", "1");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&vec![b'x'; 3_000_000]).unwrap();
    until("the data to arrive", || staged_size(&bench.repo("d")) == 3_000_000);
    signal(&child, "TERM");
    finish(child);
    let found = records(&bench);
    assert_eq!((found.len(), &found[0]["exit"], &found[0]["reason"]), (1, &143.into(), &"Signal".into()));
}

#[test]
fn the_result_of_run_is_not_touched_by_records() {
    let bench = Bench::new();
    let script = "echo 1 | \"$DATASAFED\" push - d/x; echo x >&2; exit 3";
    let mut command = bench.command(["run", "--", "sh", "-c", script]);
    command.env("DATASAFED_MOVER_TERMLOG", "1");
    assert_eq!(feed(command, b"").exit, 3);
    assert_eq!((bench.result().exit, bench.result().reason), (3, Reason::Producer));
    // Nor by one that comes later.
    let mut late = bench.command(["pull", "d/x", "-"]);
    late.env("DATASAFED_MOVER_TERMLOG", "1");
    feed(late, b"").ok("1\n");
    assert_eq!(bench.result().exit, 3);
}
