//! Reads a date by a layout.

use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};

use super::Part::{self, Offset};
use super::{DAYS, MONTHS, next};
use crate::moment::{Moment, Zone};

const BAD: &str = "parsing time: does not fit the layout";

#[derive(Default)]
struct Read {
    year: i32,
    month: Option<i32>,
    day: Option<i32>,
    year_day: Option<i32>,
    hour: i32,
    minute: i32,
    second: i32,
    nano: i32,
    pm: Option<bool>,
    utc: bool,
    offset: Option<i32>,
    zone: Option<String>,
}

/// `time.ParseInLocation` in UTC.
pub(crate) fn parse(layout: &[u8], text: &[u8]) -> Result<Moment, &'static str> {
    let (mut layout, mut text) = (layout, text);
    let mut read = Read::default();
    loop {
        let (prefix, part, rest) = next(layout);
        text = skip(text, prefix).ok_or(BAD)?;
        let Some(part) = part else { break };
        layout = rest;
        text = read.part(part, text, layout).ok_or(BAD)?;
    }
    if !text.is_empty() {
        return Err("parsing time: extra text");
    }
    read.finish().ok_or(BAD)
}

fn skip<'t>(mut text: &'t [u8], mut prefix: &[u8]) -> Option<&'t [u8]> {
    while let Some((first, rest)) = prefix.split_first() {
        if *first == b' ' {
            if text.first().is_some_and(|b| *b != b' ') {
                return None;
            }
            prefix = trim_spaces(prefix);
            text = trim_spaces(text);
            continue;
        }
        text = text.strip_prefix(&[*first])?;
        prefix = rest;
    }
    Some(text)
}

fn trim_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|b| **b == b' ').count();
    text.get(spaces..).unwrap_or_default()
}

/// One or two digits (exactly two where `fixed`), and what follows.
fn number(text: &[u8], fixed: bool) -> Option<(i32, &[u8])> {
    match text {
        [a, b, rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
            Some((i32::from(a - b'0') * 10 + i32::from(b - b'0'), rest))
        }
        [a, rest @ ..] if a.is_ascii_digit() && !fixed => Some((i32::from(a - b'0'), rest)),
        _ => None,
    }
}

fn digits(text: &[u8], count: usize) -> Option<(i32, &[u8])> {
    let (head, rest) = text.split_at_checked(count)?;
    let plain = head.iter().all(u8::is_ascii_digit) && !head.is_empty();
    let value = std::str::from_utf8(head).ok().filter(|_| plain)?.parse().ok()?;
    Some((value, rest))
}

fn lookup<'t>(names: &[&str], length: Option<usize>, text: &'t [u8]) -> Option<(i32, &'t [u8])> {
    names.iter().enumerate().find_map(|(i, name)| {
        let name = name.get(..length.unwrap_or(name.len()))?;
        let (head, rest) = text.split_at_checked(name.len())?;
        head.eq_ignore_ascii_case(name.as_bytes()).then_some((i32::try_from(i).ok()?, rest))
    })
}

fn fraction(text: &[u8]) -> Option<i32> {
    let shown: String = text.iter().skip(1).take(9).map(|b| char::from(*b)).collect();
    format!("{shown:0<9}").parse().ok()
}

