//! Removing all below a prefix: a thousand keys per request, several requests at a time.
//!
//! Enters: a prefix. Leaves: nothing of it, or an error that counts what stayed and says why the
//! first of it did. Servers without the batch call get one request per key.

use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::PoisonError;

use super::checksum::Method;
use super::client::{Call, Client, Payload, text};
use super::failure::{CallResult, Failure};
use super::listing::Pages;
use super::xml::{self, Met};
use crate::error::{Error, Result};

/// Requests at one time.
const IN_FLIGHT: usize = 8;
/// Tries of the keys that a batch could not remove.
const ROUNDS: usize = 4;

/// Keys that could not be removed: how many, and why the first.
type Left = Option<(u64, Failure)>;

/// Removes all below a prefix; gives how many there were.
pub fn remove_all(client: &Client, bucket: &str, prefix: &[u8]) -> Result<u64> {
    let mut pages = Pages::new(client, bucket, prefix, false);
    let (mut seen, mut left): (u64, Left) = (0, None);
    loop {
        let mut batches = Vec::new();
        let mut ended = false;
        while batches.len() < IN_FLIGHT {
            match pages.next()? {
                None => {
                    ended = true;
                    break;
                }
                Some(page) => {
                    let keys: Vec<_> = page.objects.into_iter().map(|object| object.key).collect();
                    seen += keys.len() as u64;
                    if !keys.is_empty() {
                        batches.push(keys);
                    }
                }
            }
        }
        let results = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for keys in batches {
                let results = &results;
                scope.spawn(move || {
                    let result = batch(client, bucket, keys);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                });
            }
        });
        for result in results.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().flatten() {
            left = Some(match left {
                None => result,
                Some((count, failure)) => (count + result.0, failure),
            });
        }
        if ended {
            break;
        }
    }
    match left {
        None => Ok(seen),
        Some((count, failure)) => {
            Err(Error::from(failure).during(format!("{count} of {seen} objects could not be removed")))
        }
    }
}

fn batch(client: &Client, bucket: &str, mut keys: Vec<Vec<u8>>) -> Left {
    let mut failure = None;
    // What XML 1.0 cannot carry goes one by one.
    let (batched, single): (Vec<_>, Vec<_>) = keys.drain(..).partition(|key| {
        std::str::from_utf8(key)
            .is_ok_and(|text| !text.chars().any(|letter| letter < ' ' || matches!(letter, '\u{fffe}' | '\u{ffff}')))
    });
    keys = batched;
    let mut left = one_by_one(client, bucket, single);
    for _ in 0..ROUNDS {
        if keys.is_empty() {
            return left;
        }
        match delete(client, bucket, &keys) {
            Ok(refused) => {
                let again = refused.iter().all(|(_, failure)| failure.retryable());
                failure = refused.first().map(|(_, failure)| failure.clone());
                keys = refused.into_iter().map(|(key, _)| key).collect();
                if !again {
                    break;
                }
            }
            Err(unknown) if unknown.unsupported() || unknown.status == 405 => {
                return add(left, one_by_one(client, bucket, keys));
            }
            Err(other) => {
                failure = Some(other);
                break;
            }
        }
    }
    if let Some(failure) = failure
        && !keys.is_empty()
    {
        left = add(left, Some((keys.len() as u64, failure)));
    }
    left
}

fn add(one: Left, two: Left) -> Left {
    match (one, two) {
        (Some((count, failure)), Some((more, _))) => Some((count + more, failure)),
        (one, two) => one.or(two),
    }
}

fn one_by_one(client: &Client, bucket: &str, keys: Vec<Vec<u8>>) -> Left {
    let mut left = None;
    for key in keys {
        match client.text(&Call::new("DELETE", bucket, &key)) {
            Ok(_) => {}
            Err(failure) if failure.is_absent() => {}
            Err(failure) => left = add(left, Some((1, failure))),
        }
    }
    left
}

/// One batch; gives the keys that the server refused to remove.
fn delete(client: &Client, bucket: &str, keys: &[Vec<u8>]) -> CallResult<Vec<(Vec<u8>, Failure)>> {
    let mut body = String::from("<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Quiet>true</Quiet>");
    for key in keys {
        let _ = write!(body, "<Object><Key>{}</Key></Object>", xml::escape(&String::from_utf8_lossy(key)));
    }
    body += "</Delete>";
    let call = Call::new("POST", bucket, b"")
        .query("delete", "")
        .header("content-type", "application/xml")
        .header("content-md5", Method::Md5.of(body.as_bytes()))
        .payload(Payload::Document(body.as_bytes()));
    let what = call.what();
    client.call(&call, |reply| {
        let (_, reply) = text(reply)?;
        let mut refused = Vec::new();
        let (mut key, mut code, mut message) = (Vec::new(), String::new(), String::new());
        xml::walk(&reply, |path, met| {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            match (names.as_slice(), met) {
                ([_, "Error", "Key"], Met::Text(text)) => key = text.as_bytes().to_vec(),
                ([_, "Error", "Code"], Met::Text(text)) => text.clone_into(&mut code),
                ([_, "Error", "Message"], Met::Text(text)) => text.clone_into(&mut message),
                ([_, "Error"], Met::End) => {
                    let status = if matches!(code.as_str(), "InternalError" | "SlowDown" | "ServiceUnavailable") {
                        503
                    } else {
                        403
                    };
                    let what = Call::new("DELETE", bucket, &key).what();
                    let failure = Failure {
                        status,
                        code: std::mem::take(&mut code),
                        ..Failure::network(&what, std::mem::take(&mut message))
                    };
                    if failure.code != "NoSuchKey" {
                        refused.push((std::mem::take(&mut key), failure));
                    }
                }
                _ => {}
            }
        })?;
        if reply.contains("<DeleteResult") {
            return Ok(Ok(refused));
        }
        Ok(Err(Failure::refused(&what, 503, &reply, None)))
    })?
}
