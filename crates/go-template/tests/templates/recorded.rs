//! Cases as `golden/` writes them.

use std::collections::BTreeMap;
use std::fmt;

use go_template::{Data, Error, Flavour, MissingKey, World, render};
use serde::Deserialize;
use serde_json::Value as Json;

/// The fixture.
#[derive(Deserialize)]
pub struct File {
    pub functions: BTreeMap<String, Vec<String>>,
    pub contexts: BTreeMap<String, Json>,
    pub cases: Vec<Case>,
}

/// A template and what Go made of it.
#[derive(Deserialize)]
pub struct Case {
    #[serde(default)]
    pub topic: String,
    #[serde(default)]
    pub template: String,
    pub flavour: String,
    #[serde(default)]
    missing: String,
    #[serde(default)]
    context: String,
    output: Option<String>,
    #[serde(default)]
    hex: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    line: usize,
}

/// Bytes, or the kind and line of an error.
#[derive(PartialEq)]
pub enum Outcome {
    Bytes(Vec<u8>),
    Error(String, usize),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Self::Error(kind, line) => write!(f, "{kind} error in line {line}"),
        }
    }
}

pub fn file() -> File {
    serde_json::from_str(include_str!("../../golden/golden.json")).unwrap()
}

pub fn flavour(name: &str) -> Flavour {
    match name {
        "sprig" => Flavour::Sprig,
        "strict" => Flavour::SprigStrict,
        "slim" => Flavour::SlimSprig,
        other => panic!("flavour {other}"),
    }
}

/// Functions whose result differs each time.
pub fn unrecorded(name: &str) -> bool {
    name.starts_with("rand") || ["now", "ago", "env", "expandenv", "getHostByName", "shuffle", "uuidv4"].contains(&name)
}

/// Functions that are an error.
pub fn refused(name: &str) -> bool {
    let named =
        ["bcrypt", "htpasswd", "genPrivateKey", "derivePassword", "buildCustomCert", "encryptAES", "decryptAES"];
    named.contains(&name) || name.starts_with("genCA") || name.starts_with("genS")
}

impl Case {
    pub fn wanted(&self) -> Outcome {
        match (&self.output, self.error.as_str()) {
            (Some(output), _) => Outcome::Bytes(output.clone().into_bytes()),
            (None, "") => Outcome::Bytes(hex::decode(&self.hex).unwrap()),
            (None, kind) => Outcome::Error(kind.to_owned(), self.line),
        }
    }

    pub fn render(&self, contexts: &BTreeMap<String, Json>) -> Outcome {
        let mut world = World::at(jiff::Timestamp::UNIX_EPOCH);
        world.missing_key = match self.missing.as_str() {
            "" => None,
            "zero" => Some(MissingKey::Zero),
            "error" => Some(MissingKey::Error),
            other => panic!("missing key mode {other}"),
        };
        outcome(render("t", &self.template, &data(&contexts[&self.context]), flavour(&self.flavour), &world))
    }
}

pub fn outcome(rendered: Result<go_template::Rendered, Error>) -> Outcome {
    match rendered {
        Ok(rendered) => Outcome::Bytes(rendered.bytes),
        Err(error @ Error::Parse { .. }) => Outcome::Error("parse".into(), error.line()),
        Err(error @ Error::Execute { .. }) => Outcome::Error("execute".into(), error.line()),
        Err(other) => Outcome::Error(other.to_string(), 0),
    }
}

/// A context from its tagged JSON.
pub fn data(tagged: &Json) -> Data {
    let (kind, inner) = tagged.as_object().unwrap().iter().next().unwrap();
    match kind.as_str() {
        "struct" => Data::Struct(
            inner
                .as_array()
                .unwrap()
                .iter()
                .map(|field| (field[0].as_str().unwrap().into(), data(&field[1])))
                .collect(),
        ),
        "map" => Data::Map(inner.as_object().unwrap().iter().map(|(key, entry)| (key.clone(), data(entry))).collect()),
        "texts" => {
            let entries = inner.as_object().unwrap().iter();
            Data::texts(entries.map(|(key, value)| (key.clone(), value.as_str().unwrap())))
        }
        "text" => Data::Text(inner.as_str().unwrap().into()),
        "json" => Data::Json(inner.clone()),
        other => panic!("context {other}"),
    }
}
