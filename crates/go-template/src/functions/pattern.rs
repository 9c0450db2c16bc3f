//! Go's regular expressions in the syntax of the `regex` crate.
//!
//! Both have the same semantics (leftmost, first alternative). The syntax differs: classes such as
//! `\d` are ASCII in Go, brackets do not nest, `{` may stand for itself, `\Q…\E` quotes. What only
//! the crate knows (`(?x)`, `\u{..}`, `\<`, `&&`) is refused or taken literally, as Go does.

use std::iter::Peekable;
use std::str::Chars;

const BAD: &str = "invalid regular expression";
const META: &[u8] = br"\.+*?()|[]{}^$";

type Rest<'a> = Peekable<Chars<'a>>;

/// `regexp.QuoteMeta`.
pub(super) fn quote_meta(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if META.contains(byte) {
            out.push(b'\\');
        }
        out.push(*byte);
    }
    out
}

/// Rewrites a pattern.
pub(super) fn from_go(pattern: &str) -> Result<String, &'static str> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut rest = pattern.chars().peekable();
    // What a repetition may follow, and whether one was just read.
    let mut repeated = false;
    while let Some(c) = rest.next() {
        let mut repeats = false;
        match c {
            '\\' => escape(&mut rest, &mut out)?,
            '[' => class(&mut rest, &mut out)?,
            '(' => group(&mut rest, &mut out)?,
            '*' | '+' | '?' => {
                if repeated {
                    return Err(BAD);
                }
                repeats = true;
                out.push(c);
            }
            '{' => match counted(&rest) {
                Some((length, text)) => {
                    if repeated {
                        return Err(BAD);
                    }
                    repeats = true;
                    rest.nth(length - 1);
                    out.push_str(&text?);
                }
                None => out.push_str("\\{"),
            },
            '}' => out.push_str("\\}"),
            ']' => out.push_str("\\]"),
            c => out.push(c),
        }
        if repeats && rest.peek() == Some(&'?') {
            rest.next();
            out.push('?');
        }
        repeated = repeats;
    }
    Ok(out)
}

/// `{n}`, `{n,}` or `{n,m}` after the brace: its length and text.
fn counted(rest: &Rest<'_>) -> Option<(usize, Result<String, &'static str>)> {
    let text: String = rest.clone().take_while(|c| *c != '}').collect();
    rest.clone().nth(text.chars().count())?;
    let (least, most) = text.split_once(',').unwrap_or((&text, &text));
    let is_number =
        |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()) && (n == "0" || !n.starts_with('0'));
    if !is_number(least) || (!most.is_empty() && !is_number(most)) {
        return None;
    }
    let small = |n: &str| n.parse::<u32>().ok().filter(|n| *n <= 1000);
    let fits = small(least).is_some_and(|least| most.is_empty() || small(most).is_some_and(|most| most >= least));
    let result = if fits { Ok(format!("{{{text}}}")) } else { Err(BAD) };
    Some((text.len() + 1, result))
}

fn group(rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    out.push('(');
    if rest.peek() != Some(&'?') {
        return Ok(());
    }
    rest.next();
    out.push('?');
    let ahead: String = rest.clone().take(2).collect();
    if ahead.starts_with("P<") || ahead.starts_with('<') {
        if ahead.starts_with("<=") || ahead.starts_with("<!") {
            return Err(BAD);
        }
        let name: String = rest.by_ref().take_while(|c| *c != '>').collect();
        let bare = name.trim_start_matches('P').trim_start_matches('<');
        if bare.is_empty() || !bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(BAD);
        }
        // The crate refuses names that begin with a digit.
        if bare.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(BAD);
        }
        out.push_str(&format!("P<{bare}>"));
        return Ok(());
    }
    loop {
        match rest.next() {
            Some(c @ ('i' | 'm' | 's' | 'U' | '-')) => out.push(c),
            Some(c @ (':' | ')')) => {
                out.push(c);
                return Ok(());
            }
            _ => return Err(BAD),
        }
    }
}

/// The ASCII classes by letter.
fn letter_class(c: char) -> Option<&'static str> {
    Some(match c {
        'd' => "0-9",
        'w' => "0-9A-Za-z_",
        's' => r"\t\n\f\r ",
        _ => return None,
    })
}

fn escape(rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    let c = rest.next().ok_or(BAD)?;
    match c {
        'Q' => {
            let mut quoted = String::new();
            while let Some(c) = rest.next() {
                if c == '\\' && rest.peek() == Some(&'E') {
                    rest.next();
                    break;
                }
                quoted.push(c);
            }
            out.push_str(&regex::escape(&quoted));
        }
        'A' | 'z' => {
            out.push('\\');
            out.push(c);
        }
        'b' | 'B' => out.push_str(&format!("(?-u:\\{c})")),
        'd' | 's' | 'w' => out.push_str(&format!("[{}]", letter_class(c).ok_or(BAD)?)),
        'D' | 'S' | 'W' => out.push_str(&format!("[^{}]", letter_class(c.to_ascii_lowercase()).ok_or(BAD)?)),
        'p' | 'P' => property(c, rest, out)?,
        c => literal(character(c, rest)?, out),
    }
    Ok(())
}

