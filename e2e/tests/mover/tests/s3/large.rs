//! Memory does not grow with the size of what is moved or listed.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use e2e_mover::{BUCKET, Mover, versitygw};

/// Runs a shell script that ends with one command of the mover, and gives the largest resident size of that in MiB.
/// `wait4` is the only witness of a child's memory; GNU time asks it.
fn peak_mib(mover: &Mover, script: &str) -> Option<u64> {
    if Command::new("/usr/bin/time").arg("--version").output().is_err() {
        println!("SKIPPED(/usr/bin/time missing): 1 case");
        return None;
    }
    let mut command = mover.program("bash");
    command.env_remove("DATASAFED_MOVER_PART_SIZE");
    command.env("MOVER", "/usr/bin/time -f %M -o peak");
    let script = format!("set -o pipefail; d() {{ $MOVER \"$DATASAFED\" -c \"$CONF\" \"$@\"; }}; {script}");
    let output = command.args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let peak = std::fs::read_to_string(mover.work("peak")).unwrap();
    Some(peak.trim().parse::<u64>().unwrap() / 1024)
}

#[test]
fn case_20_two_gib_in_bounded_memory() {
    let server = versitygw();
    let mover = Mover::new(&server.endpoint());
    // A key stream from zeros is random enough, and the same each time.
    let source = "openssl enc -aes-128-ctr -nosalt -K 00 -iv 00 </dev/zero 2>/dev/null | head -c 2147483648";
    let checksum = "cksum";
    if Command::new("openssl").arg("version").output().is_err() {
        println!("SKIPPED(openssl missing): 1 case");
        return;
    }
    let Some(pushed) = peak_mib(&mover, &format!("set +o pipefail; {source} | d push - big")) else { return };
    assert!(pushed <= 128, "push took {pushed} MiB");
    let pulled = peak_mib(&mover, &format!("d pull big - | {checksum} >got")).unwrap();
    assert!(pulled <= 64, "pull took {pulled} MiB");
    let mut expected = mover.program("sh");
    let expected = expected.args(["-c", &format!("{source} | {checksum}")]).output().unwrap();
    assert_eq!(std::fs::read(mover.work("got")).unwrap(), expected.stdout);
    println!("2 GiB: push {pushed} MiB, pull {pulled} MiB");
}

#[test]
fn a_million_keys_in_bounded_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || while matches!(page(&stream), Some(())) {});
        }
    });
    let mover = Mover::with(&endpoint, "Minio", BUCKET, "");
    let Some(listed) = peak_mib(&mover, "d list -r -f / | wc -l >lines") else { return };
    assert_eq!(std::fs::read_to_string(mover.work("lines")).unwrap().trim(), "1000000");
    let counted = peak_mib(&mover, "d stat / | head -n 1 >total").unwrap();
    assert_eq!(std::fs::read_to_string(mover.work("total")).unwrap(), "TotalSize: 7000000\n");
    assert!(listed <= 64 && counted <= 64, "list {listed} MiB, stat {counted} MiB");
    println!("1,000,000 keys: list {listed} MiB, stat {counted} MiB");
}

/// Answers one request for a page of a thousand of a million keys.
fn page(stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).ok().filter(|count| *count > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        if line == "\r\n" {
            break;
        }
    }
    let page: usize = first
        .split("continuation-token=")
        .nth(1)
        .and_then(|rest| rest.split(['&', ' ']).next()?.parse().ok())
        .unwrap_or(0);
    let last = page == 999;
    let mut body = format!("<ListBucketResult><IsTruncated>{}</IsTruncated>", !last);
    if !last {
        let _ = write!(body, "<NextContinuationToken>{}</NextContinuationToken>", page + 1);
    }
    for number in 0..1000 {
        let _ = write!(
            body,
            "<Contents><Key>backups/{page:04}/wal/{number:024}.zst</Key><LastModified>2026-01-01T00:00:00.000Z\
             </LastModified><ETag>&#34;d41d8cd98f00b204e9800998ecf8427e&#34;</ETag><Size>7</Size></Contents>"
        );
    }
    body += "</ListBucketResult>";
    let mut stream = stream;
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).ok()?;
    Some(())
}
