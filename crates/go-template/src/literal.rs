//! Constants as Go writes them: quoted texts, characters, numbers.

use crate::ast::Number;

const BAD: &str = "invalid syntax";

/// The text of a quoted or raw literal.
pub(crate) fn unquote(literal: &str) -> Result<Vec<u8>, String> {
    if let Some(raw) = literal.strip_prefix('`').and_then(|s| s.strip_suffix('`')) {
        return Ok(raw.bytes().filter(|b| *b != b'\r').collect());
    }
    let inner = literal.strip_prefix('"').and_then(|s| s.strip_suffix('"')).ok_or(BAD)?;
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        rest = unescape(rest, '"', &mut out).ok_or(BAD)?.1;
    }
    Ok(out)
}

/// A character constant as a number.
pub(crate) fn character(literal: &str) -> Option<Number> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let (code, rest) = unescape(inner, '\'', &mut Vec::new())?;
    if !rest.is_empty() {
        return None;
    }
    Some(Number { int: Some(i64::from(code)), float: Some(f64::from(code)), prefers_float: false })
}

/// Appends one character of `text` and gives its code and what follows.
fn unescape<'a>(text: &'a str, quote: char, out: &mut Vec<u8>) -> Option<(u32, &'a str)> {
    let mut chars = text.chars();
    let first = chars.next()?;
    let push = |c: char, out: &mut Vec<u8>| out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    if first == quote {
        return None;
    }
    if first != '\\' {
        push(first, out);
        return Some((u32::from(first), chars.as_str()));
    }
    let escape = chars.next()?;
    let simple = match escape {
        'a' => Some('\x07'),
        'b' => Some('\x08'),
        'f' => Some('\x0c'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        'v' => Some('\x0b'),
        '\\' => Some('\\'),
        '\'' | '"' if escape == quote => Some(escape),
        _ => None,
    };
    if let Some(c) = simple {
        push(c, out);
        return Some((u32::from(c), chars.as_str()));
    }
    let (digits, radix, start) = match escape {
        'x' => (2, 16, 2),
        'u' => (4, 16, 2),
        'U' => (8, 16, 2),
        '0'..='7' => (3, 8, 1),
        _ => return None,
    };
    let code = text.get(start..start + digits)?;
    if !code.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let code = u32::from_str_radix(code, radix).ok()?;
    let rest = text.get(start + digits..)?;
    if matches!(escape, 'u' | 'U') {
        push(char::from_u32(code)?, out);
    } else {
        out.push(u8::try_from(code).ok()?);
    }
    Some((code, rest))
}

/// A number with all readings it has.
pub(crate) fn number(text: &str) -> Result<Number, String> {
    if text.ends_with('i') {
        return Err("complex numbers are not supported".into());
    }
    let hex =
        text.trim_start_matches(['+', '-']).starts_with("0x") || text.trim_start_matches(['+', '-']).starts_with("0X");
    let hex_int = text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    let mut number =
        Number { prefers_float: !hex_int && text.contains(['.', 'e', 'E', 'p', 'P']), ..Number::default() };
    if let Some(int) = int_from(text, 0) {
        number.int = Some(int);
        number.float = Some(int as f64);
        number.prefers_float &= !hex;
        return Ok(number);
    }
    if let Some(uint) = uint_from(text, 0) {
        number.float = Some(uint as f64);
        return Ok(number);
    }
    let Some(float) = float_from(text) else {
        return Err(format!("illegal number syntax: {text:?}"));
    };
    if !text.contains(['.', 'e', 'E', 'p', 'P']) {
        return Err(format!("integer overflow: {text:?}"));
    }
    number.float = Some(float);
    number.int = (float.abs() < 9.2e18 && float.trunc() == float).then_some(float as i64);
    Ok(number)
}

/// `strconv.ParseInt`; base 0 takes prefixes and underscores.
pub(crate) fn int_from(text: &str, base: u32) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let magnitude = i128::from(uint_from(digits, base)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// `strconv.Atoi` with its error ignored: what does not fit is the nearest number.
pub(crate) fn atoi(text: &str) -> i64 {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return 0;
    }
    text.parse().unwrap_or(if text.starts_with('-') { i64::MIN } else { i64::MAX })
}

fn uint_from(text: &str, base: u32) -> Option<u64> {
    if base != 0 {
        let plain = !text.is_empty() && text.chars().all(|c| c.is_digit(base));
        return plain.then(|| u64::from_str_radix(text, base).ok()).flatten();
    }
    let lower = text.to_ascii_lowercase();
    let (digits, base) = match lower.get(..2) {
        Some("0x") => (lower.get(2..)?, 16),
        Some("0b") => (lower.get(2..)?, 2),
        Some("0o") => (lower.get(2..)?, 8),
        _ if lower.len() > 1 && lower.starts_with('0') => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if !underscores_fit(&lower) {
        return None;
    }
    uint_from(&digits.replace('_', ""), base)
}

/// Underscores only between digits, or between a prefix and digits.
fn underscores_fit(lower: &str) -> bool {
    let prefixed = ["0b", "0o", "0x"].iter().any(|prefix| lower.starts_with(prefix));
    let hex = lower.starts_with("0x");
    let mut before = if prefixed { '0' } else { '^' };
    for c in lower.chars().skip(if prefixed { 2 } else { 0 }) {
        before = match c {
            '0'..='9' => '0',
            'a'..='f' if hex => '0',
            '_' if before == '0' => '_',
            '_' => return false,
            _ if before == '_' => return false,
            _ => '!',
        };
    }
    before != '_'
}

/// `strconv.ParseFloat`: decimal, hexadecimal, infinities.
pub(crate) fn float_from(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
    match lower.as_str() {
        "inf" | "infinity" => return Some(sign * f64::INFINITY),
        "nan" => return Some(f64::NAN),
        _ => {}
    }
    if lower.contains('_') && !underscores_fit(&lower) {
        return None;
    }
    let lower = lower.replace('_', "");
    if let Some(hex) = lower.strip_prefix("0x") {
        return hex_float(hex).map(|f| sign * f);
    }
    if !lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let value: f64 = lower.parse().ok()?;
    value.is_finite().then_some(sign * value)
}

fn hex_float(hex: &str) -> Option<f64> {
    let (mantissa, exponent) = hex.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 13 || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let mantissa = u64::from_str_radix(&digits, 16).ok()? as f64;
    let exponent: i32 = exponent.parse().ok()?;
    let value = mantissa * 2_f64.powi(exponent.checked_sub(4 * i32::try_from(fraction.len()).ok()?)?);
    value.is_finite().then_some(value)
}
