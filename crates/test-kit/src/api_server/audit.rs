//! The audit log of the test API server: who asked for what, how often.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

/// Which requests are written to the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditScope {
    /// create, update, patch, delete, deletecollection.
    #[default]
    Writes,
    /// Reads and watches too: for counting what an operator costs.
    Everything,
}

impl AuditScope {
    /// The audit policy: metadata only, once per request.
    pub(super) fn policy(self) -> Value {
        let mut rules = vec![json!({
            "level": "Metadata",
            "verbs": ["create", "update", "patch", "delete", "deletecollection"],
        })];
        rules.push(json!({ "level": if self == Self::Everything { "Metadata" } else { "None" } }));
        json!({
            "apiVersion": "audit.k8s.io/v1", "kind": "Policy",
            "omitStages": ["RequestReceived", "ResponseStarted"], "rules": rules,
        })
    }
}

/// One finished request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// User name, such as `system:serviceaccount:holdfast-dp:holdfast-dp`.
    pub user: String,
    /// API verb: get, list, watch, create, update, patch, delete, deletecollection.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource with its subresource: `persistentvolumeclaims/status`; the path for what is no resource.
    pub resource: String,
    /// Namespace, empty for cluster objects.
    pub namespace: String,
    /// Object name; empty for a list or a create.
    pub name: String,
    /// HTTP status code, 0 when unknown.
    pub code: u16,
    /// The client's own name for itself.
    pub user_agent: String,
}

/// The finished requests, in the order in which they ended.
#[derive(Debug, Clone, Default)]
pub struct AuditLog {
    /// All entries.
    pub entries: Vec<AuditEntry>,
}

impl AuditLog {
    /// Reads a log; a half-written last line is left out.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read(path).unwrap_or_default();
        let lines = text.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        Self { entries: lines.map(|line| entry(&line)).collect() }
    }

    /// How many entries there are per (user, verb, resource).
    pub fn count(&self) -> BTreeMap<(String, String, String), usize> {
        let mut counts = BTreeMap::new();
        for e in &self.entries {
            *counts.entry((e.user.clone(), e.verb.clone(), e.resource.clone())).or_default() += 1;
        }
        counts
    }

    /// The entries of one user.
    #[must_use]
    pub fn of_user(&self, user: &str) -> Self {
        self.only(|e| e.user == user)
    }

    /// The entries of a service account.
    #[must_use]
    pub fn of_service_account(&self, namespace: &str, name: &str) -> Self {
        self.of_user(&format!("system:serviceaccount:{namespace}:{name}"))
    }

    /// The entries that `keep` wants.
    #[must_use]
    pub fn only(&self, keep: impl Fn(&AuditEntry) -> bool) -> Self {
        Self { entries: self.entries.iter().filter(|e| keep(e)).cloned().collect() }
    }

    /// Entries from the `n`-th on: take `entries.len()` before an action and look at what came after it.
    #[must_use]
    pub fn since(&self, n: usize) -> Self {
        Self { entries: self.entries.iter().skip(n).cloned().collect() }
    }
}

fn entry(line: &Value) -> AuditEntry {
    let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let plural = text("/objectRef/resource");
    let resource = match (plural.as_str(), text("/objectRef/subresource")) {
        ("", _) => text("/requestURI").split('?').next().unwrap_or_default().to_owned(),
        (plural, subresource) if subresource.is_empty() => plural.to_owned(),
        (plural, subresource) => format!("{plural}/{subresource}"),
    };
    AuditEntry {
        user: text("/user/username"),
        verb: text("/verb"),
        group: text("/objectRef/apiGroup"),
        resource,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: line
            .pointer("/responseStatus/code")
            .and_then(Value::as_u64)
            .and_then(|code| u16::try_from(code).ok())
            .unwrap_or_default(),
        user_agent: text("/userAgent"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_by_user_verb_and_resource_and_skips_a_torn_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let line = r#"{"verb":"patch","user":{"username":"u"},"userAgent":"a","objectRef":{"resource":"pods","subresource":"status","namespace":"n","name":"p"},"responseStatus":{"code":200},"requestURI":"/x"}"#;
        let other = r#"{"verb":"get","user":{"username":"u"},"requestURI":"/healthz?verbose"}"#;
        std::fs::write(file.path(), format!("{line}\n{line}\n{other}\n{}", &line[..20])).unwrap();
        let log = AuditLog::read(file.path());
        let key = |verb: &str, resource: &str| ("u".to_owned(), verb.to_owned(), resource.to_owned());
        assert_eq!(log.count(), BTreeMap::from([(key("patch", "pods/status"), 2), (key("get", "/healthz"), 1)]));
        assert_eq!(log.entries[0].code, 200);
        assert_eq!(log.since(2).entries.len(), 1);
    }
}
