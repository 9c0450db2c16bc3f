//! The tree of a parsed template.

use std::collections::HashMap;
use std::rc::Rc;

use crate::value::Text;

/// A template and those it defines.
pub(crate) struct Templates {
    pub(crate) all: HashMap<String, Vec<Node>>,
}

/// A part of a body.
pub(crate) enum Node {
    Text(Text),
    Action(Pipe),
    If(Branch),
    With(Branch),
    Range(Branch),
    /// Byte offset, name, dot.
    Template(usize, String, Option<Pipe>),
    Break,
    Continue,
}

/// A body behind a condition.
pub(crate) struct Branch {
    pub(crate) pipe: Pipe,
    pub(crate) body: Vec<Node>,
    pub(crate) other: Option<Vec<Node>>,
}

/// `$x := a b | c`.
pub(crate) struct Pipe {
    pub(crate) at: usize,
    pub(crate) assign: bool,
    pub(crate) variables: Vec<Rc<str>>,
    pub(crate) commands: Vec<Command>,
}

/// Operands between two pipe characters.
pub(crate) struct Command {
    pub(crate) at: usize,
    pub(crate) operands: Vec<Operand>,
}

/// One operand and its byte offset.
pub(crate) struct Operand {
    pub(crate) at: usize,
    pub(crate) term: Term,
}

/// What an operand is.
pub(crate) enum Term {
    Dot,
    Nil,
    Bool(bool),
    Number(Number),
    Text(Text),
    Field(Vec<Rc<str>>),
    /// Name with its dollar, fields.
    Variable(Rc<str>, Vec<Rc<str>>),
    Function(Rc<str>),
    Pipe(Box<Pipe>),
    Chain(Box<Operand>, Vec<Rc<str>>),
}

impl Term {
    /// Whether it can stand after a pipe character.
    pub(crate) fn is_executable(&self) -> bool {
        !matches!(self, Self::Bool(_) | Self::Dot | Self::Nil | Self::Number(_) | Self::Text(_))
    }
}

/// A numeric constant: every reading it allows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Number {
    pub(crate) int: Option<i64>,
    pub(crate) float: Option<f64>,
    /// Without a type to guide, it is a float.
    pub(crate) prefers_float: bool,
}
