//! Go's layouts of dates: written by the reference time `Mon Jan 2 15:04:05 MST 2006`.

mod read;

pub(crate) use read::parse;

use crate::moment::Moment;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

pub(crate) fn month_name(month: i64) -> &'static str {
    usize::try_from(month - 1).ok().and_then(|i| MONTHS.get(i)).unwrap_or(&"%!Month")
}

pub(crate) fn weekday_name(day: i64) -> &'static str {
    usize::try_from(day).ok().and_then(|i| DAYS.get(i)).unwrap_or(&"%!Weekday")
}

/// A place of a layout.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Part {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    Upper,
    Lower,
    ZoneName,
    /// Z for UTC, colons, how many of hours, minutes, seconds.
    Offset(bool, bool, u8),
    /// Digits, whether trailing zeros go, the separator.
    Fraction(usize, bool, u8),
}

use Part::Offset;

/// Places that begin with a text that is always one.
const FIXED: &[(&str, Part)] = &[
    ("January", Part::LongMonth),
    ("Monday", Part::LongWeekday),
    ("MST", Part::ZoneName),
    ("01", Part::ZeroMonth),
    ("02", Part::ZeroDay),
    ("03", Part::ZeroHour12),
    ("04", Part::ZeroMinute),
    ("05", Part::ZeroSecond),
    ("06", Part::Year),
    ("002", Part::ZeroYearDay),
    ("15", Part::Hour),
    ("1", Part::NumMonth),
    ("2006", Part::LongYear),
    ("2", Part::Day),
    ("__2", Part::UnderYearDay),
    ("3", Part::Hour12),
    ("4", Part::Minute),
    ("5", Part::Second),
    ("PM", Part::Upper),
    ("pm", Part::Lower),
    ("-070000", Offset(false, false, 3)),
    ("-07:00:00", Offset(false, true, 3)),
    ("-0700", Offset(false, false, 2)),
    ("-07:00", Offset(false, true, 2)),
    ("-07", Offset(false, false, 1)),
    ("Z070000", Offset(true, false, 3)),
    ("Z07:00:00", Offset(true, true, 3)),
    ("Z0700", Offset(true, false, 2)),
    ("Z07:00", Offset(true, true, 2)),
    ("Z07", Offset(true, false, 1)),
];

/// Text before the first place, the place, and what follows.
fn next(layout: &[u8]) -> (&[u8], Option<Part>, &[u8]) {
    for at in 0..layout.len() {
        let (prefix, rest) = layout.split_at(at);
        let after = |n: usize| rest.get(n..).unwrap_or_default();
        let lower_follows = rest.get(3).is_some_and(u8::is_ascii_lowercase);
        if rest.starts_with(b"_2006") {
            return (layout.get(..=at).unwrap_or_default(), Some(Part::LongYear), after(5));
        }
        if rest.starts_with(b"_2") {
            return (prefix, Some(Part::UnderDay), after(2));
        }
        if let Some((text, part)) = FIXED.iter().find(|(text, _)| rest.starts_with(text.as_bytes())) {
            return (prefix, Some(*part), after(text.len()));
        }
        if rest.starts_with(b"Jan") && !lower_follows {
            return (prefix, Some(Part::Month), after(3));
        }
        if rest.starts_with(b"Mon") && !lower_follows {
            return (prefix, Some(Part::Weekday), after(3));
        }
        if let [separator @ (b'.' | b','), digit @ (b'0' | b'9'), ..] = rest {
            let digits = after(1).iter().take_while(|b| *b == digit).count();
            if !rest.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return (prefix, Some(Part::Fraction(digits, *digit == b'9', *separator)), after(1 + digits));
            }
        }
    }
    (layout, None, b"")
}

/// `Time.Format`.
pub(crate) fn format(time: &Moment, layout: &[u8]) -> Vec<u8> {
    let (mut out, mut layout) = (Vec::new(), layout);
    loop {
        let (prefix, part, rest) = next(layout);
        out.extend_from_slice(prefix);
        let Some(part) = part else { return out };
        out.extend_from_slice(shown(time, part).as_bytes());
        layout = rest;
    }
}

fn shown(time: &Moment, part: Part) -> String {
    let (year, month, day, hour, minute, second, nano) = time.civil();
    let hour12 = if hour % 12 == 0 { 12 } else { hour % 12 };
    let short = |name: &str| name.get(..3).unwrap_or_default().to_owned();
    match part {
        Part::Year => format!("{:02}", year.abs() % 100),
        Part::LongYear if year < 0 => format!("-{:04}", -year),
        Part::LongYear => format!("{year:04}"),
        Part::Month => short(month_name(month)),
        Part::LongMonth => month_name(month).into(),
        Part::NumMonth => month.to_string(),
        Part::ZeroMonth => format!("{month:02}"),
        Part::Weekday => short(weekday_name(time.weekday())),
        Part::LongWeekday => weekday_name(time.weekday()).into(),
        Part::Day => day.to_string(),
        Part::UnderDay => format!("{day:2}"),
        Part::ZeroDay => format!("{day:02}"),
        Part::UnderYearDay => format!("{:3}", time.year_day()),
        Part::ZeroYearDay => format!("{:03}", time.year_day()),
        Part::Hour => format!("{hour:02}"),
        Part::Hour12 => hour12.to_string(),
        Part::ZeroHour12 => format!("{hour12:02}"),
        Part::Minute => minute.to_string(),
        Part::ZeroMinute => format!("{minute:02}"),
        Part::Second => second.to_string(),
        Part::ZeroSecond => format!("{second:02}"),
        Part::Upper => if hour >= 12 { "PM" } else { "AM" }.into(),
        Part::Lower => if hour >= 12 { "pm" } else { "am" }.into(),
        Part::ZoneName => match time.offset() {
            (name, seconds) if name.is_empty() => offset(seconds, false, 2),
            (name, _) => name,
        },
        Offset(true, ..) if time.offset().1 == 0 => "Z".into(),
        Offset(_, colon, fields) => offset(time.offset().1, colon, fields),
        Part::Fraction(digits, trimmed, separator) => {
            let all = format!("{nano:09}");
            let cut = all.get(..digits.min(9)).unwrap_or(&all);
            let kept = if trimmed { cut.trim_end_matches('0') } else { cut };
            if kept.is_empty() { String::new() } else { format!("{}{kept}", char::from(separator)) }
        }
    }
}

fn offset(seconds: i32, colon: bool, fields: u8) -> String {
    let sign = if seconds / 60 < 0 { '-' } else { '+' };
    let all = seconds.abs();
    let minutes = (seconds / 60).abs();
    let between = if colon { ":" } else { "" };
    let mut out = format!("{sign}{:02}", minutes / 60);
    if fields > 1 {
        out.push_str(&format!("{between}{:02}", minutes % 60));
    }
    if fields > 2 {
        out.push_str(&format!("{between}{:02}", all % 60));
    }
    out
}
