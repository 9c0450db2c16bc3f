//! Faults: which request is hit, and by what. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::key::Key;
use super::request::Request;
use super::watches::WatchAct;

type Predicate = Box<dyn Fn(&Request) -> bool + Send>;

/// A fault to be armed. Numbers count from 1 at the moment of arming, over the writes the proxy counts; after
/// [`Fault::on`] and [`Fault::when`], over the requests that they want.
pub struct Fault {
    act: Act,
    nth: usize,
    times: usize,
    key: Option<Key>,
    when: Option<Predicate>,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    CutBefore,
    CutAfter,
    Answer(Refusal),
    Delay(Duration),
    DropReply,
    DelayReply(Duration),
    Watch(WatchAct, String),
}

/// An answer the API server never gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub code: u16,
    reason: &'static str,
    message: String,
}

impl Fault {
    /// The n-th write never reaches the server; its connection and all others are reset, and the proxy refuses
    /// everything until it is healed.
    pub fn cut_before(n: usize) -> Self {
        Self::new(Act::CutBefore, n)
    }

    /// The n-th write reaches the server and is done there; its answer is lost, and the proxy is cut as in
    /// [`cut_before`](Self::cut_before).
    pub fn cut_after(n: usize) -> Self {
        Self::new(Act::CutAfter, n)
    }

    /// The n-th write is answered with a Kubernetes error of this code (409, 500, 429, 504…) and not forwarded.
    /// kube repeats 429, 503 and 504 by itself; every repetition is a write more.
    pub fn answer(n: usize, code: u16) -> Self {
        let (reason, message) = match code {
            400 => ("BadRequest", "the request is bad"),
            403 => ("Forbidden", "not allowed"),
            404 => ("NotFound", "not found"),
            409 => ("Conflict", "the object has been modified; please apply your changes to the latest version"),
            410 => ("Expired", "too old resource version"),
            422 => ("Invalid", "the object is invalid"),
            429 => ("TooManyRequests", "too many requests, please try again later"),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "request did not complete within the allotted timeout"),
            _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
        };
        Self::answer_as(n, code, reason, message)
    }

    /// As [`answer`](Self::answer), with a reason such as `AlreadyExists` and a message.
    pub fn answer_as(n: usize, code: u16, reason: &'static str, message: &str) -> Self {
        Self::new(Act::Answer(Refusal { code, reason, message: message.to_owned() }), n)
    }

    /// The n-th write is forwarded after a while.
    pub fn delay(n: usize, by: Duration) -> Self {
        Self::new(Act::Delay(by), n)
    }

    /// The n-th write is done by the server, its answer is lost: its connection is reset, all others go on.
    pub fn drop_reply(n: usize) -> Self {
        Self::new(Act::DropReply, n)
    }

    /// The n-th write is done by the server at once, its answer comes after a while.
    pub fn delay_reply(n: usize, by: Duration) -> Self {
        Self::new(Act::DelayReply(by), n)
    }

    /// As the n-th write arrives, all watches of `resource` (plural) end, as a server ends them; the write passes.
    pub fn close_watch(n: usize, resource: &str) -> Self {
        Self::new(Act::Watch(WatchAct::Close, resource.to_owned()), n)
    }

    /// As the n-th write arrives, all watches of `resource` stand still until
    /// [`resume_watch`](super::CrashProxy::resume_watch); the write passes.
    pub fn freeze_watch(n: usize, resource: &str) -> Self {
        Self::new(Act::Watch(WatchAct::Freeze, resource.to_owned()), n)
    }

    /// As the n-th write arrives, the history of `resource` expires, see
    /// [`expire_watch`](super::CrashProxy::expire_watch); the write passes.
    pub fn expire_watch(n: usize, resource: &str) -> Self {
        Self::new(Act::Watch(WatchAct::Expire, resource.to_owned()), n)
    }

    fn new(act: Act, nth: usize) -> Self {
        assert!(nth > 0, "writes are counted from 1");
        Self { act, nth, times: 1, key: None, when: None }
    }

    /// Counts and hits only requests of this key: with the number, a plan that means the same request in every run.
    #[must_use]
    pub fn on(mut self, key: Key) -> Self {
        self.key = Some(key);
        self
    }

    /// Hits this many requests in a row, from the n-th on.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Counts and hits only requests that `wanted` holds for; these may be reads, leases and events too.
    #[must_use]
    pub fn when(mut self, wanted: impl Fn(&Request) -> bool + Send + 'static) -> Self {
        self.when = Some(Box::new(wanted));
        self
    }

    fn concerns(&self, request: &Request, key: &Key, counted: bool) -> bool {
        let chosen = self.key.is_some() || self.when.is_some();
        let of_key = self.key.as_ref().is_none_or(|wanted| wanted == key);
        of_key && self.when.as_ref().is_none_or(|wanted| wanted(request)) && (chosen || counted)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.act {
            Act::Answer(refusal) => write!(f, "answer {} to", refusal.code)?,
            Act::Delay(by) => write!(f, "delay by {by:?}")?,
            Act::DelayReply(by) => write!(f, "delay by {by:?} the reply to")?,
            Act::DropReply => write!(f, "drop the reply to")?,
            Act::Watch(_, resource) => write!(f, "{} of {resource} at", self.act.name())?,
            act @ (Act::CutBefore | Act::CutAfter) => write!(f, "{}", act.name())?,
        }
        match (&self.key, &self.when) {
            (Some(key), _) => write!(f, " {key}")?,
            (None, Some(_)) => write!(f, " a chosen request")?,
            (None, None) => write!(f, " any write")?,
        }
        write!(f, " #{}", self.nth)
    }
}

