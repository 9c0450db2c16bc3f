//! ActionSets as addons ship them.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

/// Where the data outside of this repository is.
pub fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("HOLDFAST_SHARED")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../../shared"), PathBuf::from);
    Some(shared.join("corpus")).filter(|path| path.exists())
}

/// A document of the corpus; without it says that these cases are skipped.
pub fn document(path: &str, cases: usize) -> Option<Value> {
    let Some(corpus) = corpus() else {
        println!("SKIPPED(shared missing): {cases} cases");
        return None;
    };
    let text = fs::read_to_string(corpus.join(path)).unwrap();
    Some(serde_saphyr::from_str(&text).unwrap())
}

/// One ActionSet.
pub struct ActionSet(Value);

/// What one container runs.
pub struct Action {
    /// Program and arguments.
    pub command: Vec<String>,
    /// The ActionSet's environment; values may refer to earlier ones.
    pub env: Vec<(String, String)>,
}

impl ActionSet {
    /// Reads one; `cases` are skipped without it.
    pub fn read(path: &str, cases: usize) -> Option<Self> {
        document(path, cases).map(Self)
    }

    /// The action at a path below `spec`.
    pub fn action(&self, pointer: &str) -> Action {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let command = self.0.pointer(&format!("/spec/{pointer}/command")).unwrap_or_else(|| panic!("no {pointer}"));
        let env = self.0.pointer("/spec/env").and_then(Value::as_array).into_iter().flatten();
        Action {
            command: command.as_array().unwrap().iter().map(text).collect(),
            env: env.map(|item| (text(&item["name"]), text(&item["value"]))).collect(),
        }
    }

    /// What makes a backup.
    pub fn backup(&self) -> Action {
        self.action("backup/backupData")
    }

    /// What fills a volume.
    pub fn prepare(&self) -> Action {
        self.action("restore/prepareData")
    }

    /// What runs beside a restored database.
    pub fn post_ready(&self, index: usize) -> Action {
        self.action(&format!("restore/postReady/{index}/job"))
    }
}
