//! What a schedule's status says. Pure.

use api_types::contract::reasons::schedule::NOT_RECONFIGURED;
use api_types::dp::{
    Backup, BackupPhase, BackupSchedule, BackupSchedulePhase, BackupScheduleStatus, SchedulePhase, ScheduleStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use std::collections::BTreeMap;

/// The whole: Available, or Failed with every problem.
pub fn folded(
    schedule: &BackupSchedule,
    schedules: BTreeMap<String, ScheduleStatus>,
    problems: &[String],
) -> BackupScheduleStatus {
    BackupScheduleStatus {
        phase: Some(if problems.is_empty() { BackupSchedulePhase::Available } else { BackupSchedulePhase::Failed }),
        observed_generation: schedule.metadata.generation,
        failure_reason: (!problems.is_empty()).then(|| problems.join("; ")),
        schedules,
    }
}

/// An entry that can not run. Its next slot stays: it may be right again before it comes.
pub fn refused(mut status: ScheduleStatus, why: &str) -> ScheduleStatus {
    status.phase = Some(SchedulePhase::Failed);
    status.failure_reason = Some(why.to_owned());
    (status.reason, status.message) = (None, None);
    status
}

/// An entry that is switched off: it starts anew when it is on again.
pub fn off(status: ScheduleStatus, made: &[&Backup]) -> ScheduleStatus {
    let kept = ScheduleStatus {
        last_schedule_time: status.last_schedule_time,
        last_successful_time: status.last_successful_time,
        last_backup_name: status.last_backup_name,
        ..ScheduleStatus::default()
    };
    ScheduleStatus { phase: None, ..timed(kept, made) }
}

/// An entry with slots: with what its Backups came to.
pub fn timed(mut status: ScheduleStatus, made: &[&Backup]) -> ScheduleStatus {
    let ended = |b: &Backup, phase: BackupPhase| (b.phase() == phase).then(|| completion(b)).flatten();
    let good = made.iter().filter_map(|b| ended(b, BackupPhase::Completed)).max();
    let stored = status.last_successful_time.as_ref().map(|t| t.0);
    let good = good.max(stored);
    let bad = made.iter().filter_map(|b| Some((ended(b, BackupPhase::Failed)?, *b))).max_by_key(|(at, _)| *at);
    status.last_successful_time = good.map(Time);
    status.failure_reason = bad.filter(|(at, _)| good.is_none_or(|good| *at > good)).map(|(_, backup)| failure(backup));
    let phase = if status.failure_reason.is_some() { SchedulePhase::Failed } else { SchedulePhase::Running };
    status.phase = Some(phase);
    status
}

/// A continuous entry: with what its Backup says.
pub fn continuous(
    mut status: ScheduleStatus,
    backup: Option<&Backup>,
    enabled: bool,
    not_set: Option<String>,
) -> ScheduleStatus {
    status.next_schedule_time = None;
    status.reason = not_set.as_ref().map(|_| NOT_RECONFIGURED.to_owned());
    status.message = not_set;
    status.last_backup_name = backup.map(ResourceExt::name_any).or(status.last_backup_name);
    let failed = backup.filter(|b| b.phase() == BackupPhase::Failed);
    status.failure_reason = failed.map(failure);
    status.phase = match (failed, enabled) {
        (Some(_), _) => Some(SchedulePhase::Failed),
        (None, true) => Some(SchedulePhase::Running),
        (None, false) => None,
    };
    status
}

fn completion(backup: &Backup) -> Option<Timestamp> {
    let at = backup.status.as_ref().and_then(|s| s.completion_timestamp.as_ref());
    at.map(|t| t.0).or_else(|| backup.creation_timestamp().map(|t| t.0))
}

fn failure(backup: &Backup) -> String {
    let why = backup.status.as_ref().and_then(|s| s.failure_reason.as_deref()).unwrap_or("it does not say why");
    format!("Backup {} failed: {why}", backup.name_any())
}
