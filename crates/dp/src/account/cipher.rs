//! One password as the text that travels on a Backup, and back (behaviour-apps §6). Pure: the nonce comes from outside.
//!
//! base64 of nonce, AES-256-GCM of the password, tag. The key of the cipher is derived by HKDF-SHA256 from the
//! operator's; it is the associated data, too.

use super::Secrecy;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use std::convert::Infallible;
use std::str::FromStr;

/// The key that the reference's chart has in its default values. Everybody knows it: it opens, it never closes.
pub const PUBLIC_DEFAULT: &str = "kubeblocks-dp-aes256";

const SALT: &[u8] = b"encryption";
const KEY_LENGTH: usize = 32;

/// Bytes of a nonce; none may be used twice with one key.
pub type NonceBytes = [u8; NONCE_LEN];

/// The operator's key as it is given, of any length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncryptionKey(Secrecy<String>);

impl EncryptionKey {
    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }
}

impl FromStr for EncryptionKey {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(EncryptionKey(Secrecy(text.to_owned())))
    }
}

/// Why a password could not be closed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CipherError {
    /// The library refused the key's length; ours is fixed.
    #[error("the cipher takes no key of this length")]
    Key,
    /// The password is longer than the cipher takes.
    #[error("the password is too long for the cipher")]
    TooLong,
    /// Not what `seal` gives, whatever the key.
    #[error("it is no base64 of a nonce and a cipher text")]
    Malformed,
    /// Of another key, or changed.
    #[error("no known encryption key opens it")]
    Unopened,
}

/// The cipher of one key.
struct Cipher {
    key: LessSafeKey,
    associated: [u8; KEY_LENGTH],
}

impl Cipher {
    fn new(key: &EncryptionKey) -> Result<Self, CipherError> {
        let mut derived = [0; KEY_LENGTH];
        let extracted = hkdf::Salt::new(hkdf::HKDF_SHA256, SALT).extract(key.0.0.as_bytes());
        let expanded = extracted.expand(&[], hkdf::HKDF_SHA256).and_then(|okm| okm.fill(&mut derived));
        expanded.map_err(|_| CipherError::Key)?;
        let unbound = UnboundKey::new(&AES_256_GCM, &derived).map_err(|_| CipherError::Key)?;
        Ok(Cipher { key: LessSafeKey::new(unbound), associated: derived })
    }

    fn seal(&self, plain: &[u8], nonce: NonceBytes) -> Result<Vec<u8>, CipherError> {
        let mut closed = plain.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let sealed = self.key.seal_in_place_append_tag(unique, Aad::from(&self.associated), &mut closed);
        sealed.map_err(|_| CipherError::TooLong)?;
        Ok([nonce.as_slice(), &closed].concat())
    }

    fn open(&self, nonce: NonceBytes, closed: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = closed.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        let plain = self.key.open_in_place(nonce, Aad::from(&self.associated), &mut buffer).ok()?;
        Some(plain.to_vec())
    }
}

/// Closes with one key and opens with any of several.
pub struct Ciphers {
    current: Cipher,
    others: Vec<Cipher>,
}

impl std::fmt::Debug for Ciphers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ciphers(***)")
    }
}

impl Ciphers {
    /// `current` closes; it and then `others`, in their order, are tried to open.
    pub fn new(current: &EncryptionKey, others: &[EncryptionKey]) -> Result<Self, CipherError> {
        let others = others.iter().filter(|k| !k.is_empty()).map(Cipher::new).collect::<Result<_, _>>()?;
        Ok(Ciphers { current: Cipher::new(current)?, others })
    }

    /// The text of a password.
    pub fn seal(&self, plain: &[u8], nonce: NonceBytes) -> Result<String, CipherError> {
        Ok(STANDARD.encode(self.current.seal(plain, nonce)?))
    }

