//! Go's durations: `1h30m`, `-1.5s`, in nanoseconds.

const UNITS: [(&str, u64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
const MOST: u64 = 1 << 63;

/// `time.ParseDuration`.
pub(crate) fn parse(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut sum: u64 = 0;
    while !rest.is_empty() {
        let whole = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (head, after) = rest.split_at(whole);
        let value: u64 = if head.is_empty() { 0 } else { head.parse().ok()? };
        rest = after;
        let mut fraction = "";
        if let Some(after) = rest.strip_prefix('.') {
            let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            (fraction, rest) = after.split_at(digits);
        }
        if head.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_end = rest.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(rest.len());
        let (name, after) = rest.split_at(unit_end);
        rest = after;
        let (_, unit) = UNITS.iter().find(|(known, _)| *known == name)?;
        let mut part = value.checked_mul(*unit).filter(|p| *p <= MOST)?;
        let kept = fraction.get(..fraction.len().min(18))?;
        if !kept.is_empty() {
            let digits: u64 = kept.parse().ok()?;
            let scale = 10_f64.powi(i32::try_from(kept.len()).ok()?);
            part = part.checked_add((digits as f64 * (*unit as f64 / scale)) as u64)?;
        }
        sum = sum.checked_add(part).filter(|s| *s <= MOST)?;
    }
    if negative {
        return Some(sum.wrapping_neg() as i64);
    }
    i64::try_from(sum).ok()
}

/// `Duration.String`.
pub(crate) fn format(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let all = nanoseconds.unsigned_abs();
    let fraction = |value: u64, unit: u64, width: usize| {
        let digits = format!("{:0width$}", value % unit);
        let kept = digits.trim_end_matches('0');
        if kept.is_empty() { String::new() } else { format!(".{kept}") }
    };
    match all {
        0 => "0s".into(),
        1..1_000 => format!("{sign}{all}ns"),
        1_000..1_000_000 => format!("{sign}{}{}\u{b5}s", all / 1_000, fraction(all, 1_000, 3)),
        1_000_000..1_000_000_000 => format!("{sign}{}{}ms", all / 1_000_000, fraction(all, 1_000_000, 6)),
        _ => {
            let whole = all / 1_000_000_000;
            let seconds = format!("{}{}s", whole % 60, fraction(all, 1_000_000_000, 9));
            let (minutes, hours) = (whole / 60 % 60, whole / 3600);
            match (hours, minutes) {
                (0, 0) => format!("{sign}{seconds}"),
                (0, _) => format!("{sign}{minutes}m{seconds}"),
                _ => format!("{sign}{hours}h{minutes}m{seconds}"),
            }
        }
    }
}
