//! The encryption that generated policies get (contract-dp §10.8).

use api_types::contract::config;
use api_types::dp::{EncryptionAlgorithm, EncryptionConfig};
use k8s_openapi::api::core::v1::SecretKeySelector;

/// A key of a Secret, given as JSON.
///
/// # Errors
/// What is wrong with the text.
pub fn key_ref(text: &str) -> Result<SecretKeySelector, String> {
    let name = config::DP_BACKUP_ENCRYPTION_SECRET_KEY_REF;
    let parsed: SecretKeySelector = serde_json::from_str(text).map_err(|e| format!("{name}: {e}"))?;
    if parsed.name.is_empty() || parsed.key.is_empty() {
        return Err(format!("{name}: name and key of a Secret are needed"));
    }
    Ok(parsed)
}

/// A cipher by its name on the wire.
///
/// # Errors
/// The names there are.
pub fn algorithm(text: &str) -> Result<EncryptionAlgorithm, String> {
    let known = [EncryptionAlgorithm::Aes128Cfb, EncryptionAlgorithm::Aes192Cfb, EncryptionAlgorithm::Aes256Cfb];
    known.into_iter().find(|cipher| cipher.as_str() == text).ok_or_else(|| {
        let name = config::DP_BACKUP_ENCRYPTION_ALGORITHM;
        format!("{name}: {text} is none of AES-128-CFB, AES-192-CFB, AES-256-CFB")
    })
}

/// Both together; without a key nothing is encrypted.
pub fn default_config(
    key: Option<SecretKeySelector>,
    algorithm: Option<EncryptionAlgorithm>,
) -> Option<EncryptionConfig> {
    Some(EncryptionConfig { algorithm: algorithm.unwrap_or_default(), pass_phrase_secret_key_ref: key? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_refused_at_the_start_and_not_at_a_backup() {
        assert_eq!(key_ref(r#"{"name":"s","key":"k"}"#).unwrap().name, "s");
        for bad in ["", "s", r#"{"name":"s"}"#, r#"{"key":"k"}"#] {
            assert!(key_ref(bad).unwrap_err().contains("DP_BACKUP_ENCRYPTION_SECRET_KEY_REF"), "{bad}");
        }
        assert_eq!(algorithm("AES-128-CFB"), Ok(EncryptionAlgorithm::Aes128Cfb));
        assert!(algorithm("ROT13").unwrap_err().contains("AES-256-CFB"));
        let key = key_ref(r#"{"name":"s","key":"k"}"#).ok();
        assert_eq!(default_config(key, None).unwrap().algorithm, EncryptionAlgorithm::Aes256Cfb);
        assert_eq!(default_config(None, Some(EncryptionAlgorithm::Aes128Cfb)), None);
    }
}
