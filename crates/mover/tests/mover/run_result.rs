//! `run -- CMD`: what an action reports, and the saved object that makes a backup valid.

use std::fs;
use std::process::Command;

use mover_protocol::Reason;
use serde_json::{Value, json};

use crate::bench::{Bench, feed, names};
use crate::run_mode::script;

/// A backup action in its container.
fn backup(bench: &Bench, text: &str) -> Command {
    fs::write(
        bench.work("object.json"),
        r#"{"kind":"Backup","status":{"phase":"Running","timeRange":{"timeZone":"+00:00"}}}"#,
    )
    .unwrap();
    let mut command = script(bench, text);
    command
        .env("DP_BACKUP_INFO_FILE", bench.work("backup.info"))
        .env("DATASAFED_MOVER_BACKUP_OBJECT", bench.work("object.json"))
        .env("DP_BACKUP_BASE_PATH", "/ns/bk");
    command
}

fn saved(bench: &Bench) -> Value {
    let text = fs::read(bench.repo("ns/bk/kubeblocks-backup.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn bd5_the_info_reaches_the_result_and_the_saved_object() {
    let bench = Bench::new();
    let info = r#"{"totalSize":"42","phase":"Completed","path":"/evil","extras":[{"lsn":"0/1"}],
        "timeRange":{"start":"2024-01-01T00:00:00Z","end":"2024-01-02T00:00:00Z"}}"#;
    let action = backup(&bench, &format!("cat > $DP_BACKUP_INFO_FILE <<'X'\n{info}\nX"));
    feed(action, b"").ok("");
    let result = bench.result();
    assert_eq!((result.exit, result.reason), (0, Reason::Ok));
    assert_eq!(
        serde_json::to_value(result.info).unwrap(),
        json!({"totalSize":"42","extras":[{"lsn":"0/1"}],
            "timeRange":{"start":"2024-01-01T00:00:00Z","end":"2024-01-02T00:00:00Z"}})
    );
    assert_eq!(
        saved(&bench),
        json!({"kind":"Backup","status":{"phase":"Running","totalSize":"42",
            "extras":[{"lsn":"0/1"}],
            "timeRange":{"start":"2024-01-01T00:00:00Z","end":"2024-01-02T00:00:00Z",
                "timeZone":"+00:00"}}})
    );
    assert_eq!(names(&bench.repo("ns/bk")), ["kubeblocks-backup.json"]);
}

#[test]
fn without_info_the_object_is_saved_as_it_is() {
    let bench = Bench::new();
    let mut action = backup(&bench, "exit 0");
    // The base path of scripts has no say in where the object goes.
    action.env("DATASAFED_BACKEND_BASE_PATH", "/elsewhere");
    feed(action, b"").ok("");
    assert_eq!(saved(&bench)["status"]["phase"], "Running");
    assert_eq!(bench.result().info, None);
}

#[test]
fn malformed_info_does_not_lose_the_backup() {
    let bench = Bench::new();
    for (content, message) in [
        ("{\"totalSize\":", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("{\"totalSize\":[]}", "totalSize is no text"),
    ] {
        let action = backup(&bench, &format!("echo '{content}' > $DP_BACKUP_INFO_FILE"));
        let seen = feed(action, b"");
        assert_eq!(seen.exit, 0, "{seen:?}");
        assert!(seen.stderr.starts_with("Warning: "), "{seen:?}");
        let result = bench.result();
        assert_eq!((result.exit, result.reason, result.info), (0, Reason::Ok, None));
        assert!(result.message.contains(message), "{}", result.message);
        assert_eq!(saved(&bench)["kind"], "Backup");
    }
}

#[test]
fn bd3_an_exit_marker_fails_the_action_whatever_its_code() {
    let bench = Bench::new();
    let seen = feed(backup(&bench, "touch $DP_BACKUP_INFO_FILE.exit"), b"");
    seen.fails("backup.info.exit");
    assert_eq!((bench.result().exit, bench.result().reason), (1, Reason::Producer));
    assert!(!bench.repo("ns").exists());
    let seen = feed(backup(&bench, "touch $DP_BACKUP_INFO_FILE.exit; exit 6"), b"");
    assert_eq!(seen.exit, 6);
}

#[test]
fn bd3_a_failed_action_saves_nothing() {
    let bench = Bench::new();
    let action = backup(&bench, "echo '{\"totalSize\":\"1\"}' > $DP_BACKUP_INFO_FILE; kill -9 $$");
    assert_eq!(feed(action, b"").exit, 137);
    assert!(!bench.repo("ns").exists());
    assert_eq!(bench.result().info, None);
}

#[test]
fn stale_files_of_an_earlier_try_are_removed() {
    let bench = Bench::new();
    fs::write(bench.work("backup.info"), r#"{"totalSize":"old"}"#).unwrap();
    fs::write(bench.work("backup.info.exit"), "").unwrap();
    feed(backup(&bench, "exit 0"), b"").ok("");
    assert_eq!(bench.result().info, None);
    assert!(!bench.work("backup.info.exit").exists());
}

#[test]
fn an_object_that_cannot_be_saved_fails_the_run() {
    let bench = Bench::new();
    // A directory of that name: no use to try again.
    fs::create_dir_all(bench.repo("ns/bk/kubeblocks-backup.json")).unwrap();
    let seen = feed(backup(&bench, "exit 0"), b"");
    seen.fails("the backup's object was not saved: is a directory");
    assert_eq!((bench.result().exit, bench.result().reason), (1, Reason::IsDirectory));

    // A file where a directory must be: five tries, then the reason.
    let bench = Bench::new();
    bench.put("ns", b"file");
    let seen = feed(backup(&bench, "exit 0"), b"");
    assert_eq!(seen.exit, 1);
    assert_eq!(seen.stderr.matches("trying again").count(), 4, "{seen:?}");
    assert!(bench.result().message.starts_with("the backup's object was not saved: "));

    let bench = Bench::new();
    let mut action = backup(&bench, "exit 0");
    action.env_remove("DP_BACKUP_BASE_PATH");
    feed(action, b"").fails("DP_BACKUP_BASE_PATH is not set");
    let mut action = backup(&bench, "exit 0");
    action.env("DATASAFED_MOVER_BACKUP_OBJECT", bench.work("none"));
    feed(action, b"").fails("no such file");
    let mut action = backup(&bench, "exit 0");
    action.env_remove("DATASAFED_LOCAL_BACKEND_PATH");
    feed(action, b"").fails("/etc/datasafed/datasafed.conf");
}

#[test]
fn a_restore_action_saves_nothing_and_needs_no_repository() {
    let bench = Bench::new();
    let mut action = script(&bench, "exit 0");
    action.env_remove("DATASAFED_LOCAL_BACKEND_PATH");
    feed(action, b"").ok("");
    assert_eq!(bench.result().reason, Reason::Ok);
    assert!(names(&bench.repo("")).is_empty());
}

#[test]
fn a_real_action_pushes_through_the_mover() {
    let bench = Bench::new();
    let action = backup(
        &bench,
        "export DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH
         echo data | \"$DATASAFED\" push -z zstd-fastest - dump.zst
         size=$(\"$DATASAFED\" stat / | grep TotalSize | awk '{print $2}')
         echo \"{\\\"totalSize\\\":\\\"$size\\\"}\" > $DP_BACKUP_INFO_FILE",
    );
    feed(action, b"").ok("");
    let size = fs::metadata(bench.repo("ns/bk/dump.zst")).unwrap().len();
    assert_eq!(bench.result().info.unwrap().total_size, Some(size.to_string()));
}

#[test]
fn extras_that_do_not_fit_are_in_the_saved_object() {
    let bench = Bench::new();
    let extras: Vec<_> = (0..100).map(|n| json!({ format!("key{n}"): "v".repeat(90) })).collect();
    fs::write(bench.work("big"), json!({ "extras": extras }).to_string()).unwrap();
    let seen = feed(backup(&bench, "cp big $DP_BACKUP_INFO_FILE"), b"");
    assert_eq!(seen.exit, 0);
    let result = bench.result();
    assert!(result.message.contains("did not fit"));
    assert!(result.info.unwrap().extras.len() > 10);
    assert_eq!(saved(&bench)["status"]["extras"].as_array().unwrap().len(), 100);
}

/// A backup action whose manifest is wanted.
fn with_manifest(bench: &Bench, text: &str) -> Command {
    let mut command = backup(bench, &format!("export DATASAFED_BACKEND_BASE_PATH=$DP_BACKUP_BASE_PATH\n{text}"));
    fs::write(bench.work("actions.json"), r#"{"kind":"ActionSet","metadata":{"name":"a"}}"#).unwrap();
    command
        .env("DATASAFED_MOVER_MANIFEST_DIR", "/ns/_manifests/v1/uid")
        .env("DATASAFED_MOVER_ACTION_SET", bench.work("actions.json"));
    command
}

fn manifest(bench: &Bench) -> mover_protocol::Manifest {
    let text = fs::read(bench.repo("ns/_manifests/v1/uid/holdfast-manifest.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn the_manifest_lists_what_there_is_and_what_was_pushed() {
    let bench = Bench::new();
    // Stored by somebody else, who leaves no journal.
    bench.put("ns/bk/before", b"1234");
    let action = with_manifest(
        &bench,
        "echo wrong | \"$DATASAFED\" push - a\nprintf 123456789 | \"$DATASAFED\" push -z zstd - d/b.zst\n\
         printf 123456789 | \"$DATASAFED\" push - a\necho x | \"$DATASAFED\" push - gone && \"$DATASAFED\" rm gone",
    );
    feed(action, b"").ok("");
    let found = manifest(&bench);
    let content = |index: usize| found.objects[index].content.as_ref().map(|c| (c.bytes, c.crc64.as_str()));
    let paths: Vec<&str> = found.objects.iter().map(|object| object.path.as_str()).collect();
    assert_eq!((paths, found.path.as_str()), (vec!["a", "before", "d/b.zst"], "/ns/bk"));
    // The known answer of CRC64NVME.
    assert_eq!((content(0), content(1)), (Some((9, "ae8b14860a799888")), None));
    assert_eq!(content(2), Some((9, "ae8b14860a799888")), "the content is told as it was before the codec");
    let sizes: u64 = found.objects.iter().map(|object| object.size).sum();
    assert_eq!((found.count, found.bytes, found.objects[0].size), (3, sizes, 9));
    assert_eq!(found.backup["status"]["phase"], "Running");
    assert_eq!(found.action_set["metadata"]["name"], "a");
    assert_eq!(names(&bench.repo("ns/bk")), ["a", "before", "d", "kubeblocks-backup.json"]);
}

#[test]
fn a_failed_action_leaves_no_manifest() {
    let bench = Bench::new();
    assert_eq!(feed(with_manifest(&bench, "echo 1 | \"$DATASAFED\" push - a; exit 3"), b"").exit, 3);
    assert_eq!(names(&bench.repo("ns")), ["bk"]);
}

#[test]
fn a_manifest_that_cannot_be_written_fails_no_backup() {
    let bench = Bench::new();
    bench.put("ns/_manifests", b"in the way");
    let seen = feed(with_manifest(&bench, "echo 1 | \"$DATASAFED\" push - a"), b"");
    assert_eq!(seen.exit, 0, "{seen:?}");
    assert!(bench.result().message.starts_with("the backup's manifest was not written: "), "{:?}", bench.result());
    assert!(bench.repo("ns/bk/kubeblocks-backup.json").exists());
}