impl Act {
    /// As the journal says it.
    pub fn name(&self) -> &'static str {
        match self {
            Act::CutBefore => "cut before",
            Act::CutAfter => "cut after",
            Act::Answer(_) => "answered",
            Act::Delay(_) => "delayed",
            Act::DropReply => "reply dropped",
            Act::DelayReply(_) => "reply delayed",
            Act::Watch(WatchAct::Close, _) => "watch closed",
            Act::Watch(WatchAct::Freeze, _) => "watch frozen",
            Act::Watch(WatchAct::Expire, _) => "watch expired",
        }
    }
}

impl Refusal {
    /// For a request that could not be forwarded.
    pub fn gateway(error: &kube::Error) -> Self {
        Self {
            code: 502,
            reason: "BadGateway",
            message: format!("the crash proxy could not reach the server: {error}"),
        }
    }

    /// For a watch whose history is gone.
    pub fn expired() -> Self {
        Self { code: 410, reason: "Expired", message: "too old resource version: its history expired".to_owned() }
    }

    /// The body of the answer.
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// A fault with its counters.
struct Counted {
    fault: Fault,
    seen: usize,
    fired: bool,
}

/// Faults with their counters.
#[derive(Default)]
pub(super) struct Armed(Vec<Counted>);

impl Armed {
    pub fn arm(&mut self, fault: Fault) {
        self.0.push(Counted { fault, seen: 0, fired: false });
    }

    pub fn disarm(&mut self) {
        self.0.clear();
    }

    /// Those that have hit nothing yet.
    pub fn unfired(&self) -> Vec<String> {
        self.0.iter().filter(|counted| !counted.fired).map(|counted| counted.fault.to_string()).collect()
    }

    /// Counts a request in every fault it concerns; gives what happens to it by the first that hits it.
    pub fn hit(&mut self, request: &Request, key: &Key, counted: bool) -> Option<Act> {
        let mut act = None;
        for Counted { fault, seen, fired } in &mut self.0 {
            if !fault.concerns(request, key, counted) {
                continue;
            }
            *seen += 1;
            if *seen >= fault.nth && *seen - fault.nth < fault.times && act.is_none() {
                act = Some(fault.act.clone());
                *fired = true;
            }
        }
        act
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;
    use serde_json::Value;

    use super::*;

    fn request(method: &Method, rest: &str) -> (Request, Key) {
        let request = Request::new(method, &format!("/api/v1/namespaces/n/{rest}"), "", "");
        let key = Key::of(&request, &Value::Null);
        (request, key)
    }

    #[test]
    fn counts_from_arming_and_only_what_concerns_it() {
        let (write, written) = request(&Method::POST, "pods");
        let (read, of_read) = request(&Method::GET, "pods");
        let mut armed = Armed::default();
        armed.arm(Fault::answer(2, 409).times(2));
        armed.arm(Fault::cut_before(1).when(|r| r.method == Method::GET));
        assert_eq!(armed.hit(&write, &written, true), None);
        for _ in 0..2 {
            let Some(Act::Answer(refusal)) = armed.hit(&write, &written, true) else { panic!("these two are hit") };
            assert_eq!((refusal.code, refusal.reason), (409, "Conflict"));
        }
        assert_eq!(armed.hit(&write, &written, true), None);
        assert_eq!(armed.hit(&read, &of_read, false), Some(Act::CutBefore));
        assert_eq!(armed.hit(&read, &of_read, false), None);
    }

    #[test]
    fn a_plan_names_one_request_and_says_when_it_did_not_come() {
        let (first, key) = request(&Method::PATCH, "pods/a-07970b54/status");
        let (second, same) = request(&Method::PATCH, "pods/a-1d1ec6b1/status");
        let (other, of_other) = request(&Method::PATCH, "pods/b/status");
        let mut armed = Armed::default();
        armed.arm(Fault::drop_reply(2).on(Key::new("patch", "pods/status", "a-07970b54")));
        armed.arm(Fault::expire_watch(3, "jobs").on(key.clone()));
        for (request, key) in [(&other, &of_other), (&first, &key)] {
            assert_eq!(armed.hit(request, key, true), None);
        }
        let plans = ["drop the reply to patch pods/status a-* #2", "watch expired of jobs at patch pods/status a-* #3"];
        assert_eq!(armed.unfired(), plans);
        assert_eq!(armed.hit(&second, &same, true), Some(Act::DropReply), "the same in another run");
        assert_eq!(armed.unfired(), plans[1..]);
        assert_eq!(armed.hit(&first, &key, true), Some(Act::Watch(WatchAct::Expire, "jobs".into())));
        assert_eq!(armed.unfired(), [""; 0]);
    }
}
