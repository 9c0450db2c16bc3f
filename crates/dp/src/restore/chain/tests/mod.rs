use super::*;
use controller_kit::error::Class;
use proptest::prelude::*;
use serde_json::{Value, json};

const START: &str = "2026-01-01T03:00:00Z";
const END: &str = "2026-01-01T20:00:00Z";

#[derive(Clone, Default)]
struct Table {
    backups: Vec<Arc<Backup>>,
    action_sets: Vec<Arc<ActionSet>>,
}

impl Shelf for Table {
    fn backup(&self, name: &str) -> Option<Arc<Backup>> {
        self.backups.iter().find(|b| b.name_any() == name).cloned()
    }

    fn backups(&self, wanted: &dyn Fn(&Backup) -> bool) -> Vec<Arc<Backup>> {
        self.backups.iter().filter(|b| wanted(b)).cloned().collect()
    }

    fn action_set(&self, name: &str) -> Option<Arc<ActionSet>> {
        self.action_sets.iter().find(|a| a.name_any() == name).cloned()
    }
}

impl Table {
    /// One ActionSet for each type, all of which fill volumes.
    fn new(backups: Vec<Value>) -> Self {
        let kinds = [("full", "Full"), ("inc", "Incremental"), ("diff", "Differential"), ("log", "Continuous")];
        let set = |(name, kind): (&str, &str)| actions(name, kind, &json!({}));
        Table {
            backups: backups.into_iter().map(|b| Arc::new(serde_json::from_value(b).unwrap())).collect(),
            action_sets: kinds.into_iter().map(set).collect(),
        }
    }

    fn with(mut self, set: Arc<ActionSet>) -> Self {
        self.action_sets.retain(|a| a.name_any() != set.name_any());
        self.action_sets.push(set);
        self
    }

    fn without(mut self, action_set: &str) -> Self {
        self.action_sets.retain(|a| a.name_any() != action_set);
        self
    }

    fn resolve(&self, name: &str, at: Option<&str>) -> Result<Chain, Unresolved> {
        resolve(&self.backup(name).unwrap(), at, None, self)
    }

    /// Class, reason and message of what stops it.
    fn stop(&self, name: &str, at: Option<&str>) -> (Class, &'static str, String) {
        match self.resolve(name, at) {
            Err(Unresolved::Stop(stop)) => (stop.class, stop.reason, stop.message),
            Err(Unresolved::Missing { key, gone }) => {
                (gone.class, gone.reason, format!("{}? {}", key.name, gone.message))
            }
            Ok(chain) => panic!("{:?}", told(&chain)),
        }
    }

    fn assert_broken(&self, name: &str, at: Option<&str>, part: &str) {
        let (class, reason, message) = self.stop(name, at);
        assert_eq!((class, reason), (Class::Terminal, "BackupChainBroken"), "{message}");
        assert!(message.contains(part), "{part:?} is not in {message:?}");
    }
}

fn actions(name: &str, kind: &str, restore: &Value) -> Arc<ActionSet> {
    let mut spec = json!({"prepareData": {"image": "i", "command": ["c"]}});
    for (key, value) in restore.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let object = json!({"metadata": {"name": name}, "spec": {"backupType": kind, "restore": spec}});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn at(hour: u8) -> String {
    format!("2026-01-01T{hour:02}:00:00Z")
}

fn backup(name: &str, kind: &str, method: &str, end: u8) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "n", "labels": {"dataprotection.kubeblocks.io/backup-type": kind}},
        "spec": {"backupPolicyName": "p", "backupMethod": method},
        "status": {"phase": "Completed", "backupRepoName": "r", "path": format!("/n/p/{name}"),
            "completionTimestamp": at(end), "backupMethod": {"name": method, "actionSetName": method},
            "target": {"selectedTargetPods": ["db-0"]}},
    })
}

fn full(name: &str, end: u8) -> Value {
    backup(name, "Full", "full", end)
}

fn child(name: &str, kind: &str, end: u8, parent: &str, base: &str) -> Value {
    let mut object = backup(name, kind, if kind == "Incremental" { "inc" } else { "diff" }, end);
    object["status"]["parentBackupName"] = json!(parent);
    object["status"]["baseBackupName"] = json!(base);
    object["status"]["backupMethod"]["compatibleMethod"] = json!("full");
    object
}

fn increment(name: &str, end: u8, parent: &str) -> Value {
    child(name, "Incremental", end, parent, "f")
}

