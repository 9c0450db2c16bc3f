//! Encryption of whole objects, between the compressor and the store.
//!
//! Enters: what the environment says, and a stream. Leaves: the reference's `.enc` bytes, which
//! have no authentication, or the authenticated envelope `.hfe` (docs/adr/0017); and the reverse.
//! Nothing here knows the store.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStringExt;

use mover_protocol::env as names;
use zeroize::Zeroizing;

use crate::error::{Error, Result};

pub mod cfb;
pub mod envelope;

#[cfg(test)]
pub mod tests;

/// The secret of all objects of a repository. Cleared when dropped; the copy in the environment
/// of the process stays, nothing can be done about that.
pub type PassPhrase = Zeroizing<Vec<u8>>;

/// How objects are encrypted.
pub enum Cipher {
    /// AES-CFB as the reference writes it.
    Cfb(cfb::Key),
    /// AES-256-GCM in frames.
    Envelope(PassPhrase),
}

/// What is wrong with a key or an encrypted object.
#[derive(Debug, thiserror::Error)]
pub enum CipherError {
    /// The fingerprint in the header is another one.
    #[error(
        "wrong pass phrase in DATASAFED_ENCRYPTION_PASS_PHRASE, or the header of the object is damaged; nothing was read"
    )]
    WrongPhrase,
    /// The first bytes are not those of an envelope of this version.
    #[error("the object is not an envelope of a version this build reads (aead-v1)")]
    NotEnvelope,
    /// A frame does not authenticate.
    #[error("the encrypted object is damaged or cut short in frame {0}; what came before it is authentic")]
    Frame(u64),
    /// Shorter than any encrypted object.
    #[error("the encrypted object is cut short: it has only {0} bytes")]
    TooShort(usize),
    /// The operating system or the cipher refused.
    #[error("cannot encrypt: {0}")]
    Unavailable(&'static str),
}

impl From<CipherError> for io::Error {
    fn from(error: CipherError) -> Self {
        Self::new(io::ErrorKind::InvalidData, error)
    }
}

impl Cipher {
    /// What the environment asks for; half of it is an error, never ignored: data must not land
    /// in the clear.
    pub fn from_env() -> Result<Option<Self>> {
        let read = |name| env::var_os(name).filter(|value| !trimmed(value).is_empty());
        let phrase = || env::var_os(names::ENCRYPTION_PASS_PHRASE).unwrap_or_default();
        Self::choose(read(names::ENCRYPTION_ALGORITHM).as_deref(), read(names::ENVELOPE).as_deref(), phrase)
    }

    fn choose(
        algorithm: Option<&OsStr>,
        envelope: Option<&OsStr>,
        phrase: impl FnOnce() -> OsString,
    ) -> Result<Option<Self>> {
        let size = algorithm.map(cfb::Key::size_of).transpose()?;
        if let Some(named) = envelope.filter(|named| trimmed(named) != names::ENVELOPE_AEAD_V1) {
            return Err(Error::Config(format!(
                "{} is {:?}; this build knows {:?} only",
                names::ENVELOPE,
                named.to_string_lossy(),
                names::ENVELOPE_AEAD_V1
            )));
        }
        let Some(asked_by) = envelope
            .is_some()
            .then_some(names::ENVELOPE)
            .or_else(|| algorithm.is_some().then_some(names::ENCRYPTION_ALGORITHM))
        else {
            return Ok(None);
        };
        let phrase: PassPhrase = Zeroizing::new(phrase().into_vec());
        if phrase.is_empty() {
            return Err(Error::Config(format!(
                "{asked_by} asks for encryption, but {} is not set or empty",
                names::ENCRYPTION_PASS_PHRASE
            )));
        }
        Ok(Some(match size {
            Some(size) if envelope.is_none() => Self::Cfb(cfb::Key::derive(&phrase, size)?),
            _ => Self::Envelope(phrase),
        }))
    }

    /// What the store appends to names.
    pub fn suffix(&self) -> &'static str {
        match self {
            Self::Cfb(_) => cfb::SUFFIX,
            Self::Envelope(_) => envelope::SUFFIX,
        }
    }

    /// What the other kind appends to names.
    pub fn other_suffix(&self) -> &'static str {
        match self {
            Self::Cfb(_) => envelope::SUFFIX,
            Self::Envelope(_) => cfb::SUFFIX,
        }
    }

    /// Whether damage is noticed by the encryption itself.
    pub fn authenticates(&self) -> bool {
        matches!(self, Self::Envelope(_))
    }

    /// Size of what is inside of an object of this size.
    pub fn plain_size(&self, stored: u64) -> u64 {
        match self {
            Self::Cfb(_) => stored.saturating_sub(cfb::OVERHEAD),
            Self::Envelope(_) => envelope::plain_size(stored),
        }
    }

    /// A sink that encrypts.
    pub fn encrypt<W: Write>(&self, inner: W) -> io::Result<Encryptor<W>> {
        Ok(match self {
            Self::Cfb(key) => Encryptor::Cfb(cfb::Encryptor::new(inner, key)?),
            Self::Envelope(phrase) => Encryptor::Envelope(Box::new(envelope::Encryptor::new(inner, phrase)?)),
        })
    }

    /// A source that decrypts. A wrong pass phrase of an envelope is noticed here, before a byte
    /// is emitted.
    pub fn decrypt(&self, inner: Box<dyn Read>) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::Cfb(key) => Box::new(cfb::Decryptor::new(inner, key)?),
            Self::Envelope(phrase) => Box::new(envelope::Decryptor::new(inner, phrase)?),
        })
    }
}

/// An encrypting sink that gives the inner sink back at the end.
pub enum Encryptor<W: Write> {
    /// `.enc`
    Cfb(cfb::Encryptor<W>),
    /// `.hfe`
    Envelope(Box<envelope::Encryptor<W>>),
}

impl<W: Write> Encryptor<W> {
    /// Ends the object. Without this call it is cut, and an envelope reads so.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Cfb(encryptor) => encryptor.finish(),
            Self::Envelope(encryptor) => encryptor.finish(),
        }
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Cfb(encryptor) => encryptor.write(bytes),
            Self::Envelope(encryptor) => encryptor.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn trimmed(value: &OsStr) -> &str {
    value.to_str().unwrap_or("?").trim()
}

/// Length of a derived key, as ring asks for it.
#[derive(Clone, Copy)]
struct KeyLength(usize);

impl ring::hkdf::KeyType for KeyLength {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-SHA256.
fn derive(phrase: &[u8], salt: &[u8], info: &[&[u8]], key: &mut [u8]) -> io::Result<()> {
    ring::hkdf::Salt::new(ring::hkdf::HKDF_SHA256, salt)
        .extract(phrase)
        .expand(info, KeyLength(key.len()))
        .and_then(|derived| derived.fill(key))
        .map_err(|_| CipherError::Unavailable("key derivation failed").into())
}
