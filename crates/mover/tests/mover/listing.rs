//! What `list` prints, filters and sorts (mover.md §1.4).

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::process::Command;

use serde_json::Value;

use crate::bench::{Bench, feed};

/// Three files of rising size and falling age, and a directory.
fn three() -> Bench {
    let bench = Bench::new();
    for (path, size, mtime) in [("d/b", 3, 100), ("d/a", 1, 300), ("d/C", 2, 200)] {
        bench.put(path, &vec![b'x'; size]);
        bench.set_mtime(path, mtime);
    }
    bench
}

#[test]
fn case_5_md1_json_is_one_array_on_one_line() {
    let bench = three();
    let seen = bench.run(["list", "-r", "-f", "-o", "json", "/"]);
    assert_eq!(seen.stdout.matches('\n').count(), 1);
    assert!(
        seen.stdout
            .starts_with(r#"[{"path":"d/C","size":2,"mtime":200,"mtime_str":"1970-01-01T00:03:20Z","is_dir":false},"#)
    );
    // A decoder that takes each line as a document, and one that reads on.
    let rows: Vec<Value> = serde_json::from_str(seen.stdout.trim_end()).unwrap();
    assert_eq!(rows.len(), 3);
    if Command::new("jq").arg("--version").output().is_ok() {
        let mut jq = bench.program("jq");
        jq.args(["-s", "-r", ".[] | sort_by(.mtime) | .[].path"]);
        feed(jq, seen.stdout.as_bytes()).ok("d/b\nd/C\nd/a\n");
    } else {
        println!("SKIPPED(jq missing): 1 case");
    }
    let dirs = bench.run(["list", "-d", "-o", "json", "/"]).stdout;
    let dirs: Vec<Value> = serde_json::from_str(&dirs).unwrap();
    assert_eq!(dirs[0]["path"], "d");
    assert_eq!((&dirs[0]["size"], &dirs[0]["is_dir"]), (&0.into(), &true.into()));
}

#[test]
fn case_6_empty_lists() {
    let bench = Bench::new();
    bench.run(["mkdir", "e"]).ok("");
    bench.run(["list", "-o", "json", "e"]).ok("[]\n");
    bench.run(["list", "e"]).ok("");
    bench.run(["list", "--name", "x", "-o", "json", "/"]).ok("[]\n");
}

#[test]
fn case_7_md2_recursive_lists_can_be_sorted() {
    let bench = three();
    bench.run(["list", "-f", "--recursive", "-s", "mtime", "/"]).ok("d/b\nd/C\nd/a\n");
    bench.run(["list", "-d", "-f", "/"]).fails("");
}

#[test]
fn case_8_time_windows_exclude_their_bounds() {
    let bench = three();
    bench.run(["list", "d", "--newer-than", "100", "--older-than", "300"]).ok("d/C\n");
    bench.run(["list", "d", "--newer-than", "0"]).ok("d/C\nd/a\nd/b\n");
    bench.run(["list", "d/C", "--older-than", "200"]).ok("");
}

#[test]
fn orders_and_formats() {
    let bench = three();
    bench.run(["list", "d"]).ok("d/C\nd/a\nd/b\n");
    bench.run(["list", "d", "--reverse"]).ok("d/b\nd/a\nd/C\n");
    bench.run(["list", "d", "-s", "size"]).ok("d/a\nd/C\nd/b\n");
    bench.run(["list", "d", "-s", "size", "--reverse"]).ok("d/b\nd/C\nd/a\n");
    bench
        .run(["list", "d", "-o", "long", "-s", "mtime"])
        .ok("1970-01-01T00:01:40Z\t3\td/b\n1970-01-01T00:03:20Z\t2\td/C\n1970-01-01T00:05:00Z\t1\td/a\n");
    let mut east = bench.command(["list", "d/b", "-o", "long"]);
    east.env("TZ", "XXX-08:00");
    feed(east, b"").ok("1970-01-01T08:01:40+08:00\t3\td/b\n");
}

#[test]
fn names_depth_and_kinds() {
    let bench = Bench::new();
    for path in ["base.tar.zst", "x/y/deep.txt", "x/top.txt", "[1].txt"] {
        bench.put(path, b"1");
    }
    bench.run(["list", "/", "--name", "*.zst"]).ok("base.tar.zst\n");
    bench.run(["list", "/", "--name", "[[]*"]).ok("[1].txt\n");
    bench.run(["list", "/", "--name", "["]).ok("");
    bench.run(["list", "/", "--name", "x"]).ok("x/\n");
    bench.run(["list", "/", "-f"]).ok("[1].txt\nbase.tar.zst\n");
    bench.run(["list", "/", "-d", "-r"]).ok("x/\nx/y/\n");
    bench.run(["list", "-r", "/"]).ok("[1].txt\nbase.tar.zst\nx/\nx/top.txt\nx/y/\nx/y/deep.txt\n");
    bench.run(["list", "-r", "--max-depth", "2", "-f", "x"]).ok("x/top.txt\nx/y/deep.txt\n");
    bench.run(["list", "-r", "--max-depth", "1", "-f", "x"]).ok("x/top.txt\n");
}

#[test]
fn names_are_bytes() {
    let bench = Bench::new();
    let name = OsString::from_vec(b"a b\nc\xff\"".to_vec());
    let mut push = bench.command(["push", "-"]);
    push.arg(&name);
    feed(push, b"1").ok("");
    let listed = bench.command(["list", "/"]).output().unwrap();
    assert_eq!(listed.stdout, b"a b\nc\xff\"\n");
    let json = bench.run(["list", "-o", "json", "/"]).stdout;
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[0]["path"], "a b\nc\u{fffd}\"");
}

#[test]
fn links_that_lead_in_circles_or_outside_are_no_entries() {
    let bench = Bench::new();
    bench.put("a/x", b"1");
    std::os::unix::fs::symlink("..", bench.repo("a/up")).unwrap();
    std::os::unix::fs::symlink("/etc", bench.repo("out")).unwrap();
    std::os::unix::fs::symlink("x", bench.repo("a/also")).unwrap();
    let seen = bench.run(["list", "-r", "-f", "/"]);
    assert_eq!(seen.exit, 0, "{seen:?}");
    assert!(seen.stdout.contains("a/also\n") && !seen.stdout.contains("out"));
    bench.run(["list", "out"]).fails("directory not found");
    fs::remove_file(bench.repo("a/up")).unwrap();
    bench.run(["stat", "/"]).ok("TotalSize: 2\nEntries: 3\nDirs: 1\nFiles: 2\n");
}
