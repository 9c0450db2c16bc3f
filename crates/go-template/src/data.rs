//! The context of a template, as the caller gives it.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value as Json;

use crate::value::{List, Map, Of, Struct, Text, Value};

/// What a template's dot is. Go treats structs, maps of anything and maps of texts differently when
/// a name is missing, so the difference is kept.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// A struct: a field that is not here is an error.
    Struct(Vec<(String, Data)>),
    /// `map[string]interface {}` of mixed data.
    Map(BTreeMap<String, Data>),
    /// `map[string]string`: `index` of an absent key is the empty text.
    Texts(BTreeMap<String, String>),
    /// A text.
    Text(String),
    /// Decoded JSON, numbers as Kubernetes decodes them: whole ones are `int64`, others `float64`.
    Json(Json),
}

impl Data {
    /// A map of texts.
    pub fn texts<K: Into<String>, V: Into<String>>(entries: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Texts(entries.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
    }

    pub(crate) fn value(&self) -> Value {
        match self {
            Self::Struct(fields) => {
                let fields = fields.iter().map(|(name, data)| (Rc::from(name.as_str()), data.value())).collect();
                Value::Struct(Rc::new(Struct { fields }))
            }
            Self::Map(entries) => Value::map(entries.iter().map(|(key, data)| (text(key), data.value())).collect()),
            Self::Texts(entries) => {
                let entries = entries.iter().map(|(key, value)| (text(key), Value::text(value))).collect();
                Value::Map(Map::new(Of::Text, entries))
            }
            Self::Text(text) => Value::text(text),
            Self::Json(json) => from_json(json, false),
        }
    }
}

impl From<Json> for Data {
    fn from(json: Json) -> Self {
        Self::Json(json)
    }
}

fn text(text: &str) -> Text {
    text.as_bytes().into()
}

/// `floats`: every number is a float, as `encoding/json` has it.
pub(crate) fn from_json(json: &Json, floats: bool) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(b) => Value::Bool(*b),
        Json::Number(n) => match n.as_i64() {
            Some(int) if !floats => Value::int64(int),
            _ => Value::Float(n.as_f64().unwrap_or(0.0)),
        },
        Json::String(s) => Value::text(s),
        Json::Array(items) => Value::List(List::new(Of::Any, items.iter().map(|i| from_json(i, floats)).collect())),
        Json::Object(map) => Value::map(map.iter().map(|(k, v)| (text(k), from_json(v, floats))).collect()),
    }
}
