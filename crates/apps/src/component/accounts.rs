//! Accounts of a component: names, Secrets and passwords (behaviour-apps §6, §11.8).

use super::build::{cluster_name, short_name};
use crate::error::Error;
use api_types::apps::{Component, LetterCase, PasswordConfig};
use api_types::contract::{labels, names};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::BTreeMap;

const DIGITS: &[u8] = b"0123456789";
const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SYMBOLS: &str = "!@#&*";
const DEFAULT_LENGTH: usize = 16;
const DEFAULT_DIGITS: usize = 4;
/// Longest password a definition may ask for.
const MAX_LENGTH: usize = 64;

/// The Secret of an account with a new password.
pub fn secret(component: &Component, labels: &BTreeMap<String, String>, account: &str, password: &str) -> Secret {
    let mut labels = labels.clone();
    labels.insert(labels::SYSTEM_ACCOUNT.into(), account.into());
    let bytes = |text: &str| ByteString(text.as_bytes().to_vec());
    Secret {
        metadata: ObjectMeta {
            name: Some(names::account_secret(&cluster_name(component), &short_name(component), account)),
            namespace: component.namespace(),
            labels: Some(labels),
            owner_references: crate::desired::owner(component),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([
            (names::ACCOUNT_USERNAME_KEY.to_owned(), bytes(account)),
            (names::ACCOUNT_PASSWORD_KEY.to_owned(), bytes(password)),
        ])),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

/// A password as the definition asks for it, from the system's random source. A definition without a policy gets a
/// default one: an empty password is never made (behaviour-apps §9.5).
///
/// # Errors
/// [`Error::NoRandomness`].
pub fn password(config: Option<&PasswordConfig>) -> Result<String, Error> {
    let count = |value: Option<i32>| value.and_then(|n| usize::try_from(n).ok());
    let length = config.and_then(|c| count(c.length)).unwrap_or(DEFAULT_LENGTH).clamp(8, MAX_LENGTH);
    let digits = config.and_then(|c| count(c.num_digits)).unwrap_or(DEFAULT_DIGITS).min(length);
    let symbols = config.and_then(|c| count(c.num_symbols)).unwrap_or(0).min(length - digits);
    let given = config.and_then(|c| c.symbol_characters.as_deref()).filter(|s| !s.is_empty() && s.is_ascii());
    let letters: Vec<u8> = match config.and_then(|c| c.letter_case.as_ref()) {
        Some(LetterCase::LowerCases) => LOWER.to_vec(),
        Some(LetterCase::UpperCases) => UPPER.to_vec(),
        _ => [LOWER, UPPER].concat(),
    };
    let random = SystemRandom::new();
    let mut text = Vec::with_capacity(length);
    for _ in 0..digits {
        text.push(pick(&random, DIGITS)?);
    }
    for _ in 0..symbols {
        text.push(pick(&random, given.unwrap_or(SYMBOLS).as_bytes())?);
    }
    while text.len() < length {
        text.push(pick(&random, &letters)?);
    }
    for last in (1..text.len()).rev() {
        text.swap(last, below(&random, last + 1)?);
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn pick(random: &SystemRandom, from: &[u8]) -> Result<u8, Error> {
    let index = below(random, from.len())?;
    from.get(index).copied().ok_or(Error::NoRandomness)
}

/// A number below `limit` (at most 256), each equally likely: bytes past the last whole multiple are drawn again.
fn below(random: &SystemRandom, limit: usize) -> Result<usize, Error> {
    let fair = 256 - 256 % limit.max(1);
    loop {
        let mut byte = [0u8];
        random.fill(&mut byte).map_err(|_| Error::NoRandomness)?;
        let value = usize::from(byte[0]);
        if value < fair {
            return Ok(value % limit.max(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn config(value: Value) -> PasswordConfig {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn apps_27_an_underscore_is_a_dash_in_the_name_of_the_secret_only() {
        let labels = BTreeMap::from([
            (labels::INSTANCE.to_owned(), "c".to_owned()),
            (labels::COMPONENT_NAME.to_owned(), "db".to_owned()),
        ]);
        let component: Component =
            serde_json::from_value(json!({"metadata": {"name": "c-db", "labels": labels}, "spec": {"compDef": "x"}}))
                .unwrap();
        let secret = secret(&component, &labels, "kb_admin", "pw");
        assert_eq!(secret.name_any(), "c-db-account-kb-admin");
        assert_eq!(secret.data.unwrap()["username"].0, b"kb_admin");
    }

    #[test]
    fn apps_44_passwords_obey_their_policy_and_are_never_empty() {
        let wanted = config(json!({"length": 12, "numDigits": 4, "numSymbols": 2, "letterCase": "UpperCases",
            "symbolCharacters": "+"}));
        for _ in 0..50 {
            let text = password(Some(&wanted)).unwrap();
            assert_eq!(text.len(), 12);
            assert_eq!(text.bytes().filter(u8::is_ascii_digit).count(), 4);
            assert_eq!(text.bytes().filter(|b| *b == b'+').count(), 2);
            assert!(text.bytes().all(|b| !b.is_ascii_lowercase()), "{text}");
        }
        assert_eq!(password(None).unwrap().len(), DEFAULT_LENGTH);
        assert_eq!(password(Some(&config(json!({"length": 0})))).unwrap().len(), 8);
        assert_ne!(password(None).unwrap(), password(None).unwrap());
    }
}
