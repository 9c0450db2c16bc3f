//! What a container of a backup or restore Job sees: its own files over those of this machine, the
//! mover in `/bin/datasafed`, the configuration or the mounted volume, stubs first on the path.
//!
//! Enters: files, stubs, an action. Leaves: its exit code, what the stubs were called with, and the
//! files it wrote. Nothing of this machine changes: the action lives in an overlay of it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use e2e_mover::{BUCKET, Mover, Server, versitygw};
use serde_json::Value;

use crate::corpus::Action;

/// Where all Backups of these tests lie.
pub const ROOT: &str = "/ns/cluster-uid/comp";

/// Starts an action over an overlay: `DIR REPOSITORY COMMAND...`.
const CONTAINER: &str = r#"
set -e
dir=$1 repository=$2; shift 2
mount -t tmpfs none /mnt
mkdir /mnt/up /mnt/work /mnt/root
cp -a "$dir/files/." /mnt/up/
chmod 1777 /mnt/up/tmp
mount -t overlay none -o lowerdir=/,upperdir=/mnt/up,workdir=/mnt/work /mnt/root
mount --rbind /proc /mnt/root/proc
mount --rbind /dev /mnt/root/dev
if [ -n "$repository" ]; then mount --bind "$repository" /mnt/root/backupdata; fi
rc=0
chroot /mnt/root "$@" || rc=$?
# Of what was removed there are marks that not every user may copy.
cp -a /mnt/up/. "$dir/after/" 2>/dev/null || true
exit $rc
"#;

/// A repository of either kind.
pub enum Repository {
    /// A volume that is mounted.
    Mounted(tempfile::TempDir),
    /// A server that the configuration names.
    Served(Server),
}

impl Repository {
    /// One of each kind, or none where overlays cannot be mounted.
    pub fn both(cases: usize) -> Vec<Self> {
        let probe = unshare().args(["sh", "-c", "mount -t tmpfs none /mnt"]).status();
        if !probe.is_ok_and(|status| status.success()) {
            println!("SKIPPED(no mount namespaces): {cases} cases");
            return Vec::new();
        }
        vec![Self::Mounted(scratch()), Self::Served(versitygw())]
    }

    /// The repository's place in the file system; objects are plain files in both kinds.
    fn root(&self) -> PathBuf {
        match self {
            Self::Mounted(dir) => dir.path().to_owned(),
            Self::Served(server) => server.object(""),
        }
    }

    /// Keys below [`ROOT`] with their sizes, sorted.
    pub fn sizes(&self) -> Vec<(String, u64)> {
        let root = self.root().join(ROOT.trim_start_matches('/'));
        let mut found = Vec::new();
        let mut left = vec![root.clone()];
        while let Some(dir) = left.pop() {
            for item in fs::read_dir(dir).into_iter().flatten().flatten() {
                if item.path().is_dir() {
                    left.push(item.path());
                } else {
                    let name = item.path().strip_prefix(&root).unwrap().display().to_string();
                    found.push((name, item.metadata().unwrap().len()));
                }
            }
        }
        found.sort();
        found
    }

    /// Keys below [`ROOT`], sorted.
    pub fn keys(&self) -> Vec<String> {
        self.sizes().into_iter().map(|(key, _)| key).collect()
    }

    /// What `stat` of a directory below [`ROOT`] must add up to.
    pub fn total(&self, below: &str) -> u64 {
        self.sizes().iter().filter(|(key, _)| key.starts_with(below)).map(|(_, size)| size).sum()
    }

    /// An object as it is stored.
    pub fn stored(&self, key: &str) -> String {
        let path = self.root().join(ROOT.trim_start_matches('/')).join(key);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{key}: {error}"))
    }

    /// Removes an object behind everybody's back.
    pub fn lose(&self, key: &str) {
        fs::remove_file(self.root().join(ROOT.trim_start_matches('/')).join(key)).unwrap();
    }
}

/// A directory that stays where it is when `/tmp` is somebody else's.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn unshare() -> Command {
    let mut command = Command::new("unshare");
    command.arg("--mount");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
}

/// A container before it starts.
pub struct Pod<'a> {
    repository: &'a Repository,
    dir: tempfile::TempDir,
    env: Vec<(String, String)>,
}

