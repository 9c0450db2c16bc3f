//! Text of a template into tokens.
//!
//! Enters the template's text, leaves a list of tokens that ends with [`Kind::End`] or with what is
//! wrong. Spaces between operands are tokens: Go refuses `"a""b"`.

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Something the lexer refuses, and why.
    Wrong(String),
    Bool,
    /// A character the language has no use for but a place, such as the comma.
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    End,
    Field,
    Identifier,
    Keyword,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    Space,
    String,
    Text,
    Variable,
    Dot,
    Nil,
}

/// A token: `source[start..end]`.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Where it begins, counted from 1.
    pub(crate) line: usize,
}

const LEFT: &str = "{{";
const RIGHT: &str = "}}";
const KEYWORDS: &[&str] = &["block", "break", "continue", "define", "else", "end", "if", "range", "template", "with"];

/// All tokens of `source`.
pub(crate) fn tokens(source: &str) -> Vec<Token> {
    let mut lexer = Lexer { source, at: 0, start: 0, counted: 0, line: 1, found: Vec::new() };
    if let Err(why) = lexer.run() {
        let line = lexer.line_of(lexer.start);
        lexer.found.push(Token { kind: Kind::Wrong(why), start: lexer.start, end: lexer.start, line });
    }
    lexer.found
}

