use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> String {
    Timestamp::from_second(second).unwrap().to_string()
}

fn now() -> Timestamp {
    Timestamp::from_second(NOW).unwrap()
}

fn backup(name: &str, change: &[(&str, Value)]) -> Backup {
    let mut value = json!({
        "metadata": {"name": name, "labels": {labels::AUTO_BACKUP: "true"}},
        "spec": {"backupPolicyName": "p", "backupMethod": "full", "retentionPeriod": "1d"},
        "status": {"phase": "Completed", "completionTimestamp": at(NOW - 1000), "expiration": at(NOW - 1)},
    });
    for (path, to) in change {
        *value.pointer_mut(path).unwrap_or_else(|| panic!("{path}")) = to.clone();
    }
    serde_json::from_value(value).unwrap()
}

fn of(name: &str, completed: i64, expires: i64) -> Backup {
    backup(
        name,
        &[
            ("/status/completionTimestamp", json!(at(NOW + completed))),
            ("/status/expiration", json!(at(NOW + expires))),
        ],
    )
}

fn increment(name: &str, parent: &str, base: &str, completed: i64, expires: i64) -> Backup {
    let mut made = of(name, completed, expires);
    made.spec.backup_method = "inc".into();
    made.labels_mut().insert(labels::BACKUP_TYPE.into(), "Incremental".into());
    let status = made.status.as_mut().unwrap();
    (status.parent_backup_name, status.base_backup_name) = (Some(parent.into()), Some(base.into()));
    made
}

fn archive(phase: &str, completed: Option<i64>, last: Option<i64>, expires: i64) -> Backup {
    let mut made = backup("log", &[("/status/phase", json!(phase)), ("/status/expiration", json!(at(NOW + expires)))]);
    made.spec.backup_method = "log".into();
    made.labels_mut().insert(labels::BACKUP_TYPE.into(), "Continuous".into());
    let status = made.status.as_mut().unwrap();
    status.completion_timestamp = completed.map(|c| serde_json::from_value(json!(at(NOW + c))).unwrap());
    status.time_range =
        last.map(|l| serde_json::from_value(json!({"start": at(NOW - 900_000), "end": at(NOW + l)})).unwrap());
    made
}

fn kind(backup: &Backup) -> BackupType {
    let label = backup.labels().get(labels::BACKUP_TYPE).cloned().unwrap_or_else(|| "Full".into());
    serde_json::from_value(Value::from(label)).unwrap()
}

/// What surrounds the backups of one case.
#[derive(Clone, Default)]
struct Around {
    rules: Option<Result<Rules, String>>,
    enabled: bool,
    read: Option<&'static str>,
    unproven: bool,
}

fn decide(all: &[Backup], around: &Around, now: Timestamp) -> BTreeMap<String, Fate> {
    let rules = around.rules.clone().unwrap_or(Ok(Rules::default()));
    let facts = Facts {
        rules: &rules,
        kind: &kind,
        served_by: &|_| around.enabled.then(|| "entry log".to_owned()),
        read_by: &|b| (around.read == Some(b.name_any().as_str())).then(|| "Restore r".to_owned()),
        unproven: &|_| around.unproven.then(|| "claim data-0".to_owned()),
    };
    fates(&all.iter().collect::<Vec<_>>(), &facts, now)
}

fn told(all: &[Backup], around: &Around) -> BTreeMap<String, String> {
    let word = |fate: &Fate| match fate {
        Fate::Lives(_) => "lives".to_owned(),
        Fate::Goes(_) => "goes".to_owned(),
        Fate::After(child) => format!("after {child}"),
        Fate::Kept(why) => why.clone(),
    };
    decide(all, around, now()).iter().map(|(name, fate)| (name.clone(), word(fate))).collect()
}

fn rules(keep_latest: usize, most: Option<usize>) -> Around {
    Around { rules: Some(Ok(Rules { keep_latest, most })), ..Around::default() }
}

