//! Which slot of an entry is to run now, which is held back and which was missed. Pure.
//!
//! `nextScheduleTime` is the first slot that was not decided yet, so what was missed while nobody looked is known after
//! a restart. A run is stored in three writes: the slot and the name of its Backup (`startingBackupName`), the Backup,
//! and that it exists. A crash before the first changes nothing; after it, the stored name is created, whatever the
//! expression says by now; after the second, the Backup is found by that name. From the third write on, the slot never
//! runs again, though its Backup be deleted.

use super::cron::Cron;
use api_types::contract::events::schedule as event;
use api_types::contract::reasons::schedule as reason;
use api_types::dp::ScheduleStatus;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// How late a run may start at least, whatever the starting deadline: a timer and a busy API server take their time.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(60);

/// What bears the name of a Backup to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// Nothing.
    Nobody,
    /// The run of that slot.
    Run,
    /// Another object.
    Other,
}

/// The CronJob of the reference for the entry, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Its last slot, else when it was created: what came before is its business.
    pub last: Timestamp,
    /// Why it is not ours to remove, or not yet; nothing where this look removes it.
    pub stays: Option<String>,
}

/// All that decides about one entry.
pub struct Facts<'a> {
    /// When.
    pub cron: &'a Cron,
    /// `@every` counts from here: when the schedule was created.
    pub anchor: Timestamp,
    /// First slots come after this: now for an entry that is new, the creation for a schedule nobody looked at before.
    pub since: Timestamp,
    /// How late a run may start; any time where there is none.
    pub deadline: Option<SignedDuration>,
    /// How much later than its slot each run starts.
    pub offset: SignedDuration,
    /// CronJob of the reference.
    pub foreign: Option<Foreign>,
    /// Backup of the entry that has not ended.
    pub unfinished: Option<String>,
    /// What restores the target right now.
    pub restored_by: Option<String>,
    /// Why there is nothing to build on, for an incremental backup.
    pub nothing_to_build_on: Option<String>,
    /// Name of the Backup of a slot, the wire's and the one with a hash.
    pub name: &'a dyn Fn(Timestamp, bool) -> String,
    /// What bears a name.
    pub bearer: &'a dyn Fn(&str) -> Bearer,
}

/// A Backup to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Its name.
    pub name: String,
    /// Its slot.
    pub slot: Timestamp,
}

/// What to do about one entry.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decision {
    /// Its status; stored before the Backup is created.
    pub status: ScheduleStatus,
    /// The Backup to create then.
    pub run: Option<Run>,
    /// Reason and note of a warning, told when the status changes.
    pub warning: Option<(&'static str, String)>,
    /// When to look again.
    pub wake: Option<Timestamp>,
}

/// Decides about one entry that is on.
pub fn decide(old: &ScheduleStatus, facts: &Facts<'_>, now: Timestamp) -> Decision {
    let mut next = old.clone();
    // Why the last slot was left out stays until the next one runs; what holds back is found anew each time.
    if !matches!(next.reason.as_deref(), Some(reason::NO_FULL_BACKUP | reason::MISSED_SCHEDULE)) {
        (next.reason, next.message) = (None, None);
    }
    settle(&mut next, facts.bearer);
    let Some(first) = first_undecided(old, facts, now) else {
        return Decision { status: next, ..Decision::default() };
    };
    next.next_schedule_time = Some(Time(first));
    if let Some(foreign) = &facts.foreign {
        if let Some(why) = &foreign.stays {
            hold(&mut next, reason::FOREIGN_CRON_JOB, why.clone());
        }
        return Decision { status: next, ..Decision::default() };
    }
    let started = next.starting_backup_name.clone().zip(next.last_schedule_time.as_ref().map(|t| t.0));
    let due = latest_started(facts, first, now);
    let Some(slot) = due.max(started.as_ref().map(|(_, slot)| *slot)) else {
        let wake = Some(first + facts.offset_at(first));
        return Decision { status: next, wake, ..Decision::default() };
    };
    let expires = facts.deadline.map(|d| slot + d.max(facts.offset_at(slot) + TOLERANCE));
    if expires.is_some_and(|at| now > at) {
        let why = format!("the run of {slot} was not started within its deadline; the next one follows its schedule");
        return facts.leave_out(next, slot, reason::MISSED_SCHEDULE, event::MISSED, why);
    }
    let held = facts.unfinished.as_ref().map(|name| {
        (
            reason::WAIT_FOR_PREVIOUS_BACKUP,
            format!("Backup {name} of the run before has not ended; the run of {slot} starts then"),
        )
    });
    let held = held.or_else(|| {
        let by = facts.restored_by.as_ref()?;
        Some((
            reason::WAIT_FOR_RESTORE,
            format!("{by} restores what is to be backed up; the run of {slot} starts when it has ended"),
        ))
    });
    if let Some((why, message)) = held {
        hold(&mut next, why, message);
        return Decision {
            status: next,
            wake: expires.map(|at| at + SignedDuration::from_secs(1)),
            ..Decision::default()
        };
    }
    if let Some(why) = &facts.nothing_to_build_on {
        return facts.leave_out(next, slot, reason::NO_FULL_BACKUP, reason::NO_FULL_BACKUP, why.clone());
    }
    facts.run(next, slot, started.filter(|(_, at)| *at == slot).map(|(name, _)| name))
}

