//! The reference data beside the workspace: found in one place, and optional.

use std::path::{Path, PathBuf};

/// The `shared` directory: `$HOLDFAST_SHARED`, else the one beside the workspace root; `None` when there is none.
pub fn shared_dir() -> Option<PathBuf> {
    let named = std::env::var_os("HOLDFAST_SHARED").map(PathBuf::from);
    named.or_else(beside_workspace).filter(|dir| dir.is_dir())
}

/// Cargo and nextest set `CARGO_MANIFEST_DIR` for tests; the workspace root is where `Cargo.lock` lies above it.
fn beside_workspace() -> Option<PathBuf> {
    let package =
        std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    let root = package.ancestors().find(|dir| dir.join("Cargo.lock").is_file())?;
    root.parent().map(|parent| parent.join("shared"))
}

/// [`shared_dir`], or prints `SKIPPED(shared missing): N cases` and gives `None`.
///
/// ```
/// let Some(shared) = test_kit::skip_without_shared(12) else { return };
/// assert!(shared.is_dir());
/// ```
pub fn skip_without_shared(cases: usize) -> Option<PathBuf> {
    let dir = shared_dir();
    if dir.is_none() {
        println!("{}", skipped(cases));
    }
    dir
}

fn skipped(cases: usize) -> String {
    format!("SKIPPED(shared missing): {cases} cases")
}

/// A file below [`shared_dir`], when both are there.
pub fn shared_file(relative: impl AsRef<Path>) -> Option<PathBuf> {
    shared_dir().map(|dir| dir.join(relative)).filter(|path| path.exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_a_directory_and_the_skip_line_is_as_agreed() {
        assert!(shared_dir().is_none_or(|dir| dir.is_dir()));
        assert_eq!(skipped(3), "SKIPPED(shared missing): 3 cases");
        assert!(shared_file("no such file").is_none());
    }
}
