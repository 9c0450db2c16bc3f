//! Deduplicating repositories when processes are killed, or work beside each other.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Stdio};

use crate::bench::{Seen, feed, finish, names, signal, until};
use crate::dedup::{Dedup, noise};

/// A push that waits for more after so many bytes.
fn begun(dedup: &Dedup, path: &str, content: &[u8]) -> Child {
    let mut child = dedup.command(&["push", "-", path]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(content).unwrap();
    child
}

fn packs(dedup: &Dedup) -> usize {
    names(&dedup.inside("data")).iter().map(|part| names(&dedup.inside("data").join(part)).len()).sum()
}

#[test]
fn case_11_a_killed_push_leaves_a_usable_repository() {
    let dedup = Dedup::new();
    dedup.put("x", b"old");
    // From "nothing stored yet" to "several packs stored".
    for (round, length) in [0, 1_000_000, 12_000_000, 40_000_000].into_iter().enumerate() {
        let before = packs(&dedup);
        let data = noise(100 + round as u64, length);
        let child = begun(&dedup, "x", &data);
        until("the push to be at work", || !dedup.leases().is_empty());
        if length > 10_000_000 {
            until("a pack", || packs(&dedup) > before);
        }
        signal(&child, "KILL");
        assert_eq!(finish(child).exit, 137);
        assert_eq!(dedup.snapshots(), 1, "round {round}");
        dedup.run(&["pull", "x", "-"]).ok("old");
        dedup.restic(&["check"]);
        // A dead process's lease delays maintenance only.
        for lease in dedup.leases() {
            fs::remove_file(dedup.inside("holdfast-leases").join(lease)).unwrap();
        }
    }
    let data = noise(103, 40_000_000);
    dedup.put("x", &data);
    assert!(dedup.get(&["pull", "x", "-"]) == data);
    dedup.restic(&["check", "--read-data"]);
}

#[test]
fn killed_at_the_end_the_path_is_the_old_or_the_new_one() {
    let dedup = Dedup::new();
    let (old, new) = (noise(1, 300_000), noise(2, 300_000));
    let mut seen = [0, 0];
    for round in 0..24u32 {
        dedup.put("x", &old);
        let mut child = begun(&dedup, "x", &new);
        until("the push to be at work", || !dedup.leases().is_empty());
        drop(child.stdin.take());
        // Ever later within the last steps.
        let files = || names(&dedup.inside("index")).len() + packs(&dedup) + dedup.snapshots();
        let from = files();
        until("the next step", || files() >= from + (round as usize % 8) || child.try_wait().unwrap().is_some());
        let _ = child.kill();
        child.wait().unwrap();
        let got = dedup.get(&["pull", "x", "-"]);
        assert!(got == old || got == new, "round {round}");
        seen[usize::from(got == new)] += 1;
        for lease in dedup.leases() {
            fs::remove_file(dedup.inside("holdfast-leases").join(lease)).unwrap();
        }
    }
    println!("old {}, new {}", seen[0], seen[1]);
    dedup.restic(&["check"]);
    // Maintenance forgets the snapshots that such pushes left, and only those.
    dedup.put("x", &new);
    let mut maintenance = dedup.command(&["list", "/"]);
    let ran: Seen = maintenance.env("DATASAFED_KOPIA_MAINTENANCE", "true").output().unwrap().into();
    ran.ok("x\n");
    assert_eq!(dedup.snapshots(), 1);
    assert!(dedup.get(&["pull", "x", "-"]) == new);
    dedup.restic(&["check"]);
}

#[test]
fn case_10_a_stopped_push_leaves_no_trace_that_counts() {
    let dedup = Dedup::new();
    for (name, code) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let before = packs(&dedup);
        let child = begun(&dedup, "x", &noise(code, 30_000_000));
        until("a pack", || packs(&dedup) > before);
        signal(&child, name);
        let seen = finish(child);
        assert_eq!(seen.exit, i32::try_from(code).unwrap(), "{seen:?}");
        assert!(seen.stderr.starts_with("Error: stopped by signal "), "{seen:?}");
        assert_eq!(dedup.snapshots(), 0);
        dedup.run(&["list", "/"]).ok("");
    }
}

#[test]
fn case_12_a_dead_producer_stores_nothing() {
    let dedup = Dedup::new();
    let mut shell = dedup.bench.program("sh");
    shell
        .args([
            "-c",
            "(head -c 3000000 /dev/urandom; sleep 1; kill -9 $(exec sh -c 'echo $PPID')) | \"$DATASAFED\" push - x",
        ])
        .env("DATASAFED_KOPIA_REPO_ROOT", "/p/ns/kopia");
    let seen: Seen = shell.output().unwrap().into();
    assert_eq!(seen.exit, 1, "{seen:?}");
    assert!(seen.stderr.contains("was killed by signal 9"), "{seen:?}");
    assert_eq!(dedup.snapshots(), 0);
    assert!(dedup.leases().is_empty());
}

