//! Encrypted and compressed objects in a bucket: the layers above the store and the store together.

use std::process::Command;

use e2e_mover::{Mover, feed, random, versitygw};

const PHRASE: (&str, &str) = ("DATASAFED_ENCRYPTION_PASS_PHRASE", "correct horse");

fn encrypted(mover: &Mover, envelope: bool, args: &[&str]) -> Command {
    let mut command = mover.command(args);
    command.env("DATASAFED_ENCRYPTION_ALGORITHM", "AES-256-CFB").env(PHRASE.0, PHRASE.1);
    if envelope {
        command.env("DATASAFED_MOVER_ENVELOPE", "aead-v1");
    }
    command
}

/// Case 18 on S3: names without suffix, sizes of the content, several parts, both kinds apart.
#[test]
fn case_18_a_bucket_shows_encrypted_objects_as_their_content() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    let large = random(5, 13_000_000);
    for (envelope, dir, suffix) in [(false, "plainly", ".enc"), (true, "sealed", ".hfe")] {
        let run = |args: &[&str], input: &[u8]| feed(encrypted(&mover, envelope, args), input);
        let (small, big) = (format!("{dir}/small"), format!("{dir}/big"));
        run(&["push", "-", &small], b"hello").ok("");
        run(&["push", "-z", "zstd-fastest", "-", &big], &large).ok("");
        let stored: Vec<String> = server.objects("").into_iter().map(|(name, _)| name).collect();
        assert!(
            stored.contains(&format!("{small}{suffix}")) && stored.contains(&format!("{big}{suffix}")),
            "{stored:?}"
        );
        run(&["list", dir], b"").ok(&format!("{big}\n{small}\n"));
        run(&["list", "-r", "-f", "/"], b"").ok(&format!("{big}\n{small}\n"));
        run(&["list", &small], b"").ok(&format!("{small}\n"));
        assert!(run(&["stat", &small], b"").stdout.starts_with("TotalSize: 5\n"));
        run(&["pull", &small, "-"], b"").ok("hello");
        let back = run(&["pull", "-d", "zstd", &big, "-"], b"");
        assert!(back.exit == 0 && back.bytes == large, "{}", back.stderr);
        assert_eq!(run(&["check", dir], b"").exit, 0);
        // In the other mode these names are not there, and nothing is put beside them.
        let other = |args: &[&str]| feed(encrypted(&mover, !envelope, args), b"x");
        other(&["list", dir]).ok("");
        other(&["push", "-", &format!("{dir}/new")]).fails("other kind of encryption");
        run(&["rm", &small], b"").ok("");
        run(&["list", dir], b"").ok(&format!("{big}\n"));
        run(&["rm", "-r", dir], b"").ok("");
    }
    assert_eq!(server.objects(""), []);
}

/// MD7: a wrong phrase is noticed; by the envelope before anything else.
#[test]
fn md7_a_wrong_phrase_gives_nothing_from_a_bucket() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    for (envelope, dir) in [(false, "plainly"), (true, "sealed")] {
        let name = format!("{dir}/x");
        feed(encrypted(&mover, envelope, &["push", "-z", "zstd", "-", &name]), b"secret").ok("");
        let mut wrong = encrypted(&mover, envelope, &["pull", "-d", "zstd", &name, "-"]);
        wrong.env(PHRASE.0, "another");
        let seen = feed(wrong, b"");
        seen.fails("pass phrase");
        assert_eq!(seen.stdout, "");
    }
}
