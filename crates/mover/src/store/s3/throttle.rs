//! `--bwlimit`: one allowance of bytes for all connections of this process.

use std::io::{self, Read};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::tuning::tuning;

/// When the next byte may go.
static NEXT: Mutex<Option<Instant>> = Mutex::new(None);

/// A source that gives no more than the allowance; without a limit, as fast as it can.
pub struct Throttled<R> {
    inner: R,
    limit: Option<u64>,
}

impl<R: Read> Throttled<R> {
    /// Wraps a body.
    pub fn new(inner: R) -> Self {
        Self { inner, limit: tuning().bandwidth }
    }
}

impl<R> Throttled<R> {
    /// The body again.
    pub fn into_inner(self) -> R {
        self.inner
    }
}

impl<R: Read> Read for Throttled<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(limit) = self.limit else { return self.inner.read(buffer) };
        // A twentieth of a second at a time keeps the flow even.
        let piece = usize::try_from(limit / 20).unwrap_or(usize::MAX).clamp(512, buffer.len().max(512));
        let room = buffer.len().min(piece);
        let count = self.inner.read(buffer.get_mut(..room).unwrap_or_default())?;
        let pause = {
            let mut next = NEXT.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let start = next.filter(|next| *next > now).unwrap_or(now);
            let nanos = u64::try_from(count).unwrap_or(u64::MAX).saturating_mul(1_000_000_000) / limit.max(1);
            *next = Some(start + Duration::from_nanos(nanos));
            start.duration_since(now)
        };
        std::thread::sleep(pause);
        Ok(count)
    }
}
