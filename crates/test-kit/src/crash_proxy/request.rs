//! What a request to the API server is about, read from its method and path. Pure.

use hyper::Method;

/// A request as faults and the journal see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path without the query.
    pub path: String,
    /// Query, without the question mark.
    pub query: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Plural resource, empty for paths that are none.
    pub resource: String,
    /// Subresource, empty for none.
    pub subresource: String,
    /// Namespace, empty for none.
    pub namespace: String,
    /// Name, empty for lists and creates.
    pub name: String,
    /// Content type of the body: tells an apply from a merge patch.
    pub content_type: String,
}

impl Request {
    pub(super) fn new(method: &Method, path: &str, query: &str, content_type: &str) -> Self {
        let mut request = Self {
            method: method.clone(),
            path: path.to_owned(),
            query: query.to_owned(),
            group: String::new(),
            resource: String::new(),
            subresource: String::new(),
            namespace: String::new(),
            name: String::new(),
            content_type: content_type.to_owned(),
        };
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let rest = match parts.as_slice() {
            ["api", _version, rest @ ..] => rest,
            ["apis", group, _version, rest @ ..] => {
                (*group).clone_into(&mut request.group);
                rest
            }
            _ => return request,
        };
        // `namespaces/NAME` alone, with `status` or `finalize`, is about the namespace itself.
        let rest = match rest {
            ["namespaces", _, "status" | "finalize"] => rest,
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => {
                (*namespace).clone_into(&mut request.namespace);
                rest
            }
            rest => rest,
        };
        let mut fields = [&mut request.resource, &mut request.name, &mut request.subresource];
        for (field, part) in fields.iter_mut().zip(rest) {
            (*part).clone_into(field);
        }
        request
    }

    /// Kubernetes' word for what is asked: `get`, `list`, `watch`, `create`, `update`, `patch` (an apply too), `delete`,
    /// `deletecollection`; `other` for anything else.
    pub fn verb(&self) -> &'static str {
        match self.method {
            Method::GET if self.is_watch() => "watch",
            Method::GET if self.name.is_empty() => "list",
            Method::GET => "get",
            Method::POST => "create",
            Method::PUT => "update",
            Method::PATCH => "patch",
            Method::DELETE if self.name.is_empty() => "deletecollection",
            Method::DELETE => "delete",
            _ => "other",
        }
    }

    /// `true` for POST, PUT, PATCH and DELETE.
    pub fn is_write(&self) -> bool {
        matches!(self.method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
    }

    /// `true` for a watch.
    pub fn is_watch(&self) -> bool {
        self.method == Method::GET && (self.asks("watch=true") || self.asks("watch=1"))
    }

    /// `true` when the query has this `NAME=VALUE`.
    fn asks(&self, pair: &str) -> bool {
        self.query.split('&').any(|p| p == pair)
    }

    /// `true` for a request that reads a whole selection anew: the first page of a list, or a watch that begins with
    /// what is there.
    pub(super) fn begins_anew(&self) -> bool {
        let value = |name: &str| self.query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        match self.verb() {
            "list" => value("continue").is_none_or(str::is_empty),
            "watch" => {
                self.asks("sendInitialEvents=true")
                    || value("resourceVersion").is_none_or(|version| matches!(version, "" | "0"))
            }
            _ => false,
        }
    }

    /// What a list or watch selects: a list and the watch that goes on from it have the same.
    pub(super) fn selection(&self) -> String {
        let selects = |pair: &&str| pair.starts_with("labelSelector=") || pair.starts_with("fieldSelector=");
        let mut selectors: Vec<&str> = self.query.split('&').filter(selects).collect();
        selectors.sort_unstable();
        format!("{}?{}", self.path, selectors.join("&"))
    }

    /// `true` for what is no state of ours to lose: leases, events, and reviews, which only ask a question.
    pub fn is_noise(&self) -> bool {
        matches!(
            (self.group.as_str(), self.resource.as_str()),
            ("coordination.k8s.io", "leases") | ("" | "events.k8s.io", "events")
        ) || matches!(self.group.as_str(), "authorization.k8s.io" | "authentication.k8s.io")
    }
}

impl std::fmt::Display for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let cases = [
            ("/api/v1/namespaces/n/pods/p/status", ["", "n", "pods", "p", "status"]),
            ("/api/v1/namespaces/n/pods", ["", "n", "pods", "", ""]),
            ("/api/v1/namespaces/n", ["", "", "namespaces", "n", ""]),
            ("/api/v1/namespaces/n/finalize", ["", "", "namespaces", "n", "finalize"]),
            ("/api/v1/namespaces", ["", "", "namespaces", "", ""]),
            ("/api/v1/persistentvolumes/v", ["", "", "persistentvolumes", "v", ""]),
            ("/apis/batch/v1/namespaces/n/jobs/j", ["batch", "n", "jobs", "j", ""]),
            ("/apis/a.b/v1/things/t/scale", ["a.b", "", "things", "t", "scale"]),
            ("/readyz", ["", "", "", "", ""]),
        ];
        for (path, wanted) in cases {
            let r = Request::new(&Method::GET, path, "", "");
            assert_eq!([&r.group, &r.namespace, &r.resource, &r.name, &r.subresource], wanted, "{path}");
        }
    }

    #[test]
    fn kinds() {
        let request = |method: Method, path: &str, query: &str| Request::new(&method, path, query, "");
        assert!(request(Method::GET, "/api/v1/pods", "limit=1&watch=true").is_watch());
        assert!(!request(Method::GET, "/api/v1/pods", "limit=1").is_watch());
        let verbs = [
            (Method::GET, "/api/v1/pods", "watch=1", "watch"),
            (Method::GET, "/api/v1/pods", "", "list"),
            (Method::GET, "/api/v1/namespaces/n/pods/p", "", "get"),
            (Method::POST, "/api/v1/namespaces/n/pods", "watch=true", "create"),
            (Method::PATCH, "/api/v1/namespaces/n/pods/p/status", "", "patch"),
            (Method::DELETE, "/api/v1/namespaces/n/pods", "", "deletecollection"),
        ];
        for (method, path, query, verb) in verbs {
            assert_eq!(request(method, path, query).verb(), verb, "{path}?{query}");
        }
        assert!(request(Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l", "").is_noise());
        assert!(request(Method::POST, "/api/v1/namespaces/n/events", "").is_noise());
        assert!(!request(Method::POST, "/api/v1/namespaces/n/pods", "").is_noise());
    }

    #[test]
    fn a_list_and_its_watch_select_the_same() {
        let request = |query: &str| Request::new(&Method::GET, "/api/v1/pods", query, "");
        let list = request("limit=500&labelSelector=a%3Db&fieldSelector=x");
        let watch = request("watch=true&fieldSelector=x&labelSelector=a%3Db&resourceVersion=7");
        assert_eq!(list.selection(), watch.selection());
        assert_ne!(list.selection(), request("watch=true&resourceVersion=7").selection());
        let cases = [
            ("limit=500", true),
            ("limit=500&continue=abc", false),
            ("watch=true&resourceVersion=7", false),
            ("watch=true&resourceVersion=0", true),
            ("watch=true", true),
            ("watch=true&sendInitialEvents=true&resourceVersion=7", true),
        ];
        for (query, anew) in cases {
            assert_eq!(request(query).begins_anew(), anew, "{query}");
        }
    }
}
