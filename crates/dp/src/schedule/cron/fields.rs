//! The five fields of a cron expression as sets of numbers.

/// Names of months, from January.
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/// Names of days, from Sunday.
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

/// What one field may hold.
struct Kind {
    name: &'static str,
    least: u32,
    most: u32,
    names: &'static [&'static str],
}

const MINUTE: Kind = Kind { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Kind = Kind { name: "hour", least: 0, most: 23, names: &[] };
const DAY: Kind = Kind { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Kind = Kind { name: "month", least: 1, most: 12, names: &MONTHS };
const WEEKDAY: Kind = Kind { name: "day of week", least: 0, most: 6, names: &DAYS };

/// One field: the numbers it allows, and whether it was a plain star.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    bits: u64,
    /// `*` or `?` without a step above 1: says nothing about days where the other day field does.
    pub star: bool,
}

impl Field {
    /// Whether the field allows `number`.
    pub fn has(self, number: i8) -> bool {
        u32::try_from(number).is_ok_and(|n| n < 64 && self.bits >> n & 1 == 1)
    }

    /// The numbers it allows, from `least`.
    pub fn from(self, least: i8) -> impl Iterator<Item = i8> {
        (least.max(0)..60).filter(move |n| self.has(*n))
    }
}

/// Minute, hour, day of month, month and day of week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// 0–59.
    pub minute: Field,
    /// 0–23.
    pub hour: Field,
    /// 1–31.
    pub day: Field,
    /// 1–12.
    pub month: Field,
    /// 0–6 from Sunday.
    pub weekday: Field,
}

impl Fields {
    /// Reads five fields, as robfig/cron's standard parser does.
    ///
    /// # Errors
    /// A sentence that names the field, the value and the rule.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = parts.as_slice() else {
            return Err(format!(
                "five fields are expected (minute, hour, day of month, month, day of week), there are {}",
                parts.len()
            ));
        };
        Ok(Fields {
            minute: MINUTE.parse(minute)?,
            hour: HOUR.parse(hour)?,
            day: DAY.parse(day)?,
            month: MONTH.parse(month)?,
            weekday: WEEKDAY.parse(weekday)?,
        })
    }

    /// Whether runs come in every hour of a day: such entries follow the time that passes, not the clock on the wall.
    pub fn is_hourly(&self) -> bool {
        self.hour.bits == (1 << 24) - 1
    }

    /// Whether a day fits: both day fields where one of them is a star, else one of the two.
    pub fn has_day(&self, day: i8, weekday: i8) -> bool {
        let (by_day, by_weekday) = (self.day.has(day), self.weekday.has(weekday));
        if self.day.star || self.weekday.star { by_day && by_weekday } else { by_day || by_weekday }
    }
}

impl Kind {
    fn parse(&self, text: &str) -> Result<Field, String> {
        let mut field = Field { bits: 0, star: false };
        for part in text.split(',') {
            let Field { bits, star } = self.range(part).map_err(|why| format!("{} {text:?}: {why}", self.name))?;
            field.bits |= bits;
            field.star |= star;
        }
        Ok(field)
    }

    fn range(&self, part: &str) -> Result<Field, String> {
        let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
        let step = match step {
            None => 1,
            Some(text) => number(text).filter(|n| *n > 0).ok_or_else(|| format!("{text:?} is no step"))?,
        };
        let any = matches!(range, "*" | "?");
        let (first, last) = match range.split_once('-') {
            _ if any => (self.least, self.most),
            Some((first, last)) => (self.value(first)?, self.value(last)?),
            // `5/15` is `5-59/15`.
            None if part.contains('/') => (self.value(range)?, self.most),
            None => (self.value(range)?, self.value(range)?),
        };
        if first > last {
            return Err(format!("{range} begins after its end"));
        }
        let mut bits = 0;
        let mut at = first;
        while at <= last {
            bits |= 1 << at;
            at = at.saturating_add(step);
        }
        Ok(Field { bits, star: any && step == 1 })
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = self.names.iter().position(|n| n.eq_ignore_ascii_case(text));
        let named = named.and_then(|at| u32::try_from(at).ok()).map(|at| at + self.least);
        let value = named.or_else(|| number(text)).ok_or_else(|| format!("{text:?} is no number"))?;
        if (self.least..=self.most).contains(&value) {
            return Ok(value);
        }
        Err(format!("{value} is not in {}-{}", self.least, self.most))
    }
}

fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}
