//! The wire contract as a table of fields, and a CRD schema read the same way.
//!
//! A table is a TSV: a comment line about the CRD, a header, then one row for each path with its
//! type, whether it is required, enum, default, pattern, limits, flags and CEL rules. `[]` after a
//! name stands for the items of a list, `{}` for the values of a map.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use serde_json::Value;

/// Columns of a table after the path, in order.
pub const COLUMNS: [&str; 8] = ["type", "required", "enum", "default", "pattern", "limits", "flags", "rules"];

/// Flag of an object that keeps fields the schema does not know.
pub const OPEN_FLAG: &str = "preserve-unknown-fields";
/// Path of the object itself, where it has rules.
pub const ROOT: &str = "(root)";

/// One row: column to text; an absent column is empty.
pub type Row = BTreeMap<&'static str, String>;

/// The fields of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    /// Facts of the CRD: `scope`, `plural`, `short`, `categories`, `subresources`, `columns`.
    pub facts: BTreeMap<String, String>,
    /// Rows by path.
    pub rows: BTreeMap<String, Row>,
}

impl Table {
    /// Reads a TSV.
    pub fn parse(text: &str) -> Result<Self> {
        let mut lines = text.lines();
        let head = lines.next().and_then(|line| line.strip_prefix("# ")).context("no head line")?;
        let mut table = Self { facts: facts(head), rows: BTreeMap::new() };
        for line in lines.skip(1).filter(|line| !line.trim().is_empty()) {
            let mut cells = line.split('\t');
            let path = cells.next().unwrap_or_default().to_owned();
            let row = COLUMNS.into_iter().zip(cells).filter(|(_, cell)| !cell.is_empty());
            table.rows.insert(path, row.map(|(column, cell)| (column, cell.to_owned())).collect());
        }
        Ok(table)
    }

    /// Paths whose objects keep fields the schema does not know.
    pub fn open_paths(&self) -> impl Iterator<Item = &str> {
        let open = |row: &Row| cell(row, "flags").contains(OPEN_FLAG);
        self.rows.iter().filter(move |(_, row)| open(row)).map(|(path, _)| path.as_str())
    }

    /// Reads a CRD.
    pub fn of(crd: &CustomResourceDefinition) -> Result<Self> {
        let crd = serde_json::to_value(crd)?;
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let version = crd.pointer("/spec/versions/0").context("no version")?;
        let words = |value: Option<&Value>| {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).collect::<Vec<_>>().join(",")
        };
        let columns = version.get("additionalPrinterColumns").and_then(Value::as_array);
        let columns = columns.into_iter().flatten().map(|column| {
            let get = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("{}={}", get("name"), get("jsonPath"))
        });
        let subresources = version.get("subresources").and_then(Value::as_object);
        let subresources: Vec<_> = subresources.into_iter().flat_map(|map| map.keys().cloned()).collect();
        let facts = [
            ("scope", text("/spec/scope")),
            ("plural", text("/spec/names/plural")),
            ("short", words(crd.pointer("/spec/names/shortNames"))),
            ("categories", words(crd.pointer("/spec/names/categories"))),
            ("subresources", subresources.join(",")),
            ("columns", columns.collect::<Vec<_>>().join("; ")),
        ];
        let facts = facts.map(|(key, value)| (key.to_owned(), value)).into();
        let mut rows = BTreeMap::new();
        let schema = version.pointer("/schema/openAPIV3Schema").context("no schema")?;
        children("", schema, &mut rows);
        // The contract has none at the root, and its tables no row for it.
        if schema.get("x-kubernetes-validations").is_some() {
            rows.insert(ROOT.to_owned(), row(schema, false));
        }
        Ok(Self { facts, rows })
    }
}

