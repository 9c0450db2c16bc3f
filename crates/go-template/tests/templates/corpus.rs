//! Every template of the reference's StorageProviders, rendered by Go and by us.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::recorded::{Case, Outcome, data, outcome};
use go_template::{Flavour, World, render};
use serde_json::{Value as Json, json};

/// Templates of the corpus when it was last seen.
const CASES: usize = 75;
const FIELDS: [&str; 4] =
    ["csiDriverSecretTemplate", "storageClassTemplate", "persistentVolumeClaimTemplate", "datasafedConfigTemplate"];

struct Template {
    name: String,
    text: String,
    context: Json,
}

/// `$HOLDFAST_SHARED`, else the directory beside the workspace.
fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = std::env::var_os("HOLDFAST_SHARED").map_or(beside, PathBuf::from);
    shared.is_dir().then_some(shared)
}

/// Each template with the provider's defaults, with every parameter, and with none.
fn templates(corpus: &Path) -> Vec<Template> {
    let mut found = Vec::new();
    for path in yaml_files(corpus) {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("kind: StorageProvider") {
            continue;
        }
        let provider: Json = serde_saphyr::from_str(&text).unwrap();
        let spec = &provider["spec"];
        let properties =
            spec["parametersSchema"]["openAPIV3Schema"]["properties"].as_object().cloned().unwrap_or_default();
        let sample = |name: &str| json!(format!("sample {name}"));
        let defaults: BTreeMap<_, _> = properties
            .iter()
            .filter_map(|(name, property)| {
                Some((name.clone(), property.get("default")?.to_string().trim_matches('"').to_owned()))
            })
            .collect();
        let all: BTreeMap<_, _> = properties.keys().map(|name| (name.clone(), sample(name))).collect();
        for field in FIELDS {
            let Some(template) = spec[field].as_str() else { continue };
            for (kind, parameters) in [("defaults", json!(defaults)), ("all", json!(all)), ("none", json!({}))] {
                let reference = json!({ "struct": [["Name", { "text": "secret" }], ["Namespace", { "text": "ns" }]] });
                let context = json!({ "struct": [["Parameters", { "texts": parameters }],
                    ["CSIDriverSecretRef", reference], ["GeneratedStorageClassName", { "text": "class" }]] });
                let name = format!("{} {field} {kind}", provider["metadata"]["name"]);
                found.push(Template { name, text: template.to_owned(), context });
            }
        }
    }
    found
}

fn yaml_files(dir: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut pending = vec![dir.to_path_buf()];
    while let Some(dir) = pending.pop() {
        for entry in std::fs::read_dir(&dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

fn ours(template: &Template) -> Outcome {
    let world = World::at(jiff::Timestamp::UNIX_EPOCH);
    outcome(render("t", &template.text, &data(&template.context), Flavour::Sprig, &world))
}

/// What Go makes of them, in their order; why not, where there is no Go.
fn go(templates: &[Template]) -> Result<Vec<Case>, String> {
    let dir = std::env::temp_dir().join(format!("go-template-corpus-{}", std::process::id()));
    std::fs::create_dir_all(&dir).map_err(|e| e.to_string())?;
    for (i, template) in templates.iter().enumerate() {
        let case = json!({ "template": template.text, "flavour": "sprig", "data": template.context });
        std::fs::write(dir.join(format!("{i:05}.json")), case.to_string()).map_err(|e| e.to_string())?;
    }
    let generator = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let run = Command::new("go").args(["run", ".", "-dir"]).arg(&dir).current_dir(generator).output();
    let removed = std::fs::remove_dir_all(&dir);
    let output = run.map_err(|e| format!("go: {e}"))?;
    removed.map_err(|e| e.to_string())?;
    if !output.status.success() {
        return Err(format!("go run: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| e.to_string())
}

#[test]
fn templates_of_all_storage_providers_equal_go() {
    let Some(shared) = shared() else { return println!("SKIPPED(shared missing): {CASES} cases") };
    let templates = templates(&shared.join("corpus"));
    assert!(templates.len() >= CASES, "{} templates", templates.len());
    for template in &templates {
        // They all render; nothing of them is beyond us.
        assert!(matches!(ours(template), Outcome::Bytes(_)), "{}: {}", template.name, ours(template));
    }
    let wanted = match go(&templates) {
        Ok(wanted) => wanted,
        Err(why) => return println!("SKIPPED({why}): {} cases compared with Go", templates.len()),
    };
    assert_eq!(wanted.len(), templates.len());
    for (template, case) in templates.iter().zip(&wanted) {
        let (wanted, got) = (case.wanted(), ours(template));
        assert!(wanted == got, "{}\n want {wanted}\n got  {got}", template.name);
    }
    println!("corpus: templates={} equal={}", templates.len(), wanted.len());
}
