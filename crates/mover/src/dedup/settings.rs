//! What the environment says about a deduplicating repository (mover.md §1.6).
//!
//! Enters: `DATASAFED_KOPIA_*` and the pass phrase. Leaves: [`Settings`], or `None` when objects
//! are stored plainly.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::paths::BasePath;

/// Chooses a deduplicating repository, and its place below the root of the store.
pub const ROOT: &str = "DATASAFED_KOPIA_REPO_ROOT";
const PASSWORD: &str = "DATASAFED_KOPIA_PASSWORD";
const MAINTENANCE: &str = "DATASAFED_KOPIA_MAINTENANCE";
const ALGORITHM: &str = "DATASAFED_ENCRYPTION_ALGORITHM";
const PASS_PHRASE: &str = "DATASAFED_ENCRYPTION_PASS_PHRASE";

/// The password of repositories for which nobody set one. It is public, so it gives no secrecy;
/// with it in the documentation everybody can read such a repository with `restic`.
const PUBLIC_PASSWORD: &str = "holdfast-deduplicated-repository";

/// Where a repository is and how it opens.
pub struct Settings {
    /// The restic repository, below the root of the store.
    pub root: PathBuf,
    /// What is stored under which path.
    pub records: PathBuf,
    /// Opens the repository.
    pub password: String,
}

impl Settings {
    /// Reads the environment.
    pub fn from_env() -> Result<Option<Self>> {
        let Some(given) = value(ROOT) else {
            return Ok(None);
        };
        let root = BasePath::default().locate(&given)?.key;
        let Some(name) = root.file_name() else {
            return Err(Error::InvalidPath {
                path: given.to_string_lossy().into_owned(),
                why: "DATASAFED_KOPIA_REPO_ROOT must name a directory below the root of the repository",
            });
        };
        let mut beside = name.to_owned();
        beside.push(".meta");
        let records = root.with_file_name(beside);
        Ok(Some(Self { root, records, password: password()? }))
    }
}

/// Whether the environment chooses a deduplicating repository.
pub fn is_chosen() -> bool {
    value(ROOT).is_some()
}

/// Whether maintenance was asked for.
pub fn wants_maintenance() -> bool {
    value(MAINTENANCE).is_some_and(|text| truth(&text))
}

fn password() -> Result<String> {
    let text = |name: &str, value: OsString| {
        value.into_string().map_err(|_| Error::Config(format!("{name} is not UTF-8 text")))
    };
    // Neither is trimmed: a blank may belong to a password.
    let raw = |name| env::var_os(name).filter(|value| !value.is_empty());
    if let Some(given) = raw(PASSWORD) {
        return text(PASSWORD, given);
    }
    if let Some(given) = raw(PASS_PHRASE) {
        return text(PASS_PHRASE, given);
    }
    if value(ALGORITHM).is_some() {
        return Err(Error::Config(format!("{ALGORITHM} is set, but {PASS_PHRASE} is not")));
    }
    Ok(PUBLIC_PASSWORD.to_owned())
}

/// A variable, trimmed; `None` when it is unset or blank.
fn value(name: &str) -> Option<OsString> {
    let value = env::var_os(name)?;
    let value = value.to_str().map_or_else(|| value.clone(), |text| text.trim().into());
    (!value.is_empty()).then_some(value)
}

/// Go's `ParseBool`.
fn truth(text: &OsStr) -> bool {
    matches!(text.to_str(), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}

/// A path below a directory of the repository, with a suffix on its last name.
pub fn record_key(records: &Path, key: &Path) -> PathBuf {
    let mut path = records.join(key).into_os_string();
    path.push(super::record::SUFFIX);
    path.into()
}
