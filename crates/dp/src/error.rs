//! Errors of the dp operator, and why an object does not get on.

use crate::account::cipher::CipherError;
use controller_kit::error::{ApiError, Class, Failure};

/// Why an object does not get on: one blocker, told to the user in a condition (design D6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Terminal (condition False) or Wait (condition Unknown).
    pub class: Class,
    /// Stable reason, listed in `api_types::contract::reasons`.
    pub reason: &'static str,
    /// Names the object, the field and the way out.
    pub message: String,
    /// Kind and name of the object in the same namespace that is awaited, where no cache holds its kind.
    pub awaits: Option<(&'static str, String)>,
}

impl Stop {
    /// No retry can help.
    pub fn terminal(reason: &'static str, message: impl Into<String>) -> Self {
        Stop { class: Class::Terminal, reason, message: message.into(), awaits: None }
    }

    /// Something named is missing; its arrival wakes the object.
    pub fn wait(reason: &'static str, message: impl Into<String>) -> Self {
        Stop { class: Class::Wait, reason, message: message.into(), awaits: None }
    }

    /// The same, ended by an object whose kind no cache holds.
    #[must_use]
    pub fn until(self, kind: &'static str, name: &str) -> Self {
        Stop { awaits: Some((kind, name.to_owned())), ..self }
    }
}

/// A failed reconcile. What is wrong with an object is a [`Stop`] in its conditions, never this.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server failed.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Our own object could not be encoded.
    #[error("could not encode {what}")]
    Encode {
        /// The object.
        what: &'static str,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A password could not be encrypted.
    #[error("could not encrypt an account")]
    Cipher(#[from] CipherError),
    /// The system gave no random bytes.
    #[error("the system gives no random bytes")]
    NoRandomness,
    /// The Secret of the encryption key is there, but immutable and without a key.
    #[error("Secret {secret} of this operator holds no encryption key; delete it, or fill it")]
    EncryptionKeyMissing {
        /// Its name.
        secret: &'static str,
    },
    /// An object that is to be made is there already, and belongs to somebody else.
    #[error("{kind} {namespace}/{name} belongs to somebody else; delete it")]
    NameTaken {
        /// Its kind.
        kind: &'static str,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server will never take an object of ours.
    #[error("{why}")]
    Refused {
        /// Its words.
        why: String,
    },
    /// A Secret that is to be written is on its way out.
    #[error("Secret {name} is being deleted; it is made again when it is gone")]
    SecretBeingDeleted {
        /// Its name.
        name: String,
    },
}

impl Error {
    /// Nothing can be made in that namespace any more: it is being deleted.
    pub fn is_namespace_terminating(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_namespace_terminating())
    }
}

impl Error {
    /// There is nothing to be made in that namespace: it is being deleted, or gone.
    pub fn is_namespace_gone(&self) -> bool {
        self.is_namespace_terminating() || matches!(self, Self::Api(error) if error.is_not_found())
    }
}

impl Error {
    /// The server has answered, and has done nothing. Not a conflict: the client tries again by itself, so it may meet what
    /// it wrote before.
    pub fn is_refused(&self) -> bool {
        let code = if let Self::Api(error) = self { error.code() } else { None };
        code.is_some_and(|code| (400..500).contains(&code) && code != 409 && code != 429)
    }
}

impl Failure for Error {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Api(error) => error.reason(),
            Self::Encode { .. } => "Encode",
            Self::Cipher(_) | Self::NoRandomness | Self::EncryptionKeyMissing { .. } => "Encryption",
            Self::SecretBeingDeleted { .. } => "BeingDeleted",
            Self::NameTaken { .. } => "NameTaken",
            Self::Refused { .. } => "Refused",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_conflict())
    }
}
