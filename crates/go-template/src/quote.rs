//! `strconv.Quote` and its relatives.

use crate::runes;

/// In double quotes, with everything that does not print escaped.
pub(crate) fn quote(text: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = vec![b'"'];
    let mut at = 0;
    for (c, width) in runes::runes(text) {
        let raw = text.get(at).copied().unwrap_or_default();
        if c == runes::ERROR && width == 1 {
            out.extend_from_slice(format!("\\x{raw:02x}").as_bytes());
        } else {
            push_escaped(&mut out, c, '"', ascii);
        }
        at += width;
    }
    out.push(b'"');
    out
}

/// `strconv.QuoteRune`.
pub(crate) fn quote_rune(code: i64, ascii: bool) -> Vec<u8> {
    let c = u32::try_from(code).ok().and_then(char::from_u32).unwrap_or(runes::ERROR);
    let mut out = vec![b'\''];
    push_escaped(&mut out, c, '\'', ascii);
    out.push(b'\'');
    out
}

fn push_escaped(out: &mut Vec<u8>, c: char, quote: char, ascii: bool) {
    let simple = match c {
        '\x07' => Some("\\a"),
        '\x08' => Some("\\b"),
        '\x0c' => Some("\\f"),
        '\n' => Some("\\n"),
        '\r' => Some("\\r"),
        '\t' => Some("\\t"),
        '\x0b' => Some("\\v"),
        '\\' => Some("\\\\"),
        _ => None,
    };
    if let Some(escape) = simple {
        out.extend_from_slice(escape.as_bytes());
    } else if c == quote {
        out.push(b'\\');
        runes::push(out, c);
    } else if runes::is_print(c) && (c.is_ascii() || !ascii) {
        runes::push(out, c);
    } else {
        let code = u32::from(c);
        let escape = match code {
            0..0x20 | 0x7f => format!("\\x{code:02x}"),
            0..0x10000 => format!("\\u{code:04x}"),
            _ => format!("\\U{code:08x}"),
        };
        out.extend_from_slice(escape.as_bytes());
    }
}
