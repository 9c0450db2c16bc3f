//! `agent`: progress of a running action to the Backup's status, over real HTTP and HTTPS.

use std::fs;
use std::process::{Child, Command};

use serde_json::json;

use crate::api_server::{ApiServer, service_account};
use crate::bench::{Bench, feed, finish, signal};

fn agent(bench: &Bench, server: &ApiServer) -> Command {
    service_account(&bench.work("account"), "token-1", &server.ca);
    let mut command = bench.command(["agent"]);
    command
        .env("DP_BACKUP_INFO_FILE", bench.work("backup.info"))
        .env("DP_BACKUP_NAME", "bk")
        .env("KB_NAMESPACE", "ns")
        .env("DP_CHECK_INTERVAL", "1")
        .env("DATASAFED_MOVER_API_SERVER", &server.url)
        .env("DATASAFED_MOVER_SERVICE_ACCOUNT_DIR", bench.work("account"))
        // A proxy of the container is not for the API server.
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("HTTPS_PROXY", "http://127.0.0.1:1");
    command
}

fn stop(child: Child) -> String {
    signal(&child, "TERM");
    let seen = finish(child);
    assert_eq!(seen.exit, 0, "{seen:?}");
    seen.stderr
}

/// The path names the group: other kinds called "backups" exist (behaviour-backup §16.21, rule_21).
#[test]
fn bd5_changes_are_patched_over_https_and_nothing_else() {
    let bench = Bench::new();
    let server = ApiServer::start(true, &[]);
    let child = agent(&bench, &server).spawn().unwrap();
    fs::write(bench.work("backup.info"), r#"{"totalSize":"1","phase":"Completed","path":"/x"}"#).unwrap();
    let request = server.next();
    assert_eq!(
        request.line,
        "PATCH /apis/dataprotection.kubeblocks.io/v1alpha1/namespaces/ns/backups/bk/status HTTP/1.1"
    );
    assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    assert_eq!(request.header("content-type"), Some("application/merge-patch+json"));
    assert_eq!(request.body, json!({"status":{"totalSize":"1"}}));
    // The kubelet rotates tokens; and the same content is not sent again.
    service_account(&bench.work("account"), "token-2", &server.ca);
    fs::write(bench.work("backup.info"), r#"{"totalSize":"1","phase":"Completed","path":"/x"}"#).unwrap();
    let info = r#"{"totalSize":"2","extras":[{"a":"b"}],"timeRange":{"start":"2024-01-01T00:00:00Z"}}"#;
    fs::write(bench.work("new.info"), info).unwrap();
    fs::rename(bench.work("new.info"), bench.work("backup.info")).unwrap();
    let request = server.next();
    assert_eq!(request.header("authorization"), Some("Bearer token-2"));
    assert_eq!(
        request.body,
        json!({"status":{"totalSize":"2","extras":[{"a":"b"}],
            "timeRange":{"start":"2024-01-01T00:00:00Z"}}})
    );
    assert_eq!(stop(child), "");
    assert!(server.nothing_more());
}

/// BD6: several archives of one Backup wrote one another's size and range over.
#[test]
fn bd6_one_of_several_reports_to_an_annotation_of_its_own() {
    let bench = Bench::new();
    let server = ApiServer::start(true, &[]);
    let key = "progress.holdfast.dev/dp-backup-1";
    let child = agent(&bench, &server).env("DATASAFED_MOVER_REPORT_ANNOTATION", key).spawn().unwrap();
    fs::write(bench.work("backup.info"), r#"{"totalSize":"1","phase":"Completed"}"#).unwrap();
    let request = server.next();
    assert_eq!(request.line, "PATCH /apis/dataprotection.kubeblocks.io/v1alpha1/namespaces/ns/backups/bk HTTP/1.1");
    assert_eq!(request.body, json!({"metadata": {"annotations": {key: r#"{"totalSize":"1"}"#}}}));
    assert_eq!(stop(child), "");
}

#[test]
fn bd4_failures_are_logged_and_tried_again() {
    let bench = Bench::new();
    let server = ApiServer::start(false, &[500, 403]);
    fs::write(bench.work("backup.info"), r#"{"totalSize":"1"}"#).unwrap();
    let child = agent(&bench, &server).spawn().unwrap();
    for _ in 0..3 {
        assert_eq!(server.next().body, json!({"status":{"totalSize":"1"}}));
    }
    assert!(server.script_is_over());
    let log = stop(child);
    assert_eq!(log.lines().count(), 2, "{log}");
    assert!(log.lines().all(|line| line.starts_with("Error: PATCH ") && line.ends_with("scripted")));
    assert!(!log.contains("token-1"));
}

#[test]
fn useless_content_is_told_once_and_not_sent() {
    let bench = Bench::new();
    let server = ApiServer::start(false, &[]);
    let child = agent(&bench, &server).spawn().unwrap();
    for content in ["", "{}", "{\"phase\":\"x\"}", "{\"totalSize\":"] {
        fs::write(bench.work("backup.info"), content).unwrap();
    }
    fs::write(bench.work("backup.info"), r#"{"totalSize":"9"}"#).unwrap();
    assert_eq!(server.next().body, json!({"status":{"totalSize":"9"}}));
    stop(child);
    assert!(server.nothing_more());
}

#[test]
fn a_foreign_certificate_is_refused() {
    let bench = Bench::new();
    let server = ApiServer::start(true, &[]);
    let other = ApiServer::start(true, &[]);
    fs::write(bench.work("backup.info"), r#"{"totalSize":"1"}"#).unwrap();
    let mut command = agent(&bench, &server);
    service_account(&bench.work("account"), "token-1", &other.ca);
    let mut child = command.spawn().unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut log, &mut line).unwrap();
    assert!(line.starts_with("Error: PATCH https://127.0.0.1"), "{line}");
    // Its owner is put right, and the next look succeeds.
    service_account(&bench.work("account"), "token-1", &server.ca);
    assert_eq!(server.next().body, json!({"status":{"totalSize":"1"}}));
    stop(child);
}

#[test]
fn it_ends_at_once_on_sigterm_before_anything_happened() {
    let bench = Bench::new();
    let server = ApiServer::start(false, &[]);
    let child = agent(&bench, &server).spawn().unwrap();
    // Handlers are installed first of all; wait until the process has them.
    crate::bench::until("the handlers", || {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
        let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:\t"));
        u64::from_str_radix(caught.unwrap(), 16).unwrap() & (1 << 14) != 0
    });
    stop(child);
}

#[test]
fn what_it_needs_is_named() {
    let bench = Bench::new();
    let server = ApiServer::start(false, &[]);
    for name in ["DP_BACKUP_NAME", "KB_NAMESPACE"] {
        let mut command = agent(&bench, &server);
        command.env_remove(name);
        feed(command, b"").fails(name);
    }
    let mut command = agent(&bench, &server);
    command.env_remove("DATASAFED_MOVER_API_SERVER");
    feed(command, b"").fails("KUBERNETES_SERVICE_HOST");
}
