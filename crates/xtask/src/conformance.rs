//! Our CRDs and types against the wire contract, without a cluster.
//!
//! The tables and manifests are data beside the workspace. Without them a small table and the
//! fixtures of our own stand in, and what was left out is counted.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::exceptions::{EXCEPTIONS, OPEN, OpenObject};
use crate::fields::{Mismatch, OPEN_FLAG, Table, compare, is_below};
use crate::groups::{self, GROUPS, Group};
use crate::manifests;
use crate::roundtrip;

/// Contract tables that exist: one for each kind.
const KINDS: usize = 16;
/// Our own small table, for a workspace alone.
const OWN_TABLE: &str = include_str!("../fixtures/backuprepo.tsv");

/// Compares schemas and round trips; prints each difference and gives whether there is none.
pub fn run() -> Result<bool> {
    let shared = test_kit::shared_dir();
    let tables = match &shared {
        Some(shared) => tables(&shared.join("corpus/fields"))?,
        None => vec![("BackupRepo".to_owned(), Table::parse(OWN_TABLE)?)],
    };
    let mut fine = report_schemas(&tables, shared.is_some())?;
    let dirs = match &shared {
        Some(shared) => vec![shared.join("corpus"), shared.join("observed")],
        None => vec![crate::workspace_root().join("crates/api-types/tests/fixtures")],
    };
    for dir in dirs {
        fine &= report_round_trips(&dir)?;
    }
    if shared.is_none() {
        println!("SKIPPED(shared missing): {} cases", KINDS - tables.len() + 2);
    }
    Ok(fine)
}

/// The contract's tables of the kinds we serve, by kind.
pub fn tables(dir: &Path) -> Result<Vec<(String, Table)>> {
    let mut tables = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some((group, kind)) = GROUPS.iter().find_map(|group| Some((group, kind_of(group, file)?))) else {
            continue;
        };
        if let Some((_, reason)) = group.not_served.iter().find(|(name, _)| *name == kind) {
            println!("not served: {} {kind}: {reason}", group.api_version);
            continue;
        }
        let table = Table::parse(&fs::read_to_string(&path)?).with_context(|| file.to_owned())?;
        tables.push((kind.to_owned(), table));
    }
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tables)
}

/// The kind a table file is of, if it is of this group.
fn kind_of<'a>(group: &Group, file: &'a str) -> Option<&'a str> {
    file.strip_prefix(&group.api_version.replace('/', "_"))?.strip_prefix('_')?.strip_suffix(".tsv")
}

/// What comparing schemas found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Differences that nothing allows.
    pub unexplained: Vec<Mismatch>,
    /// Exceptions and open objects that allow nothing.
    pub idle: Vec<String>,
    /// Paths of the contract below our open objects.
    pub below_open: usize,
}

/// Compares every table with our CRD of its kind.
pub fn compare_schemas(tables: &[(String, Table)]) -> Result<Findings> {
    let mut used = BTreeSet::new();
    let mut findings = Findings::default();
    for (kind, wire) in tables {
        let ours = groups::kinds().iter().find(|ours| ours.name() == kind).with_context(|| format!("no CRD {kind}"))?;
        let ours = Table::of(&ours.crd)?;
        for mismatch in compare(kind, wire, &ours) {
            if let Some(name) = allowed_by(&mismatch, &ours) {
                used.insert(name);
                findings.below_open += usize::from(mismatch.column == "missing");
            } else {
                findings.unexplained.push(mismatch);
            }
        }
    }
    let all = EXCEPTIONS.iter().map(|exception| format!("{exception:?}"));
    let all = all.chain(OPEN.iter().map(|open| format!("{open:?}")));
    findings.idle = all.filter(|name| !used.contains(name)).collect();
    Ok(findings)
}

/// The exception or open object that allows a difference.
fn allowed_by(mismatch: &Mismatch, ours: &Table) -> Option<String> {
    let Mismatch { kind, path, column, .. } = mismatch;
    let open = |open: &&OpenObject| {
        let mut objects = ours.open_paths().filter(|object| open.covers(kind, object));
        match column.as_str() {
            "missing" => objects.any(|object| is_below(path, object)),
            "flags" => mismatch.wire.is_empty() && mismatch.ours == OPEN_FLAG && objects.any(|object| object == path),
            _ => false,
        }
    };
    let exception = EXCEPTIONS.iter().find(|exception| exception.allows(mismatch));
    let exception = exception.map(|exception| format!("{exception:?}"));
    exception.or_else(|| OPEN.iter().find(open).map(|open| format!("{open:?}")))
}

fn report_schemas(tables: &[(String, Table)], complete: bool) -> Result<bool> {
    let Findings { unexplained, mut idle, below_open } = compare_schemas(tables)?;
    if !complete {
        idle.clear();
    }
    for mismatch in &unexplained {
        println!("MISMATCH {mismatch}");
    }
    for unused in &idle {
        println!("UNUSED {unused}");
    }
    let paths: usize = tables.iter().map(|(_, table)| table.rows.len()).sum();
    let (kinds, exceptions, differ) = (tables.len(), EXCEPTIONS.len(), unexplained.len());
    println!(
        "schemas: {paths} paths of {kinds} kinds, {below_open} of them in {} sorts of open objects, \
         {exceptions} exceptions, {differ} mismatches",
        OPEN.len()
    );
    Ok(unexplained.is_empty() && idle.is_empty())
}

fn report_round_trips(dir: &Path) -> Result<bool> {
    let manifests = manifests::below(dir)?;
    let mut fine = true;
    for manifest in &manifests {
        let found = roundtrip::differences(manifest).unwrap_or_else(|error| vec![error.to_string()]);
        for difference in &found {
            println!("ROUND TRIP {} {}: {difference}", manifest.place, manifest.kind);
        }
        fine &= found.is_empty();
    }
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    println!("round trips: {} objects of {name}", manifests.len());
    Ok(fine && !manifests.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_and_round_trips_conform() {
        assert!(run().unwrap(), "see the lines above");
    }

    /// What is below an open object is allowed, the same difference elsewhere is not.
    #[test]
    fn only_listed_open_objects_hide_paths() {
        let wire = "# scope=Namespaced\npath\ttype\n\
            spec.services[].spec.type\tstring\nspec.schedulingPolicy.type\tstring\n";
        let wire = Table::parse(wire).unwrap();
        let ours = Table::of(&groups::kind(api_types::apps::API_VERSION, "Cluster").unwrap().crd).unwrap();
        let missing: Vec<_> = compare("Cluster", &wire, &ours).into_iter().filter(|m| m.column == "missing").collect();
        assert_eq!(missing.len(), 2);
        let allowed: Vec<_> = missing.iter().filter(|m| allowed_by(m, &ours).is_some()).map(|m| &m.path).collect();
        assert_eq!(allowed, ["spec.services[].spec.type"]);
    }

    #[test]
    fn own_table_and_fixtures_conform() {
        let table = Table::parse(OWN_TABLE).unwrap();
        let findings = compare_schemas(&[("BackupRepo".to_owned(), table)]).unwrap();
        assert_eq!(findings.unexplained, []);
        let fixtures = crate::workspace_root().join("crates/api-types/tests/fixtures");
        assert!(report_round_trips(&fixtures).unwrap());
    }
}
