//! LZ4 frames.
//!
//! Enters: bytes, or an object of many frames. Leaves: one frame with content checksum, or the
//! decoded bytes. `lz4_flex` takes a cut between two blocks for the end of the frame; the watch
//! below tells them apart.

use std::io::{self, BufRead, Read, Write};

use lz4_flex::frame::{BlockMode, BlockSize, FrameDecoder, FrameEncoder, FrameInfo};

use super::{cut, damaged, is_skippable, read_whole, skip};
use crate::fill::read_up_to;

/// First bytes of a frame.
pub const MAGIC: u32 = 0x184d_2204;

/// The encoder behind `-z lz4`.
pub type Encoder<W> = FrameEncoder<W>;

/// Independent blocks and a checksum, as the reference writes them.
pub fn encoder<W: Write>(inner: W) -> Encoder<W> {
    let format =
        FrameInfo::new().block_size(BlockSize::Max1MB).block_mode(BlockMode::Independent).content_checksum(true);
    FrameEncoder::with_frame_info(format, inner)
}

/// A source that gives bytes back first, and remembers whether somebody ran into its end.
struct Watched<R> {
    head: io::Cursor<[u8; 4]>,
    source: R,
    ran_out: bool,
}

impl<R: BufRead> Read for Watched<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.head.read(into)?;
        if count > 0 || into.is_empty() {
            return Ok(count);
        }
        let count = self.source.read(into)?;
        self.ran_out |= count == 0;
        Ok(count)
    }
}

enum State<R: BufRead> {
    Boundary(R),
    Inside(Box<FrameDecoder<Watched<R>>>),
    End,
}

/// Decodes all frames of an object.
pub struct Decoder<R: BufRead> {
    state: State<R>,
}

impl<R: BufRead> Decoder<R> {
    pub fn new(source: R) -> Self {
        Self { state: State::Boundary(source) }
    }

    fn boundary(mut source: R) -> io::Result<State<R>> {
        loop {
            let mut bytes = [0; 4];
            match read_up_to(&mut source, &mut bytes)? {
                0 => return Ok(State::End),
                4 => {}
                _ => return Err(cut()),
            }
            let magic = u32::from_le_bytes(bytes);
            if magic == MAGIC {
                let watched = Watched { head: io::Cursor::new(bytes), source, ran_out: false };
                return Ok(State::Inside(Box::new(FrameDecoder::new(watched))));
            }
            if !is_skippable(magic) {
                return Err(damaged("what follows a frame is no frame"));
            }
            let mut length = [0; 4];
            read_whole(&mut source, &mut length)?;
            skip(&mut source, u64::from(u32::from_le_bytes(length)), |_| {})?;
        }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match std::mem::replace(&mut self.state, State::End) {
                State::End => return Ok(0),
                State::Boundary(source) => self.state = Self::boundary(source)?,
                State::Inside(mut frame) => {
                    let count = match frame.read(into) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                            self.state = State::Inside(frame);
                            return Err(error);
                        }
                        other => other?,
                    };
                    if count > 0 {
                        self.state = State::Inside(frame);
                        return Ok(count);
                    }
                    let watched = frame.into_inner();
                    if watched.ran_out {
                        return Err(cut());
                    }
                    self.state = State::Boundary(watched.source);
                }
            }
        }
    }
}