fn facts(head: &str) -> BTreeMap<String, String> {
    let (plain, columns) = head.split_once(" columns=").unwrap_or((head, ""));
    let plain = plain.split(' ').filter_map(|fact| fact.split_once('='));
    let all = plain.chain([("columns", columns)]);
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn children(path: &str, schema: &Value, rows: &mut BTreeMap<String, Row>) {
    let required: BTreeSet<&str> = strings(schema.get("required")).collect();
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, child) in properties.into_iter().flatten() {
        let child_path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        visit(child_path, child, required.contains(name.as_str()), rows);
    }
    if let Some(items) = schema.get("items") {
        visit(format!("{path}[]"), items, false, rows);
    }
    if let Some(values) = schema.get("additionalProperties").filter(|values| values.is_object()) {
        visit(format!("{path}{{}}"), values, false, rows);
    }
}

fn visit(path: String, schema: &Value, required: bool, rows: &mut BTreeMap<String, Row>) {
    children(&path, schema, rows);
    rows.insert(path, row(schema, required));
}

fn row(schema: &Value, required: bool) -> Row {
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let is = |key: &str| schema.get(key).and_then(Value::as_bool).unwrap_or_default();
    let kind = if is("x-kubernetes-int-or-string") { "int-or-string".to_owned() } else { text("type") };
    let limits = ["minItems", "maxItems", "maxProperties", "minLength", "maxLength", "minimum", "maximum"];
    let limits = limits.into_iter().filter_map(|key| Some(format!("{key}={}", schema.get(key)?.as_f64()?)));
    let format = schema.get("format").and_then(Value::as_str).map(|format| format!("format={format}"));
    let open = is("x-kubernetes-preserve-unknown-fields").then(|| OPEN_FLAG.to_owned());
    let keys: Vec<_> = strings(schema.get("x-kubernetes-list-map-keys")).collect();
    let keys = (!keys.is_empty()).then(|| format!("list-map:{}", keys.join("+")));
    let rules = schema.get("x-kubernetes-validations").and_then(Value::as_array).into_iter().flatten();
    let rules = rules.filter_map(|rule| rule.get("rule").and_then(Value::as_str));
    let cells = [
        ("type", kind),
        ("required", if required { "required".to_owned() } else { String::new() }),
        ("enum", words(schema.get("enum"))),
        ("default", schema.get("default").map(Value::to_string).unwrap_or_default()),
        ("pattern", text("pattern")),
        ("limits", limits.chain(format).collect::<Vec<_>>().join(",")),
        ("flags", open.into_iter().chain(keys).collect::<Vec<_>>().join(",")),
        ("rules", rules.collect::<Vec<_>>().join("; ")),
    ];
    cells.into_iter().filter(|(_, cell)| !cell.is_empty()).collect()
}

/// Every word of an enum, one that is no text included: null would be a mistake to see.
fn words(value: Option<&Value>) -> String {
    let words = value.and_then(Value::as_array).into_iter().flatten();
    let words = words.map(|word| word.as_str().map_or_else(|| word.to_string(), str::to_owned));
    words.collect::<Vec<_>>().join("|")
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// One difference between contract and CRD.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mismatch {
    /// Kind.
    pub kind: String,
    /// Path, or a fact of the CRD.
    pub path: String,
    /// Column, `missing` for a path we lack, `addition` for one the contract lacks.
    pub column: String,
    /// What the contract says.
    pub wire: String,
    /// What we say.
    pub ours: String,
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, path, column, wire, ours } = self;
        write!(f, "{kind} {path} {column}: contract {wire:?}, ours {ours:?}")
    }
}

