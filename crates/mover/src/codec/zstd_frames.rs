//! Zstandard: frames, skippable frames between them, and our integrity trailer.
//!
//! Enters: bytes, or an object of many frames. Leaves: one frame with checksum between marker and
//! trailer, or the decoded bytes. Empty input is an empty object, as in the reference.

use std::env;
use std::io::{self, BufRead, Read, Write};

use mover_protocol::env as names;
use zstd::stream::raw::{CParameter, DParameter, Decoder as Frames, InBuffer, Operation, OutBuffer};

use super::trailer::{self, MARKER_LENGTH, TRAILER_LENGTH, Tally};
use super::{cut, damaged, is_skippable, read_whole, skip};
use crate::error::{Error, Result};
use crate::fill::read_up_to;

/// First bytes of a frame.
pub const MAGIC: u32 = 0xfd2f_b528;
/// Largest window that decodes, 128 MiB, as in the reference. We write at most 4 MiB.
const WINDOW_LOG_MAX: u32 = 27;

/// Whether zstd objects get the integrity trailer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailer {
    /// Marker and trailer.
    On,
    /// The bare frame.
    Off,
}

impl Trailer {
    /// What the environment says; on unless it says otherwise.
    pub fn from_env() -> Result<Self> {
        let value = env::var_os(names::ZSTD_TRAILER).unwrap_or_default();
        match value.to_str() {
            Some("" | "on") => Ok(Self::On),
            Some("off") => Ok(Self::Off),
            _ => Err(Error::Config(format!(
                "{} is {:?}; it must be \"on\" or \"off\"",
                names::ZSTD_TRAILER,
                value.to_string_lossy()
            ))),
        }
    }
}

/// Compresses into one frame.
pub struct Encoder<W: Write> {
    state: State<W>,
    level: i32,
    trailer: Trailer,
    plain: Tally,
}

