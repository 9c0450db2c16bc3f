//! Schemas of the core Kubernetes types that the CRDs embed, in the shape of the wire contract
//! (Kubernetes 1.29) plus the fields newer clusters know.
//!
//! Used through `#[schemars(schema_with = "…")]`, always together with `#[serde(default)]` on
//! optional fields, because such a schema hides that the Rust type is an `Option`.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::QUANTITY_PATTERN;

fn with(mut schema: Value, key: &str, value: Value) -> Value {
    if let Value::Object(fields) = &mut schema {
        fields.insert(key.to_owned(), value);
    }
    schema
}

fn object(required: &[&str], properties: &Value) -> Value {
    let schema = json!({ "type": "object", "properties": properties });
    if required.is_empty() {
        return schema;
    }
    with(schema, "required", json!(required))
}

fn atomic(schema: Value) -> Value {
    with(schema, "x-kubernetes-map-type", json!("atomic"))
}

fn open(schema: Value) -> Value {
    with(schema, "x-kubernetes-preserve-unknown-fields", json!(true))
}

fn map_list(schema: Value, key: &str) -> Value {
    let schema = with(schema, "x-kubernetes-list-type", json!("map"));
    with(schema, "x-kubernetes-list-map-keys", json!([key]))
}

fn list(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn text_map() -> Value {
    json!({ "type": "object", "additionalProperties": { "type": "string" } })
}

fn quantity_value() -> Value {
    json!({ "x-kubernetes-int-or-string": true, "pattern": QUANTITY_PATTERN })
}

fn quantity_map() -> Value {
    json!({ "type": "object", "additionalProperties": quantity_value() })
}

fn key_selector_value() -> Value {
    atomic(object(&["key"], &json!({ "key": text(), "name": text(), "optional": flag() })))
}

fn match_expressions_value() -> Value {
    let expression =
        object(&["key", "operator"], &json!({ "key": text(), "operator": text(), "values": list(&text()) }));
    list(&expression)
}

fn selector_value() -> Value {
    atomic(object(&[], &json!({ "matchExpressions": match_expressions_value(), "matchLabels": text_map() })))
}

fn env_item() -> Value {
    let field_ref = atomic(object(&["fieldPath"], &json!({ "apiVersion": text(), "fieldPath": text() })));
    let resource_ref = atomic(object(
        &["resource"],
        &json!({
            "containerName": text(), "divisor": quantity_value(), "resource": text(),
        }),
    ));
    let value_from = object(
        &[],
        &json!({
            "configMapKeyRef": key_selector_value(),
            "fieldRef": field_ref,
            "resourceFieldRef": resource_ref,
            "secretKeyRef": key_selector_value(),
        }),
    );
    object(&["name"], &json!({ "name": text(), "value": text(), "valueFrom": value_from }))
}

fn resources_value(with_claims: bool) -> Value {
    let properties = json!({ "limits": quantity_map(), "requests": quantity_map() });
    if !with_claims {
        return object(&[], &properties);
    }
    let claim = object(&["name"], &json!({ "name": text(), "request": text() }));
    let claims = map_list(list(&claim), "name");
    object(&[], &with(properties, "claims", claims))
}

fn schema(value: Value) -> Schema {
    // Only objects are built here; anything else would be the schema that accepts nothing.
    Schema::try_from(value).unwrap_or_else(|_| false.into())
}

/// A list of `EnvVar`.
pub fn env(_: &mut SchemaGenerator) -> Schema {
    schema(list(&env_item()))
}

/// A list of `EnvVar` whose items may carry fields this contract does not know.
pub fn env_open(_: &mut SchemaGenerator) -> Schema {
    schema(open(list(&env_item())))
}

/// A list of `EnvFromSource`, open like [`env_open`].
pub fn env_from_open(_: &mut SchemaGenerator) -> Schema {
    let source = atomic(object(&[], &json!({ "name": text(), "optional": flag() })));
    let sources = list(&object(
        &[],
        &json!({
            "configMapRef": source, "prefix": text(), "secretRef": source,
        }),
    ));
    schema(open(sources))
}

/// `ResourceRequirements`.
pub fn resources(_: &mut SchemaGenerator) -> Schema {
    schema(resources_value(true))
}

/// `ResourceRequirements` that may carry fields this contract does not know.
pub fn resources_open(_: &mut SchemaGenerator) -> Schema {
    schema(open(resources_value(true)))
}

/// A list of `VolumeMount`.
pub fn volume_mounts(_: &mut SchemaGenerator) -> Schema {
    schema(list(&object(
        &["mountPath", "name"],
        &json!({
            "mountPath": text(), "mountPropagation": text(), "name": text(), "readOnly": flag(),
            "recursiveReadOnly": text(), "subPath": text(), "subPathExpr": text(),
        }),
    )))
}

/// A `LabelSelector` (replaced as a whole by server-side apply).
pub fn label_selector(_: &mut SchemaGenerator) -> Schema {
    schema(selector_value())
}

/// A list of label selector requirements.
pub fn match_expressions(_: &mut SchemaGenerator) -> Schema {
    schema(match_expressions_value())
}

/// `SecretKeySelector`.
pub fn secret_key_selector(_: &mut SchemaGenerator) -> Schema {
    schema(key_selector_value())
}

/// `SecretReference`.
pub fn secret_reference(_: &mut SchemaGenerator) -> Schema {
    schema(atomic(object(&[], &json!({ "name": text(), "namespace": text() }))))
}

/// `ObjectReference`.
pub fn object_reference(_: &mut SchemaGenerator) -> Schema {
    schema(atomic(object(
        &[],
        &json!({
            "apiVersion": text(), "fieldPath": text(), "kind": text(), "name": text(),
            "namespace": text(), "resourceVersion": text(), "uid": text(),
        }),
    )))
}

/// One quantity, written as text or number.
pub fn quantity(_: &mut SchemaGenerator) -> Schema {
    schema(quantity_value())
}

/// An integer without a format.
pub fn plain_integer(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer" })
}

/// A string map that server-side apply replaces as a whole.
pub fn atomic_text_map(_: &mut SchemaGenerator) -> Schema {
    schema(atomic(text_map()))
}

/// `PersistentVolumeClaimSpec`.
pub fn claim_spec(_: &mut SchemaGenerator) -> Schema {
    let source = atomic(object(
        &["kind", "name"],
        &json!({
            "apiGroup": text(), "kind": text(), "name": text(),
        }),
    ));
    let source_ref = object(
        &["kind", "name"],
        &json!({
            "apiGroup": text(), "kind": text(), "name": text(), "namespace": text(),
        }),
    );
    schema(object(
        &[],
        &json!({
            "accessModes": list(&text()),
            "dataSource": source,
            "dataSourceRef": source_ref,
            "resources": resources_value(false),
            "selector": selector_value(),
            "storageClassName": text(),
            "volumeAttributesClassName": text(),
            "volumeMode": text(),
            "volumeName": text(),
        }),
    ))
}

/// A core type the API server checks later, when it becomes part of a pod: any object.
pub fn any_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// A list of such objects.
pub fn any_objects(_: &mut SchemaGenerator) -> Schema {
    schema(list(&json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })))
}

