use super::*;
use controller_kit::error::Class;
use serde_json::{Value, json};

fn backup(name: &str, type_: &str, method: &str, end: u8, base: &str, change: &Value) -> Arc<Backup> {
    let mut object = json!({
        "metadata": {"name": name, "labels": {labels::BACKUP_TYPE: type_}},
        "spec": {"backupPolicyName": "p", "backupMethod": method},
        "status": {"phase": "Completed", "backupRepoName": "r", "backupMethod": {"name": method},
            "completionTimestamp": format!("2026-01-01T{end:02}:00:00Z"), "target": {"selectedTargetPods": ["db-0"]}},
    });
    if !base.is_empty() {
        object["status"]["baseBackupName"] = json!(base);
    }
    for (path, value) in change.as_object().unwrap() {
        *object.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = value.clone();
    }
    Arc::new(serde_json::from_value(object).unwrap())
}

fn full(name: &str, end: u8) -> Arc<Backup> {
    backup(name, "Full", "full", end, "", &json!({}))
}

fn increment(name: &str, end: u8, base: &str) -> Arc<Backup> {
    backup(name, "Incremental", "inc", end, base, &json!({}))
}

fn chosen(
    type_: &BackupType,
    parent: Option<&str>,
    scheduled: bool,
    all: &[Arc<Backup>],
) -> Result<(String, String), Stop> {
    let mut object = json!({"metadata": {"name": "new"}, "spec": {"backupPolicyName": "p", "backupMethod": "inc"}});
    if let Some(parent) = parent {
        object["spec"]["parentBackupName"] = json!(parent);
    }
    if scheduled {
        object["metadata"]["labels"] = json!({labels::BACKUP_SCHEDULE: "s"});
    }
    let backup: Backup = serde_json::from_value(object).unwrap();
    let method: BackupMethod = serde_json::from_value(json!({"name": "inc", "compatibleMethod": "full"})).unwrap();
    let wanted = Wanted { backup: &backup, method: &method, backup_type: type_, repo: "r", targets: 1 };
    choose(&wanted, all).map(|l| (l.parent, l.base))
}

#[test]
fn rule_32_the_parent_is_the_newest_that_continues_the_newest_full() {
    let pair = |parent: &str, base: &str| Ok((parent.to_owned(), base.to_owned()));
    for (what, all, wanted) in [
        ("the only full", vec![full("f1", 1)], pair("f1", "f1")),
        ("the newest full", vec![full("f2", 2), full("f1", 1)], pair("f2", "f2")),
        (
            "the newest increment of it",
            vec![full("f1", 1), increment("i1", 2, "f1"), increment("i2", 3, "f1")],
            pair("i2", "f1"),
        ),
        (
            "an increment of an older full",
            vec![full("f1", 1), increment("i1", 2, "f1"), full("f2", 3)],
            pair("f2", "f2"),
        ),
        (
            "a newer increment, but of another base",
            vec![full("f1", 1), full("f2", 2), increment("i1", 3, "f1")],
            pair("f2", "f2"),
        ),
    ] {
        assert_eq!(chosen(&BackupType::Incremental, None, true, &all), wanted, "{what}");
    }
    let all = [full("f1", 1), increment("i1", 2, "f1")];
    assert_eq!(chosen(&BackupType::Differential, None, false, &all), pair("f1", "f1"), "always the newest full");
}

#[test]
fn rule_32_what_does_not_fit_is_no_parent_and_the_reason_is_named() {
    for (path, value, why) in [
        ("/status/phase", json!("Failed"), "is Failed"),
        ("/spec/backupPolicyName", json!("q"), "is of BackupPolicy q, not p"),
        ("/status/backupMethod/name", json!("other"), "is of method other"),
        ("/status/backupRepoName", json!("elsewhere"), "lies in BackupRepo elsewhere, not in r"),
        ("/status/completionTimestamp", json!(null), "says no time at which it ended"),
        ("/status/target", json!(null), "has 0 targets, the BackupPolicy has 1 now"),
    ] {
        let mut change = serde_json::Map::new();
        change.insert(path.into(), value);
        let all = [backup("f1", "Full", "full", 1, "", &Value::Object(change))];
        let automatic = chosen(&BackupType::Incremental, None, false, &all).unwrap_err();
        assert_eq!(automatic.reason, reasons::PARENT_NOT_FOUND, "{path}");
        let named = chosen(&BackupType::Incremental, Some("f1"), false, &all).unwrap_err();
        assert!(named.message.contains(why), "{path}: {}", named.message);
    }
    let shards = backup("f1", "Full", "full", 1, "", &json!({"/status/target": null}));
    let said = chosen(&BackupType::Incremental, None, false, &[shards]).unwrap_err().message;
    assert!(said.contains("Backup f1 has 0 targets"), "the mismatch is named: {said}");
    let orphans = chosen(&BackupType::Incremental, None, false, &[increment("i1", 1, "f0")]).unwrap_err();
    assert!(orphans.message.contains("i1") && orphans.message.contains("full one first"), "{}", orphans.message);
}

#[test]
fn a_named_parent_is_waited_for_or_refused() {
    let is = |type_: &BackupType, all: &[Arc<Backup>]| chosen(type_, Some("f1"), false, all).unwrap_err();
    assert_eq!(is(&BackupType::Incremental, &[]).class, Class::Wait);
    let running = backup("f1", "Full", "full", 1, "", &json!({"/status/phase": "Running"}));
    assert_eq!(is(&BackupType::Incremental, &[running]).reason, reasons::PARENT_NOT_COMPLETED);
    let failed = backup("f1", "Full", "full", 1, "", &json!({"/status/phase": "Failed"}));
    assert_eq!(is(&BackupType::Incremental, &[failed]).class, Class::Terminal);
    let wrong = backup("f1", "Incremental", "inc", 1, "f0", &json!({}));
    assert!(is(&BackupType::Differential, std::slice::from_ref(&wrong)).message.contains("builds on a full one"));
    assert!(is(&BackupType::Incremental, &[wrong]).message.contains("f0"), "its base is gone");
    let scheduled = chosen(&BackupType::Incremental, Some("f1"), true, &[full("f1", 1)]).unwrap_err();
    assert!(scheduled.message.contains("spec.parentBackupName"), "{}", scheduled.message);
}

#[test]
fn a_parent_that_goes_while_its_child_runs_breaks_the_chain() {
    let child = backup("i2", "Incremental", "inc", 3, "f1", &json!({}));
    let mut child = Arc::unwrap_or_clone(child);
    child.status.as_mut().unwrap().parent_backup_name = Some("i1".into());
    assert_eq!(broken(&child, &[full("f1", 1), increment("i1", 2, "f1")]), None);
    assert!(broken(&child, &[full("f1", 1)]).unwrap().message.contains("i1"));
    assert!(broken(&child, &[increment("i1", 2, "f1")]).unwrap().message.contains("f1"));
}
