//! Every request of every operation, broken in every way: each run ends with the right object, or
//! with a failure and no visible object. Nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex};

use e2e_mover::{Fault, FaultProxy, Mover, Rule, Server, feed, random, versitygw};

const ONCE: [Fault; 12] = [
    Fault::Status(500),
    Fault::Status(503),
    Fault::RetryAfter(1),
    Fault::ResetRequest,
    Fault::LoseReply,
    Fault::TruncateReply,
    Fault::SlowReply,
    Fault::ExpiredToken,
    Fault::ClockSkew,
    Fault::WrongTag,
    Fault::FlipBit,
    Fault::Status(400),
];
/// Until the end; those after which the server has done nothing.
const LASTING: [Fault; 3] = [Fault::Status(503), Fault::ResetRequest, Fault::ExpiredToken];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    PushSmall,
    PushLarge,
    PullSmall,
    PullLarge,
    RemoveAll,
    Stat,
}

const OPERATIONS: [Operation; 6] = [
    Operation::PushSmall,
    Operation::PushLarge,
    Operation::PullSmall,
    Operation::PullLarge,
    Operation::RemoveAll,
    Operation::Stat,
];

/// One run; the number of requests, or what is wrong.
fn run(server: &Server, operation: Operation, rules: Vec<Rule>, name: &str, tries: &str) -> Result<usize, String> {
    static SMALL: LazyLock<Vec<u8>> = LazyLock::new(|| random(21, 70_000));
    static LARGE: LazyLock<Vec<u8>> = LazyLock::new(|| random(22, 23_000_000));
    let plain = Mover::new(&server.endpoint());
    let proxy = FaultProxy::start(&server.address, rules);
    let mover = Mover::new(&proxy.endpoint());
    let object = server.object(name);
    let place = |content: &[u8]| {
        feed(plain.command(["push", "-", name]), content).ok("");
    };
    let command = |args: &[&str]| mover.command([&["--tries", tries], args].concat());
    let content = if matches!(operation, Operation::PushSmall | Operation::PullSmall) { &*SMALL } else { &*LARGE };
    let seen = match operation {
        Operation::PushSmall | Operation::PushLarge => feed(command(&["push", "-", name]), content),
        Operation::PullSmall | Operation::PullLarge => {
            place(content);
            feed(command(&["pull", name, "local"]), b"")
        }
        Operation::RemoveAll | Operation::Stat => {
            for number in 0..5 {
                feed(plain.command(["push", "-", &format!("{name}/{number}")]), b"12").ok("");
            }
            let args = if operation == Operation::Stat { ["stat", "--json", name] } else { ["rm", "-r", name] };
            feed(command(&args), b"")
        }
    };
    let good = seen.exit == 0;
    if !good && (seen.exit != 1 || !seen.stderr.lines().last().is_some_and(|line| line.starts_with("Error: "))) {
        return Err(format!("neither success nor an error: {seen:?}"));
    }
    let right = match operation {
        Operation::PushSmall | Operation::PushLarge => match std::fs::read(&object) {
            Ok(stored) => good && stored == *content,
            Err(_) => !good,
        },
        Operation::PullSmall | Operation::PullLarge => match std::fs::read(mover.work("local")) {
            Ok(local) => good && local == *content,
            Err(_) => !good,
        },
        Operation::RemoveAll => !good || server.objects(name).is_empty(),
        Operation::Stat => !good || seen.stdout == "{\"dirs\":0,\"entries\":5,\"files\":5,\"total_size\":10}\n",
    };
    let _ = std::fs::remove_file(&object);
    let _ = std::fs::remove_dir_all(&object);
    if right { Ok(proxy.seen().len()) } else { Err(format!("{seen:?}")) }
}

#[test]
fn every_request_broken_in_every_way() {
    let server = versitygw();
    let mut cases: Vec<(Operation, usize, Fault, bool)> = Vec::new();
    for operation in OPERATIONS {
        let requests = run(&server, operation, Vec::new(), "clean", "8").unwrap();
        for index in 0..requests {
            // A bit of a listing is protected by nothing but the connection itself.
            let bits = !matches!(operation, Operation::RemoveAll | Operation::Stat);
            cases.extend(
                ONCE.into_iter()
                    .filter(|fault| bits || *fault != Fault::FlipBit)
                    .map(|fault| (operation, index, fault, false)),
            );
            cases.extend(LASTING.into_iter().map(|fault| (operation, index, fault, true)));
        }
    }
    let (next, succeeded) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                while let Some((operation, index, fault, lasting)) = cases.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let (rule, tries) =
                        if *lasting { (Rule::from(*fault, *index), "3") } else { (Rule::nth(*fault, *index), "8") };
                    let name = format!("{operation:?}/{index}/{fault:?}/{lasting}").replace(['(', ')'], "");
                    match run(&server, *operation, vec![rule], &name, tries) {
                        Ok(_) => {
                            succeeded.fetch_add(1, Ordering::SeqCst);
                        }
                        Err(why) => failures.lock().unwrap().push(format!("{name}: {why}")),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
    println!("{} cases: the right object, or a failure and none", cases.len());
    assert!(cases.len() > 200);
}
