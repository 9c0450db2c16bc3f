//! The moment to restore, and the window in which a log can be restored. Pure.

use super::not_deleting;
use crate::error::Stop;
use crate::reasons;
use api_types::dp::{Backup, BackupPhase};
use jiff::Timestamp;
use kube::ResourceExt;

/// As the wire writes it: UTC, whole seconds.
const WIRE: &str = "%Y-%m-%dT%H:%M:%SZ";
/// As the reference's command line takes it too: `Jan 02,2006 15:04:05 UTC+0800`.
const SPELLED_OUT: &str = "%b %d,%Y %H:%M:%S UTC%z";

/// An instant as people write it: RFC 3339 with any offset, or `Jan 02,2006 15:04:05 UTC±hhmm`. Parts of a second are
/// cut off, towards the past.
///
/// # Errors
/// Terminal `InvalidRestoreTime`.
pub fn parse(text: &str) -> Result<Timestamp, Stop> {
    let text = text.trim();
    let parsed = text.parse::<Timestamp>().or_else(|_| Timestamp::strptime(SPELLED_OUT, text));
    let whole = parsed.ok().and_then(|at| {
        // `as_second` cuts towards 1970.
        let early = i64::from(at.subsec_nanosecond() < 0);
        Timestamp::from_second(at.as_second() - early).ok()
    });
    whole.ok_or_else(|| {
        Stop::terminal(
            reasons::INVALID_RESTORE_TIME,
            format!(
                "restore time {text:?} is neither an RFC 3339 instant nor written as \"Jan 02,2006 15:04:05 UTC+0800\""
            ),
        )
    })
}

/// `at` as the wire writes it.
pub fn text(at: Timestamp) -> String {
    at.strftime(WIRE).to_string()
}

/// What a log covers; both ends count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// First moment.
    pub start: Timestamp,
    /// Last moment.
    pub end: Timestamp,
}

/// The window of a continuous backup: its `status.timeRange`, as it is shown there. A backup that still runs, or that
/// failed for a while, has one too.
///
/// # Errors
/// Wait while it has archived nothing yet; Terminal when it never will, or is being deleted.
pub fn window(backup: &Backup) -> Result<Window, Stop> {
    not_deleting(backup)?;
    let range = backup.status.as_ref().and_then(|s| s.time_range.as_ref());
    let bounds = range.and_then(|r| Some((r.start.as_ref()?.0, r.end.as_ref()?.0)));
    if let Some((start, end)) = bounds {
        return Ok(Window { start, end });
    }
    let text = format!("Backup {} has archived nothing that could be restored (status.timeRange)", backup.name_any());
    Err(match backup.phase() {
        BackupPhase::Completed => Stop::terminal(reasons::BACKUP_FAILED, text),
        _ => Stop::wait(reasons::BACKUP_NOT_COMPLETED, format!("{text} yet")),
    })
}

impl Window {
    /// Whether the window has this moment.
    pub fn has(&self, at: Timestamp) -> bool {
        (self.start..=self.end).contains(&at)
    }

    /// The moment to which `backup` is restored.
    ///
    /// # Errors
    /// Terminal where none is asked for, or one outside the window.
    pub fn check(&self, backup: &Backup, at: Option<Timestamp>) -> Result<Timestamp, Stop> {
        let of = |what: String| {
            Stop::terminal(
                reasons::INVALID_RESTORE_TIME,
                format!("{what}: Backup {} can be restored from {self}", backup.name_any()),
            )
        };
        let at = at.ok_or_else(|| of("no restore time is given, and a continuous backup needs one".into()))?;
        if self.has(at) { Ok(at) } else { Err(of(format!("restore time {} is outside the window", text(at)))) }
    }
}

impl std::fmt::Display for Window {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {}", text(self.start), text(self.end))
    }
}
