use super::*;
use proptest::prelude::*;
use std::cell::RefCell;
use std::collections::BTreeMap;

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

fn minutes(n: i64) -> SignedDuration {
    SignedDuration::from_mins(n)
}

fn name(slot: Timestamp, hashed: bool) -> String {
    format!("b-{}{}", slot.strftime("%H%M"), if hashed { "-hash" } else { "" })
}

/// An entry whose facts the tests change.
struct Case {
    cron: Cron,
    since: Timestamp,
    deadline: Option<SignedDuration>,
    offset: SignedDuration,
    foreign: Option<Foreign>,
    unfinished: Option<String>,
    restored_by: Option<String>,
    nothing_to_build_on: Option<String>,
    bearers: BTreeMap<String, Bearer>,
    status: ScheduleStatus,
}

impl Case {
    fn new(expression: &str) -> Self {
        Case {
            cron: Cron::parse(expression).unwrap(),
            since: at("12:00:00"),
            deadline: None,
            offset: SignedDuration::ZERO,
            foreign: None,
            unfinished: None,
            restored_by: None,
            nothing_to_build_on: None,
            bearers: BTreeMap::new(),
            status: ScheduleStatus::default(),
        }
    }

    fn decide(&self, now: Timestamp) -> Decision {
        let bearer = |name: &str| self.bearers.get(name).copied().unwrap_or(Bearer::Nobody);
        let facts = Facts {
            cron: &self.cron,
            anchor: at("12:00:00"),
            since: self.since,
            deadline: self.deadline,
            offset: self.offset,
            foreign: self.foreign.clone(),
            unfinished: self.unfinished.clone(),
            restored_by: self.restored_by.clone(),
            nothing_to_build_on: self.nothing_to_build_on.clone(),
            name: &name,
            bearer: &bearer,
        };
        decide(&self.status, &facts, now)
    }

    /// Stores the status, creates the Backup, stores that it exists, as `apply` does.
    fn step(&mut self, now: Timestamp) -> Option<String> {
        let decision = self.decide(now);
        self.status = decision.status;
        let run = decision.run?;
        self.bearers.insert(run.name.clone(), Bearer::Run);
        let again = self.decide(now);
        assert_eq!(again.run, None, "created is created");
        self.status = again.status;
        assert_eq!(self.status.starting_backup_name, None);
        assert_eq!(self.status.last_backup_name.as_ref(), Some(&run.name));
        Some(run.name)
    }

    fn next(&self) -> Timestamp {
        self.status.next_schedule_time.as_ref().unwrap().0
    }
}

#[test]
fn a_slot_runs_once_and_the_next_is_told() {
    let mut case = Case::new("0 * * * *");
    let decision = case.decide(at("12:00:10"));
    assert_eq!((decision.run, decision.wake), (None, Some(at("13:00:00"))));
    case.status = decision.status;
    assert_eq!(case.next(), at("13:00:00"));
    assert_eq!(case.step(at("13:00:00")).as_deref(), Some("b-1300"));
    assert_eq!(case.next(), at("14:00:00"));
    // Its Backup is deleted: it does not come again.
    case.bearers.clear();
    assert_eq!(case.step(at("13:00:01")), None);
    assert_eq!(case.step(at("14:00:00")).as_deref(), Some("b-1400"));
}

#[test]
fn missed_slots_become_one_run_of_the_latest() {
    let mut case = Case::new("*/5 * * * *");
    case.step(at("12:01:00"));
    assert_eq!(case.step(at("16:33:00")).as_deref(), Some("b-1630"));
    assert_eq!(case.next(), at("16:35:00"));
    assert_eq!(case.step(at("16:33:01")), None);
}

#[test]
fn a_slot_past_its_deadline_is_told_and_left_out() {
    let mut case = Case::new("0 * * * *");
    case.deadline = Some(minutes(10));
    case.step(at("12:00:10"));
    let decision = case.decide(at("14:10:01"));
    assert_eq!(decision.run, None);
    let (event, note) = decision.warning.clone().unwrap();
    assert!(event == "MissedSchedule" && note.contains("14:00:00"), "{event} {note}");
    assert_eq!(decision.status.reason.as_deref(), Some("MissedSchedule"));
    assert_eq!(decision.wake, Some(at("15:00:00")));
    case.status = decision.status;
    let after = case.decide(at("14:11:00"));
    assert_eq!(
        (after.warning.is_some(), after.status == case.status),
        (false, true),
        "told once, and it stays in the status"
    );
    assert_eq!(case.step(at("15:09:59")).as_deref(), Some("b-1500"), "within the deadline it runs late");
    assert_eq!(case.status.reason, None);
}

#[test]
fn a_deadline_of_zero_leaves_time_to_wake_up() {
    let mut case = Case::new("0 * * * *");
    case.deadline = Some(SignedDuration::ZERO);
    case.step(at("12:00:10"));
    assert_eq!(case.step(at("13:00:30")).as_deref(), Some("b-1300"));
    assert_eq!(case.decide(at("14:01:01")).warning.unwrap().0, "MissedSchedule");
}

