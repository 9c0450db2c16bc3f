//! Versions and constraints as Masterminds/semver 3.2.0 reads them: `v1`, `1.2` and leading zeros
//! are versions, `^`, `~`, `x`, ranges with a dash and `||` are constraints.

use std::cmp::Ordering;
use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) major: u64,
    pub(crate) minor: u64,
    pub(crate) patch: u64,
    pub(crate) pre: String,
    pub(crate) metadata: String,
    pub(crate) original: String,
}

const TAIL: &str = r"(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";

fn constraint_version() -> String {
    format!(r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?{TAIL}")
}

type Compiled = LazyLock<Option<Regex>>;
static VERSION: Compiled = LazyLock::new(|| Regex::new(&format!(r"^v?([0-9]+)(\.[0-9]+)?(\.[0-9]+)?{TAIL}$")).ok());
static ONE: Compiled =
    LazyLock::new(|| Regex::new(&format!(r"^\s*({OPERATORS})\s*({})\s*$", constraint_version())).ok());
static RANGE: Compiled = LazyLock::new(|| {
    let version = constraint_version();
    Regex::new(&format!(r"\s*({version})\s+-\s+({version})\s*")).ok()
});
static FIND: Compiled = LazyLock::new(|| Regex::new(&format!(r"({OPERATORS})\s*({})", constraint_version())).ok());
static VALID: Compiled = LazyLock::new(|| {
    let version = constraint_version();
    let one = format!(r"({OPERATORS})\s*({version})\s*");
    Regex::new(&format!(r"^(\s*{one})((?:\s+|,\s*){one})*$")).ok()
});

const INVALID: &str = "Invalid Semantic Version";

fn group<'t>(captures: &Captures<'t>, i: usize) -> &'t str {
    captures.get(i).map_or("", |found| found.as_str())
}

impl Version {
    /// `semver.NewVersion`.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let found = VERSION.as_ref().and_then(|pattern| pattern.captures(text)).ok_or(INVALID)?;
        let part = |i: usize| match group(&found, i).trim_start_matches('.') {
            "" => Ok(0),
            digits => digits.parse().map_err(|_| "Error parsing version segment"),
        };
        let pre = group(&found, 5);
        let zero = |part: &str| part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
        if pre.split('.').any(zero) {
            return Err("Version segment starts with 0");
        }
        Ok(Self {
            major: part(1)?,
            minor: part(2)?,
            patch: part(3)?,
            pre: pre.to_owned(),
            metadata: group(&found, 8).to_owned(),
            original: text.to_owned(),
        })
    }

    fn compare(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => compare_pre(&self.pre, &other.pre),
        })
    }
}

fn compare_pre(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a.split('.'), b.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(x), Some(y)) if x == y => continue,
            (Some(x), Some(y)) => match (x.parse::<u64>(), y.parse::<u64>()) {
                (Ok(x), Ok(y)) => x.cmp(&y),
                (Ok(_), Err(_)) => Ordering::Less,
                (Err(_), Ok(_)) => Ordering::Greater,
                (Err(_), Err(_)) => x.cmp(y),
            },
        };
        return order;
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

struct Constraint {
    version: Version,
    operator: String,
    dirty: bool,
    minor_dirty: bool,
    patch_dirty: bool,
}

/// `semverCompare constraint version`.
pub(crate) fn compare(constraint: &str, version: &str) -> Result<bool, &'static str> {
    let alternatives = parse_constraints(constraint)?;
    let version = Version::parse(version)?;
    Ok(alternatives.iter().any(|all| all.iter().all(|one| one.accepts(&version))))
}

