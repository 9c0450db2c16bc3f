//! Compression: what `-z` and `-d` name, and the streams behind the names.
//!
//! Enters: a codec name and a stream. Leaves: bytes that the reference reads, and the reverse
//! (mover.md §3): many frames and skippable frames decode; a cut or trailing junk is an error.
//! Nothing here knows the store, so that every layer is tested over plain buffers.

use std::io::{self, BufRead, BufReader, Read, Write};

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder};

use crate::error::{Error, Result};
use crate::fill::read_up_to;
use crate::store::buffered;

mod deflate;
mod lz4;
mod s2;
mod s2_block;
mod trailer;
mod zstd_frames;

pub use zstd_frames::Trailer;

/// All names that the reference accepts, in the order of its message, which scripts see.
const KNOWN: [(&str, Family, i32); 18] = [
    ("deflate-best-compression", Family::Deflate, 9),
    ("deflate-best-speed", Family::Deflate, 1),
    ("deflate-default", Family::Deflate, 6),
    ("gzip", Family::Gzip, 6),
    ("gzip-best-compression", Family::Gzip, 9),
    ("gzip-best-speed", Family::Gzip, 1),
    ("lz4", Family::Lz4, 0),
    ("pgzip", Family::Gzip, 6),
    ("pgzip-best-compression", Family::Gzip, 9),
    ("pgzip-best-speed", Family::Gzip, 1),
    ("s2-better", Family::S2, 0),
    ("s2-default", Family::S2, 0),
    ("s2-parallel-4", Family::S2, 0),
    ("s2-parallel-8", Family::S2, 0),
    ("zstd", Family::Zstd, 3),
    ("zstd-best-compression", Family::Zstd, 11),
    ("zstd-better-compression", Family::Zstd, 7),
    ("zstd-fastest", Family::Zstd, 1),
];

/// A format; any member reads what any other member wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    Deflate,
    Gzip,
    Lz4,
    S2,
    Zstd,
}

/// A codec that `-z` or `-d` names. The level matters for writing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Codec {
    family: Family,
    level: i32,
}

impl Codec {
    /// Reads a codec name; `flag` is how the reference names the option in its message.
    pub fn parse(name: &str, flag: &str) -> Result<Self> {
        if let Some((_, family, level)) = KNOWN.iter().find(|(known, ..)| *known == name) {
            return Ok(Self { family: *family, level: *level });
        }
        let known: Vec<_> = KNOWN.iter().map(|(name, ..)| *name).collect();
        Err(Error::Usage(format!(
            "invalid argument {name:?} for {flag:?} flag: {name} is not included in {}",
            known.join(",")
        )))
    }

    /// A name that [`Self::parse`] reads as this codec.
    pub fn name(self) -> &'static str {
        let same = |(_, family, level): &&(&str, Family, i32)| (*family, *level) == (self.family, self.level);
        KNOWN.iter().find(same).map_or("zstd", |(name, ..)| name)
    }

    /// Whether one decodes what the other encoded.
    pub fn reads(self, other: Self) -> bool {
        self.family == other.family
    }

    /// What reading an object of this codec to its end verifies.
    pub fn proof(self) -> &'static str {
        match self.family {
            Family::Deflate => "deflate without checksum",
            Family::Gzip => "gzip checksum",
            Family::Lz4 => "lz4 checksum",
            Family::S2 => "s2 checksums, its end is unknown",
            Family::Zstd => "zstd, checksum if it has one",
        }
    }
}

/// A sink that compresses, or not, and gives the inner sink back at the end.
pub enum Encoder<W: Write> {
    /// As it comes.
    Plain(W),
    /// Raw deflate.
    Deflate(Box<DeflateEncoder<W>>),
    /// One gzip member.
    Gzip(Box<GzEncoder<W>>),
    /// One lz4 frame.
    Lz4(Box<lz4::Encoder<W>>),
    /// A Snappy framed stream, which every S2 reader reads.
    S2(Box<s2::Encoder<W>>),
    /// Zstandard, with or without the integrity trailer.
    Zstd(Box<zstd_frames::Encoder<W>>),
}

impl<W: Write> Encoder<W> {
    /// A sink for this codec; `trailer` concerns zstd only.
    pub fn new(inner: W, codec: Option<Codec>, trailer: Trailer) -> Self {
        let Some(Codec { family, level }) = codec else {
            return Self::Plain(inner);
        };
        let deflate_level = Compression::new(level.unsigned_abs());
        match family {
            Family::Deflate => Self::Deflate(Box::new(DeflateEncoder::new(inner, deflate_level))),
            Family::Gzip => Self::Gzip(Box::new(GzEncoder::new(inner, deflate_level))),
            Family::Lz4 => Self::Lz4(Box::new(lz4::encoder(inner))),
            Family::S2 => Self::S2(Box::new(s2::Encoder::new(inner))),
            Family::Zstd => Self::Zstd(Box::new(zstd_frames::Encoder::new(inner, level, trailer))),
        }
    }

