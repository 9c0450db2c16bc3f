//! Strings: trimming, cutting, joining, quoting.

use super::Param::{Any, Int, Text};
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::error::Fault;
use crate::quote;
use crate::runes::{self, is_letter, is_space};
use crate::value::{Map, Of, Value};
use crate::{print, printf};

pub(super) const ALL: &[Function] = &[
    fixed("hello", &[], |_, _| text("Hello!")),
    fixed("trim", &[Text], |_, a| text(runes::trim_space(a.text(0)))),
    fixed("trimall", &[Text, Text], trim_all),
    fixed("trimAll", &[Text, Text], trim_all),
    fixed("trimSuffix", &[Text, Text], |_, a| text(a.text(1).strip_suffix(a.text(0)).unwrap_or(a.text(1)))),
    fixed("trimPrefix", &[Text, Text], |_, a| text(a.text(1).strip_prefix(a.text(0)).unwrap_or(a.text(1)))),
    fixed("upper", &[Text], |_, a| text(runes::map(a.text(0), runes::to_upper))),
    fixed("lower", &[Text], |_, a| text(runes::map(a.text(0), runes::to_lower))),
    fixed("title", &[Text], |_, a| text(title(a.text(0)))),
    fixed("substr", &[Int, Int, Text], substr),
    fixed("trunc", &[Int, Text], trunc),
    fixed("repeat", &[Int, Text], repeat),
    fixed("contains", &[Text, Text], |_, a| Ok(Value::Bool(runes::find(a.text(1), a.text(0)).is_some()))),
    fixed("hasPrefix", &[Text, Text], |_, a| Ok(Value::Bool(a.text(1).starts_with(a.text(0))))),
    fixed("hasSuffix", &[Text, Text], |_, a| Ok(Value::Bool(a.text(1).ends_with(a.text(0))))),
    open("quote", &[], Any, quoted),
    open("squote", &[], Any, single_quoted),
    open("cat", &[], Any, cat),
    fixed("indent", &[Int, Text], |env, a| Ok(Value::text(indent(env, a)?))),
    fixed("nindent", &[Int, Text], |env, a| Ok(Value::text([b"\n", indent(env, a)?.as_slice()].concat()))),
    fixed("replace", &[Text, Text, Text], replace),
    fixed("plural", &[Text, Text, Int], |_, a| text(if a.int(2) == 1 { a.text(0) } else { a.text(1) })),
    fixed("toString", &[Any], |env, a| Ok(Value::text(to_string(env, a.any(0))?))),
    fixed("toStrings", &[Any], |env, a| Ok(Value::texts(to_strings(env, a.any(0))?))),
    fixed("join", &[Text, Any], join),
    fixed("split", &[Text, Text], |env, a| numbered(env, a.text(0), -1, a.text(1))),
    fixed("splitn", &[Text, Int, Text], |env, a| numbered(env, a.text(0), a.int(1), a.text(2))),
    fixed("splitList", &[Text, Text], |env, a| {
        pieces(env, a.text(1))?;
        Ok(Value::texts(runes::split(a.text(1), a.text(0), -1)))
    }),
    fixed("atoi", &[Text], |_, a| Ok(Value::int(crate::literal::atoi(&a.utf8(0))))),
];

pub(super) fn text(text: impl AsRef<[u8]>) -> Outcome {
    Ok(Value::text(text))
}

/// A list of texts can take many times the room of the text it comes from.
fn pieces(env: &Env<'_>, whole: &[u8]) -> Result<(), Fault> {
    env.budget.bytes(whole.len() as u64 * 16)
}

fn trim_all(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let cut: Vec<char> = runes::chars(args.text(0)).collect();
    text(runes::trim(args.text(1), |c| cut.contains(&c)))
}

fn title(given: &[u8]) -> Vec<u8> {
    let mut before = ' ';
    runes::map(given, |c| {
        let begins = is_separator(before);
        before = c;
        if begins { runes::to_title(c) } else { c }
    })
}

fn is_separator(c: char) -> bool {
    match c {
        '0'..='9' | 'a'..='z' | 'A'..='Z' | '_' => false,
        c if c.is_ascii() => true,
        c => !is_letter(c) && !runes::is_digit(c) && is_space(c),
    }
}

