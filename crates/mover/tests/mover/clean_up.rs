//! `delete`, `precheck` and `install`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use mover_protocol::Reason;

use crate::bench::{BINARY, Bench, feed, names};

#[test]
fn bd2_rule_12_delete_removes_the_backup_and_empty_parents() {
    let bench = Bench::new();
    bench.put("ns/db/full-1/a/b", b"1");
    bench.put("ns/db/full-1/c", b"1");
    bench.put("ns/other", b"1");
    fs::write(bench.repo("ns/db/full-1/.dsf-tmp-1-1"), "").unwrap();
    bench.run(["delete", "/ns/db/full-1"]).ok("");
    assert_eq!(names(&bench.repo("ns")), ["other"]);
    assert_eq!((bench.result().exit, bench.result().reason), (0, Reason::Ok));
    // Again: it is gone, which is what was asked for.
    bench.run(["delete", "/ns/db/full-1"]).ok("");
    bench.run(["delete", "/ns/other"]).ok("");
    assert!(bench.repo("").exists());
    assert!(names(&bench.repo("")).is_empty());
}

#[test]
fn bd2_delete_below_a_base_path() {
    let bench = Bench::new();
    bench.put("ns/bk/x", b"1");
    let mut delete = bench.command(["delete", "bk"]);
    delete.env("DATASAFED_BACKEND_BASE_PATH", "/ns");
    feed(delete, b"").ok("");
    assert!(names(&bench.repo("")).is_empty());
}

#[test]
fn bd2_delete_says_what_it_could_not_do() {
    let bench = Bench::new();
    bench.put("ns/bk/x", b"1");
    for path in ["", "/", ".", "//", "..", "ns/../ns/bk", "/.."] {
        bench.run(["delete", path]).fails("invalid path");
        assert_eq!(bench.result().reason, Reason::InvalidPath);
    }
    assert!(bench.repo("ns/bk/x").exists());
    // An immutable directory stops even root; others are stopped by its mode.
    let dir = bench.repo("ns/bk");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    let chattr = |flag: &str| Command::new("chattr").arg(flag).arg(&dir).output();
    let immutable = chattr("+i").is_ok_and(|done| done.status.success());
    let writable = fs::write(dir.join("probe"), "").is_ok();
    if writable {
        println!("SKIPPED(root, and no immutable files here): 1 case");
        return;
    }
    let seen = bench.run(["delete", "/ns/bk"]);
    if immutable {
        chattr("-i").unwrap();
    }
    seen.fails("delete \"/ns/bk\"");
    let result = bench.result();
    assert_eq!(result.exit, 1);
    assert!(result.message.contains("/ns/bk"));
    assert!(bench.repo("ns/bk/x").exists());
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn precheck_cleans_up_after_itself() {
    let bench = Bench::new();
    bench.run(["precheck", "/prefix/x"]).ok("");
    assert!(names(&bench.repo("prefix/x")).is_empty());
    assert_eq!(bench.result().reason, Reason::Ok);
    bench.run(["precheck", "/"]).ok("");
    assert_eq!(names(&bench.repo("")), ["prefix"]);
}

#[test]
fn precheck_refuses_a_repository_of_the_other_encryption() {
    let bench = Bench::new();
    let run = |args: &[&str], envelope: bool, input: &[u8]| {
        let mut command = bench.command(args);
        command.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB").env("DATASAFED_ENCRYPTION_PASS_PHRASE", "p");
        if envelope {
            command.env("DATASAFED_MOVER_ENVELOPE", "aead-v1");
        }
        crate::bench::feed(command, input)
    };
    run(&["precheck", "/repo"], false, b"").ok("");
    run(&["precheck", "/repo"], true, b"").ok("");
    run(&["push", "-", "/repo/ns/deep/x"], false, b"1").ok("");
    run(&["precheck", "/repo"], false, b"").ok("");
    let seen = run(&["precheck", "/repo"], true, b"");
    let line = seen.fails("the repository holds \"ns/deep/x.enc\"");
    assert!(line.contains("the first 1000 names were looked at"), "{line}");
    assert_eq!(bench.result().reason, mover_protocol::Reason::Encrypt);
    assert_eq!(names(&bench.repo("repo")), ["ns"], "nothing was written");
    run(&["precheck", "/elsewhere"], true, b"").ok("");
    run(&["push", "-", "/elsewhere/x"], true, b"1").ok("");
    run(&["precheck", "/elsewhere"], false, b"").fails("the repository holds \"x.hfe\"");
}

#[test]
fn precheck_failures_explain_themselves() {
    let bench = Bench::new();
    bench.put("file", b"1");
    bench.run(["mkdir", "d/precheck.txt"]).ok("");
    let line = bench.run(["precheck", "/d"]);
    let line = line.fails("failed while writing \"d/precheck.txt\": is a directory");
    assert!(line.contains(bench.repo("").to_str().unwrap().trim_end_matches('/')));
    assert_eq!(bench.result().reason, Reason::IsDirectory);
    bench.run(["precheck", "/file"]).fails("failed while writing");
    let mut missing = bench.command(["precheck", "/x"]);
    missing.env("DATASAFED_LOCAL_BACKEND_PATH", "/nowhere");
    feed(missing, b"").fails("the pre-check cannot start: the path \"/nowhere\"");
    assert_eq!(bench.result().reason, Reason::Config);
}

#[test]
fn install_copies_program_and_certificates() {
    let bench = Bench::new();
    let image = bench.work("image");
    fs::create_dir_all(image.join("certs")).unwrap();
    // Not fs::copy: a process forked by another test at that moment would hold the file open for
    // writing, and a file that is written cannot be executed.
    let copied = Command::new("cp").arg(BINARY).arg(image.join("start")).status();
    assert!(copied.unwrap().success());
    fs::write(image.join("certs/ca.pem"), "PEM").unwrap();
    fs::create_dir(bench.work("bin")).unwrap();
    fs::write(bench.work("bin/datasafed"), "old").unwrap();
    for dir in ["bin", "made/bin"] {
        let mut install = bench.program(image.join("start"));
        install.args(["install", dir]);
        feed(install, b"").ok("");
        assert_eq!(names(&bench.work(dir)), ["certs", "datasafed"]);
        let installed = bench.work(dir).join("datasafed");
        let mode = fs::metadata(&installed).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert!(fs::read(&installed).unwrap() == fs::read(BINARY).unwrap());
        assert_eq!(fs::read(bench.work(dir).join("certs/ca.pem")).unwrap(), b"PEM");
        let version = Command::new(installed).arg("version").output().unwrap();
        assert!(version.status.success());
    }
    // Without certificates, and into what cannot be a directory.
    bench.run(["install", "alone"]).ok("");
    assert_eq!(names(&bench.work("alone")), ["datasafed"]);
    bench.run(["install", "/dev/null/x"]).fails("copy ");
}

#[test]
fn delete_removes_a_backup_and_its_manifest_or_nothing() {
    let bench = Bench::new();
    bench.put("ns/db/full-1/data", b"1");
    bench.put("ns/_manifests/v1/uid/holdfast-manifest.json", b"{}");
    bench.run(["delete", "/ns/db/full-1", "/ns/../x"]).fails("invalid path");
    assert!(bench.repo("ns/db/full-1/data").exists());
    bench.run(["delete", "/ns/db/full-1", "/ns/_manifests/v1/uid"]).ok("");
    assert!(names(&bench.repo("")).is_empty());
}
