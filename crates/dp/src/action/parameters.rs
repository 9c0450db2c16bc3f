//! Parameters of a Backup or Restore against what its ActionSet declares (contract-dp §11). Pure.

use api_types::dp::{ActionSet, ParameterPair};
use serde_json::{Map, Number, Value};

/// Texts that Go's `ParseBool` takes.
const TRUE: [&str; 6] = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE: [&str; 6] = ["0", "f", "F", "FALSE", "false", "False"];

/// Checks that each parameter is listed in `allowed` and that its value, converted by the type the
/// schema declares, fits the schema.
///
/// # Errors
/// One sentence that names the parameter and what is wrong with it.
pub fn check(given: &[ParameterPair], allowed: &[String], actions: &ActionSet) -> Result<(), String> {
    if let Some(unknown) = given.iter().find(|p| !allowed.contains(&p.name)) {
        let known = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        return Err(format!("it does not take {}; it takes {known}", unknown.name));
    }
    let schema = actions.spec.parameters_schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let properties = schema.and_then(|s| s.get("properties")).and_then(Value::as_object);
    for pair in given {
        let Some(property) = properties.and_then(|p| p.get(&pair.name)).and_then(Value::as_object) else {
            return Err(format!("{} is not a property of spec.parametersSchema", pair.name));
        };
        value(&pair.value, property).map_err(|why| format!("{} = {:?}: {why}", pair.name, pair.value))?;
    }
    let required = schema.and_then(|s| s.get("required")).and_then(Value::as_array).into_iter().flatten();
    for name in required.filter_map(Value::as_str) {
        // A parameter of the other direction is required there, not here.
        let here = !given.is_empty() && allowed.iter().any(|a| a == name);
        if here && !given.iter().any(|p| p.name == name) {
            return Err(format!("{name} is required"));
        }
    }
    Ok(())
}

/// Whether a value, converted by the type that its property declares, fits the property.
///
/// # Errors
/// The rule it breaks.
pub fn value(text: &str, schema: &Map<String, Value>) -> Result<(), String> {
    let converted = convert(text, schema)?;
    listed(&converted, schema)?;
    match &converted {
        Value::Number(number) => bounds(number, schema),
        Value::String(text) => lengths(text, schema),
        Value::Array(items) => {
            let count = items.len() as u64;
            within(count, schema, "minItems", "maxItems", "items")?;
            let each = schema.get("items").and_then(Value::as_object);
            items.iter().try_for_each(|item| match each {
                Some(each) => value(item.as_str().unwrap_or_default(), each),
                None => Ok(()),
            })
        }
        _ => Ok(()),
    }
}

fn convert(text: &str, schema: &Map<String, Value>) -> Result<Value, String> {
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "integer" => {
            let signed = text.parse::<i64>().map(Value::from);
            signed.or_else(|_| text.parse::<u64>().map(Value::from)).map_err(|_| "is no integer".to_owned())
        }
        "number" => {
            let parsed = text.parse::<f64>().ok().and_then(Number::from_f64);
            parsed.map(Value::Number).ok_or_else(|| "is no number".to_owned())
        }
        "boolean" if TRUE.contains(&text) => Ok(Value::Bool(true)),
        "boolean" if FALSE.contains(&text) => Ok(Value::Bool(false)),
        "boolean" => Err("is neither true nor false".to_owned()),
        "array" => Ok(text.split(',').map(Value::from).collect()),
        _ => Ok(Value::from(text)),
    }
}

fn listed(value: &Value, schema: &Map<String, Value>) -> Result<(), String> {
    let Some(choices) = schema.get("enum").and_then(Value::as_array) else {
        return Ok(());
    };
    if choices.iter().any(|c| c == value || (c.as_f64().is_some() && c.as_f64() == value.as_f64())) {
        return Ok(());
    }
    let shown: Vec<String> = choices.iter().map(ToString::to_string).collect();
    Err(format!("is none of {}", shown.join(", ")))
}

