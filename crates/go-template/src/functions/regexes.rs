//! Regular expressions: Go's syntax, rewritten for the `regex` crate (`pattern.rs`).

use std::borrow::Cow;

use regex::{Captures, Regex, RegexBuilder};

use super::Param::{Int, Text};
use super::pattern;
use super::strings::text;
use super::{Args, Env, Function, Outcome, fixed};
use crate::error::Fault;
use crate::runes::{self, is_digit, is_letter};
use crate::value::{List, Of, Value};

pub(super) const ALL: &[Function] = &[
    fixed("regexMatch", &[Text, Text], |env, a| match compile(env, a) {
        Ok(pattern) => Ok(Value::Bool(pattern.is_match(&Searched::new(a.text(1)).text))),
        Err(Fault::Message(_)) => Ok(Value::Bool(false)),
        Err(limit) => Err(limit),
    }),
    fixed("mustRegexMatch", &[Text, Text], |env, a| {
        Ok(Value::Bool(compile(env, a)?.is_match(&Searched::new(a.text(1)).text)))
    }),
    fixed("regexFind", &[Text, Text], find),
    fixed("mustRegexFind", &[Text, Text], find),
    fixed("regexFindAll", &[Text, Text, Int], find_all),
    fixed("mustRegexFindAll", &[Text, Text, Int], find_all),
    fixed("regexReplaceAll", &[Text, Text, Text], |env, a| replace(env, a, false)),
    fixed("mustRegexReplaceAll", &[Text, Text, Text], |env, a| replace(env, a, false)),
    fixed("regexReplaceAllLiteral", &[Text, Text, Text], |env, a| replace(env, a, true)),
    fixed("mustRegexReplaceAllLiteral", &[Text, Text, Text], |env, a| replace(env, a, true)),
    fixed("regexSplit", &[Text, Text, Int], split),
    fixed("mustRegexSplit", &[Text, Text, Int], split),
];

/// Largest compiled pattern.
const SIZE: usize = 1 << 20;

fn compile(env: &Env<'_>, args: &Args<'_>) -> Result<Regex, Fault> {
    env.budget.steps(args.text(0).len() as u64 + 10)?;
    // Searching takes at most the time of text times pattern.
    let (pattern, searched) = (args.text(0).len() as u64, args.text(1).len() as u64);
    env.budget.steps(pattern.saturating_mul(searched) / 128)?;
    let rewritten = pattern::from_go(&args.utf8(0))?;
    let built = RegexBuilder::new(&rewritten).size_limit(SIZE).dfa_size_limit(SIZE).nest_limit(100).build();
    built.map_err(|why| match why {
        regex::Error::CompiledTooBig(size) => Fault::Limit(format!("a pattern of more than {size} bytes")),
        _ => Fault::Message("invalid regular expression".into()),
    })
}

/// A text to search. Go takes each byte that is no UTF-8 for the character U+FFFD, but gives it back
/// as it was.
struct Searched<'a> {
    bytes: &'a [u8],
    text: Cow<'a, str>,
    /// Where each byte of `text` comes from, unless they are the same.
    origins: Option<Vec<usize>>,
}

impl<'a> Searched<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        if let Ok(text) = std::str::from_utf8(bytes) {
            return Self { bytes, text: text.into(), origins: None };
        }
        let (mut text, mut origins, mut at) = (String::new(), Vec::new(), 0);
        for (c, width) in runes::runes(bytes) {
            origins.extend(std::iter::repeat_n(at, c.len_utf8()));
            text.push(c);
            at += width;
        }
        origins.push(at);
        Self { bytes, text: text.into(), origins: Some(origins) }
    }

    fn origin(&self, at: usize) -> usize {
        self.origins.as_ref().and_then(|origins| origins.get(at).copied()).unwrap_or(at)
    }

    /// The bytes between two places of `text`.
    fn part(&self, start: usize, end: usize) -> &'a [u8] {
        self.bytes.get(self.origin(start)..self.origin(end)).unwrap_or_default()
    }
}

