//! MD9: a producer that dies must not leave a backup (mover.md §4.2, 4a).

use std::fs;

use crate::bench::{Bench, Seen, finish, staged_size, until};

/// Runs `PRODUCER | datasafed push - d/x` in a shell without pipefail. The producer writes 5
/// bytes, waits until they have been stored (so it has been seen), and then runs `ending`.
fn pipeline(bench: &Bench, policy: &str, ending: &str) -> Seen {
    let go = bench.fifo("go");
    fs::write(bench.work("producer.sh"), format!("printf 12345; read line < go; {ending}")).unwrap();
    let mut shell = bench.program("sh");
    shell.args(["-c", "sh producer.sh | \"$DATASAFED\" push - d/x"]).env("DATASAFED_MOVER_PRODUCER", policy);
    let child = shell.spawn().unwrap();
    until("the first bytes", || staged_size(&bench.repo("d")) == 5);
    fs::write(&go, "go\n").unwrap();
    let seen = finish(child);
    fs::remove_file(go).unwrap();
    seen
}

/// Exit statuses of other processes are told since Linux 6.15.
fn kernel_tells() -> bool {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers =
        release.split(|letter: char| !letter.is_ascii_digit()).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 15) {
        println!("SKIPPED(kernel {release} does not tell exit statuses by pidfd)");
    }
    version >= (6, 15)
}

#[test]
fn case_12_md9_a_killed_producer_stores_nothing() {
    if !kernel_tells() {
        return;
    }
    for policy in ["", "signal", "strict"] {
        let bench = Bench::new();
        let mut seen = pipeline(&bench, policy, "kill -9 $$");
        // Some shells add a line of their own.
        seen.stderr = seen.stderr.replace("Killed\n", "");
        seen.fails("was killed by signal 9");
        bench.run(["list", "d"]).ok("");
    }
    let bench = Bench::new();
    assert_eq!(pipeline(&bench, "off", "kill -9 $$").exit, 0);
    bench.run(["pull", "d/x", "-"]).ok("12345");
}

#[test]
fn md9_a_failing_producer_is_told_or_refused() {
    if !kernel_tells() {
        return;
    }
    let bench = Bench::new();
    let seen = pipeline(&bench, "signal", "exit 3");
    assert_eq!(seen.exit, 0);
    assert!(seen.stderr.starts_with("Warning: the producer sh "), "{seen:?}");
    bench.run(["rm", "d/x"]).ok("");
    pipeline(&bench, "strict", "exit 3").fails("exited with status 3");
    bench.run(["list", "d"]).ok("");
}

#[test]
fn a_good_producer_is_not_disturbed() {
    for policy in ["signal", "strict", "off"] {
        let bench = Bench::new();
        pipeline(&bench, policy, "printf 678").ok("");
        bench.run(["pull", "d/x", "-"]).ok("12345678");
    }
}

#[test]
fn only_the_last_program_of_the_pipeline_counts() {
    let bench = Bench::new();
    let mut shell = bench.program("sh");
    // The first one dies of SIGPIPE, as it may.
    shell.args(["-c", "yes | head -c 100000 | \"$DATASAFED\" push - d/x"]);
    let seen = Seen::from(shell.output().unwrap());
    assert_eq!(seen.exit, 0, "{seen:?}");
    assert_eq!(fs::metadata(bench.repo("d/x")).unwrap().len(), 100_000);
}
