//! Ranges that are fetched ahead: a few threads, a few buffers.
//!
//! Enters: an object and where to begin. Leaves: its ranges in order, or the first failure.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::failure::CallResult;
use super::range::{Range, Source};
use crate::error::{Error, Result};

/// Length of one range.
pub const RANGE: u64 = 8 << 20;

/// Ranges that are fetched ahead.
pub struct Window {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    /// Where the first range begins.
    begin: u64,
    /// How many ranges may be in memory.
    ahead: u64,
}

#[derive(Default)]
struct State {
    /// Ranges handed out, and taken.
    started: u64,
    taken: u64,
    ready: BTreeMap<u64, CallResult<Vec<u8>>>,
    free: Vec<Vec<u8>>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Window {
    /// Starts to fetch what comes after `begin`.
    pub fn start(source: &Arc<Source>, begin: u64, threads: usize) -> Result<Self> {
        let shared =
            Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), begin, ahead: threads as u64 });
        let ranges = (source.size - begin).div_ceil(RANGE);
        for _ in 0..ranges.min(threads as u64) {
            let (shared, source) = (Arc::clone(&shared), Arc::clone(source));
            std::thread::Builder::new()
                .name("range".into())
                .spawn(move || fetch(&shared, &source, ranges))
                .map_err(|error| Error::io("start a thread", error))?;
        }
        Ok(Self { shared })
    }

    /// The next range; its predecessor's buffer goes back.
    pub fn take(&self, used: Vec<u8>) -> CallResult<Vec<u8>> {
        let mut state = self.shared.lock();
        if used.capacity() > 0 {
            state.free.push(used);
        }
        loop {
            let next = state.taken;
            if let Some(ready) = state.ready.remove(&next) {
                state.taken += 1;
                self.shared.changed.notify_all();
                return ready;
            }
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Window {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

fn fetch(shared: &Shared, source: &Arc<Source>, ranges: u64) {
    loop {
        let mut state = shared.lock();
        let number = state.started;
        if state.closed || number >= ranges {
            return;
        }
        if number >= state.taken + shared.ahead {
            drop(shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner));
            continue;
        }
        state.started += 1;
        let mut buffer = state.free.pop().unwrap_or_default();
        drop(state);
        let at = shared.begin + number * RANGE;
        let mut range = Range::new(Arc::clone(source), at, source.size.min(at + RANGE), None);
        let length = usize::try_from(range.left()).unwrap_or(usize::MAX);
        if buffer.len() < length {
            // Fresh pages are zero already.
            buffer = vec![0; length];
        }
        buffer.truncate(length);
        let mut filled = 0;
        let got = loop {
            match range.read(buffer.get_mut(filled..).unwrap_or_default()) {
                Ok(0) => break Ok(buffer),
                Ok(count) => filled += count,
                Err(failure) => break Err(failure),
            }
        };
        shared.lock().ready.insert(number, got);
        shared.changed.notify_all();
    }
}
