//! A request that failed: what the server or the network said, and what that means.
//!
//! Enters: a status and an error document, or an I/O error. Leaves: a [`Failure`] that knows
//! whether to try again, and becomes one typed [`Error`] without secrets.

use std::fmt::Write as _;
use std::time::Duration;

use mover_protocol::Reason;

use super::xml;
use crate::error::{Class, Error, one_line};

/// Result of a request.
pub type CallResult<T> = Result<T, Failure>;

/// Why a request failed.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What was tried, such as `PUT s3://bucket/key`.
    pub what: String,
    /// The server's answer; 0 when there was none.
    pub status: u16,
    /// The server's code, such as `NoSuchKey`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// What the server asked to wait.
    pub retry_after: Option<Duration>,
    /// TLS could not be agreed on.
    pub tls: bool,
}

impl Failure {
    /// No answer, or not all of it.
    pub fn network(what: &str, message: impl Into<String>) -> Self {
        Self {
            what: what.to_owned(),
            status: 0,
            code: String::new(),
            message: message.into(),
            retry_after: None,
            tls: false,
        }
    }

    /// From an error document; HEAD has none.
    pub fn refused(what: &str, status: u16, body: &str, retry_after: Option<Duration>) -> Self {
        let code = xml::value(body, "Code").unwrap_or_else(|| {
            match status {
                301 => "PermanentRedirect",
                401 | 403 => "AccessDenied",
                404 => "NotFound",
                412 => "PreconditionFailed",
                416 => "InvalidRange",
                429 | 503 => "SlowDown",
                501 => "NotImplemented",
                _ => "",
            }
            .to_owned()
        });
        let mut message = xml::value(body, "Message").unwrap_or_default();
        if let Some(region) = xml::value(body, "Region").filter(|region| !region.is_empty()) {
            let _ = write!(message, " (the bucket is in region {region:?}: set it in the configuration)");
        } else if let Some(endpoint) = xml::value(body, "Endpoint").filter(|endpoint| !endpoint.is_empty()) {
            let _ = write!(message, " (the bucket is served by {endpoint:?}: set it in the configuration)");
        }
        Self { what: what.to_owned(), status, code, message: one_line(&message), retry_after, tls: false }
    }

    /// Whether the server says that the thing itself is absent.
    pub fn is_absent(&self) -> bool {
        self.status == 404 && self.code != "NoSuchBucket"
    }

    /// The bucket is absent.
    pub fn no_bucket(&self) -> bool {
        self.code == "NoSuchBucket"
    }

    /// The server does not know what we asked for.
    pub fn unsupported(&self) -> bool {
        self.status == 501
            || (self.status == 400
                && matches!(
                    self.code.as_str(),
                    "NotImplemented"
                        | "InvalidRequest"
                        | "InvalidArgument"
                        | "InvalidEncryptionAlgorithmError"
                        | "ChecksumAlgorithmNotSupported"
                        | "UnsupportedHeader"
                ))
    }

    /// What arrived was not what we sent.
    pub fn damaged(&self) -> bool {
        matches!(
            self.code.as_str(),
            "BadDigest" | "XAmzContentChecksumMismatch" | "XAmzContentSHA256Mismatch" | "IncompleteBody"
        )
    }

    /// Whether the same request may work the next time.
    pub fn retryable(&self) -> bool {
        if self.tls {
            return false;
        }
        if self.status == 0 || self.damaged() {
            return true;
        }
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
            || matches!(
                self.code.as_str(),
                "RequestTimeout" | "SlowDown" | "InternalError" | "ServiceUnavailable" | "OperationAborted"
            )
    }

    /// Whether the request may have been carried out although it failed.
    pub fn ambiguous(&self) -> bool {
        self.status == 0 || self.status >= 500 || self.status == 408
    }

    fn reason(&self) -> Reason {
        let locked = |text: &str| {
            let text = text.to_ascii_lowercase();
            text.contains("object lock") || text.contains("worm") || text.contains("retention")
        };
        match (self.status, self.code.as_str()) {
            (0, _) if self.tls => Reason::Tls,
            (0, _) => Reason::Network,
            (_, "NoSuchBucket") => Reason::BucketMissing,
            (_, "ObjectLocked" | "ObjectImmutable" | "FileImmutable") => Reason::Locked,
            (400 | 403 | 409, _) if locked(&self.message) => Reason::Locked,
            (401 | 403, _) | (_, "ExpiredToken" | "InvalidToken" | "AuthorizationHeaderMalformed") => {
                Reason::AuthFailed
            }
            (404, _) => Reason::NotFound,
            (429 | 503, _) => Reason::Throttled,
            (507, _) | (_, "QuotaExceeded" | "XMinioStorageFull") => Reason::NoSpace,
            (412, _) => Reason::ChecksumMismatch,
            _ if self.damaged() => Reason::ChecksumMismatch,
            _ => Reason::Internal,
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let why = match (failure.status, failure.code.as_str(), failure.message.as_str()) {
            (0, _, message) => message.to_owned(),
            (status, "", "") => format!("the server answered {status}"),
            (status, "", message) => format!("{message} ({status})"),
            (status, code, "") => format!("{code} ({status})"),
            (status, code, message) => format!("{code}: {message} ({status})"),
        };
        let class = if failure.retryable() { Class::Transient } else { Class::Terminal };
        Self::Remote { reason: failure.reason(), what: failure.what, why, class }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_get_their_meaning() {
        for (status, body, reason, again) in [
            (403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", Reason::AuthFailed, false),
            (
                403,
                "<Error><Code>AccessDenied</Code><Message>Access Denied because object protected by object lock</Message></Error>",
                Reason::Locked,
                false,
            ),
            (404, "<Error><Code>NoSuchBucket</Code></Error>", Reason::BucketMissing, false),
            (404, "", Reason::NotFound, false),
            (503, "<html>", Reason::Throttled, true),
            (500, "", Reason::Internal, true),
            (400, "<Error><Code>BadDigest</Code></Error>", Reason::ChecksumMismatch, true),
            (400, "<Error><Code>RequestTimeout</Code></Error>", Reason::Internal, true),
            (400, "<Error><Code>ExpiredToken</Code></Error>", Reason::AuthFailed, false),
        ] {
            let failure = Failure::refused("GET s3://b/k", status, body, None);
            assert_eq!((failure.reason(), failure.retryable()), (reason, again), "{status} {body}");
        }
        assert_eq!(Error::from(Failure::network("PUT s3://b/k", "reset")).reason(), Reason::Network);
    }
}