/// Rule 24: failed ones expire too; what runs never does.
#[test]
fn rule_24_expiry_by_phase() {
    for (phase, expires, word) in [
        ("Completed", -1, "goes"),
        ("Failed", -1, "goes"),
        ("Running", -1, "lives"),
        ("New", -1, "lives"),
        ("Deleting", -1, "lives"),
        ("Completed", 1, "lives"),
        ("Failed", 0, "goes"),
    ] {
        let all = [
            of("newer", 0, 100),
            backup("b", &[("/status/phase", json!(phase)), ("/status/expiration", json!(at(NOW + expires)))]),
        ];
        assert_eq!(told(&all, &Around::default())["b"], word, "{phase} {expires}");
    }
    let for_ever = backup("b", &[("/status/expiration", Value::Null)]);
    assert_eq!(decide(&[for_ever], &Around::default(), now())["b"], Fate::Lives(None));
    let all = decide(&[of("b", -5, 7)], &Around::default(), now());
    assert_eq!(all["b"], Fate::Lives(Some(Timestamp::from_second(NOW + 7).unwrap())));
}

/// Rule 34; and by default, not only where the policy asks for it.
#[test]
fn rule_34_the_last_good_backup_of_a_method_never_expires() {
    let mut failed = of("newest-failed", -1, 100);
    failed.status.as_mut().unwrap().phase = Some(BackupPhase::Failed);
    let mut other = of("other-method", -500, -1);
    other.spec.backup_method = "snapshot".into();
    let mut cluster = of("other-cluster", -600, -1);
    cluster.labels_mut().insert(labels::CLUSTER_UID.into(), "u".into());
    let all = [of("old", -300, -1), of("good", -200, -1), failed, other, cluster];
    let said = told(&all, &Around::default());
    assert_eq!(said["good"], "it is the latest completed backup of method full");
    assert_eq!(said["other-method"], "it is the latest completed backup of method snapshot");
    assert!(said["other-cluster"].starts_with("it is the latest"));
    assert_eq!((said["old"].as_str(), said["newest-failed"].as_str()), ("goes", "lives"));
    assert_eq!(told(&all, &rules(0, None))["good"], "goes", "unless the policy says none");
    let two = told(&all, &rules(2, None));
    assert_eq!(two["old"], "it is one of the 2 latest completed backups of method full");
}

#[test]
fn one_that_is_being_deleted_is_not_the_last_good_one() {
    let mut going = of("going", -1, 100);
    going.metadata.deletion_timestamp = Some(serde_json::from_value(json!(at(NOW))).unwrap());
    let said = told(&[of("good", -200, -1), going], &Around::default());
    assert!(said["good"].starts_with("it is the latest"), "{said:?}");
    assert!(!said.contains_key("going"));
}

#[test]
fn the_end_of_the_data_decides_which_is_the_latest() {
    let mut early = of("late-job-early-data", -10, -1);
    early.status.as_mut().unwrap().time_range = Some(serde_json::from_value(json!({"end": at(NOW - 500)})).unwrap());
    let said = told(&[early, of("good", -200, -1)], &Around::default());
    assert_eq!((said["late-job-early-data"].as_str(), said["good"].starts_with("it is")), ("goes", true));
}

#[test]
fn more_than_the_most_go_before_their_time_but_only_scheduled_ones() {
    let mut own = of("by-hand", -500, 100);
    own.labels_mut().remove(labels::AUTO_BACKUP);
    let all = [of("a", -10, 100), of("b", -20, 100), of("c", -30, 100), of("d", -40, 100), own];
    let said = told(&all, &rules(1, Some(2)));
    assert_eq!(said.values().map(String::as_str).collect::<Vec<_>>(), ["lives", "lives", "lives", "goes", "goes"]);
    assert_eq!((said["by-hand"].as_str(), said["c"].as_str()), ("lives", "goes"));
}

#[test]
fn rules_that_can_not_be_read_delete_nothing() {
    let unread = Around { rules: Some(Err("annotation x is no number".into())), ..Around::default() };
    let said = told(&[of("old", -300, -1), of("good", -200, 100)], &unread);
    assert_eq!(said["old"], "annotation x is no number");
}

