//! Renders a StorageProvider's templates (contract-dp §9.1). Pure.
//!
//! The engine is Go's template language; the functions are those that the shipped providers of PVC
//! repositories call. `index` of an absent key gives the empty text, as Go does for a map of texts.

use gotmpl::{FuncMap, Template, TemplateError, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Renders `template` with `.Parameters`.
///
/// # Errors
/// What the engine says, with line and column.
pub fn render(name: &str, template: &str, parameters: &BTreeMap<String, String>) -> Result<String, TemplateError> {
    let text = |s: &str| Value::String(s.into());
    let map = |entries: Vec<(&str, Value)>| {
        Value::Map(Arc::new(entries.into_iter().map(|(k, v)| (Arc::from(k), v)).collect()))
    };
    let parameters = parameters.iter().map(|(k, v)| (k.as_str(), text(v))).collect();
    let none = map(vec![("Name", text("")), ("Namespace", text(""))]);
    let data = map(vec![
        ("Parameters", map(parameters)),
        ("CSIDriverSecretRef", none),
        ("GeneratedStorageClassName", text("")),
    ]);
    Template::new(name).funcs(functions()).parse(template)?.execute_to_string(&data)
}

fn functions() -> FuncMap {
    let mut all = FuncMap::new();
    all.insert(
        "default".into(),
        Arc::new(|args: &[Value]| {
            let [fallback, given @ ..] = args else {
                return Ok(Value::Nil);
            };
            let given = given.first().cloned().unwrap_or(Value::Nil);
            Ok(if given.is_truthy() { given } else { fallback.clone() })
        }),
    );
    all.insert(
        "index".into(),
        Arc::new(|args: &[Value]| {
            let [first, keys @ ..] = args else {
                return Ok(Value::Nil);
            };
            let mut at = first.clone();
            for key in keys {
                at = match (&at, key.as_str()) {
                    (Value::Map(entries), Some(key)) => entries.get(key).cloned().unwrap_or(Value::String("".into())),
                    _ => at.index(key)?,
                };
            }
            Ok(at)
        }),
    );
    all.insert(
        "hasPrefix".into(),
        Arc::new(|args: &[Value]| {
            let text = |i: usize| args.get(i).and_then(Value::as_str).unwrap_or_default();
            Ok(Value::Bool(text(1).starts_with(text(0))))
        }),
    );
    all.insert(
        "splitList".into(),
        Arc::new(|args: &[Value]| {
            let text = |i: usize| args.get(i).and_then(Value::as_str).unwrap_or_default();
            let parts: Vec<Value> = text(1).split(text(0)).map(|p| Value::String(p.into())).collect();
            Ok(Value::List(parts.into()))
        }),
    );
    all.insert(
        "toJson".into(),
        Arc::new(|args: &[Value]| {
            let json = args.first().map(as_json).unwrap_or_default();
            Ok(Value::String(json.to_string().into()))
        }),
    );
    all
}

fn as_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Bool(b) => (*b).into(),
        Value::Int(n) => (*n).into(),
        Value::Uint(n) => (*n).into(),
        Value::Float(n) => (*n).into(),
        Value::String(s) => s.as_ref().into(),
        Value::List(items) => items.iter().map(as_json).collect(),
        Value::Map(entries) => entries.iter().map(|(k, v)| (k.to_string(), as_json(v))).collect(),
        Value::Nil | Value::Function(_) => serde_json::Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parameters_fall_back_and_index_to_nothing() {
        let parameters = BTreeMap::from([("class".to_owned(), "fast".to_owned())]);
        for (template, expected) in [
            ("{{ .Parameters.class | default \"\" }}", "fast"),
            ("{{ .Parameters.none | default \"x\" }}", "x"),
            ("[{{ index .Parameters \"none\" }}]", "[]"),
            ("{{ splitList \" \" \"a b\" | toJson }}", "[\"a\",\"b\"]"),
            ("{{ if hasPrefix \"fa\" .Parameters.class }}y{{ end }}", "y"),
        ] {
            assert_eq!(render("t", template, &parameters).unwrap(), expected, "{template}");
        }
    }
}
