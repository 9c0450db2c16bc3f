//! `run -- CMD` as process 1 of an action container: exits, signals, orphans.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use mover_protocol::Reason;

use crate::bench::{BINARY, Bench, Seen, feed, finish, names, signal, staged_size, until};

/// Runs a shell script under the wrapper.
pub fn script(bench: &Bench, text: &str) -> Command {
    bench.command(["run", "--", "sh", "-c", text])
}

/// Starts a script and waits until it has written `ready` to the file of that name.
fn started(bench: &Bench, text: &str) -> Child {
    let child = script(bench, text).spawn().unwrap();
    until("the action to be ready", || fs::read(bench.work("ready")).is_ok_and(|said| said.ends_with(b"\n")));
    child
}

/// Opens a FIFO for a moment, so that whoever waits in opening it reads an end of file.
fn release(fifo: &Path) {
    fs::OpenOptions::new().read(true).write(true).open(fifo).unwrap();
}

#[test]
fn exits_are_exact() {
    let bench = Bench::new();
    feed(script(&bench, "echo data; exit 0"), b"").ok("data\n");
    let result = bench.result();
    assert_eq!((result.v, result.exit, result.reason), (1, 0, Reason::Ok));
    assert_eq!(result.message, "");
    for (text, exit, message) in [
        ("echo why >&2; exit 3", 3, "exited with status 3"),
        ("exit 255", 255, "exited with status 255"),
        ("echo why >&2; kill -9 $$", 137, "killed by signal 9"),
        ("kill -TERM $$", 143, "killed by signal 15"),
    ] {
        let seen = feed(script(&bench, text), b"");
        assert_eq!(seen.exit, exit, "{seen:?}");
        let result = bench.result();
        assert_eq!((result.exit, result.reason), (exit, Reason::Producer));
        assert!(result.message.contains(message), "{result:?}");
        if text.contains("why") {
            assert_eq!(result.log_tail, "why");
            assert!(seen.stderr.starts_with("why\n"));
        }
    }
}

#[test]
fn commands_that_cannot_start_exit_as_in_a_shell() {
    let bench = Bench::new();
    fs::write(bench.work("plain"), "text").unwrap();
    for (program, exit) in [("nowhere", 127), ("./nowhere", 127), ("./plain", 126)] {
        let seen = bench.run(["run", "--", program, "x"]);
        assert_eq!(seen.exit, exit);
        assert!(seen.stderr.contains("could not be started"), "{seen:?}");
        let result = bench.result();
        assert_eq!((result.exit, result.reason), (exit, Reason::Producer));
        assert!(result.message.contains(program));
    }
}

#[test]
fn standard_input_and_arguments_pass() {
    let bench = Bench::new();
    let cat = bench.command(["run", "--", "sh", "-c", "cat; printf '<%s>' \"$@\"", "-", "a b", "--x"]);
    feed(cat, b"in").ok("in<a b><--x>");
}

#[test]
fn signals_reach_the_group_of_the_action() {
    for (name, exit, reason) in [
        ("TERM", 7, Reason::Signal),
        ("INT", 7, Reason::Signal),
        ("HUP", 7, Reason::Signal),
        ("QUIT", 7, Reason::Signal),
        ("USR1", 7, Reason::Producer),
        ("USR2", 7, Reason::Producer),
    ] {
        let bench = Bench::new();
        let hold = bench.fifo("hold");
        // `wait` returns at once when a trapped signal comes; `cat` holds the group together.
        let text = format!("trap 'exit 7' {name}; cat hold >/dev/null 2>&1 & echo > ready; wait");
        let child = started(&bench, &text);
        signal(&child, name);
        let seen = finish(child);
        assert_eq!(seen.exit, exit, "{name}: {seen:?}");
        assert_eq!(bench.result().reason, reason, "{name}");
        // Shells make background processes ignore INT and QUIT: let that `cat` end, too.
        release(&hold);
    }
    // A child of the action that traps nothing is reached, too.
    let bench = Bench::new();
    bench.fifo("hold");
    let child = started(&bench, "echo > ready; cat hold; exit 9");
    signal(&child, "TERM");
    let seen = finish(child);
    assert_eq!((seen.exit, bench.result().reason), (143, Reason::Signal));
    assert!(bench.result().message.contains("after signal 15"));
}

#[test]
fn an_action_may_succeed_although_asked_to_stop() {
    let bench = Bench::new();
    bench.fifo("hold");
    let child = started(&bench, "trap 'exit 0' TERM; cat hold >/dev/null 2>&1 & echo > ready; wait");
    signal(&child, "TERM");
    finish(child).ok("");
    assert_eq!(bench.result().reason, Reason::Ok);
}

