//! Numbers as Go writes them (`strconv`).

/// Shortest digits of a positive finite number, and the place of its decimal point.
fn digits(value: f64, precision: Option<usize>) -> (String, i32) {
    let text = match precision {
        Some(after_point) => format!("{value:.after_point$e}"),
        None => format!("{value:e}"),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    (mantissa.replace('.', ""), exponent.parse().unwrap_or(0))
}

/// `strconv.FormatFloat(value, form, precision, 64)` for the forms `e E f g G`; no precision asks
/// for the shortest text that reads back the same.
pub(crate) fn float(value: f64, form: char, precision: Option<usize>) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf".into() } else { "-Inf".into() };
    }
    let sign = if value.is_sign_negative() { "-" } else { "" };
    let value = value.abs();
    match form {
        'f' | 'F' => match precision {
            Some(n) => format!("{sign}{value:.n$}"),
            None => format!("{sign}{value}"),
        },
        'e' | 'E' => {
            let (digits, exponent) = digits(value, precision);
            format!("{sign}{}", scientific(&digits, exponent, form))
        }
        _ => {
            let wanted = precision.map(|n| n.max(1));
            let (all, exponent) = digits(value, wanted.map(|n| n - 1));
            let trimmed = all.trim_end_matches('0');
            let kept = if trimmed.is_empty() { "0" } else { trimmed };
            let places = i32::try_from(kept.len()).unwrap_or(i32::MAX);
            let threshold = match wanted.map(|n| i32::try_from(n).unwrap_or(i32::MAX)) {
                None => 6,
                Some(n) if n > places && places > exponent => places,
                Some(n) => n,
            };
            if exponent < -4 || exponent >= threshold {
                let upper = if form == 'G' { 'E' } else { 'e' };
                return format!("{sign}{}", scientific(kept, exponent, upper));
            }
            format!("{sign}{}", plain(kept, exponent))
        }
    }
}

fn scientific(digits: &str, exponent: i32, letter: char) -> String {
    let (first, rest) = digits.split_at(1.min(digits.len()));
    let point = if rest.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{first}{point}{rest}{letter}{sign}{:02}", exponent.abs())
}

fn plain(digits: &str, exponent: i32) -> String {
    let Ok(whole) = usize::try_from(exponent + 1) else {
        let zeros = usize::try_from(-(exponent + 1)).unwrap_or(0);
        return format!("0.{}{digits}", "0".repeat(zeros));
    };
    if whole == 0 {
        return format!("0.{digits}");
    }
    if digits.len() <= whole {
        return format!("{digits}{}", "0".repeat(whole - digits.len()));
    }
    let (before, after) = digits.split_at(whole);
    format!("{before}.{after}")
}
