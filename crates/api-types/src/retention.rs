//! The text of `retentionPeriod`, such as `7d`, `1mo` or `1w2d`.
//!
//! Grammar: a trimmed run of `<digits><unit>` in any order, with units `y` (365 days), `mo`
//! (30 days), `w`, `d`, `h`, `m` (minutes; `mo` is tried first). A repeated unit overwrites, it
//! does not add. Empty text and a total of zero keep for ever. Source: contract-dp §1.9.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// How long a backup is kept, by unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Retention {
    /// Years of 365 days.
    pub years: u64,
    /// Months of 30 days.
    pub months: u64,
    /// Weeks.
    pub weeks: u64,
    /// Days.
    pub days: u64,
    /// Hours.
    pub hours: u64,
    /// Minutes.
    pub minutes: u64,
}

/// Why a text is no retention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetentionError {
    /// A number is missing where the rest of the text starts.
    NumberExpected(String),
    /// A number has no unit, or one that does not exist.
    UnitExpected(String),
    /// A number, or the total, is too large.
    TooLong(String),
}

impl fmt::Display for RetentionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NumberExpected(rest) => {
                write!(f, "retention period: a number is expected at {rest:?}")
            }
            Self::UnitExpected(rest) => {
                write!(f, "retention period: one of y, mo, w, d, h, m is expected at {rest:?}")
            }
            Self::TooLong(text) => write!(f, "retention period: {text:?} is too long"),
        }
    }
}

impl std::error::Error for RetentionError {}

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

impl Retention {
    /// What a schedule gives when it names no retention.
    pub const SCHEDULE_DEFAULT: &'static str = "7d";

    /// Units by text; `mo` stands before `m`, which is its prefix.
    const UNITS: [(&'static str, u64); 6] =
        [("y", 365 * DAY), ("mo", 30 * DAY), ("w", 7 * DAY), ("d", DAY), ("h", HOUR), ("m", MINUTE)];

    /// The time a backup is kept after its base; `None` is for ever.
    pub fn duration(&self) -> Option<Duration> {
        self.seconds().filter(|&seconds| seconds > 0).map(Duration::from_secs)
    }

    /// Whether backups are kept for ever.
    pub fn is_forever(&self) -> bool {
        self.duration().is_none()
    }

    fn values(&self) -> [u64; 6] {
        [self.years, self.months, self.weeks, self.days, self.hours, self.minutes]
    }

    fn seconds(&self) -> Option<u64> {
        self.values()
            .into_iter()
            .zip(Self::UNITS)
            .try_fold(0u64, |total, (value, (_, seconds))| total.checked_add(value.checked_mul(seconds)?))
    }

    fn set(&mut self, unit: &str, value: u64) {
        match unit {
            "y" => self.years = value,
            "mo" => self.months = value,
            "w" => self.weeks = value,
            "d" => self.days = value,
            "h" => self.hours = value,
            _ => self.minutes = value,
        }
    }
}

impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut retention = Self::default();
        let mut rest = text.trim();
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, tail) = rest.split_at(digits);
            if number.is_empty() {
                return Err(RetentionError::NumberExpected(rest.to_owned()));
            }
            let value = number.parse().map_err(|_| RetentionError::TooLong(text.to_owned()))?;
            let unit = Self::UNITS.iter().find_map(|(unit, _)| Some((*unit, tail.strip_prefix(unit)?)));
            let (unit, after) = unit.ok_or_else(|| RetentionError::UnitExpected(tail.to_owned()))?;
            retention.set(unit, value);
            rest = after;
        }
        // Thousands of years overflow the times they are added to; 2^53 seconds are far beyond use.
        match retention.seconds() {
            Some(seconds) if seconds < 1 << 53 => Ok(retention),
            _ => Err(RetentionError::TooLong(text.to_owned())),
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values()
            .into_iter()
            .zip(Self::UNITS)
            .filter(|(value, _)| *value > 0)
            .try_for_each(|(value, (unit, _))| write!(f, "{value}{unit}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> Retention {
        text.parse().unwrap()
    }

    #[test]
    fn units_and_order() {
        assert_eq!(parsed("7d").duration(), Some(Duration::from_secs(7 * DAY)));
        assert_eq!(parsed("1mo").duration(), Some(Duration::from_secs(30 * DAY)));
        assert_eq!(parsed("1y").duration(), Some(Duration::from_secs(365 * DAY)));
        assert_eq!(parsed("2h1d").duration(), parsed("1d2h").duration());
        assert_eq!(parsed(" 1w2d ").to_string(), "1w2d");
    }

    #[test]
    fn months_are_not_minutes() {
        assert_eq!(parsed("1mo3m"), Retention { months: 1, minutes: 3, ..Retention::default() });
    }

    #[test]
    fn repeated_unit_overwrites() {
        assert_eq!(parsed("1d3d"), parsed("3d"));
    }

    #[test]
    fn empty_and_zero_keep_for_ever() {
        for text in ["", "  ", "0d", "0y0m"] {
            assert!(parsed(text).is_forever(), "{text:?}");
            assert_eq!(parsed(text).to_string(), "");
        }
    }

    #[test]
    fn refused_texts() {
        for text in ["7", "d", "-1d", "1s", "7 d", "1D", "d7", "99999999999999999999d", "9999999999999y"] {
            assert!(text.parse::<Retention>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn printed_text_reads_back(years in 0u64..1000, months in 0u64..100, days in 0u64..100, minutes in 0u64..100) {
            let retention = Retention { years, months, days, minutes, ..Retention::default() };
            prop_assert_eq!(parsed(&retention.to_string()), retention);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = text.parse::<Retention>();
        }
    }
}
