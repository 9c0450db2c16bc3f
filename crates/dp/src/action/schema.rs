//! One value against the OpenAPI v3 schema of its parameter. Pure.
//!
//! The keywords are those an ActionSet's `parametersSchema` may hold; an unknown keyword is no rule, as everywhere in
//! Kubernetes.

use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Checks `value` against `schema`, all keywords in a fixed order.
///
/// # Errors
/// The first rule that is broken, as the end of a sentence about the value.
pub fn validate(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    type_of(value, schema)?;
    listed(value, schema)?;
    match value {
        Value::Number(_) => number(value, schema)?,
        Value::String(text) => text_rules(text, schema)?,
        Value::Array(items) => array(items, schema)?,
        _ => {}
    }
    combined(value, schema)
}

fn type_of(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let fits = match schema.get("type").and_then(Value::as_str) {
        None | Some("") => true,
        Some("string") => value.is_string(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        Some("boolean") => value.is_boolean(),
        Some("array") => value.is_array(),
        Some(other) => return Err(format!("can not be of type {other}: parameters are text")),
    };
    if fits { Ok(()) } else { Err("is of another type".to_owned()) }
}

fn listed(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let Some(choices) = schema.get("enum").and_then(Value::as_array) else {
        return Ok(());
    };
    if choices.iter().any(|choice| same(choice, value)) {
        return Ok(());
    }
    let shown: Vec<String> = choices.iter().map(ToString::to_string).collect();
    Err(format!("is none of {}", shown.join(", ")))
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && compare(a, b) == Some(Ordering::Equal))
}

/// Numbers by value: whole ones exactly, also beyond 2^63 and where a float would round them.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| v.as_i64().map(i128::from).or_else(|| v.as_u64().map(i128::from));
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn number(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let open = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    if let Some(least) = schema.get("minimum") {
        let order = compare(value, least);
        if order == Some(Ordering::Less) || (open("exclusiveMinimum") && order == Some(Ordering::Equal)) {
            return Err(format!("is below the minimum {least}"));
        }
    }
    if let Some(most) = schema.get("maximum") {
        let order = compare(value, most);
        if order == Some(Ordering::Greater) || (open("exclusiveMaximum") && order == Some(Ordering::Equal)) {
            return Err(format!("is above the maximum {most}"));
        }
    }
    if let (Some(step), Some(number)) = (schema.get("multipleOf").and_then(Value::as_f64), value.as_f64()) {
        let times = number / step;
        if step > 0.0 && (times - times.round()).abs() > 1e-9 * times.abs().max(1.0) {
            return Err(format!("is no multiple of {step}"));
        }
    }
    let range = match schema.get("format").and_then(Value::as_str) {
        Some("int32") => (Value::from(i32::MIN), Value::from(i32::MAX)),
        Some("uint32") => (Value::from(0), Value::from(u32::MAX)),
        Some("int64") => (Value::from(i64::MIN), Value::from(i64::MAX)),
        Some("uint64") => (Value::from(0), Value::from(u64::MAX)),
        _ => return Ok(()),
    };
    let within =
        compare(value, &range.0) != Some(Ordering::Less) && compare(value, &range.1) != Some(Ordering::Greater);
    if within { Ok(()) } else { Err(format!("is outside {} to {}", range.0, range.1)) }
}

fn text_rules(text: &str, schema: &Map<String, Value>) -> Result<(), String> {
    within(text.chars().count() as u64, schema, "minLength", "maxLength", "characters")?;
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        let parsed = regex_lite::Regex::new(pattern).map_err(|e| format!("spec.parametersSchema: pattern: {e}"))?;
        if !parsed.is_match(text) {
            return Err(format!("does not match {pattern}"));
        }
    }
    let fits = match schema.get("format").and_then(Value::as_str) {
        Some("date-time") => text.parse::<jiff::Timestamp>().is_ok(),
        Some("date") => text.parse::<jiff::civil::Date>().is_ok(),
        Some("ipv4") => text.parse::<std::net::Ipv4Addr>().is_ok(),
        Some("ipv6") => text.parse::<std::net::Ipv6Addr>().is_ok(),
        Some("duration") => api_types::duration::parse(text).is_ok(),
        _ => return Ok(()),
    };
    if fits { Ok(()) } else { Err(format!("has not the format {}", schema["format"])) }
}

fn array(items: &[Value], schema: &Map<String, Value>) -> Result<(), String> {
    within(items.len() as u64, schema, "minItems", "maxItems", "items")?;
    if schema.get("uniqueItems").and_then(Value::as_bool) == Some(true) {
        let repeated = items.iter().enumerate().find(|(i, item)| items.iter().take(*i).any(|other| other == *item));
        if let Some((_, item)) = repeated {
            return Err(format!("has {item} twice"));
        }
    }
    let Some(each) = schema.get("items").and_then(Value::as_object) else {
        return Ok(());
    };
    items.iter().try_for_each(|item| validate(item, each).map_err(|why| format!("has {item}, which {why}")))
}

fn combined(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let of = |key: &str| -> Vec<&Map<String, Value>> {
        schema.get(key).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object).collect()
    };
    for each in of("allOf") {
        validate(value, each)?;
    }
    let any = of("anyOf");
    if !any.is_empty() && any.iter().all(|each| validate(value, each).is_err()) {
        return Err("fits none of anyOf".to_owned());
    }
    let one = of("oneOf");
    let fitting = one.iter().filter(|each| validate(value, each).is_ok()).count();
    if !one.is_empty() && fitting != 1 {
        return Err(format!("fits {fitting} of oneOf, not one"));
    }
    match schema.get("not").and_then(Value::as_object) {
        Some(not) if validate(value, not).is_ok() => Err("is what `not` forbids".to_owned()),
        _ => Ok(()),
    }
}

fn within(count: u64, schema: &Map<String, Value>, least: &str, most: &str, what: &str) -> Result<(), String> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    match (bound(least), bound(most)) {
        (Some(least), _) if count < least => Err(format!("has fewer than {least} {what}")),
        (_, Some(most)) if count > most => Err(format!("has more than {most} {what}")),
        _ => Ok(()),
    }
}
