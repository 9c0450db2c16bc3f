//! Names and versions against the patterns of a template (contract-dp §4). Pure.

use regex_lite::Regex;

/// What makes a pattern an expression; all others are prefixes only.
const META: [char; 14] = ['\\', '.', '+', '*', '?', '(', ')', '|', '[', ']', '{', '}', '^', '$'];

/// A pattern, read once.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: String,
    expression: Option<Regex>,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// An expression that can not be read; as a prefix the pattern still works, see [`Pattern::prefix`].
    pub fn new(text: &str) -> Result<Self, String> {
        let expression = if text.contains(META) { Some(Regex::new(text).map_err(|e| e.to_string())?) } else { None };
        Ok(Pattern { text: text.to_owned(), expression })
    }

    /// The pattern as a prefix and nothing more.
    pub fn prefix(text: &str) -> Self {
        Pattern { text: text.to_owned(), expression: None }
    }

    /// Whether `name` begins with the pattern, or the expression is found anywhere in it.
    pub fn matches(&self, name: &str) -> bool {
        name.starts_with(&self.text) || self.expression.as_ref().is_some_and(|e| e.is_match(name))
    }
}

/// Whether a pattern matches a name; one that is no readable expression is a prefix.
pub fn matches(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).unwrap_or_else(|_| Pattern::prefix(pattern)).matches(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_prefixes_and_with_meta_characters_expressions_anywhere() {
        for (pattern, name, found) in [
            ("toy-", "toy-1.0", true),
            ("toy-1.0", "toy-1.0", true),
            ("oy-", "toy-1.0", false),
            ("^redis-\\d+.*$", "redis-7-1.2.0", true),
            ("^redis-\\d+.*$", "redis-sentinel-7", false),
            ("^(pg-\\w+)", "pg-12", true),
            ("8.0", "8.0.30", true),
            ("8.0", "18.0.1", true), // the dot makes it an expression, found in the middle (contract-dp §4)
            ("80", "180", false),
            ("a(b", "a(bc", true), // no expression, but a prefix
            ("a(b", "xa(b", false),
            ("", "anything", true),
        ] {
            assert_eq!(matches(pattern, name), found, "{pattern} {name}");
        }
        assert!(Pattern::new("a(b").is_err() && Pattern::new("a-b").is_ok());
    }
}
