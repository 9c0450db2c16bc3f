//! What requests carry: host names, checksums that a server takes, tokens; and patience with servers.

use e2e_mover::{
    BUCKET, Fault, FaultProxy, Mover, Rule, SeenRequest, Tunnel, feed, random, rclone, versitygw, versitygw_with,
};
use mover_protocol::{Reason, RunResult};

#[test]
fn buckets_in_host_names() {
    let server = versitygw_with(&["--vd", "s3.test"], &[]);
    for provider in ["AWS", "Alibaba", "TencentCOS", "HuaweiOBS", "GCS", "Other"] {
        let tunnel = Tunnel::start(&server.address);
        let mover = Mover::with("http://s3.test", provider, &format!("{BUCKET}/p"), "force_path_style = false\n");
        let run = |args: &[&str], input: &[u8]| {
            let mut command = mover.command(args);
            command.env("HTTP_PROXY", tunnel.url());
            feed(command, input)
        };
        let content = random(21, 11_000_000);
        run(&["push", "-", "d/small"], b"1").ok("");
        run(&["push", "-", "d/a b+\u{e9}"], &content).ok("");
        assert!(run(&["pull", "d/a b+\u{e9}", "-"], b"").bytes == content, "{provider}");
        run(&["list", "-r", "-f", "/"], b"").ok("d/a b+\u{e9}\nd/small\n");
        assert_eq!(server.objects("p").len(), 2);
        run(&["rm", "-r", "d"], b"").ok("");
        assert!(server.objects("").is_empty(), "{provider}");
        assert_eq!(tunnel.hosts(), ["bucket.s3.test:80"], "{provider}");
    }
    // No certificate covers such a name, so the bucket goes into the path.
    let tunnel = Tunnel::start(&server.address);
    let mover = Mover::with("http://s3.test", "AWS", "dotted.bucket", "");
    let mut push = mover.command(["push", "-", "x"]);
    push.env("HTTP_PROXY", tunnel.url());
    feed(push, b"1").ok("");
    assert_eq!(tunnel.hosts(), ["s3.test:80"]);
}

/// Whether a request speaks of an algorithm.
fn names(request: &SeenRequest, algorithm: &str) -> bool {
    request.headers.iter().any(|(name, value)| {
        name.starts_with("x-amz-checksum-") && (name.ends_with(algorithm) || value.eq_ignore_ascii_case(algorithm))
    })
}

#[test]
fn servers_that_refuse_a_checksum_get_a_weaker_one() {
    let server = versitygw();
    let content = random(22, 12_000_000);
    let refused: [&'static [&'static str]; 3] = [&[], &["crc64nvme"], &["crc64nvme", "crc32c"]];
    for refused in refused {
        let hits = move |_: usize, seen: &SeenRequest| {
            seen.method != "GET" && seen.method != "HEAD" && refused.iter().any(|algorithm| names(seen, algorithm))
        };
        let rule = Rule { fault: Fault::NotImplemented, hits: Box::new(hits) };
        let proxy = FaultProxy::start(&server.address, vec![rule]);
        let mover = Mover::new(&proxy.endpoint());
        feed(mover.command(["push", "-", "large"]), &content).ok("");
        feed(mover.command(["push", "-", "small"]), b"1").ok("");
        assert!(std::fs::read(server.object("large")).unwrap() == content);
        assert!(mover.run(["pull", "large", "-"]).bytes == content, "{refused:?}");
        mover.run(["pull", "small", "-"]).ok("1");
        let seen = proxy.seen();
        let parts: Vec<_> = seen.iter().filter(|seen| seen.target.contains("partNumber=")).collect();
        assert_eq!(parts.len(), 3, "{refused:?}: {seen:?}");
        let carried = ["crc64nvme", "crc32c"].into_iter().find(|algorithm| !refused.contains(algorithm));
        for part in &parts {
            match carried {
                Some(algorithm) => assert!(part.header(&format!("x-amz-checksum-{algorithm}")).is_some(), "{part:?}"),
                None => assert!(part.header("content-md5").is_some(), "{part:?}"),
            }
        }
        // Each protects: a flipped bit is noticed and sent again.
        let flip = move |number: usize, seen: &SeenRequest| number < 8 && seen.target.contains("partNumber=2");
        let refuse = Rule { fault: Fault::NotImplemented, hits: Box::new(hits) };
        let flipped = Rule { fault: Fault::FlipBit, hits: Box::new(flip) };
        let proxy = FaultProxy::start(&server.address, vec![refuse, flipped]);
        let mover = Mover::new(&proxy.endpoint());
        let seen = feed(mover.command(["--report", "report", "push", "-", "large"]), &content);
        assert_eq!(seen.exit, 0, "{refused:?}: {seen:?}");
        assert!(std::fs::read(server.object("large")).unwrap() == content, "{refused:?}");
        assert!(mover.report().1.retries > 0, "{refused:?}");
    }
}

