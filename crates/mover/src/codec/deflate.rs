//! Raw deflate, reading. The format has no checksum and no magic number, only a last block.
//!
//! Enters: an object. Leaves: the decoded bytes; a missing last block and anything behind it are
//! errors (flate2's own reader takes a cut for the end).

use std::io::{self, BufRead, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::{cut, damaged};

/// Decodes one stream.
pub struct Decoder<R> {
    source: R,
    state: Decompress,
    /// The last block was read; what follows, if anything, was not looked at.
    ended: bool,
}

impl<R: BufRead> Decoder<R> {
    pub fn new(source: R) -> Self {
        Self { source, state: Decompress::new(false), ended: false }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let available = match self.source.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let at_end = available.is_empty();
            if self.ended {
                return if at_end { Ok(0) } else { Err(damaged("something follows the last block")) };
            }
            let (read_before, written_before) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(available, into, FlushDecompress::None).map_err(damaged)?;
            let consumed = usize::try_from(self.state.total_in() - read_before).unwrap_or(0);
            let written = usize::try_from(self.state.total_out() - written_before).unwrap_or(0);
            self.source.consume(consumed);
            if status == Status::StreamEnd {
                self.ended = true;
            }
            if written > 0 {
                return Ok(written);
            }
            if at_end && !self.ended {
                return Err(cut());
            }
        }
    }
}
