//! `bench-mover --mover FILE [--against FILE]... [flags]`: what moving data costs.
//!
//! Enters: the program under test, and others that understand the same command lines. Leaves: one
//! JSON line per case and program on standard output; what happens meanwhile on standard error.
//! Programs take turns within each case, so that a busy machine is busy for all of them.

// A measurement that can not be made ends the run; there is nothing to recover.
#![allow(clippy::expect_used, clippy::unwrap_used, clippy::panic, clippy::indexing_slicing)]
// Lengths below 2^52; and what counts lines is not measured.
#![allow(clippy::cast_precision_loss, clippy::naive_bytecount)]

mod base_backup;
mod measure;
mod sink;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use e2e_mover::{BUCKET, Server, random, until, versitygw_with};
use measure::{Cost, Flow, Subject, run};
use serde_json::{Value, json};
use sink::{MILLION, Sink};

const USAGE: &str = "bench-mover --mover FILE [--against FILE]... [--runs N] [--mib N] [--only TEXT] \
    [--chunk-size TEXT] [--pgbase FILE] [--huge] [--huge-gib N]";

/// What the goals say (mover.md §9): part of a case's name, field, limit.
const GOALS: [(&str, &str, f64); 6] = [
    ("push-random", "cpu_s_per_gib", 1.0),
    ("push", "rss_mb", 128.0),
    ("pull", "rss_mb", 64.0),
    ("push-tiny", "rss_mb", 15.0),
    ("list-1m", "rss_mb", 64.0),
    ("huge", "rss_mb", 128.0),
];

struct Args {
    subjects: Vec<Subject>,
    runs: usize,
    mib: u64,
    only: String,
    chunk_size: String,
    pgbase: Option<PathBuf>,
    huge: Option<u64>,
}

impl Args {
    fn parse() -> Self {
        let mut args = Self {
            subjects: Vec::new(),
            runs: 5,
            mib: 1024,
            only: String::new(),
            chunk_size: "50Mi".to_owned(),
            pgbase: None,
            huge: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(flag) = words.next() {
            let mut value = || words.next().unwrap_or_else(|| panic!("{flag} needs a value\n{USAGE}"));
            let number = |text: String| text.parse::<u64>().unwrap_or_else(|_| panic!("{text} is no number\n{USAGE}"));
            match flag.as_str() {
                "--mover" => args.subjects.insert(0, Subject { name: None, program: value().into() }),
                "--against" => {
                    let name = value();
                    args.subjects.push(Subject { program: name.clone().into(), name: Some(name) });
                }
                "--runs" => args.runs = usize::try_from(number(value())).expect("a small number").max(1),
                "--mib" => args.mib = number(value()).max(1),
                "--only" => args.only = value(),
                "--chunk-size" => args.chunk_size = value(),
                "--pgbase" => args.pgbase = Some(value().into()),
                "--huge" => args.huge = args.huge.or(Some(64)),
                "--huge-gib" => args.huge = Some(number(value())),
                _ => panic!("unknown {flag}\n{USAGE}"),
            }
        }
        assert!(args.subjects.first().is_some_and(|subject| subject.name.is_none()), "no --mover\n{USAGE}");
        args
    }

    fn wants(&self, case: &str) -> bool {
        case.contains(&self.only)
    }
}

/// Where objects go.
struct Store<'a> {
    name: &'static str,
    dir: tempfile::TempDir,
    requests: Box<dyn Fn() -> u64 + 'a>,
    local: Option<PathBuf>,
}

impl<'a> Store<'a> {
    fn s3(name: &'static str, endpoint: &str, bucket: &str, chunk: &str, requests: Box<dyn Fn() -> u64 + 'a>) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = format!(
            "[storage]\ntype = s3\nprovider = Minio\nenv_auth = false\naccess_key_id = test\n\
             secret_access_key = testsecret\nregion =\nendpoint = {endpoint}\nroot = {bucket}\nchunk_size = {chunk}\n\
             no_check_bucket = true\n"
        );
        fs::write(dir.path().join("datasafed.conf"), text).expect("a configuration");
        Self { name, dir, requests, local: None }
    }

    fn local() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("repo");
        fs::create_dir(&root).expect("a directory");
        Self { name: "local", dir, requests: Box::new(|| 0), local: Some(root) }
    }

    fn cost(&self, subject: &Subject, args: &[&str], flow: &Flow) -> Cost {
        let before = (self.requests)();
        let cost = run(subject, self.dir.path(), self.local.as_deref(), args, flow);
        Cost { requests: (self.requests)() - before, ..cost }
    }
}

