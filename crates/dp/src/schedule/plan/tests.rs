use super::*;
use crate::schedule::observe::Runs;
use api_types::dp::BackupPolicy;
use serde_json::{Value, json};

fn at(text: &str) -> Timestamp {
    format!("2026-11-21T{text}Z").parse().unwrap()
}

fn seen(schedules: Value, status: Value, backups: Vec<Value>) -> Observed {
    let of = |value: Value| serde_json::from_value(value).unwrap();
    let policy: BackupPolicy = serde_json::from_value(json!({"metadata": {"name": "p", "namespace": "n"}, "spec": {
        "target": {"podSelector": {"matchLabels": {"app": "db"}}}, "backupMethods": [
            {"name": "full", "snapshotVolumes": true}, {"name": "inc", "actionSetName": "inc", "compatibleMethod": "full"},
            {"name": "log", "actionSetName": "log"}]}}))
    .unwrap();
    let set = |name: &str, kind: &str| {
        let set =
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"backupType": kind, "backup": {}}}));
        (name.to_owned(), Arc::new(set.unwrap()))
    };
    let schedule = of_schedule(json!({
        "metadata": {"name": "s", "namespace": "n", "uid": "uid-of-s", "generation": 2, "creationTimestamp": "2026-11-21T12:00:00Z"},
        "spec": {"backupPolicyName": "p", "schedules": schedules}, "status": status,
    }));
    let mut runs = Runs::default();
    for backup in backups {
        runs.add(&Arc::new(of(backup)), &schedule);
    }
    Observed {
        schedule: Arc::new(schedule),
        policy: Some(Arc::new(policy)),
        action_sets: [set("inc", "Incremental"), set("log", "Continuous")].into(),
        runs,
        cron_jobs: vec![],
        restored_by: None,
        cluster: None,
        request: reconfigure::Request::default(),
    }
}

fn of_schedule(value: Value) -> BackupSchedule {
    serde_json::from_value(value).unwrap()
}

fn entry(method: &str) -> Value {
    json!({"backupMethod": method, "cronExpression": "0 * * * *", "enabled": true, "retentionPeriod": "3d"})
}

fn run(name: &str, entry: &str, phase: &str) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "n", "creationTimestamp": "2026-11-21T13:00:00Z",
            "labels": {labels::BACKUP_SCHEDULE: "s"},
            "annotations": {annotations::SCHEDULE_UID: "uid-of-s", annotations::SCHEDULE_ENTRY: entry}},
        "spec": {"backupPolicyName": "p", "backupMethod": entry, "retentionPeriod": "3d"},
        "status": {"phase": phase, "completionTimestamp": "2026-11-21T13:05:00Z", "failureReason": "no space"},
    })
}

fn decide(seen: &Observed, now: &str) -> Plan {
    plan(seen, &Settings::default(), at(now))
}

#[test]
fn a_due_entry_makes_one_backup_and_the_status_announces_it() {
    let plan = decide(&seen(json!([entry("full")]), json!({}), vec![]), "13:00:00");
    assert_eq!(plan.runs.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["s-full-20261121130000"]);
    let status = serde_json::to_value(&plan.status).unwrap();
    assert_eq!(status["phase"], "Available");
    assert_eq!(status["observedGeneration"], 2);
    let told = &status["schedules"]["full"];
    assert_eq!(told["startingBackupName"], "s-full-20261121130000");
    assert_eq!(told["nextScheduleTime"], "2026-11-21T14:00:00Z");
    assert_eq!(plan.wake, Some(at("14:00:00")));
}

#[test]
fn one_wrong_entry_is_named_and_the_others_run() {
    let wrong = json!({"name": "wrong", "backupMethod": "nope", "cronExpression": "0 * * * *", "enabled": true});
    let plan = decide(&seen(json!([wrong, entry("full")]), json!({}), vec![]), "13:00:00");
    assert_eq!(plan.status.phase.as_ref().unwrap().as_str(), "Failed");
    assert!(plan.status.failure_reason.as_deref().unwrap().starts_with("spec.schedules[wrong].backupMethod: \"nope\""));
    assert_eq!(plan.status.schedules["wrong"].phase.as_ref().unwrap().as_str(), "Failed");
    assert_eq!(plan.runs.len(), 1);
}

