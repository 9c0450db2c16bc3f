//! A container of Azure and a bucket of Google: the matrix of the flat kind, and whole or not at all.

use std::io::{Read, Write};
use std::process::{Child, Stdio};

use e2e_mover::{BUCKET, Mover, Server, azure, feed, finish, google, random, signal};

const MEGA: usize = 1 << 20;
/// That of every emulator.
const KEY: &str = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

fn of_azure() -> Option<(Server, Mover)> {
    let server = azure()?;
    let mover = container(&server, BUCKET, KEY);
    Some((server, mover))
}

fn of_google() -> (Server, Mover) {
    let server = google();
    let mover = bucket(&server, BUCKET);
    (server, mover)
}

/// Each of them, one after the other; Azure only where its emulator is there.
fn places() -> impl Iterator<Item = (Server, Mover)> {
    [of_azure, || Some(of_google())].into_iter().filter_map(|place| place())
}

fn bucket(server: &Server, bucket: &str) -> Mover {
    Mover::with_section(&format!(
        "type = google cloud storage\nanonymous = true\nendpoint = {}\nroot = {bucket}/prefix\nchunk_size = 50Mi\n",
        server.endpoint()
    ))
}

fn container(server: &Server, container: &str, key: &str) -> Mover {
    Mover::with_section(&format!(
        "type = azureblob\naccount = devstoreaccount1\nkey = {key}\nendpoint = {}/devstoreaccount1\n\
         root = {container}/prefix\nno_check_container =\nchunk_size = 50Mi\n",
        server.endpoint()
    ))
}

#[test]
fn case_1_3_4_absence_and_totals_are_those_of_keys() {
    for (server, mover) in places() {
        matrix(&mover);
        drop(server);
    }
}

fn matrix(mover: &Mover) {
    mover.run(["list", "/"]).ok("");
    mover.run(["list", "missing"]).ok("");
    mover.run(["stat", "missing"]).ok("TotalSize: 0\nEntries: 0\nDirs: 0\nFiles: 0\n");
    mover.run(["rm", "missing"]).ok("");
    mover.run(["rm", "-r", "missing"]).ok("");
    mover.run(["rmdir", "missing"]).ok("");
    mover.run(["mkdir", "missing"]).ok("");
    mover.run(["pull", "missing", "-"]).fails("pull \"missing\": object not found");
    mover.put("a/b/c.txt", b"hello");
    mover.run(["list", "a/b/c.txt"]).ok("a/b/c.txt\n");
    mover.run(["list", "/a/b//c.txt"]).ok("a/b/c.txt\n");
    mover.put("a/b/c.txt", b"he");
    mover.run(["pull", "a/b/c.txt", "-"]).ok("he");
    mover.put("a/three", b"123");
    mover.put("b/six odd \u{e9}%23+&;name", b"123456");
    mover.put("a-b", b"");
    mover.run(["stat", "/"]).ok("TotalSize: 11\nEntries: 7\nDirs: 3\nFiles: 4\n");
    mover.run(["list", "/"]).ok("a/\na-b\nb/\n");
    mover.run(["list", "-r", "-f", "/"]).ok("a-b\na/b/c.txt\na/three\nb/six odd \u{e9}%23+&;name\n");
    mover.run(["list", "-d", "-r", "/"]).ok("a/\na/b/\nb/\n");
    mover.run(["pull", "b/six odd \u{e9}%23+&;name", "-"]).ok("123456");
    mover.run(["pull", "a", "-"]).fails("object not found");
    mover.run(["rm", "-r", "/"]).fails("--force-root");
    mover.run(["rm", "-r", "a-b"]).fails("is a file not a directory");
    mover.run(["rm", "-r", "a"]).ok("");
    mover.run(["list", "-r", "-f", "/"]).ok("a-b\nb/six odd \u{e9}%23+&;name\n");
    let mut check = mover.command(["precheck", "/repo"]);
    check.env("DATASAFED_MOVER_TERMLOG_FILE", mover.work("termination"));
    feed(check, b"").ok("");
}

#[test]
fn what_is_refused_is_named_without_the_key() {
    let Some((server, _)) = of_azure() else { return };
    container(&server, "absent", KEY).run_with(["push", "-", "x"], b"1").fails("ontainer");
    let wrong = &KEY.replace("Eby8", "AAAA");
    let seen = container(&server, BUCKET, wrong).run(["list", "/"]);
    let line = seen.fails("PermissionDenied");
    assert!(!line.contains(wrong) && !line.contains("SharedKey "), "{line}");
}