fn cut(given: &[u8], start: i64, end: i64) -> Outcome {
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    match range.and_then(|(start, end)| given.get(start..end)) {
        Some(part) => text(part),
        None => Fault::new("slice bounds out of range"),
    }
}

fn substr(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (start, end, given) = (args.int(0), args.int(1), args.text(2));
    let len = given.len() as i64;
    if start < 0 {
        return cut(given, 0, end);
    }
    if end < 0 || end > len {
        return cut(given, start, len);
    }
    cut(given, start, end)
}

fn trunc(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (count, given) = (args.int(0), args.text(1));
    let len = given.len() as i64;
    if count < 0 && len.saturating_add(count) > 0 {
        return cut(given, len + count, len);
    }
    if count >= 0 && len > count {
        return cut(given, 0, count);
    }
    text(given)
}

fn repeat(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (count, given) = (args.int(0), args.text(1));
    let Ok(count) = usize::try_from(count) else {
        return Fault::new("strings: negative Repeat count");
    };
    if given.is_empty() {
        return text("");
    }
    env.budget.bytes((given.len() as u64).saturating_mul(count as u64))?;
    text(given.repeat(count))
}

fn quoted(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for value in args.from(0).iter().filter(|value| !value.is_nothing()) {
        all.push(quote::quote(&to_string(env, value)?, false));
    }
    text(all.join(&b' '))
}

fn single_quoted(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for value in args.from(0).iter().filter(|value| !value.is_nothing()) {
        all.push([b"'", print::to_text(&env.budget, value)?.as_slice(), b"'"].concat());
    }
    text(all.join(&b' '))
}

fn cat(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let given: Vec<Value> = args.from(0).iter().filter(|value| !value.is_nothing()).cloned().collect();
    let format = "%v ".repeat(given.len());
    text(printf::sprintf(&env.budget, format.trim().as_bytes(), &given)?)
}

fn indent(env: &Env<'_>, args: &Args<'_>) -> Result<Vec<u8>, Fault> {
    let (spaces, given) = (args.int(0), args.text(1));
    let Ok(spaces) = usize::try_from(spaces) else {
        return Err("strings: negative Repeat count".into());
    };
    let lines = runes::split(given, b"\n", -1).len() as u64;
    env.budget.bytes(lines.saturating_mul(spaces as u64))?;
    let pad = vec![b' '; spaces];
    let between = [b"\n", pad.as_slice()].concat();
    Ok([pad.as_slice(), &runes::replace(given, b"\n", &between)].concat())
}

fn replace(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (old, new, given) = (args.text(0), args.text(1), args.text(2));
    let places = if old.is_empty() { given.len() + 1 } else { given.len() / old.len() };
    env.budget.bytes((places as u64).saturating_mul(new.len() as u64 + 24).min(1 << 40))?;
    text(runes::replace(given, old, new))
}

/// sprig's `strval`.
pub(super) fn to_string(env: &Env<'_>, value: &Value) -> Result<Vec<u8>, Fault> {
    match value {
        Value::Text(text) => Ok(text.to_vec()),
        other => print::to_text(&env.budget, other),
    }
}

/// sprig's `strslice`.
pub(super) fn to_strings(env: &Env<'_>, value: &Value) -> Result<Vec<Vec<u8>>, Fault> {
    match value {
        Value::List(list) => {
            let there = list.items().iter().filter(|item| !item.is_nothing());
            there.map(|item| to_string(env, item)).collect()
        }
        Value::Absent | Value::Nil => Ok(Vec::new()),
        other => Ok(vec![to_string(env, other)?]),
    }
}

fn join(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let parts = to_strings(env, args.any(1))?;
    env.budget.bytes((parts.len() as u64).saturating_mul(args.text(0).len() as u64))?;
    text(parts.join(args.text(0)))
}

fn numbered(env: &Env<'_>, separator: &[u8], limit: i64, given: &[u8]) -> Outcome {
    pieces(env, given)?;
    let parts = runes::split(given, separator, limit).into_iter().enumerate();
    let entries = parts.map(|(i, part)| (format!("_{i}").as_bytes().into(), Value::text(part)));
    Ok(Value::Map(Map::new(Of::Text, entries.collect())))
}