#[test]
fn a_missing_policy_is_named_and_nothing_runs() {
    let mut seen = seen(json!([entry("full")]), json!({}), vec![]);
    seen.policy = None;
    let plan = decide(&seen, "13:00:00");
    assert!(plan.status.failure_reason.unwrap().contains("there is no BackupPolicy \"p\""));
    assert!(plan.runs.is_empty());
}

#[test]
fn the_last_backup_tells_how_the_entry_does() {
    let told = |backups: Vec<Value>| {
        let plan = decide(&seen(json!([entry("full")]), json!({"observedGeneration": 2}), backups), "13:30:00");
        serde_json::to_value(&plan.status.schedules["full"]).unwrap()
    };
    let good = told(vec![run("s-full-20261121130000", "full", "Completed")]);
    assert_eq!((&good["phase"], &good["lastSuccessfulTime"]), (&json!("Running"), &json!("2026-11-21T13:05:00Z")));
    let bad = told(vec![run("s-full-20261121130000", "full", "Failed")]);
    assert_eq!(
        (&bad["phase"], &bad["failureReason"]),
        (&json!("Failed"), &json!("Backup s-full-20261121130000 failed: no space"))
    );
}

#[test]
fn runs_of_the_reference_count_as_runs_of_the_entry() {
    let mut theirs = run("c-full-20261121130002", "full", "Running");
    theirs["metadata"]["annotations"] = json!({});
    let status = json!({"observedGeneration": 1, "schedules": {"full": {"nextScheduleTime": "2026-11-21T14:00:00Z"}}});
    let plan = decide(&seen(json!([entry("full")]), status, vec![theirs]), "14:00:00");
    assert_eq!(plan.status.schedules["full"].reason.as_deref(), Some("WaitForPreviousBackup"));
    assert!(plan.runs.is_empty());
}

/// BD28.
#[test]
fn bd28_an_incremental_needs_a_completed_full_of_its_compatible_method() {
    let with = |phase: &str| {
        let full = json!({"metadata": {"name": "by-hand", "namespace": "n"},
            "spec": {"backupPolicyName": "p", "backupMethod": "full"}, "status": {"phase": phase}});
        decide(&seen(json!([entry("inc")]), json!({}), vec![full]), "13:00:00")
    };
    let plan = with("Running");
    assert!(plan.runs.is_empty());
    let (reason, note) = &plan.warnings[0];
    assert!(*reason == "NoFullBackup" && note.contains("no completed Backup of method full"), "{note}");
    assert_eq!(with("Completed").runs.len(), 1, "an unscheduled full is a legal parent (rule 32)");
}

#[test]
fn an_entry_that_is_off_keeps_its_past_and_starts_anew() {
    let mut off = entry("full");
    off["enabled"] = json!(false);
    let status = json!({"observedGeneration": 1, "schedules": {"full": {
        "nextScheduleTime": "2026-11-21T12:00:00Z", "lastScheduleTime": "2026-11-21T11:00:00Z"}}});
    let plan = decide(&seen(json!([off]), status, vec![]), "13:30:00");
    let told = serde_json::to_value(&plan.status.schedules["full"]).unwrap();
    assert_eq!(told, json!({"lastScheduleTime": "2026-11-21T11:00:00Z"}));
    // On again: what passed meanwhile is not caught up with.
    let on = seen(json!([entry("full")]), json!({"observedGeneration": 1, "schedules": {"full": told}}), vec![]);
    let plan = decide(&on, "13:40:00");
    assert_eq!((plan.runs.len(), plan.wake), (0, Some(at("14:00:00"))));
}

/// BD9: an entry that was removed left its CronJob running.
#[test]
fn bd9_what_is_removed_from_the_spec_is_gone_from_the_status_and_its_cron_job_too() {
    let status = json!({"observedGeneration": 1, "schedules": {"gone": {"phase": "Running"}}});
    let mut seen = seen(json!([entry("full")]), status, vec![]);
    let job: CronJob = serde_json::from_value(json!({"metadata": {"name": "x-gone", "namespace": "n"}})).unwrap();
    seen.cron_jobs = vec![Arc::new(job)];
    let settings = Settings { holds_foreign_lease: true, ..Settings::default() };
    let plan = plan(&seen, &settings, at("12:30:00"));
    assert!(!plan.status.schedules.contains_key("gone"));
    assert_eq!(plan.remove.len(), 1);
    assert!(decide(&seen, "12:30:00").remove.is_empty(), "but not while its operator may be at work");
}

