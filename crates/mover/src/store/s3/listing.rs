//! Listings in pages of a thousand, of both versions of the call.
//!
//! Enters: a prefix. Leaves: objects and directories as pages arrive; never more than one page
//! in memory, plus the names of directories where they come last.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;

use super::client::{Call, Client, text};
use super::failure::CallResult;
use super::xml::{self, Met};
use crate::error::{Error, Result};
use crate::store::{Entry, Visit};

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// What object stores show as the time of a directory, which they do not know.
const DIRECTORY_TIME: Duration = Duration::from_secs(946_684_800);

/// One object of a page.
#[derive(Default)]
pub struct Listed {
    /// Key, all of it.
    pub key: Vec<u8>,
    /// Size.
    pub size: u64,
    /// Last modification, as the server writes it.
    pub modified: String,
}

/// One page.
#[derive(Default)]
pub struct Page {
    /// Objects, in key order.
    pub objects: Vec<Listed>,
    /// Prefixes up to the delimiter, in order.
    pub prefixes: Vec<Vec<u8>>,
    /// Where the next page begins; `None` on the last.
    next: Option<String>,
}

/// The pages below a prefix, one call each.
pub struct Pages<'a> {
    client: &'a Client,
    bucket: &'a str,
    prefix: &'a [u8],
    delimiter: bool,
    marker: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    /// Pages of a prefix; with `delimiter` only its own level.
    pub fn new(client: &'a Client, bucket: &'a str, prefix: &'a [u8], delimiter: bool) -> Self {
        Self { client, bucket, prefix, delimiter, marker: None, ended: false }
    }

    /// The next page.
    pub fn next(&mut self) -> CallResult<Option<Page>> {
        if self.ended {
            return Ok(None);
        }
        let dialect = &self.client.settings.dialect;
        let mut call = Call::new("GET", self.bucket, b"")
            .query("max-keys", "1000")
            .query("prefix", String::from_utf8_lossy(self.prefix));
        if self.delimiter {
            call = call.query("delimiter", "/");
        }
        if dialect.url_encoding {
            call = call.query("encoding-type", "url");
        }
        if dialect.list_v2 {
            call = call.query("list-type", "2");
        }
        if let Some(marker) = &self.marker {
            call = call.query(if dialect.list_v2 { "continuation-token" } else { "marker" }, marker.as_str());
        }
        let v2 = dialect.list_v2;
        let page = self.client.call(&call, |reply| {
            let page = parse(&text(reply)?.1, v2)?;
            if page.next.is_some() && page.next == self.marker {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the next page is this page again"));
            }
            Ok(page)
        })?;
        self.marker.clone_from(&page.next);
        self.ended = page.next.is_none();
        Ok(Some(page))
    }
}

fn parse(text: &str, v2: bool) -> io::Result<Page> {
    let mut page = Page::default();
    let (mut truncated, mut encoded, mut token) = (false, false, None);
    let mut object = Listed::default();
    let mut root = String::new();
    xml::walk(text, |path, met| {
        let names: Vec<&str> = path.iter().map(String::as_str).collect();
        if let [name] = names.as_slice() {
            (*name).clone_into(&mut root);
        }
        match (names.as_slice(), met) {
            ([_, "IsTruncated"], Met::Text(text)) => truncated = text.trim() == "true",
            ([_, "EncodingType"], Met::Text(text)) => encoded = text.trim() == "url",
            ([_, "NextContinuationToken"], Met::Text(text)) if v2 && !text.is_empty() => token = Some(text.to_owned()),
            ([_, "NextMarker"], Met::Text(text)) if !v2 && !text.is_empty() => token = Some(text.to_owned()),
            ([_, "Contents", "Key"], Met::Text(text)) => object.key = text.as_bytes().to_vec(),
            ([_, "Contents", "Size"], Met::Text(text)) => object.size = text.trim().parse().unwrap_or(0),
            ([_, "Contents", "LastModified"], Met::Text(text)) => text.trim().clone_into(&mut object.modified),
            ([_, "Contents"], Met::End) => page.objects.push(std::mem::take(&mut object)),
            ([_, "CommonPrefixes", "Prefix"], Met::Text(text)) => page.prefixes.push(text.as_bytes().to_vec()),
            _ => {}
        }
    })?;
    if root != "ListBucketResult" {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the reply is no listing"));
    }
    if encoded {
        for name in page.objects.iter_mut().map(|object| &mut object.key).chain(&mut page.prefixes) {
            *name = decode(name);
        }
        if !v2 {
            token = token.map(|token| String::from_utf8_lossy(&decode(token.as_bytes())).into_owned());
        }
    }
    if truncated {
        // The first version names the next page only where it groups; else it is the last name.
        let last = || {
            let names = [page.objects.last().map(|last| &last.key), page.prefixes.last()];
            names.into_iter().flatten().max().map(|name| String::from_utf8_lossy(name).into_owned())
        };
        page.next = if v2 { token } else { token.or_else(last) };
        if page.next.is_none() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the listing does not say where it goes on"));
        }
    }
    Ok(page)
}

