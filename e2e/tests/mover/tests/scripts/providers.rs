//! case_21: the configurations that the shipped StorageProviders render, and what the mover makes of
//! them, seen from the network: host, addressing, listing, and whom it trusts.

use std::process::{Command, Stdio};

use e2e_mover::{Mover, Seen, Tunnel};
use go_template::{Data, Flavour, World};
use serde_json::Value as Json;

use crate::any_host::AnyHost;
use crate::corpus::document;

const SECRET: &str = "a/secret+with#all;of=them";

/// A StorageProvider's `datasafedConfigTemplate` with parameters; absent ones are empty, as dp has them.
fn render(provider: &Json, given: &[(&str, &str)]) -> String {
    let parameters = Data::texts(given.iter().copied());
    let context = Data::Struct(vec![("Parameters".into(), parameters)]);
    let template = provider["spec"]["datasafedConfigTemplate"].as_str().unwrap();
    let world = World::at(jiff::Timestamp::UNIX_EPOCH);
    go_template::render("provider", template, &context, Flavour::Sprig, &world).unwrap().into_text().unwrap()
}

/// What a sample must lead to.
struct Expected {
    provider: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    /// Host and port of the connection.
    host: &'static str,
    /// Path of the listing.
    path: &'static str,
    /// Second version of the listing.
    v2: bool,
    /// Asks for percent-encoded names.
    encoded: bool,
    /// Trusts every certificate.
    trusting: bool,
}