#[test]
fn session_tokens_are_sent_and_signed() {
    // versitygw has no such tokens, and says so; this one takes any, if the signature covers it.
    let strict = versitygw();
    let mover = Mover::with(&strict.endpoint(), "Minio", BUCKET, "session_token = t\n");
    feed(mover.command(["--report", "report", "push", "-", "x"]), b"1").fails("InvalidToken");
    let result = RunResult::parse(&std::fs::read_to_string(mover.work("report")).unwrap()).unwrap();
    assert_eq!(result.reason, Reason::AuthFailed);
    let server = rclone();
    for (extra, environment) in [("session_token = of-the-file\n", false), ("", true)] {
        let proxy = FaultProxy::start(&server.address, Vec::new());
        let mover = Mover::with(&proxy.endpoint(), "Minio", BUCKET, extra);
        if environment {
            let text = std::fs::read_to_string(mover.work("datasafed.conf")).unwrap();
            let text = text
                .replace("access_key_id = test\nsecret_access_key = testsecret\n", "")
                .replace("env_auth = false", "env_auth = true");
            std::fs::write(mover.work("datasafed.conf"), text).unwrap();
        }
        let mut push = mover.command(["push", "-", "x"]);
        push.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "testsecret");
        push.env("AWS_SESSION_TOKEN", "of-the-environment");
        feed(push, b"1").ok("");
        let expected = if environment { "of-the-environment" } else { "of-the-file" };
        for seen in proxy.seen() {
            assert_eq!(seen.header("x-amz-security-token"), Some(expected));
            assert!(seen.header("authorization").unwrap().contains("x-amz-security-token"), "{seen:?}");
        }
    }
    // Keys of the file win over those of the environment.
    let proxy = FaultProxy::start(&server.address, Vec::new());
    let mover = Mover::with(&proxy.endpoint(), "Minio", BUCKET, "env_auth = true\n");
    let mut list = mover.command(["list", "/"]);
    list.env("AWS_ACCESS_KEY_ID", "other").env("AWS_SECRET_ACCESS_KEY", "other").env("AWS_SESSION_TOKEN", "other");
    feed(list, b"").ok("x\n");
    assert!(proxy.seen().iter().all(|seen| seen.header("x-amz-security-token").is_none()));
    // Nothing in either place.
    let text = std::fs::read_to_string(mover.work("datasafed.conf")).unwrap();
    let text = text.replace("access_key_id = test\nsecret_access_key = testsecret\n", "");
    std::fs::write(mover.work("datasafed.conf"), text).unwrap();
    mover.run(["list", "/"]).fails("AWS_ACCESS_KEY_ID");
}

#[test]
fn a_server_that_asks_to_wait_is_given_the_time() {
    let server = versitygw();
    for (length, index) in [(10, 0), (12_000_000, 2)] {
        let proxy = FaultProxy::start(&server.address, vec![Rule::nth(Fault::RetryAfter(3), index)]);
        let mover = Mover::new(&proxy.endpoint());
        let begun = std::time::Instant::now();
        feed(mover.command(["push", "-", "x"]), &random(23, length)).ok("");
        // Never sooner: a lower bound cannot fail on a busy machine.
        assert!(begun.elapsed().as_secs_f64() >= 3.0);
    }
}

#[test]
fn an_absent_bucket_is_an_empty_one_until_the_first_push() {
    let server = versitygw();
    let mover = Mover::with(&server.endpoint(), "Minio", "new-bucket/p", "");
    for (args, stdout) in [
        (vec!["list", "/"], ""),
        (vec!["list", "d/"], ""),
        (vec!["list", "-o", "json", "/"], "[]\n"),
        (vec!["stat", "/"], "TotalSize: 0\nEntries: 0\nDirs: 0\nFiles: 0\n"),
    ] {
        let seen = feed(mover.command(&args), b"");
        let said = "Warning: there is no bucket \"new-bucket\" yet\n";
        assert_eq!((seen.exit, seen.stdout.as_str(), seen.stderr.as_str()), (0, stdout, said), "{args:?}");
    }
    mover.run(["pull", "x", "-"]).fails("NoSuchBucket");
    // Where somebody else makes it, its absence is a mistake.
    let fixed = Mover::with(&server.endpoint(), "Minio", "new-bucket/p", "no_check_bucket = true\n");
    fixed.run(["list", "/"]).fails("NoSuchBucket");
    fixed.run(["mkdir", "d"]).ok("");
    fixed.run(["list", "/"]).fails("NoSuchBucket");
    mover.run(["mkdir", "d"]).ok("");
    fixed.run(["list", "/"]).ok("");
    mover.run(["mkdir", "d"]).ok("");
    mover.run(["rmdir", "d"]).ok("");
}
