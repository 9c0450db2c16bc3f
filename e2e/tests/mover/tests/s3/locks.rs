//! Objects that cannot be deleted yet, and what deleting them says.

use std::process::Command;

use e2e_mover::{Mover, Server, feed, random, versitygw, versitygw_with};
use mover_protocol::{Reason, RunResult};

/// Makes a bucket with locks, which only a request of its own can ask for.
fn with_locks(server: &Server) -> bool {
    let made = Command::new("curl")
        .args(["-sSf", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:testsecret", "-X", "PUT"])
        .args(["-H", "x-amz-bucket-object-lock-enabled: true"])
        .args(["-H", "x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
        .arg(format!("{}/locked", server.endpoint()))
        .status();
    let Ok(status) = made else {
        println!("SKIPPED(curl missing): 1 case");
        return false;
    };
    assert!(status.success());
    true
}

const UNTIL: &str = "2040-01-01T00:00:00Z";

#[test]
fn locked_objects_stay_and_the_reason_says_so() {
    let server = versitygw();
    if !with_locks(&server) {
        return;
    }
    let mover = Mover::with(&server.endpoint(), "Minio", "locked/p", "");
    mover.put("d/plain", b"1");
    feed(mover.command(["--retain-until", UNTIL, "push", "-", "d/small"]), b"2").ok("");
    let content = random(31, 12_000_000);
    for mode in ["governance", "compliance"] {
        let mut push = mover.command(["push", "-", &format!("d/{mode}")]);
        push.env("DATASAFED_MOVER_RETAIN_DAYS", "7").env("DATASAFED_MOVER_RETAIN_MODE", mode);
        feed(push, &content).ok("");
        assert!(mover.run(["pull", &format!("d/{mode}"), "-"]).bytes == content);
    }
    let reason = |args: &[&str]| {
        let seen = feed(mover.command(["--report", "report"].iter().chain(args)), b"");
        let result = RunResult::parse(&std::fs::read_to_string(mover.work("report")).unwrap()).unwrap();
        (seen, result.reason)
    };
    let (seen, why) = reason(&["rm", "d/small"]);
    seen.fails("object lock");
    assert_eq!(why, Reason::Locked, "{seen:?}");
    // All that can go goes; what stays is counted, and why.
    let (seen, why) = reason(&["rm", "-r", "d"]);
    seen.fails("3 of 4 objects could not be removed");
    assert_eq!(why, Reason::Locked, "{seen:?}");
    mover.run(["list", "-r", "-f", "/"]).ok("d/compliance\nd/governance\nd/small\n");
    let mut delete = mover.command(["delete", "/d"]);
    delete.env("DATASAFED_MOVER_TERMLOG_FILE", mover.work("termination"));
    feed(delete, b"").fails("object lock");
    let result = RunResult::parse(&std::fs::read_to_string(mover.work("termination")).unwrap()).unwrap();
    assert_eq!(result.reason, Reason::Locked);
    assert!(mover.run(["pull", "d/compliance", "-"]).bytes == content);
}

#[test]
fn with_versions_a_locked_one_outlives_its_removal() {
    let server = versitygw_with(&[], &["--versioning-dir", "DIR/versions"]);
    if !with_locks(&server) {
        return;
    }
    let mover = Mover::with(&server.endpoint(), "Minio", "locked", "");
    feed(mover.command(["--retain-until", UNTIL, "push", "-", "d/x"]), b"1").ok("");
    mover.run(["rm", "d/x"]).ok("");
    mover.run(["list", "-r", "-f", "/"]).ok("");
    mover.run(["rm", "-r", "d"]).ok("");
    // The version is still there, out of sight.
    let found = Command::new("grep").args(["-rlx", "1"]).arg(server.own("versions")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout).lines().count(), 1, "{found:?}");
}
