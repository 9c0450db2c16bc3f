//! `fmt.Sprint`, `fmt.Sprintln` and what `%v` makes of a value.

use crate::budget::Budget;
use crate::error::Fault;
use crate::numbers;
use crate::quote::quote;
use crate::value::{Map, Value, Width};

type Done = Result<(), Fault>;

/// How `%v` is written.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Style {
    /// `%v`
    Plain,
    /// `%+v`
    Named,
    /// `%#v`
    Go,
}

/// `%v` of a value, appended to `out`.
pub(crate) fn value(budget: &Budget, out: &mut Vec<u8>, value: &Value) -> Done {
    styled(budget, out, value, Style::Plain, 0)
}

/// `%v`, `%+v` or `%#v`.
pub(crate) fn styled(budget: &Budget, out: &mut Vec<u8>, value: &Value, style: Style, depth: usize) -> Done {
    Budget::nesting(depth)?;
    budget.step()?;
    let before = out.len();
    match value {
        Value::Absent | Value::Nil if style == Style::Go && depth > 0 => out.extend_from_slice(b"interface {}(nil)"),
        Value::Absent | Value::Nil => out.extend_from_slice(b"<nil>"),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Int(width, n) => out.extend_from_slice(integer(*width, *n, style).as_bytes()),
        Value::Float(f) if style == Style::Go => out.extend_from_slice(numbers::float(*f, 'g', None).as_bytes()),
        Value::Float(f) => out.extend_from_slice(numbers::float(*f, 'g', None).as_bytes()),
        Value::Text(t) if style == Style::Go => out.extend_from_slice(&quote(t, false)),
        Value::Text(t) => out.extend_from_slice(t),
        Value::Time(t) => out.extend_from_slice(t.to_string().as_bytes()),
        Value::Version(v) => out.extend_from_slice(v.to_string().as_bytes()),
        Value::List(list) => {
            let (open, between, close): (&str, &[u8], u8) =
                if style == Style::Go { ("{", b", ", b'}') } else { ("[", b" ", b']') };
            if style == Style::Go {
                out.extend_from_slice(value.type_name().as_bytes());
                if list.nil {
                    out.extend_from_slice(b"(nil)");
                    return Ok(());
                }
            }
            out.extend_from_slice(open.as_bytes());
            for (i, item) in list.items().iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(between);
                }
                styled(budget, out, item, style, depth + 1)?;
            }
            out.push(close);
        }
        Value::Map(map) => self::map(budget, out, map, style, depth, &value.type_name())?,
        Value::Struct(fields) => {
            out.extend_from_slice(if style == Style::Go { b"struct {" } else { b"{" });
            for (i, (name, field)) in fields.fields.iter().enumerate() {
                if i > 0 {
                    out.push(b' ');
                }
                if style != Style::Plain {
                    out.extend_from_slice(name.as_bytes());
                    out.push(b':');
                }
                styled(budget, out, field, style, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    // Members were counted by their own call; twice does no harm.
    budget.bytes((out.len() - before) as u64)
}

fn map(budget: &Budget, out: &mut Vec<u8>, map: &Map, style: Style, depth: usize, type_name: &str) -> Done {
    let go = style == Style::Go;
    if go {
        out.extend_from_slice(type_name.as_bytes());
        if map.nil {
            out.extend_from_slice(b"(nil)");
            return Ok(());
        }
    }
    out.extend_from_slice(if go { b"{" } else { b"map[" });
    for (i, (key, item)) in map.snapshot().iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(if go { b", " } else { b" " });
        }
        if go {
            out.extend_from_slice(&quote(key, false));
        } else {
            out.extend_from_slice(key);
        }
        out.push(b':');
        styled(budget, out, item, style, depth + 1)?;
    }
    out.push(if go { b'}' } else { b']' });
    Ok(())
}

fn integer(width: Width, n: i64, style: Style) -> String {
    match width {
        Width::Uint8 if style == Style::Go => format!("{n:#x}"),
        Width::Month if style != Style::Go => crate::layout::month_name(n).to_owned(),
        Width::Weekday if style != Style::Go => crate::layout::weekday_name(n).to_owned(),
        _ => n.to_string(),
    }
}

/// `%v` as a text of its own.
pub(crate) fn to_text(budget: &Budget, given: &Value) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    value(budget, &mut out, given)?;
    Ok(out)
}

/// `fmt.Sprint`: a space between operands when neither is a text.
pub(crate) fn sprint(budget: &Budget, values: &[Value]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    let mut last_was_text = true;
    for (i, one) in values.iter().enumerate() {
        let is_text = matches!(one, Value::Text(_));
        if i > 0 && !is_text && !last_was_text {
            out.push(b' ');
        }
        value(budget, &mut out, one)?;
        last_was_text = is_text;
    }
    Ok(out)
}

/// `fmt.Sprintln`.
pub(crate) fn sprintln(budget: &Budget, values: &[Value]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::new();
    for (i, one) in values.iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        value(budget, &mut out, one)?;
    }
    out.push(b'\n');
    Ok(out)
}
