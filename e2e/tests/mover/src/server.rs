//! S3 servers over a directory: each a process that ends when the test process does.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::until;

/// The bucket of all tests.
pub const BUCKET: &str = "bucket";

/// A running server.
pub struct Server {
    dir: tempfile::TempDir,
    /// Host and port.
    pub address: String,
    scheme: &'static str,
    child: Child,
}

impl Server {
    /// The endpoint as configurations write it.
    pub fn endpoint(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// Where the server keeps an object: its content is the file's.
    pub fn object(&self, key: &str) -> PathBuf {
        self.dir.path().join("data").join(BUCKET).join(key)
    }

    /// A file in the server's own directory, which flags call `DIR`.
    pub fn own(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// The certificate of the authority behind a server with TLS.
    pub fn authority(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Adds a user without any right; its secret is its name in [`secret_of`]. For versitygw with `--iam-dir`.
    pub fn add_user(&self, id: &str) {
        let made = Command::new(program("versitygw"))
            .args(["admin", "--access", "test", "--secret", "testsecret", "--endpoint-url", &self.endpoint()])
            .args(["create-user", "--access", id, "--secret", &secret_of(id), "--role", "user"])
            .output()
            .expect("versitygw");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    }

    /// Sets the policy of the bucket, by curl. False, and the reason on standard output, where that is missing.
    pub fn set_policy(&self, policy: &str) -> bool {
        let made = Command::new("curl")
            .args(["-sS", "--fail-with-body", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:testsecret"])
            .args(["-X", "PUT", "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--data-binary", policy])
            .arg(format!("{}/{BUCKET}?policy=", self.endpoint()))
            .output();
        let Ok(made) = made else {
            println!("SKIPPED(curl missing): 1 case");
            return false;
        };
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        true
    }

    /// All objects below a prefix: path and size.
    pub fn objects(&self, below: &str) -> Vec<(String, u64)> {
        let mut found = Vec::new();
        files(&self.object(below), &mut found);
        let root = self.object("");
        let mut named: Vec<_> = found
            .into_iter()
            .map(|path| {
                let size = fs::metadata(&path).map_or(0, |file| file.len());
                (path.strip_prefix(&root).unwrap_or(&path).display().to_string(), size)
            })
            .filter(|(name, _)| !name.starts_with(".sgwtmp"))
            .collect();
        named.sort();
        named
    }

    /// Bytes in parts of uploads that are not completed, and the number of such uploads.
    pub fn pending(&self) -> (usize, u64) {
        let mut found = Vec::new();
        files(&self.object(".sgwtmp"), &mut found);
        let bytes = found.iter().filter_map(|path| fs::metadata(path).ok()).map(|file| file.len()).sum();
        let uploads = self.object(".sgwtmp/multipart");
        let uploads = fs::read_dir(uploads)
            .map_or(0, |keys| keys.flatten().map(|key| fs::read_dir(key.path()).map_or(0, Iterator::count)).sum());
        (uploads, bytes)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The guarding shell ends the server when its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// The secret of a user that [`Server::add_user`] made.
pub fn secret_of(id: &str) -> String {
    format!("secret-of-{id}")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(listed) = fs::read_dir(dir) else { return };
    for item in listed.flatten() {
        let path = item.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Where `e2e/s3/build.sh` leaves what it made.
fn state() -> PathBuf {
    std::env::var_os("HOLDFAST_STATE").unwrap_or_else(|| "/var/lib/holdfast-e2e".into()).into()
}

/// A program of `e2e/s3/build.sh`.
fn program(name: &str) -> PathBuf {
    let path = state().join("bin").join(name);
    assert!(path.exists(), "{} is missing: run e2e/s3/build.sh", path.display());
    path
}

/// versitygw over a directory.
pub fn versitygw() -> Server {
    start_versitygw(false, &[], &[])
}

/// versitygw with a certificate of an authority that only [`Server::authority`] names.
pub fn versitygw_with_tls() -> Server {
    start_versitygw(true, &[], &[])
}

/// versitygw with more flags: of the server, and of its directory. `DIR` in them is a directory of the server's own,
/// in which there is an empty one `versions`.
pub fn versitygw_with(server: &[&str], directory: &[&str]) -> Server {
    start_versitygw(false, server, directory)
}

fn start_versitygw(tls: bool, server: &[&str], directory: &[&str]) -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(data.join(BUCKET)).expect("a bucket");
    fs::create_dir(dir.path().join("versions")).expect("a directory");
    let own = |flags: &[&str]| -> Vec<String> {
        flags.iter().map(|flag| flag.replace("DIR", &dir.path().display().to_string())).collect()
    };
    let mut scheme = "http";
    let mut flags = vec!["--quiet".to_owned(), "--keep-alive".to_owned()];
    flags.extend(own(server));
    let directory = own(directory);
    if tls {
        scheme = "https";
        make_certificates(dir.path());
        for (flag, file) in [("--cert", "cert.pem"), ("--key", "key.pem")] {
            flags.extend([flag.to_owned(), dir.path().join(file).display().to_string()]);
        }
    }
    start(dir, scheme, |address| {
        let mut command = vec![program("versitygw").display().to_string(), "--port".to_owned(), address.to_owned()];
        command.extend(flags.clone());
        command.push("posix".to_owned());
        command.extend(directory.clone());
        command.push(data.display().to_string());
        command
    })
}

/// `rclone serve s3` over a directory: another implementation, without checksums.
pub fn rclone() -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(data.join(BUCKET)).expect("a bucket");
    start(dir, "http", |address| {
        ["serve", "s3", "--auth-key", "test,testsecret", "--vfs-cache-mode", "off", "--addr", address]
            .into_iter()
            .map(str::to_owned)
            .fold(vec![program("rclone").display().to_string()], |mut command, word| {
                command.push(word);
                command
            })
            .into_iter()
            .chain([data.display().to_string()])
            .collect()
    })
}

/// `rclone serve webdav` over a directory, with a user and a password.
pub fn webdav() -> Server {
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(data.join(BUCKET)).expect("a directory");
    start(dir, "http", |address| {
        let words = ["serve", "webdav", "--user", "test", "--pass", FTP_PASSWORD, "--vfs-cache-mode", "off", "--addr"];
        let mut command = vec![program("rclone").display().to_string()];
        command.extend(words.into_iter().map(str::to_owned));
        command.extend([address.to_owned(), data.display().to_string()]);
        command
    })
}

/// Password of the FTP and WebDAV servers, for the user `test`.
pub const FTP_PASSWORD: &str = "p#w d;";

/// An FTP server over a directory, with a certificate where asked for. `None`, and the reason on
/// standard output, where the Python package is missing.
pub fn ftp(tls: bool) -> Option<Server> {
    let packages = state().join("python");
    if !packages.join("pyftpdlib").is_dir() {
        println!("SKIPPED(the Python package pyftpdlib is missing: run e2e/s3/build.sh where PyPI can be reached)");
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(data.join(BUCKET)).expect("a directory");
    let mut last = vec![data.display().to_string()];
    if tls {
        make_certificates(dir.path());
        last.extend(["cert.pem", "key.pem"].map(|name| dir.path().join(name).display().to_string()));
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../s3/ftp_server.py");
    Some(start(dir, "ftp", |address| {
        let mut command = vec!["env".to_owned(), format!("PYTHONPATH={}", packages.display()), "python3".to_owned()];
        command.extend([script.display().to_string(), address.to_owned()]);
        command.extend(last.clone());
        command
    }))
}

/// The emulator of Azure with one container. `None`, and the reason on standard output, where the
/// package is missing.
pub fn azure() -> Option<Server> {
    let program = state().join("azurite/node_modules/.bin/azurite-blob");
    if !program.exists() {
        println!("SKIPPED(azurite is missing: run e2e/s3/build.sh where npm is installed and its registry reached)");
        return None;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let data = dir.path().join("data");
    fs::create_dir_all(&data).expect("a directory");
    let server = start(dir, "http", |address| {
        let (host, port) = address.split_once(':').unwrap_or((address, ""));
        let words = ["--silent", "--skipApiVersionCheck", "--blobHost", host, "--blobPort", port, "--location"];
        let mut command = vec!["node".to_owned(), program.display().to_string()];
        command.extend(words.into_iter().map(str::to_owned));
        command.push(data.display().to_string());
        command
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../s3/azure_container.py");
    let made = Command::new("python3").arg(script).args([server.address.as_str(), BUCKET]).status();
    assert!(made.is_ok_and(|status| status.success()), "the container was not made");
    Some(server)
}

/// The emulator of Google's storage with one bucket.
pub fn google() -> Server {
    let program = program("gcs");
    let dir = tempfile::tempdir().expect("a directory");
    start(dir, "http", |address| vec![program.display().to_string(), address.to_owned(), BUCKET.to_owned()])
}

/// Starts the words that follow, and ends them when the standard input ends: with the test process at the latest.
const GUARD: &str = "exec 3<&0; \"$@\" </dev/null 3<&- & server=$!; \
    (cat <&3 >/dev/null; kill $server 2>/dev/null) & exec 3<&-; wait $server";

fn start(dir: tempfile::TempDir, scheme: &'static str, command: impl Fn(&str) -> Vec<String>) -> Server {
    for _ in 0..5 {
        let address = free_address();
        let log = fs::File::create(dir.path().join("log")).expect("a log");
        let mut child = Command::new("sh")
            .args(["-c", GUARD, "sh"])
            .args(command(&address))
            .env("ROOT_ACCESS_KEY_ID", "test")
            .env("ROOT_SECRET_ACCESS_KEY", "testsecret")
            .env("RCLONE_CONFIG", "/dev/null")
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a shell");
        let mut ended = false;
        until("the server to listen", || {
            ended = child.try_wait().expect("a child").is_some();
            ended || answers(&address, scheme)
        });
        if !ended {
            return Server { dir, address, scheme, child };
        }
        // Somebody else took the port between our two looks.
    }
    let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
    panic!("the server does not start:\n{log}");
}

fn answers(address: &str, scheme: &str) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    if scheme == "https" {
        return true;
    }
    let asked = stream.write_all(b"GET / HTTP/1.0\r\n\r\n");
    asked.is_ok() && stream.read(&mut [0; 16]).is_ok_and(|count| count > 0)
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn make_certificates(dir: &Path) {
    let ca_key = rcgen::KeyPair::generate().expect("a key");
    let mut ca = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
    let ca_certificate = ca.self_signed(&ca_key).expect("a certificate");
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().expect("a key");
    let leaf = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).expect("parameters");
    let certificate = leaf.signed_by(&key, &issuer).expect("a certificate");
    for (file, text) in
        [("ca.pem", ca_certificate.pem()), ("cert.pem", certificate.pem()), ("key.pem", key.serialize_pem())]
    {
        fs::write(dir.join(file), text).expect("a file");
    }
}
