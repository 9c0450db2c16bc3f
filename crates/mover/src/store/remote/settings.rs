//! The keys of `[storage]` as the second-tier stores read them.
//!
//! Enters: the section. Leaves: values; a secret is plain whether it was written as it is
//! (`pass.need_obscure`) or obscured in the reference's way (`pass`), which is no encryption: the
//! key is published.

use std::path::Path;

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::{Error, Result};
use crate::ini::{Ini, OBSCURE_SUFFIX};

/// The published key that obscures secrets.
const KEY: [u8; 32] = [
    0x9c, 0x93, 0x5b, 0x48, 0x73, 0x0a, 0x55, 0x4d, 0x6b, 0xfd, 0x7c, 0x63, 0xc8, 0x86, 0xa9, 0x2b, 0xd3, 0x90, 0x19,
    0x8e, 0xb8, 0x12, 0x8a, 0xfb, 0xf4, 0xde, 0x16, 0x2b, 0x8b, 0x95, 0xf6, 0x38,
];

/// The section.
#[derive(Clone, Copy)]
pub struct Section<'a>(pub &'a Ini);

impl<'a> Section<'a> {
    /// A value that is not empty.
    pub fn get(self, key: &str) -> Option<&'a str> {
        self.0.get("storage", key).map(str::trim).filter(|value| !value.is_empty())
    }

    /// A value that must be there.
    pub fn need(self, key: &str) -> Result<&'a str> {
        let kind = self.get("type").unwrap_or_default();
        self.get(key).ok_or_else(|| Error::Config(format!("storage type {kind:?} needs {key} in the configuration")))
    }

    /// A boolean; anything unclear is false.
    pub fn flag(self, key: &str) -> bool {
        self.get(key).is_some_and(|value| matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True"))
    }

    /// A secret in plain.
    pub fn secret(self, key: &str) -> Result<Option<String>> {
        if let Some(plain) = self.0.get("storage", &format!("{key}{OBSCURE_SUFFIX}")) {
            return Ok(Some(plain.to_owned()));
        }
        let Some(obscured) = self.get(key) else { return Ok(None) };
        reveal(obscured).map(Some).ok_or_else(|| {
            Error::Config(format!(
                "{key} in the configuration is not an obscured value; write {key}{OBSCURE_SUFFIX} = VALUE for a plain one"
            ))
        })
    }
}

/// What was obscured: base64 of an initial counter and AES-256 in counter mode.
fn reveal(text: &str) -> Option<String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (counter, hidden) = bytes.split_at_checked(16)?;
    let cipher = Aes256::new(&KEY.into());
    let mut counter = u128::from_be_bytes(counter.try_into().ok()?);
    let mut plain = Vec::with_capacity(hidden.len());
    for chunk in hidden.chunks(16) {
        let mut block = counter.to_be_bytes().into();
        cipher.encrypt_block(&mut block);
        plain.extend(chunk.iter().zip(block.iter()).map(|(byte, mask)| byte ^ mask));
        counter = counter.wrapping_add(1);
    }
    String::from_utf8(plain).ok()
}

/// A key as text; these protocols have no other names.
pub fn text_of(key: &Path) -> Result<&str> {
    key.to_str().ok_or_else(|| Error::InvalidPath {
        path: key.display().to_string(),
        why: "this storage type has only names in UTF-8",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_22_secrets_are_plain_either_way() {
        let read = |line: &str| {
            let ini = Ini::parse(&format!("[storage]\ntype = ftp\n{line}\n")).unwrap();
            Section(&ini).secret("pass").map_err(|error| error.to_string())
        };
        assert_eq!(read("pass.need_obscure = p#w d;").unwrap().as_deref(), Some("p#w d;"));
        assert_eq!(read("").unwrap(), None);
        // Vectors of the reference's library.
        assert_eq!(read("pass = YmJiYmJiYmJiYmJiYmJiYp3gcEWbAw").unwrap().as_deref(), Some("potato"));
        let long = "YmJiYmJiYmJiYmJiYmJiYoyvaEuBC2AMCmdLFEOWQVOwgt2KQ1wNVh4I9D1_YICeMfPXvB3up5EUBCf1LZ-P";
        let said = "a long secret, longer than one block of sixteen";
        assert_eq!(read(&format!("pass = {long}")).unwrap().as_deref(), Some(said));
        assert_eq!(read("pass = YWFhYWFhYWFhYWFhYWFhYQ").unwrap().as_deref(), Some(""));
        assert!(read("pass = plain").unwrap_err().contains("write pass.need_obscure"));
    }
}
