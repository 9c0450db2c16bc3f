//! The text of Go durations, such as `1h2m0.5s`, `30s`, `0s`.
//!
//! `status.duration` is written rounded to whole seconds; `exec.timeout` is read.

use std::fmt;

use k8s_openapi::jiff::SignedDuration;

/// A text that is no Go duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationError {
    /// The text.
    pub text: String,
}

impl fmt::Display for DurationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no duration such as 1h30m or 45s", self.text)
    }
}

impl std::error::Error for DurationError {}

/// Longest unit texts first where one is the prefix of another.
const UNITS: [(&str, f64); 8] =
    [("ns", 1.0), ("us", 1e3), ("µs", 1e3), ("μs", 1e3), ("ms", 1e6), ("s", 1e9), ("m", 60e9), ("h", 3600e9)];

/// Writes a duration as Go does, rounded to whole seconds (halves away from zero).
///
/// `0s`, `45s`, `2m0s`, `1h0m5s`; hours are the largest unit.
pub fn format(duration: SignedDuration) -> String {
    let nanos = i64::from(duration.subsec_nanos());
    let seconds = duration.as_secs() + nanos / 500_000_000;
    let sign = if seconds < 0 { "-" } else { "" };
    let total = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    match (hours, minutes) {
        (0, 0) => format!("{sign}{seconds}s"),
        (0, _) => format!("{sign}{minutes}m{seconds}s"),
        _ => format!("{sign}{hours}h{minutes}m{seconds}s"),
    }
}

/// Reads a Go duration: an optional sign and a run of numbers with units, or `0`.
pub fn parse(text: &str) -> Result<SignedDuration, DurationError> {
    let refuse = || DurationError { text: text.to_owned() };
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return Err(refuse());
    }
    let mut total = SignedDuration::ZERO;
    while !rest.is_empty() {
        let (part, after) = leading_part(rest).ok_or_else(refuse)?;
        total = total.checked_add(part).ok_or_else(refuse)?;
        rest = after;
    }
    Ok(if negative { -total } else { total })
}

/// The first number with its unit, and what follows it.
fn leading_part(text: &str) -> Option<(SignedDuration, &str)> {
    let number_len = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.').len();
    let (number, tail) = text.split_at(number_len);
    if !number.contains(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let (nanos_per_unit, after) = UNITS.iter().find_map(|(unit, nanos)| Some((*nanos, tail.strip_prefix(unit)?)))?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: f64 = if whole.is_empty() { 0.0 } else { whole.parse().ok()? };
    let fraction: f64 = if fraction.is_empty() { 0.0 } else { format!("0.{fraction}").parse().ok()? };
    let whole = SignedDuration::try_from_secs_f64(whole * nanos_per_unit / 1e9).ok()?;
    let fraction = SignedDuration::try_from_secs_f64(fraction * nanos_per_unit / 1e9).ok()?;
    Some((whole.checked_add(fraction)?, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn written_as_go_does() {
        let cases = [
            (0, "0s"),
            (499, "0s"),
            (500, "1s"),
            (45_000, "45s"),
            (60_000, "1m0s"),
            (3_600_000, "1h0m0s"),
            (3_725_400, "1h2m5s"),
            (90_000_000, "25h0m0s"),
            (-1_500, "-2s"),
        ];
        for (millis, text) in cases {
            assert_eq!(format(SignedDuration::from_millis(millis)), text);
        }
    }

    #[test]
    fn read_as_go_does() {
        let cases = [
            ("1h2m0.5s", 3_720_500),
            ("30s", 30_000),
            ("0s", 0),
            ("0", 0),
            ("-1.5h", -5_400_000),
            (".5s", 500),
            ("1500ms", 1500),
            ("1m1m", 120_000),
        ];
        for (text, millis) in cases {
            assert_eq!(parse(text).unwrap(), SignedDuration::from_millis(millis), "{text}");
        }
        for text in ["", "1", "s", "1d", "1 s", "--1s", ".s", "1..5s", "99999999999999999999h"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn written_text_reads_back(seconds in -10_000_000i64..10_000_000) {
            let duration = SignedDuration::from_secs(seconds);
            prop_assert_eq!(parse(&format(duration)).unwrap(), duration);
        }

        #[test]
        fn any_text_is_read_or_refused(text in ".{0,20}") {
            let _ = parse(&text);
        }
    }
}