#[test]
fn no_run_starts_beside_the_one_before() {
    let mut case = Case::new("0 * * * *");
    case.step(at("12:00:10"));
    case.unfinished = Some("b-1200".into());
    let decision = case.decide(at("13:00:00"));
    assert_eq!((decision.run.as_ref(), decision.wake), (None, None), "the end of that Backup wakes it");
    assert_eq!(decision.status.reason.as_deref(), Some("WaitForPreviousBackup"));
    assert!(decision.status.message.as_deref().unwrap().contains("b-1200"));
    case.status = decision.status;
    assert_eq!(case.next(), at("13:00:00"), "held back, not left out");
    case.unfinished = None;
    assert_eq!(case.step(at("15:20:00")).as_deref(), Some("b-1500"), "one run for all that came meanwhile");
    case.unfinished = Some("b-1500".into());
    case.deadline = Some(minutes(5));
    let decision = case.decide(at("16:00:00"));
    assert_eq!(decision.wake, Some(at("16:05:01")), "with a deadline, that wakes it too");
    case.status = decision.status;
    assert_eq!(case.decide(at("16:05:01")).warning.unwrap().0, "MissedSchedule");
}

/// Design D13.
#[test]
fn a_restore_of_the_target_holds_runs_back() {
    let mut case = Case::new("0 * * * *");
    case.step(at("12:00:10"));
    case.restored_by = Some("claim data-db-0".into());
    let decision = case.decide(at("13:00:00"));
    assert_eq!(decision.run, None);
    assert_eq!(decision.status.reason.as_deref(), Some("WaitForRestore"));
    case.status = decision.status;
    case.restored_by = None;
    assert_eq!(case.step(at("13:30:00")).as_deref(), Some("b-1300"));
}

/// BD28: the reference ended without a word.
#[test]
fn bd28_an_incremental_without_a_full_backup_is_told_and_makes_none() {
    let mut case = Case::new("0 * * * *");
    case.step(at("12:00:10"));
    case.nothing_to_build_on = Some("no completed Backup of full".into());
    let decision = case.decide(at("13:00:00"));
    assert_eq!((decision.run.as_ref(), decision.warning.as_ref().unwrap().0), (None, "NoFullBackup"));
    assert_eq!(decision.status.last_schedule_time, None);
    case.status = decision.status;
    assert_eq!(case.step(at("13:00:01")), None);
    assert_eq!(case.status.reason.as_deref(), Some("NoFullBackup"), "it can be read until the next run");
    case.nothing_to_build_on = None;
    assert_eq!(case.step(at("14:00:00")).as_deref(), Some("b-1400"));
}

#[test]
fn a_changed_expression_starts_from_now() {
    let mut case = Case::new("0 * * * *");
    case.step(at("12:00:10"));
    case.cron = Cron::parse("30 11 * * *").unwrap();
    assert_eq!(case.step(at("13:10:00")), None, "11:30 of today is past and was never asked for");
    assert!(case.next() > at("13:10:00"));
}

#[test]
fn a_schedule_nobody_looked_at_runs_what_it_missed_once() {
    let mut case = Case::new("0 * * * *");
    case.since = at("08:15:00");
    assert_eq!(case.step(at("12:20:00")).as_deref(), Some("b-1200"));
}

#[test]
fn runs_start_later_by_their_offset_and_keep_the_name_of_their_slot() {
    let mut case = Case::new("0 * * * *");
    case.offset = minutes(7);
    let decision = case.decide(at("12:30:00"));
    assert_eq!(decision.wake, Some(at("13:07:00")));
    case.status = decision.status;
    assert_eq!(case.step(at("13:06:59")), None);
    assert_eq!(case.step(at("13:07:00")).as_deref(), Some("b-1300"));
    case.deadline = Some(minutes(3));
    case.step(at("13:10:00"));
    assert_eq!(case.step(at("14:03:00")).as_deref(), Some("b-1400"), "within the deadline");
    // Slots closer than the offset do not push each other away for ever.
    let mut close = Case::new("*/5 * * * *");
    close.offset = minutes(60);
    close.step(at("12:00:00"));
    assert_eq!(close.step(at("12:09:59")).as_deref(), Some("b-1205"));
    assert_eq!(close.step(at("12:14:59")).as_deref(), Some("b-1210"));
}

#[test]
fn a_cron_job_of_the_reference_hands_over_its_last_slot() {
    let mut case = Case::new("*/30 * * * *");
    // Not ours to remove: it runs the entry, and it is said.
    case.foreign = Some(Foreign { last: at("12:30:00"), stays: Some("CronJob x runs it".into()) });
    let decision = case.decide(at("13:10:00"));
    assert_eq!((decision.run, decision.status.reason.as_deref()), (None, Some("ForeignCronJob")));
    case.status = decision.status;
    // It is removed: 12:30 does not run again, 13:00 is not lost.
    case.foreign = Some(Foreign { last: at("12:30:00"), stays: None });
    assert_eq!(case.step(at("13:10:01")), None, "never beside it");
    assert_eq!((case.next(), case.status.reason.as_deref()), (at("13:00:00"), None));
    case.foreign = None;
    assert_eq!(case.step(at("13:10:02")).as_deref(), Some("b-1300"));
    // It ran once more before it went.
    let mut later = Case::new("*/30 * * * *");
    later.foreign = Some(Foreign { last: at("12:30:00"), stays: None });
    later.step(at("12:59:59"));
    later.foreign = Some(Foreign { last: at("13:00:00"), stays: None });
    later.step(at("13:00:01"));
    later.foreign = None;
    assert_eq!(later.step(at("13:00:02")), None);
}

