//! The command line of the reference on the local backend: paths, exit codes, configuration.

use std::fs;
use std::process::Stdio;

use crate::bench::{Bench, feed, names};

#[test]
fn case_1_paths_are_printed_relative_to_the_base() {
    let bench = Bench::new();
    bench.put("a/b/c.txt", b"hello");
    for path in ["a/b/c.txt", "/a/b/c.txt", "./a/b/c.txt", "a//b/./c.txt"] {
        bench.run(["list", path]).ok("a/b/c.txt\n");
    }
}

#[test]
fn case_2_the_base_path_prefixes_every_key() {
    for base in ["/ns/bk1", "ns/bk1", " /ns//bk1/ "] {
        let bench = Bench::new();
        let with_base = |args: &[&str]| {
            let mut command = bench.command(args);
            command.env("DATASAFED_BACKEND_BASE_PATH", base);
            command
        };
        feed(with_base(&["push", "-", "/x"]), b"1").ok("");
        assert_eq!(fs::read(bench.repo("ns/bk1/x")).unwrap(), b"1");
        feed(with_base(&["list", "/"]), b"").ok("x\n");
        feed(with_base(&["list", "x"]), b"").ok("x\n");
        feed(with_base(&["rm", "-r", "/"]), b"").ok("");
        assert!(names(&bench.repo("ns")).is_empty());
    }
}

#[test]
fn case_3_what_is_missing() {
    let bench = Bench::new();
    for path in ["missing", "missing/", "missing/x"] {
        let seen = bench.run(["list", path]);
        seen.fails("directory not found");
        assert_eq!(seen.stdout, "");
        bench.run(["stat", path]).fails("directory not found");
    }
    bench.run(["list", "/"]).ok("");
    let mut in_new_base = bench.command(["list", "/"]);
    in_new_base.env("DATASAFED_BACKEND_BASE_PATH", "/never/written");
    feed(in_new_base, b"").ok("");
    let mut in_new_base = bench.command(["list", "-o", "json", "/"]);
    in_new_base.env("DATASAFED_BACKEND_BASE_PATH", "/never/written");
    feed(in_new_base, b"").ok("[]\n");
    let mut in_new_base = bench.command(["stat", "/"]);
    in_new_base.env("DATASAFED_BACKEND_BASE_PATH", "/never/written");
    feed(in_new_base, b"").fails("directory not found");
    bench.run(["pull", "missing", "-"]).fails("pull \"missing\": object not found");
    bench.run(["rm", "missing"]).ok("");
    bench.run(["rm", "missing/x"]).ok("");
    bench.run(["rmdir", "missing"]).ok("");
    bench.run(["rm", "-r", "missing"]).fails("directory not found");
}

#[test]
fn case_4_totals() {
    let bench = Bench::new();
    bench.put("one/a", b"12");
    bench.put("one/b", b"123");
    bench.put("two/c", b"123456");
    bench.run(["stat", "/"]).ok("TotalSize: 11\nEntries: 5\nDirs: 2\nFiles: 3\n");
    bench.run(["stat", "/", "--json"]).ok("{\"dirs\":2,\"entries\":5,\"files\":3,\"total_size\":11}\n");
    bench.run(["stat", "one/a"]).ok("TotalSize: 2\nEntries: 1\nDirs: 0\nFiles: 1\n");
    bench.run(["stat", "one/a/"]).fails("directory not found");
}

#[test]
fn files_are_no_directories_and_the_reverse() {
    let bench = Bench::new();
    bench.put("dir/file", b"x");
    bench.run_with(["push", "-", "dir"], b"x").fails("is a directory not a file");
    bench.run_with(["push", "-", "dir/"], b"x").fails("ends with '/'");
    bench.run_with(["push", "-", "."], b"x").fails("is a directory");
    bench.run(["pull", "dir/file/", "-"]).fails("ends with '/'");
    bench.run(["pull", "dir", "-"]).fails("is a directory not a file");
    bench.run(["rm", "dir"]).fails("is a directory not a file");
    bench.run(["rmdir", "dir"]).fails("directory not empty");
    bench.run(["rmdir", "dir/file"]).fails("is a file");
    bench.run(["rm", "-r", "dir/file"]).fails("is a file");
    bench.run(["mkdir", "dir/file"]).fails("mkdir");
    bench.run(["list", "dir/file/"]).fails("directory not found");
    bench.run(["list", "dir"]).ok("dir/file\n");
}

#[test]
fn paths_never_leave_the_base() {
    let bench = Bench::new();
    for path in ["..", "../x", "a/../../x"] {
        for args in [
            &["list", path][..],
            &["stat", path],
            &["pull", path, "-"],
            &["push", "-", path],
            &["rm", path],
            &["mkdir", path],
        ] {
            feed(bench.command(args), b"").fails("invalid path");
        }
    }
    let mut outside = bench.command(["list", "/"]);
    outside.env("DATASAFED_BACKEND_BASE_PATH", "../x");
    feed(outside, b"").fails("invalid path");
    // A rooted path cannot climb above its root; it is not an error there.
    bench.put("/../x", b"1");
    assert_eq!(names(&bench.repo("")), ["x"]);
}

#[test]
fn md8_the_root_is_not_purged() {
    let bench = Bench::new();
    bench.put("a/b", b"x");
    for path in ["", "/", ".", "a/.."] {
        bench.run(["rm", "-r", path]).fails("--force-root");
    }
    bench.run(["rm", "-r", "--force-root", "/"]).ok("");
    assert!(names(&bench.repo("")).is_empty());
}

