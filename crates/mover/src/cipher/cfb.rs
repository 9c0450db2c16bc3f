//! The reference's `.enc`: a random IV of 16 bytes, then AES-CFB of the stream. It keeps secrets
//! from readers of the repository, and nothing more: damage and a wrong pass phrase decrypt to
//! garbage without an error (MD7 recognises what it can, in the decoder above).
//!
//! Enters: a stream. Leaves: the same bytes as the reference, both ways.

use std::ffi::OsStr;
use std::io::{self, Read, Write};

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, BlockModeDecrypt, BlockModeEncrypt, BlockSizeUser, KeyInit, KeyIvInit};
use aes::{Aes128, Aes192, Aes256};
use zeroize::Zeroizing;

use super::{CipherError, derive, trimmed};
use crate::error::{Error, Result};
use crate::fill::{random, read_up_to};

/// What names get in the store.
pub const SUFFIX: &str = ".enc";
/// The IV.
pub const OVERHEAD: u64 = IV as u64;
const IV: usize = 16;
/// Encrypted in pieces of this size.
const PIECE: usize = 64 * 1024;
/// The names of the reference, and their key sizes in bytes.
const ALGORITHMS: [(&str, usize); 3] = [("AES-128-CFB", 16), ("AES-192-CFB", 24), ("AES-256-CFB", 32)];

/// A key of 16, 24 or 32 bytes.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// The key size that a name means, upper or lower case.
    pub fn size_of(name: &OsStr) -> Result<usize> {
        ALGORITHMS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(trimmed(name)))
            .map(|(_, size)| *size)
            .ok_or_else(|| {
                Error::Config(format!(
                    "{} is {:?}; known are {}",
                    mover_protocol::env::ENCRYPTION_ALGORITHM,
                    name.to_string_lossy(),
                    ALGORITHMS.map(|(known, _)| known).join(", ")
                ))
            })
    }

    /// All algorithms cut the same derived key.
    pub fn derive(phrase: &[u8], size: usize) -> Result<Self> {
        let mut key = Zeroizing::new(vec![0; 32]);
        derive(phrase, b"encryption", &[], &mut key).map_err(Error::read)?;
        key.truncate(size);
        Ok(Self(key))
    }

    fn encryptor(&self, iv: &[u8]) -> Option<Transform> {
        match self.0.len() {
            16 => encrypting::<Aes128>(&self.0, iv),
            24 => encrypting::<Aes192>(&self.0, iv),
            _ => encrypting::<Aes256>(&self.0, iv),
        }
    }

    fn decryptor(&self, iv: &[u8]) -> Option<Transform> {
        match self.0.len() {
            16 => decrypting::<Aes128>(&self.0, iv),
            24 => decrypting::<Aes192>(&self.0, iv),
            _ => decrypting::<Aes256>(&self.0, iv),
        }
    }
}

fn encrypting<C>(key: &[u8], iv: &[u8]) -> Option<Transform>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let mut cipher = Some(cfb_mode::Encryptor::<C>::new_from_slices(key, iv).ok()?);
    Some(Box::new(move |bytes| {
        let (blocks, tail) = aes::Block::slice_as_chunks_mut(bytes);
        if let Some(cipher) = &mut cipher {
            cipher.encrypt_blocks(blocks);
        }
        if !tail.is_empty()
            && let Some(cipher) = cipher.take()
        {
            cipher.encrypt(tail);
        }
    }))
}

/// Unlike the other way, each block needs only ciphertext, so the processor decrypts several at
/// once.
fn decrypting<C>(key: &[u8], iv: &[u8]) -> Option<Transform>
where
    C: BlockCipherEncrypt + BlockSizeUser<BlockSize = U16> + KeyInit + 'static,
{
    let mut cipher = Some(cfb_mode::Decryptor::<C>::new_from_slices(key, iv).ok()?);
    Some(Box::new(move |bytes| {
        let (blocks, tail) = aes::Block::slice_as_chunks_mut(bytes);
        if let Some(cipher) = &mut cipher {
            cipher.decrypt_blocks(blocks);
        }
        if !tail.is_empty()
            && let Some(cipher) = cipher.take()
        {
            cipher.decrypt(tail);
        }
    }))
}

/// Changes bytes in place, one piece after another: whole blocks, but for the last piece.
type Transform = Box<dyn FnMut(&mut [u8])>;

const REFUSED: CipherError = CipherError::Unavailable("the cipher refused its key");

/// Encrypts into a sink.
pub struct Encryptor<W> {
    inner: W,
    cipher: Transform,
    /// Plain bytes that wait for more, so that none but the last piece ends within a block.
    piece: Vec<u8>,
}

impl<W: Write> Encryptor<W> {
    /// Draws an IV and writes it.
    pub fn new(mut inner: W, key: &Key) -> io::Result<Self> {
        let iv: [u8; IV] = random()?;
        inner.write_all(&iv)?;
        let cipher = key.encryptor(&iv).ok_or(REFUSED)?;
        Ok(Self { inner, cipher, piece: Vec::new() })
    }

    /// Encrypts what was gathered and writes it.
    fn flush_piece(&mut self) -> io::Result<()> {
        (self.cipher)(&mut self.piece);
        self.inner.write_all(&self.piece)?;
        self.piece.clear();
        Ok(())
    }

    /// Writes the last piece.
    pub fn finish(mut self) -> io::Result<W> {
        self.flush_piece()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for Encryptor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.piece.len() == PIECE {
            self.flush_piece()?;
        }
        let taken = bytes.get(..PIECE - self.piece.len()).unwrap_or(bytes);
        self.piece.extend_from_slice(taken);
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decrypts from a source.
pub struct Decryptor<R> {
    inner: R,
    cipher: Transform,
    piece: Vec<u8>,
    given: usize,
    ended: bool,
}

impl<R: Read> Decryptor<R> {
    /// Reads the IV.
    pub fn new(mut inner: R, key: &Key) -> io::Result<Self> {
        let mut iv = [0; IV];
        let got = read_up_to(&mut inner, &mut iv)?;
        if got < IV {
            return Err(CipherError::TooShort(got).into());
        }
        let cipher = key.decryptor(&iv).ok_or(REFUSED)?;
        Ok(Self { inner, cipher, piece: Vec::new(), given: 0, ended: false })
    }
}

impl<R: Read> Read for Decryptor<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.given == self.piece.len() && !self.ended {
            // Whole pieces, so that none but the last ends within a block.
            self.given = 0;
            self.piece.resize(PIECE, 0);
            let got = read_up_to(&mut self.inner, &mut self.piece);
            self.piece.truncate(*got.as_ref().unwrap_or(&0));
            self.ended = got? < PIECE;
            (self.cipher)(&mut self.piece);
        }
        let count = (&mut *into).write(self.piece.get(self.given..).unwrap_or_default())?;
        self.given += count;
        Ok(count)
    }
}