enum State<W: Write> {
    /// Nothing has come yet.
    Waiting(Counted<W>),
    Started(zstd::stream::write::Encoder<'static, Counted<W>>),
    /// Starting failed.
    Failed,
}

/// A sink that tallies what it is given.
struct Counted<W> {
    inner: W,
    stored: Tally,
    trailer: Trailer,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.inner.write(bytes)?;
        if self.trailer == Trailer::On {
            self.stored.add(bytes.get(..count).unwrap_or_default());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<W: Write> Encoder<W> {
    pub fn new(inner: W, level: i32, trailer: Trailer) -> Self {
        let counted = Counted { inner, stored: Tally::new(), trailer };
        Self { state: State::Waiting(counted), level, trailer, plain: Tally::new() }
    }

    pub fn finish(self) -> io::Result<W> {
        let mut counted = match self.state {
            State::Waiting(counted) => return Ok(counted.inner),
            State::Started(encoder) => encoder.finish()?,
            State::Failed => return Err(io::Error::other("the compressor did not start")),
        };
        if self.trailer == Trailer::On {
            let frame = trailer::trailer(&self.plain, &mut counted.stored);
            counted.inner.write_all(&frame)?;
        }
        Ok(counted.inner)
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        if let State::Waiting(_) = self.state
            && let State::Waiting(mut counted) = std::mem::replace(&mut self.state, State::Failed)
        {
            if self.trailer == Trailer::On {
                counted.write_all(&trailer::marker())?;
            }
            let mut encoder = zstd::stream::write::Encoder::new(counted, self.level)?;
            encoder.set_parameter(CParameter::ChecksumFlag(true))?;
            self.state = State::Started(encoder);
        }
        let State::Started(encoder) = &mut self.state else {
            return Err(io::Error::other("the compressor did not start"));
        };
        let count = encoder.write(bytes)?;
        if self.trailer == Trailer::On {
            self.plain.add(bytes.get(..count).unwrap_or_default());
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where the decoder stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first frame comes next.
    Start,
    /// A frame or the end comes next.
    Boundary,
    Inside,
    /// After a trailer: the end, or the marker of an object that was joined to this one.
    Sealed,
    End,
}

/// Decodes all frames of an object.
pub struct Decoder<R> {
    source: R,
    frames: Frames<'static>,
    at: At,
    /// Set when the marker was there: what must match the trailer.
    tallies: Option<(Tally, Tally)>,
}

impl<R: BufRead> Decoder<R> {
    pub fn new(source: R) -> io::Result<Self> {
        let mut frames = Frames::new()?;
        frames.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
        Ok(Self { source, frames, at: At::Start, tallies: None })
    }

    /// Passes over skippable frames, up to the next frame or the end.
    fn boundary(&mut self) -> io::Result<()> {
        loop {
            let mut bytes = [0; 4];
            match read_up_to(&mut self.source, &mut bytes)? {
                0 if self.tallies.is_some() => return Err(cut()),
                0 => {
                    self.at = At::End;
                    return Ok(());
                }
                4 => {}
                _ => return Err(cut()),
            }
            let magic = u32::from_le_bytes(bytes);
            if self.at == At::Sealed && magic != trailer::SKIPPABLE {
                return Err(damaged(BEHIND));
            }
            if magic == MAGIC {
                self.feed(&bytes)?;
                self.at = At::Inside;
                return Ok(());
            }
            if !is_skippable(magic) {
                return Err(damaged("what follows a frame is no frame"));
            }
            self.at = self.skippable(magic)?;
        }
    }

    /// The magic number, which was read to tell what comes.
    fn feed(&mut self, magic: &[u8]) -> io::Result<()> {
        self.frames.reinit()?;
        let mut input = InBuffer::around(magic);
        let mut nothing: [u8; 0] = [];
        self.frames.run(&mut input, &mut OutBuffer::around(&mut nothing[..]))?;
        if let Some((_, stored)) = &mut self.tallies {
            stored.add(magic);
        }
        Ok(())
    }

    /// Reads the rest of a skippable frame, and says where the decoder stands then.
    fn skippable(&mut self, magic: u32) -> io::Result<At> {
        let mut length = [0; 4];
        read_whole(&mut self.source, &mut length)?;
        let size = u32::from_le_bytes(length) as usize;
        let mut payload = [0; TRAILER_LENGTH];
        if size != MARKER_LENGTH && size != TRAILER_LENGTH {
            let stored = &mut self.tallies;
            if let Some((_, stored)) = stored {
                stored.add(&magic.to_le_bytes());
                stored.add(&length);
            }
            skip(&mut self.source, size as u64, |bytes| {
                if let Some((_, stored)) = stored {
                    stored.add(bytes);
                }
            })?;
            return if self.at == At::Sealed { Err(damaged(BEHIND)) } else { Ok(At::Boundary) };
        }
        let payload = payload.get_mut(..size).unwrap_or_default();
        read_whole(&mut self.source, payload)?;
        if matches!(self.at, At::Start | At::Sealed) && trailer::is_marker(magic, payload) {
            let mut stored = Tally::new();
            stored.add(&trailer::marker());
            self.tallies = Some((Tally::new(), stored));
            return Ok(At::Boundary);
        }
        if self.at == At::Sealed {
            return Err(damaged(BEHIND));
        }
        if trailer::is_trailer(payload) {
            return self.trailer(magic, length, payload);
        }
        if let Some((_, stored)) = &mut self.tallies {
            stored.add(&magic.to_le_bytes());
            stored.add(&length);
            stored.add(payload);
        }
        Ok(At::Boundary)
    }

    /// Everything must match.
    fn trailer(&mut self, magic: u32, length: [u8; 4], payload: &[u8]) -> io::Result<At> {
        let Some((plain, mut stored)) = self.tallies.take() else {
            return Err(damaged("the object has an integrity trailer but not the marker in front"));
        };
        let expected = trailer::trailer(&plain, &mut stored);
        let found = magic.to_le_bytes().into_iter().chain(length).chain(payload.iter().copied());
        if !found.eq(expected) {
            return Err(damaged("the object does not match its integrity trailer"));
        }
        Ok(At::Sealed)
    }
}

const BEHIND: &str = "something follows the integrity trailer";

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            match self.at {
                At::End => return Ok(0),
                At::Start | At::Boundary | At::Sealed => self.boundary()?,
                At::Inside => {
                    let available = match self.source.fill_buf() {
                        Ok(available) => available,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    };
                    let ended = available.is_empty();
                    let mut input = InBuffer::around(available);
                    let mut output = OutBuffer::around(&mut *into);
                    let missing = self.frames.run(&mut input, &mut output)?;
                    let (consumed, written) = (input.pos(), output.pos());
                    if let Some((plain, stored)) = &mut self.tallies {
                        stored.add(available.get(..consumed).unwrap_or_default());
                        plain.add(into.get(..written).unwrap_or_default());
                    }
                    self.source.consume(consumed);
                    if missing == 0 {
                        self.at = At::Boundary;
                    }
                    if written > 0 {
                        return Ok(written);
                    }
                    if ended && missing > 0 {
                        return Err(cut());
                    }
                }
            }
        }
    }
}