impl Read {
    /// Reads one place from `text`; `layout` is what follows in the layout.
    fn part<'t>(&mut self, part: Part, text: &'t [u8], layout: &[u8]) -> Option<&'t [u8]> {
        let within = |value: i32, least: i32, most: i32| (least..=most).contains(&value).then_some(value);
        let spaceless = |skipped: bool| if skipped { text.strip_prefix(b" ").unwrap_or(text) } else { text };
        let rest = match part {
            Part::Year => {
                let (year, rest) = digits(text, 2)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
                rest
            }
            Part::LongYear => {
                let (year, rest) = digits(text, 4)?;
                self.year = year;
                rest
            }
            Part::Month | Part::LongMonth => {
                let (month, rest) = lookup(&MONTHS, (part == Part::Month).then_some(3), text)?;
                self.month = Some(month + 1);
                rest
            }
            Part::NumMonth | Part::ZeroMonth => {
                let (month, rest) = number(text, part == Part::ZeroMonth)?;
                self.month = Some(within(month, 1, 12)?);
                rest
            }
            Part::Weekday | Part::LongWeekday => lookup(&DAYS, (part == Part::Weekday).then_some(3), text)?.1,
            Part::Day | Part::UnderDay | Part::ZeroDay => {
                let (day, rest) = number(spaceless(part == Part::UnderDay), part == Part::ZeroDay)?;
                self.day = Some(day);
                rest
            }
            Part::UnderYearDay | Part::ZeroYearDay => {
                let text = if part == Part::UnderYearDay { trim_spaces(text) } else { text };
                let wanted = if part == Part::ZeroYearDay {
                    3
                } else {
                    text.iter().take(3).take_while(|b| b.is_ascii_digit()).count()
                };
                let (day, rest) = digits(text, wanted)?;
                self.year_day = Some(day);
                rest
            }
            Part::Hour => {
                let (hour, rest) = number(text, false)?;
                self.hour = within(hour, 0, 23)?;
                rest
            }
            Part::Hour12 | Part::ZeroHour12 => {
                let (hour, rest) = number(text, part == Part::ZeroHour12)?;
                self.hour = within(hour, 0, 12)?;
                rest
            }
            Part::Minute | Part::ZeroMinute => {
                let (minute, rest) = number(text, part == Part::ZeroMinute)?;
                self.minute = within(minute, 0, 59)?;
                rest
            }
            Part::Second | Part::ZeroSecond => {
                let (second, rest) = number(text, part == Part::ZeroSecond)?;
                self.second = within(second, 0, 59)?;
                return self.unasked_fraction(rest, layout);
            }
            Part::Upper | Part::Lower => {
                let (head, rest) = text.split_at_checked(2)?;
                let (am, pm): (&[u8], &[u8]) = if part == Part::Upper { (b"AM", b"PM") } else { (b"am", b"pm") };
                self.pm = Some(head == pm);
                (head == am || head == pm).then_some(rest)?
            }
            Offset(true, ..) if text.starts_with(b"Z") => {
                self.utc = true;
                text.get(1..)?
            }
            Offset(_, colon, fields) => self.read_offset(text, colon, fields)?,
            Part::ZoneName if text.starts_with(b"UTC") => {
                self.utc = true;
                text.get(3..)?
            }
            Part::ZoneName => {
                let (name, rest) = text.split_at_checked(zone_length(text)?)?;
                self.zone = Some(String::from_utf8_lossy(name).into_owned());
                rest
            }
            Part::Fraction(count, false, _) => {
                let (head, rest) = text.split_at_checked(count + 1)?;
                let fits = matches!(head.first(), Some(b'.' | b',')) && head.iter().skip(1).all(u8::is_ascii_digit);
                self.nano = fits.then(|| fraction(head)).flatten()?;
                rest
            }
            Part::Fraction(..) => self.any_fraction(text)?,
        };
        Some(rest)
    }

    fn any_fraction<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        let count = text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
        if !matches!(text.first(), Some(b'.' | b',')) || count == 0 {
            return Some(text);
        }
        let (head, rest) = text.split_at_checked(count + 1)?;
        self.nano = fraction(head)?;
        Some(rest)
    }

    /// Fractions after seconds are taken even where the layout has none.
    fn unasked_fraction<'t>(&mut self, text: &'t [u8], layout: &[u8]) -> Option<&'t [u8]> {
        if matches!(next(layout).1, Some(Part::Fraction(..))) {
            return Some(text);
        }
        self.any_fraction(text)
    }

    fn read_offset<'t>(&mut self, text: &'t [u8], colon: bool, fields: u8) -> Option<&'t [u8]> {
        let (sign, mut rest) = text.split_first()?;
        let mut seconds = 0;
        for (field, most) in [(1, 24), (2, 60), (3, 60)] {
            let mut value = 0;
            if field <= fields {
                if field > 1 && colon {
                    rest = rest.strip_prefix(b":")?;
                }
                (value, rest) = number(rest, true)?;
            }
            if value > most {
                return None;
            }
            seconds = seconds * 60 + value;
        }
        self.offset = Some(match sign {
            b'+' => seconds,
            b'-' => -seconds,
            _ => return None,
        });
        Some(rest)
    }

    fn finish(self) -> Option<Moment> {
        let hour = match self.pm {
            Some(true) if self.hour < 12 => self.hour + 12,
            Some(false) if self.hour == 12 => 0,
            _ => self.hour,
        };
        let small = |n: i32| i8::try_from(n).ok();
        let year = i16::try_from(self.year).ok()?;
        let date = match self.year_day {
            Some(day) => {
                let first = civil::Date::new(year, 1, 1).ok()?;
                let date = first.checked_add(jiff::Span::new().days(i64::from(day) - 1)).ok()?;
                let fits = day >= 1
                    && date.year() == year
                    && self.month.is_none_or(|m| m == i32::from(date.month()))
                    && self.day.is_none_or(|d| d == i32::from(date.day()));
                fits.then_some(date)?
            }
            None => civil::Date::new(year, small(self.month.unwrap_or(1))?, small(self.day.unwrap_or(1))?).ok()?,
        };
        let local = date.at(small(hour)?, small(self.minute)?, small(self.second)?, self.nano);
        let stamp = local.to_zoned(TimeZone::UTC).ok()?.timestamp();
        if self.utc {
            return Some(Moment::utc(stamp));
        }
        let earlier = |seconds: i32| -> Option<Timestamp> {
            stamp.checked_sub(jiff::SignedDuration::from_secs(i64::from(seconds))).ok()
        };
        match (self.offset, self.zone) {
            // Go marks "no offset" by -1 and so loses one.
            (Some(seconds), zone) if seconds != -1 => {
                let stamp = earlier(seconds)?;
                if seconds == 0 && zone.as_deref().is_none_or(|name| name == "UTC") {
                    return Some(Moment::utc(stamp));
                }
                Some(Moment { stamp, zone: Zone::Fixed(Rc::from(zone.unwrap_or_default()), seconds) })
            }
            (_, Some(zone)) => {
                let hours: i32 = zone.strip_prefix("GMT").and_then(|h| h.parse().ok()).unwrap_or(0);
                Some(Moment { stamp, zone: Zone::Fixed(Rc::from(zone), hours * 3600) })
            }
            _ => Some(Moment::utc(stamp)),
        }
    }
}

/// Bytes of the zone abbreviation at the beginning.
fn zone_length(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if text.starts_with(b"GMT") {
        return Some(3 + signed_hours(text.get(3..)?));
    }
    if matches!(text.first()?, b'+' | b'-') {
        return Some(signed_hours(text)).filter(|n| *n > 0);
    }
    let upper = text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
    match upper {
        3 => Some(3),
        4 if text.get(3) == Some(&b'T') || text.starts_with(b"WITA") => Some(4),
        5 if text.get(4) == Some(&b'T') => Some(5),
        _ => None,
    }
}

fn signed_hours(text: &[u8]) -> usize {
    if !matches!(text.first(), Some(b'+' | b'-')) {
        return 0;
    }
    let count = text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
    let hours = text.get(1..=count).and_then(|d| std::str::from_utf8(d).ok()).and_then(|d| d.parse::<u32>().ok());
    if hours.is_some_and(|h| h <= 23) { count + 1 } else { 0 }
}
