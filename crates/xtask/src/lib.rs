//! Generators and checks of the workspace.
//!
//! | command | module | what |
//! |---|---|---|
//! | `crds` | [`crds`] | writes the CRDs into their charts, or checks what is there |
//! | `conformance` | [`conformance`] | compares CRDs and types with the wire contract |
//! | `arrows` | [`arrows`] | compares dependencies between crates with the design |
//! | `rbac` | [`rbac`] | writes the rules of the charts' roles, or checks what is there |
//!
//! A command prints what it found and says by its exit code whether all is well.

pub mod arrows;
pub mod conformance;
pub mod crds;
pub mod exceptions;
pub mod fields;
pub mod groups;
pub mod manifests;
pub mod rbac;
pub mod roundtrip;
pub mod server;

use std::path::PathBuf;

/// Root of the workspace this binary was built in.
pub fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2);
    root.map_or(manifest.clone(), PathBuf::from)
}
