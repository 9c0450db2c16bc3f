//! `version`: the same lines as the reference, with what a Rust build knows.

use std::io::{self, Write};

use crate::error::{Error, Result};

/// Prints the version; build facts come from the environment of the build, if set there.
pub fn print(verbose: bool) -> Result<()> {
    let mut out = io::stdout().lock();
    lines(&mut out, verbose).map_err(Error::stdout)
}

fn lines(out: &mut impl Write, verbose: bool) -> io::Result<()> {
    writeln!(out, "datasafed: {}", env!("CARGO_PKG_VERSION"))?;
    if !verbose {
        return Ok(());
    }
    let known = |fact: Option<&'static str>| fact.unwrap_or("unknown");
    for (key, value) in [
        ("BuildDate", known(option_env!("HOLDFAST_BUILD_DATE"))),
        ("GitCommit", known(option_env!("HOLDFAST_GIT_COMMIT"))),
        ("GitTag", known(option_env!("HOLDFAST_GIT_TAG"))),
        ("GoVersion", "none"),
        ("Compiler", "rustc"),
    ] {
        writeln!(out, "  {key}: {value}")?;
    }
    let (system, machine) = (std::env::consts::OS, std::env::consts::ARCH);
    writeln!(out, "  Platform: {system}/{machine}")
}
