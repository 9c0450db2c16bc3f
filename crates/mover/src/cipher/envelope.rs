//! The authenticated envelope `aead-v1` (docs/adr/0017): a header, then AES-256-GCM in frames.
//!
//! Enters: a stream and a pass phrase. Leaves: an object that refuses a wrong phrase before a
//! byte is emitted, and any flipped, moved, missing or added byte; no byte is emitted that is
//! not authentic. Sizes are a function of each other, so listings need no look inside.
//!
//! ```text
//! header  8  "HFENVLP" and the version 1
//!         4  key derivation 1, cipher 1, log2 of the frame size 16, 0
//!        32  salt
//!        32  fingerprint of the key
//! frame   up to 65536 bytes and a tag of 16; all but the last are full,
//!         the last is empty only when there is nothing at all
//! ```
//! The key comes from phrase, salt and the first 12 bytes, so each object has its own and the
//! nonce can count: frame number, then whether it is the last one.

use std::io::{self, Read, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroizing;

use super::{CipherError, derive};
use crate::fill::{random, read_up_to};

/// What names get in the store.
pub const SUFFIX: &str = ".hfe";
/// Plain bytes in a full frame.
pub const FRAME: usize = 1 << 16;
const TAG: usize = 16;
const SEALED: usize = FRAME + TAG;
/// Name, version and parameters.
const PREFIX: [u8; 12] = *b"HFENVLP\x01\x01\x01\x10\x00";
const SALT: usize = 32;
const FINGERPRINT: usize = 32;
/// Bytes before the first frame.
pub const HEADER: usize = PREFIX.len() + SALT + FINGERPRINT;

/// Size of what is inside of an object of this size; 0 for what is too short to be one.
pub fn plain_size(stored: u64) -> u64 {
    let sealed = stored.saturating_sub(HEADER as u64);
    sealed.saturating_sub(sealed.div_ceil(SEALED as u64) * TAG as u64)
}

/// The key of one object, and what tells it from others.
fn keys(phrase: &[u8], salt: &[u8]) -> io::Result<(LessSafeKey, [u8; FINGERPRINT])> {
    let mut key = Zeroizing::new([0; 32]);
    derive(phrase, salt, &[b"holdfast aead-v1 key ", &PREFIX], &mut *key)?;
    let mut fingerprint = [0; FINGERPRINT];
    derive(phrase, salt, &[b"holdfast aead-v1 fingerprint ", &PREFIX], &mut fingerprint)?;
    let key =
        UnboundKey::new(&AES_256_GCM, &*key).map_err(|_| CipherError::Unavailable("the cipher refused its key"))?;
    Ok((LessSafeKey::new(key), fingerprint))
}

/// Frame number and end mark; a key sees each nonce once.
fn nonce(frame: u64, last: bool) -> Nonce {
    // 2^56 frames of 64 KiB are more than any object has, so the shift loses nothing.
    let counted = u128::from(frame) << 8 | u128::from(last);
    let [_, _, _, _, nonce @ ..] = counted.to_be_bytes();
    Nonce::assume_unique_for_key(nonce)
}

/// Encrypts into a sink.
pub struct Encryptor<W> {
    inner: W,
    key: LessSafeKey,
    /// Plain bytes that wait until it is known whether they are the last.
    frame: Vec<u8>,
    number: u64,
}

impl<W: Write> Encryptor<W> {
    /// Draws a salt and writes the header.
    pub fn new(mut inner: W, phrase: &[u8]) -> io::Result<Self> {
        let salt: [u8; SALT] = random()?;
        let (key, fingerprint) = keys(phrase, &salt)?;
        for part in [&PREFIX[..], &salt, &fingerprint] {
            inner.write_all(part)?;
        }
        Ok(Self { inner, key, frame: Vec::new(), number: 0 })
    }

    fn seal(&mut self, last: bool) -> io::Result<()> {
        self.key
            .seal_in_place_append_tag(nonce(self.number, last), Aad::empty(), &mut self.frame)
            .map_err(|_| CipherError::Unavailable("the cipher refused a frame"))?;
        self.inner.write_all(&self.frame)?;
        self.frame.clear();
        self.number += 1;
        Ok(())
    }

    /// Writes the last frame.
    pub fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.frame.len() == FRAME && !bytes.is_empty() {
            self.seal(false)?;
        }
        let taken = bytes.get(..FRAME - self.frame.len()).unwrap_or(bytes);
        self.frame.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts from a source.
pub struct Decryptor<R> {
    inner: R,
    key: LessSafeKey,
    /// A sealed frame and the first byte of the next one; then the plain bytes in its place.
    buffer: Vec<u8>,
    /// The byte of the next frame.
    ahead: Option<u8>,
    given: usize,
    plain: usize,
    number: u64,
    ended: bool,
    failed: bool,
}

impl<R: Read> Decryptor<R> {
    /// Reads the header and compares the fingerprint.
    pub fn new(mut inner: R, phrase: &[u8]) -> io::Result<Self> {
        let mut header = [0; HEADER];
        let got = read_up_to(&mut inner, &mut header)?;
        let (prefix, rest) = header.split_at(PREFIX.len());
        if !PREFIX.starts_with(prefix.get(..got).unwrap_or(prefix)) {
            return Err(CipherError::NotEnvelope.into());
        }
        if got < HEADER {
            return Err(CipherError::TooShort(got).into());
        }
        let (salt, found) = rest.split_at(SALT);
        let (key, fingerprint) = keys(phrase, salt)?;
        if found != fingerprint {
            return Err(CipherError::WrongPhrase.into());
        }
        let buffer = Vec::with_capacity(SEALED + 1);
        Ok(Self { inner, key, buffer, ahead: None, given: 0, plain: 0, number: 0, ended: false, failed: false })
    }

    /// Reads and opens the next frame.
    fn next(&mut self) -> io::Result<()> {
        (self.given, self.plain) = (0, 0);
        let damaged = CipherError::Frame(self.number);
        let held = usize::from(self.ahead.is_some());
        self.buffer.clear();
        self.buffer.extend(self.ahead.take());
        self.buffer.resize(SEALED + 1, 0);
        let got = held + read_up_to(&mut self.inner, self.buffer.get_mut(held..).unwrap_or_default())?;
        let last = got <= SEALED;
        if last {
            self.buffer.truncate(got);
            // A frame before this one was full, so an empty one has no reason to be.
            if got < TAG || (got == TAG && self.number > 0) {
                return Err(damaged.into());
            }
        } else {
            self.ahead = self.buffer.pop();
        }
        let opened = self.key.open_in_place(nonce(self.number, last), Aad::empty(), &mut self.buffer);
        self.plain = opened.map_err(|_| damaged)?.len();
        self.number += 1;
        self.ended = last;
        Ok(())
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let ready = self.buffer.get(self.given..self.plain).unwrap_or_default();
            if !ready.is_empty() || into.is_empty() {
                // Copies as much as fits.
                let count = (&mut *into).write(ready)?;
                self.given += count;
                return Ok(count);
            }
            if self.ended {
                return Ok(0);
            }
            if self.failed {
                return Err(CipherError::Frame(self.number).into());
            }
            // An error is final: whoever reads on must not meet an end that looks clean.
            self.failed = true;
            self.next()?;
            self.failed = false;
        }
    }
}
