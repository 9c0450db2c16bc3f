//! `list RPATH`: entries of a directory, or one file, as text or JSON (mover.md §1.4).
//!
//! Enters: entries of the store. Leaves: filtered, sorted lines on standard output that scripts
//! compare byte by byte. MD1: the JSON array is one line. MD2: `-r` goes with `-s`.

use std::io::{self, BufWriter, Write};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::{Format, ListArgs, SortBy};
use crate::config::Repository;
use crate::error::{Error, Result};
use crate::glob::Glob;
use crate::paths::RemotePath;
use crate::store::Entry;

/// One entry with the path that is printed.
struct Row {
    path: PathBuf,
    entry: Entry,
}

/// Lists a path.
pub fn list(repository: &Repository, path: &RemotePath, args: &ListArgs) -> Result<()> {
    let filter = Filter::new(args);
    let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut printer = Printer::new(out, args.format);
    let file =
        if path.slash || path.shown.as_os_str().is_empty() { None } else { repository.store.object(&path.key)? };
    if let Some(entry) = file {
        let row = Row { path: path.shown.clone(), entry };
        if filter.takes(&row, true) {
            printer.row(&row)?;
        }
        return printer.finish();
    }
    // Sorted output needs all rows; the walk of -r alone is printed as it goes.
    let sorted = !args.recursive || args.sort.is_some() || args.reverse;
    let mut rows = Vec::new();
    let levels = if args.recursive { usize::try_from(args.max_depth).unwrap_or(0) } else { 1 };
    let listed = repository.store.list(&path.key, NonZeroUsize::new(levels), &mut |below, entry| {
        let row = Row { path: path.shown.join(below), entry: entry.clone() };
        if !filter.takes(&row, false) {
            return Ok(());
        }
        if sorted {
            rows.push(row);
            Ok(())
        } else {
            printer.row(&row)
        }
    });
    match listed {
        // A base path nobody has written to yet is an empty one.
        Err(Error::DirNotFound) if path.shown.as_os_str().is_empty() => {}
        other => other?,
    }
    if sorted {
        sort(&mut rows, args.sort.unwrap_or(SortBy::Path), args.reverse);
        for row in &rows {
            printer.row(row)?;
        }
    }
    printer.finish()
}

/// Ties go by path ascending even in reverse, as in the reference.
fn sort(rows: &mut [Row], by: SortBy, reverse: bool) {
    rows.sort_unstable_by(|one, two| {
        let paths = || one.path.as_os_str().as_bytes().cmp(two.path.as_os_str().as_bytes());
        let order = match by {
            SortBy::Path => paths(),
            SortBy::Size => one.entry.size.cmp(&two.entry.size),
            SortBy::Mtime => one.entry.modified.cmp(&two.entry.modified),
        };
        if order.is_eq() {
            paths()
        } else if reverse {
            order.reverse()
        } else {
            order
        }
    });
}

/// What `--name` asks for.
enum NameFilter {
    Any,
    Matching(Glob),
    /// The pattern is malformed and matches nothing.
    Nothing,
}

/// The filters, in the order of the reference: time window, then name.
struct Filter<'a> {
    args: &'a ListArgs,
    name: NameFilter,
}

impl<'a> Filter<'a> {
    fn new(args: &'a ListArgs) -> Self {
        let pattern = args.name.as_deref().unwrap_or_default();
        let name = if pattern.is_empty() {
            NameFilter::Any
        } else {
            Glob::parse(&pattern.to_string_lossy()).map_or(NameFilter::Nothing, NameFilter::Matching)
        };
        Self { args, name }
    }

    /// `named` is an entry that was asked for by its own path: `-d` and `-f` judge the entries of
    /// a directory only.
    fn takes(&self, row: &Row, named: bool) -> bool {
        let is_dir = row.entry.is_dir;
        if !named && ((self.args.dirs_only && !is_dir) || (self.args.files_only && is_dir)) {
            return false;
        }
        let modified = seconds(row.entry.modified);
        if self.args.newer_than > 0 && modified <= self.args.newer_than {
            return false;
        }
        if self.args.older_than > 0 && modified >= self.args.older_than {
            return false;
        }
        match &self.name {
            NameFilter::Any => true,
            NameFilter::Nothing => false,
            NameFilter::Matching(glob) => glob.matches(&row.entry.name.to_string_lossy()),
        }
    }
}

