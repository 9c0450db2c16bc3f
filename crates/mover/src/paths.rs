//! Paths in a repository (mover.md §1.2): what a script writes becomes a key below the base path,
//! and never one outside of it.
//!
//! Enters: a path from the command line and the base path from the environment. Leaves: a
//! [`RemotePath`] with the key for the store and the form that is printed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Prefix of temporary names; hidden from `list` and `stat`, swept when stale.
pub const TEMP_PREFIX: &str = ".dsf-tmp-";

/// Prefix of every key; empty when no base path is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BasePath(PathBuf);

impl BasePath {
    /// Reads a base path: cleaned once, `.` and `/` mean none, `..` is refused.
    pub fn parse(text: &OsStr) -> Result<Self> {
        Ok(Self(relative(text)?))
    }

    /// The path that `text` names below this base path.
    pub fn locate(&self, text: &OsStr) -> Result<RemotePath> {
        let shown = relative(text)?;
        Ok(RemotePath {
            given: text.to_owned(),
            key: if shown.as_os_str().is_empty() { self.0.clone() } else { self.0.join(&shown) },
            shown,
            slash: text.as_bytes().ends_with(b"/"),
        })
    }
}

/// One path in the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemotePath {
    /// As the user wrote it; for messages.
    pub given: OsString,
    /// Relative to the root of the store; empty for the root itself.
    pub key: PathBuf,
    /// Relative to the base path, without leading slash; what `list` prints.
    pub shown: PathBuf,
    /// Written with a trailing slash: a directory, do not look for a file.
    pub slash: bool,
}

impl RemotePath {
    /// The path as given, quoted for messages.
    pub fn quoted(&self) -> String {
        format!("{:?}", self.given.to_string_lossy())
    }

    /// This path as the name of a file: not the base path, no trailing slash, not a name that
    /// listing would hide.
    pub fn as_file(&self) -> Result<&Path> {
        let refuse = |why| Err(Error::InvalidPath { path: self.given.to_string_lossy().into_owned(), why });
        if self.slash {
            return refuse("ends with '/'");
        }
        if self.shown.as_os_str().is_empty() {
            return Err(Error::IsDirectory);
        }
        if self.key.file_name().is_some_and(is_temporary) {
            return refuse("names starting with .dsf-tmp- are reserved");
        }
        Ok(&self.key)
    }
}

/// Whether a base name is one of our temporary files.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_bytes().starts_with(TEMP_PREFIX.as_bytes())
}

/// Cleans a path and makes it relative; refuses what leads out.
fn relative(text: &OsStr) -> Result<PathBuf> {
    let invalid = |why| Error::InvalidPath { path: text.to_string_lossy().into_owned(), why };
    if text.as_bytes().contains(&0) {
        return Err(invalid("contains a NUL byte"));
    }
    let rooted = text.as_bytes().starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in text.as_bytes().split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if !parts.is_empty() => {
                parts.pop();
            }
            // Above the root is the root itself; above a relative path is outside.
            b".." if rooted => {}
            b".." => return Err(invalid("it leads outside of the repository")),
            name => parts.push(name),
        }
    }
    Ok(PathBuf::from(OsString::from_vec(parts.join(&b'/'))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(base: &str, path: &str) -> Option<String> {
        let base = BasePath::parse(OsStr::new(base)).ok()?;
        let path = base.locate(OsStr::new(path)).ok()?;
        Some(path.key.to_string_lossy().into_owned())
    }

    #[test]
    fn paths_are_cleaned_and_stay_below_the_base() {
        for (base, path, expected) in [
            ("", "a/b/c.txt", Some("a/b/c.txt")),
            ("", "/a/b/c.txt", Some("a/b/c.txt")),
            ("", "./a//b/./c.txt", Some("a/b/c.txt")),
            ("", "/pod//x/../y", Some("pod/y")),
            ("/ns/bk1", "/x", Some("ns/bk1/x")),
            ("ns/bk1/", "x", Some("ns/bk1/x")),
            (".", "x", Some("x")),
            ("/", "x", Some("x")),
            ("/ns/bk1", "/", Some("ns/bk1")),
            ("/ns/bk1", ".", Some("ns/bk1")),
            ("/ns/bk1", "", Some("ns/bk1")),
            ("/ns/bk1", "/../x", Some("ns/bk1/x")),
            ("/ns/bk1", "..", None),
            ("/ns/bk1", "../x", None),
            ("/ns/bk1", "a/../../x", None),
            ("", "..x", Some("..x")),
            ("../ns", "x", None),
        ] {
            assert_eq!(key(base, path).as_deref(), expected, "{base} + {path}");
        }
    }

    #[test]
    fn file_paths_are_strict() {
        let base = BasePath::default();
        for refused in ["a/", "/", ".", "a/.dsf-tmp-1-x"] {
            let path = base.locate(OsStr::new(refused)).unwrap();
            assert!(path.as_file().is_err(), "{refused}");
        }
        assert!(base.locate(OsStr::new("a/b")).unwrap().as_file().is_ok());
    }
}
