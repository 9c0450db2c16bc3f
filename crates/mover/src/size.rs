//! Sizes and durations as people write them: `50Mi`, `8M`, `1.5G`, `90s`, `7d`.

use std::time::Duration;

/// Reads a size with the suffixes of the reference's library, in which `M` and `Mi` are the same;
/// `bare` is the unit of a number without suffix. `off` is 0.
pub fn parse(text: &str, bare: u64) -> Option<u64> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Some(0);
    }
    let digits = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" => None,
        "b" => Some(0),
        "k" | "ki" | "kib" => Some(10),
        "m" | "mi" | "mib" => Some(20),
        "g" | "gi" | "gib" => Some(30),
        "t" | "ti" | "tib" => Some(40),
        _ => return None,
    };
    let unit = shift.map_or(bare, |shift| 1u64 << shift);
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number < 1e9)?;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a unit is a power of two, the number is positive and small"
    )]
    Some((number * unit as f64) as u64)
}

/// Reads a duration: a number with `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = match text.chars().last()? {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let number: u64 = text.get(..text.len() - 1)?.parse().ok()?;
    number.checked_mul(unit).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_read() {
        for (text, expected) in [
            ("50Mi", Some(50 << 20)),
            ("5M", Some(5 << 20)),
            ("5MiB", Some(5 << 20)),
            ("1.5G", Some(3 << 29)),
            ("7", Some(7 * 1024)),
            ("7b", Some(7)),
            ("off", Some(0)),
            ("", None),
            ("-1", None),
            ("5X", None),
        ] {
            assert_eq!(parse(text, 1024), expected, "{text}");
        }
        assert_eq!(duration("0s"), Some(Duration::ZERO));
        assert_eq!(duration("2d"), Some(Duration::from_secs(172_800)));
        assert_eq!(duration("2"), None);
    }
}
