//! What Go made of thousands of templates, replayed byte for byte. `golden/` wrote the fixture.

use std::collections::{BTreeMap, BTreeSet};

use crate::recorded::{Case, Outcome, file, refused, unrecorded};
use go_template::Flavour;

/// Cases whose result differs from Go's, and why. None may differ otherwise, and each of these must.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("{{ snakecase \"\\xff\\xfe\" }}", NOT_UTF8),
    ("{{ (snakecase \"\\xff\\xfe\") | toJson }}", NOT_UTF8),
    ("{{ (\"\\xff\\xfe\" | snakecase) | toJson }}", NOT_UTF8),
    ("{{ $l := splitList \",\" \"b,a\" }}{{ $_ := sortAlpha $l }}{{ $l }}", "sortAlpha leaves its list as it was"),
    ("{{ 1i }}", "complex numbers are an error"),
    ("{{ printf \"%x\" 1.5 }}", "the verbs %b, %x and %X of floats are an error"),
];
const NOT_UTF8: &str = "snakecase, kebabcase and camelcase write U+FFFD for a byte that is no UTF-8";

#[test]
fn every_recorded_case_gives_what_go_gives() {
    let file = file();
    let (mut passed, mut failed) = (0, Vec::new());
    let mut excepted = BTreeSet::new();
    for case in &file.cases {
        let got = case.render(&file.contexts);
        let wanted = case.wanted();
        let exception = EXCEPTIONS.iter().find(|(template, _)| *template == case.template);
        match (got == wanted, exception) {
            (true, None) => passed += 1,
            (false, Some((template, why))) => {
                if excepted.insert(template) {
                    println!("EXCEPTION {template:?}: {why}");
                }
            }
            (true, Some((template, _))) => failed.push(format!("no exception any more: {template}")),
            (false, None) => failed.push(report(case, &wanted, &got)),
        }
    }
    println!("golden: cases={} passed={passed} exceptions={}", file.cases.len(), excepted.len());
    let shown: Vec<_> = failed.iter().take(400).cloned().collect();
    assert!(failed.is_empty(), "{} differ:\n{}", failed.len(), shown.join("\n"));
}

fn report(case: &Case, wanted: &Outcome, got: &Outcome) -> String {
    format!("{} {} {:?}\n  want {wanted}\n  got  {got}", case.flavour, case.topic, case.template)
}

#[test]
fn every_function_of_both_libraries_is_there_and_has_cases() {
    let file = file();
    let mut topics: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for case in &file.cases {
        *topics.entry((&case.flavour, &case.topic)).or_default() += 1;
    }
    for (name, flavour) in [("sprig", Flavour::Sprig), ("slim", Flavour::SlimSprig)] {
        let wanted = &file.functions[name];
        assert_eq!(&flavour.functions(), wanted, "{name}");
        let mut counted = 0;
        for function in wanted {
            if unrecorded(function) || refused(function) {
                continue;
            }
            let cases = topics.get(&(name, function.as_str())).copied().unwrap_or(0);
            assert!(cases > 1, "{name} {function} has {cases} cases");
            counted += 1;
        }
        println!("functions: flavour={name} all={} with-cases={counted}", wanted.len());
    }
}
