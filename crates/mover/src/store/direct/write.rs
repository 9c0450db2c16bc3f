//! Writing, in whole chunks.
//!
//! Enters: bytes of one new file, in order. Leaves: the file's content. The beginning of a file, and file systems that
//! refuse, go through the page cache as usual.

use std::fs::File;
use std::io::{self, Write};

use super::{CHUNK, Chunk, refused, set};

/// How the next bytes are written.
pub enum Direct {
    /// Through the page cache: so many bytes to go until it is worth more.
    Beginning(usize),
    /// Past the page cache, in whole chunks.
    Chunks(Chunks),
    /// Through the page cache: the file system refuses, or the rest is no whole number of blocks.
    Cached,
}

/// A chunk that is being filled.
pub struct Chunks {
    chunk: Chunk,
    filled: usize,
}

impl Direct {
    /// For a file of which nothing is written yet.
    pub fn new() -> Self {
        Self::Beginning(CHUNK)
    }

    /// Takes all of `bytes`.
    pub fn write(&mut self, mut file: &File, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match self {
                Self::Beginning(left) => {
                    let (now, later) = rest.split_at(rest.len().min(*left));
                    file.write_all(now)?;
                    *left -= now.len();
                    rest = later;
                    if *left == 0 {
                        *self = if set(file, true).is_ok() { Self::Chunks(Chunks::new()) } else { Self::Cached };
                    }
                }
                Self::Chunks(chunks) => {
                    rest = chunks.take(rest);
                    if chunks.filled == CHUNK {
                        self.chunk(file)?;
                    }
                }
                Self::Cached => {
                    file.write_all(rest)?;
                    rest = &[];
                }
            }
        }
        Ok(())
    }

    /// Writes what is left; the file is complete but for its durability.
    pub fn finish(&mut self, file: &File) -> io::Result<()> {
        match std::mem::replace(self, Self::Cached) {
            Self::Chunks(mut chunks) => {
                set(file, false)?;
                chunks.flush(file)
            }
            _ => Ok(()),
        }
    }

    fn chunk(&mut self, file: &File) -> io::Result<()> {
        let Self::Chunks(chunks) = self else { return Ok(()) };
        match chunks.flush(file) {
            Err(error) if refused(&error) => self.finish(file),
            outcome => outcome,
        }
    }
}

impl Chunks {
    fn new() -> Self {
        Self { chunk: Chunk::new(), filled: 0 }
    }

    /// Fills the chunk; gives what it has no room for.
    fn take<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let room = self.chunk.bytes_mut().get_mut(self.filled..).unwrap_or_default();
        let (now, later) = bytes.split_at(bytes.len().min(room.len()));
        let (into, _) = room.split_at_mut(now.len());
        into.copy_from_slice(now);
        self.filled += now.len();
        later
    }

    /// What was written is taken off, also where a later part failed.
    fn flush(&mut self, mut file: &File) -> io::Result<()> {
        let mut done = 0;
        let outcome = loop {
            let left = self.chunk.bytes().get(done..self.filled).unwrap_or_default();
            if left.is_empty() {
                break Ok(());
            }
            match file.write(left) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            }
        };
        self.chunk.bytes_mut().copy_within(done..self.filled, 0);
        self.filled -= done;
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    fn written(file: &mut File, sizes: &[usize]) -> (Direct, Vec<u8>) {
        let mut direct = Direct::new();
        let mut expected = Vec::new();
        for (index, size) in sizes.iter().enumerate() {
            let bytes: Vec<u8> = (0..*size).map(|at| (at * 7 + index).to_le_bytes()[0]).collect();
            direct.write(file, &bytes).unwrap();
            expected.extend(bytes);
        }
        (direct, expected)
    }

    #[test]
    fn any_cut_of_a_stream_gives_the_same_file() {
        for sizes in [&[][..], &[1], &[CHUNK], &[CHUNK - 1, 2], &[CHUNK * 2 + 5], &[3, CHUNK, 4095, CHUNK, 1]] {
            let mut file = tempfile::tempfile().unwrap();
            let (mut direct, expected) = written(&mut file, sizes);
            direct.finish(&file).unwrap();
            let mut found = Vec::new();
            std::io::Seek::rewind(&mut file).unwrap();
            file.read_to_end(&mut found).unwrap();
            assert!(found == expected, "{sizes:?}");
        }
    }

    #[test]
    fn a_failed_write_is_told() {
        let file = File::options().write(true).open("/dev/full").unwrap();
        let mut direct = Direct::new();
        let error = direct.write(&file, &vec![1; CHUNK]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
