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

/// Objects whose schema we leave open although the contract describes what is below: accepted and
/// kept as they were written, unchecked.
#[derive(Clone, Copy, Debug)]
pub struct OpenObject {
    /// Kind; `*` is any.
    pub kind: &'static str,
    /// Paths; a `*` at the start stands for any text.
    pub paths: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

impl OpenObject {
    /// Whether it names this path.
    pub fn covers(&self, kind: &str, path: &str) -> bool {
        (self.kind == "*" || self.kind == kind) && self.paths.iter().any(|pattern| fits(pattern, path))
    }
}

/// Open objects; without them the largest CRDs are 241 kB and 144 kB. One that is not open in our
/// CRDs, or covers no path of the contract, is an error.
pub const OPEN: &[OpenObject] = &[
    OpenObject {
        kind: "*",
        paths: &["*.env[].valueFrom", "*.restoreEnv[].valueFrom"],
        reason: "checked again as part of a pod; sources of newer clusters are kept",
    },
    OpenObject {
        kind: "*",
        paths: &["spec.services[].spec"],
        reason: "checked again as a Service; fields of newer clusters are kept",
    },
    OpenObject {
        kind: "ComponentDefinition",
        paths: &["spec.runtime"],
        reason: "checked again as a pod; the contract keeps unknown fields here too",
    },
    OpenObject { kind: "InstanceSet", paths: &["spec.template"], reason: "checked again as a pod" },
    OpenObject {
        kind: "InstanceSet",
        paths: &["*.volumeClaimTemplates[].status"],
        reason: "without meaning in a template",
    },
    OpenObject {
        kind: "*",
        paths: &["*.http", "*.grpc"],
        reason: "ways to call an action that this release does not serve",
    },
    OpenObject {
        kind: "ComponentDefinition",
        paths: &[
            "spec.lifecycleActions.availableProbe",
            "spec.lifecycleActions.dataDump",
            "spec.lifecycleActions.dataLoad",
            "spec.lifecycleActions.readonly",
            "spec.lifecycleActions.readwrite",
            "spec.lifecycleActions.reconfigure",
            "spec.configs[].reconfigure",
            "spec.scripts[].reconfigure",
            "spec.available.withProbe.condition",
        ],
        reason: "actions and probes that this release does not serve",
    },
    OpenObject {
        kind: "*",
        paths: &["*.configs[].reconfigureAction"],
        reason: "an action that this release does not serve",
    },
    OpenObject {
        kind: "ComponentDefinition",
        paths: &["*.multipleClusterObjectOption"],
        reason: "the same small object in seven selectors",
    },
    OpenObject {
        kind: "Cluster",
        paths: &["*.instances[]", "*.shardTemplates[]"],
        reason: "instances are checked again in the Component; shard templates are not served by this release",
    },
    OpenObject {
        kind: "OpsRequest",
        paths: &["*.newInstances[]", "spec.verticalScaling[]", "status.lastConfiguration"],
        reason: "of operations that this release does not serve",
    },
];

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
        kind: "Backup",
        path: "status.keptBecause",
        column: "addition",
        ours: "present",
        reason: "an expired backup that stays says why (ADR 0022)",
    },
    Exception {
        kind: "BackupSchedule",
        path: "status.schedules{}.nextScheduleTime",
        column: "addition",
        ours: "present",
        reason: "when an entry runs next",
    },
    Exception {
        kind: "BackupSchedule",
        path: "status.schedules{}.lastBackupName",
        column: "addition",
        ours: "present",
        reason: "which Backup the last run made",
    },
    Exception {
        kind: "BackupSchedule",
        path: "status.schedules{}.startingBackupName",
        column: "addition",
        ours: "present",
        reason: "a run is recorded before its Backup is made, so that no slot runs twice",
    },
    Exception {
        kind: "BackupSchedule",
        path: "status.schedules{}.reason",
        column: "addition",
        ours: "present",
        reason: "what an entry waits for, or why it was left out",
    },
    Exception {
        kind: "BackupSchedule",
        path: "status.schedules{}.message",
        column: "addition",
        ours: "present",
        reason: "the same for people",
    },
    Exception {
        kind: "BackupRepo",
        path: "columns",
        column: "addition",
        ours: r#"; WAITING-FOR=.status.conditions[?(@.status!="True")].reason"#,
        reason: "a repository that is not ready says why",
    },
    Exception {
        kind: "BackupRepo",
        path: "spec.namespaces*",
        column: "addition",
        ours: "present",
        reason: "who may use a repository, and with which key (design D23)",
    },
    Exception {
        kind: "BackupRepo",
        path: "status.preparedNamespaces*",
        column: "addition",
        ours: "present",
        reason: "Secrets are never listed: where they are is recorded before they are made",
    },
    Exception {
        kind: "BackupRepo",
        path: "status.failedChecks",
        column: "addition",
        ours: "present",
        reason: "pauses between pre-checks that fail grow",
    },
    Exception {
        kind: "BackupRepo",
        path: "status.checkedDigest",
        column: "addition",
        ours: "present",
        reason: "settings that changed after a failed pre-check are checked at once",
    },
    Exception {
        kind: "BackupRepo",
        path: "status.lastRecheck",
        column: "addition",
        ours: "present",
        reason: "a pre-check that was asked for is made once",
    },
    Exception {
        kind: "Restore",
        path: "columns",
        column: "addition",
        ours: r#"; WAITING-FOR=.status.conditions[?(@.status!="True")].reason"#,
        reason: "a waiting restore names what it waits for",
    },
    Exception {
        kind: "*",
        path: "columns",
        column: "addition",
        ours: r#"; RESTORE=.status.conditions[?(@.type=="Restore")].reason"#,
        reason: "how far a restore is, at each level",
    },
    Exception {
        kind: "Cluster",
        path: crate::fields::ROOT,
        column: "addition",
        ours: "present",
        reason: "spec.restore cannot be added to an existing Cluster, and goes only when it is restored",
    },
    Exception {
        kind: "Cluster",
        path: "spec.restore.source.*",
        column: "limits",
        ours: "minLength=1",
        reason: "an empty reference restores nothing; the contract accepts it",
    },
    Exception {
        kind: "ComponentDefinition",
        path: "spec.systemAccounts[].passwordGenerationPolicy*",
        column: "addition",
        ours: "present",
        reason: "old name of passwordConfig, which most addons still write; pruned, the password would be empty",
    },
    Exception {
        kind: "Backup",
        path: "status.conditions*",
        column: "addition",
        ours: "present",
        reason: "ours: what a backup waits for; optional",
    },
    Exception {
        kind: "Backup",
        path: "status.inputs*",
        column: "addition",
        ours: "present",
        reason: "ours: what a backup was started with, so that no parent object matters afterwards; optional",
    },
    Exception {
        kind: "Backup",
        path: "status.queue*",
        column: "addition",
        ours: "present",
        reason: "ours: its wait for a turn at repository and node (ADR 0025); optional",
    },
    Exception {
        kind: "Backup",
        path: "status.actions[].queue*",
        column: "addition",
        ours: "present",
        reason: "ours: the wait of one pod's Job for its turn (ADR 0025); optional",
    },
    Exception {
        kind: "Backup",
        path: "status.actions[].nodeName",
        column: "addition",
        ours: "present",
        reason: "ours: the node that a Job is counted on (ADR 0025); optional",
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
