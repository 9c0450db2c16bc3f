//! Errors of the apps operator, and why an object does not get on.

use controller_kit::error::{ApiError, Class, Failure};

/// Why an object does not get on: one blocker, told to the user in a condition (design D6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Terminal (nothing but a change of the spec helps) or Wait (something named is missing).
    pub class: Class,
    /// Stable reason, listed in `api_types::contract::reasons`.
    pub reason: &'static str,
    /// Names the object, the field and the way out.
    pub message: String,
}

impl Stop {
    /// Only a change of the object can help.
    pub fn terminal(reason: &'static str, message: impl Into<String>) -> Self {
        Stop { class: Class::Terminal, reason, message: message.into() }
    }

    /// Something named is missing; its arrival wakes the object.
    pub fn wait(reason: &'static str, message: impl Into<String>) -> Self {
        Stop { class: Class::Wait, reason, message: message.into() }
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
    /// Something of an earlier object of this name is still there, about to be collected.
    #[error("{what} belongs to an earlier object of this name and is being taken away")]
    LeftBehind {
        /// Kind and name.
        what: String,
    },
    /// The system gave no random bytes.
    #[error("the system gave no random bytes for a password")]
    NoRandomness,
}

impl Failure for Error {
    fn class(&self) -> Class {
        Class::Transient
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::Api(error) => error.reason(),
            Self::Encode { .. } => "Encode",
            Self::LeftBehind { .. } => "LeftBehind",
            Self::NoRandomness => "NoRandomness",
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Self::Api(error) if error.is_conflict())
    }
}
