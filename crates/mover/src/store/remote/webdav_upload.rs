//! A file on its way to a WebDAV server.
//!
//! Enters: bytes. Leaves: one PUT that streams, whole; cut, with the connection, when it is
//! dropped or a signal ends us, so that the server does not take a part for the file.

use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use super::tree::Sink;
use super::webdav::Client;
use crate::error::{Error, Result};

/// Up to this size an upload says its length; some servers want that.
const SMALL: usize = 1 << 20;

/// To the thread that sends, for whoever has to cut it.
pub type Cut = Arc<Mutex<Option<SyncSender<Piece>>>>;

/// A file on its way in: in memory while it is small, then through a thread that sends it.
pub struct DavSink {
    client: Arc<Client>,
    key: PathBuf,
    buffer: Vec<u8>,
    cut: Cut,
    streaming: Option<Streaming>,
}

struct Streaming {
    pieces: SyncSender<Piece>,
    sending: JoinHandle<Result<()>>,
}

/// What the sending thread gets.
pub enum Piece {
    /// The next bytes.
    Data(Vec<u8>),
    /// That was all.
    End,
    /// The server must not take what it has for a file.
    Cut,
}

struct Pieces {
    from: Receiver<Piece>,
    piece: Vec<u8>,
    used: usize,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.used == self.piece.len() && !self.ended {
            match self.from.recv() {
                Ok(Piece::Data(piece)) => (self.piece, self.used) = (piece, 0),
                Ok(Piece::End) => self.ended = true,
                Ok(Piece::Cut) | Err(_) => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        let count = self.piece.get(self.used..).unwrap_or_default().read(buffer)?;
        self.used += count;
        Ok(count)
    }
}

impl DavSink {
    /// A file; nothing is sent yet.
    pub fn new(client: Arc<Client>, key: PathBuf, cut: Cut) -> Self {
        Self { client, key, buffer: Vec::new(), cut, streaming: None }
    }

    fn start(&self) -> io::Result<Streaming> {
        let (pieces, from) = sync_channel(2);
        let (client, key) = (Arc::clone(&self.client), self.key.clone());
        let sending = std::thread::Builder::new()
            .name("put".into())
            .spawn(move || client.put(&key, None, &mut Pieces { from, piece: Vec::new(), used: 0, ended: false }))?;
        *self.cut.lock().unwrap_or_else(PoisonError::into_inner) = Some(pieces.clone());
        Ok(Streaming { pieces, sending })
    }

    fn send(&mut self, piece: Piece) -> io::Result<()> {
        let streaming = match self.streaming.take() {
            Some(streaming) => streaming,
            None => self.start()?,
        };
        if streaming.pieces.send(piece).is_ok() {
            self.streaming = Some(streaming);
            return Ok(());
        }
        // Nobody takes it any more: the thread knows why.
        let why = streaming.sending.join();
        self.client.clear(&self.key);
        match why {
            Ok(Err(error)) => Err(error.into()),
            _ => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Write for DavSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= SMALL {
            let piece = std::mem::take(&mut self.buffer);
            self.send(Piece::Data(piece))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink for DavSink {
    fn finish(mut self: Box<Self>) -> Result<()> {
        if self.streaming.is_none() {
            return self.client.put(&self.key, Some(self.buffer.len()), &mut self.buffer.as_slice());
        }
        let failed = |error| Error::io("write", error);
        let piece = std::mem::take(&mut self.buffer);
        self.send(Piece::Data(piece)).map_err(failed)?;
        self.send(Piece::End).map_err(failed)?;
        let Some(streaming) = self.streaming.take() else { return Ok(()) };
        streaming.sending.join().unwrap_or_else(|_| Err(Error::Config("the sending thread failed".to_owned())))
    }
}

impl Drop for DavSink {
    fn drop(&mut self) {
        self.cut.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Streaming { pieces, sending }) = self.streaming.take() {
            let _ = pieces.send(Piece::Cut);
            let _ = sending.join();
            self.client.clear(&self.key);
        }
    }
}