#[test]
fn jitter_is_a_setting_that_a_schedule_may_override() {
    let with = |text: &str, jitter: i64| {
        let mut seen = seen(json!([entry("full")]), json!({}), vec![]);
        let mut schedule = seen.schedule.as_ref().clone();
        if !text.is_empty() {
            schedule.annotations_mut().insert(annotations::SCHEDULE_JITTER.into(), text.into());
        }
        seen.schedule = Arc::new(schedule);
        let settings = Settings { jitter: SignedDuration::from_secs(jitter), ..Settings::default() };
        plan(&seen, &settings, at("12:10:00"))
    };
    assert_eq!(with("", 0).wake, Some(at("13:00:00")), "none by default");
    let late = with("30m", 0).wake.unwrap();
    assert!(late > at("13:00:00") && late <= at("13:30:00"), "{late}");
    assert_eq!(with("", 1800).wake, Some(late), "the same for the same schedule");
    assert_eq!(with("0s", 1800).wake, Some(at("13:00:00")));
    let wrong = with("soon", 0);
    assert!(wrong.status.failure_reason.unwrap().contains("schedule-jitter]: \"soon\" is no duration"));
    assert_eq!(wrong.wake, Some(at("13:00:00")), "and it runs all the same");
}

fn continuous(enabled: Value, backups: Vec<Value>) -> Plan {
    let entry =
        json!({"backupMethod": "log", "cronExpression": "*/5 * * * *", "enabled": enabled, "retentionPeriod": "8d"});
    decide(&seen(json!([entry]), json!({}), backups), "13:00:00")
}

/// Rules 25 and 28.
#[test]
fn rule_25_a_continuous_entry_has_one_backup_that_follows_it() {
    let made = continuous(Value::Null, vec![]);
    assert_eq!(made.runs.iter().map(ResourceExt::name_any).collect::<Vec<_>>(), ["uid-of-s-s-n-log"]);
    assert_eq!(made.runs[0].spec.retention_period.as_deref(), Some("8d"));
    assert!(continuous(json!(false), vec![]).runs.is_empty(), "unless it is switched off explicitly");
    let there = |phase: &str, retention: &str| {
        json!({"metadata": {"name": "uid-of-s-s-n-log", "namespace": "n", "labels": {labels::BACKUP_SCHEDULE: "s"}},
            "spec": {"backupPolicyName": "p", "backupMethod": "log", "retentionPeriod": retention},
            "status": {"phase": phase, "failureReason": "lost"}})
    };
    assert!(continuous(json!(true), vec![there("Running", "8d")]).continuous.is_empty());
    assert!(matches!(&continuous(json!(true), vec![there("Completed", "8d")]).continuous[..], [Follow::Resume(_)]));
    assert!(continuous(json!(false), vec![there("Completed", "8d")]).continuous.is_empty());
    assert!(
        matches!(&continuous(json!(true), vec![there("Running", "7d")]).continuous[..], [Follow::Retain(_, p)] if p == "8d")
    );
    let failed = continuous(json!(true), vec![there("Failed", "8d")]);
    assert_eq!(failed.status.schedules["log"].failure_reason.as_deref(), Some("Backup uid-of-s-s-n-log failed: lost"));
    assert!(failed.runs.is_empty() && failed.continuous.is_empty(), "it is tried again by its own controller");
}

/// Rule 37: the reference's finalizer on a schedule that is deleted.
#[test]
fn rule_37_the_references_finalizer_goes_after_its_cron_jobs() {
    let mut seen = seen(json!([entry("full")]), json!({}), vec![]);
    let ours = Settings { holds_foreign_lease: true, ..Settings::default() };
    assert_eq!(farewell(&seen, &ours), Farewell::Nothing);
    let mut schedule = seen.schedule.as_ref().clone();
    schedule.metadata.finalizers = Some(vec![FINALIZER.into()]);
    seen.schedule = Arc::new(schedule);
    assert_eq!(farewell(&seen, &ours), Farewell::Release);
    seen.cron_jobs = vec![Arc::new(CronJob::default())];
    assert!(matches!(farewell(&seen, &ours), Farewell::Remove(jobs) if jobs.len() == 1));
    assert!(matches!(farewell(&seen, &Settings::default()), Farewell::Remove(jobs) if jobs.is_empty()));
}
