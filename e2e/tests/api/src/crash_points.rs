//! Killing an operator at every write of a play.

use crate::{Company, OPERATOR, Stage, end_state};
use futures::FutureExt;
use std::any::Any;
use std::collections::BTreeSet;
use std::io::Write;
use std::panic::AssertUnwindSafe;
use std::time::Instant;
use test_kit::crash_proxy::Key;
use test_kit::{CrashProxy, Fault, JournalEntry};

/// Where a run is cut: before or after one request that a plan names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    when: &'static str,
    key: Key,
    ordinal: usize,
}

impl Point {
    /// The fault, for writes of that namespace, of the operator's own and of none.
    pub fn fault(&self, namespace: &str) -> Fault {
        let cut = if self.when == "before" { Fault::cut_before } else { Fault::cut_after };
        let namespace = namespace.to_owned();
        cut(self.ordinal)
            .on(self.key.clone())
            .when(move |r| r.namespace.is_empty() || r.namespace == OPERATOR.0 || r.namespace == namespace)
    }
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { when, key, ordinal } = self;
        write!(f, "{when} {key} #{ordinal}")
    }
}

/// Which writes of a play are points: always the same ones, by their place in the uninterrupted run.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// Every `step`-th write, and the first of each kind (verb and resource).
    pub step: usize,
    /// No later than the `last`-th write: what comes after is another play's.
    pub last: usize,
}

impl Choice {
    /// Every `step`-th write and the first of each kind; every write where `$HOLDFAST_CRASH_POINTS` is `all`.
    pub fn every(step: usize) -> Self {
        let all = std::env::var("HOLDFAST_CRASH_POINTS").is_ok_and(|v| v == "all");
        Self { step: if all { 1 } else { step }, last: usize::MAX }
    }

    /// As [`every`](Self::every), of the first writes only.
    #[must_use]
    pub fn first(self, last: usize) -> Self {
        Self { last, ..self }
    }
}

impl std::fmt::Display for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.step {
            1 => write!(f, "every write")?,
            2 => write!(f, "every 2nd write and the first of each kind")?,
            step => write!(f, "every {step}th write and the first of each kind")?,
        }
        if self.step > 1 {
            write!(f, ", before and after in turn")?;
        }
        if self.last < usize::MAX { write!(f, " of the first {}", self.last) } else { Ok(()) }
    }
}

/// Runs that may pass before a plan that did not fire counts as one that never does.
const TRIES: usize = 3;

/// Plays once uninterrupted (`None`), then once for every chosen write that was done, before it and after it; where not every write is chosen, before and after in turn. `run`
/// gives the writes of an uninterrupted run, or the write at which it was cut, if it was. What panics in `run` is a
/// failed point; `recover` then makes the stage fit for the next one.
///
/// A write that did not come in three runs has failed too, but for repetitions of a key: how often a status is written
/// depends on which looks fall together.
pub async fn walk(
    name: &str,
    choice: Choice,
    run: impl AsyncFn(Option<&Point>) -> Vec<JournalEntry>,
    recover: impl AsyncFn(),
) {
    let writes = run(None).await;
    assert!(writes.len() >= 3, "{name} has only {} writes", writes.len());
    for write in &writes {
        println!("{name}: {} #{} {write}", write.key, write.ordinal);
    }
    let start = Instant::now();
    let (mut seen, mut tried, mut failed, mut missed) = (BTreeSet::new(), 0, Vec::new(), Vec::new());
    let mut chosen = 0;
    for (index, write) in writes.iter().enumerate().take(choice.last).filter(|(_, write)| write.was_done()) {
        let first = seen.insert((write.key.verb.clone(), write.key.resource.clone()));
        if index % choice.step > 0 && !first {
            continue;
        }
        let both = ["before", "after"];
        let one = both.get(chosen % 2).map(std::slice::from_ref).unwrap_or_default();
        chosen += 1;
        for when in if choice.step == 1 { &both[..] } else { one } {
            let point = Point { when, key: write.key.clone(), ordinal: write.ordinal };
            let (begun, mut told) = (Instant::now(), "not reached".to_owned());
            for _ in 0..TRIES {
                told = match AssertUnwindSafe(run(Some(&point))).catch_unwind().await {
                    Ok(cut) if cut.is_empty() => continue,
                    Ok(_) => "ok".to_owned(),
                    Err(panic) => text_of(panic.as_ref()),
                };
                break;
            }
            println!("{name}: killed {point}: {told} ({:?})", begun.elapsed());
            tried += usize::from(told != "not reached");
            match told.as_str() {
                "ok" => {}
                "not reached" if write.ordinal > 1 => missed.push(point),
                _ => {
                    failed.push(format!("{point}: {told}"));
                    recover().await;
                }
            }
        }
    }
    let took = start.elapsed().as_secs();
    // Past the capture of the test runner: it is shown where the test passes, too.
    let line = format!("crash: workload={name} points={tried} failed={} ({choice}, in {took} s)\n", failed.len());
    std::io::stderr().write_all(line.as_bytes()).expect("stderr");
    assert!(failed.is_empty(), "{name}: {} of {tried} points failed:\n{}", failed.len(), failed.join("\n"));
    let shown: Vec<String> = missed.iter().map(ToString::to_string).collect();
    assert!(missed.len() * 4 <= tried, "{name}: too few reached ({tried}): {shown:?}");
}

