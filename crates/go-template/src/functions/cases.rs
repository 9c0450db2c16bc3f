//! Strings: cases of words, abbreviating, wrapping.

use super::Param::{Int, Text};
use super::strings::text;
use super::{Args, Env, Function, Outcome, fixed};
use crate::error::Fault;
use crate::runes::{self, is_letter, is_number, is_punct, is_space, is_upper};

pub(super) const ALL: &[Function] = &[
    fixed("abbrev", &[Int, Text], |_, a| abbreviated(0, a.int(0), a.text(1), a.int(0) < 4)),
    fixed("abbrevboth", &[Int, Int, Text], |_, a| {
        let (left, right) = (a.int(0), a.int(1));
        abbreviated(left, right, a.text(2), right < 4 || left > 0 && right < 7)
    }),
    fixed("untitle", &[Text], |_, a| text(untitle(a.text(0)))),
    fixed("nospace", &[Text], |_, a| text(nospace(a.text(0)))),
    fixed("initials", &[Text], |_, a| text(initials(a.text(0)))),
    fixed("swapcase", &[Text], |_, a| text(swapcase(a.text(0)))),
    fixed("snakecase", &[Text], |_, a| text(lower_case(a.text(0), '_'))),
    fixed("kebabcase", &[Text], |_, a| text(lower_case(a.text(0), '-'))),
    fixed("camelcase", &[Text], |_, a| text(camel_case(a.text(0)))),
    fixed("wrap", &[Int, Text], |env, a| text(wrap(env, a.text(1), a.int(0), b"\n", false)?)),
    fixed("wrapWith", &[Int, Text, Text], wrap_with),
];

fn abbreviated(offset: i64, width: i64, given: &[u8], too_short: bool) -> Outcome {
    if too_short {
        return text(given);
    }
    match abbreviate(offset, width, given) {
        Some(short) => text(short),
        None => Fault::new("slice bounds out of range"),
    }
}

/// goutils' `AbbreviateFull`; its errors are empty texts.
fn abbreviate(offset: i64, width: i64, given: &[u8]) -> Option<Vec<u8>> {
    let len = given.len() as i64;
    let part = |start: i64, end: i64| given.get(usize::try_from(start).ok()?..usize::try_from(end).ok()?);
    if given.is_empty() || width < 4 {
        return Some(Vec::new());
    }
    if len <= width {
        return Some(given.to_vec());
    }
    let mut offset = offset.min(len);
    if len - offset < width - 3 {
        offset = len - (width - 3);
    }
    if offset <= 4 {
        return Some([part(0, width - 3)?, b"..."].concat());
    }
    if width < 7 {
        return Some(Vec::new());
    }
    if offset + width - 3 < len {
        let inner = abbreviate(0, width - 3, part(offset, len)?)?;
        return Some([b"...", inner.as_slice()].concat());
    }
    Some([b"...", part(len - (width - 3), len)?].concat())
}

fn untitle(given: &[u8]) -> Vec<u8> {
    let mut begins = true;
    runes::map(given, |c| {
        if is_space(c) {
            begins = true;
            c
        } else if std::mem::take(&mut begins) {
            runes::to_lower(c)
        } else {
            c
        }
    })
}

/// goutils walks bytes and takes each for a character of Latin-1.
fn nospace(given: &[u8]) -> Vec<u8> {
    if !given.iter().any(|b| is_space(char::from(*b))) {
        return given.to_vec();
    }
    let kept = given.iter().map(|b| char::from(*b)).filter(|c| !is_space(*c));
    kept.collect::<String>().into_bytes()
}

fn initials(given: &[u8]) -> Vec<u8> {
    let mut gap = true;
    let mut out = String::new();
    for c in given.iter().map(|b| char::from(*b)) {
        if is_space(c) {
            gap = true;
        } else if std::mem::take(&mut gap) {
            out.push(c);
        }
    }
    out.into_bytes()
}

fn swapcase(given: &[u8]) -> Vec<u8> {
    let mut after_space = true;
    runes::map(given, |c| {
        if is_upper(c) || runes::is_title(c) {
            after_space = false;
            runes::to_lower(c)
        } else if runes::is_lower(c) {
            if std::mem::take(&mut after_space) { runes::to_title(c) } else { runes::to_upper(c) }
        } else {
            after_space = is_space(c);
            c
        }
    })
}

fn is_connector(c: char) -> bool {
    c == '-' || c == '_' || is_space(c)
}

fn camel_case(given: &[u8]) -> Vec<u8> {
    let chars: Vec<char> = runes::chars(given).collect();
    let leading = chars.iter().take_while(|c| is_connector(**c)).count();
    let (connectors, rest) = chars.split_at(leading);
    let mut out: String = connectors.iter().collect();
    let Some((first, rest)) = rest.split_first() else {
        // The last connector is written twice: a slip of the original.
        out.extend(connectors.last());
        return out.into_bytes();
    };
    let mut current = runes::to_upper(*first);
    for next in rest {
        let before = std::mem::replace(&mut current, *next);
        match (is_connector(current), is_connector(before)) {
            (true, true) => out.push(before),
            (false, true) => current = runes::to_upper(current),
            _ => {
                current = runes::to_lower(current);
                out.push(before);
            }
        }
    }
    out.push(current);
    out.into_bytes()
}

