//! Lists. Functions with `must` differ from the others only in how they fail inside Go.

use std::rc::Rc;

use super::Param::{Any, Int, Text};
use super::defaults::is_empty;
use super::math::to_int64;
use super::strings::{to_string, to_strings};
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::compare::deep_equal;
use crate::error::Fault;
use crate::value::{Items, List, Of, Value};

pub(super) const ALL: &[Function] = &[
    open("list", &[], Any, |_, a| Ok(Value::list(plain(a.from(0))))),
    open("tuple", &[], Any, |_, a| Ok(Value::list(plain(a.from(0))))),
    fixed("append", &[Any, Any], append),
    fixed("push", &[Any, Any], append),
    fixed("mustAppend", &[Any, Any], append),
    fixed("mustPush", &[Any, Any], append),
    fixed("prepend", &[Any, Any], prepend),
    fixed("mustPrepend", &[Any, Any], prepend),
    fixed("first", &[Any], |_, a| Ok(items(a.any(0))?.first().cloned().unwrap_or(Value::Nil))),
    fixed("mustFirst", &[Any], |_, a| Ok(items(a.any(0))?.first().cloned().unwrap_or(Value::Nil))),
    fixed("last", &[Any], |_, a| Ok(items(a.any(0))?.last().cloned().unwrap_or(Value::Nil))),
    fixed("mustLast", &[Any], |_, a| Ok(items(a.any(0))?.last().cloned().unwrap_or(Value::Nil))),
    fixed("rest", &[Any], |_, a| Ok(tail(items(a.any(0))?.split_first().map(|(_, rest)| rest)))),
    fixed("mustRest", &[Any], |_, a| Ok(tail(items(a.any(0))?.split_first().map(|(_, rest)| rest)))),
    fixed("initial", &[Any], |_, a| Ok(tail(items(a.any(0))?.split_last().map(|(_, rest)| rest)))),
    fixed("mustInitial", &[Any], |_, a| Ok(tail(items(a.any(0))?.split_last().map(|(_, rest)| rest)))),
    fixed("reverse", &[Any], |_, a| Ok(Value::list(items(a.any(0))?.iter().rev().cloned().collect()))),
    fixed("mustReverse", &[Any], |_, a| Ok(Value::list(items(a.any(0))?.iter().rev().cloned().collect()))),
    fixed("compact", &[Any], compact),
    fixed("mustCompact", &[Any], compact),
    fixed("uniq", &[Any], uniq),
    fixed("mustUniq", &[Any], uniq),
    open("without", &[Any], Any, without),
    open("mustWithout", &[Any], Any, without),
    fixed("has", &[Any, Any], has),
    fixed("mustHas", &[Any, Any], has),
    open("slice", &[Any], Any, slice),
    open("mustSlice", &[Any], Any, slice),
    open("concat", &[], Any, concat),
    fixed("chunk", &[Int, Any], chunk),
    fixed("mustChunk", &[Int, Any], chunk),
    fixed("sortAlpha", &[Any], sort_alpha),
    fixed("until", &[Int], |env, a| until(env, 0, a.int(0), if a.int(0) < 0 { -1 } else { 1 })),
    fixed("untilStep", &[Int, Int, Int], |env, a| until(env, a.int(0), a.int(1), a.int(2))),
    open("seq", &[], Int, seq),
    fixed("regexQuoteMeta", &[Text], |_, a| Ok(Value::text(super::pattern::quote_meta(a.text(0))))),
];

/// Members as interfaces hold them.
fn plain(values: &[Value]) -> Vec<Value> {
    values.iter().map(|v| if v.is_nothing() { Value::Nil } else { v.clone() }).collect()
}

fn items(value: &Value) -> Result<&[Value], Fault> {
    match value {
        Value::List(list) => Ok(list.items()),
        other => Err(format!("not a list: {}", other.kind_name()).into()),
    }
}

/// Rest and initial of an empty list are Go's nil slice.
fn tail(rest: Option<&[Value]>) -> Value {
    rest.map_or_else(|| Value::List(List::none(Of::Any)), |rest| Value::list(rest.to_vec()))
}

fn append(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut all = items(args.any(0))?.to_vec();
    all.extend(plain(args.from(1)));
    Ok(Value::list(all))
}

fn prepend(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut all = plain(args.from(1));
    all.extend_from_slice(items(args.any(0))?);
    Ok(Value::list(all))
}

