//! The configuration syntax (mover.md §1.5).
//!
//! Enters: text. Leaves: sections of keys. MD5: a comment inside a line starts only after a
//! blank, so that secrets may contain `#` and `;`.

use std::collections::BTreeMap;

/// Sections, each a map of keys; later values win.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ini(BTreeMap<String, BTreeMap<String, String>>);

/// The section of keys before any header.
const DEFAULT: &str = "DEFAULT";
/// The reference obscures such values for its library; we use them as they are.
pub const OBSCURE_SUFFIX: &str = ".need_obscure";

impl Ini {
    /// Reads a file; the error is the number of the line that is wrong.
    pub fn parse(text: &str) -> Result<Self, usize> {
        let mut ini = Self::default();
        let mut section = DEFAULT.to_owned();
        let mut lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        while let Some((number, line)) = lines.next() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(header) = line.strip_prefix('[') {
                let (name, _) = header.rsplit_once(']').ok_or(number + 1)?;
                name.trim().clone_into(&mut section);
                ini.0.entry(section.clone()).or_default();
                continue;
            }
            let at = line.find(['=', ':']).ok_or(number + 1)?;
            let (key, rest) = line.split_at(at);
            let key = key.trim().trim_matches(['"', '`']);
            if key.is_empty() {
                return Err(number + 1);
            }
            let rest = rest.get(1..).unwrap_or_default().trim();
            let value = if let Some(open) = rest.strip_prefix("\"\"\"") {
                heredoc(open, &mut lines).ok_or(number + 1)?
            } else {
                let mut value = rest.to_owned();
                while value.ends_with('\\') {
                    value.pop();
                    let Some((_, next)) = lines.next() else { break };
                    value.push_str(next.trim());
                }
                unquoted(&value)
            };
            if let Some(bare) = key.strip_suffix(OBSCURE_SUFFIX) {
                ini.set(&section, bare, &value);
            }
            ini.set(&section, key, &value);
        }
        Ok(ini)
    }

    /// Sets one value.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        self.0.entry(section.to_owned()).or_default().insert(key.to_owned(), value.to_owned());
    }

    /// One value.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        self.0.get(section)?.get(key).map(String::as_str)
    }
}

/// Text between triple quotes, over several lines.
fn heredoc<'a>(open: &str, lines: &mut impl Iterator<Item = (usize, &'a str)>) -> Option<String> {
    if let Some((text, _)) = open.split_once("\"\"\"") {
        return Some(text.to_owned());
    }
    let mut value = open.to_owned();
    loop {
        let (_, line) = lines.next()?;
        value.push('\n');
        if let Some((last, _)) = line.split_once("\"\"\"") {
            value.push_str(last);
            return Some(value);
        }
        value.push_str(line);
    }
}

/// Removes one pair of quotes, or a comment that follows a blank.
fn unquoted(value: &str) -> String {
    for quote in ['"', '\'', '`'] {
        if let Some((inside, _)) = value.strip_prefix(quote).and_then(|rest| rest.split_once(quote)) {
            return inside.to_owned();
        }
    }
    let mut blank = false;
    for (at, letter) in value.char_indices() {
        if blank && matches!(letter, '#' | ';') {
            return value.get(..at).unwrap_or(value).trim_end().to_owned();
        }
        blank = letter.is_whitespace();
    }
    // A value that is only a comment.
    if value.starts_with(['#', ';']) {
        return String::new();
    }
    value.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_providers_write() {
        let ini = Ini::parse(
            "# comment\n[storage]\ntype = local\nroot=/data ; where\nendpoint =\nurl: http://h:1\n\
             quoted = \"a # b\"\nlong = one\\\n  two\npass.need_obscure = p#w;d\n\
             text = \"\"\"l1\nl2\"\"\"\ntype = local2\n",
        )
        .unwrap();
        let get = |key| ini.get("storage", key).unwrap();
        assert_eq!(get("type"), "local2");
        assert_eq!(get("root"), "/data");
        assert_eq!(get("endpoint"), "");
        assert_eq!(get("url"), "http://h:1");
        assert_eq!(get("quoted"), "a # b");
        assert_eq!(get("long"), "onetwo");
        assert_eq!(get("text"), "l1\nl2");
        assert_eq!(ini.get("storage", "none"), None);
    }

    #[test]
    fn md5_secrets_keep_hash_and_semicolon() {
        let ini = Ini::parse("[storage]\nsecret_access_key = a#b;c # comment\n").unwrap();
        assert_eq!(ini.get("storage", "secret_access_key"), Some("a#b;c"));
        assert_eq!(Ini::parse("[storage]\nnonsense\n"), Err(2));
    }
}
