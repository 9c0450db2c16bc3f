//! Errors of API calls, and the three classes every error of an operator falls into.

use std::time::Duration;

/// What an error asks for (design D6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// No retry can help: a condition says False until the user changes something.
    Terminal,
    /// Something named is missing; its arrival wakes the object.
    Wait,
    /// Passing: tried again with backoff, never dropped.
    Transient,
}

/// A failed call to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The server refused, or could not be reached.
    #[error("could not {verb} {kind} {object}")]
    Call {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: String,
        /// Its name.
        object: String,
        /// The answer.
        #[source]
        source: Box<kube::Error>,
    },
    /// No answer within the deadline of one call.
    #[error("could not {verb} {kind} {object} within {after:?}")]
    Deadline {
        /// What was tried.
        verb: &'static str,
        /// Kind of the object.
        kind: String,
        /// Its name.
        object: String,
        /// The deadline.
        after: Duration,
    },
}

impl ApiError {
    /// The HTTP status the server gave, if it gave one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Call { source, .. } => match source.as_ref() {
                kube::Error::Api(status) => Some(status.code),
                _ => None,
            },
            Self::Deadline { .. } => None,
        }
    }

    /// The object changed, or a precondition did not hold.
    pub fn is_conflict(&self) -> bool {
        self.code() == Some(409) && !self.is_already_exists()
    }

    /// There is no such object.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// The server will never take this object.
    pub fn is_invalid(&self) -> bool {
        self.code() == Some(422)
    }

    /// Nothing can be made in this namespace any more: it is being deleted.
    pub fn is_namespace_terminating(&self) -> bool {
        let Self::Call { source, .. } = self else {
            return false;
        };
        let kube::Error::Api(status) = source.as_ref() else {
            return false;
        };
        let causes = status.details.iter().flat_map(|d| &d.causes);
        status.code == 403 && causes.into_iter().any(|c| c.reason == "NamespaceTerminating")
    }

    /// The name is taken.
    pub fn is_already_exists(&self) -> bool {
        matches!(self, Self::Call { source, .. }
            if matches!(source.as_ref(), kube::Error::Api(s) if s.reason == "AlreadyExists"))
    }

    /// A failed `test` of a JSON patch: the object is not as it was seen.
    pub fn is_failed_test(&self) -> bool {
        matches!(self, Self::Call { verb: "patch", .. }) && self.is_invalid()
    }

    /// Low-cardinality label for metrics and events.
    pub fn reason(&self) -> &'static str {
        match (self, self.code()) {
            (Self::Deadline { .. }, _) => "ApiDeadline",
            (_, Some(403)) => "ApiForbidden",
            (_, Some(404)) => "ApiNotFound",
            (_, Some(409)) => "ApiConflict",
            (_, Some(422)) => "ApiInvalid",
            (_, Some(429)) => "ApiThrottled",
            (_, Some(_)) => "ApiRefused",
            (_, None) => "ApiUnreachable",
        }
    }
}

/// What a failed reconcile tells the queue.
pub trait Failure: std::error::Error {
    /// Which class it falls into.
    fn class(&self) -> Class;
    /// Stable label for metrics.
    fn reason(&self) -> &'static str;
    /// The object moved on since it was read; worth an immediate second look.
    fn is_conflict(&self) -> bool;
}

impl Failure for ApiError {
    fn class(&self) -> Class {
        Class::Transient
    }
    fn reason(&self) -> &'static str {
        self.reason()
    }
    fn is_conflict(&self) -> bool {
        self.is_conflict()
    }
}

/// An error with all its causes in one line: the display texts never repeat their source.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}
