//! How a transfer is done: flags for people, `DATASAFED_MOVER_*` for the operator, who must not
//! touch the scripts. A flag wins over its twin.

use std::env;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::ValueEnum;
use jiff::{Span, Timestamp};
use mover_protocol::env::TERMLOG as TERMLOG_ENV;

use crate::cli::Tune;
use crate::clock;
use crate::error::{Error, Result};
use crate::size;

/// Smallest part of a multipart upload that object stores take.
pub const MIN_PART: u64 = 5 << 20;
/// Largest one.
pub const MAX_PART: u64 = 5 << 30;

/// Settings of this process.
#[derive(Clone, Debug, Default)]
pub struct Tuning {
    /// Bytes per second, all connections together.
    pub bandwidth: Option<u64>,
    /// Parts on their way at one time.
    pub parallel: Option<usize>,
    /// Size of the first parts.
    pub part_size: Option<u64>,
    /// Tries of one request.
    pub tries: Option<u32>,
    /// Until when new objects are locked.
    pub retain_until: Option<Timestamp>,
    /// Mode of that lock.
    pub retain_mode: RetainMode,
    /// What is told on standard error while a transfer lasts.
    pub progress: Progress,
    /// Each transfer leaves a record in the termination log.
    pub termination_log: bool,
    /// File that gets the report.
    pub report: Option<PathBuf>,
    /// File that gets a line for each object that is stored.
    pub journal: Option<PathBuf>,
}

/// How firmly objects are locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RetainMode {
    /// Accounts with a special right can still delete.
    #[default]
    Governance,
    /// Nobody can.
    Compliance,
}

/// What is told on standard error, besides failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Progress {
    /// Nothing.
    #[default]
    None,
    /// One JSON line every five seconds, and one at the end.
    Json,
    /// One line for people at the end.
    #[value(name = "tty")]
    Terminal,
}

static TUNING: OnceLock<Tuning> = OnceLock::new();

/// The settings of this process; defaults before [`init`].
pub fn tuning() -> &'static Tuning {
    TUNING.get_or_init(Tuning::default)
}

/// Reads flags and environment, once.
pub fn init(flags: &Tune) -> Result<()> {
    let wrong = |what: &str, text: &str| Error::Config(format!("{what} is {text:?}, which cannot be understood"));
    let size_of = |flag: &Option<String>, name: &str| -> Result<Option<u64>> {
        match chosen(flag.as_deref(), name) {
            None => Ok(None),
            Some((what, text)) => size::parse(&text, 1).map(Some).ok_or_else(|| wrong(&what, &text)),
        }
    };
    let number_of = |flag: Option<u32>, name: &str| -> Result<Option<u32>> {
        match chosen(flag.map(|number| number.to_string()).as_deref(), name) {
            None => Ok(None),
            Some((what, text)) => text
                .parse()
                .ok()
                .filter(|number| (1..=64).contains(number))
                .map(Some)
                .ok_or_else(|| wrong(&what, &text)),
        }
    };
    let part_size = size_of(&flags.part_size, "PART_SIZE")?;
    if let Some(size) = part_size.filter(|size| !(MIN_PART..=MAX_PART).contains(size)) {
        return Err(Error::Config(format!("a part size of {size} bytes is not between 5 MiB and 5 GiB")));
    }
    let tuning = Tuning {
        bandwidth: size_of(&flags.bwlimit, "BWLIMIT")?.filter(|limit| *limit > 0),
        parallel: number_of(flags.parallel, "PARALLEL")?.and_then(|number| usize::try_from(number).ok()),
        part_size,
        tries: number_of(flags.tries, "TRIES")?,
        retain_until: retain_until(flags)?,
        retain_mode: match chosen(None, "RETAIN_MODE") {
            None => RetainMode::Governance,
            Some((_, text)) if text.eq_ignore_ascii_case("governance") => RetainMode::Governance,
            Some((_, text)) if text.eq_ignore_ascii_case("compliance") => RetainMode::Compliance,
            Some((what, text)) => return Err(wrong(&what, &text)),
        },
        progress: progress(flags)?,
        termination_log: env::var(TERMLOG_ENV).is_ok_and(|text| text == "1"),
        report: chosen(flags.report.as_deref().and_then(OsStr::to_str), "REPORT").map(|(_, path)| path.into()),
        journal: chosen(None, "JOURNAL").map(|(_, path)| path.into()),
    };
    let _ = TUNING.set(tuning);
    Ok(())
}

/// The flag's text, or that of its twin in the environment, and how messages call it.
fn chosen(flag: Option<&str>, name: &str) -> Option<(String, String)> {
    let variable = format!("DATASAFED_MOVER_{name}");
    match flag {
        Some(text) => Some((format!("--{}", name.to_ascii_lowercase().replace('_', "-")), text.to_owned())),
        None => env::var(&variable).ok().filter(|text| !text.is_empty()).map(|text| (variable, text)),
    }
}

fn progress(flags: &Tune) -> Result<Progress> {
    if let Some(progress) = flags.progress {
        return Ok(progress);
    }
    match chosen(None, "PROGRESS") {
        Some((what, text)) => Progress::from_str(&text, true)
            .map_err(|_| Error::Config(format!("{what} is {text:?}; known are none, json and tty"))),
        None if std::io::stderr().is_terminal() => Ok(Progress::Terminal),
        None => Ok(Progress::None),
    }
}

fn retain_until(flags: &Tune) -> Result<Option<Timestamp>> {
    if let Some((what, text)) = chosen(flags.retain_until.as_deref(), "RETAIN_UNTIL") {
        return text
            .parse()
            .map(Some)
            .map_err(|_| Error::Config(format!("{what} is {text:?}, not a time such as 2030-01-31T00:00:00Z")));
    }
    let Some((what, text)) = chosen(None, "RETAIN_DAYS") else { return Ok(None) };
    let wrong = || Error::Config(format!("{what} is {text:?}, not a number of days"));
    let days: i64 = text.parse().ok().filter(|days| (0..36_500).contains(days)).ok_or_else(wrong)?;
    if days == 0 {
        return Ok(None);
    }
    let now = Timestamp::try_from(clock::now()).map_err(|_| wrong())?;
    now.checked_add(Span::new().hours(24 * days)).map(Some).map_err(|_| wrong())
}