fn bounds(number: &Number, schema: &Map<String, Value>) -> Result<(), String> {
    let Some(number) = number.as_f64() else {
        return Ok(());
    };
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let open = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    if let Some(least) = bound("minimum")
        && (number < least || (open("exclusiveMinimum") && number <= least))
    {
        return Err(format!("is below the minimum {least}"));
    }
    if let Some(most) = bound("maximum")
        && (number > most || (open("exclusiveMaximum") && number >= most))
    {
        return Err(format!("is above the maximum {most}"));
    }
    Ok(())
}

fn lengths(text: &str, schema: &Map<String, Value>) -> Result<(), String> {
    within(text.chars().count() as u64, schema, "minLength", "maxLength", "characters")?;
    let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
        return Ok(());
    };
    let parsed = regex_lite::Regex::new(pattern).map_err(|e| format!("spec.parametersSchema: pattern: {e}"))?;
    if parsed.is_match(text) { Ok(()) } else { Err(format!("does not match {pattern}")) }
}

fn within(count: u64, schema: &Map<String, Value>, least: &str, most: &str, what: &str) -> Result<(), String> {
    let bound = |key: &str| schema.get(key).and_then(Value::as_u64);
    match (bound(least), bound(most)) {
        (Some(least), _) if count < least => Err(format!("has fewer than {least} {what}")),
        (_, Some(most)) if count > most => Err(format!("has more than {most} {what}")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn restore_43_values_are_converted_by_their_type_and_checked() {
        let actions: ActionSet = serde_json::from_value(json!({
            "metadata": {"name": "a"},
            "spec": {"backupType": "Full", "parametersSchema": {"openAPIV3Schema": {
                "required": ["must"],
                "properties": {
                    "n": {"type": "integer", "minimum": 1, "maximum": 8, "exclusiveMaximum": true},
                    "f": {"type": "number", "enum": [0.5, 1]},
                    "b": {"type": "boolean"},
                    "s": {"type": "string", "minLength": 2, "maxLength": 3, "pattern": "^[a-z]+$"},
                    "l": {"type": "array", "maxItems": 2, "items": {"type": "integer"}},
                    "free": {}, "must": {"type": "string"},
                }
            }}}
        }))
        .unwrap();
        let allowed = ["n", "f", "b", "s", "l", "free", "lost"].map(String::from);
        for (name, value, complaint) in [
            ("n", "7", ""),
            ("n", "8", "above the maximum 8"),
            ("n", "0", "below the minimum 1"),
            ("n", "x", "is no integer"),
            ("f", "1", ""),
            ("f", "2", "is none of 0.5, 1"),
            ("b", "T", ""),
            ("b", "yes", "is neither true nor false"),
            ("s", "abc", ""),
            ("s", "a", "fewer than 2 characters"),
            ("s", "abcd", "more than 3 characters"),
            ("s", "A1", "does not match ^[a-z]+$"),
            ("l", "1,2", ""),
            ("l", "1,x", "is no integer"),
            ("l", "1,2,3", "more than 2 items"),
            ("free", "anything", ""),
            ("lost", "1", "not a property"),
            ("other", "1", "it does not take other; it takes n, f, b, s, l, free, lost"),
        ] {
            let pair = ParameterPair { name: name.into(), value: value.into() };
            let said = check(&[pair], &allowed, &actions).err().unwrap_or_default();
            assert_eq!(said.is_empty(), complaint.is_empty(), "{name}={value}: {said}");
            assert!(said.contains(complaint), "{name}={value}: {said}");
        }
        let pair = ParameterPair { name: "n".into(), value: "1".into() };
        let all: Vec<String> = allowed.iter().cloned().chain(["must".to_owned()]).collect();
        assert_eq!(check(&[pair], &all, &actions), Err("must is required".into()));
        assert_eq!(check(&[], &all, &actions), Ok(()), "no parameters always pass");
    }
}
