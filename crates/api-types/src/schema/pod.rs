//! Schemas of parts of pods, services and instance lists that the apps kinds embed.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A list of instance templates that are open but for their name, by which they are merged.
pub fn named_instances(_: &mut SchemaGenerator) -> Schema {
    keyed_objects("name", &json!({ "type": "string", "maxLength": 54, "pattern": super::NAME_PATTERN }))
}

/// A list of objects that are open but for the name of their component, by which they are merged.
pub fn component_objects(_: &mut SchemaGenerator) -> Schema {
    keyed_objects("componentName", &json!({ "type": "string" }))
}

fn keyed_objects(key: &str, of: &Value) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { key: of },
            "required": [key],
            "x-kubernetes-preserve-unknown-fields": true,
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": [key],
    })
}

/// `PodDNSConfig`.
pub fn dns_config(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "nameservers": { "type": "array", "items": { "type": "string" } },
            "options": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": { "name": { "type": "string" }, "value": { "type": "string" } },
                },
            },
            "searches": { "type": "array", "items": { "type": "string" } },
        },
    })
}

/// A list of `HostAlias`.
pub fn host_aliases(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "hostnames": { "type": "array", "items": { "type": "string" } },
                "ip": { "type": "string" },
            },
        },
    })
}

/// `ConfigMapVolumeSource`.
pub fn config_map_volume(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "properties": {
            "defaultMode": { "type": "integer", "format": "int32" },
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "key": { "type": "string" },
                        "mode": { "type": "integer", "format": "int32" },
                        "path": { "type": "string" },
                    },
                    "required": ["key", "path"],
                },
            },
            "name": { "type": "string" },
            "optional": { "type": "boolean" },
        },
        "x-kubernetes-map-type": "atomic",
    })
}

/// A list of `ServicePort`.
pub fn service_ports(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "appProtocol": { "type": "string" },
                "name": { "type": "string" },
                "nodePort": { "type": "integer", "format": "int32" },
                "port": { "type": "integer", "format": "int32" },
                "protocol": { "type": "string", "default": "TCP" },
                "targetPort": { "x-kubernetes-int-or-string": true },
            },
            "required": ["port"],
        },
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["port", "protocol"],
    })
}

/// A list of `ObjectReference`.
pub fn object_references(generator: &mut SchemaGenerator) -> Schema {
    let item = super::core::object_reference(generator);
    json_schema!({ "type": "array", "items": item })
}
