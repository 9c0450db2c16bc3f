//! Whole or not at all: pushes and pulls that fail, are killed, or meet damaged objects.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::bench::{Bench, feed, finish, names, signal, staged_size, until};

const THREE_MB: usize = 3_000_000;

/// A push that has stored 3 MB under its temporary name and waits for more.
fn half_pushed(bench: &Bench, args: &[&str]) -> Child {
    let mut child = bench.command(args).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    stdin.write_all(&vec![b'x'; THREE_MB]).unwrap();
    until("the data to arrive", || staged_size(&bench.repo("d")) == THREE_MB as u64);
    child
}

#[test]
fn case_9_md4_a_push_is_invisible_until_its_end() {
    let bench = Bench::new();
    bench.put("d/new", b"old");
    let mut child = half_pushed(&bench, &["push", "-", "d/new"]);
    bench.run(["list", "d"]).ok("d/new\n");
    bench.run(["list", "-r", "-f", "/"]).ok("d/new\n");
    bench.run(["stat", "d"]).ok("TotalSize: 3\nEntries: 1\nDirs: 0\nFiles: 1\n");
    bench.run(["pull", "d/new", "-"]).ok("old");
    drop(child.stdin.take());
    finish(child).ok("");
    assert_eq!(fs::metadata(bench.repo("d/new")).unwrap().len(), THREE_MB as u64);
    assert_eq!(names(&bench.repo("d")), ["new"]);
}

#[test]
fn case_10_md4_a_stopped_push_leaves_nothing() {
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let bench = Bench::new();
        let child = half_pushed(&bench, &["push", "-", "d/new"]);
        signal(&child, name);
        let seen = finish(child);
        assert_eq!(seen.exit, code, "{seen:?}");
        assert!(seen.stderr.starts_with("Error: stopped by signal "));
        assert!(names(&bench.repo("d")).is_empty());
    }
}

#[test]
fn case_11_a_killed_push_is_swept_a_day_later() {
    let bench = Bench::new();
    let child = half_pushed(&bench, &["push", "-", "d/new"]);
    signal(&child, "KILL");
    finish(child);
    bench.run(["list", "d"]).ok("");
    let left = names(&bench.repo("d"));
    assert_eq!(left.len(), 1);
    let left = left[0].as_str();
    // Young ones may belong to a living push.
    bench.put("d/other", b"1");
    assert!(bench.repo("d").join(left).exists());
    let file = fs::File::open(bench.repo("d").join(left)).unwrap();
    let written = file.metadata().unwrap().modified().unwrap();
    file.set_modified(written - Duration::from_secs(25 * 3600)).unwrap();
    bench.put("d/other", b"2");
    assert_eq!(names(&bench.repo("d")), ["other"]);
    // What listing hides must not keep a directory from being removed.
    bench.run(["rm", "d/other"]).ok("");
    fs::write(bench.repo("d").join(left), "").unwrap();
    let file = fs::File::open(bench.repo("d").join(left)).unwrap();
    file.set_modified(written - Duration::from_secs(25 * 3600)).unwrap();
    bench.run(["rmdir", "d"]).ok("");
}

#[test]
fn a_read_error_stores_nothing() {
    let bench = Bench::new();
    bench.run(["push", "/nowhere", "x"]).fails("no such file");
    bench.run(["push", "/proc", "x"]).fails("is a directory");
    // Reading a process's memory at address 0 fails with EIO.
    bench.run(["push", "/proc/self/mem", "x"]).fails("push to \"x\"");
    let mut from_dir = bench.command(["push", "-", "x"]);
    from_dir.stdin(fs::File::open("/proc").unwrap());
    let seen = crate::bench::Seen::from(from_dir.output().unwrap());
    seen.fails("is a directory");
    assert!(names(&bench.repo("")).is_empty());
    bench.run_with(["push", "-", ".dsf-tmp-1-2"], b"x").fails("reserved");
}

#[test]
fn contents_survive_both_ways() {
    let bench = Bench::new();
    let content: Vec<u8> = (0..5_000_000u32).flat_map(|n| n.wrapping_mul(n).to_le_bytes()).collect();
    let source = bench.work("source");
    fs::write(&source, &content).unwrap();
    for (up, down) in [("", ""), ("zstd", "zstd-fastest"), ("zstd-fastest", "zstd")] {
        let mut push = bench.command(["push", "-z", up, "source", "o"]);
        if up.is_empty() {
            push = bench.command(["push", "source", "o"]);
        }
        feed(push, b"").ok("");
        let mut pull = bench.command(["pull", "-d", down, "o", "new/dir/target"]);
        if down.is_empty() {
            pull = bench.command(["pull", "o", "new/dir/target"]);
        }
        feed(pull, b"").ok("");
        assert!(fs::read(bench.work("new/dir/target")).unwrap() == content);
    }
    let mode = fs::metadata(bench.work("new/dir/target")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o777, 0o644);
}

#[test]
fn case_17_empty_input_is_an_empty_object() {
    let bench = Bench::new();
    for codec in ["zstd-fastest", "zstd"] {
        bench.run_with(["push", "-z", codec, "-", "e"], b"").ok("");
        assert_eq!(fs::metadata(bench.repo("e")).unwrap().len(), 0);
        bench.run(["pull", "-d", "zstd", "e", "-"]).ok("");
        bench.run(["pull", "-d", codec, "e", "local"]).ok("");
        assert_eq!(fs::metadata(bench.work("local")).unwrap().len(), 0);
    }
    bench.put("plain", b"");
    bench.run(["pull", "plain", "-"]).ok("");
}

