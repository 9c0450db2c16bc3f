//! Tokens into the tree, with Go's checks.
//!
//! Enters text and the names of all functions, leaves [`Templates`]. What Go refuses while parsing
//! (unknown functions and variables, unclosed blocks, `break` outside `range`) is refused here.

mod pipeline;

use std::collections::HashMap;
use std::rc::Rc;

use crate::ast::{Branch, Node, Templates};
use crate::lex::{Kind, Token, tokens};
use crate::literal;

/// Depth of blocks and parentheses that is accepted (Go: parentheses 10,000, blocks any).
pub(crate) const MAX_DEPTH: usize = 100;

/// What is wrong, and in which line.
pub(crate) struct Wrong {
    pub(crate) line: usize,
    pub(crate) message: String,
}

type Parsed<T> = Result<T, Wrong>;

/// Parses `source` as the template `name`.
pub(crate) fn parse(name: &str, source: &str, known: &dyn Fn(&str) -> bool) -> Parsed<Templates> {
    let mut parser = Parser {
        source,
        known,
        tokens: tokens(source),
        next: 0,
        furthest: 0,
        scopes: vec![vec!["$".into()]],
        ranges: vec![0],
        depth: 0,
        all: HashMap::new(),
    };
    let root = parser.root()?;
    parser.add(name.to_owned(), root)?;
    Ok(Templates { all: parser.all })
}

/// How a list of nodes ended.
#[derive(PartialEq)]
enum Stop {
    End,
    Else,
}

struct Parser<'a> {
    source: &'a str,
    known: &'a dyn Fn(&str) -> bool,
    tokens: Vec<Token>,
    next: usize,
    furthest: usize,
    /// Variables per template being parsed: a definition does not see those around it.
    scopes: Vec<Vec<Rc<str>>>,
    ranges: Vec<usize>,
    depth: usize,
    all: HashMap<String, Vec<Node>>,
}

