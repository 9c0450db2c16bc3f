//! Decides about the pre-check: when one is made, what it came to, when the next is due (behaviour-backup §11.3, D14).
//! Pure.

use super::claim::ClaimTemplate;
use super::plan::{Conditions, Observed, Plan, Step};
use super::rendered::Rendered;
use api_types::contract::reasons::repo as reasons;
use api_types::contract::{annotations, conditions::repo as conditions};
use api_types::dp::BackupRepoPhase;
use controller_kit::conditions::{self as kit, Status};
use jiff::{SignedDuration, Timestamp};
use job_runtime::observe::JobState;
use kube::ResourceExt;
use std::time::Duration;

/// How long a pre-check may take, from its Job's creation.
pub const DEADLINE: SignedDuration = SignedDuration::from_mins(15);
/// Longest pause between two that fail.
const LONGEST_PAUSE: SignedDuration = SignedDuration::from_mins(30);
/// Longest message of its condition, in bytes.
const MESSAGE_LIMIT: usize = 32 * 1024;

/// What a pre-check is made of.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// A claim of its own.
    Claim(Box<ClaimTemplate>),
    /// A configuration of its own.
    Configuration(String),
}

/// A pre-check that was made.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What its Job came to.
    pub state: JobState,
    /// The digest it was made for.
    pub digest: String,
    /// When.
    pub created: Timestamp,
    /// Events of what it is made of, where it failed.
    pub events: String,
}

impl Seen {
    /// It did not finish in time.
    pub fn is_late(&self, now: Timestamp) -> bool {
        matches!(self.state, JobState::Running { .. }) && now.duration_since(self.created) >= DEADLINE
    }
}

/// Decides, and sets the phase.
pub fn plan(seen: &Observed, plan: &mut Plan, rendered: &Rendered, now: Timestamp) {
    let repo = &seen.repo;
    if !kit::is_true(&plan.status.conditions, conditions::STORAGE_CLASS_CREATED) {
        plan.status.phase = Some(BackupRepoPhase::Failed);
        return;
    }
    let stored = repo.annotations().get(annotations::BACKUP_REPO_DIGEST);
    let passed = kit::is_true(&plan.status.conditions, conditions::PRE_CHECK_PASSED);
    let asked = repo.annotations().get(annotations::RECHECK).filter(|t| plan.status.last_recheck.as_ref() != Some(t));
    if passed && stored == Some(&plan.digest) && asked.is_none() {
        plan.status.phase = Some(BackupRepoPhase::Ready);
        if seen.check.is_some() || seen.check_claim {
            plan.steps.push(Step::EndCheck);
        }
        return;
    }
    let mut write = Conditions { status: &mut plan.status, generation: repo.metadata.generation, now };
    if let Some(token) = asked {
        // A check that runs is not the one that was asked for.
        write.status.last_recheck = Some(token.clone());
        write.set(conditions::PRE_CHECK_PASSED, Status::Unknown, reasons::PRE_CHECK_RUNNING, "asked to check again");
        plan.status.phase = Some(BackupRepoPhase::PreChecking);
        if seen.check.is_some() || seen.check_claim {
            plan.steps.push(Step::EndCheck);
        } else {
            start(seen, plan, rendered, now);
        }
        return;
    }
    let Some(check) = &seen.check else {
        return when_due(seen, plan, rendered, now);
    };
    if check.digest != plan.digest {
        write.set(
            conditions::PRE_CHECK_PASSED,
            Status::Unknown,
            reasons::DIGEST_CHANGED,
            "parameters changed; checking again",
        );
        plan.status.phase = Some(BackupRepoPhase::PreChecking);
        plan.steps.push(Step::EndCheck);
        return;
    }
    match &check.state {
        JobState::Succeeded { .. } => {
            write.set(conditions::PRE_CHECK_PASSED, Status::True, reasons::PRE_CHECK_PASSED, "");
            write.status.failed_checks = None;
            write.status.checked_digest = Some(check.digest.clone());
            plan.status.phase = Some(BackupRepoPhase::Ready);
            let stale = stored.is_some_and(|old| *old != plan.digest) && !plan.status.prepared_namespaces.is_empty();
            plan.steps.push(Step::StoreDigest { digest: plan.digest.clone(), stale });
        }
        JobState::Failed { why, message, .. } => failed(seen, plan, &told(why, message.as_deref()), check, now),
        JobState::Running { blocked } if check.is_late(now) => {
            let why = blocked.as_ref().map_or("its pod did not finish", |d| d.message.as_str());
            let text = format!("the pre-check did not finish within {} minutes: {why}", DEADLINE.as_mins());
            failed(seen, plan, &text, check, now);
        }
        JobState::Running { blocked } => {
            let text = blocked.as_ref().map_or("the pre-check Job is running", |d| d.message.as_str());
            write.set(conditions::PRE_CHECK_PASSED, Status::Unknown, reasons::PRE_CHECK_RUNNING, text);
            plan.status.phase = Some(BackupRepoPhase::PreChecking);
            plan.again = Duration::try_from(DEADLINE - now.duration_since(check.created)).ok();
        }
    }
}

