//! Inside an action: declarations, commands, operands.

use std::rc::Rc;

use super::{Parsed, Parser};
use crate::ast::{Command, Operand, Pipe, Term};
use crate::lex::{Kind, Token};
use crate::literal;

impl Parser<'_> {
    pub(super) fn pipeline(&mut self, context: &str, end: &Kind) -> Parsed<Pipe> {
        let at = self.peek_solid().start;
        let mut pipe = Pipe { at, assign: false, variables: Vec::new(), commands: Vec::new() };
        self.declarations(context, &mut pipe)?;
        loop {
            let token = self.take_solid();
            match &token.kind {
                kind if kind == end => break,
                Kind::Bool
                | Kind::CharConstant
                | Kind::Complex
                | Kind::Dot
                | Kind::Field
                | Kind::Identifier
                | Kind::Number
                | Kind::Nil
                | Kind::RawString
                | Kind::String
                | Kind::Variable
                | Kind::LeftParen => {
                    self.next -= 1;
                    let command = self.command()?;
                    pipe.commands.push(command);
                }
                _ => return self.unexpected(&token, context),
            }
        }
        if pipe.commands.is_empty() {
            return self.wrong(format!("missing value for {context}"));
        }
        let later = pipe.commands.iter().skip(1).filter_map(|command| command.operands.first());
        if later.into_iter().any(|first| !first.term.is_executable()) {
            return self.wrong("non executable command in pipeline");
        }
        Ok(pipe)
    }

    pub(super) fn declarations(&mut self, context: &str, pipe: &mut Pipe) -> Parsed<()> {
        while self.peek_solid().kind == Kind::Variable {
            let begin = self.next;
            let variable = self.take();
            let name: Rc<str> = self.text(&variable).into();
            let next = self.peek_solid();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.take();
                    pipe.assign = next.kind == Kind::Assign;
                    pipe.variables.push(name.clone());
                    self.scope().push(name);
                    return Ok(());
                }
                Kind::Char if self.text(&next) == "," => {
                    self.take();
                    pipe.variables.push(name.clone());
                    self.scope().push(name);
                    if context != "range" || pipe.variables.len() > 1 {
                        return self.wrong(format!("too many declarations in {context}"));
                    }
                    match self.peek_solid().kind {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => {}
                        _ => return self.wrong("range can only initialize variables"),
                    }
                }
                _ => {
                    self.next = begin;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    pub(super) fn command(&mut self) -> Parsed<Command> {
        let at = self.peek_solid().start;
        let mut operands = Vec::new();
        loop {
            self.skip_space();
            if let Some(operand) = self.operand()? {
                operands.push(operand);
            }
            let token = self.take();
            match token.kind {
                Kind::Space => {}
                Kind::RightDelim | Kind::RightParen => {
                    self.next -= 1;
                    break;
                }
                Kind::Pipe => break,
                _ => return self.unexpected(&token, "operand"),
            }
        }
        if operands.is_empty() {
            return self.wrong("empty command");
        }
        Ok(Command { at, operands })
    }

    pub(super) fn operand(&mut self) -> Parsed<Option<Operand>> {
        let token = self.peek_solid();
        let Some(term) = self.term(&token)? else {
            return Ok(None);
        };
        let operand = Operand { at: token.start, term };
        if self.peek().kind != Kind::Field {
            return Ok(Some(operand));
        }
        let at = self.peek().start;
        let mut fields = Vec::new();
        while self.peek().kind == Kind::Field {
            let token = self.take();
            fields.push(self.field_name(&token));
        }
        let term = match operand.term {
            Term::Field(mut names) => {
                names.append(&mut fields);
                Term::Field(names)
            }
            Term::Variable(name, mut names) => {
                names.append(&mut fields);
                Term::Variable(name, names)
            }
            Term::Bool(_) | Term::Text(_) | Term::Number(_) | Term::Nil | Term::Dot => {
                return self.wrong("unexpected . after term");
            }
            term => Term::Chain(Box::new(Operand { at: operand.at, term }), fields),
        };
        Ok(Some(Operand { at, term }))
    }

    pub(super) fn field_name(&self, token: &Token) -> Rc<str> {
        self.text(token).trim_start_matches('.').into()
    }

    pub(super) fn term(&mut self, token: &Token) -> Parsed<Option<Term>> {
        let text = self.text(token).to_owned();
        self.take();
        Ok(Some(match &token.kind {
            Kind::Identifier => {
                if !(self.known)(&text) {
                    return self.wrong(format!("function {text:?} not defined"));
                }
                Term::Function(text.into())
            }
            Kind::Dot => Term::Dot,
            Kind::Nil => Term::Nil,
            Kind::Bool => Term::Bool(text == "true"),
            Kind::Field => Term::Field(vec![self.field_name(token)]),
            Kind::Variable => {
                let name: Rc<str> = text.into();
                if !self.scope().contains(&name) {
                    return self.wrong(format!("undefined variable {name:?}"));
                }
                Term::Variable(name, Vec::new())
            }
            Kind::Number => match literal::number(&text) {
                Ok(number) => Term::Number(number),
                Err(why) => return self.wrong(why),
            },
            Kind::CharConstant => match literal::character(&text) {
                Some(number) => Term::Number(number),
                None => return self.wrong(format!("malformed character constant: {text}")),
            },
            Kind::Complex => return self.wrong("complex numbers are not supported"),
            Kind::String | Kind::RawString => match literal::unquote(&text) {
                Ok(text) => Term::Text(text.into()),
                Err(why) => return self.wrong(why),
            },
            Kind::LeftParen => {
                let pipe = self.deeper(|p| p.pipeline("parenthesized pipeline", &Kind::RightParen))?;
                Term::Pipe(Box::new(pipe))
            }
            _ => {
                self.next -= 1;
                return Ok(None);
            }
        }))
    }
}
