//! One S2 block: literals, and copies of what came before.
//!
//! Enters: a block, of which nothing can be trusted. Leaves: its bytes, or nothing. The encoder
//! writes 11, 16 or 32 bits of offset; an offset of 0 in the short form means "as the last one",
//! which is what Snappy lacks.

/// Largest block of the format.
pub const MAX_BLOCK: usize = 4 << 20;

/// What is left of the block.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of up to four bytes, low byte first.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let taken = self.take(bytes)?;
        Some(taken.iter().rev().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Seven bits per byte, low bits first, the high bit says that more follow.
    fn variable(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.number(1)?;
            number |= (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}

/// Decodes into `out`, which is emptied before.
pub fn decode(block: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut input = Input(block);
    out.clear();
    let length = input.variable().filter(|length| *length <= MAX_BLOCK)?;
    out.reserve(length);
    let mut offset = 0;
    while !input.0.is_empty() {
        let tag = input.number(1)?;
        let (kind, high) = (tag & 3, tag >> 2);
        if kind == 0 {
            let count = match high {
                0..60 => high,
                _ => input.number(high - 59)?,
            };
            let literal = input.take(count.checked_add(1)?)?;
            if out.len() + literal.len() > length {
                return None;
            }
            out.extend_from_slice(literal);
            continue;
        }
        let count = match kind {
            1 => {
                let near = (tag & 0xe0) << 3 | input.number(1)?;
                let short = high & 7;
                if near != 0 {
                    offset = near;
                    short + 4
                } else {
                    match short {
                        5 => input.number(1)? + 8,
                        6 => input.number(2)? + (1 << 8) + 4,
                        7 => input.number(3)? + (1 << 16) + 4,
                        _ => short + 4,
                    }
                }
            }
            2 => {
                offset = input.number(2)?;
                high + 1
            }
            _ => {
                offset = input.number(4)?;
                high + 1
            }
        };
        if offset == 0 || count > length - out.len() {
            return None;
        }
        copy(out, offset, count)?;
    }
    (out.len() == length).then_some(())
}

/// Appends `count` bytes that start `offset` before the end; they may overlap what they make.
fn copy(out: &mut Vec<u8>, offset: usize, mut count: usize) -> Option<()> {
    let start = out.len().checked_sub(offset)?;
    while count > 0 {
        // Each round doubles what can be copied at once.
        let piece = (out.len() - start).min(count);
        out.extend_from_within(start..start + piece);
        count -= piece;
    }
    Some(())
}
