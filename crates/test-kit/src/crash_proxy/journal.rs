//! What the proxy remembers of every counted write.

use super::request::Request;

/// A write that came to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Number, from 1.
    pub n: usize,
    /// Method, path, resource, subresource, content type…
    pub request: Request,
    /// The body as text.
    pub body: String,
    /// Status the server (or a fault) answered with; `None` when it was not forwarded, or has not been answered yet.
    pub status: Option<u16>,
    /// The fault that hit it: `cut before`, `cut after`, `answered`, `delayed`.
    pub fault: Option<&'static str>,
}

impl JournalEntry {
    /// `true` when the server did it.
    pub fn was_done(&self) -> bool {
        self.fault != Some("answered") && self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

impl std::fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { n, request, status, fault, .. } = self;
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        write!(f, "{n}. {request} ({}) -> {status}", request.content_type)?;
        fault.map_or(Ok(()), |fault| write!(f, " [{fault}]"))
    }
}