fn compact(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    Ok(Value::list(items(args.any(0))?.iter().filter(|item| !is_empty(item)).cloned().collect()))
}

fn contains(env: &Env<'_>, haystack: &[Value], needle: &Value) -> Result<bool, Fault> {
    for item in haystack {
        if deep_equal(&env.budget, needle, item, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut kept: Vec<Value> = Vec::new();
    for item in items(args.any(0))? {
        if !contains(env, &kept, item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn without(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut kept = Vec::new();
    for item in items(args.any(0))? {
        if !contains(env, args.from(1), item)? {
            kept.push(item.clone());
        }
    }
    Ok(Value::list(kept))
}

fn has(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    if args.any(1).is_nothing() {
        return Ok(Value::Bool(false));
    }
    Ok(Value::Bool(contains(env, items(args.any(1))?, args.any(0))?))
}

fn slice(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let all = items(args.any(0))?;
    if all.is_empty() {
        return Ok(Value::Nil);
    }
    let start = if args.len() > 1 { to_int64(env, args.any(1)) } else { 0 };
    let end = if args.len() > 2 { to_int64(env, args.any(2)) } else { all.len() as i64 };
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some(part) = range.and_then(|(start, end)| all.get(start..end)) else {
        return Fault::new("slice index out of bounds");
    };
    let of = if let Value::List(list) = args.any(0) { list.of } else { Of::Any };
    Ok(Value::List(List::new(of, part.to_vec())))
}

fn concat(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut all = Vec::new();
    for list in args.from(0) {
        let more = items(list)?;
        env.budget.bytes(more.len() as u64 * 32)?;
        all.extend_from_slice(more);
    }
    let nil = all.is_empty();
    Ok(Value::List(List { of: Of::Any, nil, items: Rc::new(Items(all)) }))
}

fn chunk(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (size, all) = (args.int(0), items(args.any(1))?);
    let len = all.len() as i64;
    let Some(positive) = usize::try_from(size).ok().filter(|size| *size > 0) else {
        // What sprig's arithmetic makes of sizes below zero.
        return match len {
            1 if size < -1 => Ok(Value::List(List::new(Of::Lists, vec![Value::list(all.to_vec())]))),
            2.. if size < 0 && len - 1 <= -size => Ok(Value::List(List::new(Of::Lists, Vec::new()))),
            _ => Fault::new("chunk: size must be positive"),
        };
    };
    let chunks = all.chunks(positive).map(|chunk| Value::list(chunk.to_vec()));
    Ok(Value::List(List::new(Of::Lists, chunks.collect())))
}

fn sort_alpha(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let Value::List(_) = args.any(0) else {
        return Ok(Value::texts([to_string(env, args.any(0))?]));
    };
    let mut all = to_strings(env, args.any(0))?;
    all.sort_unstable();
    Ok(Value::texts(all))
}

fn steps(env: &Env<'_>, start: i64, end: i64, step: i64) -> Result<Vec<i64>, Fault> {
    if (end < start && step >= 0) || (end >= start && step <= 0) {
        return Ok(Vec::new());
    }
    let count = end.abs_diff(start).div_ceil(step.unsigned_abs());
    env.budget.steps(count)?;
    env.budget.bytes(count.saturating_mul(32))?;
    let mut all = Vec::new();
    let mut at = start;
    while if step > 0 { at < end } else { at > end } {
        all.push(at);
        let Some(next) = at.checked_add(step) else { break };
        at = next;
    }
    Ok(all)
}

fn until(env: &Env<'_>, start: i64, end: i64, step: i64) -> Outcome {
    let all = steps(env, start, end, step)?.into_iter().map(Value::int).collect();
    Ok(Value::List(List::new(Of::Int, all)))
}

fn seq(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let (start, step, end) = match args.len() {
        1 => (1, None, args.int(0)),
        2 => (args.int(0), None, args.int(1)),
        3 => (args.int(0), Some(args.int(1)), args.int(2)),
        _ => return Ok(Value::text("")),
    };
    let direction = if end < start { -1 } else { 1 };
    if end < start && step.is_some_and(|step| step > 0) {
        return Ok(Value::text(""));
    }
    let all = steps(env, start, end.saturating_add(direction), step.unwrap_or(direction))?;
    let shown: Vec<String> = all.iter().map(i64::to_string).collect();
    Ok(Value::text(shown.join(" ")))
}