fn find(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let pattern = compile(env, args)?;
    let searched = Searched::new(args.text(1));
    text(pattern.find(&searched.text).map_or(&b""[..], |found| searched.part(found.start(), found.end())))
}

fn limit(count: i64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn find_all(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let pattern = compile(env, args)?;
    env.budget.bytes(args.text(1).len() as u64 * 16)?;
    let searched = Searched::new(args.text(1));
    let all = pattern.find_iter(&searched.text).take(limit(args.int(2)));
    let found: Vec<Vec<u8>> = all.map(|m| searched.part(m.start(), m.end()).to_vec()).collect();
    Ok(if found.is_empty() { Value::List(List::none(Of::Text)) } else { Value::texts(found) })
}

fn replace(env: &Env<'_>, args: &Args<'_>, literal: bool) -> Outcome {
    let pattern = compile(env, args)?;
    let (searched, new) = (Searched::new(args.text(1)), args.text(2));
    let (mut out, mut at) = (Vec::new(), 0);
    for found in pattern.captures_iter(&searched.text) {
        let Some(whole) = found.get(0) else { continue };
        out.extend_from_slice(searched.part(at, whole.start()));
        let before = out.len();
        if literal {
            out.extend_from_slice(new);
        } else {
            expand(&searched, &found, new, &mut out);
        }
        env.budget.bytes((out.len() - before) as u64 + 16)?;
        at = whole.end();
    }
    out.extend_from_slice(searched.part(at, searched.text.len()));
    text(out)
}

/// `Regexp.Expand`: `$1`, `${name}`, `$$`.
fn expand(searched: &Searched<'_>, found: &Captures<'_>, template: &[u8], out: &mut Vec<u8>) {
    let mut rest = template;
    while let Some(at) = rest.iter().position(|b| *b == b'$') {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        let after = after.get(1..).unwrap_or_default();
        if let Some(after) = after.strip_prefix(b"$") {
            out.push(b'$');
            rest = after;
            continue;
        }
        let braced = after.starts_with(b"{");
        let inner = after.get(usize::from(braced)..).unwrap_or_default();
        let letters = runes::runes(inner).take_while(|(c, _)| *c == '_' || is_letter(*c) || is_digit(*c));
        let length: usize = letters.map(|(_, width)| width).sum();
        let (name, tail) = inner.split_at(length);
        let tail = if braced { tail.strip_prefix(b"}") } else { Some(tail) };
        let (Some(tail), false) = (tail, name.is_empty()) else {
            out.push(b'$');
            rest = after;
            continue;
        };
        let name = String::from_utf8_lossy(name);
        let group = name.parse().map_or_else(|_| found.name(&name), |number: usize| found.get(number));
        if let Some(group) = group {
            out.extend_from_slice(searched.part(group.start(), group.end()));
        }
        rest = tail;
    }
    out.extend_from_slice(rest);
}

fn split(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let pattern = compile(env, args)?;
    let (searched, count) = (Searched::new(args.text(1)), args.int(2));
    env.budget.bytes(searched.bytes.len() as u64 * 16)?;
    if count == 0 {
        return Ok(Value::List(List::none(Of::Text)));
    }
    if !args.text(0).is_empty() && searched.bytes.is_empty() {
        return Ok(Value::texts([Vec::new()]));
    }
    let (mut parts, mut begin, mut end) = (Vec::new(), 0, 0);
    for found in pattern.find_iter(&searched.text).take(limit(count)) {
        if count > 0 && parts.len() + 1 == limit(count) {
            break;
        }
        end = found.start();
        if found.end() != 0 {
            parts.push(searched.part(begin, end).to_vec());
        }
        begin = found.end();
    }
    if end != searched.text.len() {
        parts.push(searched.part(begin, searched.text.len()).to_vec());
    }
    Ok(Value::texts(parts))
}
