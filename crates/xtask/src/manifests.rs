//! Manifests of the wire contract's groups, from files with one or more YAML documents.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::groups::GROUPS;

/// One object and where it was read.
#[derive(Clone, Debug)]
pub struct Manifest {
    /// File and number of the document in it, from 1.
    pub place: String,
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// The object.
    pub object: Value,
}

/// Every object of our groups below a directory, in file order.
///
/// Documents are read with the YAML core schema: an unquoted time stays text, as for the API
/// server.
pub fn below(dir: &Path) -> Result<Vec<Manifest>> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    files.sort();
    let mut manifests = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(dir).unwrap_or(&file).display().to_string();
        manifests.extend(parse(&name, &text)?);
    }
    Ok(manifests)
}

/// Every object of our groups in one text.
pub fn parse(name: &str, text: &str) -> Result<Vec<Manifest>> {
    let ours = |api_version: &str| GROUPS.iter().any(|group| group.api_version == api_version);
    if !GROUPS.iter().any(|group| text.contains(group.api_version)) {
        return Ok(Vec::new());
    }
    // Only the core schema's `true` and `false` are booleans; recorded objects hold unquoted `y`.
    // File modes such as 0444 are octal, as for `kubectl`.
    let options = serde_saphyr::options! { strict_booleans: true, legacy_octal_numbers: true };
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(text, options).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
    let objects = documents.into_iter().enumerate().filter_map(|(index, object)| {
        let text = |key: &str| object.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        ours(&api_version).then(|| Manifest { place: format!("{name}#{}", index + 1), api_version, kind, object })
    });
    Ok(objects.collect())
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|end| end == "yaml" || end == "yml") {
            files.push(path);
        }
    }
    Ok(())
}