#[test]
fn a_name_that_another_object_bears_gets_a_hash() {
    let mut case = Case::new("0 * * * *");
    case.step(at("12:00:10"));
    case.bearers.insert("b-1300".into(), Bearer::Other);
    assert_eq!(case.step(at("13:00:00")).as_deref(), Some("b-1300-hash"));
    case.bearers.extend([("b-1400".into(), Bearer::Other), ("b-1400-hash".into(), Bearer::Other)]);
    let decision = case.decide(at("14:00:00"));
    assert_eq!((decision.run, decision.warning.unwrap().0), (None, "BackupNameTaken"));
}

#[test]
fn a_lost_status_does_not_repeat_the_run_that_is_there() {
    let mut case = Case::new("0 * * * *");
    case.since = at("12:30:00");
    case.bearers.insert("b-1300".into(), Bearer::Run);
    assert_eq!(case.step(at("13:20:00")), None);
    assert_eq!(case.status.last_backup_name.as_deref(), Some("b-1300"));
}

#[test]
fn offsets_are_within_bounds_and_of_the_schedule() {
    let most = minutes(10);
    assert_eq!(offset("u", "full", SignedDuration::ZERO), SignedDuration::ZERO);
    assert_eq!(offset("u", "full", most), offset("u", "full", most));
    let all: std::collections::BTreeSet<i64> =
        (0..200).map(|n| offset(&format!("uid-{n}"), "full", most).as_secs()).collect();
    assert!(all.len() > 120 && all.iter().all(|s| (0..=600).contains(s)), "{}", all.len());
}

/// What lies in the API server, for the walk over crashes.
#[derive(Default)]
struct World {
    status: ScheduleStatus,
    backups: BTreeMap<String, usize>,
}

/// Crashes after any of the three writes of any look; each slot makes at most one Backup, and none is lost that was due
/// when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Crash {
    No,
    BeforeStatus,
    BeforeBackup,
    BeforeSettled,
}

fn look(world: &RefCell<World>, case: &Case, now: Timestamp, crash: Crash) {
    let decide = |world: &World| {
        let bearer = |name: &str| if world.backups.contains_key(name) { Bearer::Run } else { Bearer::Nobody };
        let facts = Facts {
            cron: &case.cron,
            anchor: at("12:00:00"),
            since: case.since,
            deadline: case.deadline,
            offset: case.offset,
            foreign: None,
            unfinished: None,
            restored_by: None,
            nothing_to_build_on: None,
            name: &name,
            bearer: &bearer,
        };
        decide(&world.status, &facts, now)
    };
    let decision = decide(&world.borrow());
    if crash == Crash::BeforeStatus {
        return;
    }
    world.borrow_mut().status = decision.status;
    let Some(run) = decision.run else { return };
    if crash == Crash::BeforeBackup {
        return;
    }
    *world.borrow_mut().backups.entry(run.name).or_default() += 1;
    if crash == Crash::BeforeSettled {
        return;
    }
    let settled = decide(&world.borrow());
    assert_eq!(settled.run, None);
    world.borrow_mut().status = settled.status;
}

proptest! {
    #[test]
    fn no_slot_runs_twice_and_none_is_lost_whatever_crashes(
        looks in proptest::collection::vec((0i64..20, prop_oneof![
            4 => Just(Crash::No), 1 => Just(Crash::BeforeStatus), 1 => Just(Crash::BeforeBackup), 1 => Just(Crash::BeforeSettled)]), 1..30),
        offset in 0i64..5,
    ) {
        let mut case = Case::new("*/20 * * * *");
        case.offset = minutes(offset);
        let world = RefCell::new(World::default());
        let mut now = at("12:00:30");
        look(&world, &case, now, Crash::No);
        for (wait, crash) in looks {
            now += minutes(wait);
            look(&world, &case, now, crash);
            prop_assert!(world.borrow().backups.values().all(|n| *n == 1), "{:?}", world.borrow().backups);
        }
        // Whatever happened, an undisturbed look leaves the latest slot done.
        look(&world, &case, now, Crash::No);
        let done = world.borrow().backups.keys().next_back().cloned();
        let latest = case.cron.latest(at("12:00:31"), now - minutes(offset), at("12:00:00"));
        if let Some(latest) = latest {
            prop_assert!(done.is_some_and(|d| d >= name(latest, false)));
        }
    }
}
