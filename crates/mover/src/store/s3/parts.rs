//! Parts of one upload on their way: a few threads, a few buffers, and nothing grows with the
//! size of the object but a line per part.
//!
//! Enters: full buffers in order. Leaves: what the server said of each part. A buffer is kept
//! until its part is acknowledged, because the producer's stream cannot be read again.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::failure::{CallResult, Failure};

/// A part that the server has.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Its number, from 1.
    pub number: u32,
    /// Its entity tag.
    pub tag: String,
    /// Its checksum as sent.
    pub checksum: String,
    /// CRC64NVME, where that is computed.
    pub crc64: u64,
    /// Its length.
    pub length: u64,
}

/// Sends one part; called from several threads.
pub type Send = dyn Fn(u32, &[u8]) -> CallResult<Stored> + std::marker::Send + Sync;

#[derive(Default)]
struct State {
    queue: VecDeque<(u32, Vec<u8>)>,
    busy: usize,
    free: Vec<Vec<u8>>,
    stored: Vec<Stored>,
    failure: Option<Failure>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts of one upload.
pub struct Parts {
    shared: Arc<Shared>,
    send: Arc<Send>,
    threads: Vec<JoinHandle<()>>,
}

impl Parts {
    /// No parts yet, and no threads.
    pub fn new(send: Arc<Send>) -> Self {
        Self { shared: Arc::default(), send, threads: Vec::new() }
    }

    /// Hands a part over and gives back an empty buffer of `next` bytes. At most `in_flight` parts
    /// are on their way afterwards; 0 waits for this one, where memory allows one buffer only.
    pub fn submit(&mut self, number: u32, bytes: Vec<u8>, in_flight: usize, next: usize) -> CallResult<Vec<u8>> {
        let mut state = self.shared.lock();
        while state.failure.is_none() && state.queue.len() + state.busy >= in_flight.max(1) {
            state = self.shared.wait(state);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        state.queue.push_back((number, bytes));
        self.shared.changed.notify_all();
        if self.threads.len() < state.queue.len() + state.busy {
            drop(state);
            self.start_thread()?;
            state = self.shared.lock();
        }
        while in_flight == 0 && state.failure.is_none() && !(state.queue.is_empty() && state.busy == 0) {
            state = self.shared.wait(state);
        }
        // Buffers of smaller parts are of no more use, and those above the bound must go.
        state.free.retain(|buffer| buffer.capacity() >= next);
        state.free.truncate(in_flight.max(1));
        let buffer = state.free.pop();
        drop(state);
        Ok(buffer.unwrap_or_else(|| Vec::with_capacity(next)))
    }

    /// Waits for all parts and gives them in order.
    pub fn finish(&mut self) -> CallResult<Vec<Stored>> {
        let mut state = self.shared.lock();
        while state.failure.is_none() && !(state.queue.is_empty() && state.busy == 0) {
            state = self.shared.wait(state);
        }
        if let Some(failure) = &state.failure {
            return Err(failure.clone());
        }
        let mut stored = std::mem::take(&mut state.stored);
        stored.sort_unstable_by_key(|part| part.number);
        Ok(stored)
    }

    fn start_thread(&mut self) -> CallResult<()> {
        let (shared, send) = (Arc::clone(&self.shared), Arc::clone(&self.send));
        let started = std::thread::Builder::new().name("part".into()).spawn(move || work(&shared, &*send));
        match started {
            Ok(thread) => self.threads.push(thread),
            // Those that run will do.
            Err(_) if !self.threads.is_empty() => {}
            Err(error) => return Err(Failure::network("start a thread", error.to_string())),
        }
        Ok(())
    }
}

/// No part is on its way after the drop: what follows may be an abort.
impl Drop for Parts {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.queue.clear();
            self.shared.changed.notify_all();
        }
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn work(shared: &Shared, send: &Send) {
    let mut state = shared.lock();
    loop {
        if state.closed || state.failure.is_some() {
            return;
        }
        let Some((number, mut bytes)) = state.queue.pop_front() else {
            state = shared.wait(state);
            continue;
        };
        state.busy += 1;
        drop(state);
        let outcome = send(number, &bytes);
        state = shared.lock();
        state.busy -= 1;
        match outcome {
            Ok(stored) => state.stored.push(stored),
            Err(failure) => state.failure = Some(failure),
        }
        bytes.clear();
        state.free.push(bytes);
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn parts_stay_in_order_and_buffers_within_bounds() {
        for in_flight in [0, 1, 3] {
            let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            let (inside, seen) = (Arc::clone(&now), Arc::clone(&most));
            let mut parts = Parts::new(Arc::new(move |number, bytes: &[u8]| {
                seen.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                inside.fetch_sub(1, Ordering::SeqCst);
                let length = bytes.len() as u64;
                Ok(Stored { number, tag: String::new(), checksum: String::new(), crc64: 0, length })
            }));
            let mut buffer = Vec::with_capacity(16);
            for number in 1..=50u32 {
                buffer.resize(number as usize, 0);
                buffer = parts.submit(number, buffer, in_flight, 64).unwrap();
                assert!(buffer.is_empty());
            }
            let stored = parts.finish().unwrap();
            assert!(
                stored
                    .iter()
                    .zip(1..=50)
                    .all(|(part, number)| part.number == number && part.length == u64::from(number))
            );
            assert!(most.load(Ordering::SeqCst) <= in_flight.max(1));
        }
    }

    #[test]
    fn the_first_failure_ends_it() {
        let mut parts = Parts::new(Arc::new(|_, _: &[u8]| Err(Failure::network("PUT", "no"))));
        let mut refused = false;
        for number in 1..=9 {
            refused |= parts.submit(number, vec![0], 2, 1).is_err();
        }
        assert!(refused && parts.finish().is_err());
    }
}
