//! Dates and durations. The clock is [`World::now`](crate::World::now), `Local` is UTC.

use std::rc::Rc;

use super::Param::{Any, Text, Time};
use super::{Args, Env, Function, Outcome, fixed};
use crate::duration;
use crate::error::Fault;
use crate::layout;
use crate::moment::{Moment, Zone};
use crate::value::{Value, Width};

pub(super) const ALL: &[Function] = &[
    fixed("now", &[], |env, _| Ok(time(Moment::utc(env.now)))),
    fixed("date", &[Text, Any], |env, a| in_zone(env, a.text(0), a.any(1), "Local")),
    fixed("dateInZone", &[Text, Any, Text], |env, a| in_zone(env, a.text(0), a.any(1), &a.utf8(2))),
    fixed("date_in_zone", &[Text, Any, Text], |env, a| in_zone(env, a.text(0), a.any(1), &a.utf8(2))),
    fixed("htmlDate", &[Any], |env, a| in_zone(env, b"2006-01-02", a.any(0), "Local")),
    fixed("htmlDateInZone", &[Any, Text], |env, a| in_zone(env, b"2006-01-02", a.any(0), &a.utf8(1))),
    fixed("dateModify", &[Text, Time], |_, a| Ok(modified(a).unwrap_or_else(|| a.any(1).clone()))),
    fixed("date_modify", &[Text, Time], |_, a| Ok(modified(a).unwrap_or_else(|| a.any(1).clone()))),
    fixed("mustDateModify", &[Text, Time], must_modify),
    fixed("must_date_modify", &[Text, Time], must_modify),
    fixed("toDate", &[Text, Text], |_, a| {
        Ok(time(layout::parse(a.text(0), a.text(1)).unwrap_or_else(|_| Moment::zero())))
    }),
    fixed("mustToDate", &[Text, Text], |_, a| Ok(time(layout::parse(a.text(0), a.text(1))?))),
    fixed("unixEpoch", &[Time], |_, a| match a.any(0) {
        Value::Time(t) => Ok(Value::text(t.unix().to_string())),
        _ => Fault::new("not a time"),
    }),
    fixed("ago", &[Any], ago),
    fixed("duration", &[Any], seconds),
    fixed("durationRound", &[Any], rounded),
];

fn time(moment: Moment) -> Value {
    Value::Time(Rc::new(moment))
}

/// A time, or seconds since 1970; anything else is now.
fn moment(env: &Env<'_>, value: &Value) -> Moment {
    match value {
        Value::Time(t) => (**t).clone(),
        Value::Int(Width::Int | Width::Int64, n) => Moment::from_unix(*n).unwrap_or_else(Moment::zero),
        _ => Moment::utc(env.now),
    }
}

fn in_zone(env: &Env<'_>, layout: &[u8], value: &Value, zone: &str) -> Outcome {
    Ok(Value::text(moment(env, value).in_zone(Zone::load(zone)).format(layout)))
}

fn modified(args: &Args<'_>) -> Option<Value> {
    let by = duration::parse(&args.utf8(0))?;
    if let Value::Time(t) = args.any(1) { t.plus(by).map(time) } else { None }
}

fn must_modify(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    modified(args).ok_or_else(|| "time: invalid duration".into())
}

fn ago(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    let then = moment(env, args.any(0)).stamp.as_nanosecond();
    let passed = env.now.as_nanosecond().saturating_sub(then);
    let second = 1_000_000_000;
    // Rounded half away from zero.
    let rounded = (passed.abs() + second / 2) / second * second * passed.signum();
    let clamped = rounded.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64;
    Ok(Value::text(duration::format(clamped)))
}

fn seconds(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let count = match args.any(0) {
        Value::Text(_) => crate::literal::atoi(&args.utf8(0)),
        Value::Int(Width::Int64, n) => *n,
        _ => 0,
    };
    Ok(Value::text(duration::format(count.wrapping_mul(1_000_000_000))))
}

fn rounded(env: &Env<'_>, args: &Args<'_>) -> Outcome {
    const SECOND: u64 = 1_000_000_000;
    const STEPS: [(u64, &str); 6] = [
        (SECOND * 3600 * 24 * 365, "y"),
        (SECOND * 3600 * 24 * 30, "mo"),
        (SECOND * 3600 * 24, "d"),
        (SECOND * 3600, "h"),
        (SECOND * 60, "m"),
        (SECOND, "s"),
    ];
    let nanoseconds = match args.any(0) {
        Value::Text(_) => duration::parse(&args.utf8(0)).unwrap_or(0),
        Value::Int(Width::Int64, n) => *n,
        Value::Time(t) => {
            let passed = env.now.as_nanosecond().saturating_sub(t.stamp.as_nanosecond());
            passed.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64
        }
        _ => 0,
    };
    let all = nanoseconds.unsigned_abs();
    let shown = STEPS.iter().find(|(unit, _)| all > *unit).map(|(unit, name)| format!("{}{name}", all / unit));
    Ok(Value::text(shown.unwrap_or_else(|| "0s".into())))
}
