//! `fmt.Sprintf`: verbs, flags, widths, argument numbers, and Go's texts for what does not fit.

mod numeric;

use crate::budget::Budget;
use crate::error::Fault;
use crate::print::{self, Style};
use crate::quote::quote;
use crate::runes;
use crate::value::{Value, Width};

/// Go's own limit for widths and precisions.
const MAX_WIDTH: i64 = 1_000_000;

#[derive(Default, Clone)]
struct Flags {
    sharp: bool,
    zero: bool,
    plus: bool,
    minus: bool,
    space: bool,
    width: Option<usize>,
    precision: Option<usize>,
    sharp_v: bool,
    plus_v: bool,
}

struct Printer<'a> {
    budget: &'a Budget,
    format: &'a [u8],
    at: usize,
    arguments: &'a [Value],
    next: usize,
    reordered: bool,
    good: bool,
    out: Vec<u8>,
    flags: Flags,
}

/// `fmt.Sprintf(format, arguments...)`.
pub(crate) fn sprintf(budget: &Budget, format: &[u8], arguments: &[Value]) -> Result<Vec<u8>, Fault> {
    let flags = Flags::default();
    let out = Vec::new();
    let mut printer = Printer { budget, format, at: 0, arguments, next: 0, reordered: false, good: true, out, flags };
    printer.run()?;
    Ok(printer.out)
}

