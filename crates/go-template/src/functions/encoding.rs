//! Base64, base32 and digests.

use ring::digest;

use super::Param::Text;
use super::strings::text;
use super::{Function, fixed};

pub(super) const ALL: &[Function] = &[
    fixed("b64enc", &[Text], |_, a| text(encode(a.text(0), BASE64, 6, 4))),
    fixed("b64dec", &[Text], |_, a| match decode64(a.text(0)) {
        Ok(bytes) => text(bytes),
        Err(at) => text(format!("illegal base64 data at input byte {at}")),
    }),
    fixed("b32enc", &[Text], |_, a| text(encode(a.text(0), BASE32, 5, 8))),
    fixed("b32dec", &[Text], |_, a| match decode32(a.text(0)) {
        Ok(bytes) => text(bytes),
        Err(at) => text(format!("illegal base32 data at input byte {at}")),
    }),
    fixed("sha1sum", &[Text], |_, a| text(hex(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, a.text(0)).as_ref()))),
    fixed("sha256sum", &[Text], |_, a| text(hex(digest::digest(&digest::SHA256, a.text(0)).as_ref()))),
    fixed("adler32sum", &[Text], |_, a| text(adler32(a.text(0)).to_string())),
];

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, b| text + &format!("{b:02x}"))
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (a + b) % 65521)
    });
    b << 16 | a
}

/// `bits` of input per character, padded to groups.
fn encode(bytes: &[u8], alphabet: &[u8], bits: u32, group: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    let (mut held, mut count) = (0_u32, 0_u32);
    let mut push = |value: u32| out.push(alphabet.get(value as usize).copied().unwrap_or(b'='));
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        count += 8;
        while count >= bits {
            count -= bits;
            push(held >> count & ((1 << bits) - 1));
        }
        held &= (1 << count) - 1;
    }
    if count > 0 {
        push(held << (bits - count) & ((1 << bits) - 1));
    }
    while !out.len().is_multiple_of(group) {
        out.push(b'=');
    }
    out
}

fn place(alphabet: &[u8], byte: u8) -> Option<u32> {
    alphabet.iter().position(|known| *known == byte).and_then(|at| u32::try_from(at).ok())
}

/// Bytes of the collected characters; bits that fill no byte are dropped.
fn collect(values: &[u32], bits: u32, out: &mut Vec<u8>) {
    let (mut held, mut count) = (0_u32, 0_u32);
    for value in values {
        held = held << bits | value;
        count += bits;
        if count >= 8 {
            count -= 8;
            out.push((held >> count) as u8);
            held &= (1 << count) - 1;
        }
    }
}

/// The bytes, or where the text is wrong as Go counts it.
fn decode64(text: &[u8]) -> Result<Vec<u8>, usize> {
    let mut out = Vec::new();
    let mut group: Vec<u32> = Vec::new();
    let is_break = |at: usize| matches!(text.get(at), Some(b'\n' | b'\r'));
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        at += 1;
        if let Some(value) = place(BASE64, byte) {
            group.push(value);
            if group.len() == 4 {
                collect(&group, 6, &mut out);
                group.clear();
            }
            continue;
        }
        if matches!(byte, b'\n' | b'\r') {
            continue;
        }
        if byte != b'=' || group.len() < 2 {
            return Err(at - 1);
        }
        if group.len() == 2 {
            while is_break(at) {
                at += 1;
            }
            match text.get(at) {
                None => return Err(text.len()),
                Some(b'=') => at += 1,
                Some(_) => return Err(at - 1),
            }
        }
        while is_break(at) {
            at += 1;
        }
        if at < text.len() {
            return Err(at);
        }
        collect(&group, 6, &mut out);
        return Ok(out);
    }
    if group.is_empty() { Ok(out) } else { Err(at - group.len()) }
}

fn decode32(text: &[u8]) -> Result<Vec<u8>, usize> {
    let text: Vec<u8> = text.iter().copied().filter(|b| !matches!(b, b'\n' | b'\r')).collect();
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let mut group: Vec<u32> = Vec::new();
        while group.len() < 8 {
            let j = group.len();
            let Some(byte) = text.get(at).copied() else {
                return Err(text.len() - j);
            };
            at += 1;
            let left = text.len() - at;
            if byte == b'=' && j >= 2 && left < 8 {
                if left + j < 7 {
                    return Err(text.len());
                }
                for k in 0..7 - j {
                    if text.get(at + k).is_some_and(|b| *b != b'=') {
                        return Err(at + k - 1);
                    }
                }
                if matches!(j, 3 | 6) {
                    return Err(at - 1);
                }
                collect(&group, 5, &mut out);
                return Ok(out);
            }
            group.push(place(BASE32, byte).ok_or(at - 1)?);
        }
        collect(&group, 5, &mut out);
    }
    Ok(out)
}

/// Standard base64 with padding.
pub(super) fn base64(bytes: &[u8]) -> Vec<u8> {
    encode(bytes, BASE64, 6, 4)
}
