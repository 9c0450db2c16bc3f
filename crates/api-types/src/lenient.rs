//! Decoding that accepts what Go writers and users emit: null for an empty value, an absent
//! `spec`, a bare number where a quantity is meant.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Reads a value; null (and, with `#[serde(default)]`, absence) gives the default.
pub fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a core type that holds quantities (resources, claims, environment).
///
/// The API server stores a quantity of a custom resource as it was written, so `cpu: 1` stays an
/// integer; the Rust type only knows text. Null gives the default.
pub fn with_quantities<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let mut value = Value::deserialize(deserializer)?;
    stringify_quantities(&mut value);
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

/// Reads one optional quantity written as text or as a number.
pub fn quantity<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let mut value = Value::deserialize(deserializer)?;
    number_to_text(&mut value);
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

/// Reads a map of quantities written as text or as numbers; null gives the empty map.
pub fn quantities<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + DeserializeOwned,
{
    let mut value = Value::deserialize(deserializer)?;
    if let Value::Object(fields) = &mut value {
        fields.values_mut().for_each(number_to_text);
    }
    if value.is_null() {
        return Ok(T::default());
    }
    serde_json::from_value(value).map_err(serde::de::Error::custom)
}

/// Turns numbers into text wherever a core type means a quantity.
pub(crate) fn stringify_quantities(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(stringify_quantities),
        Value::Object(fields) => stringify_in_object(fields),
        _ => {}
    }
}

fn stringify_in_object(fields: &mut Map<String, Value>) {
    for (key, value) in fields {
        match (key.as_str(), &mut *value) {
            ("limits" | "requests" | "overhead" | "capacity", Value::Object(quantities)) => {
                quantities.values_mut().for_each(number_to_text);
            }
            ("divisor" | "sizeLimit", quantity) => number_to_text(quantity),
            (_, other) => stringify_quantities(other),
        }
    }
}

fn number_to_text(value: &mut Value) {
    if let Value::Number(number) = value {
        *value = Value::String(number.to_string());
    }
}

/// Serde of a spec derived with `#[serde(remote = "Self")]`: absent and null read as the default,
/// since neither `spec` nor `status` is required at the top of an object.
macro_rules! lenient_spec {
    ($($spec:ident),+) => {$(
        impl<'de> serde::Deserialize<'de> for $spec {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Present($spec);
                impl<'de> serde::Deserialize<'de> for Present {
                    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                        $spec::deserialize(deserializer).map(Present)
                    }
                }
                let spec = <Option<Present> as serde::Deserialize>::deserialize(deserializer)?;
                Ok(spec.map(|present| present.0).unwrap_or_default())
            }
        }

        impl serde::Serialize for $spec {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $spec::serialize(self, serializer)
            }
        }
    )+};
}
