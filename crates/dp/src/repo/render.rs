//! Renders a StorageProvider's templates (contract-dp §9.1). Pure.
//!
//! Go's template language with sprig, as KubeBlocks renders them: the dot is a struct, an unknown
//! field of it is an error, an absent parameter is `<no value>`, and `index` of one is the empty text.

use go_template::{Data, Error, Flavour, World};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// Renders `template` with `.Parameters`.
///
/// `now` is 1970 in these templates: a provider whose text depends on the clock would never come to rest.
///
/// # Errors
/// What is wrong, with line and action; never a parameter's value.
pub fn render(name: &str, template: &str, parameters: &BTreeMap<String, String>) -> Result<String, Error> {
    let empty = || Data::Text(String::new());
    let reference = Data::Struct(vec![("Name".into(), empty()), ("Namespace".into(), empty())]);
    let context = Data::Struct(vec![
        ("Parameters".into(), Data::Texts(parameters.clone())),
        ("CSIDriverSecretRef".into(), reference),
        ("GeneratedStorageClassName".into(), empty()),
    ]);
    let world = World::at(Timestamp::UNIX_EPOCH);
    go_template::render(name, template, &context, Flavour::Sprig, &world)?.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absent_parameters_fall_back_and_index_to_nothing() {
        let parameters = BTreeMap::from([("class".to_owned(), "fast".to_owned())]);
        for (template, expected) in [
            ("{{ .Parameters.class | default \"\" }}", "fast"),
            ("{{ .Parameters.none | default \"x\" }}", "x"),
            ("[{{ index .Parameters \"none\" }}]", "[]"),
            ("{{ splitList \" \" \"a b\" | toJson }}", "[\"a\",\"b\"]"),
            ("{{ if hasPrefix \"fa\" .Parameters.class }}y{{ end }}", "y"),
        ] {
            assert_eq!(render("t", template, &parameters).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn unknown_fields_and_unclosed_blocks_are_errors() {
        for template in ["{{ .Nope }}", "{{ if .Parameters.a }}x", "a{{ end }}b", "{{ \"a\"\"b\" }}"] {
            assert!(render("t", template, &BTreeMap::new()).is_err(), "{template}");
        }
    }
}
