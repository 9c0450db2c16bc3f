//! S2 streams: chunks with a type, a length and a checksum (the Snappy framing format, larger
//! blocks, and copies that repeat the last offset).
//!
//! Enters: bytes, or an object. Leaves: a Snappy stream, which is valid S2, or the decoded
//! bytes. The format has no end: a cut between two chunks is not noticed, here or anywhere.

use std::io::{self, BufRead, Read, Write};

use super::s2_block::{self, MAX_BLOCK};
use super::{cut, damaged, read_whole, skip};
use crate::fill::read_up_to;

/// The encoder behind `-z s2-*`.
pub type Encoder<W> = snap::write::FrameEncoder<W>;

/// Type and length of the chunk that every stream starts with.
pub const IDENTIFIER: u32 = 0x0000_06ff;
const NAMES: [[u8; 6]; 2] = [*b"S2sTwO", *b"sNaPpY"];
/// A block that did not get smaller is stored as it is, so no valid chunk is larger.
const MAX_CHUNK: usize = MAX_BLOCK + MAX_BLOCK / 6 + 64;

/// Decodes a stream, or several one after another.
pub struct Decoder<R> {
    source: R,
    chunk: Vec<u8>,
    block: Vec<u8>,
    given: usize,
    named: bool,
}

impl<R: BufRead> Decoder<R> {
    pub fn new(source: R) -> Self {
        Self { source, chunk: Vec::new(), block: Vec::new(), given: 0, named: false }
    }

    /// Reads one chunk; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        let mut head = [0; 4];
        match read_up_to(&mut self.source, &mut head)? {
            0 => return Ok(false),
            4 => {}
            _ => return Err(cut()),
        }
        let [kind, low, middle, high] = head;
        let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
        if !self.named && kind != 0xff {
            return Err(damaged("the stream does not start with its name"));
        }
        match kind {
            0x00 | 0x01 => self.data(kind, length)?,
            0xff => {
                let mut name = [0; 6];
                if length != name.len() {
                    return Err(damaged("the name of the stream has another length"));
                }
                read_whole(&mut self.source, &mut name)?;
                if !NAMES.contains(&name) {
                    return Err(damaged("the name of the stream is unknown"));
                }
                self.named = true;
            }
            // Padding, an index, and what later versions may add.
            0x80..=0xfe => skip(&mut self.source, length as u64, |_| {})?,
            0x02..=0x7f => return Err(damaged("a chunk of unknown type that must not be skipped")),
        }
        Ok(true)
    }

    fn data(&mut self, kind: u8, length: usize) -> io::Result<()> {
        let mut sum = [0; 4];
        let Some(length) = length.checked_sub(sum.len()).filter(|length| *length <= MAX_CHUNK) else {
            return Err(damaged("a chunk has an impossible length"));
        };
        read_whole(&mut self.source, &mut sum)?;
        self.given = 0;
        if kind == 0x01 {
            if length > MAX_BLOCK {
                return Err(damaged("a chunk has an impossible length"));
            }
            self.block.resize(length, 0);
            read_whole(&mut self.source, &mut self.block)?;
        } else {
            self.chunk.resize(length, 0);
            read_whole(&mut self.source, &mut self.chunk)?;
            s2_block::decode(&self.chunk, &mut self.block).ok_or_else(|| damaged("a block does not decode"))?;
        }
        if masked(crc_fast::crc32_iscsi(&self.block)) != u32::from_le_bytes(sum) {
            self.block.clear();
            return Err(damaged("a block does not match its checksum"));
        }
        Ok(())
    }
}

/// Checksums are stored so that a checksum over data with checksums stays useful.
fn masked(sum: u32) -> u32 {
    sum.rotate_right(15).wrapping_add(0xa282_ead8)
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self.block.get(self.given..).unwrap_or_default();
            if !ready.is_empty() || into.is_empty() {
                // Copies as much as fits.
                let count = (&mut *into).write(ready)?;
                self.given += count;
                return Ok(count);
            }
            self.block.clear();
            self.given = 0;
            if !self.next()? {
                return Ok(0);
            }
        }
    }
}
