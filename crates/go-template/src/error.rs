//! What can be wrong with a template.

/// Why a template gave no text. The message names template, line and what failed; it holds text of
/// the template, never a value of the context (unless the template itself puts it into `fail`).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text is no template: nothing was executed.
    #[error("template {name}:{line}: {message}")]
    Parse {
        /// Name given to [`render`](crate::render).
        name: String,
        /// Line, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// An action failed.
    #[error("template {name}:{line}: at <{action}>: {message}")]
    Execute {
        /// Name given to [`render`](crate::render).
        name: String,
        /// Line, from 1.
        line: usize,
        /// The failing action, from the template's text, at most 60 characters of it.
        action: String,
        /// What is wrong.
        message: String,
    },
    /// The template needs more than [`Limits`](crate::Limits) allow.
    #[error("template {name}:{line}: at <{action}>: {limit}")]
    Limit {
        /// Name given to [`render`](crate::render).
        name: String,
        /// Line, from 1.
        line: usize,
        /// The failing action.
        action: String,
        /// Which limit, and its size.
        limit: String,
    },
    /// The result is no UTF-8 (Go would write the bytes).
    #[error("template {name}: the result is not UTF-8; a function cut a character apart")]
    NotText {
        /// Name given to [`render`](crate::render).
        name: String,
    },
}

impl Error {
    /// The line it happened in, from 1; 0 where there is none.
    pub fn line(&self) -> usize {
        match self {
            Self::Parse { line, .. } | Self::Execute { line, .. } | Self::Limit { line, .. } => *line,
            Self::NotText { .. } => 0,
        }
    }
}

/// What a function says, before it is known where it was called.
#[derive(Debug)]
pub(crate) enum Fault {
    Message(String),
    Limit(String),
}

impl Fault {
    pub(crate) fn new<T>(message: impl Into<String>) -> Result<T, Self> {
        Err(Self::Message(message.into()))
    }
}

impl From<String> for Fault {
    fn from(message: String) -> Self {
        Self::Message(message)
    }
}

impl From<&str> for Fault {
    fn from(message: &str) -> Self {
        Self::Message(message.into())
    }
}
