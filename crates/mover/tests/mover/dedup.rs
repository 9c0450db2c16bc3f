//! Deduplicating repositories: what scripts see, what is never lost, what stock `restic` reads.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::{Bench, Seen, feed, names};

/// Password of repositories for which nobody set one; documented, so part of the contract.
const PUBLIC_PASSWORD: &str = "holdfast-deduplicated-repository";
pub const ROOT: &str = "p/ns/kopia";

/// A bench whose environment chooses a deduplicating repository.
pub struct Dedup {
    pub bench: Bench,
}

impl Dedup {
    pub fn new() -> Self {
        Self { bench: Bench::new() }
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = self.bench.command(args);
        command
            .env("DATASAFED_KOPIA_REPO_ROOT", format!("/{ROOT}"))
            .env("DATASAFED_BACKEND_BASE_PATH", "/p/ns/backup")
            .env("DATASAFED_KOPIA_DISABLE_CACHE", "true");
        command
    }

    pub fn run(&self, args: &[&str]) -> Seen {
        self.command(args).output().unwrap().into()
    }

    pub fn put(&self, path: &str, content: &[u8]) {
        feed(self.command(&["push", "-", path]), content).ok("");
    }

    /// The bytes of a path.
    #[track_caller]
    pub fn get(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    pub fn inside(&self, directory: &str) -> PathBuf {
        self.bench.repo(ROOT).join(directory)
    }

    /// How many snapshots there are; what a killed push left under a temporary name is none.
    pub fn snapshots(&self) -> usize {
        names(&self.inside("snapshots")).iter().filter(|name| name.len() == 64).count()
    }

    pub fn leases(&self) -> Vec<String> {
        names(&self.inside("holdfast-leases"))
    }

    /// Runs stock `restic`; `None` where it is not installed.
    #[track_caller]
    pub fn restic(&self, args: &[&str]) -> Option<Vec<u8>> {
        let mut command = self.bench.program("restic");
        command
            .args(["--no-cache", "-r"])
            .arg(self.bench.repo(ROOT))
            .args(args)
            .env("RESTIC_PASSWORD", PUBLIC_PASSWORD);
        let output = match command.output() {
            Ok(output) => output,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                println!("SKIPPED(restic missing): apt-get install restic");
                return None;
            }
            Err(error) => panic!("restic: {error}"),
        };
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        Some(output.stdout)
    }
}