/// The mover's own words where it left any; else what the kubelet kept of its output.
fn told(why: &str, message: Option<&str>) -> String {
    let Some(message) = message.filter(|m| !m.trim().is_empty()) else {
        return why.to_owned();
    };
    match mover_protocol::RunResult::parse(message) {
        Some(result) => result.failure(why),
        None => format!("{why}; last output: {}", message.trim()),
    }
}

fn failed(seen: &Observed, plan: &mut Plan, text: &str, check: &Seen, now: Timestamp) {
    let mut text = text.to_owned();
    if !check.events.is_empty() {
        text.push_str("; events: ");
        text.push_str(&check.events);
    }
    let text = cut(&text, MESSAGE_LIMIT);
    let mut write = Conditions { status: &mut plan.status, generation: seen.repo.metadata.generation, now };
    write.set(conditions::PRE_CHECK_PASSED, Status::False, reasons::PRE_CHECK_FAILED, text);
    let again = plan.status.checked_digest.as_ref() == Some(&check.digest);
    let before = plan.status.failed_checks.filter(|_| again).unwrap_or_default();
    let count = before.saturating_add(1);
    plan.status.failed_checks = Some(count);
    plan.status.checked_digest = Some(check.digest.clone());
    plan.status.phase = Some(BackupRepoPhase::Failed);
    plan.steps.push(Step::EndCheck);
    plan.again = Duration::try_from(pause(seen.retry, count)).ok();
}

fn cut(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text.get(..end).unwrap_or_default()
}

/// Doubled with each failure, at most half an hour.
fn pause(first: SignedDuration, failures: i32) -> SignedDuration {
    let doubled = (1..failures.clamp(1, 12)).fold(first, |pause, _| pause.saturating_add(pause));
    doubled.min(LONGEST_PAUSE.max(first))
}

fn when_due(seen: &Observed, plan: &mut Plan, rendered: &Rendered, now: Timestamp) {
    let failed = kit::get(&plan.status.conditions, conditions::PRE_CHECK_PASSED).filter(|c| c.status == "False");
    if let Some(condition) = failed {
        let count = plan.status.failed_checks.unwrap_or_default();
        let rest = pause(seen.retry, count) - now.duration_since(condition.last_transition_time.0);
        // Other settings may mend it; they are not kept waiting.
        let same = plan.status.checked_digest.as_ref() == Some(&plan.digest);
        if rest > SignedDuration::ZERO && same {
            plan.status.phase = Some(BackupRepoPhase::Failed);
            plan.again = Duration::try_from(rest).ok();
            if seen.check_claim {
                plan.steps.push(Step::EndCheck);
            }
            return;
        }
    }
    start(seen, plan, rendered, now);
}

fn start(seen: &Observed, plan: &mut Plan, rendered: &Rendered, now: Timestamp) {
    let subject = match (&rendered.config, &rendered.claim) {
        (Some(config), _) => Subject::Configuration(config.clone()),
        (None, Some(claim)) => Subject::Claim(Box::new(claim.clone())),
        (None, None) => return,
    };
    // A claim on its way out would take the new Job's with it; its end wakes the repository.
    let (text, step) = if seen.check_claim {
        ("the claim of the last pre-check is being deleted", Step::EndCheck)
    } else {
        ("the pre-check Job is running", Step::StartCheck(subject))
    };
    let mut write = Conditions { status: &mut plan.status, generation: seen.repo.metadata.generation, now };
    write.set(conditions::PRE_CHECK_PASSED, Status::Unknown, reasons::PRE_CHECK_RUNNING, text);
    plan.status.phase = Some(BackupRepoPhase::PreChecking);
    plan.steps.push(step);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bd14_pauses_double_up_to_half_an_hour() {
        let first = SignedDuration::from_secs(60);
        let minutes: Vec<i64> = (1..=8).map(|n| pause(first, n).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(pause(first, 0), first);
        assert_eq!(pause(first, i32::MAX), LONGEST_PAUSE);
        assert_eq!(pause(SignedDuration::from_hours(2), 5), SignedDuration::from_hours(2), "asked for more than that");
    }

    #[test]
    fn a_check_is_late_only_while_it_runs() {
        let begun = Timestamp::UNIX_EPOCH;
        let seen = |state| Seen { state, digest: String::new(), created: begun, events: String::new() };
        let running = seen(JobState::Running { blocked: None });
        let end = begun + DEADLINE;
        assert!(!running.is_late(end - SignedDuration::from_secs(1)) && running.is_late(end));
        assert!(!seen(JobState::Succeeded { at: None, message: None }).is_late(end));
    }

    #[test]
    fn what_it_said_comes_before_what_the_job_counts() {
        let of_mover = r#"{"v":1,"exit":1,"reason":"AuthFailed","message":"403 on the bucket","elapsedMs":5}"#;
        assert_eq!(told("backoff limit", Some(of_mover)), "403 on the bucket (exit code 1)");
        assert_eq!(told("backoff limit", Some("panicked at\n")), "backoff limit; last output: panicked at");
        assert_eq!(told("backoff limit", Some(" ")), "backoff limit");
        assert_eq!(told("backoff limit", None), "backoff limit");
        assert_eq!(cut("aä", 2), "a", "never within a character");
    }
}
