//! Lists of environment variables with the order rules of the wire contract.

use k8s_openapi::api::core::v1::{EnvVar, EnvVarSource, SecretKeySelector};

/// A variable with a literal value; an empty one carries none, as the reference writes it.
pub fn literal(name: &str, value: impl Into<String>) -> EnvVar {
    let value = value.into();
    EnvVar { name: name.into(), value: (!value.is_empty()).then_some(value), ..EnvVar::default() }
}

/// A variable from a key of a Secret.
pub fn from_secret(name: &str, secret: &str, key: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector { name: secret.into(), key: key.into(), optional: None }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    }
}

/// Puts each of `more` in place of the last variable of its name, or at the end.
pub fn merge(env: &mut Vec<EnvVar>, more: &[EnvVar]) {
    for var in more {
        match env.iter_mut().rev().find(|v| v.name == var.name) {
            Some(old) => *old = var.clone(),
            None => env.push(var.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merge_replaces_the_last_of_a_name_in_place() {
        let mut env = vec![literal("A", "1"), literal("A", "2"), literal("B", "3")];
        merge(&mut env, &[literal("A", "4"), literal("C", "5")]);
        let seen: Vec<_> = env.iter().map(|v| (v.name.as_str(), v.value.as_deref().unwrap_or(""))).collect();
        assert_eq!(seen, [("A", "1"), ("A", "4"), ("B", "3"), ("C", "5")]);
    }
}
