//! Fills buffers: from a stream as far as it goes, or with random bytes.
//!
//! Enters: a buffer. Leaves: its bytes, and how many of them the stream had.

use std::io::{self, Read};

use crate::error::{Error, Result};

/// As many bytes as there are, up to the length of `into`; a short read is no end.
pub fn read_up_to(source: &mut (impl Read + ?Sized), into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while let Some(rest) = into.get_mut(got..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(count) => got += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(got)
}

/// Random bytes for keys, salts and names; up to 256 of them.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let failed = |error: io::Error| Error::io("draw random bytes", error);
    let mut bytes = [0; N];
    // The kernel gives as many whole; fewer would leave zeros where nobody may guess.
    let got = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty());
    match got.map_err(|error| failed(error.into()))? {
        got if got == N => Ok(bytes),
        got => Err(failed(io::Error::other(format!("there were {got} of {N}")))),
    }
}
