//! sprig's functions, by theme, and which flavour has which.

mod cases;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod encoding;
mod json;
mod lists;
mod math;
mod merge;
mod paths;
mod pattern;
mod random;
mod reflection;
mod refused;
mod regexes;
mod strings;
mod urls;
mod versions;

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::LazyLock;

use jiff::Timestamp;

use crate::budget::Budget;
use crate::error::Fault;
use crate::exec::BUILTINS;
use crate::value::{Map, Of, Value};
use crate::{Flavour, Random};

pub(crate) type Outcome = Result<Value, Fault>;
pub(crate) type Run = fn(&Env<'_>, &Args<'_>) -> Outcome;

/// What functions see of the world.
pub(crate) struct Env<'a> {
    pub(crate) budget: Budget,
    pub(crate) now: Timestamp,
    pub(crate) random: &'a dyn Random,
    /// Calls of `env`, `expandenv` and `getHostByName`.
    pub(crate) lookups: Cell<u64>,
    /// slim-sprig reads numbers from texts in base 10 only.
    pub(crate) slim: bool,
}

/// Type of a parameter, as far as the functions use types.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Param {
    Any,
    /// As `Any`, for builtins.
    Reflect,
    Bool,
    Int,
    Float,
    Text,
    /// `map[string]interface {}`
    Map,
    Time,
}

impl Param {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Any | Self::Reflect => "interface {}",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float64",
            Self::Text => "string",
            Self::Map => "map[string]interface {}",
            Self::Time => "time.Time",
        }
    }

    pub(crate) fn zero(self) -> Value {
        if self == Self::Map { Value::Map(Map::none(Of::Any)) } else { Value::Nil }
    }
}

/// How a function is called.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Plain(Run),
    And,
    Or,
}

/// A function of templates.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) fixed: &'static [Param],
    /// Type of all further arguments, if it takes them.
    pub(crate) rest: Option<Param>,
    pub(crate) kind: Kind,
    /// Takes no time in proportion to its lists.
    pub(crate) constant: bool,
}

impl Function {
    pub(crate) fn param(&self, i: usize) -> Param {
        self.fixed.get(i).copied().or(self.rest).unwrap_or(Param::Any)
    }
}

/// A function with this many parameters.
pub(super) const fn fixed(name: &'static str, fixed: &'static [Param], run: Run) -> Function {
    Function { name, fixed, rest: None, kind: Kind::Plain(run), constant: false }
}

/// A function that takes more of the type `rest`.
pub(super) const fn open(name: &'static str, fixed: &'static [Param], rest: Param, run: Run) -> Function {
    Function { name, fixed, rest: Some(rest), kind: Kind::Plain(run), constant: false }
}

/// Arguments of a call; their types are those the function declares.
pub(crate) struct Args<'a> {
    values: &'a [Value],
}

impl<'a> Args<'a> {
    pub(crate) fn new(values: &'a [Value]) -> Self {
        Self { values }
    }

    pub(crate) fn any(&self, i: usize) -> &Value {
        self.values.get(i).unwrap_or(&Value::Nil)
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    pub(crate) fn from(&self, i: usize) -> &'a [Value] {
        self.values.get(i..).unwrap_or_default()
    }

    pub(crate) fn text(&self, i: usize) -> &[u8] {
        if let Value::Text(text) = self.any(i) { text } else { b"" }
    }

    pub(crate) fn utf8(&self, i: usize) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.text(i))
    }

    pub(crate) fn int(&self, i: usize) -> i64 {
        if let Value::Int(_, n) = self.any(i) { *n } else { 0 }
    }

    pub(crate) fn bool(&self, i: usize) -> bool {
        matches!(self.any(i), Value::Bool(true))
    }

    pub(crate) fn map(&self, i: usize) -> Map {
        if let Value::Map(map) = self.any(i) { map.clone() } else { Map::none(Of::Any) }
    }
}

type Table = HashMap<&'static str, (Function, bool)>;

/// Every function, and whether slim-sprig has it.
static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let groups: [&[Function]; 18] = [
        BUILTINS,
        cases::ALL,
        dates::ALL,
        defaults::ALL,
        dicts::ALL,
        encoding::ALL,
        json::ALL,
        lists::ALL,
        math::ALL,
        merge::ALL,
        paths::ALL,
        random::ALL,
        reflection::ALL,
        refused::ALL,
        regexes::ALL,
        strings::ALL,
        urls::ALL,
        versions::ALL,
    ];
    let all = groups.iter().flat_map(|group| group.iter());
    all.map(|function| (function.name, (*function, !NOT_SLIM.contains(&function.name)))).collect()
});

/// Functions of sprig that slim-sprig lacks.
const NOT_SLIM: &[&str] = &[
    "abbrev",
    "abbrevboth",
    "add1f",
    "addf",
    "bcrypt",
    "buildCustomCert",
    "camelcase",
    "decryptAES",
    "deepCopy",
    "derivePassword",
    "divf",
    "encryptAES",
    "genCA",
    "genCAWithKey",
    "genPrivateKey",
    "genSelfSignedCert",
    "genSelfSignedCertWithKey",
    "genSignedCert",
    "genSignedCertWithKey",
    "htpasswd",
    "initials",
    "kebabcase",
    "merge",
    "mergeOverwrite",
    "mulf",
    "mustDeepCopy",
    "mustMerge",
    "mustMergeOverwrite",
    "nospace",
    "randAlpha",
    "randAlphaNum",
    "randAscii",
    "randBytes",
    "randNumeric",
    "semver",
    "semverCompare",
    "shuffle",
    "snakecase",
    "subf",
    "swapcase",
    "untitle",
    "uuidv4",
    "wrap",
    "wrapWith",
];

impl Flavour {
    /// The function of that name, if this flavour has it.
    pub(crate) fn function(self, name: &str) -> Option<&'static Function> {
        let (function, slim) = TABLE.get(name)?;
        (*slim || self != Self::SlimSprig).then_some(function)
    }

    /// Names of sprig's functions in this flavour, sorted; the language's own builtins are not among them.
    pub fn functions(self) -> Vec<&'static str> {
        let builtin = |name: &&str| BUILTINS.iter().any(|function| function.name == *name);
        let mut names: Vec<_> = TABLE.keys().copied().filter(|name| self.function(name).is_some()).collect();
        names.retain(|name| !builtin(name));
        names.sort_unstable();
        names
    }
}