/// Undoes percent-encoding; a plus is a blank.
fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter().copied();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                match (digit(bytes.next()), digit(bytes.next())) {
                    (Some(high), Some(low)) => decoded.push(high * 16 + low),
                    _ => decoded.push(b'%'),
                }
            }
            other => decoded.push(other),
        }
    }
    decoded
}

/// Visits what is below `prefix`, which ends with a slash or is empty (see
/// [`crate::store::Store::list`]).
pub fn visit(
    client: &Client,
    bucket: &str,
    prefix: &[u8],
    levels: Option<NonZeroUsize>,
    visit: &mut Visit<'_>,
) -> Result<()> {
    let depth = levels.map_or(usize::MAX, NonZeroUsize::get);
    let mut pages = Pages::new(client, bucket, prefix, depth == 1);
    let mut directories = Directories::default();
    while let Some(page) = pages.next()? {
        for name in &page.prefixes {
            directories.add(below(prefix, name)?, depth);
        }
        for object in page.objects {
            let path = below(prefix, &object.key)?;
            directories.add(path, depth);
            // Nothing is left of a marker of the directory itself; and those below end in '/'.
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            if name.is_empty() || path.split(|byte| *byte == b'/').count() > depth {
                continue;
            }
            let entry = Entry {
                name: OsStr::from_bytes(name).to_owned(),
                size: object.size,
                modified: instant(&object.modified)?,
                is_dir: false,
            };
            visit(Path::new(OsStr::from_bytes(path)), &entry)?;
        }
    }
    directories.visit(visit)
}

fn below<'a>(prefix: &[u8], key: &'a [u8]) -> Result<&'a [u8]> {
    key.strip_prefix(prefix).ok_or_else(|| {
        Error::Mismatch(format!("the server listed {:?}, which was not asked for", String::from_utf8_lossy(key)))
    })
}

fn instant(text: &str) -> Result<SystemTime> {
    let time: Timestamp = text.parse().map_err(|_| Error::Mismatch(format!("the server sent the time {text:?}")))?;
    Ok(time.into())
}

/// The directories that keys in order imply, each once; names lie end to end, for there may be
/// many.
#[derive(Default)]
pub struct Directories {
    names: Vec<u8>,
    last: Vec<u8>,
}

impl Directories {
    /// Adds the directories of a path that its predecessor did not have.
    pub fn add(&mut self, path: &[u8], depth: usize) {
        let mut level = 0;
        for (at, _) in path.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
            level += 1;
            let directory = path.get(..=at).unwrap_or_default();
            if level > depth {
                return;
            }
            if self.last.starts_with(directory) {
                continue;
            }
            self.names.extend(path.get(..at).unwrap_or_default());
            self.names.push(0);
            self.last = directory.to_vec();
        }
    }

    /// Visits them.
    pub fn visit(&self, visit: &mut Visit<'_>) -> Result<()> {
        for path in self.names.split(|byte| *byte == 0).filter(|path| !path.is_empty()) {
            let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let entry = Entry {
                name: OsString::from_vec(name.to_vec()),
                size: 0,
                modified: UNIX_EPOCH + DIRECTORY_TIME,
                is_dir: true,
            };
            visit(&PathBuf::from(OsStr::from_bytes(path)), &entry)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_both_versions_read() {
        let page = parse(
            "<ListBucketResult><IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>\
             <NextContinuationToken>t=</NextContinuationToken><Contents><Key>a+b%2Fc</Key>\
             <LastModified>2026-01-02T03:04:05.678Z</LastModified><Size>7</Size></Contents>\
             <CommonPrefixes><Prefix>d%2F</Prefix></CommonPrefixes></ListBucketResult>",
            true,
        )
        .unwrap();
        assert_eq!((page.objects[0].key.as_slice(), page.objects[0].size), (&b"a b/c"[..], 7));
        assert_eq!(page.prefixes, [b"d/"]);
        assert_eq!(page.next.as_deref(), Some("t="));
        let page = parse(
            "<ListBucketResult><IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents>\
             <Contents><Key>b+</Key></Contents></ListBucketResult>",
            false,
        )
        .unwrap();
        assert_eq!(page.next.as_deref(), Some("b+"));
        assert!(parse("<Error><Code>InternalError</Code></Error>", true).is_err());
        assert!(parse("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", true).is_err());
    }

    #[test]
    fn directories_come_once_and_to_a_depth() {
        let mut directories = Directories::default();
        for path in ["a-b", "a/b/c", "a/b/d", "a/c", "b/x", "ba/b/c/d/e"] {
            directories.add(path.as_bytes(), 3);
        }
        assert_eq!(directories.names, b"a\0a/b\0b\0ba\0ba/b\0ba/b/c\0");
    }
}
