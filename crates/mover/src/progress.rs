//! What this process has moved, counted where it happens, for the report at the end.

use std::io::{self, BufRead, Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crc_fast::{CrcAlgorithm, Digest};
use mover_protocol::Transfer;

/// One number that many threads add to.
#[derive(Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Bytes read from the producer, or handed to the consumer.
static BYTES: Counter = Counter(AtomicU64::new(0));
/// Bytes that went to the store, or came from it.
pub static STORED: Counter = Counter(AtomicU64::new(0));
/// Parts of multipart uploads.
pub static PARTS: Counter = Counter(AtomicU64::new(0));
/// Requests that were sent again.
pub static RETRIES: Counter = Counter(AtomicU64::new(0));
/// Checksum of [`BYTES`], where somebody wants it.
static CHECKSUM: Mutex<Option<Digest>> = Mutex::new(None);

/// All of them.
pub fn transfer() -> Transfer {
    Transfer { bytes: BYTES.get(), bytes_stored: STORED.get(), parts: PARTS.get(), retries: RETRIES.get() }
}

/// These bytes came from the producer, or went to the consumer.
pub fn moved(bytes: &[u8]) {
    BYTES.add(bytes.len() as u64);
    if let Some(digest) = checksum().as_mut() {
        digest.update(bytes);
    }
}

/// From now on CRC64NVME is computed over what is moved.
pub fn want_checksum() {
    *checksum() = Some(Digest::new(CrcAlgorithm::Crc64Nvme));
}

/// CRC64NVME of what was moved, if it was wanted.
pub fn moved_crc64() -> Option<u64> {
    checksum().as_ref().map(Digest::finalize)
}

fn checksum() -> MutexGuard<'static, Option<Digest>> {
    CHECKSUM.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream to or from a store that does not count by itself.
pub struct Counted<T>(pub T);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        STORED.add(count as u64);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.0.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.0.consume(count);
        STORED.add(count as u64);
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.0.write(bytes)?;
        STORED.add(count as u64);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