/// A Backup that was about to be created and is there: the run is done.
pub fn settle(status: &mut ScheduleStatus, bearer: &dyn Fn(&str) -> Bearer) {
    let there = status.starting_backup_name.as_deref().is_some_and(|name| bearer(name) == Bearer::Run);
    if there {
        status.last_backup_name = status.starting_backup_name.take();
    }
}

fn hold(status: &mut ScheduleStatus, why: &str, message: String) {
    (status.reason, status.message) = (Some(why.into()), Some(message));
}

fn first_undecided(old: &ScheduleStatus, facts: &Facts<'_>, now: Timestamp) -> Option<Timestamp> {
    let stored = old.next_schedule_time.as_ref().map(|t| t.0);
    let first = match stored {
        Some(slot) if facts.cron.is_slot(slot, facts.anchor) => Some(slot),
        // Its expression changed: what is past under the old one does not count under the new.
        Some(_) => facts.cron.next(now, facts.anchor),
        None if facts.foreign.is_some() => None,
        None => facts.cron.next(facts.since, facts.anchor),
    };
    let after_foreign = facts.foreign.as_ref().and_then(|f| facts.cron.next(f.last, facts.anchor));
    first.max(after_foreign)
}

/// The latest slot whose start has come.
fn latest_started(facts: &Facts<'_>, first: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let slot = facts.cron.latest(first, now, facts.anchor)?;
    if slot + facts.offset_at(slot) <= now {
        return Some(slot);
    }
    let before = slot.checked_sub(SignedDuration::from_secs(1)).ok()?;
    facts.cron.latest(first, before, facts.anchor)
}

impl Facts<'_> {
    /// Runs never come after the next slot, or after the deadline.
    fn offset_at(&self, slot: Timestamp) -> SignedDuration {
        let gap = self.cron.next(slot, self.anchor).map_or(self.offset, |next| next.duration_since(slot));
        let gap = gap - SignedDuration::from_secs(1);
        self.offset.min(gap).min(self.deadline.unwrap_or(self.offset)).max(SignedDuration::ZERO)
    }

    fn move_on(&self, status: &mut ScheduleStatus, slot: Timestamp) -> Option<Timestamp> {
        let next = self.cron.next(slot, self.anchor);
        status.next_schedule_time = next.map(Time);
        next.map(|next| next + self.offset_at(next))
    }

    fn leave_out(
        &self,
        mut status: ScheduleStatus,
        slot: Timestamp,
        why: &'static str,
        event: &'static str,
        message: String,
    ) -> Decision {
        status.starting_backup_name = None;
        hold(&mut status, why, message.clone());
        let wake = self.move_on(&mut status, slot);
        Decision { status, wake, warning: Some((event, message)), run: None }
    }

    fn run(&self, mut status: ScheduleStatus, slot: Timestamp, stored: Option<String>) -> Decision {
        let usable = |name: &String| (self.bearer)(name) != Bearer::Other;
        let names = stored.into_iter().chain([(self.name)(slot, false), (self.name)(slot, true)]);
        let wake = self.move_on(&mut status, slot);
        let Some(name) = names.into_iter().find(usable) else {
            let taken = (self.name)(slot, true);
            let why = format!("Backup {taken} is there and is no run of this schedule; delete it, or rename the entry");
            return self.leave_out(status, slot, reason::NAME_TAKEN, reason::NAME_TAKEN, why);
        };
        (status.reason, status.message) = (None, None);
        status.last_schedule_time = Some(Time(slot));
        if (self.bearer)(&name) == Bearer::Run {
            // The status was lost, the Backup was not.
            (status.starting_backup_name, status.last_backup_name) = (None, Some(name));
            return Decision { status, wake, ..Decision::default() };
        }
        status.starting_backup_name = Some(name.clone());
        Decision { status, wake, run: Some(Run { name, slot }), warning: None }
    }
}

/// How much later than its slots each run of a schedule starts: a part of `most` that its UID and the entry choose.
pub fn offset(schedule_uid: &str, entry: &str, most: SignedDuration) -> SignedDuration {
    let most = most.as_secs().max(0).unsigned_abs();
    // FNV-1a: spreads UIDs that differ in one digit, and never changes with a library.
    let bytes = schedule_uid.bytes().chain(entry.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    let seconds = (hash >> 16) % (most + 1);
    SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(0))
}

#[cfg(test)]
mod tests;
