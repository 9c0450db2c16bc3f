//! Files on their way over a data connection.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use suppaftp::{TlsStream, TransferStream};

use super::{explain, lock};
use crate::error::{Error, Result};
use crate::store::remote::tree::Sink;
use crate::store::s3::throttle::Throttled;

/// A file on its way out.
pub(super) struct Body<T: TlsStream> {
    pub(super) stream: Option<Throttled<TransferStream<T>>>,
    pub(super) size: Option<u64>,
    pub(super) at: u64,
    pub(super) what: String,
}

impl<T: TlsStream> Read for Body<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(stream) = &mut self.stream else { return Ok(0) };
        if buffer.is_empty() {
            return Ok(0);
        }
        let count = stream.read(buffer)?;
        self.at += count as u64;
        if count == 0
            && let Some(stream) = self.stream.take()
        {
            // A connection that breaks ends like a file; only the reply tells them apart.
            stream.into_inner().finish().map_err(|error| explain(self.what.clone(), error))?;
            if self.size.is_some_and(|size| size != self.at) {
                return Err(Error::Mismatch(format!("{} bytes came, the file has another size", self.at)).into());
            }
        }
        Ok(count)
    }
}

/// A file on its way in.
pub(super) struct FtpSink<T: TlsStream> {
    pub(super) stream: Option<TransferStream<T>>,
    /// A second handle on the connection, which must go first: the server sees the end only when
    /// the last one is closed.
    pub(super) cut: Arc<Mutex<Option<TcpStream>>>,
    pub(super) what: String,
}

impl<T: TlsStream> Write for FtpSink<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.as_mut().ok_or(io::ErrorKind::NotConnected)?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.as_mut().map_or(Ok(()), Write::flush)
    }
}

impl<T: TlsStream> Sink for FtpSink<T> {
    fn finish(mut self: Box<Self>) -> Result<()> {
        self.flush().map_err(|error| Error::io(self.what.clone(), error))?;
        lock(&self.cut).take();
        let Some(stream) = self.stream.take() else { return Ok(()) };
        stream.finish().map_err(|error| explain(self.what.clone(), error))
    }
}

impl<T: TlsStream> Drop for FtpSink<T> {
    fn drop(&mut self) {
        lock(&self.cut).take();
    }
}