fn main() {
    let args = Args::parse();
    let server = versitygw_with(&["--access-log", "DIR/access"], &[]);
    let sink = Sink::start();
    let stores = [
        Store::s3("s3", &server.endpoint(), BUCKET, &args.chunk_size, Box::new(|| logged(&server))),
        Store::s3("null", &sink.endpoint(), BUCKET, &args.chunk_size, Box::new(|| sink.requests())),
        Store::local(),
    ];
    for data in ["random", "pgbase"] {
        let names = stores.iter().map(|store| format!("{data}-{}", store.name));
        let mut names = names.chain((data == "pgbase").then(|| "pgbase-zstd-s3".to_owned()));
        if !names.any(|name| args.wants(&format!("push-{name}")) || args.wants(&format!("pull-{name}"))) {
            continue;
        }
        let (content, source) = content(data, &args);
        let content = Arc::new(content);
        sink.serve(&content);
        for store in &stores {
            move_both_ways(&args, store, data, &content, &source, &[], &[]);
        }
        if data == "pgbase" {
            let (push, pull) = (["-z", "zstd-fastest"], ["-d", "zstd-fastest"]);
            move_both_ways(&args, &stores[0], "pgbase-zstd", &content, &source, &push, &pull);
        }
    }
    tiny(&args, &stores[0]);
    let million = Store::s3("null", &sink.endpoint(), MILLION, &args.chunk_size, Box::new(|| sink.requests()));
    list(&args, &million);
    if let Some(gib) = args.huge {
        let content = Arc::new(random(1, 64 << 20));
        sink.serve(&content);
        huge(&args, &stores[1], &content, gib);
    }
}

/// What the server has answered; it writes its log after it answers.
fn logged(server: &Server) -> u64 {
    let count = || fs::read(server.own("access")).map_or(0, |log| log.iter().filter(|byte| **byte == b'\n').count());
    let mut last = count();
    until("the server to rest", || {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let now = count();
        std::mem::replace(&mut last, now) == now
    });
    last as u64
}

fn content(data: &str, args: &Args) -> (Vec<u8>, String) {
    match (data, &args.pgbase) {
        ("random", _) => {
            let length = usize::try_from(args.mib << 20).expect("fits in memory");
            (random(1, length), "key stream".to_owned())
        }
        (_, Some(file)) => (fs::read(file).expect("the file of --pgbase"), "a file of the caller".to_owned()),
        _ => base_backup::make(args.mib),
    }
}

fn move_both_ways(
    args: &Args,
    store: &Store,
    data: &str,
    content: &Arc<Vec<u8>>,
    source: &str,
    push_flags: &[&str],
    pull_flags: &[&str],
) {
    let case = |verb: &str| format!("{verb}-{data}-{}", store.name);
    if !args.wants(&case("push")) && !args.wants(&case("pull")) {
        return;
    }
    let length = content.len() as u64;
    let (mut pushed, mut pulled) = (vec![Vec::new(); args.subjects.len()], vec![Vec::new(); args.subjects.len()]);
    for turn in 0..args.runs {
        for (index, subject) in args.subjects.iter().enumerate() {
            let mut push = vec!["push"];
            push.extend(push_flags);
            push.extend(["-", "dir/object"]);
            pushed[index].push(store.cost(subject, &push, &Flow::In(Arc::clone(content), length)));
            let mut pull = vec!["pull"];
            pull.extend(pull_flags);
            pull.extend(["dir/object", "-"]);
            if turn == 0 {
                store.cost(subject, &pull, &Flow::Out(Arc::clone(content), length));
            }
            pulled[index].push(store.cost(subject, &pull, &Flow::Timed(Arc::clone(content), length)));
            store.cost(subject, &["rm", "dir/object"], &Flow::Lines(0));
            let (push, pull) = (pushed[index][turn], pulled[index][turn]);
            eprintln!("{data} {} run {}: push {push:.2?}, pull {pull:.2?}", store.name, turn + 1);
        }
    }
    let more = json!({"source": source, "mib": length >> 20, "chunk_size": args.chunk_size});
    print(args, &case("push"), &pushed, length, &more);
    print(args, &case("pull"), &pulled, length, &more);
    let faster = |costs: &[Cost]| median(costs.iter().map(|cost| cost.seconds));
    if faster(&pulled[0]) > faster(&pushed[0]) {
        eprintln!("GOAL MISSED: {data} on {}: restore is slower than backup", store.name);
    }
}

