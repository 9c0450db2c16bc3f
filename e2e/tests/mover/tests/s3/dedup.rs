//! Deduplicating repositories in a bucket.

use std::io::{ErrorKind, Write};
use std::process::{Command, Stdio};

use e2e_mover::{Mover, feed, finish, random, signal, until, versitygw};

const ROOT: &str = "p/ns/kopia";

fn command(mover: &Mover, args: &[&str]) -> Command {
    let mut command = mover.command(args);
    command.env("DATASAFED_KOPIA_REPO_ROOT", format!("/{ROOT}")).env("DATASAFED_BACKEND_BASE_PATH", "/p/ns/backup");
    command
}

#[test]
fn case_24_a_repository_in_a_bucket_is_one_that_restic_reads() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    // Founded by four pods at once.
    let contents: Vec<_> = (0..4).map(|pod| random(pod, 3_000_000)).collect();
    let pods: Vec<_> = contents
        .iter()
        .enumerate()
        .map(|(pod, content)| {
            let push = command(&mover, &["push", "-z", "zstd-fastest", "-", &format!("d/pod{pod}")])
                .stdin(Stdio::piped())
                .spawn()
                .unwrap();
            (push, content)
        })
        .collect();
    for (mut push, content) in pods {
        push.stdin.take().unwrap().write_all(content).unwrap();
        finish(push).ok("");
    }
    let run = |args: &[&str]| feed(command(&mover, args), b"");
    for (pod, content) in contents.iter().enumerate() {
        let pulled = run(&["pull", "-d", "zstd-fastest", &format!("d/pod{pod}"), "-"]);
        assert!(pulled.exit == 0 && pulled.bytes == *content, "pod {pod}: {}", pulled.stderr);
    }
    run(&["list", "-r", "-f", "/"]).ok("d/pod0\nd/pod1\nd/pod2\nd/pod3\n");
    run(&["stat", "/"]).ok("TotalSize: 12000000\nEntries: 5\nDirs: 1\nFiles: 4\n");
    run(&["list", "none"]).ok("");
    // The same data costs next to nothing.
    let stored = || server.objects(ROOT).iter().map(|(_, size)| size).sum::<u64>();
    let before = stored();
    feed(command(&mover, &["push", "-", "again"]), &contents[0]).ok("");
    assert!(stored() - before < 20_000, "{} more", stored() - before);
    // Stopped and killed pushes show nothing.
    for name in ["TERM", "KILL"] {
        let mut push = command(&mover, &["push", "-", "new"]).stdin(Stdio::piped()).spawn().unwrap();
        let before = stored();
        push.stdin.as_mut().unwrap().write_all(&random(9, 30_000_000)).unwrap();
        until("a pack", || stored() > before + 5_000_000);
        signal(&push, name);
        assert_ne!(finish(push).exit, 0);
        run(&["list", "new"]).ok("");
    }
    let mut rm = command(&mover, &["rm", "-r", "d"]);
    let removed = feed(
        {
            rm.env("DATASAFED_KOPIA_MAINTENANCE", "true");
            rm
        },
        b"",
    );
    assert_eq!(removed.exit, 0, "{}", removed.stderr);
    let pulled = run(&["pull", "again", "-"]);
    assert!(pulled.exit == 0 && pulled.bytes == contents[0], "{}", pulled.stderr);
    let mut check = mover.program("restic");
    check.args(["--no-cache", "--no-lock", "-r"]).arg(server.object(ROOT)).args(["check", "--read-data"]);
    match check.env("RESTIC_PASSWORD", "holdfast-deduplicated-repository").output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            println!("SKIPPED(restic missing): apt-get install restic");
        }
        Err(error) => panic!("restic: {error}"),
    }
}
