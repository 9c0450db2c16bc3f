//! Which base a log is replayed upon.

use super::*;

#[test]
fn restore_35_the_newest_base_in_the_window_then_the_log() {
    let chosen = |backups: &[Value], time: u8| {
        let table = Table::new(backups.iter().cloned().chain([log()]).collect());
        told(&table.resolve("log", Some(&at(time))).unwrap())
    };
    let three = [full("f8", 8), full("f9", 9), full("f11", 11)];
    assert_eq!(chosen(&three, 10), steps(&[("f9", "", ""), ("log", "f9", "")]));
    assert_eq!(chosen(&three, 9), steps(&[("f9", "", ""), ("log", "f9", "")]), "one that ends then is taken");
    assert_eq!(
        chosen(&[full("f2", 2), full("f3", 3)], 10),
        steps(&[("f3", "", ""), ("log", "f3", "")]),
        "so is one at the start"
    );
    assert_eq!(
        chosen(&[full("a", 9), full("b", 9)], 10),
        steps(&[("b", "", ""), ("log", "b", "")]),
        "the name decides a tie"
    );
    let grown = [full("f", 4), increment("i1", 5, "f"), increment("i2", 6, "i1"), full("g", 12)];
    assert_eq!(chosen(&grown, 10), steps(&[("i2", "f", "i1"), ("log", "i2", "")]), "an increment with its chain");
    // A range says when the data ends, not when the Job did.
    let ranged = with(full("late", 12), "/status/timeRange", json!({"end": at(7)}));
    assert_eq!(chosen(&[full("f", 4), ranged], 10), steps(&[("late", "", ""), ("log", "late", "")]));
}

#[test]
fn restore_35_what_can_not_be_the_base_is_passed_over() {
    let older = || full("older", 5);
    for (what, newer) in [
        ("not completed", with(full("x", 9), "/status/phase", json!("Running"))),
        ("failed", with(full("x", 9), "/status/phase", json!("Failed"))),
        ("being deleted", with(full("x", 9), "/metadata/deletionTimestamp", json!(at(9)))),
        ("of another policy", with(full("x", 9), "/spec/backupPolicyName", json!("q"))),
        ("differential", child("x", "Differential", 9, "older", "older")),
        ("selective", backup("x", "Selective", "full", 9)),
        ("its chain is broken", child("x", "Incremental", 9, "nobody", "nobody")),
        ("its ActionSet is gone", with(full("x", 9), "/status/backupMethod/actionSetName", json!("gone"))),
        ("it fills no volume", with(full("x", 9), "/status/backupMethod/actionSetName", json!("dump"))),
    ] {
        let dump = actions("dump", "Full", &json!({"prepareData": null, "postReady": [{"job": {"image": "i"}}]}));
        let table = Table::new(vec![older(), newer, log()]).with(dump);
        let chain = table.resolve("log", Some(&at(10))).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(told(&chain), steps(&[("older", "", ""), ("log", "older", "")]), "{what}");
    }
    let compatible = with(log(), "/status/backupMethod/compatibleMethod", json!("full"));
    let other = with(full("x", 9), "/status/backupMethod/name", json!("physical"));
    let table = Table::new(vec![older(), other, compatible]);
    assert_eq!(told(&table.resolve("log", Some(&at(10))).unwrap())[0].0, "older", "of another method");
}

/// Labels say whose a backup is; the policy counts only where there are none.
#[test]
fn restore_35_a_base_is_of_the_same_database() {
    let labelled = |object: Value, instance: &str, policy: &str| {
        let mut object = with(object, "/spec/backupPolicyName", json!(policy));
        object["metadata"]["labels"][labels::INSTANCE] = json!(instance);
        object
    };
    let mine = labelled(full("mine", 5), "c", "q");
    let theirs = labelled(full("theirs", 9), "d", "p");
    let table = Table::new(vec![mine, theirs, full("nobodys", 8), labelled(log(), "c", "p")]);
    assert_eq!(told(&table.resolve("log", Some(&at(10))).unwrap())[0].0, "mine");
}

