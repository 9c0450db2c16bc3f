//! Failures of `rustic_core` in our words.
//!
//! Enters: its errors. Leaves: ours; one that came from our own store keeps its reason.

use std::error::Error as _;

use mover_protocol::Reason;
use rustic_core::RusticError;

use crate::error::{Class, Error, one_line};

/// Names a failure of the repository at `root`.
pub fn repository_error(root: &str, error: &RusticError) -> Error {
    let what = format!("the deduplicating repository {root}");
    if error.is_incorrect_password() {
        return Error::Remote {
            what,
            why: "the password does not open it; check DATASAFED_KOPIA_PASSWORD, or \
                  DATASAFED_ENCRYPTION_PASS_PHRASE where that is not set"
                .to_owned(),
            reason: Reason::Encrypt,
            class: Class::Terminal,
        };
    }
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(ours) = cause.downcast_ref::<Error>() {
            return Error::Remote { what, why: ours.to_string(), reason: ours.reason(), class: ours.class() };
        }
        source = cause.source();
    }
    if error.is_code("C001") {
        return Error::Remote {
            what,
            why: "what is stored there was not made with its key: it is damaged, or was founded with two passwords"
                .to_owned(),
            reason: Reason::ChecksumMismatch,
            class: Class::Terminal,
        };
    }
    let why = one_line(&error.display_log());
    let why = why.strip_prefix("Error: ").unwrap_or(&why);
    // What follows is a page with addresses of the library's project.
    let why = why.split_once(": caused by:").map_or(why, |(why, _)| why).to_owned();
    Error::Remote { what, why, reason: Reason::ChecksumMismatch, class: Class::Terminal }
}
