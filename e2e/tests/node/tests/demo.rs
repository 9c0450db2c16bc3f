//! The main job, as a new user runs it.

use e2e_node::{run, workspace};
use std::process::Command;

#[test]
fn the_demo_restores_a_postgresql_and_a_cluster() {
    let out = run(Command::new(workspace().join("e2e/demo.sh")).arg("up"));
    let last = out.lines().last().unwrap_or_default();
    let figures = last.strip_prefix("demo: PASS rows=100000 checksum=equal ").unwrap_or_else(|| panic!("{out}"));
    let parts: Vec<&str> = figures.split(' ').filter_map(|f| f.split_once("_seconds=")).map(|f| f.0).collect();
    assert_eq!(parts, ["a", "b", "c"], "{last}");
}