#[test]
fn directories_are_made_and_removed() {
    let bench = Bench::new();
    bench.run(["mkdir", "/d/e"]).ok("");
    bench.run(["mkdir", "/d/e"]).ok("");
    bench.run(["list", "d/"]).ok("d/e/\n");
    bench.run(["rmdir", "d/e"]).ok("");
    bench.put("d/f/g", b"1");
    bench.run(["rm", "d", "-r"]).ok("");
    bench.run(["list", "/"]).ok("");
}

#[test]
fn flags_may_come_anywhere_and_usage_errors_are_one_line() {
    let bench = Bench::new();
    bench.put("a/f", b"1");
    bench.run(["list", "/", "-r", "-f"]).ok("a/f\n");
    bench.run(["list", "/", "-rf"]).ok("a/f\n");
    bench.run(["list", "/", "--recursive=true", "-f", "-f"]).ok("a/f\n");
    bench.run(["list", "/", "--recursive=false", "-f"]).ok("");
    bench.run(["--log-level", "debug", "list", "/", "-c", "/nowhere", "--console-timestamps=false"]).ok("a/\n");
    bench
        .run(["list", "/", "--log-dir-max-age", "1h", "--log-dir-max-total-size-mb", "1.5", "--disable-color"])
        .ok("a/\n");
    for wrong in [
        &["list"][..],
        &["list", "a", "b"],
        &["list", "--frob", "/"],
        &["list", "-d", "-f", "/"],
        &["list", "-s", "colour", "/"],
        &["list", "-o", "xml", "/"],
        &["list", "--max-depth", "x", "/"],
        &["push", "-"],
        &["frob"],
        &["--log-level", "loud", "version"],
        &["getconf"],
        &["run", "echo"],
    ] {
        feed(bench.command(wrong), b"").fails("");
    }
    let help = bench.run(["push", "--help"]);
    assert_eq!((help.exit, help.stderr.as_str()), (0, ""));
    assert!(help.stdout.contains("zstd-fastest"));
    assert_eq!(bench.command([""; 0]).output().unwrap().status.code(), Some(0));
}

#[test]
fn the_configuration_names_the_store() {
    let bench = Bench::new();
    let conf = bench.work("datasafed.conf");
    let plain = |args: &[&str]| {
        let mut command = bench.command(args);
        command.env_remove("DATASAFED_LOCAL_BACKEND_PATH");
        command.args(["-c", conf.to_str().unwrap()]);
        command
    };
    feed(plain(&["list", "/"]), b"").fails("no such file or directory");
    let root = bench.repo("");
    fs::write(&conf, format!("[storage]\ntype = local\nroot = {}\n", root.display())).unwrap();
    feed(plain(&["push", "-", "x"]), b"1").ok("");
    feed(plain(&["list", "/"]), b"").ok("x\n");
    feed(plain(&["getconf", "storage.type"]), b"").ok("local\n");
    feed(plain(&["getconf", "storage.nope"]), b"").fails("config item \"storage.nope\" not found");
    feed(plain(&["getconf", "nope"]), b"").fails("invalid config item name \"nope\"");
    fs::write(&conf, "[storage]\ntype = swift\nsecret_access_key = s#e;c\n").unwrap();
    let line = feed(plain(&["list", "/"]), b"");
    let line = line.fails("unsupported storage type \"swift\"");
    assert!(line.contains("local") && !line.contains("s#e"));
    feed(plain(&["getconf", "storage.secret_access_key"]), b"").ok("s#e;c\n");
    // The environment wins, and version needs neither.
    bench.run(["getconf", "storage.type"]).ok("local\n");
    fs::remove_file(&conf).unwrap();
    let version = feed(plain(&["version"]), b"");
    assert!(version.stdout.starts_with("datasafed: "));
    let verbose = bench.run(["version", "-v"]).stdout;
    for key in ["BuildDate", "GitCommit", "GitTag", "GoVersion", "Compiler", "Platform"] {
        assert!(verbose.contains(&format!("\n  {key}: ")), "{verbose}");
    }
}

#[test]
fn what_cannot_be_honoured_is_refused() {
    let bench = Bench::new();
    for (name, value) in [
        ("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB"),
        ("DATASAFED_KOPIA_REPO_ROOT", "/"),
        ("DATASAFED_MOVER_PRODUCER", "sometimes"),
    ] {
        let mut command = bench.command(["push", "-", "x"]);
        command.env(name, value);
        feed(command, b"secret").fails(name);
    }
    let mut missing = bench.command(["list", "/"]);
    missing.env("DATASAFED_LOCAL_BACKEND_PATH", bench.work("none"));
    feed(missing, b"").fails("does not exist");
    fs::write(bench.work("file"), "").unwrap();
    let mut file = bench.command(["list", "/"]);
    file.env("DATASAFED_LOCAL_BACKEND_PATH", bench.work("file"));
    feed(file, b"").fails("is not a directory");
    assert!(names(&bench.repo("")).is_empty());
}

#[test]
fn a_closed_standard_output_ends_quietly() {
    let bench = Bench::new();
    bench.put("big", &vec![7; 4 << 20]);
    for args in [&["pull", "big", "-"][..], &["list", "/"], &["stat", "/"]] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let seen = bench.command(args).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(seen.status.code(), Some(1));
        assert_eq!(seen.stderr, b"");
    }
}
