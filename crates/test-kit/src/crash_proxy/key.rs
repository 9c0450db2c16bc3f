//! Names of requests that are the same in every run. Pure.

use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

use super::request::Request;

/// UUIDs and their beginnings, hashes, and instants in names.
static CHANGING: LazyLock<Regex> = LazyLock::new(|| {
    let uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
    Regex::new(&format!(r"\b(?:{uuid}|[0-9a-f]{{8,}})\b")).expect("a regular expression")
});

/// What a request is about: `create jobs dp-backup-0-b-*`, `patch backups/status b`. With an ordinal (its number among
/// the requests of the same key) it names one request of a play in every run of that play.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Kubernetes' word, see [`Request::verb`].
    pub verb: String,
    /// Plural, with `/SUBRESOURCE` where there is one.
    pub resource: String,
    /// Name with `*` for what another run calls otherwise, see [`stable`]. Empty for lists and watches.
    pub name: String,
}

impl Key {
    /// A key for a plan; `name` may be written as it is or with `*` already.
    pub fn new(verb: &str, resource: &str, name: &str) -> Self {
        Self { verb: verb.to_owned(), resource: resource.to_owned(), name: stable(name) }
    }

    /// The key of a request; the name of what it creates stands in its body.
    pub(super) fn of(request: &Request, body: &Value) -> Self {
        let resource = if request.subresource.is_empty() {
            request.resource.clone()
        } else {
            format!("{}/{}", request.resource, request.subresource)
        };
        let metadata = &body["metadata"];
        let created = || metadata["name"].as_str().or_else(|| metadata["generateName"].as_str()).unwrap_or_default();
        let name = if request.name.is_empty() && request.is_write() { created() } else { &request.name };
        let name = if resource.is_empty() { &request.path } else { name };
        Self::new(request.verb(), &resource, name)
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { verb, resource, name } = self;
        write!(f, "{verb} {resource}{}{name}", if name.is_empty() { "" } else { " " })
    }
}

/// The text with `*` for what differs from run to run: UUIDs, and words of eight hexadecimal digits or more.
pub fn stable(text: &str) -> String {
    CHANGING.replace_all(text, "*").into_owned()
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::json;

    use super::*;

    #[test]
    fn keys() {
        let cases = [
            (
                Method::POST,
                "jobs",
                json!({"metadata": {"name": "dp-backup-0-b-07970b54"}}),
                "create jobs dp-backup-0-b-*",
            ),
            (Method::POST, "events", json!({"metadata": {"generateName": "b-"}}), "create events b-"),
            (Method::PATCH, "backups/b/status", json!({}), "patch backups/status b"),
            (Method::DELETE, "jobs/07970b54-delete-b", json!({}), "delete jobs *-delete-b"),
            (Method::GET, "jobs", json!(null), "list jobs"),
            (
                Method::PATCH,
                "persistentvolumeclaims/kb-populate-07970b54-4962-4988-9b35-a2d8cf7a7fe1",
                json!([]),
                "patch persistentvolumeclaims kb-populate-*",
            ),
        ];
        for (method, rest, body, wanted) in cases {
            let request = Request::new(&method, &format!("/api/v1/namespaces/n/{rest}"), "", "");
            assert_eq!(Key::of(&request, &body).to_string(), wanted);
        }
        let readyz = Request::new(&Method::GET, "/readyz", "", "");
        assert_eq!(Key::of(&readyz, &Value::Null).to_string(), "list  /readyz");
        assert_eq!(Key::new("create", "jobs", "j-07970b54"), Key::new("create", "jobs", "j-*"));
    }

    #[test]
    fn words_stay() {
        assert_eq!(stable("backup of db-0 at /n/b, 1Gi"), "backup of db-0 at /n/b, 1Gi");
        assert_eq!(stable("Job x-07970b54 of a2d8cf7a7fe1."), "Job x-* of *.");
    }
}