fn parse_constraints(text: &str) -> Result<Vec<Vec<Constraint>>, &'static str> {
    const IMPROPER: &str = "improper constraint";
    let (Some(range), Some(find), Some(valid)) = (RANGE.as_ref(), FIND.as_ref(), VALID.as_ref()) else {
        return Err(IMPROPER);
    };
    let mut rewritten = text.to_owned();
    for found in range.captures_iter(text) {
        let both = format!(">= {}, <= {}", group(&found, 1), group(&found, 11));
        rewritten = rewritten.replacen(group(&found, 0), &both, 1);
    }
    let mut alternatives = Vec::new();
    for part in rewritten.split("||") {
        if !valid.is_match(part) {
            return Err(IMPROPER);
        }
        let all: Result<Vec<_>, _> = find.find_iter(part).map(|found| Constraint::parse(found.as_str())).collect();
        alternatives.push(all?);
    }
    Ok(alternatives)
}

impl Constraint {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let found = ONE.as_ref().and_then(|pattern| pattern.captures(text)).ok_or("improper constraint")?;
        let wild = |i: usize| matches!(group(&found, i).trim_start_matches('.'), "" | "x" | "X" | "*");
        let (major, minor, pre) = (group(&found, 3), group(&found, 4), group(&found, 6));
        let (dirty, minor_dirty, patch_dirty, version) = if wild(3) {
            (true, false, false, format!("0.0.0{pre}"))
        } else if wild(4) {
            (true, true, false, format!("{major}.0.0{pre}"))
        } else if wild(5) {
            (true, false, true, format!("{major}{minor}.0{pre}"))
        } else {
            (false, false, false, group(&found, 2).to_owned())
        };
        let version = Version::parse(&version).map_err(|_| "constraint Parser Error")?;
        Ok(Self { version, operator: group(&found, 1).to_owned(), dirty, minor_dirty, patch_dirty })
    }

    fn accepts(&self, v: &Version) -> bool {
        let wants_release = !v.pre.is_empty() && self.version.pre.is_empty();
        if self.operator == "!=" {
            return self.differs(v, wants_release);
        }
        if wants_release {
            return false;
        }
        let con = &self.version;
        let order = v.compare(con);
        match self.operator.as_str() {
            ">" if !self.dirty => order == Ordering::Greater,
            ">" if v.major != con.major => v.major > con.major,
            ">" if self.minor_dirty => false,
            ">" if self.patch_dirty => v.minor > con.minor,
            ">" => order == Ordering::Greater,
            "<" => order == Ordering::Less,
            ">=" | "=>" => order != Ordering::Less,
            "<=" | "=<" if !self.dirty => order != Ordering::Greater,
            "<=" | "=<" => !(v.major > con.major || (v.major == con.major && v.minor > con.minor && !self.minor_dirty)),
            "^" => order != Ordering::Less && self.caret(v),
            "~" | "~>" => self.tilde(v, order),
            _ if self.dirty => self.tilde(v, order),
            _ => order == Ordering::Equal,
        }
    }

    fn differs(&self, v: &Version, wants_release: bool) -> bool {
        let con = &self.version;
        if self.dirty {
            if wants_release {
                return false;
            }
            if con.major != v.major {
                return true;
            }
            if con.minor != v.minor && !self.minor_dirty {
                return true;
            }
            if self.minor_dirty {
                return false;
            }
            if con.patch != v.patch && !self.patch_dirty {
                return true;
            }
            if self.patch_dirty {
                return (!v.pre.is_empty() || !con.pre.is_empty()) && v.pre != con.pre;
            }
        }
        v.compare(con) != Ordering::Equal
    }

    fn tilde(&self, v: &Version, order: Ordering) -> bool {
        let con = &self.version;
        if order == Ordering::Less {
            return false;
        }
        if (con.major, con.minor, con.patch) == (0, 0, 0) && !self.minor_dirty && !self.patch_dirty {
            return true;
        }
        v.major == con.major && (v.minor == con.minor || self.minor_dirty)
    }

    fn caret(&self, v: &Version) -> bool {
        let con = &self.version;
        if con.major > 0 || self.minor_dirty {
            return v.major == con.major;
        }
        if v.major > 0 {
            return false;
        }
        if con.minor > 0 || self.patch_dirty {
            return v.minor == con.minor;
        }
        v.minor == 0 && v.patch == con.patch
    }
}
