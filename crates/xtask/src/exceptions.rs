//! Where our CRDs differ from the wire contract's table, and why each difference is right.

use crate::fields::Mismatch;

/// One allowed difference.
#[derive(Clone, Copy, Debug)]
pub struct Exception {
    /// Kind; `*` is any.
    pub kind: &'static str,
    /// Path; a `*` at its start or end stands for any text.
    pub path: &'static str,
    /// Column, as in [`Mismatch::column`].
    pub column: &'static str,
    /// What we say instead; a `*` at its start stands for any text.
    pub ours: &'static str,
    /// Why.
    pub reason: &'static str,
}

impl Exception {
    /// Whether it allows this difference.
    pub fn allows(&self, mismatch: &Mismatch) -> bool {
        (self.kind == "*" || self.kind == mismatch.kind)
            && fits(self.path, &mismatch.path)
            && self.column == mismatch.column
            && fits(self.ours, &mismatch.ours)
    }
}

fn fits(pattern: &str, text: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => text.ends_with(end),
        (None, Some(start)) => text.starts_with(start),
        (None, None) => pattern == text,
    }
}

/// The reference writes this enum twice, under `allOf`, where its table does not look; ours is plain.
const ENUM_TWICE: &str = "the contract's table omits an enum written under allOf";
/// Core types of the contract have the shape of Kubernetes 1.29.
const NEWER_CORE: &str = "core types have grown; a field newer clusters know is kept, not pruned";

/// Every allowed difference; one that allows nothing is an error.
pub const EXCEPTIONS: &[Exception] = &[
    Exception {
        kind: "ActionSet",
        path: "spec.backupType",
        column: "enum",
        ours: "Full|Incremental|Differential|Continuous|Selective",
        reason: ENUM_TWICE,
    },
    Exception {
        kind: "Backup",
        path: "spec.deletionPolicy",
        column: "enum",
        ours: "Delete|Retain",
        reason: ENUM_TWICE,
    },
    Exception {
        kind: "BackupRepo",
        path: "status.phase",
        column: "enum",
        ours: "PreChecking|Failed|Ready|Deleting",
        reason: ENUM_TWICE,
    },
    Exception {
        kind: "Backup",
        path: "columns",
        column: "addition",
        ours: r#"; WAITING-FOR=.status.conditions[?(@.type=="Progressing")].reason"#,
        reason: "a waiting backup names what it waits for",
    },
    Exception {
        kind: "BackupRepo",
        path: "columns",
        column: "addition",
        ours: r#"; WAITING-FOR=.status.conditions[?(@.status!="True")].reason"#,
        reason: "a repository that is not ready says why",
    },
    Exception {
        kind: "Restore",
        path: "columns",
        column: "addition",
        ours: r#"; WAITING-FOR=.status.conditions[?(@.status!="True")].reason"#,
        reason: "a waiting restore names what it waits for",
    },
    Exception {
        kind: "Backup",
        path: "status.conditions*",
        column: "addition",
        ours: "present",
        reason: "ours: what a backup waits for; optional",
    },
    Exception {
        kind: "Restore",
        path: "*[].jobUid",
        column: "addition",
        ours: "present",
        reason: "ours: a recorded Job that vanished voids its attempt; optional",
    },
    Exception {
        kind: "*",
        path: "*.resources.claims[].request",
        column: "addition",
        ours: "present",
        reason: NEWER_CORE,
    },
    Exception {
        kind: "Restore",
        path: "spec.containerResources.claims[].request",
        column: "addition",
        ours: "present",
        reason: NEWER_CORE,
    },
    Exception {
        kind: "*",
        path: "*.volumeMounts[].recursiveReadOnly",
        column: "addition",
        ours: "present",
        reason: NEWER_CORE,
    },
];