/// A list of `metav1.Condition`; atomic, one controller owns it.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    schema(conditions_value())
}

/// A list of `metav1.Condition`, keyed by type.
pub fn conditions_by_type(_: &mut SchemaGenerator) -> Schema {
    schema(map_list(conditions_value(), "type"))
}

fn conditions_value() -> Value {
    let required = ["lastTransitionTime", "message", "reason", "status", "type"];
    list(&object(
        &required,
        &json!({
            "lastTransitionTime": { "type": "string", "format": "date-time" },
            "message": { "type": "string", "maxLength": 32768 },
            "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0 },
            "reason": {
                "type": "string", "minLength": 1, "maxLength": 1024,
                "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
            },
            "status": { "type": "string", "enum": ["True", "False", "Unknown"] },
            "type": {
                "type": "string", "maxLength": 316,
                "pattern": concat!(
                    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?",
                    "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                ),
            },
        }),
    ))
}

/// A list of parameters, keyed by name.
pub fn parameters(_: &mut SchemaGenerator) -> Schema {
    let pair = object(&["name", "value"], &json!({ "name": text(), "value": text() }));
    let parameters = with(list(&pair), "maxItems", json!(128));
    schema(map_list(parameters, "name"))
}

/// An integer or a percentage.
pub fn int_or_string(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "x-kubernetes-int-or-string": true })
}

/// An integer from 0 to 100 without a format.
pub fn percent(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "integer", "minimum": 0, "maximum": 100 })
}
