//! `.name`: keys of maps, fields of structs, the methods of times and versions.

use crate::MissingKey;
use crate::error::Fault;
use crate::moment::Moment;
use crate::value::{Value, Width};
use crate::version::Version;

/// `value.name`; `None` for a key that is not there.
pub(crate) fn get(value: &Value, name: &str, missing: MissingKey, args: &[Value]) -> Result<Option<Value>, Fault> {
    match value {
        Value::Absent if missing == MissingKey::Error => Fault::new(format!("nil data; no entry for key {name:?}")),
        Value::Absent => Ok(None),
        Value::Nil => Fault::new(format!("nil pointer evaluating interface {{}}.{name}")),
        Value::Map(map) => match (map.get(name.as_bytes()), missing) {
            (Some(found), _) => Ok(Some(found)),
            (None, MissingKey::Default) => Ok(None),
            (None, MissingKey::Zero) => Ok(Some(map.of.zero())),
            (None, MissingKey::Error) => Fault::new(format!("map has no entry for key {name:?}")),
        },
        Value::Struct(fields) => match fields.fields.iter().find(|(known, _)| &**known == name) {
            Some((_, field)) => Ok(Some(field.clone())),
            None => Fault::new(format!("can't evaluate field {name} in the context")),
        },
        Value::Time(time) => match (time_method(time, name), args) {
            (Some(found), []) => Ok(Some(found)),
            (None, [Value::Text(layout)]) if name == "Format" => Ok(Some(Value::text(time.format(layout)))),
            _ => Fault::new(format!("can't evaluate field {name} in type time.Time")),
        },
        Value::Version(version) => match (version_method(version, name), args) {
            (Some(found), []) => Ok(Some(found)),
            _ => Fault::new(format!("can't evaluate field {name} in type *semver.Version")),
        },
        Value::Int(Width::Month | Width::Weekday, _) if name == "String" && args.is_empty() => {
            let budget = crate::budget::Budget::new(crate::Limits::DEFAULT);
            Ok(Some(Value::text(crate::print::to_text(&budget, value)?)))
        }
        other => Fault::new(format!("can't evaluate field {name} in type {}", other.type_name())),
    }
}

/// Whether the name takes arguments.
pub(crate) fn is_method(value: &Value, name: &str) -> bool {
    match value {
        Value::Time(time) => name == "Format" || time_method(time, name).is_some(),
        Value::Version(version) => version_method(version, name).is_some(),
        _ => false,
    }
}

fn time_method(time: &Moment, name: &str) -> Option<Value> {
    let (year, month, day, hour, minute, second, nanosecond) = time.civil();
    let int = |n: i64| Some(Value::int(n));
    match name {
        "Year" => int(year),
        "Month" => Some(Value::Int(Width::Month, month)),
        "Day" => int(day),
        "Hour" => int(hour),
        "Minute" => int(minute),
        "Second" => int(second),
        "Nanosecond" => int(nanosecond),
        "Weekday" => Some(Value::Int(Width::Weekday, time.weekday())),
        "YearDay" => int(time.year_day()),
        "Unix" => Some(Value::int64(time.unix())),
        "UnixMilli" => Some(Value::int64(time.unix() * 1000 + nanosecond / 1_000_000)),
        "UTC" => Some(Value::Time(time.in_utc().into())),
        "String" => Some(Value::text(time.to_string())),
        "IsZero" => Some(Value::Bool(time.is_zero())),
        _ => None,
    }
}

fn version_method(version: &Version, name: &str) -> Option<Value> {
    // Go's are uint64, which differ from int64 only in the name of their type.
    let number = |n: u64| Some(Value::int64(i64::try_from(n).unwrap_or(i64::MAX)));
    match name {
        "Major" => number(version.major),
        "Minor" => number(version.minor),
        "Patch" => number(version.patch),
        "Prerelease" => Some(Value::text(&version.pre)),
        "Metadata" => Some(Value::text(&version.metadata)),
        "Original" => Some(Value::text(&version.original)),
        "String" => Some(Value::text(version.to_string())),
        _ => None,
    }
}