impl Parser<'_> {
    fn token(&mut self, at: usize) -> Token {
        let last = self.tokens.len().saturating_sub(1);
        self.furthest = self.furthest.max(at.min(last));
        let end = Token { kind: Kind::End, start: self.source.len(), end: self.source.len(), line: 1 };
        self.tokens.get(at.min(last)).cloned().unwrap_or(end)
    }

    fn peek(&mut self) -> Token {
        self.token(self.next)
    }

    fn take(&mut self) -> Token {
        let token = self.token(self.next);
        self.next += 1;
        token
    }

    fn skip_space(&mut self) {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
    }

    fn peek_solid(&mut self) -> Token {
        self.skip_space();
        self.peek()
    }

    fn take_solid(&mut self) -> Token {
        self.skip_space();
        self.take()
    }

    fn text(&self, token: &Token) -> &str {
        self.source.get(token.start..token.end).unwrap_or_default()
    }

    fn wrong<T>(&self, message: impl Into<String>) -> Parsed<T> {
        let line = self.tokens.get(self.furthest).map_or(1, |token| token.line);
        Err(Wrong { line, message: message.into() })
    }

    fn unexpected<T>(&self, token: &Token, context: &str) -> Parsed<T> {
        match &token.kind {
            Kind::Wrong(why) => self.wrong(why.clone()),
            Kind::End => self.wrong(format!("unexpected end in {context}")),
            _ => self.wrong(format!("unexpected {:?} in {context}", self.text(token))),
        }
    }

    fn deeper<T>(&mut self, run: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return self.wrong(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.depth += 1;
        let result = run(self);
        self.depth -= 1;
        result
    }

    fn scope(&mut self) -> &mut Vec<Rc<str>> {
        if self.scopes.is_empty() {
            self.scopes.push(Vec::new());
        }
        let last = self.scopes.len() - 1;
        // Never empty: filled just above.
        #[expect(clippy::indexing_slicing, reason = "last of a list that is not empty")]
        &mut self.scopes[last]
    }

    fn root(&mut self) -> Parsed<Vec<Node>> {
        let mut nodes = Vec::new();
        while self.peek().kind != Kind::End {
            let begin = self.next;
            if self.peek().kind == Kind::LeftDelim {
                self.take();
                let token = self.take_solid();
                if self.is_keyword(&token, "define") {
                    self.definition()?;
                    continue;
                }
                self.next = begin;
            }
            match self.node()? {
                Ok(node) => nodes.push(node),
                Err(Stop::End) => return self.wrong("unexpected {{end}}"),
                Err(Stop::Else) => return self.wrong("unexpected {{else}}"),
            }
        }
        Ok(nodes)
    }

    fn is_keyword(&self, token: &Token, word: &str) -> bool {
        token.kind == Kind::Keyword && self.text(token) == word
    }

    fn definition(&mut self) -> Parsed<()> {
        let token = self.take_solid();
        let name = self.name(&token, "define clause")?;
        self.expect_right("define clause")?;
        let body = self.inner_template("define clause")?;
        self.add(name, body)
    }

    fn inner_template(&mut self, context: &str) -> Parsed<Vec<Node>> {
        self.scopes.push(vec!["$".into()]);
        self.ranges.push(0);
        let (body, stop) = self.deeper(Self::list)?;
        if stop != Stop::End {
            return self.wrong(format!("unexpected {{{{else}}}} in {context}"));
        }
        self.scopes.pop();
        self.ranges.pop();
        Ok(body)
    }

    fn add(&mut self, name: String, body: Vec<Node>) -> Parsed<()> {
        match self.all.get(&name) {
            Some(earlier) if !is_empty(earlier) => {
                if is_empty(&body) {
                    return Ok(());
                }
                self.wrong(format!("multiple definition of template {name:?}"))
            }
            _ => {
                self.all.insert(name, body);
                Ok(())
            }
        }
    }

    fn name(&self, token: &Token, context: &str) -> Parsed<String> {
        let text = match token.kind {
            Kind::String | Kind::RawString => literal::unquote(self.text(token)),
            _ => return self.unexpected(token, context),
        };
        match text.map(String::from_utf8) {
            Ok(Ok(name)) => Ok(name),
            _ => self.wrong("invalid syntax"),
        }
    }

    fn expect_right(&mut self, context: &str) -> Parsed<()> {
        let token = self.take_solid();
        if token.kind == Kind::RightDelim { Ok(()) } else { self.unexpected(&token, context) }
    }

    fn list(&mut self) -> Parsed<(Vec<Node>, Stop)> {
        let mut nodes = Vec::new();
        while self.peek_solid().kind != Kind::End {
            match self.node()? {
                Ok(node) => nodes.push(node),
                Err(stop) => return Ok((nodes, stop)),
            }
        }
        self.wrong("unexpected EOF")
    }

    fn node(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.take_solid();
        match token.kind {
            Kind::Text => Ok(Ok(Node::Text(self.text(&token).as_bytes().into()))),
            Kind::LeftDelim => self.action(),
            _ => self.unexpected(&token, "input"),
        }
    }

    fn action(&mut self) -> Parsed<Result<Node, Stop>> {
        let token = self.peek_solid();
        if token.kind != Kind::Keyword {
            return Ok(Ok(Node::Action(self.pipeline("command", &Kind::RightDelim)?)));
        }
        self.take();
        let word = self.text(&token).to_owned();
        Ok(Ok(match word.as_str() {
            "block" => self.block()?,
            "break" | "continue" => {
                self.expect_right(&word)?;
                if self.ranges.last().is_none_or(|depth| *depth == 0) {
                    return self.wrong(format!("{{{{{word}}}}} outside {{{{range}}}}"));
                }
                if word == "break" { Node::Break } else { Node::Continue }
            }
            "else" => {
                let next = self.peek_solid();
                if !self.is_keyword(&next, "if") && !self.is_keyword(&next, "with") {
                    self.expect_right("else")?;
                }
                return Ok(Err(Stop::Else));
            }
            "end" => {
                self.expect_right("end")?;
                return Ok(Err(Stop::End));
            }
            "if" => Node::If(self.deeper(|p| p.branch("if"))?),
            "with" => Node::With(self.deeper(|p| p.branch("with"))?),
            "range" => Node::Range(self.deeper(|p| p.branch("range"))?),
            "template" => self.template()?,
            _ => return self.unexpected(&token, "command"),
        }))
    }

    fn branch(&mut self, context: &'static str) -> Parsed<Branch> {
        let variables = self.scope().len();
        let pipe = self.pipeline(context, &Kind::RightDelim)?;
        let in_range = usize::from(context == "range");
        if let Some(depth) = self.ranges.last_mut() {
            *depth += in_range;
        }
        let (body, stop) = self.list()?;
        if let Some(depth) = self.ranges.last_mut() {
            *depth -= in_range;
        }
        let mut other = None;
        if stop == Stop::Else {
            let next = self.peek();
            if context != "range" && self.is_keyword(&next, context) {
                self.take();
                let inner = self.deeper(|p| p.branch(context))?;
                other = Some(vec![if context == "if" { Node::If(inner) } else { Node::With(inner) }]);
            } else {
                let (nodes, stop) = self.list()?;
                if stop != Stop::End {
                    return self.wrong("expected end; found {{else}}");
                }
                other = Some(nodes);
            }
        }
        self.scope().truncate(variables);
        Ok(Branch { pipe, body, other })
    }

    fn block(&mut self) -> Parsed<Node> {
        let token = self.take_solid();
        let name = self.name(&token, "block clause")?;
        let pipe = self.pipeline("block clause", &Kind::RightDelim)?;
        let body = self.inner_template("block clause")?;
        self.add(name.clone(), body)?;
        Ok(Node::Template(token.start, name, Some(pipe)))
    }

    fn template(&mut self) -> Parsed<Node> {
        let token = self.take_solid();
        let name = self.name(&token, "template clause")?;
        let pipe = if self.peek_solid().kind == Kind::RightDelim {
            self.take();
            None
        } else {
            Some(self.pipeline("template clause", &Kind::RightDelim)?)
        };
        Ok(Node::Template(token.start, name, pipe))
    }
}

fn is_empty(body: &[Node]) -> bool {
    body.iter().all(|node| match node {
        Node::Text(text) => crate::runes::trim_space(text).is_empty(),
        _ => false,
    })
}