impl<'a> Pod<'a> {
    /// With what dp gives to every container, for a Backup of this name.
    pub fn new(repository: &'a Repository, backup: &str) -> Self {
        let dir = scratch();
        fs::create_dir(dir.path().join("after")).unwrap();
        let pod = Self { repository, dir, env: Vec::new() };
        for made in ["tmp", "stubs", "dp", "backupdata"] {
            fs::create_dir_all(pod.path(made)).unwrap();
        }
        let bin = fs::canonicalize("/bin").unwrap().join("datasafed/datasafed");
        let pod = pod.link(bin.to_str().unwrap(), Mover::binary().to_str().unwrap());
        // In images of addons it is bash or busybox, both of which know pipefail.
        let pod = pod.link("/stubs/sh", "/bin/bash").stub("sync", "").stub("sleep", "");
        let pod = pod.file("/calls", "");
        let base = format!("{ROOT}/{backup}");
        let pod = [
            ("PATH", "/stubs:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
            ("TZ", "UTC"),
            ("DP_DATASAFED_BIN_PATH", "/bin/datasafed"),
            ("DP_BACKUP_NAME", backup),
            ("DP_BACKUP_ROOT_PATH", ROOT),
            ("DP_BACKUP_BASE_PATH", &base),
            ("DP_TARGET_RELATIVE_PATH", ""),
            ("DP_BACKUP_INFO_FILE", "/dp/backup.info"),
            ("DP_DB_HOST", "db-0.db-headless.ns.svc.cluster.local"),
            ("DP_DB_PORT", "5432"),
            ("DP_DB_USER", "admin"),
            ("DP_DB_PASSWORD", "secret"),
        ]
        .into_iter()
        .fold(pod, |pod, (name, value)| pod.env(name, value));
        match repository {
            Repository::Mounted(_) => pod.env("DATASAFED_LOCAL_BACKEND_PATH", "/backupdata"),
            Repository::Served(server) => pod.file(
                "/etc/datasafed/datasafed.conf",
                &format!(
                    "[storage]\ntype = s3\nprovider = Minio\nenv_auth = false\naccess_key_id = test\n\
                     secret_access_key = testsecret\nregion = \nendpoint = {}\nroot = {BUCKET}\n\
                     no_check_certificate = false\nno_check_bucket = false\nchunk_size = 50Mi\n",
                    server.endpoint()
                ),
            ),
        }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("files").join(path.trim_start_matches('/'))
    }

    /// With a variable; a later one of the same name wins.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// With a file.
    pub fn file(self, path: &str, content: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
        self
    }

    /// With a file that was last modified then.
    pub fn file_of(self, path: &str, content: &str, modified: u64) -> Self {
        let pod = self.file(path, content);
        let file = fs::File::open(pod.path(path)).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(modified)).unwrap();
        pod
    }

    fn link(self, path: &str, target: &str) -> Self {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
        self
    }

    /// With a program at this path, which may be one the host has too.
    pub fn program(self, path: &str, body: &str) -> Self {
        let name = Path::new(path).file_name().unwrap().to_str().unwrap();
        let record = format!("#!/bin/bash\nprintf '%s\\n' \"{name} $*\" >>/calls\n{body}\n");
        let pod = self.file(path, &record);
        fs::set_permissions(pod.path(path), fs::Permissions::from_mode(0o755)).unwrap();
        pod
    }

    /// With a program on the path; each call is recorded.
    pub fn stub(self, name: &str, body: &str) -> Self {
        self.program(&format!("/stubs/{name}"), body)
    }

    /// Runs an action to its end.
    pub fn run(self, action: &Action) -> Ran {
        // The ActionSet's come first; a script's own environment never overrides the operator's.
        let mut env = Vec::new();
        for (name, value) in &action.env {
            let known = self.env.iter().chain(&env);
            let value = known.fold(value.clone(), |value, (name, known)| value.replace(&format!("$({name})"), known));
            env.push((name.clone(), value));
        }
        let mounted = match self.repository {
            Repository::Mounted(dir) => dir.path().to_owned(),
            Repository::Served(_) => PathBuf::new(),
        };
        let output = unshare()
            .args(["sh", "-c", CONTAINER, "sh"])
            .arg(self.dir.path())
            .arg(mounted)
            .args(["/usr/bin/env", "-i"])
            .args(env.iter().chain(&self.env).map(|(name, value)| format!("{name}={value}")))
            .args(&action.command)
            .current_dir("/")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        Ran {
            exit: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned(),
            dir: self.dir,
        }
    }
}

/// A container that has ended.
pub struct Ran {
    /// Its exit code.
    pub exit: i32,
    /// What it said.
    pub output: String,
    dir: tempfile::TempDir,
}

impl Ran {
    /// It succeeded.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.exit, 0, "{}", self.output);
        self
    }

    /// It failed as scripts do: exit 1, and a mark for the sidecar that waits.
    #[track_caller]
    pub fn failed(&self) {
        assert_eq!(self.exit, 1, "{}", self.output);
        assert!(self.file("/dp/backup.info.exit").is_some() && self.file("/dp/backup.info").is_none());
    }

    /// A file that it wrote or was given.
    pub fn file(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.dir.path().join("after").join(path.trim_start_matches('/'))).ok()
    }

    /// A file that must be there.
    #[track_caller]
    pub fn wrote(&self, path: &str) -> String {
        self.file(path).unwrap_or_else(|| panic!("no {path}: {}", self.output))
    }

    /// `backup.info`, which the sidecar pushes and the operator reads.
    #[track_caller]
    pub fn info(&self) -> Value {
        serde_json::from_str(&self.wrote("/dp/backup.info")).unwrap()
    }

    /// Calls of one stub, in order.
    pub fn calls(&self, of: &str) -> Vec<String> {
        let calls = self.wrote("/calls");
        let called = calls.lines().filter_map(|line| line.strip_prefix(of)?.strip_prefix(' '));
        called.map(str::to_owned).collect()
    }
}
