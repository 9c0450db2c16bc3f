//! Faults: which request is hit, and by what. Pure.

use std::time::Duration;

use serde_json::{Value, json};

use super::request::Request;

type Predicate = Box<dyn Fn(&Request) -> bool + Send>;

/// A fault to be armed. Numbers count from 1 at the moment of arming, over the writes the proxy counts; after
/// [`Fault::when`], over the requests that it wants.
pub struct Fault {
    act: Act,
    nth: usize,
    times: usize,
    when: Option<Predicate>,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    CutBefore,
    CutAfter,
    Answer(Refusal),
    Delay(Duration),
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

    fn new(act: Act, nth: usize) -> Self {
        assert!(nth > 0, "writes are counted from 1");
        Self { act, nth, times: 1, when: None }
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

    /// The body of the answer.
    pub fn status(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code,
        })
    }
}

/// Faults with their counters.
#[derive(Default)]
pub(super) struct Armed(Vec<(Fault, usize)>);

impl Armed {
    pub fn arm(&mut self, fault: Fault) {
        self.0.push((fault, 0));
    }

    pub fn disarm(&mut self) {
        self.0.clear();
    }

    /// Counts a request in every fault it concerns; gives what happens to it by the first that hits it.
    pub fn hit(&mut self, request: &Request, counted: bool) -> Option<Act> {
        let mut act = None;
        for (fault, seen) in &mut self.0 {
            if !fault.when.as_ref().map_or(counted, |wanted| wanted(request)) {
                continue;
            }
            *seen += 1;
            if *seen >= fault.nth && *seen - fault.nth < fault.times && act.is_none() {
                act = Some(fault.act.clone());
            }
        }
        act
    }
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;

    #[test]
    fn counts_from_arming_and_only_what_concerns_it() {
        let write = Request::new(&Method::POST, "/api/v1/namespaces/n/pods", "", "");
        let read = Request::new(&Method::GET, "/api/v1/namespaces/n/pods", "", "");
        let mut armed = Armed::default();
        armed.arm(Fault::answer(2, 409).times(2));
        armed.arm(Fault::cut_before(1).when(|r| r.method == Method::GET));
        assert_eq!(armed.hit(&write, true), None);
        for _ in 0..2 {
            let Some(Act::Answer(refusal)) = armed.hit(&write, true) else { panic!("the second and third are hit") };
            assert_eq!((refusal.code, refusal.reason), (409, "Conflict"));
        }
        assert_eq!(armed.hit(&write, true), None);
        assert_eq!(armed.hit(&read, false), Some(Act::CutBefore));
        assert_eq!(armed.hit(&read, false), None);
    }
}
