//! Builtins of the language: comparison, `index`, `len`, printing, escaping, and deep equality.

use std::cmp::Ordering;

use crate::budget::Budget;
use crate::error::Fault;
use crate::functions::{Args, Env, Function, Kind, Param, Run};
use crate::value::{Value, Width};
use crate::{escape, print, printf};

type Result<T> = std::result::Result<T, Fault>;

const fn builtin(name: &'static str, fixed: &'static [Param], rest: Option<Param>, run: Run) -> Function {
    Function { name, fixed, rest, kind: Kind::Plain(run), constant: true }
}

const R: Param = Param::Reflect;
pub(crate) const CALL: Function =
    builtin("call", &[R], Some(R), |_, args| Fault::new(format!("non-function of type {}", args.any(0).type_name())));
pub(crate) const EQ: Function = builtin("eq", &[R], Some(R), |_, args| {
    if args.from(1).is_empty() {
        return Fault::new("missing argument for comparison");
    }
    for other in args.from(1) {
        if equal(args.any(0), other)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
});
pub(crate) const NE: Function = builtin("ne", &[R, R], None, |_, a| Ok(Value::Bool(!equal(a.any(0), a.any(1))?)));
pub(crate) const LT: Function = builtin("lt", &[R, R], None, |_, a| Ok(Value::Bool(less(a)?)));
pub(crate) const LE: Function = builtin("le", &[R, R], None, |_, a| Ok(Value::Bool(less_or_equal(a)?)));
pub(crate) const GT: Function = builtin("gt", &[R, R], None, |_, a| Ok(Value::Bool(!less_or_equal(a)?)));
pub(crate) const GE: Function = builtin("ge", &[R, R], None, |_, a| Ok(Value::Bool(!less(a)?)));
pub(crate) const NOT: Function = builtin("not", &[R], None, |_, args| Ok(Value::Bool(!args.any(0).is_true())));
pub(crate) const LEN: Function = builtin("len", &[R], None, |_, args| {
    let len = match args.any(0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items().len(),
        Value::Map(map) => map.len(),
        Value::Absent | Value::Nil => return Fault::new("len of nil pointer"),
        other => return Fault::new(format!("len of type {}", other.type_name())),
    };
    Ok(Value::int(len as i64))
});
pub(crate) const INDEX: Function = builtin("index", &[R], Some(R), |_, args| {
    if args.any(0).is_nothing() {
        return Fault::new("index of untyped nil");
    }
    args.from(1).iter().try_fold(args.any(0).clone(), |at, key| index(&at, key))
});
pub(crate) const PRINT: Function =
    builtin("print", &[], Some(Param::Any), |env, args| Ok(Value::text(print::sprint(&env.budget, args.from(0))?)));
pub(crate) const PRINTLN: Function =
    builtin("println", &[], Some(Param::Any), |env, args| Ok(Value::text(print::sprintln(&env.budget, args.from(0))?)));
pub(crate) const PRINTF: Function = builtin("printf", &[Param::Text], Some(Param::Any), |env, args| {
    Ok(Value::text(printf::sprintf(&env.budget, args.text(0), args.from(1))?))
});
pub(crate) const HTML: Function = builtin("html", &[], Some(Param::Any), |env, args| escaped(env, args, escape::html));
pub(crate) const JS: Function = builtin("js", &[], Some(Param::Any), |env, args| escaped(env, args, escape::js));
pub(crate) const URLQUERY: Function =
    builtin("urlquery", &[], Some(Param::Any), |env, args| escaped(env, args, escape::query));

fn escaped(env: &Env<'_>, args: &Args<'_>, escape: fn(&[u8]) -> Vec<u8>) -> Result<Value> {
    let shown: Vec<Value> =
        args.from(0).iter().map(|v| if v.is_nothing() { Value::text("<no value>") } else { v.clone() }).collect();
    Ok(Value::text(escape(&print::sprint(&env.budget, &shown)?)))
}

fn index(item: &Value, key: &Value) -> Result<Value> {
    match (item, key) {
        (Value::Map(map), Value::Text(key)) => Ok(map.get(key).unwrap_or_else(|| map.of.zero())),
        (Value::Map(_), Value::Absent | Value::Nil) => Fault::new("value is nil; should be of type string"),
        (Value::Map(_), other) => Fault::new(format!("value has type {}; should be string", other.type_name())),
        (Value::List(list), key) => {
            let at = position(key, list.items().len())?;
            list.items().get(at).cloned().ok_or_else(|| out_of_range(at))
        }
        (Value::Text(text), key) => {
            let at = position(key, text.len())?;
            text.get(at).map(|b| Value::Int(Width::Uint8, i64::from(*b))).ok_or_else(|| out_of_range(at))
        }
        (Value::Nil | Value::Absent, _) => Fault::new("index of nil pointer"),
        (other, _) => Fault::new(format!("can't index item of type {}", other.type_name())),
    }
}

fn out_of_range(at: usize) -> Fault {
    Fault::Message(format!("index out of range: {at}"))
}

fn position(key: &Value, len: usize) -> Result<usize> {
    match key {
        Value::Int(_, n) => match usize::try_from(*n) {
            Ok(at) if at <= len => Ok(at),
            _ => Fault::new(format!("index out of range: {n}")),
        },
        Value::Absent | Value::Nil => Fault::new("cannot index slice/array with nil"),
        other => Fault::new(format!("cannot index slice/array with type {}", other.type_name())),
    }
}

/// Kinds that compare with each other.
fn basic(value: &Value) -> u8 {
    match value {
        Value::Bool(_) => 1,
        Value::Int(Width::Uint8, _) => 5,
        Value::Int(..) => 2,
        Value::Float(_) => 3,
        Value::Text(_) => 4,
        _ => 0,
    }
}

/// The template's `eq`.
fn equal(a: &Value, b: &Value) -> Result<bool> {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Int(_, a), Value::Int(_, b)) => Ok(a == b),
        (Value::Float(a), Value::Float(b)) => Ok(a == b),
        (Value::Text(a), Value::Text(b)) => Ok(a == b),
        _ if a.is_nothing() || b.is_nothing() => Ok(is_nil(a) && is_nil(b)),
        _ if basic(a) != basic(b) => {
            Fault::new(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
        }
        (Value::Time(a), Value::Time(b)) => Ok(a.same(b)),
        (Value::Version(a), Value::Version(b)) => Ok(std::rc::Rc::ptr_eq(a, b)),
        _ if a.kind_name() != b.kind_name() => Fault::new("non-comparable types"),
        _ if is_nil(a) || is_nil(b) => Ok(is_nil(a) == is_nil(b)),
        _ => Fault::new(format!("non-comparable type: {}", b.type_name())),
    }
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Absent | Value::Nil => true,
        Value::List(list) => list.nil,
        Value::Map(map) => map.nil,
        _ => false,
    }
}

