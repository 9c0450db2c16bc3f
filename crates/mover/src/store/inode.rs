//! What the kernel says about a file, in the words of the store.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::FileType;
use rustix::io::Errno;

use super::Entry;

/// What tells one directory from another, so that links that lead in a circle end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Directory {
    device: u64,
    inode: u64,
}

/// An entry, and which directory it is if it is one.
pub type Found = (Entry, Option<Directory>);

/// Nothing there: also when a parent is a file, or a link leads outside or in a circle.
pub fn absent(error: Errno) -> bool {
    matches!(error, Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP)
}

pub fn not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Files and directories only: sockets, FIFOs and devices are no objects.
pub fn entry(name: OsString, stat: &rustix::fs::Stat) -> Option<Found> {
    let dir = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some(Directory { device: stat.st_dev, inode: stat.st_ino }),
        _ => return None,
    };
    let entry = Entry {
        name,
        size: if dir.is_some() { 0 } else { u64::try_from(stat.st_size).unwrap_or_default() },
        modified: instant(stat.st_mtime, stat.st_mtime_nsec),
        is_dir: dir.is_some(),
    };
    Some((entry, dir))
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::useless_conversion,
    reason = "widths differ between targets; nanoseconds stay below 2^30"
)]
fn instant(seconds: i64, nanoseconds: impl TryInto<u32>) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    base.unwrap_or(UNIX_EPOCH) + Duration::from_nanos(nanoseconds.try_into().unwrap_or(0).into())
}

/// What tells this content of a file from any other: files are replaced, never written again.
pub fn tag(stat: &rustix::fs::Stat) -> String {
    format!("{:x}-{:x}-{:x}-{}.{:09}", stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}