const fn expected(
    provider: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    host: &'static str,
    (path, v2, encoded, trusting): (&'static str, bool, bool, bool),
) -> Expected {
    Expected { provider, parameters, host, path, v2, encoded, trusting }
}

/// The table of mover.md §1.5 for parameters as people give them: no region, no endpoint or one without scheme, nothing
/// where a boolean belongs.
const SAMPLES: [Expected; 17] = [
    expected("s3", &[], "bucket.s3.us-east-1.amazonaws.com:443", ("/", true, true, false)),
    expected("s3", &[("region", "eu-west-1")], "bucket.s3.eu-west-1.amazonaws.com:443", ("/", true, true, false)),
    expected("s3", &[("region", "cn-north-1")], "bucket.s3.cn-north-1.amazonaws.com.cn:443", ("/", true, true, false)),
    expected(
        "s3",
        &[("endpoint", "https://s3.test:8443/"), ("insecure", "true")],
        "bucket.s3.test:8443",
        ("/", true, true, true),
    ),
    expected(
        "s3",
        &[("bucket", "dotted.bucket")],
        "s3.us-east-1.amazonaws.com:443",
        ("/dotted.bucket", true, true, false),
    ),
    expected("minio", &[("endpoint", "http://minio.test:9000")], "minio.test:9000", ("/bucket", true, true, false)),
    expected(
        "minio",
        &[("endpoint", "https://minio.test"), ("insecure", "true"), ("noCheckBucket", "true")],
        "minio.test:443",
        ("/bucket", true, true, true),
    ),
    expected("oss", &[("region", "cn-x")], "bucket.oss-cn-x.aliyuncs.com:443", ("/", true, true, false)),
    expected(
        "oss",
        &[("endpoint", "oss.test"), ("insecure", "false")],
        "bucket.oss.test:443",
        ("/", true, true, false),
    ),
    expected("cos", &[("region", "ap-x")], "bucket.cos.ap-x.myqcloud.com:443", ("/", false, true, false)),
    expected("obs", &[("region", "cn-x")], "bucket.obs.cn-x.myhuaweicloud.com:443", ("/", false, false, false)),
    expected("gcs-s3comp", &[], "bucket.storage.googleapis.com:443", ("/", true, true, false)),
    expected("gcs-s3comp", &[("endpoint", "http://gcs.test")], "bucket.gcs.test:80", ("/", true, true, false)),
    // The template writes `false` where nothing is given, and that asks for the bucket in the host.
    expected("s3-compatible", &[("endpoint", "ceph.test")], "bucket.ceph.test:443", ("/", false, false, false)),
    expected(
        "s3-compatible",
        &[("endpoint", "ceph.test"), ("forcePathStyle", "true")],
        "ceph.test:443",
        ("/bucket", false, false, false),
    ),
    expected(
        "s3-compatible",
        &[("endpoint", "http://ceph.test:7480"), ("forcePathStyle", "true"), ("serviceProvider", "Minio")],
        "ceph.test:7480",
        ("/bucket", true, true, false),
    ),
    expected(
        "s3-compatible",
        &[("endpoint", "ceph.test"), ("forcePathStyle", "true"), ("serviceProvider", "Ceph")],
        "ceph.test:443",
        ("/bucket", false, false, false),
    ),
];

#[test]
fn case_21_providers_of_object_stores() {
    let dir = tempfile::tempdir().unwrap();
    let server = AnyHost::start(dir.path());
    for sample in &SAMPLES {
        let shown = format!("{} {:?}", sample.provider, sample.parameters);
        let path = format!("kubeblocks/storageprovider-{}.yaml", sample.provider);
        let Some(provider) = document(&path, SAMPLES.len()) else { return };
        let mut parameters = vec![("accessKeyId", "key"), ("secretAccessKey", SECRET), ("bucket", "bucket")];
        parameters.retain(|(name, _)| !sample.parameters.iter().any(|(given, _)| given == name));
        parameters.extend(sample.parameters);
        let conf = dir.path().join("datasafed.conf");
        std::fs::write(&conf, render(&provider, &parameters)).unwrap();
        let tunnel = Tunnel::start(&server.address);
        let run = |args: &[&str], trusted: bool| -> Seen {
            let mut command = Command::new(Mover::binary());
            command.arg("-c").arg(&conf).args(args).env_clear().env("ALL_PROXY", tunnel.url()).stdin(Stdio::null());
            if trusted {
                command.env("SSL_CERT_FILE", server.authority());
            }
            command.output().unwrap().into()
        };
        assert_eq!(run(&["getconf", "storage.secret_access_key"], true).stdout, format!("{SECRET}\n"), "{shown}");
        server.asked.lock().unwrap().clear();
        let seen = run(&["list", "/"], true);
        // Explicit path style for one of the five is no part of the templates, so there is no warning.
        assert_eq!((seen.exit, seen.stdout.as_str(), seen.stderr.as_str()), (0, "", ""), "{shown}");
        assert_eq!(tunnel.hosts(), [sample.host], "{shown}");
        let asked = server.asked.lock().unwrap().clone();
        let [(first, host)] = asked.as_slice() else { panic!("{shown}: {asked:?}") };
        let plain = sample.parameters.iter().any(|(_, value)| value.starts_with("http:"));
        let port = if plain { ":80" } else { ":443" };
        assert_eq!(host.as_str(), sample.host.strip_suffix(port).unwrap_or(sample.host), "{shown}");
        assert!(first.starts_with(&format!("GET {}?", sample.path)), "{shown}: {first}");
        assert_eq!(
            (first.contains("list-type=2"), first.contains("encoding-type=url")),
            (sample.v2, sample.encoded),
            "{shown}: {first}"
        );
        if !plain {
            // The authority is unknown without the variable.
            let untrusted = run(&["--tries", "1", "list", "/"], false);
            if sample.trusting {
                assert_eq!(untrusted.exit, 0, "{shown}: {untrusted:?}");
            } else {
                untrusted.fails("certificate");
            }
        }
    }
}

#[test]
fn case_21_templates_of_other_kinds_render() {
    let Some(azure) = document("kubeblocks/storageprovider-azureblob.yaml", 2) else { return };
    let ftp = document("kubeblocks/storageprovider-ftp.yaml", 0).unwrap();
    let given = [("accountName", "account"), ("accountKey", "a+key=="), ("container", "box")];
    assert_eq!(
        render(&azure, &given),
        "[storage]\ntype = azureblob\naccount = account\nkey = a+key==\nroot = box\nno_check_container = \nchunk_size = 50Mi\n"
    );
    let given = [("ftpHost", "ftp.test"), ("ftpPort", "0"), ("ftpUser", "user"), ("ftpPassword", "p#a;s s")];
    assert_eq!(
        render(&ftp, &given),
        "[storage]\ntype = ftp\nhost = ftp.test\nport = 21\nuser = user\npass.need_obscure = p#a;s s\ntls = false\n"
    );
}
