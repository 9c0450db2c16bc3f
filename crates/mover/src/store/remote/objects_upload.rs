//! An object on its way into a container: parts that are invisible until the list of them is
//! committed.
//!
//! Enters: bytes. Leaves: the object, whole, or nothing. The library does not abort a writer that
//! is dropped; we do.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opendal::{Operator, Writer};
use tokio::sync::Notify;

use super::bridge::wait;
use super::objects::explain;
use crate::error::{Error, Result};
use crate::progress;
use crate::staging::{self, OpenUpload};
use crate::store::Upload;
use crate::store::s3::memory::{MAX_PARTS, Plan};
use crate::tuning::tuning;

/// The library's upload, which a signal may have to end.
struct Open {
    writer: Mutex<Option<Writer>>,
    stop: Notify,
}

impl Open {
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn abort(&self) {
        if let Some(mut writer) = self.lock().take() {
            let _ = wait(writer.abort());
        }
    }
}

impl OpenUpload for Open {
    fn abort_now(&self) {
        // Whoever is sending a part lets go of the writer.
        self.stop.notify_one();
        let Some(mut writer) = self.lock().take() else { return };
        let abort = async { tokio::time::timeout(std::time::Duration::from_secs(2), writer.abort()).await };
        let _ = wait(abort);
    }
}

/// An upload of one object.
pub struct ObjectUpload {
    operator: Operator,
    name: String,
    what: String,
    plan: Plan,
    number: u32,
    buffer: Vec<u8>,
    total: u64,
    open: Option<Arc<Open>>,
}

impl ObjectUpload {
    /// An upload; nothing is sent yet.
    pub fn new(operator: Operator, name: String, what: String, chunk_size: Option<u64>) -> Self {
        let plan = Plan::new(chunk_size, tuning());
        Self { operator, name, what, plan, number: 1, buffer: Vec::new(), total: 0, open: None }
    }

    fn part_size(&self) -> usize {
        usize::try_from(self.plan.part(self.number)).unwrap_or(usize::MAX)
    }

    fn failed(&self, error: &opendal::Error) -> Error {
        explain(self.what.clone(), error)
    }

    /// Begins, with the first part or at the end.
    fn open(&mut self) -> Result<Arc<Open>> {
        if let Some(open) = &self.open {
            return Ok(Arc::clone(open));
        }
        let ahead = self.plan.in_flight(self.plan.part(1)).max(1);
        let begun = async { self.operator.writer_with(&self.name).concurrent(ahead).await };
        let writer = wait(begun)?.map_err(|error| self.failed(&error))?;
        let open = Arc::new(Open { writer: Mutex::new(Some(writer)), stop: Notify::new() });
        staging::remote_open(Arc::<Open>::clone(&open));
        self.open = Some(Arc::clone(&open));
        Ok(open)
    }

    fn send_part(&mut self) -> Result<()> {
        if self.number > MAX_PARTS {
            return Err(Error::Config(format!(
                "{}: an object has at most {MAX_PARTS} parts: use a larger --part-size",
                self.what
            )));
        }
        let open = self.open()?;
        let part = std::mem::take(&mut self.buffer);
        let sent = {
            let mut held = open.lock();
            let Some(writer) = held.as_mut() else { return Err(Error::io("write", io::ErrorKind::NotConnected)) };
            wait(async {
                tokio::select! {
                    sent = writer.write(part) => Some(sent),
                    () = open.stop.notified() => None,
                }
            })?
        };
        match sent {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(self.failed(&error)),
            None => return Err(Error::io("write", io::ErrorKind::Interrupted)),
        }
        if self.number > 1 || self.part_size() > 0 {
            progress::PARTS.add(1);
        }
        self.number += 1;
        Ok(())
    }
}

impl Write for ObjectUpload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let size = self.part_size();
        if self.buffer.capacity() == 0 {
            // Pages are touched only as they fill.
            self.buffer.reserve_exact(size);
        }
        if self.buffer.len() >= size {
            self.send_part()?;
        }
        let room = self.part_size().saturating_sub(self.buffer.len());
        let taken = bytes.get(..bytes.len().min(room)).unwrap_or_default();
        self.buffer.extend_from_slice(taken);
        self.total += taken.len() as u64;
        progress::STORED.add(taken.len() as u64);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Upload for ObjectUpload {
    fn commit(mut self: Box<Self>) -> Result<()> {
        if !self.buffer.is_empty() {
            self.send_part()?;
        }
        let open = self.open()?;
        staging::remote_completing();
        let Some(mut writer) = open.lock().take() else {
            return Err(Error::io("write", io::ErrorKind::NotConnected));
        };
        let closed = wait(writer.close())?;
        if let Err(error) = closed {
            let _ = wait(writer.abort());
            staging::remote_ended(false);
            return Err(self.failed(&error));
        }
        staging::remote_ended(true);
        let stored = wait(self.operator.stat(&self.name))?.map_err(|error| self.failed(&error))?.content_length();
        if stored != self.total {
            return Err(Error::Mismatch(format!("the store has {stored} bytes of the {} that were sent", self.total)));
        }
        Ok(())
    }
}

impl Drop for ObjectUpload {
    fn drop(&mut self) {
        if let Some(open) = self.open.take() {
            let unfinished = open.lock().is_some();
            open.abort();
            if unfinished {
                staging::remote_ended(false);
            }
        }
    }
}
