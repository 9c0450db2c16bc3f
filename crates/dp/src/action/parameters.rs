//! Parameters of a Backup or Restore against what its ActionSet declares (contract-dp §11). Pure.

use crate::action::schema;
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
    let mut names = std::collections::BTreeSet::new();
    if let Some(twice) = given.iter().find(|p| !names.insert(p.name.as_str())) {
        return Err(format!("{} is given twice", twice.name));
    }
    let whole = actions.spec.parameters_schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let properties = whole.and_then(|s| s.get("properties")).and_then(Value::as_object);
    for pair in given {
        let Some(property) = properties.and_then(|p| p.get(&pair.name)).and_then(Value::as_object) else {
            return Err(format!("{} is not a property of spec.parametersSchema", pair.name));
        };
        value(&pair.value, property).map_err(|why| format!("{} = {:?}: {why}", pair.name, pair.value))?;
    }
    let required = whole.and_then(|s| s.get("required")).and_then(Value::as_array).into_iter().flatten();
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
pub fn value(text: &str, property: &Map<String, Value>) -> Result<(), String> {
    schema::validate(&convert(text, property)?, property)
}

/// A value as the type says that the schema declares: parameters travel as text.
///
/// Whole numbers are signed, unless the format is an unsigned one or the bounds leave no room for a signed one
/// (contract-dp §11); a list is cut at its commas; without a type, or with one that text can not have, it stays text.
fn convert(text: &str, schema: &Map<String, Value>) -> Result<Value, String> {
    match schema.get("type").and_then(Value::as_str).unwrap_or_default() {
        "integer" if is_unsigned(schema) => {
            let digits = text.chars().all(|c| c.is_ascii_digit());
            let parsed = text.parse::<u64>().ok().filter(|_| digits);
            parsed.map(Value::from).ok_or_else(|| "is no unsigned integer of 64 bits".to_owned())
        }
        "integer" => text.parse::<i64>().map(Value::from).map_err(|_| "is no integer of 64 bits".to_owned()),
        "number" => {
            let parsed = text.parse::<f64>().ok().and_then(Number::from_f64);
            parsed.map(Value::Number).ok_or_else(|| "is no number".to_owned())
        }
        "boolean" if TRUE.contains(&text) => Ok(Value::Bool(true)),
        "boolean" if FALSE.contains(&text) => Ok(Value::Bool(false)),
        "boolean" => Err("is neither true nor false".to_owned()),
        "array" => {
            let each = schema.get("items").and_then(Value::as_object);
            let item = |text: &str| each.map_or_else(|| Ok(Value::from(text)), |each| convert(text, each));
            text.split(',').map(item).collect::<Result<Vec<Value>, String>>().map(Value::Array)
        }
        _ => Ok(Value::from(text)),
    }
}

fn is_unsigned(schema: &Map<String, Value>) -> bool {
    const SIGNED_END: f64 = 9_223_372_036_854_775_808.0;
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    let format = schema.get("format").and_then(Value::as_str).unwrap_or_default();
    format.starts_with("uint")
        || (bound("minimum").is_some_and(|least| least >= 0.0)
            && bound("maximum").is_some_and(|most| most >= SIGNED_END))
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
                    "u": {"type": "integer", "format": "uint64"},
                    "w": {"type": "integer", "minimum": 0, "maximum": 18_446_744_073_709_551_615_u64},
                    "x": {"type": "integer", "minimum": -1, "maximum": 18_446_744_073_709_551_615_u64},
                    "i": {"type": "integer", "format": "int32"},
                    "m": {"type": "integer", "multipleOf": 4},
                    "o": {"type": "object"},
                    "d": {"type": "string", "format": "date-time"},
                    "q": {"type": "array", "uniqueItems": true, "items": {"enum": ["a", "b"]}},
                    "e": {"type": "integer", "maximum": 9_007_199_254_740_993_u64},
                    "c": {"anyOf": [{"pattern": "^a"}, {"maxLength": 1}], "not": {"enum": ["ab"]}},
                    "free": {}, "must": {"type": "string"},
                }
            }}}
        }))
        .unwrap();
        let allowed = ["n", "f", "b", "s", "l", "u", "w", "x", "i", "m", "o", "d", "q", "e", "c", "free", "lost"]
            .map(String::from);
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
            ("n", "9223372036854775808", "no integer of 64 bits"),
            ("u", "18446744073709551615", ""),
            ("u", "-1", "no unsigned integer"),
            ("u", "+1", "no unsigned integer"),
            ("w", "18446744073709551615", ""),
            ("w", "18446744073709551616", "no unsigned integer"),
            ("x", "9223372036854775808", "no integer of 64 bits"),
            ("i", "2147483648", "outside -2147483648 to 2147483647"),
            ("m", "8", ""),
            ("m", "9", "no multiple of 4"),
            ("o", "{}", "can not be of type object"),
            ("d", "2026-11-21T00:00:00Z", ""),
            ("d", "yesterday", "has not the format \"date-time\""),
            ("q", "a,b", ""),
            ("q", "a,a", "has \"a\" twice"),
            ("q", "a,c", "has \"c\", which is none of \"a\", \"b\""),
            ("e", "9007199254740993", ""),
            ("e", "9007199254740994", "above the maximum 9007199254740993"),
            ("c", "abc", ""),
            ("c", "z", ""),
            ("c", "zz", "fits none of anyOf"),
            ("c", "ab", "is what `not` forbids"),
            ("free", "anything", ""),
            ("lost", "1", "not a property"),
            ("other", "1", "it does not take other; it takes n, f, b, s, l, u, w,"),
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
        let twice = ["1", "2"].map(|v| ParameterPair { name: "n".into(), value: v.into() });
        assert_eq!(check(&twice, &all, &actions), Err("n is given twice".into()));
    }
}