/// A log from 03:00 to 20:00 that still runs.
fn log() -> Value {
    let mut object = backup("log", "Continuous", "log", 0);
    object["status"]["phase"] = json!("Running");
    object["status"]["timeRange"] = json!({"start": START, "end": END});
    object
}

fn with(mut object: Value, path: &str, value: Value) -> Value {
    let (parent, key) = path.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap_or_else(|| panic!("{path}"))[key] = value;
    object
}

/// Each step: its name, its base, its ancestors.
fn told(chain: &Chain) -> Vec<(String, String, String)> {
    let tell = |s: &Step| {
        let base = s.base.as_ref().map(|b| b.name_any()).unwrap_or_default();
        let ancestors: Vec<String> = s.ancestors.iter().map(|b| b.name_any()).collect();
        (s.backup.name_any(), base, ancestors.join(","))
    };
    chain.steps().map(tell).collect()
}

fn steps(all: &[(&str, &str, &str)]) -> Vec<(String, String, String)> {
    all.iter().map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned())).collect()
}

fn three() -> Vec<Value> {
    vec![full("f", 1), increment("i1", 2, "f"), increment("i2", 3, "i1"), increment("i3", 4, "i2")]
}

#[test]
fn restore_33_increments_are_one_step_that_knows_base_and_ancestors() {
    let table = Table::new(three());
    assert_eq!(told(&table.resolve("i3", None).unwrap()), steps(&[("i3", "f", "i1,i2")]));
    assert_eq!(told(&table.resolve("i1", None).unwrap()), steps(&[("i1", "f", "")]));
    assert_eq!(told(&table.resolve("f", None).unwrap()), steps(&[("f", "", "")]));
    assert_eq!(table.resolve("i3", None).unwrap().holder().name_any(), "i3");
}

#[test]
fn restore_33_a_differential_one_comes_after_its_full_one() {
    let table = Table::new(vec![full("f", 1), child("d", "Differential", 2, "f", "f")]);
    assert_eq!(told(&table.resolve("d", None).unwrap()), steps(&[("f", "", ""), ("d", "", "")]));
    // The reference records a parent that was asked for in the spec only.
    let mut asked = child("d", "Differential", 2, "", "");
    asked["status"].as_object_mut().unwrap().remove("parentBackupName");
    asked["spec"]["parentBackupName"] = json!("f");
    let table = Table::new(vec![full("f", 1), asked]);
    assert_eq!(told(&table.resolve("d", None).unwrap()), steps(&[("f", "", ""), ("d", "", "")]));
    Table::new(vec![child("d", "Differential", 2, "f", "f")]).assert_broken("d", None, "f does not exist");
    let table = Table::new(vec![full("f", 1), increment("i", 2, "f"), child("d", "Differential", 3, "i", "")]);
    table.assert_broken("d", None, "its parent i is of method inc, not of diff");
    let table = Table::new(vec![backup("s", "Selective", "full", 1), child("d", "Differential", 3, "s", "")]);
    table.assert_broken("d", None, "s is Selective; it must be a full one");
}

#[test]
fn restore_34_a_broken_chain_says_which_link() {
    let i1 = |path: &str, value: Value| with(increment("i1", 2, "f"), path, value);
    let chain = |f: Value, i1: Value| Table::new(vec![f, i1, increment("i2", 3, "i1"), increment("i3", 4, "i2")]);
    let ok = || full("f", 1);
    for (table, part) in [
        (chain(ok(), increment("i1", 2, "i3")), "a circle at Backup i3"),
        (chain(ok(), increment("i1", 2, "i1")), "a circle at Backup i1"),
        (chain(ok(), i1("/status/backupRepoName", json!("other"))), "i1 lies in BackupRepo other, not in r"),
        (chain(with(ok(), "/status/backupRepoName", json!("s")), increment("i1", 2, "f")), "f lies in BackupRepo s"),
        (chain(ok(), i1("/status/completionTimestamp", json!(at(9)))), "i1 ends later"),
        (chain(ok(), i1("/spec/backupPolicyName", json!("q"))), "i1 is of BackupPolicy q, not of p"),
        (chain(ok(), i1("/status/backupMethod/name", json!("inc2"))), "i1 is of method inc2, not of inc"),
        (chain(ok(), i1("/status/baseBackupName", json!("g"))), "i1 builds on \"g\", not on \"f\""),
        (chain(ok(), i1("/status/path", json!("/m/p/i1"))), "i1 lies below /m/p, not below /n/p"),
        (chain(ok(), i1("/status/kopiaRepoPath", json!("/k"))), "i1 is encrypted or stored in another way"),
        (chain(ok(), i1("/status/phase", json!("Failed"))), "i1 failed"),
        (chain(ok(), i1("/metadata/deletionTimestamp", json!(at(5)))), "i1 is being deleted"),
        (chain(ok(), i1("/status/parentBackupName", json!(""))), "it recorded no parent"),
        (chain(ok(), i1("/status/parentBackupName", json!("gone"))), "gone? Backup i1"),
        (chain(with(ok(), "/status/backupMethod/name", json!("dump")), increment("i1", 2, "f")), "f is of method dump"),
        (chain(backup("f", "Selective", "full", 1), increment("i1", 2, "f")), "f is Selective"),
    ] {
        table.assert_broken("i3", None, part);
    }
}