    /// The password of a text: no fingerprint tells its key, so each is tried.
    pub fn open(&self, text: &str) -> Result<Vec<u8>, CipherError> {
        let bytes = STANDARD.decode(text.trim()).map_err(|_| CipherError::Malformed)?;
        let (nonce, closed) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(CipherError::Malformed)?;
        if closed.len() < AES_256_GCM.tag_len() {
            return Err(CipherError::Malformed);
        }
        let mut all = std::iter::once(&self.current).chain(&self.others);
        all.find_map(|cipher| cipher.open(*nonce, closed)).ok_or(CipherError::Unopened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(text: &str) -> EncryptionKey {
        let Ok(key) = text.parse();
        key
    }

    fn ciphers(current: &str, others: &[&str]) -> Ciphers {
        let others: Vec<EncryptionKey> = others.iter().map(|k| key(k)).collect();
        Ciphers::new(&key(current), &others).unwrap()
    }

    proptest! {
        #[test]
        fn d21_what_one_key_closes_only_that_key_opens(
            plain in proptest::collection::vec(any::<u8>(), 0..200), own in ".{1,40}", other in ".{1,40}", nonce: NonceBytes,
        ) {
            let text = ciphers(&own, &[]).seal(&plain, nonce).unwrap();
            prop_assert_eq!(ciphers(&own, &[]).open(&text), Ok(plain.clone()));
            prop_assert_eq!(ciphers("current", &["wrong", &own]).open(&text), Ok(plain));
            prop_assume!(own != other);
            prop_assert_eq!(ciphers(&other, &[]).open(&text), Err(CipherError::Unopened));
        }

        #[test]
        fn d21_a_changed_text_is_never_opened(plain in ".{0,60}", nonce: NonceBytes, at: prop::sample::Index, bit in 0_u8..8) {
            let ours = ciphers("key", &[]);
            let mut bytes = STANDARD.decode(ours.seal(plain.as_bytes(), nonce).unwrap()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert_eq!(ours.open(&STANDARD.encode(bytes)), Err(CipherError::Unopened));
        }

        #[test]
        fn d21_any_text_is_refused_without_a_panic(text in ".{0,120}") {
            prop_assert!(ciphers("key", &[PUBLIC_DEFAULT]).open(&text).is_err());
        }
    }

    /// Made once with another implementation (Python's cryptography): key, password, text.
    const OWN_VECTORS: [(&str, &str, &str); 3] = [
        (
            PUBLIC_DEFAULT,
            "kept-over-the-restore",
            "XMlsfYn74of/MNAl9JoDV2e6NTqi99UiCxf8wN9zmTaoRTsQqBVsDO3a7t0zQIo/XA==",
        ),
        ("our own key, ö", "übung macht", "EjdJbmFI/+yXCVdKrruU6TNDbFXH/LiPsWPT65RXuRlqdrNwLV8AfA=="),
        ("x", "", "O4cwD8owXOWZjn5BG6q54PzbLD8PnH8n+y4kNA=="),
    ];

    #[test]
    fn d21_texts_of_another_implementation_are_opened() {
        for (given, plain, text) in OWN_VECTORS {
            assert_eq!(ciphers(given, &[]).open(text), Ok(plain.as_bytes().to_vec()), "{given} {plain}");
        }
        let ours = ciphers("secret", &[PUBLIC_DEFAULT]);
        assert_eq!(ours.open(OWN_VECTORS[0].2), Ok(OWN_VECTORS[0].1.as_bytes().to_vec()), "the public default opens");
        assert!(ciphers(PUBLIC_DEFAULT, &[]).open(&ours.seal(b"x", [7; 12]).unwrap()).is_err(), "and never closes");
    }

    #[test]
    fn apps_28_the_recorded_texts_of_the_reference_are_opened_and_made_again() {
        let Some(shared) = test_kit::skip_without_shared(12) else { return };
        let text = std::fs::read_to_string(shared.join("observed/account-cipher.json")).unwrap();
        let vectors: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
        assert_eq!(vectors.len(), 12);
        for vector in &vectors {
            let of = |field: &str| vector[field].as_str().unwrap();
            let ours = ciphers(of("key"), &[]);
            assert_eq!(ours.open(of("cipher")), Ok(of("plain").as_bytes().to_vec()), "{vector}");
            let nonce = STANDARD.decode(of("cipher")).unwrap()[..NONCE_LEN].try_into().unwrap();
            assert_eq!(ours.seal(of("plain").as_bytes(), nonce).as_deref(), Ok(of("cipher")), "byte for byte");
        }
    }

    #[test]
    fn a_key_is_not_shown() {
        assert_eq!(format!("{:?}", key("abc")), "EncryptionKey(***)");
        assert_eq!(format!("{:?}", ciphers("abc", &[])), "Ciphers(***)");
    }
}