fn less(args: &Args<'_>) -> Result<bool> {
    let (a, b) = (args.any(0), args.any(1));
    if basic(a) == 0 || basic(b) == 0 {
        return Fault::new("invalid type for comparison");
    }
    match (a, b) {
        (Value::Int(_, a), Value::Int(_, b)) => Ok(a < b),
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::Text(a), Value::Text(b)) => Ok(a.cmp(b) == Ordering::Less),
        _ if basic(a) == basic(b) => Fault::new("invalid type for comparison"),
        _ => Fault::new(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name())),
    }
}

fn less_or_equal(args: &Args<'_>) -> Result<bool> {
    Ok(less(args)? || equal(args.any(0), args.any(1))?)
}

/// `reflect.DeepEqual`: types must be the same as well.
pub(crate) fn deep_equal(budget: &Budget, a: &Value, b: &Value, depth: usize) -> Result<bool> {
    Budget::nesting(depth)?;
    budget.step()?;
    Ok(match (a, b) {
        (Value::Absent | Value::Nil, Value::Absent | Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(wa, a), Value::Int(wb, b)) => wa == wb && a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a == b,
        (Value::Time(a), Value::Time(b)) => a.same(b),
        (Value::Version(a), Value::Version(b)) => a == b,
        (Value::List(x), Value::List(y)) => {
            let alike = x.of == y.of && x.nil == y.nil && x.items().len() == y.items().len();
            alike && all_equal(budget, x.items().iter().zip(y.items()), depth)?
        }
        (Value::Map(x), Value::Map(y)) => {
            if x.of != y.of || x.nil != y.nil || x.len() != y.len() {
                return Ok(false);
            }
            let (x, y) = (x.snapshot(), y.snapshot());
            x.iter().zip(&y).all(|((a, _), (b, _))| a == b)
                && all_equal(budget, x.iter().zip(&y).map(|((_, a), (_, b))| (a, b)), depth)?
        }
        (Value::Struct(a), Value::Struct(b)) => {
            a.fields.len() == b.fields.len()
                && all_equal(budget, a.fields.iter().zip(&b.fields).map(|((_, a), (_, b))| (a, b)), depth)?
        }
        _ => false,
    })
}

fn all_equal<'v>(budget: &Budget, pairs: impl Iterator<Item = (&'v Value, &'v Value)>, depth: usize) -> Result<bool> {
    for (a, b) in pairs {
        if !deep_equal(budget, a, b, depth + 1)? {
            return Ok(false);
        }
    }
    Ok(true)
}