#[test]
fn orphans_are_reaped_while_the_action_runs() {
    let bench = Bench::new();
    let (go, end) = (bench.fifo("go"), bench.fifo("end"));
    let child = started(&bench, "(cat go & echo $! > orphan); echo > ready; read line < end; exit 4");
    let orphan = fs::read_to_string(bench.work("orphan")).unwrap();
    let orphan = format!("/proc/{}", orphan.trim());
    let parent = format!("PPid:\t{}\n", child.id());
    until("the orphan to be ours", || {
        fs::read_to_string(format!("{orphan}/status")).is_ok_and(|text| text.contains(&parent))
    });
    fs::write(go, "x").unwrap();
    until("the orphan to be reaped", || !fs::exists(&orphan).unwrap());
    fs::write(end, "x\n").unwrap();
    assert_eq!(finish(child).exit, 4);
}

#[test]
fn a_background_process_with_our_standard_error_does_not_keep_us() {
    let bench = Bench::new();
    let hold = bench.fifo("hold");
    let mut child = script(&bench, "cat hold & echo said >&2; exit 5").spawn().unwrap();
    // The wrapper ends although `cat` still has the pipe.
    until("the wrapper to end", || child.try_wait().unwrap().is_some());
    assert_eq!(bench.result().exit, 5);
    assert_eq!(bench.result().log_tail, "said");
    fs::write(hold, "x").unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.starts_with("said\n"));
}

#[test]
fn the_termination_message_never_exceeds_its_limit() {
    let bench = Bench::new();
    let noisy = "i=0; while [ $i -lt 3000 ]; do echo \"line $i \\\"quoted\\\" é\" >&2; i=$((i+1)); done; exit 1";
    let seen = feed(script(&bench, noisy), b"");
    assert_eq!(seen.exit, 1);
    assert!(seen.stderr.starts_with("line 0 "));
    let result = bench.result();
    assert!(result.log_tail.ends_with("line 2999 \"quoted\" é"));
    assert!(result.log_tail.starts_with("line 2"));
    let binary = "head -c 100000 /dev/zero | tr '\\0' '\\1' >&2; exit 1";
    let seen: Seen = feed(script(&bench, binary), b"");
    assert_eq!(seen.exit, 1);
    assert_eq!(bench.result().exit, 1);
}

#[test]
fn a_termination_log_that_cannot_be_written_changes_nothing() {
    let bench = Bench::new();
    let mut command = script(&bench, "exit 0");
    command.env("DATASAFED_MOVER_TERMLOG_FILE", "/nowhere/x");
    let seen = feed(command, b"");
    assert_eq!(seen.exit, 0);
    assert!(seen.stderr.starts_with("Warning: the termination message"));
}

/// The child of a process that has one.
fn only_child(parent: u32) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

#[test]
fn it_works_as_process_1() {
    let bench = Bench::new();
    let namespace = |args: &[&str]| {
        let mut command = bench.program("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).args(args);
        command
    };
    if !namespace(&["true"]).status().is_ok_and(|done| done.success()) {
        println!("SKIPPED(no right to make a pid namespace): 3 cases");
        return;
    }
    let wrapper = [BINARY, "run", "--", "sh", "-c"];
    let seen = feed(namespace(&[&wrapper[..], &["echo $PPID; exit 3"]].concat()), b"");
    assert_eq!((seen.exit, seen.stdout.as_str()), (3, "1\n"));

    bench.fifo("hold");
    let text = "trap 'exit 7' TERM; cat hold >/dev/null 2>&1 & echo > ready; wait";
    let child = namespace(&[&wrapper[..], &[text]].concat()).spawn().unwrap();
    until("the action to be ready", || fs::read(bench.work("ready")).is_ok_and(|said| said.ends_with(b"\n")));
    let init = only_child(child.id()).unwrap();
    let sent = Command::new("kill").args(["-TERM", &init]).status().unwrap();
    assert!(sent.success());
    assert_eq!(finish(child).exit, 7);

    // A push as process 1 must not ignore signals, as processes 1 do by default.
    let mut push = namespace(&[BINARY, "push", "-", "d/x"]);
    let mut child = push.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(b"12345").unwrap();
    until("the first bytes", || staged_size(&bench.repo("d")) == 5);
    let init = only_child(child.id()).unwrap();
    let sent = Command::new("kill").args(["-TERM", &init]).status().unwrap();
    assert!(sent.success());
    assert_eq!(finish(child).exit, 143);
    assert!(names(&bench.repo("d")).is_empty());
}

#[test]
fn the_action_gets_default_signal_dispositions() {
    let bench = Bench::new();
    let status = "grep -E 'Sig(Blk|Ign)' /proc/self/status";
    let seen = feed(script(&bench, status), b"");
    for line in seen.stdout.lines() {
        let (name, signals) = line.split_once(":\t").unwrap();
        // Above 31 are the C library's and what we inherited ourselves.
        let signals = u64::from_str_radix(signals, 16).unwrap() & 0x7fff_ffff;
        assert_eq!(signals, 0, "{name}: {seen:?}");
    }
    assert_eq!(seen.stdout.lines().count(), 2);
}
