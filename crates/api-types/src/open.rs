//! Values below an open schema: kept as they were written, read as a type on demand.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::lenient::stringify_quantities;

/// An object whose schema is open, meant to be a `T`.
///
/// The API server neither checks nor prunes what is below such a schema, so decoding must not fail
/// there: one odd field would stop a whole list. And what a newer cluster or operator wrote there
/// must survive a round trip. So the text is kept, and reading it as `T` is a step of its own that
/// may fail for the one object.
pub struct Open<T> {
    raw: Value,
    meant: PhantomData<fn() -> T>,
}

impl<T> Open<T> {
    /// Keeps a value as it is; null counts as the empty object.
    pub fn from_raw(raw: Value) -> Self {
        let raw = if raw.is_null() { Value::Object(Map::new()) } else { raw };
        Self { raw, meant: PhantomData }
    }

    /// The value as it was written.
    pub fn raw(&self) -> &Value {
        &self.raw
    }
}

impl<T: DeserializeOwned> Open<T> {
    /// Reads it as what it is meant to be; bare numbers count as quantities where one is meant.
    ///
    /// # Errors
    /// When a field has another type. Fields `T` does not know are no error.
    pub fn get(&self) -> Result<T, serde_json::Error> {
        let mut value = self.raw.clone();
        stringify_quantities(&mut value);
        serde_json::from_value(value)
    }
}

impl<T: Serialize> Open<T> {
    /// Writes a typed value.
    ///
    /// # Errors
    /// When `T` has no JSON form; no Kubernetes type is like that.
    pub fn new(value: &T) -> Result<Self, serde_json::Error> {
        serde_json::to_value(value).map(Self::from_raw)
    }
}

impl<T> Clone for Open<T> {
    fn clone(&self) -> Self {
        Self::from_raw(self.raw.clone())
    }
}

impl<T> fmt::Debug for Open<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.fmt(f)
    }
}

impl<T> Default for Open<T> {
    fn default() -> Self {
        Self::from_raw(Value::Null)
    }
}

impl<T> PartialEq for Open<T> {
    fn eq(&self, other: &Self) -> bool {
        self.raw == other.raw
    }
}

impl<T> Serialize for Open<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.raw.serialize(serializer)
    }
}

impl<'de, T> Deserialize<'de> for Open<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Value::deserialize(deserializer).map(Self::from_raw)
    }
}

impl<T> JsonSchema for Open<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Open".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        crate::schema::core::any_object(generator)
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::PodSpec;
    use serde_json::json;

    use super::*;

    #[test]
    fn unknown_fields_survive_and_quantities_read() {
        let raw = json!({ "containers": [{ "name": "a", "resources": { "limits": { "cpu": 1 } } }], "newer": true });
        let open: Open<PodSpec> = serde_json::from_value(raw.clone()).unwrap();
        let limits = open.get().unwrap().containers[0].resources.clone().unwrap().limits.unwrap();
        assert_eq!(limits["cpu"].0, "1");
        assert_eq!(serde_json::to_value(&open).unwrap(), raw);
    }

    #[test]
    fn what_does_not_fit_fails_only_when_read() {
        let open: Open<PodSpec> = serde_json::from_value(json!({ "containers": "none" })).unwrap();
        assert!(open.get().is_err());
        assert_eq!(Open::<PodSpec>::default().get().unwrap(), PodSpec::default());
    }
}