fn text_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_else(|| "a panic".to_owned())
}

/// A play of the data protection operator.
pub trait Workload {
    /// As it is printed.
    const NAME: &'static str;

    /// Everything that stands before; ends when the operator has nothing left to write.
    fn prepare(&self, stage: &Stage, company: &Company) -> impl Future<Output = ()>;

    /// From the first thing a user does to the end. Runs on while the operator is dead and comes again: it waits for
    /// what holds in every run, and looks past the proxy.
    fn play(&self, stage: &Stage, company: &Company) -> impl Future<Output = ()>;
}

/// Kills the operator at the chosen writes of a workload. Each run must come to the state of the uninterrupted one, and
/// must have created each object as often.
pub async fn workload<W: Workload>(workload: &W, choice: Choice) {
    let wanted = tokio::sync::OnceCell::new();
    let run = async |point: Option<&Point>| {
        let (stage, company) = crate::stage_of_run().await;
        workload.prepare(&stage, company).await;
        let proxy = &company.proxy;
        proxy.clear_journal();
        if let Some(point) = point {
            proxy.arm(point.fault(&stage.namespace));
        }
        let mut played = std::pin::pin!(workload.play(&stage, company));
        let ended = tokio::select! {
            _ = proxy.cut() => false,
            () = &mut played => true,
        };
        let cut = if point.is_some() { cut_by_plan(proxy).await } else { None };
        if cut.is_some() {
            restart(company).await;
        }
        if !ended {
            played.await;
        }
        if point.is_some() && cut.is_none() {
            return vec![];
        }
        if point.is_none() {
            wanted.set(end_state::at_rest(&stage, company).await).expect("the uninterrupted run is the first");
            let writes = writes(&stage, company);
            let idle: Vec<String> = writes.iter().filter(|w| w.changed_nothing()).map(ToString::to_string).collect();
            assert!(idle.is_empty(), "writes that changed nothing: {idle:?}");
            let early = made_before_recorded(&writes);
            assert!(early.is_empty(), "made before a status named them: {early:?}");
            return writes;
        }
        end_state::until(&stage, company, wanted.get().expect("the uninterrupted run is the first")).await;
        cut.into_iter().collect()
    };
    let recover = async || {
        let (_, company) = crate::stage_of_run().await;
        company.proxy.disarm();
        restart(company).await;
    };
    walk(W::NAME, choice, run, recover).await;
    let log = crate::stage_of_run().await.1.operator.lock().await.log();
    let panics: Vec<&str> = log.lines().filter(|line| line.contains("panicked at")).collect();
    assert!(panics.is_empty(), "the operator panicked: {panics:?}");
}

/// The operator's writes for the stage's namespace; workloads take turns, so what it wrote in its own is for that too.
fn writes(stage: &Stage, company: &Company) -> Vec<JournalEntry> {
    let own = |w: &JournalEntry| {
        let of = &w.request.namespace;
        of.is_empty() || *of == stage.namespace || of == OPERATOR.0
    };
    company.proxy.writes().into_iter().filter(own).collect()
}

/// Workloads of actions that were created before the status of their Backup named them (design D8). No end state shows it:
/// names and owners make their creation the same when it is repeated.
fn made_before_recorded(writes: &[JournalEntry]) -> Vec<String> {
    let done: Vec<&JournalEntry> = writes.iter().filter(|w| w.was_done()).collect();
    let name = |w: &JournalEntry| {
        let body: serde_json::Value = serde_json::from_str(&w.body).unwrap_or_default();
        body["metadata"]["name"].as_str().unwrap_or_default().to_owned()
    };
    let of_action = |w: &JournalEntry, name: &str| {
        let recorded = w.key.resource == "jobs" && name.starts_with("dp-") || w.key.resource == "statefulsets";
        w.key.verb == "create" && recorded
    };
    let named = |before: &[&JournalEntry], name: &str| {
        let quoted = format!("\"{name}\"");
        before.iter().any(|w| w.key.resource == "backups/status" && w.body.contains(&quoted))
    };
    let created = done.iter().enumerate().map(|(place, w)| (place, w, name(w)));
    created
        .filter(|(place, w, name)| of_action(w, name) && !named(&done[..*place], name))
        .map(|(_, w, _)| w.to_string())
        .collect()
}

/// Takes the one armed fault away, and gives the write at which it cut the link, if it did: the end of a play may be
/// seen before the write that brought it is cut.
pub async fn cut_by_plan(proxy: &CrashProxy) -> Option<JournalEntry> {
    if proxy.disarm().is_empty() { Some(proxy.cut().await) } else { None }
}

/// The operator is killed, if it lives, and comes again to a link that holds.
pub async fn restart(company: &Company) {
    let mut operator = company.operator.lock().await;
    operator.kill();
    company.proxy.heal();
    operator.restart().await;
}
