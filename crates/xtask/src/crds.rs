//! CRDs as files of their charts.
//!
//! Each CRD is one template without any template action: `deploy/charts/<chart>/templates/
//! <plural>.yaml`. It outlives the release (`helm.sh/resource-policy: keep`), since deleting a CRD
//! deletes every Cluster, or every backup record, with it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::groups::{self, Kind};

/// Largest CRD file, in bytes.
pub const LIMIT: usize = 65_536;

const HEAD: &str = "# Written by `cargo xtask crds`; do not edit.\n";

/// The directory a chart's templates lie in.
pub fn templates_dir(chart: &str) -> PathBuf {
    crate::workspace_root().join("deploy/charts").join(chart).join("templates")
}

/// File name and text of every CRD of a chart, by name.
pub fn rendered(chart: &str) -> Result<BTreeMap<String, String>> {
    groups::kinds().iter().filter(|kind| kind.chart == chart).map(render).collect()
}

fn render(kind: &Kind) -> Result<(String, String)> {
    let mut crd = kind.crd.clone();
    let keep = ("helm.sh/resource-policy".to_owned(), "keep".to_owned());
    crd.metadata.annotations.get_or_insert_default().extend([keep]);
    let file = format!("{}.yaml", crd.spec.names.plural);
    // Through JSON: its maps are ordered by name, so the text is stable.
    let yaml = serde_saphyr::to_string(&serde_json::to_value(&crd)?)?;
    ensure!(!yaml.contains("{{"), "{file} would be read as a template");
    Ok((file, format!("{HEAD}{}\n", yaml.trim_end())))
}

/// Writes every CRD and prints its size; false when one is too large.
pub fn write() -> Result<bool> {
    for chart in groups::charts() {
        let dir = templates_dir(chart);
        fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
        for (file, text) in rendered(chart)? {
            let path = dir.join(&file);
            fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
        }
    }
    check()
}

/// Compares the files with the types and the limit, printing each CRD; false on any difference.
pub fn check() -> Result<bool> {
    let mut fine = true;
    for chart in groups::charts() {
        fine &= check_chart(chart)?;
    }
    Ok(fine)
}

fn check_chart(chart: &str) -> Result<bool> {
    let expected = rendered(chart)?;
    let found = found(chart)?;
    let mut fine = true;
    for (file, text) in &expected {
        let verdict = match found.get(file) {
            None => "MISSING",
            Some(old) if old != text => "DIFFERS, run `cargo xtask crds`",
            Some(_) if text.len() > LIMIT => "TOO LARGE",
            Some(_) => "ok",
        };
        fine &= verdict == "ok";
        println!("{:>6} of {LIMIT} bytes  {chart}/{file}  {verdict}", text.len());
    }
    for stray in found.keys().filter(|file| !expected.contains_key(*file)) {
        println!("STRAY {chart}/{stray}");
        fine = false;
    }
    Ok(fine)
}

fn found(chart: &str) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    let Ok(entries) = fs::read_dir(templates_dir(chart)) else {
        return Ok(files);
    };
    for entry in entries {
        let entry = entry?;
        let text = fs::read_to_string(entry.path())?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn all() -> Vec<(String, String)> {
        groups::charts().into_iter().flat_map(|chart| rendered(chart).unwrap()).collect()
    }

    #[test]
    fn charts_carry_the_crds_of_the_types() {
        assert!(check().unwrap(), "run `cargo xtask crds`");
    }

    #[test]
    fn each_crd_is_small_and_reads_back() {
        assert_eq!(all().len(), 16);
        for (file, text) in all() {
            assert!(text.len() <= LIMIT, "{file}: {} bytes", text.len());
            let value: Value = serde_saphyr::from_str(&text).unwrap();
            assert_eq!(value["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
            assert_eq!(value["metadata"]["labels"]["app.kubernetes.io/name"], "kubeblocks");
        }
    }

    /// An optional enum must not become a choice between the enum and null.
    #[test]
    fn schemas_have_no_null_no_choice_no_title() {
        for (file, text) in all() {
            for word in ["nullable", "anyOf", "oneOf", "allOf", "title:", "- null", "$ref"] {
                assert!(!text.contains(word), "{word} in {file}");
            }
        }
    }

    /// Kubernetes refuses a default or a required mark at the top of an object we cannot fill.
    #[test]
    fn neither_spec_nor_status_is_required() {
        for kind in groups::kinds() {
            let value = serde_json::to_value(&kind.crd).unwrap();
            let schema = &value["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
            assert!(schema.get("required").is_none());
            assert!(schema["properties"]["spec"].get("default").is_none());
        }
    }
}
