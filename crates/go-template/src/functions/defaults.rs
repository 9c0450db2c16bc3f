//! Defaults and choices.

use super::Param::{Any, Bool};
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::error::Fault;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    open("default", &[Any], Any, default),
    fixed("empty", &[Any], |_, a| Ok(Value::Bool(is_empty(a.any(0))))),
    open("coalesce", &[], Any, |_, a| {
        Ok(a.from(0).iter().find(|value| !is_empty(value)).cloned().unwrap_or(Value::Nil))
    }),
    open("all", &[], Any, |_, a| Ok(Value::Bool(!a.from(0).iter().any(is_empty)))),
    open("any", &[], Any, |_, a| Ok(Value::Bool(!a.from(0).iter().all(is_empty)))),
    fixed("ternary", &[Any, Any, Bool], |_, a| Ok(a.any(usize::from(!a.bool(2))).clone())),
    fixed("fail", &[super::Param::Text], |_, a| Fault::new(a.utf8(0).into_owned())),
];

/// sprig's emptiness is the language's truth, but for structs, which both count as there.
pub(super) fn is_empty(value: &Value) -> bool {
    !value.is_true()
}

fn default(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    match args.from(1).first() {
        Some(given) if !is_empty(given) => Ok(given.clone()),
        _ => Ok(args.any(0).clone()),
    }
}