#[test]
fn a_bucket_that_is_not_there_is_one_error() {
    let (server, _) = of_google();
    bucket(&server, "absent").run_with(["push", "-", "x"], b"1").fails("NotFound");
    bucket(&server, "absent").run_with(["pull", "x", "-"], b"").fails("not found");
}

#[test]
fn large_streams_and_empty_ones_come_back() {
    for (server, mover) in places() {
        large_and_empty(&mover);
        drop(server);
    }
}

fn large_and_empty(mover: &Mover) {
    let content = random(5, 40 * MEGA + 7);
    let mut push = mover.command(["--report", "report", "push", "-", "d/large"]);
    push.env("DATASAFED_MOVER_PART_SIZE", "5Mi");
    feed(push, &content).ok("");
    assert_eq!((mover.report().1.parts, mover.report().1.bytes_stored), (9, content.len() as u64));
    assert!(mover.run(["pull", "d/large", "-"]).bytes == content);
    mover.put("d/empty", b"");
    mover.run(["pull", "d/empty", "-"]).ok("");
    mover.run_with(["push", "-z", "zstd", "-", "d/packed"], &content).ok("");
    assert!(mover.run(["pull", "-d", "zstd", "d/packed", "-"]).bytes == content);
    mover
        .run(["stat", "--json", "d/large"])
        .ok(&format!("{{\"dirs\":0,\"entries\":1,\"files\":1,\"total_size\":{}}}\n", content.len()));
}

/// A push that has sent parts and waits for more.
fn half_pushed(mover: &Mover) -> Child {
    let mut command = mover.command(["push", "--progress", "json", "-", "d/new"]);
    command.env("DATASAFED_MOVER_PART_SIZE", "5Mi");
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(&random(1, 22 * MEGA)).unwrap();
    child
}

#[test]
fn case_9_10_11_a_push_is_whole_or_not_there() {
    for (server, mover) in places() {
        whole_or_not(&mover);
        drop(server);
    }
}

fn whole_or_not(mover: &Mover) {
    mover.put("d/new", b"old");
    let mut child = half_pushed(mover);
    mover.run(["list", "-r", "-f", "/"]).ok("d/new\n");
    mover.run(["pull", "d/new", "-"]).ok("old");
    drop(child.stdin.take());
    assert_eq!(finish(child).exit, 0);
    assert_eq!(mover.run(["pull", "d/new", "-"]).bytes.len(), 22 * MEGA);
    mover.put("d/new", b"old");
    for (name, code) in [("TERM", 143), ("KILL", 137)] {
        let child = half_pushed(mover);
        let begun = std::time::Instant::now();
        signal(&child, name);
        let seen = finish(child);
        assert_eq!(seen.exit, code, "{seen:?}");
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
        mover.run(["list", "-r", "-f", "/"]).ok("d/new\n");
        mover.run(["pull", "d/new", "-"]).ok("old");
    }
    let script = "head -c 30000000 /dev/zero; exit 3";
    mover.run(["exec", "d/new", "--", "sh", "-c", script]).fails("status 3");
    mover.run(["pull", "d/new", "-"]).ok("old");
    mover.run(["exec", "d/fresh", "--", "sh", "-c", script]).fails("status 3");
    mover.run(["list", "-r", "-f", "/"]).ok("d/new\n");
}

#[test]
fn a_server_that_is_gone_is_one_error() {
    for (server, mover) in places() {
        drop(server);
        for args in [["list", "/"], ["rm", "x"]] {
            let mut command = mover.command(args);
            command.env("DATASAFED_MOVER_TRIES", "1");
            let seen = feed(command, b"");
            assert_eq!(seen.stderr.lines().count(), 1, "{seen:?}");
            seen.fails("refused");
        }
    }
}

/// A pull that has begun reads one object, or fails: never the beginning of one and the end of another.
#[test]
fn what_is_replaced_under_a_pull_is_not_mixed() {
    for (server, mover) in places() {
        let old = random(7, 120 * MEGA);
        mover.put("d/x", &old);
        let mut child = mover.command(["pull", "d/x", "-"]).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = child.stdout.take().unwrap();
        let mut seen = vec![0; MEGA];
        out.read_exact(&mut seen).unwrap();
        mover.put("d/x", &random(8, 120 * MEGA));
        out.read_to_end(&mut seen).unwrap();
        let ended = finish(child);
        assert_eq!(ended.exit == 0, seen.len() == old.len(), "{} bytes, {ended:?}", seen.len());
        assert!(seen == old.get(..seen.len()).unwrap(), "bytes of another object");
        drop(server);
    }
}
