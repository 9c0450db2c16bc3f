//! Compression: what `-z` and `-d` name, and the streams behind the names.
//!
//! Enters: a codec name and a stream. Leaves: bytes that the reference reads, and the reverse
//! (mover.md §3): an empty input is an empty object; many frames and skippable frames decode; a
//! cut or trailing junk is an error.

use std::io::{self, BufRead, BufReader, Read, Write};

use zstd::stream::raw::CParameter;

use crate::error::{Error, Result};

/// All names that the reference accepts; scripts see this list in its message.
const KNOWN: [&str; 18] = [
    "deflate-best-compression",
    "deflate-best-speed",
    "deflate-default",
    "gzip",
    "gzip-best-compression",
    "gzip-best-speed",
    "lz4",
    "pgzip",
    "pgzip-best-compression",
    "pgzip-best-speed",
    "s2-better",
    "s2-default",
    "s2-parallel-4",
    "s2-parallel-8",
    "zstd",
    "zstd-best-compression",
    "zstd-better-compression",
    "zstd-fastest",
];

/// Largest window that decodes, 128 MiB, as in the reference.
const WINDOW_LOG_MAX: u32 = 27;

/// A codec this build serves. The level matters for writing only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Zstandard at its default level.
    Zstd,
    /// Zstandard at its fastest level.
    ZstdFastest,
}

impl Codec {
    /// Reads a codec name; `flag` is how the reference names the option in its message.
    pub fn parse(name: &str, flag: &str) -> Result<Self> {
        match name {
            "zstd" => Ok(Self::Zstd),
            "zstd-fastest" => Ok(Self::ZstdFastest),
            known if KNOWN.contains(&known) => Err(Error::Config(format!(
                "the codec {known:?} of {flag:?} is not served by this build; served are zstd and zstd-fastest"
            ))),
            unknown => Err(Error::Usage(format!(
                "invalid argument {unknown:?} for {flag:?} flag: {unknown} is not included in {}",
                KNOWN.join(",")
            ))),
        }
    }

    /// The name that [`Self::parse`] reads.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::ZstdFastest => "zstd-fastest",
        }
    }

    /// Whether one decodes what the other encoded.
    pub fn reads(self, other: Self) -> bool {
        match (self, other) {
            (Self::Zstd | Self::ZstdFastest, Self::Zstd | Self::ZstdFastest) => true,
        }
    }

    fn level(self) -> i32 {
        match self {
            Self::Zstd => 3,
            Self::ZstdFastest => 1,
        }
    }
}

/// A sink that compresses, or not, and gives the inner sink back at the end.
pub enum Compressor<W: Write> {
    /// As it comes.
    Plain(W),
    /// Compressed, but nothing has come yet: an empty input must give an empty object.
    Waiting(W, Codec),
    /// Compressed.
    Zstd(Box<zstd::stream::write::Encoder<'static, W>>),
}

impl<W: Write> Compressor<W> {
    /// A sink for this codec.
    pub fn new(inner: W, codec: Option<Codec>) -> Self {
        match codec {
            None => Self::Plain(inner),
            Some(codec) => Self::Waiting(inner, codec),
        }
    }

    /// Writes one piece of the input.
    pub fn push(self, bytes: &[u8]) -> io::Result<Self> {
        match self {
            Self::Plain(mut inner) => {
                inner.write_all(bytes)?;
                Ok(Self::Plain(inner))
            }
            Self::Waiting(inner, codec) => {
                let mut encoder = zstd::stream::write::Encoder::new(inner, codec.level())?;
                encoder.set_parameter(CParameter::ChecksumFlag(true))?;
                encoder.write_all(bytes)?;
                Ok(Self::Zstd(Box::new(encoder)))
            }
            Self::Zstd(mut encoder) => {
                encoder.write_all(bytes)?;
                Ok(Self::Zstd(encoder))
            }
        }
    }

    /// Ends the last frame and gives the inner sink back.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Plain(inner) | Self::Waiting(inner, _) => Ok(inner),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

/// A source that decompresses, or not. Errors of the codec are told from errors of the storage.
pub fn reader(inner: Box<dyn Read>, codec: Option<Codec>) -> io::Result<Box<dyn Read>> {
    if codec.is_none() {
        return Ok(inner);
    }
    let mut buffered = BufReader::with_capacity(256 * 1024, Source { inner });
    if buffered.fill_buf()?.is_empty() {
        return Ok(Box::new(io::empty()));
    }
    let mut decoder = zstd::stream::read::Decoder::with_buffer(buffered)?;
    decoder.window_log_max(WINDOW_LOG_MAX)?;
    Ok(Box::new(decoder))
}

/// Marks what the storage itself failed with, so that the rest is the codec's.
struct Source {
    inner: Box<dyn Read>,
}

/// An error of the storage below a codec.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct StorageError(io::Error);

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| {
            if error.kind() == io::ErrorKind::Interrupted || is_ours(&error) {
                error
            } else {
                io::Error::new(error.kind(), StorageError(error))
            }
        })
    }
}

/// A failure that a store has already named.
fn is_ours(error: &io::Error) -> bool {
    error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Error>)
}

/// Names a read error: of the codec, or of the storage below it.
pub fn read_error(error: io::Error, codec: Option<Codec>) -> Error {
    let from_storage = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<StorageError>);
    if codec.is_none() || from_storage || is_ours(&error) { Error::io("read", error) } else { Error::Decode(error) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(input: &[u8], codec: Codec) -> Vec<u8> {
        let mut sink = Compressor::new(Vec::new(), Some(codec));
        if !input.is_empty() {
            sink = sink.push(input).unwrap();
        }
        sink.finish().unwrap()
    }

    fn decode(stored: &[u8]) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        reader(Box::new(io::Cursor::new(stored.to_vec())), Some(Codec::Zstd))?.read_to_end(&mut out)?;
        Ok(out)
    }

    #[test]
    fn empty_stays_empty() {
        assert!(encode(b"", Codec::ZstdFastest).is_empty());
        assert!(decode(b"").unwrap().is_empty());
    }

    #[test]
    fn many_frames_and_skippable_frames_decode() {
        let mut stored = encode(b"one", Codec::Zstd);
        // A skippable frame: magic 0x184D2A50, length 3, three bytes.
        stored.extend([0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
        stored.extend(encode(b"two", Codec::ZstdFastest));
        stored.extend([0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]);
        assert_eq!(decode(&stored).unwrap(), b"onetwo");
    }

    #[test]
    fn every_cut_and_any_junk_is_noticed() {
        let whole = encode(b"some text that compresses some text", Codec::Zstd);
        assert_eq!(whole[4] & 4, 4, "frames carry a checksum");
        for cut in 1..whole.len() {
            assert!(decode(&whole[..cut]).is_err(), "cut at {cut}");
        }
        for junk in [&b"x"[..], b"junk", b"a longer piece of junk"] {
            assert!(decode(&[&whole[..], junk].concat()).is_err());
        }
        let mut flipped = whole.clone();
        let last = flipped.len() - 1;
        flipped[last] ^= 1;
        assert!(decode(&flipped).is_err());
    }
}
