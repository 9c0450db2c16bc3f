//! Dictionaries. They change in place, and none may contain itself.

use std::collections::{BTreeMap, BTreeSet};

use super::Param::{Any, Map as Dict, Text};
use super::strings::to_string;
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::budget::Budget;
use crate::error::Fault;
use crate::value::{Map, Value};

pub(super) const ALL: &[Function] = &[
    open("dict", &[], Any, dict),
    fixed("get", &[Dict, Text], |_, a| Ok(a.map(0).get(a.text(1)).unwrap_or_else(|| Value::text("")))),
    fixed("set", &[Dict, Text, Any], set),
    fixed("unset", &[Dict, Text], unset),
    fixed("hasKey", &[Dict, Text], |_, a| Ok(Value::Bool(a.map(0).get(a.text(1)).is_some()))),
    open("pluck", &[Text], Dict, pluck),
    open("keys", &[], Dict, keys),
    open("pick", &[Dict], Text, |_, a| chosen(a, true)),
    open("omit", &[Dict], Text, |_, a| chosen(a, false)),
    fixed("values", &[Dict], |_, a| Ok(Value::list(a.map(0).snapshot().into_iter().map(|(_, v)| v).collect()))),
    open("dig", &[], Any, dig),
];

fn plain(value: &Value) -> Value {
    if value.is_nothing() { Value::Nil } else { value.clone() }
}

fn dict(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let mut entries = BTreeMap::new();
    for pair in args.from(0).chunks(2) {
        if let Some((key, value)) = pair.split_first() {
            let value = value.first().map_or_else(|| Value::text(""), plain);
            entries.insert(to_string(env, key)?.into(), value);
        }
    }
    Ok(Value::map(entries))
}

/// Puts a value into a dictionary, unless that would close a circle.
pub(super) fn insert(env: &Env<'_>, map: &Map, key: &[u8], value: Value) -> Result<(), Fault> {
    if map.nil {
        return Err("assignment to entry in nil map".into());
    }
    if reaches(&env.budget, &value, map, 0)? {
        return Err("a dictionary cannot contain itself".into());
    }
    map.entries.0.borrow_mut().insert(key.into(), value);
    Ok(())
}

fn reaches(budget: &Budget, value: &Value, target: &Map, depth: usize) -> Result<bool, Fault> {
    Budget::nesting(depth)?;
    budget.step()?;
    match value {
        Value::Map(map) => {
            if map.same(target) {
                return Ok(true);
            }
            let members = map.snapshot();
            any_reaches(budget, members.iter().map(|(_, v)| v), target, depth)
        }
        Value::List(list) => any_reaches(budget, list.items().iter(), target, depth),
        _ => Ok(false),
    }
}

fn any_reaches<'v>(
    budget: &Budget,
    values: impl Iterator<Item = &'v Value>,
    target: &Map,
    depth: usize,
) -> Result<bool, Fault> {
    for value in values.filter(|v| matches!(v, Value::Map(_) | Value::List(_))) {
        if reaches(budget, value, target, depth + 1)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn set(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    insert(env, &args.map(0), args.text(1), plain(args.any(2)))?;
    Ok(args.any(0).clone())
}

fn unset(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    args.map(0).entries.0.borrow_mut().remove(args.text(1));
    Ok(args.any(0).clone())
}

fn pluck(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let maps = args.from(1).iter().filter_map(|v| if let Value::Map(map) = v { Some(map) } else { None });
    Ok(Value::list(maps.filter_map(|map| map.get(args.text(0))).collect()))
}

fn keys(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let maps = (0..args.len()).map(|i| args.map(i));
    Ok(Value::texts(maps.flat_map(|map| map.snapshot()).map(|(key, _)| key.to_vec())))
}

fn chosen(args: &Args<'_>, keep: bool) -> Outcome {
    let named: BTreeSet<&[u8]> =
        args.from(1).iter().filter_map(|v| if let Value::Text(t) = v { Some(&**t) } else { None }).collect();
    let kept = args.map(0).snapshot().into_iter().filter(|(key, _)| named.contains(&**key) == keep);
    Ok(Value::map(kept.collect()))
}

fn dig(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let all = args.from(0);
    let [path @ .., default, dict] = all else {
        return Fault::new("dig needs at least three arguments");
    };
    if path.is_empty() {
        return Fault::new("dig needs at least three arguments");
    }
    if path.iter().any(|step| !matches!(step, Value::Text(_))) {
        return Fault::new("dig: keys must be texts");
    }
    let mut at = dict.clone();
    for step in path {
        let (Value::Map(map), Value::Text(key)) = (&at, step) else {
            return Fault::new(format!("dig: {} is not a map[string]interface {{}}", at.type_name()));
        };
        if map.of != crate::value::Of::Any {
            return Fault::new(format!("dig: {} is not a map[string]interface {{}}", at.type_name()));
        }
        let Some(next) = map.get(key) else {
            return Ok(plain(default));
        };
        at = next;
    }
    Ok(at)
}
