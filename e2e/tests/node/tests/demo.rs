//! The main job, as a new user runs it.

use e2e_node::{run, workspace};
use std::process::Command;

#[test]
fn the_demo_restores_a_postgresql() {
    let out = run(Command::new(workspace().join("e2e/demo.sh")).arg("up"));
    let last = out.lines().last().unwrap_or_default();
    assert!(last.starts_with("demo: PASS rows=100000 checksum=equal a_seconds="), "{out}");
}
