//! What templates compute with: Go's types as far as templates can tell them apart.
//!
//! Dictionaries are shared and change in place (`set`), as Go's maps do; lists never change.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::moment::Moment;
use crate::version::Version;

/// A Go string: bytes, mostly UTF-8.
pub(crate) type Text = Rc<[u8]>;

/// A value.
#[derive(Clone)]
pub(crate) enum Value {
    /// No value at all: what an absent key gives.
    Absent,
    /// An interface that holds nothing.
    Nil,
    Bool(bool),
    Int(Width, i64),
    Float(f64),
    Text(Text),
    List(List),
    Map(Map),
    Struct(Rc<Struct>),
    Time(Rc<Moment>),
    Version(Rc<Version>),
}

/// Go's integer types that occur.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Width {
    Int,
    Int64,
    Uint8,
    Month,
    Weekday,
}

/// Type of the members of a list or map.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Of {
    Any,
    Text,
    Int,
    Lists,
}

/// A slice.
#[derive(Clone)]
pub(crate) struct List {
    pub(crate) of: Of,
    /// Go's nil slice: empty, and `null` in JSON.
    pub(crate) nil: bool,
    pub(crate) items: Rc<Items>,
}

/// Members of a list, dropped without recursion.
pub(crate) struct Items(pub(crate) Vec<Value>);

/// A map with text keys.
#[derive(Clone)]
pub(crate) struct Map {
    pub(crate) of: Of,
    pub(crate) nil: bool,
    pub(crate) entries: Rc<Entries>,
}

/// Members of a map, dropped without recursion.
pub(crate) struct Entries(pub(crate) RefCell<BTreeMap<Text, Value>>);

/// A struct of the caller: an unknown field is an error.
pub(crate) struct Struct {
    pub(crate) fields: Vec<(Rc<str>, Value)>,
}

impl Drop for Items {
    fn drop(&mut self) {
        unravel(std::mem::take(&mut self.0));
    }
}

impl Drop for Entries {
    fn drop(&mut self) {
        unravel(self.0.take().into_values().collect());
    }
}

/// Drops values one by one: a list in a list in a list must not overflow the stack.
fn unravel(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(list) => {
                if let Some(mut items) = Rc::into_inner(list.items) {
                    pending.append(&mut items.0);
                }
            }
            Value::Map(map) => {
                if let Some(entries) = Rc::into_inner(map.entries) {
                    pending.extend(entries.0.take().into_values());
                }
            }
            _ => {}
        }
    }
}

impl List {
    pub(crate) fn new(of: Of, items: Vec<Value>) -> Self {
        Self { of, nil: false, items: Rc::new(Items(items)) }
    }

    pub(crate) fn none(of: Of) -> Self {
        Self { of, nil: true, items: Rc::new(Items(Vec::new())) }
    }

    pub(crate) fn items(&self) -> &[Value] {
        &self.items.0
    }
}

impl Map {
    pub(crate) fn new(of: Of, entries: BTreeMap<Text, Value>) -> Self {
        Self { of, nil: false, entries: Rc::new(Entries(RefCell::new(entries))) }
    }

    pub(crate) fn none(of: Of) -> Self {
        Self { nil: true, ..Self::new(of, BTreeMap::new()) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<Value> {
        self.entries.0.borrow().get(key).cloned()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.0.borrow().len()
    }

    /// All entries, by key; the values are shared.
    pub(crate) fn snapshot(&self) -> Vec<(Text, Value)> {
        self.entries.0.borrow().iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    pub(crate) fn same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }
}

impl Of {
    /// What Go's zero value of a member is.
    pub(crate) fn zero(self) -> Value {
        match self {
            Self::Any => Value::Nil,
            Self::Text => Value::text(""),
            Self::Int => Value::int(0),
            Self::Lists => Value::List(List::none(Self::Any)),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::Text => "string",
            Self::Int => "int",
            Self::Lists => "[]interface {}",
        }
    }
}

impl Value {
    pub(crate) fn text(text: impl AsRef<[u8]>) -> Self {
        Self::Text(text.as_ref().into())
    }

    pub(crate) fn int(n: i64) -> Self {
        Self::Int(Width::Int, n)
    }

    pub(crate) fn int64(n: i64) -> Self {
        Self::Int(Width::Int64, n)
    }

    pub(crate) fn list(items: Vec<Value>) -> Self {
        Self::List(List::new(Of::Any, items))
    }

    pub(crate) fn texts(items: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self::List(List::new(Of::Text, items.into_iter().map(Self::text).collect()))
    }

    pub(crate) fn map(entries: BTreeMap<Text, Value>) -> Self {
        Self::Map(Map::new(Of::Any, entries))
    }

    /// Absent and nil alike.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Absent | Self::Nil)
    }

    /// Go's truth of `if`.
    pub(crate) fn is_true(&self) -> bool {
        match self {
            Self::Absent | Self::Nil => false,
            Self::Bool(b) => *b,
            Self::Int(_, n) => *n != 0,
            Self::Float(f) => *f != 0.0,
            Self::Text(t) => !t.is_empty(),
            Self::List(l) => !l.items().is_empty(),
            Self::Map(m) => m.len() > 0,
            Self::Struct(_) | Self::Time(_) | Self::Version(_) => true,
        }
    }

    /// The type as `%T` prints it.
    pub(crate) fn type_name(&self) -> String {
        match self {
            Self::Absent | Self::Nil => "<nil>".into(),
            Self::Bool(_) => "bool".into(),
            Self::Int(width, _) => width.name().into(),
            Self::Float(_) => "float64".into(),
            Self::Text(_) => "string".into(),
            Self::List(list) => format!("[]{}", list.of.name()),
            Self::Map(map) => format!("map[string]{}", map.of.name()),
            Self::Struct(_) => "struct".into(),
            Self::Time(_) => "time.Time".into(),
            Self::Version(_) => "*semver.Version".into(),
        }
    }

    /// The kind as `reflect` names it.
    pub(crate) fn kind_name(&self) -> &'static str {
        match self {
            Self::Absent | Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(Width::Int64, _) => "int64",
            Self::Int(Width::Uint8, _) => "uint8",
            Self::Int(..) => "int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Struct(_) | Self::Time(_) => "struct",
            Self::Version(_) => "ptr",
        }
    }
}

impl Width {
    fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Uint8 => "uint8",
            Self::Month => "time.Month",
            Self::Weekday => "time.Weekday",
        }
    }
}

impl Width {
    /// Whether it is one of Go's own types, not one of package time.
    pub(crate) fn is_plain(self) -> bool {
        !matches!(self, Self::Month | Self::Weekday)
    }
}
