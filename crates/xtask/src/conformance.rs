//! Our CRDs and types against the wire contract, without a cluster.
//!
//! The tables and manifests are data beside the workspace. Without them a small table and the
//! fixtures of our own stand in, and what was left out is counted.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::exceptions::EXCEPTIONS;
use crate::fields::{Mismatch, Table, compare};
use crate::manifests;
use crate::roundtrip;

/// Contract tables that exist: one for each kind.
const KINDS: usize = 8;
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

/// The contract's tables of the dp group, by kind.
pub fn tables(dir: &Path) -> Result<Vec<(String, Table)>> {
    let head = format!("{}_{}_", api_types::dp::GROUP, api_types::dp::VERSION);
    let mut tables = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if let Some(kind) = file.strip_prefix(&head).and_then(|rest| rest.strip_suffix(".tsv")) {
            let table = Table::parse(&fs::read_to_string(&path)?).with_context(|| file.to_owned())?;
            tables.push((kind.to_owned(), table));
        }
    }
    tables.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(tables)
}

/// Differences that no exception allows, and exceptions that allow nothing.
pub fn unexplained(tables: &[(String, Table)]) -> Result<(Vec<Mismatch>, Vec<usize>)> {
    let crds = api_types::dp::crds();
    let mut found = Vec::new();
    for (kind, wire) in tables {
        let crd = crds.iter().find(|crd| crd.spec.names.kind == *kind).with_context(|| format!("no CRD {kind}"))?;
        found.extend(compare(kind, wire, &Table::of(crd)?));
    }
    let allowed = |mismatch: &Mismatch| EXCEPTIONS.iter().any(|exception| exception.allows(mismatch));
    let idle = EXCEPTIONS.iter().enumerate();
    let idle = idle.filter(|(_, exception)| !found.iter().any(|mismatch| exception.allows(mismatch)));
    let idle = idle.map(|(index, _)| index).collect();
    Ok((found.iter().filter(|mismatch| !allowed(mismatch)).cloned().collect(), idle))
}

fn report_schemas(tables: &[(String, Table)], complete: bool) -> Result<bool> {
    let (unexplained, mut idle) = unexplained(tables)?;
    if !complete {
        idle.clear();
    }
    for mismatch in &unexplained {
        println!("MISMATCH {mismatch}");
    }
    for exception in idle.iter().filter_map(|&index| EXCEPTIONS.get(index)) {
        println!("UNUSED EXCEPTION {exception:?}");
    }
    let paths: usize = tables.iter().map(|(_, table)| table.rows.len()).sum();
    let (kinds, exceptions) = (tables.len(), EXCEPTIONS.len());
    println!("schemas: {paths} paths of {kinds} kinds, {exceptions} exceptions, {} mismatches", unexplained.len());
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

    #[test]
    fn own_table_and_fixtures_conform() {
        let table = Table::parse(OWN_TABLE).unwrap();
        let (unexplained, _) = unexplained(&[("BackupRepo".to_owned(), table)]).unwrap();
        assert_eq!(unexplained, []);
        let fixtures = crate::workspace_root().join("crates/api-types/tests/fixtures");
        assert!(report_round_trips(&fixtures).unwrap());
    }
}
