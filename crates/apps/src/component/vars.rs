//! Variables of a ComponentDefinition: what goes into the env ConfigMap, and what into the containers (behaviour-apps
//! §11.5). Pure.

use crate::error::Stop;
use api_types::apps::{Component, ComponentDefinition, Var, VarOption, VarSource};
use api_types::contract::{apps_reasons as reasons, names};
use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};
use kube::ResourceExt;
use std::collections::BTreeMap;

/// What variables are resolved against.
pub struct Source<'a> {
    /// The component.
    pub component: &'a Component,
    /// Its definition.
    pub definition: &'a ComponentDefinition,
    /// Name of its Cluster.
    pub cluster: &'a str,
    /// UID of its Cluster.
    pub cluster_uid: &'a str,
    /// Its name inside the Cluster.
    pub short_name: &'a str,
    /// Names of its pods.
    pub pods: &'a [String],
}

/// Resolved variables.
#[derive(Debug, Default, PartialEq)]
pub struct Vars {
    /// Data of the env ConfigMap: it changes with the number of pods and restarts none.
    pub plain: BTreeMap<String, String>,
    /// Variables of the containers, before their own: credentials never go into the ConfigMap.
    pub credentials: Vec<EnvVar>,
    /// Optional variables left out because their kind is not served yet.
    pub left_out: Vec<String>,
}

/// What one variable comes to.
enum Value {
    Plain(String),
    Secret { name: String, key: &'static str },
}

/// Resolves all variables in the order of the definition.
///
/// # Errors
/// Terminal `NotServedYet` for a required variable of a kind that is not served yet, or that points elsewhere.
pub fn resolve(from: &Source<'_>) -> Result<Vars, Stop> {
    let mut vars = Vars::default();
    for var in &from.definition.spec.vars {
        match one(var, from)? {
            Some(Value::Plain(text)) => {
                vars.plain.insert(var.name.clone(), text);
            }
            Some(Value::Secret { name, key }) => vars.credentials.push(EnvVar {
                name: var.name.clone(),
                value_from: Some(EnvVarSource {
                    secret_key_ref: Some(SecretKeySelector { name, key: key.to_owned(), optional: None }),
                    ..EnvVarSource::default()
                }),
                value: None,
            }),
            None => vars.left_out.push(format!("vars[{}]", var.name)),
        }
    }
    Ok(vars)
}

fn one(var: &Var, from: &Source<'_>) -> Result<Option<Value>, Stop> {
    let not_served = |what: &str| {
        let definition = from.definition.name_any();
        let text = format!("ComponentDefinition {definition}: spec.vars[{}]: {what} is not served yet", var.name);
        Stop::terminal(reasons::refused::NOT_SERVED_YET, text)
    };
    if var.expression.as_ref().is_some_and(|e| !e.is_empty()) {
        return Err(not_served("expression"));
    }
    let Some(source) = &var.value_from else {
        return Ok(Some(Value::Plain(var.value.clone().unwrap_or_default())));
    };
    if let Some(found) =
        of_credential(source, from).or_else(|| of_component(source, from)).or_else(|| of_cluster(source, from))
    {
        return Ok(Some(found));
    }
    let required = serde_json::to_string(source).unwrap_or_default().contains("\"Required\"");
    let optional = serde_json::to_string(source).unwrap_or_default().contains("\"optional\":true");
    if required && !optional { Err(not_served("this kind of valueFrom")) } else { Ok(None) }
}

/// Whether a reference is to the component itself: by no name, or by its own.
fn is_self(comp_def: Option<&str>, definition: &str) -> bool {
    comp_def.is_none_or(|wanted| wanted.is_empty() || definition == wanted || definition.starts_with(wanted))
}

fn of_credential(source: &VarSource, from: &Source<'_>) -> Option<Value> {
    let wanted = source.credential_var_ref.as_ref()?;
    let account = wanted.name.as_deref().filter(|n| !n.is_empty())?;
    let accounts = &from.definition.spec.system_accounts;
    let known = accounts.iter().any(|a| a.name == account);
    if !known || !is_self(wanted.comp_def.as_deref(), &from.definition.name_any()) {
        return None;
    }
    let name = names::account_secret(from.cluster, from.short_name, account);
    let key = match (&wanted.username, &wanted.password) {
        (Some(_), _) => names::ACCOUNT_USERNAME_KEY,
        (None, Some(_)) => names::ACCOUNT_PASSWORD_KEY,
        (None, None) => return None,
    };
    Some(Value::Secret { name, key })
}

fn of_component(source: &VarSource, from: &Source<'_>) -> Option<Value> {
    let wanted = source.component_var_ref.as_ref()?;
    if !is_self(wanted.comp_def.as_deref(), &from.definition.name_any()) {
        return None;
    }
    let full = from.component.name_any();
    let namespace = from.component.namespace().unwrap_or_default();
    let fqdn =
        |pod: &String| format!("{pod}.{}.{namespace}.svc.{}", names::headless_service(&full), names::CLUSTER_DOMAIN);
    let asked = |option: &Option<VarOption>| option.is_some();
    let text = if asked(&wanted.pod_names) {
        from.pods.join(",")
    } else if asked(&wanted.pod_fqdns) {
        from.pods.iter().map(fqdn).collect::<Vec<_>>().join(",")
    } else if asked(&wanted.component_name) {
        full
    } else if asked(&wanted.short_name) {
        from.short_name.to_owned()
    } else if asked(&wanted.replicas) {
        from.pods.len().to_string()
    } else if asked(&wanted.service_version) {
        let own = from.component.spec.service_version.clone().filter(|v| !v.is_empty());
        own.or_else(|| from.definition.spec.service_version.clone()).unwrap_or_default()
    } else {
        return None;
    };
    Some(Value::Plain(text))
}

fn of_cluster(source: &VarSource, from: &Source<'_>) -> Option<Value> {
    let wanted = source.cluster_var_ref.as_ref()?;
    let text = if wanted.namespace.is_some() {
        from.component.namespace().unwrap_or_default()
    } else if wanted.cluster_name.is_some() {
        from.cluster.to_owned()
    } else if wanted.cluster_uid.is_some() {
        from.cluster_uid.to_owned()
    } else {
        return None;
    };
    Some(Value::Plain(text))
}