/// A fresh process for each WAL segment: what starting costs.
fn tiny(args: &Args, store: &Store) {
    if !args.wants("push-tiny-s3") {
        return;
    }
    let content = Arc::new(b"12".to_vec());
    let mut costs = vec![Vec::new(); args.subjects.len()];
    for _ in 0..args.runs * 4 {
        for (index, subject) in args.subjects.iter().enumerate() {
            let flow = Flow::In(Arc::clone(&content), 2);
            costs[index].push(store.cost(subject, &["push", "-", "dir/tiny"], &flow));
        }
    }
    print(args, "push-tiny-s3", &costs, 0, &json!({}));
}

fn list(args: &Args, store: &Store) {
    if !args.wants("list-1m-s3") {
        return;
    }
    let mut costs = vec![Vec::new(); args.subjects.len()];
    for _ in 0..args.runs {
        for (index, subject) in args.subjects.iter().enumerate() {
            costs[index].push(store.cost(subject, &["list", "-r", "-f", "/"], &Flow::Lines(1_000_000)));
        }
    }
    print(args, "list-1m-s3", &costs, 0, &json!({}));
}

/// case_20: memory does not grow with the size; once, for it takes minutes.
fn huge(args: &Args, store: &Store, content: &Arc<Vec<u8>>, gib: u64) {
    let length = gib << 30;
    for (verb, words, flow) in [
        ("push", ["push", "-", "dir/huge"], Flow::In(Arc::clone(content), length)),
        ("pull", ["pull", "dir/huge", "-"], Flow::Out(Arc::clone(content), length)),
    ] {
        // Only ours: others need a gigabyte of parts for it, or cannot.
        let costs = [vec![store.cost(&args.subjects[0], &words, &flow)]];
        print(args, &format!("{verb}-huge-null"), &costs, length, &json!({"mib": length >> 20}));
    }
}

/// One line for each program.
fn print(args: &Args, case: &str, costs: &[Vec<Cost>], length: u64, more: &Value) {
    let mut ours: Option<Value> = None;
    for (subject, costs) in args.subjects.iter().zip(costs) {
        let of = |field: fn(&Cost) -> f64| median(costs.iter().map(field));
        let (seconds, cpu) = (of(|cost| cost.seconds), of(|cost| cost.cpu));
        let mut line = json!({"bench": "mover", "case": case, "runs": costs.len(), "rss_mb": rounded(of(|cost| cost.rss)),
            "requests": of_requests(costs)});
        if length > 0 {
            line["cpu_s_per_gib"] = rounded(cpu / (length as f64 / f64::from(1u32 << 30))).into();
            line["mb_per_s"] = rounded(length as f64 / f64::from(1u32 << 20) / seconds).into();
        } else {
            line["ms"] = rounded(seconds * 1000.0).into();
            line["cpu_s"] = rounded(cpu).into();
        }
        for (name, value) in more.as_object().into_iter().flatten() {
            line[name] = value.clone();
        }
        match (&subject.name, &ours) {
            (Some(name), Some(ours)) => {
                line["mover"] = name.as_str().into();
                for (ratio, field) in
                    [("cpu_ratio", "cpu_s_per_gib"), ("rss_ratio", "rss_mb"), ("speed_ratio", "mb_per_s")]
                {
                    if let (Some(own), Some(theirs)) = (ours[field].as_f64(), line[field].as_f64()) {
                        line[ratio] = rounded(own / theirs).into();
                    }
                }
                if line["cpu_ratio"].as_f64().is_some_and(|ratio| ratio > 0.5) && case.starts_with("push") {
                    eprintln!("GOAL MISSED: {case}: more than half of the CPU time of {name}");
                }
            }
            _ => judge(case, &line),
        }
        println!("{line}");
        ours = ours.or(Some(line));
    }
}

fn judge(case: &str, line: &Value) {
    for (part, field, limit) in GOALS {
        let value = line[field].as_f64();
        if case.contains(part) && !(part == "push" && case.contains("tiny")) && value.is_some_and(|value| value > limit)
        {
            eprintln!("GOAL MISSED: {case}: {field} is {value:?}, not at most {limit}");
        }
    }
}

fn of_requests(costs: &[Cost]) -> u64 {
    let mut all: Vec<u64> = costs.iter().map(|cost| cost.requests).collect();
    all.sort_unstable();
    all[all.len() / 2]
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