/// Only the cache may lack a parent; that is for the server to say.
#[test]
fn restore_34_a_parent_that_is_not_seen_is_no_verdict_yet() {
    let table = Table::new(vec![full("f", 1), increment("i2", 3, "i1")]);
    let missing = table.resolve("i2", None);
    assert!(matches!(&missing, Err(Unresolved::Missing { key, .. }) if **key == Key::new("n", "i1")), "{missing:?}");
    // One that is still being made is waited for, and so is the Backup itself.
    let running = with(increment("i1", 2, "f"), "/status/phase", json!("Running"));
    let (class, reason, _) = Table::new(vec![full("f", 1), running.clone(), increment("i2", 3, "i1")]).stop("i2", None);
    assert_eq!((class, reason), (Class::Wait, "BackupNotCompleted"));
    let (class, reason, _) = Table::new(vec![running]).stop("i1", None);
    assert_eq!((class, reason), (Class::Wait, "BackupNotCompleted"));
    for (name, mut fresh) in [("f", full("f", 1)), ("log", log())] {
        fresh["status"] = Value::Null;
        let (class, reason, _) = Table::new(vec![fresh]).stop(name, Some(END));
        assert_eq!((class, reason), (Class::Wait, "BackupNotCompleted"), "{name} has not begun");
    }
    let (class, reason, _) = Table::new(three()).without("inc").stop("i3", None);
    assert_eq!((class, reason), (Class::Wait, "ActionSetNotFound"));
}

mod base;

#[test]
fn restore_36_both_ends_of_the_window_count() {
    let table = Table::new(vec![full("f", 3), log()]);
    for good in [START, END, "2026-01-01T04:00:00+01:00", "2026-01-01T20:00:00.9Z"] {
        let chain = table.resolve("log", Some(good)).unwrap_or_else(|e| panic!("{good}: {e:?}"));
        assert_eq!(told(&chain).len(), 2);
    }
    let bad = |time: Option<&str>| table.stop("log", time);
    for time in [Some("2026-01-01T02:59:59Z"), Some("2026-01-01T20:00:01Z"), None, Some("")] {
        let (class, reason, message) = bad(time);
        assert_eq!((class, reason), (Class::Terminal, "InvalidRestoreTime"), "{time:?}");
        assert!(
            message.contains("Backup log can be restored from 2026-01-01T03:00:00Z to 2026-01-01T20:00:00Z"),
            "{message}"
        );
    }
    for malformed in ["yesterday", "2026-13-01T00:00:00Z", "2026-01-01", "Foo 01,2026 10:00:00 UTC+0000"] {
        for name in ["log", "f"] {
            let (class, reason, message) = table.stop(name, Some(malformed));
            assert_eq!((class, reason), (Class::Terminal, "InvalidRestoreTime"), "{name}");
            assert!(message.contains(malformed), "{message}");
        }
    }
}

#[test]
fn restore_36_a_log_without_a_window_is_waited_for() {
    let mut empty = log();
    empty["status"].as_object_mut().unwrap().remove("timeRange");
    let stop =
        |phase: &str| Table::new(vec![with(empty.clone(), "/status/phase", json!(phase))]).stop("log", Some(END));
    for (phase, class) in [("Running", Class::Wait), ("Failed", Class::Wait), ("Completed", Class::Terminal)] {
        assert_eq!(stop(phase).0, class, "{phase}");
    }
    // What it has archived can be restored although nothing is archived now.
    let failed = with(log(), "/status/phase", json!("Failed"));
    assert!(Table::new(vec![full("f", 5), failed]).resolve("log", Some(&at(9))).is_ok());
    let going = with(log(), "/metadata/deletionTimestamp", json!(at(9)));
    assert_eq!(Table::new(vec![full("f", 5), going]).stop("log", Some(&at(9))).1, "BackupDeleting");
}