#[test]
fn pods_that_found_a_repository_together_found_one() {
    for round in 0..4u64 {
        let dedup = Dedup::new();
        let contents: Vec<_> = (0..6).map(|pod| noise(round * 10 + pod, 200_000)).collect();
        let mut pods: Vec<_> = (0..6)
            .map(|pod| dedup.command(&["push", "-", &format!("pod{pod}")]).stdin(Stdio::piped()).spawn().unwrap())
            .collect();
        for (pod, content) in pods.iter_mut().zip(&contents) {
            pod.stdin.take().unwrap().write_all(content).unwrap();
        }
        for pod in pods {
            finish(pod).ok("");
        }
        for (pod, content) in contents.iter().enumerate() {
            assert!(dedup.get(&["pull", &format!("pod{pod}"), "-"]) == *content, "round {round}, pod {pod}");
        }
        assert_eq!(dedup.snapshots(), 6);
        dedup.restic(&["check", "--read-data"]);
    }
}

#[test]
fn two_pushes_work_beside_each_other() {
    let dedup = Dedup::new();
    dedup.put("first", b"1");
    let shared = noise(7, 20_000_000);
    let (one, two) = ([&shared[..], b"one"].concat(), [b"two", &shared[..]].concat());
    let mut pushes = [begun(&dedup, "one", &one[..10_000_000]), begun(&dedup, "two", &two[..10_000_000])];
    until("both to be at work", || dedup.leases().len() == 2);
    for (push, content) in pushes.iter_mut().zip([&one, &two]) {
        push.stdin.take().unwrap().write_all(&content[10_000_000..]).unwrap();
    }
    for push in pushes {
        finish(push).ok("");
    }
    assert!(dedup.get(&["pull", "one", "-"]) == one);
    assert!(dedup.get(&["pull", "two", "-"]) == two);
    dedup.restic(&["check", "--read-data"]);
}

#[test]
fn maintenance_never_takes_what_a_running_push_relies_on() {
    let dedup = Dedup::new();
    let data = noise(8, 10_000_000);
    dedup.put("old", &data);
    // This push has read an index that has all its chunks, so it stores none of them.
    let child = begun(&dedup, "new", &data);
    until("the push to be at work", || !dedup.leases().is_empty());
    let mut rm = dedup.command(&["rm", "old"]);
    let removed: Seen = rm.env("DATASAFED_KOPIA_MAINTENANCE", "true").output().unwrap().into();
    assert_eq!(removed.exit, 0, "{removed:?}");
    assert!(removed.stderr.contains("maintenance is postponed"), "{removed:?}");
    finish_writing(child);
    assert!(dedup.get(&["pull", "new", "-"]) == data);
    dedup.restic(&["check", "--read-data"]);
}

fn finish_writing(mut child: Child) {
    drop(child.stdin.take());
    finish(child).ok("");
}

#[test]
fn a_push_waits_for_maintenance() {
    let dedup = Dedup::new();
    dedup.put("x", b"1");
    let lease = dedup.inside("holdfast-leases").join("maintenance-of-another-pod");
    fs::write(&lease, "").unwrap();
    let mut child = begun(&dedup, "y", b"2");
    drop(child.stdin.take());
    // Its input has ended, so without the other's lease it would end and say nothing.
    let mut said = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut said).unwrap();
    assert!(said.contains("waiting for the maintenance"), "{said:?}");
    assert!(child.try_wait().unwrap().is_none());
    dedup.run(&["list", "y"]).fails("directory not found");
    fs::remove_file(&lease).unwrap();
    assert_eq!(finish(child).exit, 0);
    dedup.run(&["pull", "y", "-"]).ok("2");
    // One that nobody renewed is of a dead process.
    fs::write(&lease, "").unwrap();
    let old = fs::File::open(&lease).unwrap();
    old.set_modified(old.metadata().unwrap().modified().unwrap() - std::time::Duration::from_secs(1000)).unwrap();
    feed(dedup.command(&["push", "-", "z"]), b"3").ok("");
}

#[test]
fn maintenance_marks_first_and_what_stays_is_whole() {
    let dedup = Dedup::new();
    let kept = noise(9, 9_000_000);
    dedup.put("kept", &kept);
    dedup.put("gone", &noise(10, 9_000_000));
    let before = packs(&dedup);
    for args in [&["rm", "gone"][..], &["list", "/"]] {
        let mut command = dedup.command(args);
        let ran: Seen = command.env("DATASAFED_KOPIA_MAINTENANCE", "true").output().unwrap().into();
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
        assert!(packs(&dedup) >= before, "nothing goes before its grace has passed");
        assert!(dedup.get(&["pull", "kept", "-"]) == kept);
    }
    dedup.restic(&["check", "--read-data"]);
    dedup.put("gone", &noise(10, 9_000_000));
    assert!(dedup.get(&["pull", "gone", "-"]) == noise(10, 9_000_000));
    assert!(dedup.leases().is_empty());
}

#[test]
fn case_24_delete_removes_a_backup_from_the_repository() {
    let dedup = Dedup::new();
    dedup.put("a/x", b"1");
    dedup.put("y", b"2");
    let mut job = dedup.command(&["delete", "/p/ns/backup"]);
    job.env_remove("DATASAFED_BACKEND_BASE_PATH").env("DATASAFED_KOPIA_MAINTENANCE", "true");
    let seen: Seen = job.output().unwrap().into();
    assert_eq!(seen.exit, 0, "{seen:?}");
    assert_eq!(dedup.snapshots(), 0);
    dedup.run(&["list", "/"]).ok("");
    // Again: it is gone already.
    let mut job = dedup.command(&["delete", "/p/ns/backup"]);
    let seen: Seen = job.env_remove("DATASAFED_BACKEND_BASE_PATH").output().unwrap().into();
    assert_eq!(seen.exit, 0, "{seen:?}");
}
