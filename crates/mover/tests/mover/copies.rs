//! `cp`: objects from one repository to another.

use std::fs;

use crate::bench::{Bench, feed, names, signal, staged_size, until};

fn places(bench: &Bench) -> (String, String) {
    fs::create_dir(bench.work("other")).unwrap();
    (bench.repo("").display().to_string(), bench.work("other").display().to_string())
}

#[test]
fn objects_are_copied_as_they_are_stored() {
    let bench = Bench::new();
    let (from, to) = places(&bench);
    bench.put("ns/b/plain", b"1234");
    bench.run_with(["push", "-z", "zstd", "-", "ns/b/c/packed"], b"some text").ok("");
    let mut encrypted = bench.command(["push", "-", "ns/b/secret"]);
    encrypted.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB").env("DATASAFED_ENCRYPTION_PASS_PHRASE", "p");
    feed(encrypted, b"hidden").ok("");
    bench.put("ns/b/kubeblocks-backup.json", b"{}");
    fs::create_dir(bench.repo("ns/b/empty")).unwrap();
    bench.run(["cp", "--from", &from, "--to", &to, "ns/b"]).ok("");
    for name in ["plain", "c/packed", "secret.enc", "kubeblocks-backup.json"] {
        let path = format!("ns/b/{name}");
        assert_eq!(fs::read(bench.repo(&path)).unwrap(), fs::read(bench.work("other").join(&path)).unwrap(), "{name}");
    }
    assert!(bench.work("other/ns/b/empty").is_dir());
    // One object, under another name, through configuration files, with the base path on both sides.
    for (name, root) in [("from.conf", &from), ("to.conf", &to)] {
        fs::write(bench.work(name), format!("[storage]\ntype = local\nroot = {root}\n")).unwrap();
    }
    let mut one = bench.command(["cp", "--from", "from.conf", "--to", "to.conf", "/plain", "/renamed"]);
    one.env("DATASAFED_BACKEND_BASE_PATH", "/ns/b").env("DATASAFED_LOCAL_BACKEND_PATH", "/nowhere");
    feed(one, b"").ok("");
    assert_eq!(fs::read(bench.work("other/ns/b/renamed")).unwrap(), b"1234");
}

#[test]
fn mistakes_copy_nothing() {
    let bench = Bench::new();
    let (from, to) = places(&bench);
    bench.put("d/x", b"1");
    bench.run(["cp", "--from", &from, "--to", &to, "missing"]).fails("directory not found");
    bench.run(["cp", "--from", &from, "--to", &from, "d", "d/e"]).fails("inside of the other");
    bench.run(["cp", "--from", &from, "--to", &from, "d/x"]).fails("the same");
    bench.run(["cp", "--from", "nowhere.conf", "--to", &to, "d"]).fails("open nowhere.conf");
    bench.run(["cp", "--from", &from, "d"]).fails("");
    fs::create_dir(bench.repo("hollow")).unwrap();
    bench.run(["cp", "--from", &from, "--to", &to, "hollow"]).fails("object not found");
    fs::write(bench.work("other/d"), "a file").unwrap();
    bench.run(["cp", "--from", &from, "--to", &to, "d"]).fails("\"d/x\"");
    assert!(bench.repo("d/x").exists());
}

#[test]
fn case_10_a_stopped_copy_leaves_whole_objects_only() {
    let bench = Bench::new();
    let (from, to) = places(&bench);
    fs::create_dir(bench.repo("d")).unwrap();
    bench.put("d/a", b"small");
    // Large enough for a signal to come in time.
    fs::File::create(bench.repo("d/b")).unwrap().set_len(4 << 30).unwrap();
    bench.put("d/kubeblocks-backup.json", b"{}");
    let child = bench.command(["cp", "--from", &from, "--to", &to, "d"]).spawn().unwrap();
    until("the large one", || staged_size(&bench.work("other/d")) > 1_000_000);
    signal(&child, "TERM");
    assert_eq!(crate::bench::finish(child).exit, 143);
    assert_eq!(names(&bench.work("other/d")), ["a"], "neither a part nor the mark of a complete set");
}

#[test]
fn case_10_a_signal_between_two_objects_is_not_lost() {
    let bench = Bench::new();
    let (from, to) = places(&bench);
    fs::create_dir(bench.repo("d")).unwrap();
    for number in 0..20_000 {
        fs::write(bench.repo("d").join(format!("{number:05}")), "x").unwrap();
    }
    for _ in 0..10 {
        let copied = names(&bench.work("other/d")).len();
        let child = bench.command(["cp", "--from", &from, "--to", &to, "d", "d"]).spawn().unwrap();
        until("some objects", || names(&bench.work("other/d")).len() > copied.min(5));
        signal(&child, "TERM");
        let seen = crate::bench::finish(child);
        assert_eq!(seen.exit, 143, "{seen:?}");
        let left = names(&bench.work("other/d"));
        assert!(left.len() < 20_000 && !left.iter().any(|name| name.starts_with(".dsf")));
    }
}