/// BD22: the base went while an increment that needs it had not expired.
#[test]
fn bd22_a_chain_is_kept_as_long_as_one_of_it_is_and_goes_from_its_end() {
    let newer = [of("f2", -1, 100), increment("i9", "f2", "f2", 0, 100)];
    let with = |chain: Vec<Backup>| told(&[chain, newer.to_vec()].concat(), &Around::default());
    let said = with(vec![of("f", -90, -1), increment("i1", "f", "f", -80, -1), increment("i2", "i1", "f", -70, 50)]);
    assert_eq!(said["i2"], "lives");
    assert_eq!([&said["f"], &said["i1"]], ["Backup i2 of its chain has not expired"; 2]);
    // An increment never goes by itself (behaviour-backup §5).
    let said = with(vec![of("f", -90, 50), increment("i1", "f", "f", -80, -1)]);
    assert_eq!(said["i1"], "Backup f of its chain has not expired");
    let said = with(vec![of("f", -90, -1), increment("i1", "f", "f", -80, -1), increment("i2", "i1", "f", -70, -1)]);
    assert_eq!([said["f"].as_str(), said["i1"].as_str(), said["i2"].as_str()], ["after i1", "after i2", "goes"]);
    let mut running = increment("i2", "i1", "f", -70, -1);
    running.status.as_mut().unwrap().phase = Some(BackupPhase::Running);
    let said = with(vec![of("f", -90, -1), increment("i1", "f", "f", -80, -1), running]);
    assert_eq!(said["f"], "Backup i2 of its chain has not expired");
    let mut failed = increment("i2", "i1", "f", -70, 50);
    failed.status.as_mut().unwrap().phase = Some(BackupPhase::Failed);
    let said = with(vec![of("f", -90, -1), increment("i1", "f", "f", -80, -1), failed]);
    assert_eq!([said["f"].as_str(), said["i1"].as_str()], ["after i1", "goes"], "one that failed needs nobody");
}

#[test]
fn the_last_good_increment_keeps_its_chain() {
    let said = told(&[of("f", -90, -1), increment("i1", "f", "f", -80, -1), of("f2", -1, 100)], &Around::default());
    assert_eq!(said["f"], "Backup i1 of its chain stays: it is the latest completed backup of method inc");
}

/// BD1: an outage at the wrong hour erased the archive.
#[test]
fn bd1_a_continuous_archive_never_expires_by_an_outage() {
    let enabled = Around { enabled: true, ..rules(0, None) };
    for phase in ["Failed", "Completed", "Running"] {
        let said = told(&[archive(phase, None, None, -1)], &enabled);
        assert_ne!(said["log"], "goes", "{phase}");
    }
    assert_eq!(told(&[archive("Failed", None, None, -1)], &enabled)["log"], "entry log is enabled and goes on with it");
    // Switched off, it counts from what it did last: a day from then.
    let off = rules(0, None);
    let said = decide(&[archive("Failed", None, Some(-100), -1)], &off, now());
    assert_eq!(said["log"], Fate::Lives(Some(Timestamp::from_second(NOW - 100 + 86400).unwrap())));
    let said = decide(&[archive("Completed", Some(-50), Some(-100), -1)], &off, now());
    assert_eq!(said["log"], Fate::Lives(Some(Timestamp::from_second(NOW - 50 + 86400).unwrap())));
    assert_eq!(told(&[archive("Failed", None, Some(-90_000), -1)], &off)["log"], "goes");
    assert!(
        told(&[archive("Completed", Some(-90_000), None, -1)], &rules(1, None))["log"].starts_with("it is the latest")
    );
}

/// Design D13.
#[test]
fn nothing_is_rotated_until_a_restore_is_proven_and_nothing_that_is_read() {
    let all = [of("old", -300, -1), of("good", -200, 100)];
    let said = told(&all, &Around { unproven: true, ..Around::default() });
    assert!(
        said["old"].starts_with("restore: claim data-0 restores what it was taken of and is not proven"),
        "{said:?}"
    );
    let said = told(&all, &Around { read: Some("old"), ..Around::default() });
    assert_eq!(said["old"], "restore: Restore r reads it");
    let chain =
        [of("f", -90, -1), increment("i1", "f", "f", -80, -1), of("f2", -1, 100), increment("i9", "f2", "f2", 0, 100)];
    let said = told(&chain, &Around { read: Some("i1"), ..Around::default() });
    assert_eq!(said["f"], "Backup i1 of its chain stays: restore: Restore r reads it");
}

