//! Walks the tree and writes the result.
//!
//! Enters [`Templates`], the context and the functions; leaves bytes. Values are handed to functions
//! by Go's rules of assignment, so that what Go refuses is refused here, in the same line.

mod call;

use std::rc::Rc;

use crate::ast::{Branch, Command, Node, Operand, Pipe, Templates, Term};
use crate::budget::Budget;
use crate::error::{Error, Fault};
use crate::functions::{Env, Function, Kind, Param};
use crate::value::{Value, Width};
use crate::{Flavour, MissingKey, compare, fields, print};

/// How a body ended.
#[derive(PartialEq)]
enum Flow {
    Next,
    Break,
    Continue,
}

type Walked = Result<Flow, Fault>;
type Evaluated = Result<Value, Fault>;

pub(crate) struct Execution<'a> {
    pub(crate) source: &'a str,
    pub(crate) name: &'a str,
    pub(crate) templates: &'a Templates,
    pub(crate) flavour: Flavour,
    pub(crate) missing: MissingKey,
    pub(crate) env: &'a Env<'a>,
    out: Vec<u8>,
    variables: Vec<(Rc<str>, Value)>,
    at: usize,
    depth: usize,
}

impl<'a> Execution<'a> {
    pub(crate) fn new(
        source: &'a str,
        name: &'a str,
        templates: &'a Templates,
        flavour: Flavour,
        missing: MissingKey,
        env: &'a Env<'a>,
    ) -> Self {
        let (out, variables) = (Vec::new(), Vec::new());
        Self { source, name, templates, flavour, missing, env, out, variables, at: 0, depth: 0 }
    }

    /// Executes the template itself.
    pub(crate) fn run(mut self, context: &Value) -> Result<Vec<u8>, Error> {
        let Some(body) = self.templates.all.get(self.name) else {
            return Ok(self.out);
        };
        self.variables.push(("$".into(), context.clone()));
        match self.walk(context, body) {
            Ok(_) => Ok(self.out),
            Err(fault) => Err(self.located(fault)),
        }
    }

    fn located(&self, fault: Fault) -> Error {
        let before = self.source.get(..self.at).unwrap_or(self.source);
        let line = before.matches('\n').count() + 1;
        let begin = before.rfind("{{").unwrap_or(0);
        let rest = self.source.get(begin..).unwrap_or_default();
        let end = rest.find("}}").map_or(rest.len(), |end| end + 2);
        let action = rest.get(..end).unwrap_or_default();
        let action: String = action.trim_matches(['{', '}', '-', ' ', '\n', '\t']).chars().take(60).collect();
        let name = self.name.to_owned();
        match fault {
            Fault::Message(message) => Error::Execute { name, line, action, message },
            Fault::Limit(limit) => Error::Limit { name, line, action, limit },
        }
    }

