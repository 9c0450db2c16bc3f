//! JSON as `encoding/json` reads and writes it.

use serde_json::Value as Json;

use super::Param::{Any, Text};
use super::{Env, Function, Outcome, fixed};
use crate::budget::Budget;
use crate::data;
use crate::error::Fault;
use crate::numbers;
use crate::runes;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("fromJson", &[Text], |env, a| Ok(decode(env, a.text(0)).unwrap_or(Value::Nil))),
    fixed("mustFromJson", &[Text], |env, a| decode(env, a.text(0))),
    fixed("toJson", &[Any], |env, a| lenient(env, a.any(0), Style::COMPACT)),
    fixed("mustToJson", &[Any], |env, a| encode(env, a.any(0), Style::COMPACT)),
    fixed("toPrettyJson", &[Any], |env, a| lenient(env, a.any(0), Style::PRETTY)),
    fixed("mustToPrettyJson", &[Any], |env, a| encode(env, a.any(0), Style::PRETTY)),
    fixed("toRawJson", &[Any], |env, a| encode(env, a.any(0), Style::RAW)),
    fixed("mustToRawJson", &[Any], |env, a| encode(env, a.any(0), Style::RAW)),
];

#[derive(Clone, Copy)]
struct Style {
    pretty: bool,
    html: bool,
}

impl Style {
    const COMPACT: Self = Self { pretty: false, html: true };
    const PRETTY: Self = Self { pretty: true, html: true };
    const RAW: Self = Self { pretty: false, html: false };
}

fn decode(env: &Env<'_>, text: &[u8]) -> Outcome {
    env.budget.bytes(text.len() as u64 * 16)?;
    let text = String::from_utf8_lossy(text);
    match serde_json::from_str::<Json>(&text) {
        Ok(json) => Ok(data::from_json(&json, true)),
        Err(_) => Fault::new("invalid JSON"),
    }
}

/// Without `must`, what cannot be encoded is the empty text.
fn lenient(env: &Env<'_>, value: &Value, style: Style) -> Outcome {
    match encode(env, value, style) {
        Err(Fault::Message(_)) => Ok(Value::text("")),
        other => other,
    }
}

fn encode(env: &Env<'_>, value: &Value, style: Style) -> Outcome {
    let mut out = Vec::new();
    write(&env.budget, &mut out, value, style, 0)?;
    Ok(Value::text(out))
}

fn newline(out: &mut Vec<u8>, style: Style, depth: usize) {
    if style.pretty {
        out.push(b'\n');
        out.extend(std::iter::repeat_n(b' ', depth * 2));
    }
}

fn write(budget: &Budget, out: &mut Vec<u8>, value: &Value, style: Style, depth: usize) -> Result<(), Fault> {
    Budget::nesting(depth)?;
    budget.step()?;
    budget.bytes(if style.pretty { depth as u64 * 2 + 16 } else { 16 })?;
    match value {
        Value::Absent | Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(_, n) => out.extend_from_slice(n.to_string().as_bytes()),
        Value::Float(f) => out.extend_from_slice(float(*f)?.as_bytes()),
        Value::Text(text) => {
            budget.bytes(text.len() as u64)?;
            string(out, text, style.html);
        }
        Value::Time(t) => string(out, t.rfc3339().as_bytes(), style.html),
        Value::Version(v) => string(out, v.to_string().as_bytes(), style.html),
        Value::List(list) if list.nil => out.extend_from_slice(b"null"),
        Value::List(list) => {
            out.push(b'[');
            for (i, item) in list.items().iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                newline(out, style, depth + 1);
                write(budget, out, item, style, depth + 1)?;
            }
            if !list.items().is_empty() {
                newline(out, style, depth);
            }
            out.push(b']');
        }
        Value::Map(map) if map.nil => out.extend_from_slice(b"null"),
        Value::Map(map) => {
            let entries = map.snapshot();
            object(budget, out, entries.iter().map(|(key, item)| (&**key, item)), style, depth)?;
        }
        Value::Struct(fields) => {
            let entries = fields.fields.iter().map(|(name, item)| (name.as_bytes(), item));
            object(budget, out, entries, style, depth)?;
        }
    }
    Ok(())
}

fn object<'v>(
    budget: &Budget,
    out: &mut Vec<u8>,
    entries: impl Iterator<Item = (&'v [u8], &'v Value)>,
    style: Style,
    depth: usize,
) -> Result<(), Fault> {
    out.push(b'{');
    let mut any = false;
    for (key, item) in entries {
        if any {
            out.push(b',');
        }
        any = true;
        newline(out, style, depth + 1);
        budget.bytes(key.len() as u64)?;
        string(out, key, style.html);
        out.extend_from_slice(if style.pretty { b": " } else { b":" });
        write(budget, out, item, style, depth + 1)?;
    }
    if any {
        newline(out, style, depth);
    }
    out.push(b'}');
    Ok(())
}

fn float(f: f64) -> Result<String, Fault> {
    if !f.is_finite() {
        return Err("json: unsupported value".into());
    }
    let size = f.abs();
    if size != 0.0 && !(1e-6..1e21).contains(&size) {
        let text = numbers::float(f, 'e', None);
        // e-09 is written e-9.
        return Ok(text.replace("e-0", "e-"));
    }
    Ok(numbers::float(f, 'f', None))
}

fn string(out: &mut Vec<u8>, text: &[u8], html: bool) {
    out.push(b'"');
    for (c, width) in runes::runes(text) {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\x08' => out.extend_from_slice(b"\\b"),
            '\x0c' => out.extend_from_slice(b"\\f"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '<' | '>' | '&' if html => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            '\0'..'\x20' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            runes::ERROR if width == 1 => out.extend_from_slice(b"\\ufffd"),
            c => runes::push(out, c),
        }
    }
    out.push(b'"');
}
