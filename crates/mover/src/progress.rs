//! What this process has moved, counted where it happens, for the report at the end.

use std::sync::atomic::{AtomicU64, Ordering};

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
pub static BYTES: Counter = Counter(AtomicU64::new(0));
/// Bytes that went to the store, or came from it.
pub static STORED: Counter = Counter(AtomicU64::new(0));
/// Parts of multipart uploads.
pub static PARTS: Counter = Counter(AtomicU64::new(0));
/// Requests that were sent again.
pub static RETRIES: Counter = Counter(AtomicU64::new(0));

/// All of them.
pub fn transfer() -> Transfer {
    Transfer { bytes: BYTES.get(), bytes_stored: STORED.get(), parts: PARTS.get(), retries: RETRIES.get() }
}
