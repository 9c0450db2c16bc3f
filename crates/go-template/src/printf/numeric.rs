//! Verbs of whole numbers and floats.

use super::Printer;
use crate::error::Fault;
use crate::numbers;
use crate::quote::quote_rune;
use crate::runes;
use crate::value::{Value, Width};

impl Printer<'_> {
    pub(super) fn integer(&mut self, width: Width, n: i64, verb: char, value: &Value) -> Result<(), Fault> {
        let (base, upper) = match verb {
            'v' if self.flags.sharp_v && width == Width::Uint8 => {
                self.put(&format!("{n:#x}"));
                return Ok(());
            }
            'v' | 'd' => (10, false),
            'b' => (2, false),
            'o' | 'O' => (8, false),
            'x' => (16, false),
            'X' => (16, true),
            'c' => {
                let c = u32::try_from(n).ok().and_then(char::from_u32).unwrap_or(runes::ERROR);
                self.pad(c.to_string().as_bytes());
                return Ok(());
            }
            'q' => {
                let quoted = quote_rune(n, self.flags.plus);
                self.pad(&quoted);
                return Ok(());
            }
            'U' => {
                let digits = self.flags.precision.unwrap_or(4).max(4);
                let mut shown = format!("U+{n:0digits$X}");
                let c = u32::try_from(n).ok().and_then(char::from_u32).filter(|c| runes::is_print(*c));
                if let (true, Some(c)) = (self.flags.sharp, c) {
                    shown.push_str(&format!(" '{c}'"));
                }
                self.flags.zero = false;
                self.pad(shown.as_bytes());
                return Ok(());
            }
            _ => return self.bad_verb(value, verb),
        };
        self.digits(n, base, upper, verb);
        Ok(())
    }

    pub(super) fn digits(&mut self, n: i64, base: u32, upper: bool, verb: char) {
        let magnitude = n.unsigned_abs();
        let signed = n < 0 || self.flags.plus || self.flags.space;
        let least = match self.flags.precision {
            Some(0) if n == 0 => {
                self.flags.zero = false;
                self.pad(b"");
                return;
            }
            Some(precision) => precision,
            None if self.flags.zero && !self.flags.minus => {
                self.flags.width.map_or(0, |width| width.saturating_sub(usize::from(signed)))
            }
            None => 0,
        };
        let digits = match base {
            2 => format!("{magnitude:b}"),
            8 => format!("{magnitude:o}"),
            16 if upper => format!("{magnitude:X}"),
            16 => format!("{magnitude:x}"),
            _ => magnitude.to_string(),
        };
        let mut shown = "0".repeat(least.saturating_sub(digits.len())) + &digits;
        if self.flags.sharp {
            let prefix = match base {
                2 => "0b",
                8 if !shown.starts_with('0') => "0",
                16 if upper => "0X",
                16 => "0x",
                _ => "",
            };
            shown.insert_str(0, prefix);
        }
        if verb == 'O' {
            shown.insert_str(0, "0o");
        }
        if n < 0 {
            shown.insert(0, '-');
        } else if self.flags.plus {
            shown.insert(0, '+');
        } else if self.flags.space {
            shown.insert(0, ' ');
        }
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(shown.as_bytes());
        self.flags.zero = zero;
    }

    pub(super) fn float(&mut self, f: f64, verb: char, value: &Value) -> Result<(), Fault> {
        let (form, precision) = match verb {
            'v' => ('g', None),
            'g' | 'G' => (verb, None),
            'e' | 'E' => (verb, Some(6)),
            'f' | 'F' => ('f', Some(6)),
            'b' | 'x' | 'X' => return Fault::new(format!("verb %{verb} of a float is not supported")),
            _ => return self.bad_verb(value, verb),
        };
        let mut shown = numbers::float(f, form, self.flags.precision.or(precision));
        if !shown.starts_with(['-', '+']) {
            shown.insert(0, if self.flags.space && !self.flags.plus { ' ' } else { '+' });
        }
        if f.is_nan() || f.is_infinite() {
            if f.is_nan() && !self.flags.space && !self.flags.plus || shown.starts_with('+') && !self.flags.plus {
                shown.remove(0);
            }
            // Go writes the plus of an infinity only where asked, but always in `%v`.
            if f == f64::INFINITY && !shown.starts_with(['+', ' ']) {
                shown.insert(0, '+');
            }
            let zero = std::mem::take(&mut self.flags.zero);
            self.pad(shown.as_bytes());
            self.flags.zero = zero;
            return Ok(());
        }
        if self.flags.sharp {
            shown = sharpened(&shown, form, self.flags.precision);
        }
        if !self.flags.plus && shown.starts_with('+') {
            shown.remove(0);
            self.pad(shown.as_bytes());
            return Ok(());
        }
        let width = self.flags.width.unwrap_or(0);
        if self.flags.zero && !self.flags.minus && width > shown.len() {
            let (sign, rest) = shown.split_at(1);
            shown = format!("{sign}{}{rest}", "0".repeat(width - shown.len()));
        }
        self.pad(shown.as_bytes());
        Ok(())
    }
}

/// `%#g`: a decimal point always, trailing zeros kept.
fn sharpened(shown: &str, form: char, precision: Option<usize>) -> String {
    let (number, tail) = match shown.find(['e', 'E']) {
        Some(at) => shown.split_at(at),
        None => (shown, ""),
    };
    let significant = number.chars().skip(1).filter(|c| *c != '.').skip_while(|c| *c == '0').count();
    let mut wanted = if matches!(form, 'g' | 'G') { precision.unwrap_or(6) } else { 0 };
    let mut out = number.to_owned();
    if !number.contains('.') {
        if number.len() == 2 && number.ends_with('0') {
            wanted = wanted.saturating_sub(1);
        }
        out.push('.');
    }
    out.push_str(&"0".repeat(wanted.saturating_sub(significant)));
    out + tail
}
