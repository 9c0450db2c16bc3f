//! Reading, one chunk ahead of whoever consumes.
//!
//! Enters: a file and its size. Leaves: its bytes; their end comes only after all of them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{CHUNK, Chunk, refused, set};

/// Shorter files are read as usual.
const LONG: u64 = 4 * CHUNK as u64;
/// One is consumed, one waits, one is filled.
const CHUNKS: usize = 3;

/// A file that is read ahead.
pub struct Ahead {
    filled: Receiver<io::Result<Filled>>,
    free: SyncSender<Chunk>,
    now: Option<Filled>,
    used: usize,
    left: u64,
}

struct Filled {
    chunk: Chunk,
    length: usize,
}

impl Ahead {
    /// Reads a whole file of that size from its beginning.
    pub fn open(file: File, size: u64) -> io::Result<Box<dyn Read>> {
        if size < LONG || set(&file, true).is_err() {
            return Ok(Box::new(file));
        }
        let (free, empty) = sync_channel(CHUNKS);
        for _ in 0..CHUNKS {
            // There is room for all of them.
            let _ = free.send(Chunk::new());
        }
        let (full, filled) = sync_channel(CHUNKS);
        std::thread::Builder::new().name("ahead".into()).spawn(move || fill(&file, &empty, &full))?;
        Ok(Box::new(Self { filled, free, now: None, used: 0, left: size }))
    }

    fn next(&mut self) -> io::Result<()> {
        if let Some(used) = self.now.take() {
            // Nobody fills any more when the file has ended.
            let _ = self.free.send(used.chunk);
        }
        self.used = 0;
        self.now = Some(self.filled.recv().map_err(|_| ended_early())??);
        Ok(())
    }
}

/// Fills chunks until the file ends or nobody wants them.
fn fill(file: &File, empty: &Receiver<Chunk>, full: &SyncSender<io::Result<Filled>>) {
    let mut at = 0;
    while let Ok(mut chunk) = empty.recv() {
        let filled = fill_one(file, at, chunk.bytes_mut()).map(|length| Filled { chunk, length });
        let length = filled.as_ref().map_or(0, |filled| filled.length);
        if full.send(filled).is_err() || length < CHUNK {
            return;
        }
        at += length as u64;
    }
}

fn fill_one(file: &File, from: u64, bytes: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(room) = bytes.get_mut(filled..).filter(|room| !room.is_empty()) {
        match file.read_at(room, from + filled as u64) {
            Ok(0) => break,
            Ok(count) => {
                filled += count;
                // What follows a part of a block is the end, which is asked for as usual.
                if filled % super::ALIGNMENT != 0 {
                    set(file, false)?;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if refused(&error) && is_direct(file)? => set(file, false)?,
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn ended_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ended before its size")
}

fn is_direct(file: &File) -> io::Result<bool> {
    Ok(rustix::fs::fcntl_getfl(file)?.contains(rustix::fs::OFlags::DIRECT))
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || self.left == 0 {
            return Ok(0);
        }
        if self.now.as_ref().is_none_or(|now| self.used == now.length) {
            self.next()?;
        }
        let now = self.now.as_ref();
        let rest = now.and_then(|now| now.chunk.bytes().get(self.used..now.length)).unwrap_or_default();
        let count = rest.take(self.left).read(buffer)?;
        if count == 0 {
            return Err(ended_early());
        }
        self.used += count;
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn long(size: usize) -> (File, Vec<u8>) {
        let bytes: Vec<u8> = (0..size).map(|at| (at / 977).to_le_bytes()[0]).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        (file, bytes)
    }

    #[test]
    fn a_long_file_comes_whole_whatever_its_end() {
        for size in [CHUNK * 4, CHUNK * 4 + 1, CHUNK * 5 - 1, CHUNK * 5 + 4096] {
            let (file, expected) = long(size);
            let mut found = Vec::new();
            Ahead::open(file, size as u64).unwrap().read_to_end(&mut found).unwrap();
            assert!(found == expected, "{size}");
        }
    }

    #[test]
    fn a_file_shorter_than_its_size_is_an_error() {
        let (file, _) = long(CHUNK * 4 + 7);
        let mut body = Ahead::open(file, CHUNK as u64 * 4 + 8).unwrap();
        assert_eq!(body.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