    /// Ends the stream and gives the inner sink back. Without this call the stream is cut.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) => Ok(inner),
            Self::Deflate(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Lz4(encoder) => encoder.finish().map_err(Into::into),
            Self::S2(encoder) => encoder.into_inner().map_err(snap::write::IntoInnerError::into_error),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(inner) => inner.write(bytes),
            Self::Deflate(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Lz4(encoder) => encoder.write(bytes),
            Self::S2(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Nothing is flushed before the end: a flush would cost ratio, and nobody reads before it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A source that decompresses, or not. The first bytes are looked at: another format is
/// [`NotThisCodec`], before a byte is emitted.
pub fn decoder(inner: Box<dyn BufRead>, codec: Option<Codec>) -> io::Result<Box<dyn BufRead>> {
    let Some(Codec { family, .. }) = codec else {
        return Ok(inner);
    };
    let mut source = Source { inner };
    let mut first = [0; 4];
    let got = read_up_to(&mut source, &mut first)?;
    let first = first.get(..got).unwrap_or_default();
    // The reference stores nothing for empty input in these formats; in the others even that
    // has bytes, and an empty object is a cut one.
    if first.is_empty() {
        let nothing = matches!(family, Family::Zstd | Family::S2);
        return if nothing { Ok(Box::new(io::empty())) } else { Err(cut()) };
    }
    if !looks_like(family, first) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, NotThisCodec));
    }
    let whole = BufReader::with_capacity(16, io::Cursor::new(first.to_vec())).chain(source);
    let inner: Box<dyn Read> = match family {
        Family::Deflate => Box::new(deflate::Decoder::new(whole)),
        Family::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        Family::Lz4 => Box::new(lz4::Decoder::new(whole)),
        Family::S2 => Box::new(s2::Decoder::new(whole)),
        Family::Zstd => Box::new(zstd_frames::Decoder::new(whole)?),
    };
    Ok(buffered(Final { inner, failed: false }))
}

/// Makes an error final: whoever reads on after one must not meet an end that looks clean.
struct Final {
    inner: Box<dyn Read>,
    failed: bool,
}

impl Read for Final {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.failed {
            return Err(damaged("the object failed to decode before"));
        }
        let read = self.inner.read(into);
        self.failed = read.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted);
        read
    }
}

/// An object whose first bytes were looked at.
pub struct Recognised {
    /// All of it.
    pub whole: Box<dyn BufRead>,
    /// What it starts like; raw deflate cannot be told from anything.
    pub codec: Option<Codec>,
    /// Set when it must have our integrity trailer.
    pub trailer: bool,
}

/// Tells what an object is by its first bytes.
pub fn recognise(mut inner: Box<dyn BufRead>) -> io::Result<Recognised> {
    let marker = trailer::marker();
    let mut first = vec![0; marker.len()];
    let got = read_up_to(&mut inner, &mut first)?;
    first.truncate(got);
    let magic = first.get(..4).unwrap_or_default();
    let codec = KNOWN
        .iter()
        .filter(|(_, family, _)| *family != Family::Deflate && magic.len() == 4 && looks_like(*family, magic))
        // A skippable frame may start lz4, too; ours starts zstd.
        .max_by_key(|(_, family, _)| *family == Family::Zstd)
        .map(|(_, family, level)| Codec { family: *family, level: *level });
    let trailer = first == marker;
    Ok(Recognised { whole: Box::new(io::Cursor::new(first).chain(inner)), codec, trailer })
}

/// Whether an object that starts so can be of this family. Shorter than a magic number is a cut,
/// which the decoders name.
fn looks_like(family: Family, first: &[u8]) -> bool {
    let Ok(magic) = first.try_into().map(u32::from_le_bytes) else {
        return true;
    };
    match family {
        Family::Deflate => true,
        Family::Gzip => magic & 0xffff == 0x8b1f,
        Family::Zstd => magic == zstd_frames::MAGIC || is_skippable(magic),
        Family::Lz4 => magic == lz4::MAGIC || is_skippable(magic),
        Family::S2 => magic == s2::IDENTIFIER,
    }
}

/// Frames that zstd and lz4 decoders skip: 16 magic numbers, then a length, then anything.
fn is_skippable(magic: u32) -> bool {
    magic & 0xffff_fff0 == 0x184d_2a50
}

/// The object is not in the format that was asked for, by its first bytes.
#[derive(Debug, thiserror::Error)]
#[error("the object does not start as this codec does")]
pub struct NotThisCodec;

/// What a decoder found wrong.
fn damaged(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

/// The object ends where it must not.
fn cut() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the object is cut short")
}

/// Marks what the storage itself failed with, so that the rest is the codec's.
struct Source {
    inner: Box<dyn BufRead>,
}

/// An error of the storage below a codec.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct StorageError(io::Error);

impl Source {
    fn mark(error: io::Error) -> io::Error {
        if error.kind() == io::ErrorKind::Interrupted {
            error
        } else {
            io::Error::new(error.kind(), StorageError(error))
        }
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(Self::mark)
    }
}

impl BufRead for Source {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf().map_err(Self::mark)
    }

    fn consume(&mut self, count: usize) {
        self.inner.consume(count);
    }
}

/// Names a read error: of the codec, or of the storage below it, and in that case gives the
/// storage's own error back.
pub fn read_error(error: io::Error, codec: Option<Codec>) -> Error {
    match error.downcast::<StorageError>() {
        Ok(StorageError(error)) => Error::read(error),
        Err(error) if codec.is_none() => Error::read(error),
        Err(error) => Error::Decode(error),
    }
}

/// Reads exactly this much; less is a cut.
fn read_whole(source: &mut impl BufRead, into: &mut [u8]) -> io::Result<()> {
    if read_up_to(source, into)? < into.len() { Err(cut()) } else { Ok(()) }
}

/// Skips exactly this much; less is a cut. `seen` gets what is skipped.
fn skip(source: &mut impl BufRead, mut length: u64, mut seen: impl FnMut(&[u8])) -> io::Result<()> {
    while length > 0 {
        let available = match source.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() {
            return Err(cut());
        }
        let count = available.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        seen(available.get(..count).unwrap_or_default());
        source.consume(count);
        length -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
pub mod tests;
