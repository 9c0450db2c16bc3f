//! Killing an operator at every write of a play.

use std::time::Instant;
use test_kit::crash_proxy::Request;
use test_kit::{Fault, JournalEntry};

/// A kind of write: the same in every run, whatever its objects are called.
type Kind = (String, String, String);

fn kind(request: &Request) -> Kind {
    (request.method.to_string(), request.resource.clone(), request.subresource.clone())
}

/// Where a run is cut. A number among all writes would mean another one whenever two looks fall together or a write
/// is refused; the n-th of its kind means the same in every run.
pub struct Point {
    when: &'static str,
    kind: Kind,
    nth: usize,
}

impl Point {
    /// The fault, for writes of that namespace and of none.
    pub fn fault(&self, namespace: &str) -> Fault {
        let cut = if self.when == "before" { Fault::cut_before } else { Fault::cut_after };
        let (wanted, namespace) = (self.kind.clone(), namespace.to_owned());
        let ours = move |r: &Request| r.namespace.is_empty() || r.namespace == namespace;
        cut(self.nth).when(move |request| ours(request) && kind(request) == wanted)
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { when, kind: (method, resource, subresource), nth } = self;
        write!(f, "{when} {method} {resource} {subresource} {nth}")
    }
}

/// Plays once uninterrupted (`None`), then once for every `step`-th of the first `last` writes, before it and after it.
/// `run` gives the writes of an uninterrupted run, or the write at which it was cut, if it was.
///
/// The first write of each kind that was done comes in every run and must be reached; how often a kind comes after that
/// depends on which looks fall together, so a repetition may stay away, and so may one that the server refused.
pub async fn walk(name: &str, step: usize, last: usize, run: impl AsyncFn(Option<&Point>) -> Vec<JournalEntry>) {
    let writes = run(None).await;
    assert!(writes.len() >= 3, "{name} has only {} writes", writes.len());
    for write in &writes {
        println!("{write} {}", write.body);
    }
    let start = Instant::now();
    let mut seen: Vec<Kind> = Vec::new();
    let (mut hits, mut missed) = (0, Vec::new());
    for (index, write) in writes.iter().enumerate().take(last) {
        seen.push(kind(&write.request));
        let nth = seen.iter().filter(|k| Some(*k) == seen.last()).count();
        if index % step > 0 {
            continue;
        }
        for when in ["before", "after"] {
            let point = Point { when, kind: kind(&write.request), nth };
            let begun = Instant::now();
            let reached = !run(Some(&point)).await.is_empty();
            println!("{name}: killed {point}: reached {reached}, {:?}", begun.elapsed());
            hits += usize::from(reached);
            assert!(reached || nth > 1 || !write.was_done(), "{name}: not reached: {point}");
            if !reached && write.was_done() {
                missed.push(point.to_string());
            }
        }
    }
    println!("{name}: {} writes, every {step}. in {:?}, not reached: {missed:?}", writes.len(), start.elapsed());
    assert!(missed.len() * 4 <= hits, "{name}: too few reached ({hits}): {missed:?}");
}
