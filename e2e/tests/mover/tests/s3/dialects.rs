//! Providers, addresses, certificates, credentials; and another server.

use e2e_mover::{BUCKET, FaultProxy, Mover, feed, random, rclone, versitygw, versitygw_with_tls};

#[test]
fn a_server_with_tls_from_an_own_authority() {
    let server = versitygw_with_tls();
    let mover = Mover::new(&server.endpoint());
    let line = mover.run_with(["push", "-", "x"], b"1");
    line.fails("certificate");
    let content = random(1, 12_000_000);
    for (variable, value) in
        [("SSL_CERT_FILE", server.authority()), ("SSL_CERT_DIR", server.authority().parent().unwrap().to_owned())]
    {
        let mut push = mover.command(["push", "-", "x"]);
        push.env(variable, &value);
        feed(push, &content).ok("");
        let mut pull = mover.command(["pull", "x", "-"]);
        pull.env(variable, &value);
        assert!(feed(pull, b"").bytes == content);
    }
    // Beside the executable.
    let mut install = mover.program(Mover::binary());
    install.args(["install", "bin"]);
    feed(install, b"").ok("");
    std::fs::create_dir(mover.work("bin/certs")).unwrap();
    std::fs::copy(server.authority(), mover.work("bin/certs/ca.pem")).unwrap();
    let mut pull = mover.program(mover.work("bin/datasafed"));
    pull.args(["-c", "datasafed.conf", "pull", "x", "-"]);
    assert!(feed(pull, b"").bytes == content);
    let unchecked = Mover::with(&server.endpoint(), "Minio", BUCKET, "no_check_certificate = true\n");
    assert!(unchecked.run(["pull", "x", "-"]).bytes == content);
}

#[test]
fn md6_path_style_on_request_and_both_listings() {
    let server = versitygw();
    for (provider, extra) in [
        ("Minio", ""),
        ("Other", ""),
        ("Unheard", "force_path_style = true\n"),
        ("AWS", "force_path_style = true\n"),
        ("TencentCOS", "force_path_style = true\n"),
        ("HuaweiOBS", "force_path_style = true\n"),
        ("GCS", "force_path_style = true\n"),
        ("Alibaba", "force_path_style = true\n"),
    ] {
        let proxy = FaultProxy::start(&server.address, Vec::new());
        let mover = Mover::with(&proxy.endpoint(), provider, BUCKET, extra);
        let content = random(2, 11_000_000);
        let seen = mover.run_with(["push", "-", "a b/\u{e9}+x"], &content);
        assert_eq!(seen.exit, 0, "{provider}: {seen:?}");
        assert!(mover.run(["pull", "a b/\u{e9}+x", "-"]).bytes == content);
        assert_eq!(mover.run(["list", "-r", "-f", "/"]).stdout, "a b/\u{e9}+x\n", "{provider}");
        let listed: Vec<_> = proxy.seen().into_iter().filter(|seen| seen.target.contains("prefix=")).collect();
        let v2 = !matches!(provider, "Other" | "Unheard" | "TencentCOS" | "HuaweiOBS");
        assert!(listed.iter().all(|seen| seen.target.contains("list-type=2") == v2), "{provider}: {listed:?}");
        assert!(proxy.seen().iter().all(|seen| seen.target.starts_with("/bucket")), "{provider}");
        assert_eq!(mover.run(["rm", "-r", "a b"]).exit, 0);
        assert!(server.objects("").is_empty());
    }
}

#[test]
fn another_server_without_checksums() {
    let server = rclone();
    for provider in ["Minio", "Other", "Alibaba"] {
        let extra = "force_path_style = true\n";
        let mover = Mover::with(&server.endpoint(), provider, BUCKET, extra);
        for (name, length) in [("d/small", 5), ("d/empty", 0), ("d/large", 17_000_000)] {
            let content = random(3, length);
            let seen = mover.run_with(["push", "-", name], &content);
            assert_eq!(seen.exit, 0, "{provider} {name}: {seen:?}");
            assert!(mover.run(["pull", name, "-"]).bytes == content, "{provider} {name}");
        }
        assert_eq!(mover.run(["list", "d"]).stdout, "d/empty\nd/large\nd/small\n", "{provider}");
        assert_eq!(mover.run(["stat", "d"]).stdout, "TotalSize: 17000005\nEntries: 3\nDirs: 0\nFiles: 3\n");
        assert_eq!(mover.run(["rm", "-r", "d"]).exit, 0);
        assert_eq!(mover.run(["list", "d"]).stdout, "", "{provider}");
    }
}

#[test]
fn without_root_the_path_names_the_bucket() {
    let server = versitygw();
    let mover = Mover::with(&server.endpoint(), "Minio", "", "");
    mover.put("bucket/a/x", b"1");
    mover.run(["list", "bucket/a"]).ok("bucket/a/x\n");
    mover.run(["pull", "bucket/a/x", "-"]).ok("1");
    mover.run(["rm", "-r", "bucket/a"]).fails("has no root");
    mover.run(["push", "/dev/null", "bucket"]).fails("is a directory");
    assert_eq!(server.objects("").len(), 1);
}

#[test]
fn buckets_are_made_unless_told_otherwise() {
    let server = versitygw();
    let fixed = Mover::with(&server.endpoint(), "Minio", "other-bucket/p", "no_check_bucket = true\n");
    fixed.run_with(["push", "-", "x"], b"1").fails("NoSuchBucket");
    fixed.run(["list", "/"]).fails("NoSuchBucket");
    let mover = Mover::with(&server.endpoint(), "Minio", "other-bucket/p", "");
    mover.put("x", b"1");
    let large = Mover::with(&server.endpoint(), "Minio", "third-bucket", "");
    large.put("x", &random(4, 11_000_000));
    mover.run(["list", "/"]).ok("x\n");
}

#[test]
fn wrong_credentials_fail_at_once_and_are_not_told() {
    let server = versitygw();
    let proxy = FaultProxy::start(&server.address, Vec::new());
    let mover = Mover::with(&proxy.endpoint(), "Minio", BUCKET, "secret_access_key = wrongsecret#1\n");
    for args in [["push", "/dev/null", "x"], ["pull", "x", "-"], ["list", "-r", "/"], ["rm", "-r", "x"]] {
        let seen = mover.run(args);
        let line = seen.fails("SignatureDoesNotMatch");
        assert!(!line.contains("wrongsecret") && !line.contains("Signature="), "{line}");
    }
    assert_eq!(proxy.seen().len(), 4, "no retries: {:?}", proxy.seen());
    let env = Mover::with(&server.endpoint(), "Minio", BUCKET, "");
    let text = std::fs::read_to_string(env.work("datasafed.conf")).unwrap();
    let text = text
        .replace("access_key_id = test\nsecret_access_key = testsecret\n", "")
        .replace("env_auth = false", "env_auth = true");
    std::fs::write(env.work("datasafed.conf"), text).unwrap();
    env.run(["list", "/"]).fails("AWS_ACCESS_KEY_ID");
    let mut list = env.command(["list", "/"]);
    list.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "testsecret");
    feed(list, b"").ok("");
}
