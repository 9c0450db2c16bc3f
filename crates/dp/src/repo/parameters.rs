//! Parameters of a repository: where each comes from, and the rules of the provider's schema (behaviour-backup §11.1).
//! Pure.

use crate::action::parameters as rules;
use api_types::dp::StorageProvider;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The data of a Secret.
pub type Texts = BTreeMap<String, String>;

/// Values of a repository and which of them came from a Secret.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    /// All values, as templates see them.
    pub values: Texts,
    /// Names whose values are never shown.
    hidden: BTreeSet<String>,
}

fn properties(provider: &StorageProvider) -> Option<&Map<String, Value>> {
    schema(provider)?.get("properties")?.as_object()
}

fn schema(provider: &StorageProvider) -> Option<&Value> {
    provider.spec.parameters_schema.as_ref()?.open_api_v3_schema.as_ref()
}

impl Parameters {
    /// Defaults of the provider's schema, then `config`, then each of `secrets`; later wins (rule 44). A default that is
    /// no text is its JSON.
    pub fn layered(provider: &StorageProvider, config: &Texts, secrets: &[&Texts]) -> Self {
        let defaults = properties(provider).into_iter().flatten().filter_map(|(name, property)| {
            let value = property.get("default")?;
            Some((name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned)))
        });
        let mut values: Texts = defaults.collect();
        values.extend(config.clone());
        let listed = provider.spec.parameters_schema.iter().flat_map(|s| s.credential_fields.clone());
        let mut hidden: BTreeSet<String> = listed.collect();
        for secret in secrets {
            hidden.extend(secret.keys().cloned());
            values.extend((*secret).clone());
        }
        Parameters { values, hidden }
    }

    /// Checks the values against the provider's schema. An empty value counts as not given.
    ///
    /// # Errors
    /// The parameter, its value unless that is secret, and the rule it breaks.
    pub fn check(&self, provider: &StorageProvider) -> Result<(), String> {
        let name = provider.metadata.name.as_deref().unwrap_or_default();
        let given = |parameter: &str| self.values.get(parameter).filter(|v| !v.is_empty());
        let required = schema(provider).and_then(|s| s.get("required")).and_then(Value::as_array);
        for parameter in required.into_iter().flatten().filter_map(Value::as_str) {
            if given(parameter).is_none() {
                let place = if self.hidden.contains(parameter) { "the credential Secret" } else { "spec.config" };
                return Err(format!("{place}: {parameter} is missing; StorageProvider {name} requires {parameter}"));
            }
        }
        for (parameter, property) in properties(provider).into_iter().flatten() {
            let (Some(value), Some(property)) = (given(parameter), property.as_object()) else {
                continue;
            };
            if let Err(rule) = rules::value(value, property) {
                let shown = if self.hidden.contains(parameter) {
                    format!("the credential Secret: {parameter}")
                } else {
                    format!("spec.config: {parameter} = {value:?}")
                };
                return Err(format!("{shown}: {rule} (parametersSchema of StorageProvider {name})"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn provider() -> StorageProvider {
        serde_json::from_value(json!({
            "apiVersion": "dataprotection.kubeblocks.io/v1alpha1", "kind": "StorageProvider", "metadata": {"name": "p"},
            "spec": {"parametersSchema": {
                "credentialFields": ["key"],
                "openAPIV3Schema": {"type": "object", "required": ["bucket", "key"], "properties": {
                    "bucket": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
                    "size": {"type": "integer", "default": 512, "minimum": 1, "maximum": 1024},
                    "insecure": {"type": "boolean", "default": false},
                    "mode": {"type": "string", "enum": ["a", "b"]},
                    "key": {"type": "string", "minLength": 4},
                }},
            }},
        }))
        .unwrap()
    }

    fn texts(pairs: &[(&str, &str)]) -> Texts {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    }

    #[test]
    fn rule_44_defaults_then_config_then_credential() {
        let config = texts(&[("bucket", "mine"), ("key", "config"), ("size", "7")]);
        let all = Parameters::layered(&provider(), &config, &[&texts(&[("key", "secret")]), &texts(&[("key", "own")])]);
        assert_eq!(all.values, texts(&[("bucket", "mine"), ("insecure", "false"), ("key", "own"), ("size", "7")]));
    }

    #[test]
    fn each_broken_rule_names_field_value_and_rule_but_no_secret() {
        for (config, secret, said) in [
            (vec![("bucket", "mine")], vec![], "the credential Secret: key is missing; StorageProvider p requires key"),
            (vec![("bucket", "")], vec![("key", "abcd")], "spec.config: bucket is missing"),
            (vec![("bucket", "ab")], vec![("key", "abcd")], "spec.config: bucket = \"ab\""),
            (vec![("bucket", "A-B-C")], vec![("key", "abcd")], "does not match ^[a-z]+$"),
            (vec![("bucket", "abc"), ("size", "big")], vec![("key", "abcd")], "size = \"big\": is no integer"),
            (vec![("bucket", "abc"), ("size", "4096")], vec![("key", "abcd")], "is above the maximum 1024"),
            (vec![("bucket", "abc"), ("insecure", "yes")], vec![("key", "abcd")], "is neither true nor false"),
            (vec![("bucket", "abc"), ("mode", "c")], vec![("key", "abcd")], "mode = \"c\": is none of \"a\", \"b\""),
            (vec![("bucket", "abc")], vec![("key", "xyz")], "the credential Secret: key: "),
        ] {
            let all = Parameters::layered(&provider(), &texts(&config), &[&texts(&secret)]);
            let why = all.check(&provider()).unwrap_err();
            assert!(why.contains(said), "{why}");
            assert!(!why.contains("xyz"), "a secret is shown: {why}");
        }
        let fine = Parameters::layered(
            &provider(),
            &texts(&[("bucket", "abc"), ("extra", "kept"), ("insecure", "")]),
            &[&texts(&[("key", "abcd")])],
        );
        fine.check(&provider()).unwrap();
    }
}
