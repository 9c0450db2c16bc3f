//! Logs: one line per entry, text on a terminal and JSON elsewhere.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging to standard error; `filter` is a `RUST_LOG` expression.
pub fn start(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let started = if terminal { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
    if let Err(error) = started {
        eprintln!("logging was started before: {error}");
    }
}