struct Lexer<'a> {
    source: &'a str,
    at: usize,
    start: usize,
    counted: usize,
    line: usize,
    found: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    fn word(&self) -> &str {
        self.source.get(self.start..self.at).unwrap_or_default()
    }

    /// Line of an offset; offsets only grow.
    fn line_of(&mut self, offset: usize) -> usize {
        let passed = self.source.get(self.counted..offset).unwrap_or_default();
        self.line += passed.bytes().filter(|b| *b == b'\n').count();
        self.counted = self.counted.max(offset);
        self.line
    }

    fn emit(&mut self, kind: Kind) {
        let line = self.line_of(self.start);
        self.found.push(Token { kind, start: self.start, end: self.at, line });
        self.start = self.at;
    }

    fn run(&mut self) -> Result<(), String> {
        loop {
            let Some(x) = self.rest().find(LEFT) else {
                self.at = self.source.len();
                if self.at > self.start {
                    self.emit(Kind::Text);
                }
                self.emit(Kind::End);
                return Ok(());
            };
            let delim = self.at + x;
            let trims = trims_left(self.source.get(delim + LEFT.len()..).unwrap_or_default());
            let text = self.source.get(self.start..delim).unwrap_or_default();
            let kept = if trims { text.trim_end_matches(is_space).len() } else { text.len() };
            self.at = self.start + kept;
            if kept > 0 {
                self.emit(Kind::Text);
            }
            self.start = delim;
            self.at = delim + LEFT.len();
            let after = if trims { 2 } else { 0 };
            if self.source.get(self.at + after..).unwrap_or_default().starts_with("/*") {
                self.at += after;
                self.start = self.at;
                self.comment()?;
            } else {
                self.emit(Kind::LeftDelim);
                self.at += after;
                self.start = self.at;
                self.action()?;
            }
        }
    }

    fn comment(&mut self) -> Result<(), String> {
        let Some(x) = self.rest().find("*/") else {
            return Err("unclosed comment".into());
        };
        self.at += x + 2;
        match self.right() {
            Some(trims) => self.skip_right(trims),
            None => return Err("comment ends before closing delimiter".into()),
        }
        self.start = self.at;
        Ok(())
    }

    /// Whether the closing delimiter is here, and whether it trims what follows.
    fn right(&self) -> Option<bool> {
        let rest = self.rest();
        let mut chars = rest.chars();
        let marked = chars.next().is_some_and(is_space) && chars.next() == Some('-');
        if marked && chars.as_str().starts_with(RIGHT) {
            return Some(true);
        }
        rest.starts_with(RIGHT).then_some(false)
    }

    fn skip_right(&mut self, trims: bool) {
        if trims {
            self.at += 2;
        }
        self.at += RIGHT.len();
        if trims {
            self.at = self.source.len() - self.rest().trim_start_matches(is_space).len();
        }
    }

    fn action(&mut self) -> Result<(), String> {
        let mut parens = 0_usize;
        loop {
            if let Some(trims) = self.right() {
                if parens > 0 {
                    return Err("unclosed left paren".into());
                }
                if trims {
                    self.at += 2;
                    self.start = self.at;
                }
                self.at += RIGHT.len();
                self.emit(Kind::RightDelim);
                if trims {
                    self.at = self.source.len() - self.rest().trim_start_matches(is_space).len();
                    self.start = self.at;
                }
                return Ok(());
            }
            let Some(c) = self.next() else {
                return Err("unclosed action".into());
            };
            match c {
                c if is_space(c) => self.spaces(),
                '=' => self.emit(Kind::Assign),
                ':' if self.next() == Some('=') => self.emit(Kind::Declare),
                ':' => return Err("expected :=".into()),
                '|' => self.emit(Kind::Pipe),
                '"' => self.quoted('"', Kind::String, "unterminated quoted string")?,
                '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
                '`' => {
                    let Some(x) = self.rest().find('`') else {
                        return Err("unterminated raw quoted string".into());
                    };
                    self.at += x + 1;
                    self.emit(Kind::RawString);
                }
                '$' => self.field_or_variable(Kind::Variable)?,
                '.' if !self.peek().is_some_and(|c| c.is_ascii_digit()) => self.field_or_variable(Kind::Field)?,
                '.' | '+' | '-' | '0'..='9' => {
                    self.at -= 1;
                    self.number()?;
                }
                c if is_word(c) => self.identifier()?,
                '(' => {
                    parens += 1;
                    self.emit(Kind::LeftParen);
                }
                ')' => {
                    parens = parens.checked_sub(1).ok_or("unexpected right paren")?;
                    self.emit(Kind::RightParen);
                }
                c if c.is_ascii_graphic() => self.emit(Kind::Char),
                c => return Err(format!("unrecognized character in action: U+{:04X}", u32::from(c))),
            }
        }
    }

    /// A run of spaces, without the one that belongs to ` -}}`.
    fn spaces(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        self.at -= 1;
        if self.right() != Some(true) {
            self.at += 1;
        }
        if self.at > self.start {
            self.emit(Kind::Space);
        }
    }

    fn quoted(&mut self, end: char, kind: Kind, unclosed: &str) -> Result<(), String> {
        loop {
            match self.next() {
                Some('\\') if !matches!(self.next(), None | Some('\n')) => {}
                Some('\\' | '\n') | None => return Err(unclosed.into()),
                Some(c) if c == end => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn identifier(&mut self) -> Result<(), String> {
        self.rest_of_word()?;
        let kind = match self.word() {
            "true" | "false" => Kind::Bool,
            "nil" => Kind::Nil,
            word if KEYWORDS.contains(&word) => Kind::Keyword,
            _ => Kind::Identifier,
        };
        self.emit(kind);
        Ok(())
    }

    fn field_or_variable(&mut self, kind: Kind) -> Result<(), String> {
        if self.at_terminator() {
            let kind = if kind == Kind::Field { Kind::Dot } else { kind };
            self.emit(kind);
            return Ok(());
        }
        self.rest_of_word()?;
        self.emit(kind);
        Ok(())
    }

    fn rest_of_word(&mut self) -> Result<(), String> {
        while self.peek().is_some_and(is_word) {
            self.next();
        }
        if self.at_terminator() {
            return Ok(());
        }
        Err(format!("bad character U+{:04X}", self.peek().map_or(0, u32::from)))
    }

    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some('.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(c) => is_space(c) || self.rest().starts_with(RIGHT),
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let bad = |lexer: &Self| Err(format!("bad number syntax: {:?}", lexer.word()));
        if !self.scan_number() {
            return bad(self);
        }
        if matches!(self.peek(), Some('+' | '-')) {
            if !self.scan_number() || !self.word().ends_with('i') {
                return bad(self);
            }
            self.emit(Kind::Complex);
            return Ok(());
        }
        self.emit(Kind::Number);
        Ok(())
    }

    fn accept(&mut self, valid: &str) -> bool {
        let found = self.peek().is_some_and(|c| valid.contains(c));
        if found {
            self.at += 1;
        }
        found
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = "0123456789_";
        if self.accept("0") {
            if self.accept("xX") {
                digits = "0123456789abcdefABCDEF_";
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        let exponent = match digits.len() {
            11 => self.accept("eE"),
            23 => self.accept("pP"),
            _ => false,
        };
        if exponent {
            self.accept("+-");
            self.accept_run("0123456789_");
        }
        self.accept("i");
        if self.peek().is_some_and(is_word) {
            self.next();
            return false;
        }
        true
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn is_word(c: char) -> bool {
    c == '_' || crate::runes::is_letter(c) || crate::runes::is_digit(c)
}

fn trims_left(after: &str) -> bool {
    let mut chars = after.chars();
    chars.next() == Some('-') && chars.next().is_some_and(is_space)
}
