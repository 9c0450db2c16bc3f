//! Texts as Go sees them: bytes that are mostly UTF-8, and its classes and cases of characters.

use std::sync::LazyLock;

use regex::Regex;

/// What stands for a byte that is no character.
pub(crate) const ERROR: char = '\u{FFFD}';

/// Characters of `text` with the bytes they take; each byte that is no UTF-8 is [`ERROR`].
pub(crate) fn runes(text: &[u8]) -> impl Iterator<Item = (char, usize)> {
    text.utf8_chunks().flat_map(|chunk| {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        valid.chain(chunk.invalid().iter().map(|_| (ERROR, 1)))
    })
}

/// The characters alone.
pub(crate) fn chars(text: &[u8]) -> impl Iterator<Item = char> {
    runes(text).map(|(c, _)| c)
}

/// First character and its bytes; `None` for the empty text.
pub(crate) fn first(text: &[u8]) -> Option<(char, usize)> {
    runes(text.get(..text.len().min(4)).unwrap_or_default()).next()
}

macro_rules! class {
    ($name:ident, $doc:literal, $pattern:literal, $ascii:expr) => {
        #[doc = $doc]
        pub(crate) fn $name(c: char) -> bool {
            static CLASS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new($pattern).ok());
            if c.is_ascii() {
                let ascii: fn(u8) -> bool = $ascii;
                return u8::try_from(c).is_ok_and(ascii);
            }
            CLASS.as_ref().is_some_and(|class| class.is_match(c.encode_utf8(&mut [0; 4])))
        }
    };
}

class!(is_letter, "`unicode.IsLetter`", r"\pL", |b| b.is_ascii_alphabetic());
class!(is_digit, "`unicode.IsDigit`", r"\p{Nd}", |b| b.is_ascii_digit());
class!(is_number, "`unicode.IsNumber`", r"\pN", |b| b.is_ascii_digit());
class!(is_upper, "`unicode.IsUpper`", r"\p{Lu}", |b| b.is_ascii_uppercase());
class!(is_lower, "`unicode.IsLower`", r"\p{Ll}", |b| b.is_ascii_lowercase());
class!(is_title, "`unicode.IsTitle`", r"\p{Lt}", |_| false);
class!(is_punct, "`unicode.IsPunct`", r"\pP", |b| b.is_ascii_punctuation() && !b"$+<=>^`|~".contains(&b));
class!(is_print, "`unicode.IsPrint`", r"[\pL\pM\pN\pP\pS]", |b| b == b' ' || b.is_ascii_graphic());

/// `unicode.IsSpace`.
pub(crate) fn is_space(c: char) -> bool {
    c.is_whitespace()
}

/// `unicode.ToUpper`: one character for one.
pub(crate) fn to_upper(c: char) -> char {
    let mut all = c.to_uppercase();
    match (all.next(), all.next()) {
        (Some(upper), None) => upper,
        _ => match c {
            '\u{1F80}'..='\u{1FAF}' if u32::from(c) & 8 == 0 => char::from_u32(u32::from(c) + 8).unwrap_or(c),
            '\u{1FB3}' | '\u{1FC3}' | '\u{1FF3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
            _ => c,
        },
    }
}

/// `unicode.ToLower`.
pub(crate) fn to_lower(c: char) -> char {
    let mut all = c.to_lowercase();
    match (all.next(), all.next()) {
        (Some(lower), None) => lower,
        _ if c == '\u{130}' => 'i',
        _ => c,
    }
}

/// `unicode.ToTitle`: the upper case but for digraphs and Georgian.
pub(crate) fn to_title(c: char) -> char {
    match c {
        '\u{1C4}'..='\u{1C6}' => '\u{1C5}',
        '\u{1C7}'..='\u{1C9}' => '\u{1C8}',
        '\u{1CA}'..='\u{1CC}' => '\u{1CB}',
        '\u{1F1}'..='\u{1F3}' => '\u{1F2}',
        '\u{10D0}'..='\u{10FF}' => c,
        _ => to_upper(c),
    }
}

/// `strings.TrimSpace`.
pub(crate) fn trim_space(text: &[u8]) -> &[u8] {
    trim(text, is_space)
}

/// Without the characters at both ends that `cut` names.
pub(crate) fn trim(text: &[u8], cut: impl Fn(char) -> bool) -> &[u8] {
    let mut start = None;
    let (mut end, mut at) = (0, 0);
    for (c, width) in runes(text) {
        if !cut(c) {
            start.get_or_insert(at);
            end = at + width;
        }
        at += width;
    }
    text.get(start.unwrap_or(0)..end).unwrap_or_default()
}

/// Where `part` begins in `text`.
pub(crate) fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    text.windows(part.len()).position(|window| window == part)
}

/// `strings.SplitN` with any `limit` below 0 for no limit.
pub(crate) fn split(text: &[u8], separator: &[u8], limit: i64) -> Vec<Vec<u8>> {
    let limit = if limit < 0 { usize::MAX } else { usize::try_from(limit).unwrap_or(usize::MAX) };
    let (mut parts, mut rest) = (Vec::new(), text);
    if limit == 0 {
        return parts;
    }
    if separator.is_empty() {
        while let Some((_, width)) = first(rest) {
            let width = if parts.len() + 1 == limit { rest.len() } else { width };
            let (one, after) = rest.split_at(width);
            parts.push(one.to_vec());
            rest = after;
        }
        return parts;
    }
    while parts.len() + 1 < limit {
        let Some(at) = find(rest, separator) else { break };
        let (before, after) = rest.split_at(at);
        parts.push(before.to_vec());
        rest = after.get(separator.len()..).unwrap_or_default();
    }
    parts.push(rest.to_vec());
    parts
}

/// `strings.ReplaceAll`.
pub(crate) fn replace(text: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    if old.is_empty() {
        let mut out = new.to_vec();
        let mut rest = text;
        while let Some((_, width)) = first(rest) {
            let (one, after) = rest.split_at(width);
            out.extend_from_slice(one);
            out.extend_from_slice(new);
            rest = after;
        }
        return out;
    }
    split(text, old, -1).join(new)
}

/// Appends a character as UTF-8.
pub(crate) fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

/// Every character replaced.
pub(crate) fn map(text: &[u8], change: impl FnMut(char) -> char) -> Vec<u8> {
    chars(text).map(change).collect::<String>().into_bytes()
}
