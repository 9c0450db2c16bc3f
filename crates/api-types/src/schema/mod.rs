//! Pieces of CRD schemas: patterns, validation rules, and the final touch on a generated CRD.
//!
//! Core Kubernetes types are described here by hand ([`core`]) instead of by `k8s-openapi`, so
//! that each CRD stays small and its constraints equal the wire contract.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Value, json};

pub mod core;

/// Pattern of object names that the contract restricts.
pub const NAME_PATTERN: &str = r"^[a-z0-9]([a-z0-9\.\-]*[a-z0-9])?$";
/// Pattern of `Restore.spec.restoreTime`: UTC, whole seconds.
pub const RESTORE_TIME_PATTERN: &str = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$";
/// Pattern of `timeRange.timeZone`: an offset such as `+08:00`.
pub const TIME_ZONE_PATTERN: &str = r"^(\+|\-)(0[0-9]|1[0-3]):([0-5][0-9])$";
/// Pattern of `BackupRepo.spec.pathPrefix`.
pub const PATH_PREFIX_PATTERN: &str = r"^([a-zA-Z0-9-_]+/?)*$";
/// Pattern of a Kubernetes quantity.
pub const QUANTITY_PATTERN: &str = concat!(
    r"^(\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))",
    r"(([KMGTPE]i)|[numkMGTPE]|([eE](\+|-)?(([0-9]+(\.[0-9]*)?)|(\.[0-9]+))))?$"
);

/// One `x-kubernetes-validations` entry: a CEL rule and what the user reads when it fails.
pub fn rule(rule: &str, message: &str) -> Value {
    json!([{ "rule": rule, "message": message }])
}

/// The rule that forbids a change of `field`.
pub fn immutable(field: &str) -> Value {
    rule("self == oldSelf", &format!("{field} is immutable"))
}

/// The rule that forbids adding or dropping `parameters` on update.
pub fn parameters_presence() -> Value {
    rule("has(oldSelf.parameters) == has(self.parameters)", "parameters can be neither added nor removed")
}

/// Turns what `kube` generates into the CRD we install.
///
/// Neither `spec` nor `status` is required; `nullable`, and null as a word of an enum, are dropped
/// everywhere, since they would stop the API server from pruning nulls; titles carry nothing.
pub fn finish(mut crd: CustomResourceDefinition, labels: &[(&str, &str)]) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let schema = version.schema.as_mut().and_then(|validation| validation.open_api_v3_schema.as_mut());
        if let Some(schema) = schema {
            schema.required = None;
            tidy(schema);
        }
    }
    let target = crd.metadata.labels.get_or_insert_default();
    target.extend(labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
    crd
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    if let Some(properties) = &mut schema.properties {
        properties.values_mut().for_each(tidy);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => tidy(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(tidy),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
    }
}