#[test]
fn restore_36_times_as_people_write_them() {
    for (given, wire) in [
        ("2026-07-25T10:52:53Z", "2026-07-25T10:52:53Z"),
        ("2026-07-25T18:52:53+08:00", "2026-07-25T10:52:53Z"),
        ("2026-07-25T10:22:53.999-00:30", "2026-07-25T10:52:53Z"),
        ("Jul 25,2026 18:52:53 UTC+0800", "2026-07-25T10:52:53Z"),
        ("Jul 25,2026 05:22:53 UTC-0530", "2026-07-25T10:52:53Z"),
        (" Jan 02,2026 15:04:05 UTC+0000 ", "2026-01-02T15:04:05Z"),
        ("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:58Z"),
    ] {
        assert_eq!(time::text(time::parse(given).unwrap_or_else(|e| panic!("{given}: {e:?}"))), wire, "{given}");
    }
    for bad in ["", "now", "Jul 25,2026 18:52:53", "2026-07-25T10:52:53", "2026-02-30T00:00:00Z"] {
        assert_eq!(time::parse(bad).unwrap_err().reason, "InvalidRestoreTime", "{bad:?}");
    }
}

#[test]
fn restore_37_a_snapshot_is_never_dropped_in_silence() {
    let mut snapshot = with(full("snap", 9), "/status/backupMethod/snapshotVolumes", json!(true));
    snapshot["status"]["backupMethod"].as_object_mut().unwrap().remove("actionSetName");
    // The next base, where there is one.
    let table = Table::new(vec![full("f", 5), snapshot.clone(), log()]);
    assert_eq!(told(&table.resolve("log", Some(&at(10))).unwrap()), steps(&[("f", "", ""), ("log", "f", "")]));
    // Else one clear word; logs alone are never replayed.
    for others in [vec![], vec![full("outside", 2)], vec![child("x", "Incremental", 8, "nobody", "nobody")]] {
        let table = Table::new(others.into_iter().chain([snapshot.clone(), log()]).collect());
        let (class, reason, message) = table.stop("log", Some(&at(10)));
        assert_eq!((class, reason), (Class::Terminal, "NotServedYet"));
        assert!(message.contains("Backup snap: restoring volume snapshots"), "{message}");
    }
    assert_eq!(Table::new(vec![snapshot]).stop("snap", None).1, "NotServedYet");
}

/// The log lists no volumes; the base does, and is what is restored into them.
#[test]
fn restore_8_the_base_says_which_volumes_there_are() {
    let volumes = json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let base = with(full("f", 5), "/status/backupMethod/targetVolumes", volumes);
    let chain = Table::new(vec![base, log()]).resolve("log", Some(&at(10))).unwrap();
    assert_eq!(chain.holder().name_any(), "f");
    let claim: api_types::dp::RestoreVolumeClaim =
        serde_json::from_value(json!({"metadata": {"name": "c"}, "volumeSource": "data", "volumeClaimSpec": {}}))
            .unwrap();
    for step in chain.filling() {
        let path = crate::restore::build::mount_path(&claim, &step.backup, step.base.as_deref());
        assert_eq!(path.unwrap(), "/data", "{}", step.backup.name_any());
    }
}

proptest! {
    /// Parents that point anywhere: the walk ends, and names no backup twice.
    #[test]
    fn restore_34_a_walk_always_ends(parents in proptest::collection::vec(0usize..9, 1..8)) {
        let mut all = vec![full("f", 0)];
        all.extend(parents.iter().enumerate().map(|(i, parent)| {
            let parent = if *parent == 0 { "f".to_owned() } else { format!("i{parent}") };
            let end = u8::try_from(i + 1).unwrap();
            increment(&format!("i{}", i + 1), end, &parent)
        }));
        let table = Table::new(all);
        for i in 1..=parents.len() {
            if let Ok(chain) = table.resolve(&format!("i{i}"), None) {
                let mut names: Vec<String> = chain.named.ancestors.iter().map(|b| b.name_any()).collect();
                names.push(chain.named.backup.name_any());
                let count = names.len();
                prop_assert!(names.windows(2).all(|w| w[0] < w[1]), "oldest first: {names:?}");
                names.dedup();
                prop_assert_eq!(names.len(), count);
            }
        }
    }
}