#[test]
fn case_19_md3_a_failed_pull_changes_nothing() {
    let bench = Bench::new();
    let text = "some text that compresses, some text that compresses\n".repeat(1000);
    bench.run_with(["push", "-z", "zstd", "-", "o"], text.as_bytes()).ok("");
    let whole = fs::read(bench.repo("o")).unwrap();
    fs::write(bench.repo("cut"), &whole[..whole.len() - 3]).unwrap();
    fs::write(bench.repo("junk"), [&whole[..], b"junk"].concat()).unwrap();
    fs::write(bench.repo("plain"), "hello\n").unwrap();
    fs::write(bench.work("old"), "old").unwrap();
    // Where frames end; only the trailer tells.
    fs::write(bench.repo("between"), &whole[..whole.len() - 48]).unwrap();
    for object in ["cut", "junk", "plain", "between"] {
        bench.run(["pull", "-d", "zstd", object, "old"]).fails("decompression error");
        bench.run(["pull", "-d", "zstd", object, "new"]).fails("decompression error");
        bench.run(["pull", "-d", "zstd", object, "-"]).fails(&format!("pull {object:?}"));
    }
    bench.run(["pull", "none", "new"]).fails("object not found");
    bench.run(["pull", "o", "-d", "gzip", "new"]).fails("does not start as this codec does");
    bench.run(["pull", "o", "dir/"]).fails("invalid local path");
    bench.run(["pull", "o", ""]).fails("invalid local path");
    assert_eq!(names(&bench.work("")), ["old"]);
    assert_eq!(fs::read(bench.work("old")).unwrap(), b"old");
    // What decoded before the damage was seen still flows to standard output.
    for damaged in ["junk", "between"] {
        assert!(bench.run(["pull", "-d", "zstd", damaged, "-"]).stdout == text);
    }
}

#[test]
fn frames_of_other_writers_decode() {
    let bench = Bench::new();
    let mut frames = Vec::new();
    for part in ["one ", "two ", "three"] {
        let mut push = bench.command(["push", "-z", "zstd", "-", "part"]);
        push.env("DATASAFED_MOVER_ZSTD_TRAILER", "off");
        feed(push, part.as_bytes()).ok("");
        frames.extend(fs::read(bench.repo("part")).unwrap());
        // A skippable frame between and after frames.
        frames.extend([0x53, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9]);
    }
    fs::write(bench.repo("many"), frames).unwrap();
    bench.run(["pull", "-d", "zstd", "many", "-"]).ok("one two three");
}

#[test]
fn a_pull_keeps_mode_and_links_and_writes_into_pipes() {
    let bench = Bench::new();
    bench.put("o", b"new");
    fs::write(bench.work("target"), "old").unwrap();
    fs::set_permissions(bench.work("target"), fs::Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink("target", bench.work("link")).unwrap();
    bench.run(["pull", "o", "link"]).ok("");
    assert!(fs::symlink_metadata(bench.work("link")).unwrap().is_symlink());
    assert_eq!(fs::read(bench.work("target")).unwrap(), b"new");
    let mode = fs::metadata(bench.work("target")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    bench.run(["pull", "o", "/dev/stdout"]).ok("new");
    let fifo = bench.fifo("fifo");
    let child = bench.command(["pull", "o", "fifo"]).spawn().unwrap();
    assert_eq!(fs::read(&fifo).unwrap(), b"new");
    finish(child).ok("");
    fs::create_dir(bench.work("dir")).unwrap();
    bench.run(["pull", "o", "dir"]).fails("is a directory");
}

#[test]
fn md3_a_stopped_pull_leaves_the_old_file_and_nothing_else() {
    let bench = Bench::new();
    // Large, but a hole: it takes no room and some time.
    let object = fs::File::create(bench.repo("o")).unwrap();
    object.set_len(8 << 30).unwrap();
    fs::write(bench.work("old"), "old").unwrap();
    let child = bench.command(["pull", "o", "old"]).spawn().unwrap();
    until("the pull to begin", || staged_size(&bench.work("")) > 0);
    signal(&child, "TERM");
    assert_eq!(finish(child).exit, 143);
    assert_eq!(names(&bench.work("")), ["old"]);
    assert_eq!(fs::read(bench.work("old")).unwrap(), b"old");
}

#[test]
fn a_full_device_is_named() {
    let bench = Bench::new();
    bench.put("o", b"1");
    bench.run(["pull", "o", "/dev/full"]).fails("write /dev/full: no space left on device");
}

#[test]
fn unknown_codecs_name_the_known_ones() {
    let bench = Bench::new();
    bench.run_with(["push", "-z", "nope", "-", "x"], b"x").fails(
        "invalid argument \"nope\" for \"-z, --compress\" flag: nope is not included in deflate-best-compression,",
    );
    let mut push = bench.command(["push", "-z", "zstd", "-", "x"]);
    push.env("DATASAFED_MOVER_ZSTD_TRAILER", "maybe");
    feed(push, b"x").fails("DATASAFED_MOVER_ZSTD_TRAILER is \"maybe\"");
    assert!(names(&bench.repo("")).is_empty());
}
