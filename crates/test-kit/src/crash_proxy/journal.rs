//! What the proxy remembers of every request.

use std::collections::HashMap;

use hyper::body::Bytes;
use serde_json::Value;

use super::key::Key;
use super::request::Request;

/// A request that came to the proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalEntry {
    /// Number among the writes that count, from 1; 0 for any other request.
    pub n: usize,
    /// What it is about, the same in every run.
    pub key: Key,
    /// Number among the requests of its key, from 1.
    pub ordinal: usize,
    /// Method, path, resource, subresource, content type…
    pub request: Request,
    /// The body as text.
    pub body: String,
    /// FNV-1a of the body.
    pub body_hash: u64,
    /// The resourceVersion the writer had seen: of the body's metadata, of the preconditions of a delete, or of a test
    /// of a JSON patch.
    pub version_before: Option<String>,
    /// The resourceVersion of the object in the answer to a write.
    pub version_after: Option<String>,
    /// Status the server (or a fault) answered with; `None` when it was not forwarded, or has not been answered yet.
    pub status: Option<u16>,
    /// The fault that hit it: `cut before`, `cut after`, `answered`, `delayed`, `reply dropped`, `reply delayed`,
    /// `expired`, `watch closed`, `watch frozen`, `watch expired`.
    pub fault: Option<&'static str>,
}

impl JournalEntry {
    pub(super) fn new(request: &Request, key: Key, body: &Bytes, json: &Value) -> Self {
        Self {
            n: 0,
            key,
            ordinal: 0,
            request: request.clone(),
            body: String::from_utf8_lossy(body).into_owned(),
            body_hash: fnv1a(body),
            version_before: version_before(json),
            version_after: None,
            status: None,
            fault: None,
        }
    }

    /// `true` when the server did it.
    pub fn was_done(&self) -> bool {
        !matches!(self.fault, Some("answered" | "expired"))
            && self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// `true` for a write that was done and left its object as it had been: it should not have been made.
    pub fn changed_nothing(&self) -> bool {
        self.was_done() && self.version_before.is_some() && self.version_before == self.version_after
    }
}

impl std::fmt::Display for JournalEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { n, request, status, fault, .. } = self;
        let status = status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
        write!(f, "{n}. {request} ({}) -> {status}", request.content_type)?;
        if self.version_before.is_some() || self.version_after.is_some() {
            let shown = |version: &Option<String>| version.clone().unwrap_or_else(|| "?".to_owned());
            write!(f, " {}→{}", shown(&self.version_before), shown(&self.version_after))?;
        }
        fault.map_or(Ok(()), |fault| write!(f, " [{fault}]"))
    }
}

/// All requests since the journal was cleared.
#[derive(Default)]
pub(super) struct Journal {
    entries: Vec<JournalEntry>,
    writes: usize,
    ordinals: HashMap<Key, usize>,
    /// Requests from before it was cleared, so that a late answer finds its entry, or that it is gone.
    cleared: usize,
}

impl Journal {
    /// Adds an entry, numbered among the writes if it counts, and gives its place.
    pub fn add(&mut self, mut entry: JournalEntry, counted: bool) -> usize {
        if counted {
            self.writes += 1;
            entry.n = self.writes;
        }
        let ordinal = self.ordinals.entry(entry.key.clone()).or_default();
        *ordinal += 1;
        entry.ordinal = *ordinal;
        self.entries.push(entry);
        self.cleared + self.entries.len() - 1
    }

    /// The entry at that place, if it was not cleared meanwhile.
    pub fn at(&mut self, place: usize) -> Option<&mut JournalEntry> {
        place.checked_sub(self.cleared).and_then(|index| self.entries.get_mut(index))
    }

    pub fn all(&self) -> Vec<JournalEntry> {
        self.entries.clone()
    }

    pub fn writes(&self) -> Vec<JournalEntry> {
        self.entries.iter().filter(|entry| entry.n > 0).cloned().collect()
    }

    pub fn clear(&mut self) {
        let cleared = self.cleared + self.entries.len();
        *self = Self { cleared, ..Self::default() };
    }
}

fn version_before(body: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let tested = || {
        let tests = body.as_array()?.iter().filter(|op| op["op"] == "test");
        tests.filter(|op| op["path"] == "/metadata/resourceVersion").find_map(|op| text(&op["value"]))
    };
    text(&body["metadata"]["resourceVersion"])
        .or_else(|| text(&body["preconditions"]["resourceVersion"]))
        .or_else(tested)
}

/// 64 bits, the same in every run and build.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::json;

    use super::*;

    fn entry(name: &str, body: &Value) -> JournalEntry {
        let request = Request::new(&Method::PATCH, &format!("/api/v1/namespaces/n/pods/{name}"), "", "");
        let text = Bytes::from(body.to_string());
        JournalEntry::new(&request, Key::of(&request, body), &text, body)
    }

    #[test]
    fn what_a_writer_had_seen() {
        let cases = [
            (json!({"metadata": {"resourceVersion": "7"}}), Some("7")),
            (json!({"preconditions": {"uid": "u", "resourceVersion": "8"}}), Some("8")),
            (json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "9"}]), Some("9")),
            (json!([{"op": "replace", "path": "/metadata/resourceVersion", "value": "9"}]), None),
            (json!({"metadata": {"labels": {}}}), None),
        ];
        for (body, wanted) in cases {
            assert_eq!(entry("p", &body).version_before.as_deref(), wanted, "{body}");
        }
    }

    #[test]
    fn numbers_and_ordinals() {
        let mut journal = Journal::default();
        let places: Vec<usize> = [("a", true), ("b", false), ("a", true)]
            .map(|(name, counts)| journal.add(entry(name, &json!({})), counts))
            .into();
        let seen: Vec<_> = journal.all().iter().map(|e| (e.n, e.ordinal)).collect();
        assert_eq!(seen, [(1, 1), (0, 1), (2, 2)]);
        assert_eq!(journal.writes().len(), 2);
        journal.clear();
        assert!(journal.at(places[2]).is_none(), "a late answer finds no other entry");
        let place = journal.add(entry("a", &json!({})), true);
        assert_eq!(journal.at(place).map(|e| (e.n, e.ordinal)), Some((1, 1)));
    }

    #[test]
    fn hashes_tell_bodies_apart() {
        assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(fnv1a(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_ne!(entry("p", &json!({"a": 1})).body_hash, entry("p", &json!({"a": 2})).body_hash);
    }
}
