//! Calls of functions: arguments by Go's rules of assignment.

use super::{Evaluated, Execution};
use crate::ast::{Operand, Term};
use crate::error::Fault;
use crate::functions::{Args, Function, Kind, Param};
use crate::value::{Of, Value, Width};

impl Execution<'_> {
    pub(super) fn call(
        &mut self,
        dot: &Value,
        name: &str,
        rest: &[Operand],
        last: Option<Value>,
        at: usize,
    ) -> Evaluated {
        self.budget().step()?;
        let Some(function) = self.flavour.function(name) else {
            return Fault::new(format!("{name:?} is not a defined function"));
        };
        let given = rest.len() + usize::from(last.is_some());
        let wanted = function.fixed.len();
        if given < wanted || (function.rest.is_none() && given > wanted) {
            return Fault::new(format!("wrong number of args for {name}: want {wanted} got {given}"));
        }
        let value = match function.kind {
            Kind::And => return self.short_circuit(dot, false, rest, last),
            Kind::Or => return self.short_circuit(dot, true, rest, last),
            Kind::Plain(run) => {
                let mut values = Vec::with_capacity(given);
                for (i, operand) in rest.iter().enumerate() {
                    values.push(self.argument(dot, function.param(i), operand)?);
                }
                if let Some(last) = last {
                    values.push(assignable(last, function.param(rest.len()))?);
                }
                self.charge(function, &values)?;
                let called = run(self.env, &Args::new(&values));
                self.at = at;
                called.map_err(|fault| match fault {
                    Fault::Message(why) => Fault::Message(format!("error calling {name}: {why}")),
                    limit @ Fault::Limit(_) => limit,
                })?
            }
        };
        self.budget().bytes(size(&value))?;
        Ok(value)
    }

    /// Every argument is read at least once.
    pub(super) fn charge(&self, function: &Function, values: &[Value]) -> Result<(), Fault> {
        let budget = self.budget();
        let members = values.iter().map(|value| match value {
            Value::List(list) if !function.constant => list.items().len() as u64,
            Value::Map(map) if !function.constant => map.len() as u64,
            _ => 1,
        });
        budget.steps(members.sum())?;
        let texts = values.iter().map(|value| if let Value::Text(text) = value { text.len() as u64 } else { 0 });
        budget.bytes(texts.sum::<u64>() / 16)
    }

    pub(super) fn short_circuit(&mut self, dot: &Value, or: bool, rest: &[Operand], last: Option<Value>) -> Evaluated {
        let mut value = Value::Absent;
        for operand in rest {
            value = self.operand(dot, operand)?;
            if value.is_true() == or {
                return Ok(value);
            }
        }
        Ok(last.unwrap_or(value))
    }

    /// An operand as the parameter wants it; constants take its type.
    pub(super) fn argument(&mut self, dot: &Value, param: Param, operand: &Operand) -> Evaluated {
        self.at = operand.at;
        match (&operand.term, param) {
            (Term::Nil, Param::Any | Param::Reflect | Param::Map) => {
                Ok(if param == Param::Map { param.zero() } else { Value::Nil })
            }
            (Term::Nil, _) => Fault::new(format!("cannot assign nil to {}", param.name())),
            (Term::Bool(_) | Term::Text(_) | Term::Number(_), Param::Any | Param::Reflect) => {
                self.operand(dot, operand)
            }
            (Term::Bool(b), Param::Bool) => Ok(Value::Bool(*b)),
            (Term::Text(text), Param::Text) => Ok(Value::Text(text.clone())),
            (Term::Number(number), Param::Int) => match number.int {
                Some(int) => Ok(Value::int(int)),
                None => Fault::new("expected integer"),
            },
            (Term::Number(number), Param::Float) => match number.float {
                Some(float) => Ok(Value::Float(float)),
                None => Fault::new("expected float"),
            },
            (Term::Bool(_) | Term::Text(_) | Term::Number(_), _) => {
                Fault::new(format!("expected {}; found a constant", param.name()))
            }
            _ => {
                let value = self.operand(dot, operand)?;
                assignable(value, param)
            }
        }
    }
}

/// Go's `validateType`.
fn assignable(value: Value, param: Param) -> Evaluated {
    let fits = match (&value, param) {
        (_, Param::Any | Param::Reflect)
        | (Value::Bool(_), Param::Bool)
        | (Value::Float(_), Param::Float)
        | (Value::Text(_), Param::Text)
        | (Value::Int(Width::Int, _), Param::Int)
        | (Value::Time(_), Param::Time) => true,
        (Value::Map(map), Param::Map) => map.of == Of::Any,
        (Value::Absent, Param::Map) => return Ok(param.zero()),
        (Value::Absent, _) => return Fault::new(format!("invalid value; expected {}", param.name())),
        _ => false,
    };
    if fits {
        return Ok(value);
    }
    Fault::new(format!("wrong type for value; expected {}; got {}", param.name(), value.type_name()))
}

/// Bytes a value takes, without its members.
fn size(value: &Value) -> u64 {
    let bytes = match value {
        Value::Text(text) => text.len(),
        Value::List(list) => list.items().len() * 32,
        Value::Map(map) => map.len() * 64,
        _ => 0,
    };
    16 + bytes as u64
}
