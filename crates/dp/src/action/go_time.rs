//! Formats instants by Go layouts (`2006-01-02T15:04:05Z07:00`), which ActionSets name in
//! `DP_TIME_FORMAT` (behaviour-restore §7.5).

use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, Zoned};

/// RFC 3339, the default.
pub const RFC3339: &str = "2006-01-02T15:04:05Z07:00";

/// Longest first: `2006` before `2`, `January` before `Jan`.
const TOKENS: [(&str, &str); 22] = [
    ("January", "%B"),
    ("Monday", "%A"),
    ("Z07:00", "Z:"),
    ("-07:00", "%:z"),
    ("Z0700", "Z"),
    ("-0700", "%z"),
    ("2006", "%Y"),
    ("Jan", "%b"),
    ("Mon", "%a"),
    ("MST", "%Z"),
    ("PM", "%p"),
    ("pm", "%P"),
    ("01", "%m"),
    ("02", "%d"),
    ("03", "%I"),
    ("04", "%M"),
    ("05", "%S"),
    ("06", "%y"),
    ("15", "%H"),
    ("_2", "%e"),
    ("1", "%-m"),
    ("2", "%-d"),
];

/// `at` in the zone `±hh:mm` (UTC where absent or malformed), by a Go layout.
pub fn format(at: Timestamp, zone: Option<&str>, layout: &str) -> String {
    let local = at.to_zoned(TimeZone::fixed(offset(zone.unwrap_or_default()).unwrap_or(Offset::UTC)));
    let mut out = String::new();
    let mut rest = layout;
    'next: while !rest.is_empty() {
        for (go, ours) in TOKENS {
            if let Some(after) = rest.strip_prefix(go) {
                out.push_str(&token(&local, ours));
                rest = after;
                continue 'next;
            }
        }
        let mut chars = rest.chars();
        out.extend(chars.next());
        rest = chars.as_str();
    }
    out
}

fn token(at: &Zoned, ours: &str) -> String {
    match ours {
        "Z:" | "Z" if at.offset() == Offset::UTC => "Z".into(),
        "Z:" => at.strftime("%:z").to_string(),
        "Z" => at.strftime("%z").to_string(),
        directive => at.strftime(directive).to_string(),
    }
}

/// `±hh:mm`; the sign holds for the minutes too (the reference computes `-00:30` as +30 min).
fn offset(text: &str) -> Option<Offset> {
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, text.get(1..)?),
        b'-' => (-1, text.get(1..)?),
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    let seconds = hours.parse::<i32>().ok()? * 3600 + minutes.parse::<i32>().ok()? * 60;
    Offset::from_seconds(sign * seconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_of_the_action_sets() {
        let at: Timestamp = "2026-11-21T00:00:10Z".parse().unwrap();
        for (zone, layout, expected) in [
            (None, RFC3339, "2026-11-21T00:00:10Z"),
            (Some("+08:00"), RFC3339, "2026-11-21T08:00:10+08:00"),
            (Some("-00:30"), "2006-01-02 15:04:05", "2026-11-20 23:30:10"),
            (Some("+00:00"), "2006-01-02T15:04:05Z", "2026-11-21T00:00:10Z"),
            (None, "Jan 02,2006 15:04:05", "Nov 21,2026 00:00:10"),
        ] {
            assert_eq!(format(at, zone, layout), expected, "{zone:?} {layout}");
        }
    }
}
