//! Pieces of CRD schemas: patterns, validation rules, and the final touch on a generated CRD.
//!
//! Core Kubernetes types are described here by hand ([`core`]) instead of by `k8s-openapi`, so
//! that each CRD stays small and its constraints equal the wire contract.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use serde_json::{Value, json};

pub mod core;
pub mod pod;

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

/// Pattern of names of definitions.
pub const DEFINITION_PATTERN: &str = r"^[a-z]([a-z0-9\.\-]*[a-z0-9])?$";
/// Pattern of names of components in a Cluster; empty where a topology names it.
pub const COMPONENT_NAME_PATTERN: &str = "^$|^[a-z]([a-z0-9-]*[a-z0-9])?$";
/// Pattern of names of Services and volumes.
pub const SERVICE_NAME_PATTERN: &str = r"^[a-z]([a-z0-9\-]*[a-z0-9])?$";
/// Pattern of namespaces.
pub const NAMESPACE_PATTERN: &str = r"^[a-z0-9]([a-z0-9\-]*[a-z0-9])?$";
/// Pattern of names of roles: not blank.
pub const ROLE_PATTERN: &str = r"^.*[^\s]+.*$";
/// Pattern of `OpsRequest.status.progress`.
pub const PROGRESS_PATTERN: &str = r"^(\d+|\-)/(\d+|\-)$";

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
    for_each_schema(&mut crd, |schema| {
        schema.required = None;
        tidy(schema);
    });
    let target = crd.metadata.labels.get_or_insert_default();
    target.extend(labels.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())));
    crd
}

/// How deep below the object descriptions are kept in a brief CRD: fields of spec and status.
const BRIEF_DEPTH: usize = 2;

/// [`finish`] for the large CRDs: only fields of spec and status keep their description, the rest
/// is in the reference pages. It is the difference between fitting the size limit and not.
pub fn finish_brief(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut crd = finish(crd, &[(crate::contract::labels::NAME, "kubeblocks")]);
    for_each_schema(&mut crd, |schema| shorten(schema, BRIEF_DEPTH));
    crd
}

/// Puts rules at the root of the schema, the only place that sees both spec and status.
pub fn with_root_rules(mut crd: CustomResourceDefinition, rules: &[(&str, &str)]) -> CustomResourceDefinition {
    let rules: Vec<_> = rules.iter().map(|&(rule, message)| validation(rule, message)).collect();
    for_each_schema(&mut crd, |schema| schema.x_kubernetes_validations = Some(rules.clone()));
    crd
}

fn validation(rule: &str, message: &str) -> ValidationRule {
    ValidationRule { rule: rule.to_owned(), message: Some(message.to_owned()), ..ValidationRule::default() }
}

fn for_each_schema(crd: &mut CustomResourceDefinition, change: impl Fn(&mut JSONSchemaProps)) {
    let versions = crd.spec.versions.iter_mut().filter_map(|version| version.schema.as_mut());
    versions.filter_map(|validation| validation.open_api_v3_schema.as_mut()).for_each(change);
}

fn shorten(schema: &mut JSONSchemaProps, depth: usize) {
    for child in children(schema) {
        if depth == 0 {
            child.description = None;
        }
        shorten(child, depth.saturating_sub(1));
    }
}

fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    schema.title = None;
    if let Some(words) = &mut schema.enum_ {
        words.retain(|word| !word.0.is_null());
    }
    children(schema).for_each(tidy);
}

fn children(schema: &mut JSONSchemaProps) -> impl Iterator<Item = &mut JSONSchemaProps> {
    let properties = schema.properties.iter_mut().flat_map(|properties| properties.values_mut());
    let items: Vec<&mut JSONSchemaProps> = match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => vec![item],
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().collect(),
        None => Vec::new(),
    };
    let values = match &mut schema.additional_properties {
        Some(JSONSchemaPropsOrBool::Schema(values)) => Some(&mut **values),
        _ => None,
    };
    properties.chain(items).chain(values)
}
