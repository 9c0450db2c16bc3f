//! Dependencies between crates of the workspace against the table of the design (§4).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// Which crate may use which. Everything may use `api-types`; development dependencies on
/// `test-kit` are free.
const ALLOWED: &[(&str, &[&str])] = &[
    ("api-types", &[]),
    ("controller-kit", &["api-types"]),
    ("go-template", &["api-types"]),
    ("job-runtime", &["api-types", "controller-kit"]),
    ("mover-protocol", &["api-types"]),
    ("apps", &["api-types", "controller-kit", "go-template"]),
    ("dp", &["api-types", "controller-kit", "go-template", "job-runtime", "mover-protocol"]),
    ("job-strategy", &["api-types", "controller-kit", "go-template", "job-runtime"]),
    ("mover", &["api-types", "mover-protocol"]),
    ("kubectl-holdfast", &["api-types"]),
    ("test-kit", &["api-types"]),
];

/// One dependency between two crates of the workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrow {
    /// The crate that depends.
    pub from: String,
    /// The crate it depends on.
    pub to: String,
    /// Whether only its tests do.
    pub dev: bool,
}

/// Reads the workspace and prints each offending arrow; gives whether there is none.
pub fn run() -> Result<bool> {
    let root = crate::workspace_root();
    let (arrows, unknown) = read(&metadata(&root)?, &root)?;
    let offending: Vec<_> = arrows.iter().filter(|arrow| !allowed(arrow)).collect();
    for arrow in &offending {
        let kind = if arrow.dev { " (for tests)" } else { "" };
        println!("FORBIDDEN {} -> {}{kind}", arrow.from, arrow.to);
    }
    for name in &unknown {
        println!("UNKNOWN crate {name}: the design has no room for it");
    }
    println!("arrows: {} between crates, {} forbidden", arrows.len(), offending.len());
    Ok(offending.is_empty() && unknown.is_empty())
}

fn metadata(root: &Path) -> Result<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let args = ["metadata", "--format-version=1", "--no-deps", "--offline"];
    let output = Command::new(cargo).args(args).current_dir(root).output().context("run cargo metadata")?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Arrows between crates under `crates/`, except from `xtask`, and crates the table lacks.
/// Packages elsewhere (`e2e/`) may use anything.
fn read(metadata: &Value, root: &Path) -> Result<(BTreeSet<Arrow>, BTreeSet<String>)> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let members: BTreeSet<String> = packages.iter().map(|package| text(package, "name")).collect();
    let (mut arrows, mut unknown) = (BTreeSet::new(), BTreeSet::new());
    for package in packages {
        let from = text(package, "name");
        let is_crate = Path::new(&text(package, "manifest_path")).starts_with(root.join("crates"));
        if !is_crate || from == "xtask" {
            continue;
        }
        if !ALLOWED.iter().any(|(name, _)| *name == from) {
            unknown.insert(from.clone());
        }
        let dependencies = package.get("dependencies").and_then(Value::as_array);
        for dependency in dependencies.into_iter().flatten() {
            let (to, dev) = (text(dependency, "name"), text(dependency, "kind") == "dev");
            if members.contains(&to) {
                arrows.insert(Arrow { from: from.clone(), to, dev });
            }
        }
    }
    Ok((arrows, unknown))
}

fn allowed(arrow: &Arrow) -> bool {
    let free = arrow.dev && arrow.to == "test-kit";
    free || ALLOWED.iter().any(|(from, to)| *from == arrow.from && to.contains(&arrow.to.as_str()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn arrow(from: &str, to: &str, dev: bool) -> Arrow {
        Arrow { from: from.to_owned(), to: to.to_owned(), dev }
    }

    #[test]
    fn operators_never_import_each_other() {
        assert!(!allowed(&arrow("apps", "dp", false)));
        assert!(!allowed(&arrow("dp", "apps", true)));
        assert!(allowed(&arrow("dp", "job-runtime", false)));
        assert!(allowed(&arrow("mover", "test-kit", true)));
        assert!(!allowed(&arrow("mover", "test-kit", false)));
        assert!(!allowed(&arrow("api-types", "controller-kit", false)));
    }

    #[test]
    fn only_crates_of_the_workspace_count() {
        let metadata = json!({ "packages": [
            { "name": "dp", "manifest_path": "/w/crates/dp/Cargo.toml", "dependencies": [
                { "name": "kube", "kind": null }, { "name": "api-types", "kind": null },
                { "name": "test-kit", "kind": "dev" },
            ] },
            { "name": "api-types", "manifest_path": "/w/crates/api-types/Cargo.toml", "dependencies": [] },
            { "name": "test-kit", "manifest_path": "/w/crates/test-kit/Cargo.toml", "dependencies": [] },
            { "name": "novelty", "manifest_path": "/w/crates/novelty/Cargo.toml", "dependencies": [] },
            { "name": "e2e-api", "manifest_path": "/w/e2e/tests/api/Cargo.toml", "dependencies": [
                { "name": "dp", "kind": null },
            ] },
        ] });
        let (arrows, unknown) = read(&metadata, Path::new("/w")).unwrap();
        let expected = [arrow("dp", "api-types", false), arrow("dp", "test-kit", true)];
        assert_eq!(arrows, BTreeSet::from(expected));
        assert_eq!(unknown, BTreeSet::from(["novelty".to_owned()]));
    }

    #[test]
    fn workspace_has_no_forbidden_arrow() {
        assert!(run().unwrap(), "see the lines above");
    }
}
