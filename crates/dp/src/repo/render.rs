//! Renders a StorageProvider's templates (contract-dp §9.1). Pure.
//!
//! Go's template language with sprig, as KubeBlocks renders them: the dot is a struct, an unknown
//! field of it is an error, an absent parameter is `<no value>`, and `index` of one is the empty text.

use go_template::{Data, Error, Flavour, World};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What a template sees.
#[derive(Clone, Debug, Default)]
pub struct Dot {
    /// `.Parameters`.
    pub parameters: BTreeMap<String, String>,
    /// `.CSIDriverSecretRef`: name and namespace; both empty without a secret template.
    pub driver_secret: (String, String),
    /// `.GeneratedStorageClassName`, filled for the claim only.
    pub class: String,
}

/// Renders `template`.
///
/// `now` is 1970 in these templates: a provider whose text depends on the clock would never come to rest.
///
/// # Errors
/// What is wrong, with line and action; never a parameter's value.
pub fn render(name: &str, template: &str, dot: &Dot) -> Result<String, Error> {
    let text = |text: &str| Data::Text(text.to_owned());
    let (secret, namespace) = &dot.driver_secret;
    let reference = Data::Struct(vec![("Name".into(), text(secret)), ("Namespace".into(), text(namespace))]);
    let context = Data::Struct(vec![
        ("Parameters".into(), Data::Texts(dot.parameters.clone())),
        ("CSIDriverSecretRef".into(), reference),
        ("GeneratedStorageClassName".into(), text(&dot.class)),
    ]);
    let world = World::at(Timestamp::UNIX_EPOCH);
    go_template::render(name, template, &context, Flavour::Sprig, &world)?.into_text()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dot(parameters: &[(&str, &str)]) -> Dot {
        let parameters = parameters.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Dot { parameters, driver_secret: ("csi".into(), "op".into()), class: "sc-1".into() }
    }

    #[test]
    fn bd30_templates_see_parameters_and_names_and_nothing_of_the_process() {
        for (template, expected) in [
            ("{{ .Parameters.class | default \"\" }}", "fast"),
            ("{{ .Parameters.none | default \"x\" }}", "x"),
            ("[{{ index .Parameters \"none\" }}]", "[]"),
            ("{{ splitList \" \" \"a b\" | toJson }}", "[\"a\",\"b\"]"),
            ("{{ if hasPrefix \"fa\" .Parameters.class }}y{{ end }}", "y"),
            ("{{ .CSIDriverSecretRef.Namespace }}/{{ .CSIDriverSecretRef.Name }}", "op/csi"),
            ("{{ .GeneratedStorageClassName }}", "sc-1"),
            ("[{{ env \"PATH\" }}{{ expandenv \"$PATH\" }}{{ getHostByName \"localhost\" }}]", "[]"),
        ] {
            assert_eq!(render("t", template, &dot(&[("class", "fast")])).unwrap(), expected, "{template}");
        }
    }

    #[test]
    fn unknown_fields_and_unclosed_blocks_are_errors() {
        for template in ["{{ .Nope }}", "{{ if .Parameters.a }}x", "a{{ end }}b", "{{ \"a\"\"b\" }}"] {
            assert!(render("t", template, &dot(&[])).is_err(), "{template}");
        }
    }
}