fn property(c: char, rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    let name: String = match rest.next().ok_or(BAD)? {
        '{' => {
            let name: String = rest.by_ref().take_while(|c| *c != '}').collect();
            name
        }
        one => one.to_string(),
    };
    let (negated, name) = name.strip_prefix('^').map_or((c == 'P', name.as_str()), |name| (c == 'p', name));
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(BAD);
    }
    // Go's names are case sensitive.
    if name == "Any" {
        out.push_str(if negated { r"[^\x{0}-\x{10FFFF}]" } else { r"[\x{0}-\x{10FFFF}]" });
        return Ok(());
    }
    if !name.starts_with(|c: char| c.is_ascii_uppercase()) {
        return Err(BAD);
    }
    out.push_str(&format!("\\{}{{{name}}}", if negated { 'P' } else { 'p' }));
    Ok(())
}

/// An escaped character.
fn character(c: char, rest: &mut Rest<'_>) -> Result<char, &'static str> {
    Ok(match c {
        'a' => '\x07',
        'f' => '\x0c',
        't' => '\t',
        'n' => '\n',
        'r' => '\r',
        'v' => '\x0b',
        'x' => {
            let digits: String = if rest.peek() == Some(&'{') {
                rest.next();
                rest.by_ref().take_while(|c| *c != '}').collect()
            } else {
                rest.by_ref().take(2).collect()
            };
            let code = u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32);
            code.filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit())).ok_or(BAD)?
        }
        '0'..='7' => {
            // One octal digit alone would be a reference back, but for zero.
            let mut digits = c.to_string();
            while digits.len() < 3 && rest.peek().is_some_and(|c| ('0'..='7').contains(c)) {
                digits.extend(rest.next());
            }
            if c != '0' && digits.len() == 1 {
                return Err(BAD);
            }
            u32::from_str_radix(&digits, 8).ok().and_then(char::from_u32).ok_or(BAD)?
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => c,
        _ => return Err(BAD),
    })
}

fn literal(c: char, out: &mut String) {
    out.push_str(&format!("\\x{{{:X}}}", u32::from(c)));
}

/// A bracket after its opening.
fn class(rest: &mut Rest<'_>, out: &mut String) -> Result<(), &'static str> {
    out.push('[');
    if rest.peek() == Some(&'^') {
        rest.next();
        out.push('^');
    }
    let mut first = true;
    loop {
        let c = rest.next().ok_or(BAD)?;
        if c == ']' && !first {
            out.push(']');
            return Ok(());
        }
        // A dash is itself at the ends only.
        if c == '-' && !first && rest.peek() != Some(&']') {
            return Err(BAD);
        }
        first = false;
        if c == '[' && rest.peek() == Some(&':') {
            let name: String = rest.clone().skip(1).take_while(|c| *c != ']').collect();
            if let Some(name) = name.strip_suffix(':') {
                let plain = name.trim_start_matches('^');
                if !POSIX.contains(&plain) {
                    return Err(BAD);
                }
                out.push_str(&format!("[:{name}:]"));
                rest.nth(name.chars().count() + 2);
                continue;
            }
        }
        if c == '\\' {
            match rest.peek().copied().ok_or(BAD)? {
                letter @ ('d' | 's' | 'w') => {
                    rest.next();
                    out.push_str(letter_class(letter).ok_or(BAD)?);
                    continue;
                }
                letter @ ('D' | 'S' | 'W') => {
                    rest.next();
                    out.push_str(&format!("[^{}]", letter_class(letter.to_ascii_lowercase()).ok_or(BAD)?));
                    continue;
                }
                letter @ ('p' | 'P') => {
                    rest.next();
                    property(letter, rest, out)?;
                    continue;
                }
                _ => {}
            }
        }
        let low = member(c, rest)?;
        literal(low, out);
        let mut ahead = rest.clone();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
            rest.next();
            let high = rest.next().ok_or(BAD)?;
            let high = member(high, rest)?;
            if high < low {
                return Err(BAD);
            }
            out.push('-');
            literal(high, out);
        }
    }
}

const POSIX: &[&str] = &[
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

fn member(c: char, rest: &mut Rest<'_>) -> Result<char, &'static str> {
    if c != '\\' {
        return Ok(c);
    }
    let escaped = rest.next().ok_or(BAD)?;
    character(escaped, rest)
}
