//! File-name patterns with the rules of Go's `path.Match`, which scripts of addons rely on.
//!
//! Enters: a pattern and a base name. Leaves: whether it matches; a malformed pattern matches
//! nothing (mover.md §1.4).

/// One element of a pattern.
enum Element {
    /// Exactly this character.
    Literal(char),
    /// Any one character but `/`.
    One,
    /// Any run of characters but `/`.
    Many,
    /// One character inside (or outside, when negated) the ranges.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// A parsed pattern.
pub struct Glob(Vec<Element>);

impl Glob {
    /// Reads a pattern; `None` when it is malformed.
    pub fn parse(pattern: &str) -> Option<Self> {
        let mut letters = pattern.chars().peekable();
        let mut elements = Vec::new();
        while let Some(letter) = letters.next() {
            elements.push(match letter {
                '*' => Element::Many,
                '?' => Element::One,
                '\\' => Element::Literal(letters.next()?),
                '[' => {
                    let negated = letters.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    loop {
                        if !ranges.is_empty() && letters.next_if_eq(&']').is_some() {
                            break;
                        }
                        let low = class_letter(&mut letters)?;
                        let high = if letters.next_if_eq(&'-').is_some() { class_letter(&mut letters)? } else { low };
                        ranges.push((low, high));
                    }
                    Element::Class { negated, ranges }
                }
                other => Element::Literal(other),
            });
        }
        Some(Self(elements))
    }

    /// Whether the whole name matches.
    pub fn matches(&self, name: &str) -> bool {
        let name: Vec<char> = name.chars().collect();
        matches_from(&self.0, &name)
    }
}

/// One letter inside brackets; `]` and `-` need a backslash.
fn class_letter(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match letters.next()? {
        '-' | ']' => None,
        '\\' => letters.next(),
        other => Some(other),
    }
}

/// Greedy matching with one remembered star, so the time stays quadratic at worst.
fn matches_from(elements: &[Element], name: &[char]) -> bool {
    let (mut at, mut letter) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match (elements.get(at), name.get(letter)) {
            (None, None) => return true,
            (Some(Element::Many), _) => {
                star = Some((at, letter));
                at += 1;
                continue;
            }
            (Some(element), Some(&letter)) => element.takes(letter),
            _ => false,
        };
        if step {
            at += 1;
            letter += 1;
            continue;
        }
        // Let the last star take one letter more.
        match star {
            Some((starred, from)) if name.get(from).is_some_and(|letter| *letter != '/') => {
                star = Some((starred, from + 1));
                at = starred + 1;
                letter = from + 1;
            }
            _ => return false,
        }
    }
}

impl Element {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Literal(wanted) => *wanted == letter,
            Self::One => letter != '/',
            Self::Many => false,
            Self::Class { negated, ranges } => {
                let inside = ranges.iter().any(|(low, high)| (*low..=*high).contains(&letter));
                inside != *negated
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rules_of_path_match() {
        let cases: &[(&str, &str, bool)] = &[
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a???b", "aé☺ ☺b", false),
            ("a???b", "aé☺☺b", true),
            ("[a-ζ]*", "α", true),
            ("*.zst", "base.tar.zst", true),
            ("*.zst", ".zst", true),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("", "", true),
            ("", "a", false),
        ];
        for (pattern, name, expected) in cases {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(glob.matches(name), *expected, "{pattern} on {name}");
        }
        for malformed in ["[]a]", "[-]", "[x-]", "[-x]", "a[", "[^", "[^bc", "\\", "[a-b-c]"] {
            assert!(Glob::parse(malformed).is_none(), "{malformed}");
        }
    }
}
