//! Commands that the reference does not have: `exec`, `cat` and `check`.

use std::fs;

use crate::bench::{Bench, feed, finish, names, signal, staged_size, until};

#[test]
fn exec_stores_what_a_command_prints() {
    let bench = Bench::new();
    bench.run(["exec", "d/x", "--", "printf", "%s", "hello"]).ok("");
    bench.run(["cat", "d/x"]).ok("hello");
    bench.run(["exec", "-z", "zstd", "d/z", "--", "sh", "-c", "echo one; sleep 0; echo two"]).ok("");
    bench.run(["cat", "-d", "zstd", "d/z"]).ok("one\ntwo\n");
    // Its standard input is ours.
    bench.run_with(["exec", "d/in", "--", "cat"], b"through").ok("");
    bench.run(["cat", "d/in"]).ok("through");
    bench.run(["exec", "d/empty", "--", "true"]).ok("");
    bench.run(["cat", "d/empty"]).ok("");
}

#[test]
fn case_12_md9_exec_stores_nothing_of_a_producer_that_failed() {
    let bench = Bench::new();
    bench.put("d/x", b"old");
    for (script, says) in [
        ("head -c 300000 /dev/zero; exit 3", "sh exited with status 3; its data was not stored"),
        ("head -c 300000 /dev/zero; kill -9 $$", "sh was killed by signal 9; its data is incomplete"),
        ("exit 1", "sh exited with status 1"),
        // All data came and the pipe is closed, and then it fails.
        ("echo all; exec >&-; exit 7", "sh exited with status 7"),
    ] {
        for codec in ["zstd", "gzip", ""] {
            bench.run(["exec", "-z", codec, "d/x", "--", "sh", "-c", script]).fails(says);
        }
    }
    bench.run(["exec", "d/x", "--", "/nowhere/at/all"]).fails("/nowhere/at/all could not be started");
    bench.run(["exec", "d/", "--", "touch", "ran"]).fails("ends with '/'");
    bench.run(["exec", "d/x"]).fails("");
    assert_eq!(names(&bench.repo("d")), ["x"]);
    assert_eq!(fs::read(bench.repo("d/x")).unwrap(), b"old");
    assert!(names(&bench.work("")).is_empty(), "the command ran although the path was refused");
}

#[test]
fn exec_keeps_the_pass_phrase_from_the_command() {
    let bench = Bench::new();
    let encrypted = |args: &[&str]| {
        let mut command = bench.command(args);
        command.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB");
        command.env("DATASAFED_ENCRYPTION_PASS_PHRASE", "correct horse");
        feed(command, b"")
    };
    encrypted(&["exec", "x", "--", "env"]).ok("");
    let environment = encrypted(&["cat", "x"]).stdout;
    assert!(environment.contains("DATASAFED_ENCRYPTION_ALGORITHM=AES-256-CFB"));
    assert!(!environment.contains("PASS_PHRASE") && !environment.contains("correct horse"), "{environment}");
}

#[test]
fn case_10_a_stopped_exec_stores_nothing() {
    let bench = Bench::new();
    let script = "head -c 3000000 /dev/zero; exec cat fifo";
    let fifo = bench.fifo("fifo");
    let child = bench.command(["exec", "d/x", "--", "sh", "-c", script]).spawn().unwrap();
    until("the data to arrive", || staged_size(&bench.repo("d")) == 3_000_000);
    signal(&child, "TERM");
    // Also the command: it would hold our standard error.
    let seen = finish(child);
    assert_eq!(seen.exit, 143, "{seen:?}");
    assert!(seen.stderr.ends_with("Error: stopped by signal 15, before it was complete\n"), "{seen:?}");
    assert!(names(&bench.repo("d")).is_empty());
    drop(fifo);
}

#[test]
fn case_10_a_stopped_exec_ends_the_whole_group() {
    let bench = Bench::new();
    // The command ignores the request to stop, and so does what it started.
    let script =
        "trap '' TERM; echo $$ >leader; sh -c 'echo $$ >member; exec cat fifo' & head -c 3000000 /dev/zero; wait";
    bench.fifo("fifo");
    let child = bench.command(["exec", "d/x", "--", "sh", "-c", script]).spawn().unwrap();
    until("the data to arrive", || staged_size(&bench.repo("d")) == 3_000_000 && bench.work("member").exists());
    signal(&child, "TERM");
    assert_eq!(finish(child).exit, 143);
    assert!(names(&bench.repo("d")).is_empty());
    for file in ["leader", "member"] {
        let pid = fs::read_to_string(bench.work(file)).unwrap();
        let stat = format!("/proc/{}/stat", pid.trim());
        until("the command to be gone", || fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    }
}

#[test]
fn exec_ends_a_command_whose_output_cannot_be_stored() {
    let bench = Bench::new();
    bench.put("d/file", b"1");
    // The parent of the object is a file; the command would run for ever.
    let child = bench.command(["exec", "d/file/x", "--", "sh", "-c", "while sleep 1; do :; done"]).spawn().unwrap();
    finish(child).fails("push to \"d/file/x\"");
}

#[test]
fn check_says_what_was_verified() {
    let bench = Bench::new();
    let text = "some text that compresses\n".repeat(1000);
    for (name, codec) in [("gz", "gzip"), ("lz", "lz4"), ("s", "s2-default"), ("z", "zstd")] {
        bench.run_with(["push", "-z", codec, "-", &format!("d/{name}")], text.as_bytes()).ok("");
    }
    bench.put("d/plain", text.as_bytes());
    bench.put("d/none", b"");
    bench.run(["check", "d/plain"]).ok("d/plain\t26000\treadable\n");
    bench.run(["check", "/"]).ok(concat!(
        "d/gz\t26000\tgzip checksum\n",
        "d/lz\t26000\tlz4 checksum\n",
        "d/none\t0\treadable\n",
        "d/plain\t26000\treadable\n",
        "d/s\t26000\ts2 checksums, its end is unknown\n",
        "d/z\t26000\tintegrity trailer\n",
    ));
    bench.run(["check", "-d", "zstd", "d/gz"]).fails("1 of 1 objects are damaged");
    bench.run(["check", "missing"]).fails("directory not found");
    let whole = fs::read(bench.repo("d/z")).unwrap();
    fs::write(bench.repo("d/z"), &whole[..whole.len() - 48]).unwrap();
    let seen = bench.run(["check", "d"]);
    seen.fails("check \"d\": 1 of 6 objects are damaged");
    assert!(seen.stdout.contains("d/z\t-\tdamaged: decompression error: the object is cut short\n"));
    assert!(seen.stdout.contains("d/gz\t26000\tgzip checksum\n"), "the others were checked, too");
}

#[test]
fn check_tells_authentic_objects() {
    let bench = Bench::new();
    let run = |args: &[&str], phrase: &str, input: &[u8]| {
        let mut command = bench.command(args);
        command.env("DATASAFED_MOVER_ENVELOPE", "aead-v1").env("DATASAFED_ENCRYPTION_PASS_PHRASE", phrase);
        feed(command, input)
    };
    run(&["push", "-", "x"], "right", b"plain").ok("");
    run(&["push", "-z", "zstd", "-", "z"], "right", b"packed").ok("");
    run(&["check", "/"], "right", b"").ok("x\t5\tauthentic\nz\t6\tauthentic, integrity trailer\n");
    let seen = run(&["check", "/"], "wrong", b"");
    seen.fails("2 of 2 objects are damaged");
    assert!(seen.stdout.contains("x\t-\tdamaged: wrong pass phrase"));
}
