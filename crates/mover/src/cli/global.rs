//! Flags that every subcommand takes.

use std::ffi::OsString;

use clap::Args;

use crate::tuning::Progress;

/// How transfers are done. Each flag has a twin in the environment, `DATASAFED_MOVER_` and its
/// name in capitals, for those who must not touch the scripts.
#[derive(Debug, Args)]
#[command(next_help_heading = "Transfer (each also as DATASAFED_MOVER_...)")]
pub struct Tune {
    /// Bytes per second over the network, such as 50M; default no limit
    #[arg(long, global = true, value_name = "SIZE")]
    pub bwlimit: Option<String>,
    /// Parts on their way at one time; default 4
    #[arg(long, global = true, value_name = "N")]
    pub parallel: Option<u32>,
    /// Size of the first parts of a large object, 5M to 5G; default 8M, doubled every 1000 parts
    #[arg(long, global = true, value_name = "SIZE")]
    pub part_size: Option<String>,
    /// Tries of one request before it fails; default 8
    #[arg(long, global = true, value_name = "N")]
    pub tries: Option<u32>,
    /// Lock new objects until this time, such as 2030-01-31T00:00:00Z (S3 object lock; see also
    /// DATASAFED_MOVER_RETAIN_DAYS and DATASAFED_MOVER_RETAIN_MODE)
    #[arg(long, global = true, value_name = "TIME")]
    pub retain_until: Option<String>,
    /// What to say on standard error: none, json (a line every five seconds) or tty (a line at the
    /// end); default tty on a terminal, else none
    #[arg(long, global = true, value_name = "HOW", hide_possible_values = true)]
    pub progress: Option<Progress>,
    /// Write what was moved, and how it ended, as JSON into this file
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<OsString>,
}

/// The logging flags of the reference. They parse and do nothing: we log failures only.
#[derive(Debug, Args)]
#[allow(missing_docs, reason = "accepted, not used")]
pub struct Logging {
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub console_log: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub console_timestamps: Option<bool>,
    #[arg(long, global = true, hide = true, value_parser = ["debug", "info", "warning", "error"])]
    pub log_level: Option<String>,
    #[arg(long, global = true, hide = true, value_parser = ["debug", "info", "warning", "error"])]
    pub file_log_level: Option<String>,
    #[arg(long, global = true, hide = true)]
    pub log_file: Option<OsString>,
    #[arg(long, global = true, hide = true)]
    pub log_dir: Option<OsString>,
    #[arg(long, global = true, hide = true)]
    pub log_dir_max_files: Option<i64>,
    #[arg(long, global = true, hide = true)]
    pub log_dir_max_age: Option<String>,
    #[arg(long, global = true, hide = true)]
    pub log_dir_max_total_size_mb: Option<f64>,
    #[arg(long, global = true, hide = true)]
    pub max_log_file_segment_size: Option<i64>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub file_log_local_tz: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub json_log_file: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub json_log_console: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub force_color: Option<bool>,
    #[arg(long, global = true, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_parser = go_bool)]
    pub disable_color: Option<bool>,
}

/// Reads a boolean flag's value as Go's `ParseBool` does.
pub(super) fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("not a boolean".to_owned()),
    }
}