/// Kinds of words that snake and kebab case tell apart.
#[derive(Clone, Copy, PartialEq)]
enum Word {
    None,
    Number,
    Upper,
    Alphabet,
    Connector,
    Punct,
    Other,
}

/// A letter, but no CJK ideograph.
fn is_alphabet(c: char) -> bool {
    let cjk = matches!(c, '\u{4E00}'..='\u{9FCC}' | '\u{3400}'..='\u{4D85}' | '\u{20000}'..='\u{2B81D}');
    is_letter(c) && !cjk
}

struct Words<'a> {
    rest: &'a [char],
}

impl<'a> Words<'a> {
    fn next(&mut self) -> (Word, &'a [char]) {
        let Some(first) = self.rest.first().copied() else {
            return (Word::None, &[]);
        };
        let run = |belongs: &dyn Fn(char) -> bool| 1 + self.rest.iter().skip(1).take_while(|c| belongs(**c)).count();
        let small = |c: char| is_alphabet(c) && !is_upper(c);
        let (kind, length) = if is_connector(first) {
            (Word::Connector, run(&is_connector))
        } else if is_punct(first) {
            (Word::Punct, run(&is_punct))
        } else if is_upper(first) {
            (Word::Upper, self.upper_length())
        } else if is_alphabet(first) {
            (Word::Alphabet, run(&small))
        } else if is_number(first) {
            (Word::Number, run(&is_number))
        } else {
            (Word::Other, run(&|c| !is_connector(c) && !is_alphabet(c) && !is_number(c) && !is_punct(c)))
        };
        let (word, rest) = self.rest.split_at(length.min(self.rest.len()));
        self.rest = rest;
        (kind, word)
    }

    /// `HTTPStatus` is `HTTP` and `Status`.
    fn upper_length(&self) -> usize {
        let count = self.rest.iter().take_while(|c| is_upper(**c)).count();
        let after = self.rest.get(count).copied();
        if count > 1 {
            return if after.is_some_and(is_alphabet) { count - 1 } else { count };
        }
        1 + self.rest.iter().skip(1).take_while(|c| is_alphabet(**c) && !is_upper(**c)).count()
    }
}

fn push_word(out: &mut String, kind: Word, word: &[char], connector: char) {
    if kind != Word::Upper && kind != Word::Connector {
        out.extend(word);
        return;
    }
    out.extend(word.iter().map(|c| if is_connector(*c) { connector } else { runes::to_lower(*c) }));
}

fn lower_case(given: &[u8], connector: char) -> Vec<u8> {
    let chars: Vec<char> = runes::chars(given).collect();
    let mut words = Words { rest: &chars };
    let mut out = String::new();
    let (mut kind, mut word) = words.next();
    let breaks = |kind: Word| kind != Word::Connector && kind != Word::Punct;
    while !words.rest.is_empty() {
        if kind != Word::Connector {
            push_word(&mut out, kind, word, connector);
        }
        let (before, last) = (kind, word);
        (kind, word) = words.next();
        match before {
            Word::Number => {
                while matches!(kind, Word::Alphabet | Word::Number) {
                    push_word(&mut out, kind, word, connector);
                    (kind, word) = words.next();
                }
                if kind != Word::None && breaks(kind) {
                    out.push(connector);
                }
            }
            Word::Connector => push_word(&mut out, before, last, connector),
            Word::Punct => {}
            _ if kind != Word::Number => {
                if breaks(kind) {
                    out.push(connector);
                }
            }
            _ if words.rest.is_empty() => {}
            _ => {
                let number = word;
                (kind, word) = words.next();
                if kind != Word::Alphabet {
                    push_word(&mut out, Word::Number, number, connector);
                    if breaks(kind) {
                        out.push(connector);
                    }
                    continue;
                }
                out.push(connector);
                push_word(&mut out, Word::Number, number, connector);
                while matches!(kind, Word::Alphabet | Word::Number) {
                    push_word(&mut out, kind, word, connector);
                    (kind, word) = words.next();
                }
                if kind != Word::None && breaks(kind) {
                    out.push(connector);
                }
            }
        }
    }
    push_word(&mut out, kind, word, connector);
    out.into_bytes()
}

fn wrap_with(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let separator: &[u8] = if args.text(1).is_empty() { b"\n" } else { args.text(1) };
    text(wrap(env, args.text(2), args.int(0), separator, true)?)
}

fn wrap(env: &Env<'_>, given: &[u8], width: i64, separator: &[u8], break_words: bool) -> Result<Vec<u8>, Fault> {
    let width = usize::try_from(width.max(1)).unwrap_or(usize::MAX);
    env.budget.bytes((given.len() as u64).saturating_mul(separator.len() as u64) / width as u64)?;
    let (mut out, mut rest) = (Vec::new(), given);
    let space = |text: &[u8]| text.iter().rposition(|b| *b == b' ');
    while rest.len() > width {
        if let Some(after) = rest.strip_prefix(b" ") {
            rest = after;
            continue;
        }
        let found = rest.get(..=width).and_then(space);
        let (cut, skip) = match found {
            Some(at) => (at, 1),
            None if break_words => (width, 0),
            None => match rest.iter().skip(width).position(|b| *b == b' ') {
                Some(at) => (at + width, 1),
                None => break,
            },
        };
        let (head, tail) = rest.split_at(cut);
        out.extend_from_slice(head);
        out.extend_from_slice(separator);
        rest = tail.get(skip..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    Ok(out)
}