impl Printer<'_> {
    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn put(&mut self, text: &str) {
        self.out.extend_from_slice(text.as_bytes());
    }

    fn run(&mut self) -> Result<(), Fault> {
        loop {
            self.good = true;
            let rest = self.format.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|b| *b == b'%').unwrap_or(rest.len());
            self.out.extend_from_slice(rest.get(..plain).unwrap_or_default());
            self.at += plain;
            if self.peek().is_none() {
                break;
            }
            self.at += 1;
            self.budget.step()?;
            if !self.directive()? {
                break;
            }
            self.budget.bytes(16)?;
        }
        self.extra()
    }

    fn extra(&mut self) -> Result<(), Fault> {
        if self.reordered || self.next >= self.arguments.len() {
            return Ok(());
        }
        self.flags = Flags::default();
        self.put("%!(EXTRA ");
        for (i, value) in self.arguments.iter().skip(self.next).enumerate() {
            if i > 0 {
                self.put(", ");
            }
            self.typed(value)?;
        }
        self.put(")");
        Ok(())
    }

    fn typed(&mut self, value: &Value) -> Result<(), Fault> {
        if !value.is_nothing() {
            let name = value.type_name();
            self.put(&name);
            self.put("=");
        }
        self.value(value, 'v', 0)
    }

    /// One directive after its percent sign; false at the end of the format.
    fn directive(&mut self) -> Result<bool, Fault> {
        self.flags = Flags::default();
        while let Some(c) = self.peek() {
            match c {
                b'#' => self.flags.sharp = true,
                b'0' => self.flags.zero = true,
                b'+' => self.flags.plus = true,
                b'-' => self.flags.minus = true,
                b' ' => self.flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
        let mut after_index = self.argument_number();
        self.width(&mut after_index);
        if self.peek() == Some(b'.') && self.at + 1 < self.format.len() {
            self.precision(&mut after_index);
        }
        if !after_index {
            self.argument_number();
        }
        let Some((verb, size)) = runes::first(self.format.get(self.at..).unwrap_or_default()) else {
            self.put("%!(NOVERB)");
            return Ok(false);
        };
        self.at += size;
        if verb == '%' {
            self.put("%");
            return Ok(true);
        }
        if !self.good {
            self.put(&format!("%!{verb}(BADINDEX)"));
            return Ok(true);
        }
        let Some(value) = self.arguments.get(self.next) else {
            self.put(&format!("%!{verb}(MISSING)"));
            return Ok(true);
        };
        self.next += 1;
        if verb == 'v' || verb == 'w' {
            self.flags.sharp_v = std::mem::take(&mut self.flags.sharp);
            self.flags.plus_v = std::mem::take(&mut self.flags.plus);
        }
        self.value(value, verb, 0)?;
        Ok(true)
    }

    fn width(&mut self, after_index: &mut bool) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            match self.int_argument() {
                Some(n) => {
                    if n < 0 {
                        self.flags.minus = true;
                        self.flags.zero = false;
                    }
                    self.flags.width = usize::try_from(n.abs()).ok();
                }
                None => self.put("%!(BADWIDTH)"),
            }
            *after_index = false;
        } else {
            self.flags.width = self.parse_number();
            if *after_index && self.flags.width.is_some() {
                self.good = false;
            }
        }
    }

    fn precision(&mut self, after_index: &mut bool) {
        self.at += 1;
        if *after_index {
            self.good = false;
        }
        *after_index = self.argument_number();
        if self.peek() == Some(b'*') {
            self.at += 1;
            self.flags.precision = self.int_argument().and_then(|n| usize::try_from(n).ok());
            if self.flags.precision.is_none() {
                self.put("%!(BADPREC)");
            }
            *after_index = false;
        } else {
            self.flags.precision = Some(self.parse_number().unwrap_or(0));
        }
    }

    fn int_argument(&mut self) -> Option<i64> {
        let value = self.arguments.get(self.next)?;
        self.next += 1;
        match value {
            Value::Int(_, n) if (-MAX_WIDTH..=MAX_WIDTH).contains(n) => Some(*n),
            _ => None,
        }
    }

    fn parse_number(&mut self) -> Option<usize> {
        let rest = self.format.get(self.at..)?;
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let text = std::str::from_utf8(rest.get(..digits)?).ok()?;
        let number: i64 = text.parse().ok()?;
        self.at += digits;
        (number <= MAX_WIDTH).then_some(usize::try_from(number).ok()).flatten()
    }

    /// `[n]`; true when one was read.
    fn argument_number(&mut self) -> bool {
        if self.peek() != Some(b'[') {
            return false;
        }
        self.reordered = true;
        let rest = self.format.get(self.at..).unwrap_or_default();
        let close = if rest.len() < 3 { None } else { rest.iter().position(|b| *b == b']') };
        let Some(close) = close else {
            self.good = false;
            self.at += 1;
            return false;
        };
        let inner = rest.get(1..close).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default();
        self.at += close + 1;
        let digits = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
        let number = inner.parse::<usize>().ok().filter(|_| digits);
        match number.and_then(|n| n.checked_sub(1)) {
            Some(index) if index < self.arguments.len() => {
                self.next = index;
                true
            }
            _ => {
                self.good = false;
                number.is_some()
            }
        }
    }

    fn bad_verb(&mut self, value: &Value, verb: char) -> Result<(), Fault> {
        self.put(&format!("%!{verb}("));
        if value.is_nothing() {
            self.put("<nil>");
        } else {
            let name = value.type_name();
            self.put(&name);
            self.put("=");
            self.value(value, 'v', 0)?;
        }
        self.put(")");
        Ok(())
    }

    fn value(&mut self, value: &Value, verb: char, depth: usize) -> Result<(), Fault> {
        Budget::nesting(depth)?;
        self.budget.step()?;
        self.budget.bytes(self.flags.width.unwrap_or(0) as u64 + self.flags.precision.unwrap_or(0) as u64)?;
        if value.is_nothing() {
            if depth > 0 {
                self.put(if self.flags.sharp_v { "interface {}(nil)" } else { "<nil>" });
                return Ok(());
            }
            return match verb {
                'T' | 'v' => {
                    self.pad(b"<nil>");
                    Ok(())
                }
                _ => self.bad_verb(value, verb),
            };
        }
        if verb == 'T' && depth == 0 {
            let name = value.type_name();
            self.text(name.as_bytes(), 's', value)?;
            return Ok(());
        }
        if let Some(shown) = self.shown(value, verb) {
            return self.text(&shown, verb, value);
        }
        match value {
            Value::Bool(b) if matches!(verb, 't' | 'v') => {
                self.pad(if *b { b"true" } else { b"false" });
                Ok(())
            }
            Value::Int(width, n) => self.integer(*width, *n, verb, value),
            Value::Float(f) => self.float(*f, verb, value),
            Value::Text(t) => self.text(t, verb, value),
            Value::List(list) if !self.flags.sharp_v => {
                self.put("[");
                for (i, item) in list.items().iter().enumerate() {
                    if i > 0 {
                        self.put(" ");
                    }
                    self.value(item, verb, depth + 1)?;
                }
                self.put("]");
                Ok(())
            }
            Value::Map(map) if !self.flags.sharp_v => {
                self.put("map[");
                for (i, (key, item)) in map.snapshot().iter().enumerate() {
                    if i > 0 {
                        self.put(" ");
                    }
                    self.text(key, verb, &Value::Text(key.clone()))?;
                    self.put(":");
                    self.value(item, verb, depth + 1)?;
                }
                self.put("]");
                Ok(())
            }
            Value::Bool(_) => self.bad_verb(value, verb),
            _ => {
                let style = match (self.flags.sharp_v, self.flags.plus_v) {
                    (true, _) => Style::Go,
                    (_, true) => Style::Named,
                    _ => Style::Plain,
                };
                print::styled(self.budget, &mut self.out, value, style, depth)
            }
        }
    }

    /// Types that say themselves how they print, for the verbs of texts.
    fn shown(&self, value: &Value, verb: char) -> Option<Vec<u8>> {
        if !matches!(verb, 'v' | 's' | 'x' | 'X' | 'q') || self.flags.sharp_v {
            return None;
        }
        match value {
            Value::Time(t) => Some(t.to_string().into_bytes()),
            Value::Version(v) => Some(v.to_string().into_bytes()),
            Value::Int(Width::Month | Width::Weekday, _) => print::to_text(self.budget, value).ok(),
            _ => None,
        }
    }

    fn pad(&mut self, text: &[u8]) {
        let missing = self.flags.width.unwrap_or(0).saturating_sub(runes::runes(text).count());
        let fill = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        if self.flags.minus {
            self.out.extend_from_slice(text);
        }
        self.out.extend(std::iter::repeat_n(fill, missing));
        if !self.flags.minus {
            self.out.extend_from_slice(text);
        }
    }

    fn truncated<'b>(&self, text: &'b [u8]) -> &'b [u8] {
        let Some(precision) = self.flags.precision else { return text };
        let end: usize = runes::runes(text).take(precision).map(|(_, width)| width).sum();
        text.get(..end).unwrap_or(text)
    }

    fn text(&mut self, text: &[u8], verb: char, value: &Value) -> Result<(), Fault> {
        match verb {
            'v' if self.flags.sharp_v => {
                let quoted = quote(text, false);
                self.pad(&quoted);
            }
            'v' | 's' => {
                let cut = self.truncated(text).to_vec();
                self.pad(&cut);
            }
            'x' | 'X' => self.hex(text, verb),
            'q' => {
                let cut = self.truncated(text);
                let raw = std::str::from_utf8(cut).is_ok_and(|s| {
                    s.chars().all(|c| c != '`' && c != '\u{feff}' && c != '\x7f' && (c == '\t' || c >= ' '))
                });
                let quoted =
                    if self.flags.sharp && raw { [b"`", cut, b"`"].concat() } else { quote(cut, self.flags.plus) };
                self.pad(&quoted);
            }
            _ => return self.bad_verb(value, verb),
        }
        Ok(())
    }

    fn hex(&mut self, text: &[u8], verb: char) {
        let take = self.flags.precision.unwrap_or(text.len()).min(text.len());
        let prefix = if verb == 'X' { "0X" } else { "0x" };
        let mut hex = String::new();
        for (i, byte) in text.iter().take(take).enumerate() {
            if i > 0 && self.flags.space {
                hex.push(' ');
            }
            if self.flags.sharp && (i == 0 || self.flags.space) {
                hex.push_str(prefix);
            }
            hex.push_str(&if verb == 'X' { format!("{byte:02X}") } else { format!("{byte:02x}") });
        }
        self.pad(hex.as_bytes());
    }
}
