//! A base backup of a PostgreSQL that was made for it, as `pg_basebackup` writes it.
//!
//! Enters: how large it shall be about. Leaves: its tar. Without PostgreSQL on this machine pages
//! that look like its own come instead, and the output says so.

use std::fs;
use std::process::Command;

use e2e_mover::random;

/// As pgbench counts: about 15 MiB each.
const SCRIPT: &str = r#"
set -euo pipefail
bin=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
dir=$1 scale=$2
as() { "$@"; }
if [[ $(id -u) = 0 ]]; then
  id postgres >/dev/null
  chown postgres "$dir"
  as() { (cd / && setpriv --reuid=postgres --regid=postgres --init-groups "$@"); }
fi
trap 'as "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true' EXIT
as "$bin/initdb" -D "$dir/data" -U postgres -A trust --no-sync -k >&2
as "$bin/pg_ctl" -D "$dir/data" -w -l "$dir/log" \
  -o "-c listen_addresses= -c unix_socket_directories=$dir -c fsync=off -c full_page_writes=off -c max_wal_size=4GB" start >&2
as "$bin/pgbench" -h "$dir" -U postgres -i -q -s "$scale" postgres >&2
as "$bin/pgbench" -h "$dir" -U postgres -n -t 2000 -c 2 postgres >&2
as "$bin/pg_basebackup" -h "$dir" -U postgres -D - -F tar -X none -c fast >"$dir/base.tar"
"#;
const MIB_PER_SCALE: u64 = 15;

/// The bytes, and where they come from.
pub fn make(mib: u64) -> (Vec<u8>, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let scale = (mib / MIB_PER_SCALE).max(1);
    eprintln!("making a base backup of {mib} MiB");
    let made = Command::new("bash")
        .args(["-c", SCRIPT, "bash"])
        .arg(dir.path())
        .arg(scale.to_string())
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()))
        .output()
        .expect("bash");
    if made.status.success() {
        let tar = fs::read(dir.path().join("base.tar")).expect("a base backup");
        return (tar, format!("pg_basebackup of pgbench -s {scale}"));
    }
    let errors = String::from_utf8_lossy(&made.stderr);
    eprintln!("no PostgreSQL here, so pages are made up: {}", errors.lines().last().unwrap_or_default());
    (pages(mib), "generated pages, no base backup".to_owned())
}

/// Pages of 8 KiB: a header, line pointers, and rows of which a third is noise.
fn pages(mib: u64) -> Vec<u8> {
    let length = usize::try_from(mib << 20).expect("fits in memory");
    let noise = random(5, 1 << 20);
    let mut bytes = Vec::with_capacity(length);
    let mut row: u64 = 0;
    while bytes.len() < length {
        let begin = bytes.len();
        bytes.extend((begin as u64).to_le_bytes());
        bytes.extend([0; 16]);
        while bytes.len() + 128 <= begin + 8192 {
            row += 1;
            bytes.extend(row.to_le_bytes());
            let from = usize::try_from(row * 40).expect("small") % (noise.len() - 40);
            bytes.extend(&noise[from..from + 40]);
            bytes.extend([b' '; 80]);
        }
        bytes.resize(begin + 8192, 0);
    }
    bytes.truncate(length);
    bytes
}