#[test]
fn restore_35_without_a_base_the_nearest_is_named() {
    let of = |backups: Vec<Value>| Table::new(backups.into_iter().chain([log()]).collect());
    of(vec![]).assert_broken("log", Some(&at(10)), "between 2026-01-01T03:00:00Z and then");
    of(vec![full("old", 2), full("new", 11)]).assert_broken(
        "log",
        Some(&at(10)),
        "can not be replayed to 2026-01-01T10",
    );
    let dangling = child("x", "Incremental", 9, "nobody", "nobody");
    of(vec![dangling]).assert_broken("log", Some(&at(10)), "parent nobody does not exist");
    let (class, reason, message) =
        of(vec![with(full("x", 9), "/status/backupMethod/actionSetName", json!("gone"))]).stop("log", Some(&at(10)));
    assert_eq!((class, reason), (Class::Wait, "ActionSetNotFound"), "it could be one: {message}");
}

/// The base that was stored stays, whatever was completed meanwhile; and it must still be good.
#[test]
fn restore_35_a_base_once_chosen_is_not_chosen_again() {
    let table = Table::new(vec![full("f5", 5), full("f9", 9), full("f11", 11), log()]);
    let again = |table: &Table, base: &str| resolve(&table.backup("log").unwrap(), Some(&at(10)), Some(base), table);
    assert_eq!(told(&again(&table, "f5").unwrap()), steps(&[("f5", "", ""), ("log", "f5", "")]));
    assert!(matches!(again(&table, "f7"), Err(Unresolved::Missing { .. })));
    assert!(matches!(again(&table, "f11"), Err(Unresolved::Stop(s)) if s.reason == "BackupChainBroken"));
    let trimmed = with(log(), "/status/timeRange/start", json!(at(6)));
    let table = Table::new(vec![full("f5", 5), trimmed]);
    assert!(matches!(again(&table, "f5"), Err(Unresolved::Stop(s)) if s.message.contains("f5 was taken")));
}

#[test]
fn a_log_may_need_no_base_or_restore_it_itself() {
    let alone = actions("log", "Continuous", &json!({"baseBackupRequired": false}));
    let table = Table::new(vec![full("f", 5), log()]).with(alone);
    assert_eq!(told(&table.resolve("log", Some(&at(10))).unwrap()), steps(&[("log", "", "")]));
    let mut skips = actions("log", "Continuous", &json!({})).as_ref().clone();
    let key = "dataprotection.kubeblocks.io/skip-base-backup-restore-in-pitr";
    skips.annotations_mut().insert(key.into(), "true".into());
    let table = Table::new(vec![full("f", 5), increment("i", 6, "f"), log()]).with(Arc::new(skips));
    let chain = table.resolve("log", Some(&at(10))).unwrap();
    assert_eq!(told(&chain), steps(&[("log", "f", "")]), "told of a full one, which it can name alone");
    assert!(chain.skips_base());
}

proptest! {
    /// Whatever there is, in whatever order: the log comes last, its base is the newest that could be it, and between
    /// the base's end and the restore time the log has everything.
    #[test]
    fn restore_35_no_base_is_better_than_the_one_chosen(
        ends in proptest::collection::vec((0u8..24, 0u8..4), 0..8), time in 3u8..=20,
    ) {
        let of = |(i, (end, what)): (usize, &(u8, u8))| {
            let name = format!("b{i}");
            match what {
                0 => with(full(&name, *end), "/status/phase", json!("Failed")),
                1 => with(full(&name, *end), "/status/backupMethod/snapshotVolumes", json!(true)),
                _ => full(&name, *end),
            }
        };
        let backups: Vec<Value> = ends.iter().enumerate().map(of).chain([log()]).collect();
        let inside = |end: u8| (3..=time).contains(&end);
        let best = ends.iter().filter(|(end, what)| *what > 1 && inside(*end)).map(|(end, _)| *end).max();
        let snapshots = ends.iter().any(|(end, what)| *what == 1 && inside(*end));
        let mut reversed = backups.clone();
        reversed.reverse();
        let (one, other) = (Table::new(backups), Table::new(reversed));
        match (one.resolve("log", Some(&at(time))), best) {
            (Ok(chain), Some(best)) => {
                let again = other.resolve("log", Some(&at(time))).unwrap();
                prop_assert_eq!(told(&chain), told(&again));
                let base = chain.before.as_ref().unwrap();
                prop_assert_eq!(crate::restore::env::stop_time(&base.backup).unwrap().to_string(), at(best));
                prop_assert_eq!(chain.named.backup.name_any(), "log");
            }
            (Err(Unresolved::Stop(stop)), None) => {
                prop_assert_eq!(stop.reason, if snapshots { "NotServedYet" } else { "BackupChainBroken" });
            }
            (found, best) => prop_assert!(false, "{found:?} {best:?}"),
        }
    }
}