/// Every difference of a kind, facts first.
pub fn compare(kind: &str, wire: &Table, ours: &Table) -> Vec<Mismatch> {
    let mismatch = |path: &str, column: &str, wire: &str, ours: &str| Mismatch {
        kind: kind.to_owned(),
        path: path.to_owned(),
        column: column.to_owned(),
        wire: wire.to_owned(),
        ours: ours.to_owned(),
    };
    let mut found = Vec::new();
    for (fact, value) in &wire.facts {
        let own = ours.facts.get(fact).map(String::as_str).unwrap_or_default();
        match own.strip_prefix(value.as_str()) {
            Some("") => {}
            // Columns of ours may only follow those of the contract.
            Some(more) if fact == "columns" => found.push(mismatch(fact, "addition", "", more)),
            _ => found.push(mismatch(fact, "fact", value, own)),
        }
    }
    for (path, row) in &wire.rows {
        match ours.rows.get(path) {
            None => found.push(mismatch(path, "missing", "present", "absent")),
            Some(own) => {
                for column in COLUMNS {
                    let (value, own) = (cell(row, column), cell(own, column));
                    let beyond = column == "flags" && value == "core-type";
                    if !beyond && !same(column, value, own) {
                        found.push(mismatch(path, column, value, own));
                    }
                }
            }
        }
    }
    let additions = ours.rows.keys().filter(|path| !wire.rows.contains_key(*path));
    // An open object below which the contract's table does not look is no addition.
    let additions = additions.filter(|path| !below_core_type(path, wire));
    found.extend(additions.map(|path| mismatch(path, "addition", "absent", "present")));
    found
}

fn cell<'a>(row: &'a Row, column: &str) -> &'a str {
    row.get(column).map(String::as_str).unwrap_or_default()
}

/// Whether two cells say the same; words of an enum have no order.
fn same(column: &str, wire: &str, ours: &str) -> bool {
    let words = |cell: &str| cell.split('|').map(str::to_owned).collect::<BTreeSet<_>>();
    wire == ours || (column == "enum" && words(wire) == words(ours))
}

/// Whether a path lies below another one.
pub fn is_below(path: &str, parent: &str) -> bool {
    path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[', '{']))
}

fn below_core_type(path: &str, wire: &Table) -> bool {
    wire.rows.iter().any(|(parent, row)| cell(row, "flags") == "core-type" && path.starts_with(parent.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TSV: &str = "# scope=Namespaced plural=things short= categories=a,b subresources=status columns=A=.x; B=.y\n\
        path\ttype\trequired\tenum\tdefault\tpattern\tlimits\tflags\trules\n\
        spec\tobject\t\t\t\t\t\t\t\n\
        spec.n\tinteger\trequired\t\t2\t\tminimum=0,format=int32\t\tself == oldSelf\n";

    #[test]
    fn table_is_read() {
        let table = Table::parse(TSV).unwrap();
        assert_eq!(table.facts["columns"], "A=.x; B=.y");
        assert_eq!(table.facts["short"], "");
        assert_eq!(table.rows["spec.n"]["rules"], "self == oldSelf");
        assert_eq!(table.rows["spec"].len(), 1);
    }

    #[test]
    fn words_of_an_enum_have_no_order() {
        assert!(same("enum", "A|B|C", "C|A|B"));
        assert!(!same("enum", "A|B", "A|B|C"));
        assert!(!same("pattern", "a|b", "b|a"));
    }

    #[test]
    fn a_path_is_below_whole_names_only() {
        for below in ["spec.a.b", "spec.a[].b", "spec.a{}"] {
            assert!(is_below(below, "spec.a"), "{below}");
        }
        assert!(!is_below("spec.ab", "spec.a") && !is_below("spec.a", "spec.a"));
    }

    #[test]
    fn each_kind_of_difference_is_found() {
        let wire = Table::parse(TSV).unwrap();
        let mut ours = wire.clone();
        assert!(compare("Thing", &wire, &ours).is_empty());
        ours.rows.get_mut("spec.n").unwrap().insert("default", "3".to_owned());
        ours.rows.remove("spec");
        ours.rows.insert("status".to_owned(), Row::new());
        ours.facts.insert("scope".to_owned(), "Cluster".to_owned());
        let columns: Vec<_> = compare("Thing", &wire, &ours).into_iter().map(|m| m.column).collect();
        assert_eq!(columns, ["fact", "missing", "default", "addition"]);
    }
}