/// Bytes that neither compress nor repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// All files below a directory, with their content.
fn tree(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        for item in fs::read_dir(dir).unwrap() {
            let path = item.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push((path.clone(), fs::read(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

#[test]
fn scripts_see_what_they_see_in_a_plain_repository() {
    let dedup = Dedup::new();
    let data = noise(1, 3_000_000);
    dedup.put("d/x", &data);
    feed(dedup.command(&["push", "-z", "zstd-fastest", "-", "d/y.zst"]), &data).ok("");
    dedup.put("empty", b"");
    dedup.run(&["list", "/"]).ok("d/\nempty\n");
    dedup.run(&["list", "d/x"]).ok("d/x\n");
    dedup.run(&["list", "/d/x"]).ok("d/x\n");
    dedup.run(&["list", "-r", "-f", "/"]).ok("empty\nd/x\nd/y.zst\n");
    dedup.run(&["stat", "/"]).ok("TotalSize: 6000000\nEntries: 4\nDirs: 1\nFiles: 3\n");
    dedup.run(&["stat", "d/x"]).ok("TotalSize: 3000000\nEntries: 1\nDirs: 0\nFiles: 1\n");
    let json = dedup.run(&["list", "-o", "json", "d/x"]);
    assert!(json.stdout.starts_with("[{\"path\":\"d/x\",\"size\":3000000,\"mtime\":"), "{json:?}");
    assert!(dedup.get(&["pull", "d/x", "-"]) == data);
    assert!(dedup.get(&["pull", "empty", "-"]).is_empty());
    // Names and errors are those of a plain local repository.
    dedup.run(&["push", "/etc/hostname", "d"]).fails("is a directory");
    dedup.run(&["pull", "d", "-"]).fails("is a directory");
    dedup.run(&["pull", "none", "-"]).fails("object not found");
    dedup.run(&["list", "none"]).fails("directory not found");
    dedup.run(&["rm", "none"]).ok("");
    dedup.run(&["rm", "d"]).fails("is a directory");
    dedup.run(&["rm", "d/x"]).ok("");
    dedup.run(&["list", "d"]).ok("d/y.zst\n");
    dedup.run(&["mkdir", "m/n"]).ok("");
    dedup.run(&["list", "-d", "/"]).ok("d/\nm/\n");
    dedup.run(&["rmdir", "m/n"]).ok("");
    dedup.run(&["rm", "-r", "d"]).ok("");
    dedup.run(&["list", "-r", "/"]).ok("empty\nm/\n");
    assert_eq!(dedup.snapshots(), 1);
    assert!(dedup.leases().is_empty());
}

#[test]
fn a_codec_is_the_repositorys_business_and_is_undone_where_it_was_asked_for() {
    let dedup = Dedup::new();
    let plain = noise(2, 700_000).repeat(2);
    feed(dedup.command(&["push", "-z", "zstd-fastest", "-", "z"]), &plain).ok("");
    for codec in ["zstd-fastest", "zstd"] {
        assert!(dedup.get(&["pull", "-d", codec, "z", "-"]) == plain, "-d {codec}");
    }
    // A script that undoes it by itself gets what it expects.
    let encoded = dedup.get(&["pull", "z", "-"]);
    assert!(zstd::decode_all(encoded.as_slice()).unwrap() == plain);
    // What the script has encoded by itself is stored as it came.
    let own = zstd::encode_all(plain.as_slice(), 3).unwrap();
    dedup.put("own", &own);
    assert!(dedup.get(&["pull", "own", "-"]) == own);
    assert!(dedup.get(&["pull", "-d", "zstd", "own", "-"]) == plain);
    dedup.put("plain", b"not zstd");
    dedup.run(&["pull", "-d", "zstd", "plain", "-"]).fails("decompression error");
    feed(dedup.command(&["push", "-z", "zstd", "-", "empty"]), b"").ok("");
    assert!(dedup.get(&["pull", "-d", "zstd", "empty", "-"]).is_empty());
    assert!(dedup.get(&["pull", "empty", "-"]).is_empty());
}

#[test]
fn an_overwritten_path_has_one_snapshot() {
    let dedup = Dedup::new();
    for generation in 0..3 {
        dedup.put("x", &noise(generation, 500_000));
        assert_eq!(dedup.snapshots(), 1);
    }
    assert!(dedup.get(&["pull", "x", "-"]) == noise(2, 500_000));
}

#[test]
fn case_23_a_kopia_repository_is_refused_and_left_alone() {
    let dedup = Dedup::new();
    fs::create_dir_all(dedup.inside("")).unwrap();
    fs::write(dedup.inside("kopia.repository.f"), "{}").unwrap();
    fs::write(dedup.inside("kopia.blobcfg.f"), "x").unwrap();
    let before = tree(&dedup.bench.repo(""));
    for args in [
        &["push", "/etc/hostname", "x"][..],
        &["pull", "x", "-"],
        &["list", "/"],
        &["stat", "/"],
        &["rm", "-r", "x"],
        &["rm", "x"],
        &["mkdir", "x"],
    ] {
        let seen = dedup.run(args);
        let line = seen.fails("holds a kopia repository");
        assert!(line.contains("legacy datasafed image"), "{line}");
    }
    let mut job = dedup.command(&["delete", "p/ns/backup"]);
    let deleted: Seen = job.env("DATASAFED_KOPIA_MAINTENANCE", "true").output().unwrap().into();
    assert_eq!(deleted.exit, 1);
    assert_eq!(tree(&dedup.bench.repo("")), before);
    assert_eq!(names(&dedup.bench.repo("p/ns")), ["kopia"]);
}

#[test]
fn a_root_must_be_below_the_store() {
    let dedup = Dedup::new();
    for root in [".", "/", "..", "a/.."] {
        let mut command = dedup.command(&["push", "/etc/hostname", "x"]);
        let seen: Seen = command.env("DATASAFED_KOPIA_REPO_ROOT", root).output().unwrap().into();
        seen.fails("invalid path");
    }
    assert!(names(&dedup.bench.repo("")).is_empty());
}

#[test]
fn a_wrong_password_is_refused_before_anything_is_read() {
    let dedup = Dedup::new();
    let with = |name: &'static str, value: &'static str, args: &[&str]| {
        let mut command = dedup.command(args);
        command.env(name, value);
        command
    };
    let phrase = "DATASAFED_ENCRYPTION_PASS_PHRASE";
    let mut first = with(phrase, "right", &["push", "-", "x"]);
    first.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB");
    feed(first, b"data").ok("");
    let before = tree(&dedup.bench.repo(""));
    for (name, value) in [(phrase, "wrong"), ("DATASAFED_KOPIA_PASSWORD", "wrong"), ("UNRELATED", "")] {
        let seen: Seen = with(name, value, &["pull", "x", "out"]).output().unwrap().into();
        seen.fails("the password does not open it");
        // It ends while the producer still waits: nothing of the input was needed.
        let mut push = with(name, value, &["push", "-", "y"]).stdin(Stdio::piped()).spawn().unwrap();
        let input = push.stdin.take();
        let seen = crate::bench::finish(push);
        drop(input);
        seen.fails("DATASAFED_KOPIA_PASSWORD");
    }
    assert_eq!(tree(&dedup.bench.repo("")), before);
    assert!(!dedup.bench.work("out").exists());
    let seen: Seen = with("DATASAFED_KOPIA_PASSWORD", "right", &["pull", "x", "-"]).output().unwrap().into();
    seen.ok("data");
    // Asked for encryption, but with nothing to encrypt with.
    let seen: Seen =
        with("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB", &["push", "/etc/hostname", "y"]).output().unwrap().into();
    seen.fails("DATASAFED_ENCRYPTION_PASS_PHRASE is not");
}

#[test]
fn stock_restic_reads_it() {
    let dedup = Dedup::new();
    let data = noise(3, 20_000_000);
    feed(dedup.command(&["push", "-z", "zstd", "-", "d/x"]), &data).ok("");
    dedup.put("name with blank", b"short");
    if dedup.restic(&["check", "--read-data"]).is_none() {
        return;
    }
    let dumped = dedup.restic(&["dump", "latest", "--path", "/p/ns/backup/d/x", "/x"]).unwrap();
    assert!(dumped == data);
    let out = dedup.bench.work("out");
    dedup.restic(&["restore", "latest", "--path", "/p/ns/backup/d/x", "--target", out.to_str().unwrap()]).unwrap();
    assert!(fs::read(out.join("x")).unwrap() == data, "restic restores by the size in the tree");
    let dumped = dedup.restic(&["dump", "latest", "--path", "/p/ns/backup/name with blank", "/name with blank"]);
    assert_eq!(dumped.unwrap(), b"short");
}

#[test]
fn a_damaged_pack_is_noticed_and_the_old_file_stays() {
    let dedup = Dedup::new();
    dedup.put("x", &noise(4, 3_000_000));
    fs::write(dedup.bench.work("out"), "old").unwrap();
    let packs: Vec<_> = tree(&dedup.inside("data")).into_iter().map(|(path, _)| path).collect();
    for path in &packs {
        let mut content = fs::read(path).unwrap();
        content[100] ^= 1;
        fs::write(path, content).unwrap();
    }
    let seen = dedup.run(&["pull", "x", "out"]);
    seen.fails("the deduplicating repository p/ns/kopia");
    assert_eq!(fs::read(dedup.bench.work("out")).unwrap(), b"old");
    // And one that is gone.
    for path in packs {
        fs::remove_file(path).unwrap();
    }
    dedup.run(&["pull", "x", "out"]).fails("the deduplicating repository p/ns/kopia");
    // A record that promises other bytes than the repository has.
    dedup.put("y", b"content");
    let record = dedup.bench.repo("p/ns/kopia.meta/p/ns/backup/y.meta");
    let text = fs::read_to_string(&record).unwrap();
    fs::write(&record, text.replace("\"sha256\":\"", "\"sha256\":\"0")).unwrap();
    dedup.run(&["pull", "y", "out"]).fails("came out of the repository");
    assert_eq!(fs::read(dedup.bench.work("out")).unwrap(), b"old");
}

#[test]
fn nothing_stays_on_local_disks() {
    let dedup = Dedup::new();
    for part in ["home", "tmp"] {
        fs::create_dir(dedup.bench.work(part)).unwrap();
    }
    for args in [&["push", "/etc/hostname", "x"][..], &["pull", "x", "-"], &["rm", "x"]] {
        let mut command = dedup.command(args);
        command.env("HOME", dedup.bench.work("home")).env("TMPDIR", dedup.bench.work("tmp"));
        assert!(command.env("XDG_CACHE_HOME", dedup.bench.work("home")).status().unwrap().success());
    }
    assert!(names(&dedup.bench.work("home")).is_empty() && names(&dedup.bench.work("tmp")).is_empty());
}

/// Pages of a dump of 512 MiB.
const PAGES: u64 = (512 << 20) / 8192;

/// Page `number` of a dump; the second day differs in 2 % of the pages, in runs of 2 MiB: tables
/// that were written to.
fn page(number: u64, day: u64) -> Vec<u8> {
    const RUN: u64 = 256;
    const EVERY: u64 = PAGES / 5;
    let (place, within) = (number / EVERY, number % EVERY);
    let length = if place == 4 { RUN + PAGES / 50 - 5 * RUN } else { RUN };
    let changed = day == 1 && place < 5 && (1000..1000 + length).contains(&within);
    noise(number * 2 + u64::from(changed) + 1, 8192)
}

fn stored(dedup: &Dedup) -> (u64, u64) {
    let size = |directory: &str| tree(&dedup.inside(directory)).iter().map(|(_, content)| content.len() as u64).sum();
    (size("data"), size("index"))
}

#[test]
fn case_24_the_second_dump_costs_what_changed() {
    let dedup = Dedup::new();
    let mut sizes = Vec::new();
    for day in [0, 1] {
        let mut push = dedup
            .command(&["push", "-z", "zstd-fastest", "-", &format!("day{day}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = push.stdin.take().unwrap();
        for number in 0..PAGES {
            input.write_all(&page(number, day)).unwrap();
        }
        drop(input);
        let seen: Seen = push.wait_with_output().unwrap().into();
        seen.ok("");
        sizes.push(stored(&dedup));
    }
    let whole = PAGES * 8192;
    let data = sizes[1].0 - sizes[0].0;
    let metadata = sizes[1].1 - sizes[0].1;
    println!(
        "first dump {} bytes, second adds {data} ({} of 10000) and {metadata} of index",
        sizes[0].0,
        data * 10_000 / whole
    );
    assert!(data <= whole * 3 / 100, "{data} of {whole}");
    assert!(metadata <= whole / 1000, "{metadata}");
    for day in [0, 1] {
        let mut pull = dedup.command(&["pull", "-d", "zstd-fastest", &format!("day{day}"), "-"]).spawn().unwrap();
        let mut output = std::io::BufReader::with_capacity(1 << 20, pull.stdout.take().unwrap());
        let mut got = vec![0; 8192];
        for number in 0..PAGES {
            std::io::Read::read_exact(&mut output, &mut got).unwrap();
            assert!(got == page(number, day), "page {number} of day {day}");
        }
        assert_eq!(std::io::Read::read(&mut output, &mut got).unwrap(), 0);
        assert!(pull.wait().unwrap().success());
    }
    dedup.restic(&["check"]);
}
