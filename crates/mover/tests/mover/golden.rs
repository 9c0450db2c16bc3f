//! What the reference's libraries write: objects made by the Go program in `golden-go`, kept in
//! `golden`, and that program itself, which reads ours where go is installed.

use std::path::Path;
use std::process::Command;

/// The directory of the objects.
pub fn dir() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden"))
}

/// The content of the golden objects, by the same rule as in the Go program.
pub fn plain(name: &str) -> Vec<u8> {
    let (length, mut state) = match name {
        "empty" => return Vec::new(),
        "small" => return b"hello, world\n".to_vec(),
        "text" => (100_000, 1u64),
        "wide" => (2_500_000, 2),
        "page" => (1000, 3),
        "frames" => ((1 << 16) + 100, 4),
        other => panic!("no such content: {other}"),
    };
    let words = ["INSERT", "INTO", "accounts", "VALUES", "(42,", "'alice')", "\n", "\0\u{1}", "COMMIT;", "0000000000"];
    let mut out = Vec::with_capacity(length + 300);
    let mut next = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    while out.len() < length {
        match next(if name == "wide" { 300 } else { 40 }) {
            0 => out.extend((0..8).map(|_| u8::try_from(next(256)).unwrap())),
            1..=3 => {
                let from = usize::try_from(next(out.len() as u64 + 1)).unwrap();
                let piece = out[from..(from + 300).min(out.len())].to_vec();
                out.extend(piece);
            }
            _ if name == "wide" => out.extend([b'x'; 60]),
            _ => out.extend_from_slice(words[usize::try_from(next(10)).unwrap()].as_bytes()),
        }
    }
    out.truncate(length);
    out
}

/// Lets the Go program check objects; says so when it cannot run here.
pub fn go(verb: &str, objects: &Path, expected: usize) {
    let ran = Command::new("go")
        .args(["run", ".", verb])
        .arg(objects)
        .current_dir(dir().with_file_name("golden-go"))
        .env("GOTOOLCHAIN", "local")
        .output();
    let ran = match ran {
        Err(error) => {
            println!("SKIPPED(go missing: {error}): {expected} objects");
            return;
        }
        Ok(ran) => ran,
    };
    let said = String::from_utf8_lossy(&ran.stderr);
    // Neither the modules nor a go of this year can be asked of every machine.
    if ["dial tcp", "module lookup disabled", "requires go >="].iter().any(|reason| said.contains(reason)) {
        println!("SKIPPED(go cannot build the program: {said}): {expected} objects");
        return;
    }
    assert!(ran.status.success(), "{said}");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("{expected} objects\n"));
    println!("go read {expected} objects");
}