/// A JSON row; the order of the fields is part of the contract.
#[derive(Serialize)]
struct JsonRow<'a> {
    path: &'a str,
    size: u64,
    mtime: i64,
    mtime_str: &'a str,
    is_dir: bool,
}

/// Writes rows in one format.
struct Printer<W: Write> {
    out: W,
    format: Format,
    zone: TimeZone,
    rows: usize,
}

impl<W: Write> Printer<W> {
    fn new(out: W, format: Format) -> Self {
        let zone = match format {
            Format::Short => TimeZone::UTC,
            Format::Long | Format::Json => TimeZone::try_system().unwrap_or(TimeZone::UTC),
        };
        Self { out, format, zone, rows: 0 }
    }

    fn row(&mut self, row: &Row) -> Result<()> {
        self.write(row).map_err(Error::stdout)?;
        self.rows += 1;
        Ok(())
    }

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let slash: &[u8] = if row.entry.is_dir { b"/" } else { b"" };
        match self.format {
            Format::Short => {}
            Format::Long => write!(self.out, "{}\t{}\t", rfc3339(row.entry.modified, &self.zone), row.entry.size)?,
            Format::Json => {
                self.out.write_all(if self.rows == 0 { b"[" } else { b"," })?;
                let json = JsonRow {
                    path: &row.path.to_string_lossy(),
                    size: row.entry.size,
                    mtime: seconds(row.entry.modified),
                    mtime_str: &rfc3339(row.entry.modified, &self.zone),
                    is_dir: row.entry.is_dir,
                };
                return serde_json::to_writer(&mut self.out, &json).map_err(Into::into);
            }
        }
        self.out.write_all(row.path.as_os_str().as_bytes())?;
        self.out.write_all(slash)?;
        self.out.write_all(b"\n")
    }

    /// Only a listing that was complete gets its closing bracket.
    fn finish(mut self) -> Result<()> {
        if self.format == Format::Json {
            let end: &[u8] = if self.rows == 0 { b"[]\n" } else { b"]\n" };
            self.out.write_all(end).map_err(Error::stdout)?;
        }
        self.out.flush().map_err(Error::stdout)
    }
}

fn seconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => {
            // Towards the past, as Go's Unix() does.
            let before = before.duration();
            let whole = i64::try_from(before.as_secs()).unwrap_or(i64::MAX - 1);
            -whole - i64::from(before.subsec_nanos() > 0)
        }
    }
}

/// Go's RFC 3339 in local time: whole seconds, `Z` for no offset.
fn rfc3339(time: SystemTime, zone: &TimeZone) -> String {
    let Ok(instant) = Timestamp::from_second(seconds(time)) else {
        return String::new();
    };
    let local = instant.to_zoned(zone.clone());
    let format = if local.offset().is_zero() { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S%:z" };
    local.strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_read_as_go_prints_them() {
        let time = UNIX_EPOCH + Duration::from_secs(946_684_800);
        assert_eq!(rfc3339(time, &TimeZone::UTC), "2000-01-01T00:00:00Z");
        let east = TimeZone::fixed(jiff::tz::offset(8));
        assert_eq!(rfc3339(time, &east), "2000-01-01T08:00:00+08:00");
        assert_eq!(seconds(UNIX_EPOCH - Duration::from_millis(1)), -1);
    }

    #[test]
    fn ties_go_by_path_also_in_reverse() {
        let row = |path: &str, size| Row {
            path: path.into(),
            entry: Entry {
                name: Path::new(path).file_name().unwrap().into(),
                size,
                modified: UNIX_EPOCH,
                is_dir: false,
            },
        };
        let mut rows = [row("b", 1), row("a", 1), row("c", 2)];
        sort(&mut rows, SortBy::Size, true);
        let order: Vec<_> = rows.iter().map(|row| row.path.to_str().unwrap()).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }
}
