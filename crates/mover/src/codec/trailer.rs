//! The integrity trailer of zstd objects: two skippable frames that other decoders pass over.
//!
//! Enters: what goes into and comes out of the compressor. Leaves: a marker in front, and at the
//! end lengths and checksums of both. An object with the marker must have the trailer and nothing
//! behind it, so a cut at a frame boundary and any flipped bit are noticed, which zstd alone
//! cannot do. CRCs find accidents; against intent there is the authenticated envelope.

use crc_fast::{CrcAlgorithm, Digest};

/// Magic number of our skippable frames, one of the sixteen that decoders skip.
pub const SKIPPABLE: u32 = 0x184d_2a57;
/// First bytes in the frames: a name, the version, and which of the two it is.
const MARKER: [u8; 8] = *b"hfdata1<";
const TRAILER: [u8; 8] = *b"hfdata1>";
/// Payload of the trailer: name, plain length, stored length, plain CRC, stored CRC.
pub const TRAILER_LENGTH: usize = 40;
/// Payload of the marker.
pub const MARKER_LENGTH: usize = MARKER.len();

/// Bytes that passed, counted and summed.
pub struct Tally {
    length: u64,
    crc: Digest,
}

impl Tally {
    pub fn new() -> Self {
        Self { length: 0, crc: Digest::new(CrcAlgorithm::Crc64Nvme) }
    }

    pub fn add(&mut self, bytes: &[u8]) {
        self.length += bytes.len() as u64;
        self.crc.update(bytes);
    }

    fn sum(&self) -> u64 {
        self.crc.finalize()
    }
}

/// The first frame.
pub fn marker() -> [u8; 8 + MARKER_LENGTH] {
    let mut frame = [0; 8 + MARKER_LENGTH];
    put(&mut frame, &[&SKIPPABLE.to_le_bytes(), &8u32.to_le_bytes(), &MARKER]);
    frame
}

/// Whether this skippable frame is the marker.
pub fn is_marker(magic: u32, payload: &[u8]) -> bool {
    magic == SKIPPABLE && payload == MARKER
}

/// Whether this skippable frame is, or was meant to be, a trailer.
pub fn is_trailer(payload: &[u8]) -> bool {
    payload.starts_with(&TRAILER)
}

/// The last frame. `stored` has all bytes before it.
pub fn trailer(plain: &Tally, stored: &mut Tally) -> [u8; 8 + TRAILER_LENGTH] {
    let mut frame = [0; 8 + TRAILER_LENGTH];
    let (head, last) = frame.split_at_mut(TRAILER_LENGTH);
    put(
        head,
        &[
            &SKIPPABLE.to_le_bytes(),
            &40u32.to_le_bytes(),
            &TRAILER,
            &plain.length.to_le_bytes(),
            &stored.length.to_le_bytes(),
            &plain.sum().to_le_bytes(),
        ],
    );
    // The last sum covers all stored bytes before itself, also those of this frame.
    stored.add(head);
    put(last, &[&stored.sum().to_le_bytes()]);
    frame
}

fn put(into: &mut [u8], parts: &[&[u8]]) {
    let mut bytes = parts.iter().flat_map(|part| part.iter());
    for (place, byte) in into.iter_mut().zip(&mut bytes) {
        *place = *byte;
    }
}
