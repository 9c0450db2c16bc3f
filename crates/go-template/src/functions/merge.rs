//! `merge`, `mergeOverwrite` (mergo 0.3.11) and `deepCopy`.

use std::collections::BTreeMap;

use super::Param::{Any, Map as Dict};
use super::dicts::insert;
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::budget::Budget;
use crate::error::Fault;
use crate::value::{List, Map, Value};

pub(super) const ALL: &[Function] = &[
    open("merge", &[Dict], Dict, |env, a| merge(env, a, false)),
    open("mustMerge", &[Dict], Dict, |env, a| merge(env, a, false)),
    open("mergeOverwrite", &[Dict], Dict, |env, a| merge(env, a, true)),
    open("mustMergeOverwrite", &[Dict], Dict, |env, a| merge(env, a, true)),
    fixed("deepCopy", &[Any], |env, a| copy(env, a.any(0), 0)),
    fixed("mustDeepCopy", &[Any], |env, a| copy(env, a.any(0), 0)),
];

fn merge(env: &Env<'_>, args: &Args<'_>, overwrite: bool) -> Outcome {
    let mut target = args.map(0);
    for i in 1..args.len() {
        let source = args.map(i);
        if target.nil && !source.nil {
            target = Map::new(target.of, BTreeMap::new());
        }
        if !source.same(&target) {
            into(env, &target, &source, overwrite, 0)?;
        }
    }
    Ok(Value::Map(target))
}

/// mergo's emptiness: also zero and false.
fn is_blank(value: &Value) -> bool {
    !value.is_true() && !matches!(value, Value::Time(_) | Value::Struct(_) | Value::Version(_))
}

fn into(env: &Env<'_>, target: &Map, source: &Map, overwrite: bool, depth: usize) -> Result<(), Fault> {
    Budget::nesting(depth)?;
    for (key, new) in source.snapshot() {
        env.budget.step()?;
        let old = target.get(&key);
        if new.is_nothing() {
            if overwrite {
                insert(env, target, &key, Value::Nil)?;
            }
            continue;
        }
        if let (Value::Map(new), Some(Value::Map(old))) = (&new, &old) {
            if old.of != new.of {
                // Go would panic on the type or keep what is there; it stays.
                continue;
            }
            if !old.same(new) {
                into(env, old, new, overwrite, depth + 1)?;
            }
        }
        let mut old = old;
        if let (Value::List(_), _) = (&new, &old) {
            let empty_target = target.len() == 0;
            if overwrite || empty_target {
                insert(env, target, &key, new.clone())?;
                old = Some(new.clone());
            }
        } else if let (Value::Map(_), Some(there)) = (&new, &old)
            && overwrite
            && !matches!(there, Value::Map(_))
            && !is_blank(there)
        {
            continue;
        }
        let there = old.as_ref().is_some_and(|value| !is_blank(value));
        if there && matches!(new, Value::Map(_) | Value::List(_)) {
            continue;
        }
        if overwrite || !there {
            insert(env, target, &key, new)?;
        }
    }
    Ok(())
}

fn copy(env: &Env<'_>, value: &Value, depth: usize) -> Outcome {
    Budget::nesting(depth)?;
    env.budget.step()?;
    Ok(match value {
        Value::List(list) => {
            env.budget.bytes(list.items().len() as u64 * 32)?;
            let items: Result<_, _> = list.items().iter().map(|item| copy(env, item, depth + 1)).collect();
            if list.nil { value.clone() } else { Value::List(List::new(list.of, items?)) }
        }
        Value::Map(map) => {
            env.budget.bytes(map.len() as u64 * 64)?;
            let entries: Result<_, Fault> =
                map.snapshot().into_iter().map(|(key, item)| Ok((key, copy(env, &item, depth + 1)?))).collect();
            if map.nil { value.clone() } else { Value::Map(Map::new(map.of, entries?)) }
        }
        Value::Absent | Value::Nil if depth == 0 => return Fault::new("deepCopy of nothing"),
        other => other.clone(),
    })
}