#[derive(Clone, Debug)]
struct Made {
    kind: u8,
    phase: u8,
    parent: usize,
    completed: i64,
    expires: i64,
    scheduled: bool,
}

fn made() -> impl Strategy<Value = Made> {
    (0u8..5, 0u8..6, 0usize..12, -2000i64..0, -500i64..1500, any::<bool>()).prop_map(
        |(kind, phase, parent, completed, expires, scheduled)| Made {
            kind,
            phase,
            parent,
            completed,
            expires,
            scheduled,
        },
    )
}

fn world(all: &[Made]) -> Vec<Backup> {
    let mut backups: Vec<Backup> = Vec::new();
    for (index, m) in all.iter().enumerate() {
        let name = format!("b{index}");
        let earlier = backups.get(m.parent).filter(|p| matches!(kind(p), BackupType::Full | BackupType::Incremental));
        let mut one = match (m.kind, earlier) {
            (4, _) => {
                let mut one = archive("Completed", Some(m.completed), None, m.expires);
                one.metadata.name = Some(name);
                one
            }
            (2 | 3, Some(parent)) => {
                let base = parent
                    .status
                    .as_ref()
                    .and_then(|s| s.base_backup_name.clone())
                    .unwrap_or_else(|| parent.name_any());
                increment(&name, &parent.name_any(), &base, m.completed, m.expires)
            }
            _ => of(&name, m.completed, m.expires),
        };
        one.status.as_mut().unwrap().phase = Some(match m.phase {
            0 => BackupPhase::Failed,
            1 => BackupPhase::Running,
            _ => BackupPhase::Completed,
        });
        if !m.scheduled {
            one.labels_mut().remove(labels::AUTO_BACKUP);
        }
        backups.push(one);
    }
    backups
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is there, collecting until nothing more goes never takes the last good backup of a method, one that
    /// another builds on, or an archive that goes on.
    #[test]
    fn collecting_to_the_end_never_takes_what_is_needed(
        all in proptest::collection::vec(made(), 1..14), most in proptest::option::of(1usize..4), keep in 1usize..3, steps in 1usize..4,
    ) {
        let mut left = world(&all);
        let around = Around { enabled: true, ..rules(keep, most.map(|m| m.max(keep))) };
        let good = |all: &[Backup], method: &str| {
            all.iter().filter(|b| b.phase() == BackupPhase::Completed && b.spec.backup_method == method).count()
        };
        for step in 0..steps {
            let moment = Timestamp::from_second(NOW + i64::try_from(step).unwrap() * 700).unwrap();
            for _ in 0..=left.len() {
                let before = left.clone();
                let fates = decide(&left, &around, moment);
                left.retain(|b| !matches!(fates[&b.name_any()], Fate::Goes(_)));
                for method in ["full", "inc", "log"] {
                    prop_assert!(good(&left, method) >= good(&before, method).min(keep), "{method}: {fates:?}");
                }
                let gone = |name: &Option<String>| name.as_ref().is_some_and(|n| before.iter().any(|b| b.name_any() == *n) && !left.iter().any(|b| b.name_any() == *n));
                for child in left.iter().filter(|b| b.phase() != BackupPhase::Failed) {
                    let status = child.status.as_ref().unwrap();
                    prop_assert!(!gone(&status.parent_backup_name) && !gone(&status.base_backup_name), "{fates:?}");
                }
                let archives = |all: &[Backup]| all.iter().filter(|b| kind(b) == BackupType::Continuous).count();
                prop_assert_eq!(archives(&left), archives(&before));
                if left.len() == before.len() {
                    break;
                }
            }
            // At rest: nothing waits for one that is gone, and what has expired says why it is there.
            for (name, fate) in decide(&left, &around, moment) {
                prop_assert!(matches!(fate, Fate::Lives(_) | Fate::Kept(_)), "{name} {fate:?}");
                if let Fate::Lives(Some(until)) = fate {
                    prop_assert!(until > moment);
                }
            }
        }
    }
}
