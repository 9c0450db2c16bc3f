//! Checksums on the way to the server (mover.md §4.5).
//!
//! CRC64NVME costs next to nothing, and those of parts combine into that of the object; servers
//! that refuse it get CRC32C, those that ignore both get Content-MD5. Whether a server took a
//! checksum is seen from its replies, which name what was verified.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use super::parts::Stored;

/// What protects the parts of one upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// CRC64NVME of each part, and of the whole object.
    Crc64,
    /// CRC32C of each part.
    Crc32c,
    /// Content-MD5 only.
    Md5,
}

impl Method {
    /// How requests call it; nothing for Content-MD5.
    pub fn algorithm(self) -> Option<&'static str> {
        match self {
            Self::Crc64 => Some("CRC64NVME"),
            Self::Crc32c => Some("CRC32C"),
            Self::Md5 => None,
        }
    }

    /// The header that carries it.
    pub fn header(self) -> &'static str {
        match self {
            Self::Crc64 => CRC64_HEADER,
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Md5 => "content-md5",
        }
    }

    /// The element that carries it in the completing request.
    pub fn element(self) -> Option<&'static str> {
        match self {
            Self::Crc64 => Some("ChecksumCRC64NVME"),
            Self::Crc32c => Some("ChecksumCRC32C"),
            Self::Md5 => None,
        }
    }

    /// What a server that refuses this one is offered next.
    pub fn weaker(self) -> Option<Self> {
        match self {
            Self::Crc64 => Some(Self::Crc32c),
            Self::Crc32c => Some(Self::Md5),
            Self::Md5 => None,
        }
    }

    /// The checksum as headers carry it.
    pub fn of(self, data: &[u8]) -> String {
        match self {
            Self::Crc64 => text64(crc64(data)),
            Self::Crc32c => {
                let crc = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, data);
                BASE64_STANDARD.encode(u32::try_from(crc).unwrap_or_default().to_be_bytes())
            }
            Self::Md5 => BASE64_STANDARD.encode(Md5::digest(data)),
        }
    }
}

/// Header of the CRC64NVME of an object or a part.
pub const CRC64_HEADER: &str = "x-amz-checksum-crc64nvme";

/// CRC64NVME.
pub fn crc64(data: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, data)
}

/// CRC64NVME of `one` followed by `two`, which is `length` bytes long.
pub fn combine(one: u64, two: u64, length: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, one, two, length)
}

/// As headers carry it.
pub fn text64(crc: u64) -> String {
    BASE64_STANDARD.encode(crc.to_be_bytes())
}

/// From a header; those of multipart uploads that cover checksums only end in `-N` and are none.
pub fn parse64(text: &str) -> Option<u64> {
    let bytes: [u8; 8] = BASE64_STANDARD.decode(text).ok()?.try_into().ok()?;
    Some(u64::from_be_bytes(bytes))
}

/// The entity tag that most servers give to an upload of these parts: MD5 of the parts' MD5s.
/// `None` when their tags are not the MD5s that were sent along.
pub fn multipart_tag(parts: &[Stored]) -> Option<String> {
    let mut all = Md5::new();
    for part in parts {
        let md5 = BASE64_STANDARD.decode(&part.checksum).ok()?;
        if part.tag.trim_matches('"') != hex::encode(&md5) {
            return None;
        }
        all.update(md5);
    }
    Some(format!("{}-{}", hex::encode(all.finalize()), parts.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        // The check values of the algorithms' catalogue, for "123456789".
        let data = b"123456789";
        assert_eq!(crc64(data), 0xae8b_1486_0a79_9888);
        assert_eq!(parse64(&Method::Crc64.of(data)), Some(0xae8b_1486_0a79_9888));
        assert_eq!(Method::Crc32c.of(data), BASE64_STANDARD.encode(0xe306_9283_u32.to_be_bytes()));
        assert_eq!(Method::Md5.of(b""), "1B2M2Y8AsgTpgAmY7PhCfg==");
        assert_eq!(combine(crc64(b"1234"), crc64(b"56789"), 5), crc64(data));
        assert_eq!(combine(0, crc64(data), 9), crc64(data));
        assert_eq!(parse64("abc-2"), None);
    }

    #[test]
    fn the_tag_of_an_upload_is_that_of_its_parts() {
        let part =
            |tag: &str| Stored { number: 1, tag: tag.to_owned(), checksum: Method::Md5.of(b""), crc64: 0, length: 0 };
        let good = part("\"d41d8cd98f00b204e9800998ecf8427e\"");
        assert_eq!(multipart_tag(&[good]).unwrap(), "59adb24ef3cdbe0297f05b395827453f-1");
        assert_eq!(multipart_tag(&[part("\"x\"")]), None);
    }
}