    fn budget(&self) -> &'a Budget {
        &self.env.budget
    }

    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        let limit = self.budget().limits().depth;
        if self.depth >= limit {
            return Err(Fault::Limit(format!("nested deeper than {limit}")));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn write(&mut self, text: &[u8]) -> Result<(), Fault> {
        let limit = self.budget().limits().output;
        if self.out.len() + text.len() > limit {
            return Err(Fault::Limit(format!("more than {limit} bytes of output")));
        }
        self.out.extend_from_slice(text);
        Ok(())
    }

    fn walk(&mut self, dot: &Value, nodes: &[Node]) -> Walked {
        for node in nodes {
            self.budget().step()?;
            let flow = match node {
                Node::Text(text) => {
                    self.write(text)?;
                    Flow::Next
                }
                Node::Action(pipe) => {
                    let value = self.pipe(dot, pipe)?;
                    if pipe.variables.is_empty() {
                        self.print(&value)?;
                    }
                    Flow::Next
                }
                Node::If(branch) => self.scoped(|e| e.condition(dot, branch, false))?,
                Node::With(branch) => self.scoped(|e| e.condition(dot, branch, true))?,
                Node::Range(branch) => self.scoped(|e| e.range(dot, branch))?,
                Node::Template(at, name, pipe) => {
                    self.at = *at;
                    self.template(dot, name, pipe.as_ref())?;
                    Flow::Next
                }
                Node::Break => Flow::Break,
                Node::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn print(&mut self, value: &Value) -> Result<(), Fault> {
        match value {
            Value::Absent | Value::Nil => self.write(b"<no value>"),
            Value::Text(text) => self.write(text),
            other => {
                let text = print::to_text(self.budget(), other)?;
                self.write(&text)
            }
        }
    }

    fn scoped(&mut self, run: impl FnOnce(&mut Self) -> Walked) -> Walked {
        let mark = self.variables.len();
        let result = self.deeper(run);
        self.variables.truncate(mark);
        result
    }

    fn condition(&mut self, dot: &Value, branch: &Branch, with: bool) -> Walked {
        let value = self.pipe(dot, &branch.pipe)?;
        if value.is_true() {
            let inner = if with { &value } else { dot };
            return self.walk(inner, &branch.body);
        }
        branch.other.as_ref().map_or(Ok(Flow::Next), |other| self.walk(dot, other))
    }

    fn range(&mut self, dot: &Value, branch: &Branch) -> Walked {
        let value = self.pipe(dot, &branch.pipe)?;
        let mark = self.variables.len();
        let once = |e: &mut Self, index: Value, item: Value| -> Walked {
            e.budget().step()?;
            e.bind(branch, index, &item)?;
            let flow = e.walk(&item, &branch.body);
            e.variables.truncate(mark);
            flow
        };
        let mut run = false;
        match &value {
            Value::Int(_, count) => {
                if branch.pipe.variables.len() > 1 {
                    return Fault::new("can't use an integer to iterate over more than one variable");
                }
                let width = if let Value::Int(width, _) = value { width } else { Width::Int };
                for n in 0..*count {
                    run = true;
                    if once(self, Value::Absent, Value::Int(width, n))? == Flow::Break {
                        break;
                    }
                }
            }
            Value::List(list) => {
                for (i, item) in list.items().iter().enumerate() {
                    run = true;
                    if once(self, Value::int(i as i64), item.clone())? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Map(map) => {
                self.budget().steps(map.len() as u64)?;
                for (key, item) in map.snapshot() {
                    run = true;
                    if once(self, Value::Text(key), item)? == Flow::Break {
                        break;
                    }
                }
            }
            Value::Absent | Value::Nil => {}
            other => return Fault::new(format!("range can't iterate over {}", other.type_name())),
        }
        match &branch.other {
            Some(other) if !run => self.walk(dot, other),
            _ => Ok(Flow::Next),
        }
    }

    fn bind(&mut self, branch: &Branch, index: Value, item: &Value) -> Result<(), Fault> {
        let names = &branch.pipe.variables;
        match (names.as_slice(), branch.pipe.assign) {
            ([name], true) => self.assign(name, item.clone())?,
            ([first, second], true) => {
                self.assign(first, index)?;
                self.assign(second, item.clone())?;
            }
            ([_], false) => self.set_top(1, item.clone()),
            ([_, _], false) => {
                self.set_top(1, item.clone());
                self.set_top(2, index);
            }
            _ => {}
        }
        Ok(())
    }

    fn set_top(&mut self, from_end: usize, value: Value) {
        let at = self.variables.len().checked_sub(from_end);
        if let Some((_, slot)) = at.and_then(|at| self.variables.get_mut(at)) {
            *slot = value;
        }
    }

    fn assign(&mut self, name: &str, value: Value) -> Result<(), Fault> {
        let Some((_, slot)) = self.variables.iter_mut().rev().find(|(known, _)| &**known == name) else {
            return Fault::new(format!("undefined variable: {name}"));
        };
        *slot = value;
        Ok(())
    }

    fn template(&mut self, dot: &Value, name: &str, pipe: Option<&Pipe>) -> Result<(), Fault> {
        let Some(body) = self.templates.all.get(name) else {
            return Fault::new(format!("template {name:?} not defined"));
        };
        let context = match pipe {
            Some(pipe) => self.pipe(dot, pipe)?,
            None => Value::Absent,
        };
        let outer = std::mem::replace(&mut self.variables, vec![("$".into(), context.clone())]);
        self.deeper(|e| e.walk(&context, body))?;
        self.variables = outer;
        Ok(())
    }

    fn pipe(&mut self, dot: &Value, pipe: &Pipe) -> Evaluated {
        self.at = pipe.at;
        let mut value = None;
        for command in &pipe.commands {
            let result = self.command(dot, command, value)?;
            value = Some(if matches!(result, Value::Nil) { Value::Absent } else { result });
        }
        let value = value.unwrap_or(Value::Absent);
        for name in &pipe.variables {
            if pipe.assign {
                self.assign(name, value.clone())?;
            } else {
                self.variables.push((name.clone(), value.clone()));
            }
        }
        Ok(value)
    }

    fn command(&mut self, dot: &Value, command: &Command, last: Option<Value>) -> Evaluated {
        self.budget().step()?;
        let Some((first, rest)) = command.operands.split_first() else {
            return Fault::new("empty command");
        };
        match &first.term {
            Term::Function(name) => {
                self.at = first.at;
                return self.call(dot, name, rest, last, command.at);
            }
            Term::Field(names) => {
                self.at = first.at;
                return self.chain(dot, dot.clone(), names, rest, last);
            }
            Term::Chain(inner, names) => {
                self.at = first.at;
                let value = self.chained(dot, inner)?;
                return self.chain(dot, value, names, rest, last);
            }
            Term::Variable(name, names) if !names.is_empty() => {
                self.at = first.at;
                let value = self.variable(name)?;
                return self.chain(dot, value, names, rest, last);
            }
            _ => {}
        }
        if !matches!(first.term, Term::Pipe(_)) {
            self.at = first.at;
        }
        if !rest.is_empty() || last.is_some() {
            return Fault::new("can't give argument to non-function");
        }
        if matches!(first.term, Term::Nil) {
            return Fault::new("nil is not a command");
        }
        self.operand(dot, first)
    }

    fn chained(&mut self, dot: &Value, inner: &Operand) -> Evaluated {
        if matches!(inner.term, Term::Nil) {
            return Fault::new("indirection through explicit nil");
        }
        self.operand(dot, inner)
    }

    /// The value of an operand where any type will do.
    fn operand(&mut self, dot: &Value, operand: &Operand) -> Evaluated {
        self.at = operand.at;
        match &operand.term {
            Term::Dot => Ok(dot.clone()),
            Term::Nil => Ok(Value::Nil),
            Term::Bool(b) => Ok(Value::Bool(*b)),
            Term::Text(text) => Ok(Value::Text(text.clone())),
            Term::Number(number) => match (number.prefers_float, number.float, number.int) {
                (true, Some(float), _) => Ok(Value::Float(float)),
                (_, _, Some(int)) => Ok(Value::int(int)),
                _ => Fault::new("constant overflows int"),
            },
            Term::Field(names) => self.chain(dot, dot.clone(), names, &[], None),
            Term::Variable(name, names) => {
                let value = self.variable(name)?;
                self.chain(dot, value, names, &[], None)
            }
            Term::Function(name) => self.call(dot, name, &[], None, operand.at),
            Term::Pipe(pipe) => self.deeper(|e| e.pipe(dot, pipe)),
            Term::Chain(inner, names) => {
                let value = self.deeper(|e| e.chained(dot, inner))?;
                self.chain(dot, value, names, &[], None)
            }
        }
    }

    fn variable(&self, name: &str) -> Evaluated {
        let found = self.variables.iter().rev().find(|(known, _)| &**known == name);
        found.map(|(_, value)| value.clone()).ok_or_else(|| format!("undefined variable: {name}").into())
    }

    /// `.a.b.c`, the last one with arguments if it is a method.
    fn chain(
        &mut self,
        dot: &Value,
        start: Value,
        names: &[Rc<str>],
        rest: &[Operand],
        last: Option<Value>,
    ) -> Evaluated {
        let mut value = start;
        let Some((final_name, before)) = names.split_last() else {
            return Ok(value);
        };
        for name in before {
            value = fields::get(&value, name, self.missing, &[])?.unwrap_or(Value::Absent);
        }
        if !rest.is_empty() || last.is_some() {
            let mut arguments = Vec::new();
            if fields::is_method(&value, final_name) {
                for operand in rest {
                    arguments.push(self.operand(dot, operand)?);
                }
                arguments.extend(last);
            } else if !value.is_nothing() {
                return Fault::new(format!("{final_name} is not a method but has arguments"));
            }
            return Ok(fields::get(&value, final_name, self.missing, &arguments)?.unwrap_or(Value::Absent));
        }
        Ok(fields::get(&value, final_name, self.missing, &[])?.unwrap_or(Value::Absent))
    }
}

/// The builtins of the language itself.
pub(crate) const BUILTINS: &[Function] = &[
    Function { name: "and", fixed: &[Param::Reflect], rest: Some(Param::Reflect), kind: Kind::And, constant: true },
    Function { name: "or", fixed: &[Param::Reflect], rest: Some(Param::Reflect), kind: Kind::Or, constant: true },
    compare::CALL,
    compare::EQ,
    compare::GE,
    compare::GT,
    compare::HTML,
    compare::INDEX,
    compare::JS,
    compare::LE,
    compare::LEN,
    compare::LT,
    compare::NE,
    compare::NOT,
    compare::PRINT,
    compare::PRINTF,
    compare::PRINTLN,
    compare::URLQUERY,
];
