//! Signature Version 4, as the header `Authorization` of one request.
//!
//! Enters: what is signed. Leaves: the header's value. Own code over ring's HMAC: the libraries
//! that know this either bring an asynchronous runtime or sign only whole addresses, which must
//! not be printed anywhere. The tests are the provider's published examples.

use std::fmt::Write as _;

use ring::{digest, hmac};

/// What identifies us.
#[derive(Clone)]
pub struct Credentials {
    /// Public part.
    pub access_key: String,
    /// Secret part.
    pub secret_key: String,
    /// For temporary credentials.
    pub session_token: Option<String>,
}

/// Payload that is not part of the signature; a checksum header protects it.
pub const UNSIGNED: &str = "UNSIGNED-PAYLOAD";

/// One request as it is signed.
pub struct Signed<'a> {
    /// Method.
    pub method: &'a str,
    /// Path, percent-encoded.
    pub path: &'a str,
    /// Query, percent-encoded, sorted by name.
    pub query: &'a str,
    /// Headers with lower-case names, sorted by name.
    pub headers: &'a [(&'a str, &'a str)],
    /// Hash of the payload in hexadecimal, or [`UNSIGNED`].
    pub payload: &'a str,
    /// Time as `20130524T000000Z`.
    pub time: &'a str,
}

impl Signed<'_> {
    /// The value of `Authorization`.
    pub fn authorization(&self, credentials: &Credentials, region: &str) -> String {
        let names = self.headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
        let mut canonical = format!("{}\n{}\n{}\n", self.method, self.path, self.query);
        for (name, value) in self.headers {
            let _ = writeln!(canonical, "{name}:{}", value.trim());
        }
        let _ = write!(canonical, "\n{names}\n{}", self.payload);
        let day = self.time.get(..8).unwrap_or_default();
        let scope = format!("{day}/{region}/s3/aws4_request");
        let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", self.time, sha256(canonical.as_bytes()));
        let mut key = hmac_sha256(format!("AWS4{}", credentials.secret_key).as_bytes(), day.as_bytes());
        for part in [region, "s3", "aws4_request"] {
            key = hmac_sha256(key.as_ref(), part.as_bytes());
        }
        let signature = hex::encode(hmac_sha256(key.as_ref(), text.as_bytes()));
        format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            credentials.access_key
        )
    }
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data)
}

/// SHA-256 in hexadecimal.
pub fn sha256(data: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, data))
}

/// Percent-encodes all but unreserved characters; `slash` says whether `/` stays.
pub fn encode(text: &[u8], slash: bool) -> String {
    text.iter().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(*byte)),
            b'/' if slash => encoded.push('/'),
            other => {
                let _ = write!(encoded, "%{other:02X}");
            }
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the S3 API reference, "Authenticating Requests: Using the Authorization
    /// Header".
    fn signature(method: &str, path: &str, query: &str, headers: &[(&str, &str)], payload: &str) -> String {
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".into(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
            session_token: None,
        };
        let signed = Signed { method, path, query, headers, payload, time: "20130524T000000Z" };
        let value = signed.authorization(&credentials, "us-east-1");
        assert!(value.starts_with(
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders="
        ));
        value.rsplit_once("Signature=").unwrap().1.to_owned()
    }

    #[test]
    fn published_examples_are_signed_alike() {
        let empty = sha256(b"");
        let host = ("host", "examplebucket.s3.amazonaws.com");
        let date = ("x-amz-date", "20130524T000000Z");
        let plain = [host, ("x-amz-content-sha256", empty.as_str()), date];
        let ranged = [host, ("range", "bytes=0-9"), plain[1], date];
        assert_eq!(
            signature("GET", "/test.txt", "", &ranged, &empty),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let content = sha256(b"Welcome to Amazon S3.");
        let put = [
            ("date", "Fri, 24 May 2013 00:00:00 GMT"),
            host,
            ("x-amz-content-sha256", content.as_str()),
            date,
            ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ];
        assert_eq!(
            signature("PUT", &format!("/{}", encode(b"test$file.text", true)), "", &put, &content),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            signature("GET", "/", "lifecycle=", &plain, &empty),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        assert_eq!(
            signature("GET", "/", "max-keys=2&prefix=J", &plain, &empty),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }

    #[test]
    fn names_are_encoded_byte_by_byte() {
        assert_eq!(encode("a b/é+~".as_bytes(), true), "a%20b/%C3%A9%2B~");
        assert_eq!(encode(b"a/b", false), "a%2Fb");
    }
}
