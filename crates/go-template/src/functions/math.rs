//! Whole numbers and floats.

use super::Param::{Any, Float, Int};
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::error::Fault;
use crate::literal::{float_from, int_from};
use crate::print;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("int", &[Any], |env, a| Ok(Value::int(to_int64(env, a.any(0))))),
    fixed("int64", &[Any], |env, a| Ok(Value::int64(to_int64(env, a.any(0))))),
    fixed("float64", &[Any], |_, a| Ok(Value::Float(to_float(a.any(0))))),
    fixed("toDecimal", &[Any], to_decimal),
    fixed("add1", &[Any], |env, a| Ok(Value::int64(to_int64(env, a.any(0)).wrapping_add(1)))),
    open("add", &[], Any, |env, a| Ok(fold(env, 0, a.from(0), i64::wrapping_add))),
    fixed("sub", &[Any, Any], |env, a| Ok(fold(env, to_int64(env, a.any(0)), a.from(1), i64::wrapping_sub))),
    open("mul", &[Any], Any, |env, a| Ok(fold(env, to_int64(env, a.any(0)), a.from(1), i64::wrapping_mul))),
    fixed("div", &[Any, Any], |env, a| divided(env, a, i64::wrapping_div)),
    fixed("mod", &[Any, Any], |env, a| divided(env, a, i64::wrapping_rem)),
    open("max", &[Any], Any, |env, a| Ok(fold(env, to_int64(env, a.any(0)), a.from(1), i64::max))),
    open("biggest", &[Any], Any, |env, a| Ok(fold(env, to_int64(env, a.any(0)), a.from(1), i64::max))),
    open("min", &[Any], Any, |env, a| Ok(fold(env, to_int64(env, a.any(0)), a.from(1), i64::min))),
    open("maxf", &[Any], Any, |_, a| Ok(extreme(a, |a, b| a > b || (a == b && b.is_sign_negative())))),
    open("minf", &[Any], Any, |_, a| Ok(extreme(a, |a, b| a < b || (a == b && a.is_sign_negative())))),
    fixed("floor", &[Any], |_, a| Ok(Value::Float(to_float(a.any(0)).floor()))),
    fixed("ceil", &[Any], |_, a| Ok(Value::Float(to_float(a.any(0)).ceil()))),
    open("round", &[Any, Int], Float, round),
    fixed("add1f", &[Any], |_, a| super::decimal::fold(a.any(0), &[Value::int(1)], '+')),
    open("addf", &[], Any, |_, a| super::decimal::fold(&Value::Float(0.0), a.from(0), '+')),
    open("subf", &[Any], Any, |_, a| super::decimal::fold(a.any(0), a.from(1), '-')),
    open("mulf", &[Any], Any, |_, a| super::decimal::fold(a.any(0), a.from(1), '*')),
    open("divf", &[Any], Any, |_, a| super::decimal::fold(a.any(0), a.from(1), '/')),
];

/// Go's conversion of a float on amd64: what does not fit is the smallest number.
fn from_float(f: f64) -> i64 {
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&f) { f as i64 } else { i64::MIN }
}

/// sprig's `toInt64`; what is no number is 0.
pub(super) fn to_int64(env: &Env<'_>, value: &Value) -> i64 {
    match value {
        Value::Bool(b) => i64::from(*b),
        // spf13/cast knows the plain types only.
        Value::Int(width, n) if env.slim || width.is_plain() => *n,
        Value::Float(f) => from_float(*f),
        Value::Text(t) => {
            let base = if env.slim { 10 } else { 0 };
            std::str::from_utf8(t).ok().and_then(|t| int_from(t, base)).unwrap_or(0)
        }
        _ => 0,
    }
}

/// sprig's `toFloat64`.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Bool(b) => f64::from(*b),
        Value::Int(_, n) => *n as f64,
        Value::Float(f) => *f,
        Value::Text(t) => std::str::from_utf8(t).ok().and_then(float_from).unwrap_or(0.0),
        _ => 0.0,
    }
}

fn fold(env: &Env<'_>, start: i64, more: &[Value], apply: fn(i64, i64) -> i64) -> Value {
    Value::int64(more.iter().fold(start, |sum, value| apply(sum, to_int64(env, value))))
}

fn divided(env: &Env<'_>, args: &Args<'_>, apply: fn(i64, i64) -> i64) -> Outcome {
    let (a, b) = (to_int64(env, args.any(0)), to_int64(env, args.any(1)));
    if b == 0 {
        return Fault::new("integer divide by zero");
    }
    Ok(Value::int64(apply(a, b)))
}

fn extreme(args: &Args<'_>, wins: fn(f64, f64) -> bool) -> Value {
    let all = args.from(1).iter().map(to_float);
    Value::Float(all.fold(to_float(args.any(0)), |best, next| {
        if best.is_nan() || next.is_nan() {
            f64::NAN
        } else if wins(next, best) {
            next
        } else {
            best
        }
    }))
}

fn round(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let on = if let Some(Value::Float(on)) = args.from(2).first() { *on } else { 0.5 };
    let pow = 10_f64.powf(args.int(1) as f64);
    let digit = pow * to_float(args.any(0));
    let part = digit - digit.trunc();
    let rounded = if part >= on { digit.ceil() } else { digit.floor() };
    Ok(Value::Float(rounded / pow))
}

fn to_decimal(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let shown = print::sprint(&env.budget, args.from(0))?;
    let text = String::from_utf8_lossy(&shown);
    Ok(Value::int64(int_from(&text, 8).unwrap_or(0)))
}
