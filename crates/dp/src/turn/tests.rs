use super::claim::{Claim, JobOf};
use super::limit_of;
use super::order::{Held, Resource, Verdict};
use super::{Turns, place};
use api_types::dp::{Backup, BackupRepo};
use serde_json::{Value, json};

fn backup(status: &Value, change: &Value) -> Backup {
    let mut object = json!({
        "metadata": {"name": "b", "namespace": "n", "uid": "u", "resourceVersion": "1"},
        "spec": {"backupPolicyName": "p", "backupMethod": "m"}, "status": status,
    });
    for (key, value) in change.as_object().unwrap() {
        object["metadata"][key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn claimed(status: &Value) -> Vec<(String, bool)> {
    let claim = Claim::of(&backup(status, &json!({})));
    claim.into_iter().flat_map(|c| c.jobs).map(|j| (j.action, j.at_work)).collect()
}

fn running(actions: &Value) -> Value {
    json!({"phase": "Running", "backupRepoName": "r", "backupMethod": {"name": "m", "actionSetName": "a"},
        "target": {"selectedTargetPods": ["p0", "p1"]},
        "inputs": {"actionSet": {"backupType": "Full", "backup": {
            "preBackup": [{"exec": {"command": ["lock"]}}], "backupData": {"image": "i", "command": ["c"]}}}},
        "actions": actions})
}

#[allow(clippy::needless_pass_by_value)] // literals of `json!`
fn action(name: &str, phase: &str, queue: Option<Value>) -> Value {
    json!({"name": name, "phase": phase, "actionType": "Job", "queue": queue})
}

#[test]
fn a_backup_claims_what_its_status_says() {
    let waits = json!({"queue": {"repoName": "r", "nodeName": "k"}});
    let claim = Claim::of(&backup(&waits, &json!({}))).unwrap();
    let expected = JobOf { repo: Some("r".into()), node: Some("k".into()), ..JobOf::default() };
    assert_eq!(claim.jobs, [expected]);
    assert!(claim.lane.by_hand);
    let all = |first: &str, data: &str, queue: Option<Value>| {
        running(&json!([
            action("dp-prebackup-0-0", first, None),
            action("dp-backup-0", data, None),
            action("dp-prebackup-0-1", "New", None),
            action("dp-backup-1", "New", queue),
        ]))
    };
    let in_line = Some(json!({"since": "2026-01-01T00:00:00Z"}));
    let (one, two) = ("dp-backup-0".to_owned(), "dp-backup-1".to_owned());
    for (status, expected) in [
        (json!({}), vec![]),
        (json!({"queue": {"repoName": "r", "left": "2026-01-01T00:00:00Z"}}), vec![]),
        (json!({"phase": "Completed", "queue": {"repoName": "r"}}), vec![]),
        // A hook before the data holds the place of the data.
        (all("Running", "New", in_line.clone()), vec![(one.clone(), true), (two.clone(), false)]),
        (all("Completed", "Running", None), vec![(one.clone(), true), (two.clone(), true)]),
        (all("Completed", "Completed", in_line.clone()), vec![(two.clone(), false)]),
        // The data of a pod whose hook failed is never written.
        (all("Failed", "New", None), vec![(two, true)]),
        (json!({"phase": "Failed", "actions": [action("dp-backup-0", "New", None)]}), vec![]),
        // One of the reference, of which nothing but its actions is known.
        (json!({"phase": "Running", "actions": [action("dp-backup-0", "Running", None)]}), vec![(one, true)]),
    ] {
        assert_eq!(claimed(&status), expected, "{status}");
    }
}

#[test]
fn who_can_not_take_a_turn_claims_none() {
    let waits = json!({"queue": {"repoName": "r"}});
    for change in [
        json!({"deletionTimestamp": "2026-01-01T00:00:00Z"}),
        json!({"annotations": {"dataprotection.kubeblocks.io/skip-reconciliation": "True"}}),
        json!({"labels": {"dataprotection.kubeblocks.io/backup-type": "Continuous"}}),
    ] {
        assert_eq!(Claim::of(&backup(&waits, &change)), None, "{change}");
    }
}

#[test]
fn a_repository_limits_itself() {
    let repo = |text: &str| -> BackupRepo {
        serde_json::from_value(
            json!({"metadata": {"name": "r", "annotations": {"holdfast.dev/max-concurrent-jobs": text}},
            "spec": {"storageProviderRef": "p"}}),
        )
        .unwrap()
    };
    for (text, limit) in [("3", Some(3)), (" 0", Some(0)), ("-1", None), ("many", None), ("", None)] {
        assert_eq!(limit_of(&repo(text)), limit, "{text}");
    }
    let turns = Turns::new(0, 0);
    let job = JobOf { repo: Some("r".into()), ..JobOf::default() };
    let work = running(&json!([action("dp-backup-0", "Running", None)]));
    turns.see(&backup(&work, &json!({"uid": "other", "name": "other"})), true);
    assert_eq!(turns.ask(&backup(&json!({}), &json!({})), std::slice::from_ref(&job)), [Verdict::Turn]);
    turns.see_repo(&repo("1"), true);
    let held = Held { by: Resource::Repo("r".into()), place: 1, of: 1, runs: 1, limit: 1 };
    assert_eq!(turns.ask(&backup(&json!({}), &json!({})), std::slice::from_ref(&job)), [Verdict::Held(held.clone())]);
    assert_eq!(place::message(&held), "place 1 of 1 in the queue of BackupRepo r, which runs 1 of at most 1");
    turns.see_repo(&repo("2"), true);
    assert_eq!(turns.ask(&backup(&json!({}), &json!({})), &[job]), [Verdict::Turn]);
}
