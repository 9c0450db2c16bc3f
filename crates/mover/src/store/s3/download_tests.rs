//! Downloads from a small server that counts its connections.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::client::Client;
use super::range::{Range, Source};
use super::settings::Settings;
use super::{CRC64_METADATA, checksum, download};
use crate::ini::Ini;
use crate::store::Object;

const TAG: &str = "\"tag\"";

struct Server {
    client: Arc<Client>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Serves this content, whose checksum it says to be that of `stored`.
    fn start(content: Vec<u8>, stored: &[u8]) -> Self {
        Self::refusing(content, stored, None)
    }

    /// One that refuses the range that begins there.
    fn refusing(content: Vec<u8>, stored: &[u8], refused: Option<usize>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let text = format!(
            "[storage]\ntype = s3\nprovider = Minio\nenv_auth = false\naccess_key_id = k\nsecret_access_key = s\n\
             endpoint = http://{}\nroot = bucket\n",
            listener.local_addr().unwrap()
        );
        let client = Arc::new(Client::new(Settings::read(&Ini::parse(&text).unwrap()).unwrap()));
        let connections: Arc<AtomicUsize> = Arc::default();
        let (counted, content) = (Arc::clone(&connections), Arc::new(content));
        let crc = checksum::text64(checksum::crc64(stored));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                let (content, crc) = (Arc::clone(&content), crc.clone());
                std::thread::spawn(move || serve(&stream, &content, &crc, refused));
            }
        });
        Self { client, connections }
    }

    fn source(&self, size: u64) -> Arc<Source> {
        let (bucket, key) = ("bucket".to_owned(), b"key".to_vec());
        Arc::new(Source { client: Arc::clone(&self.client), bucket, key, tag: TAG.to_owned(), size })
    }

    fn open(&self) -> Object {
        download::open(Arc::clone(&self.client), "bucket".to_owned(), b"key".to_vec()).unwrap()
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: &TcpStream, content: &[u8], crc: &str, refused: Option<usize>) {
    let mut lines = BufReader::new(stream).lines();
    loop {
        let mut range = None;
        loop {
            let Some(Ok(line)) = lines.next() else { return };
            if line.is_empty() {
                break;
            }
            if let Some(asked) = line.strip_prefix("range: bytes=") {
                let (from, to) = asked.split_once('-').unwrap();
                range = Some((from.parse::<usize>().unwrap(), to.parse::<usize>().unwrap()));
            }
        }
        let (from, to) = range.unwrap();
        let mut out = stream;
        if refused == Some(from) {
            out.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n").unwrap();
            continue;
        }
        let (last, whole) = (to.min(content.len() - 1), content.len());
        let piece = &content[from..=last];
        let head = format!(
            "HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\nContent-Range: bytes {from}-{last}/{whole}\r\n\
             ETag: {TAG}\r\n{CRC64_METADATA}: {crc}\r\n\r\n",
            piece.len()
        );
        if out.write_all(head.as_bytes()).and_then(|()| out.write_all(piece)).is_err() {
            return;
        }
    }
}

fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * at / 7 + at) % 251).unwrap()).collect()
}

#[test]
fn one_range_after_the_other_comes_over_one_connection() {
    let content = content(300_000);
    let server = Server::start(content.clone(), &content);
    let source = server.source(300_000);
    let mut got = Vec::new();
    for at in [0, 100_000, 200_000] {
        let mut range = Range::new(Arc::clone(&source), at, at + 100_000, None);
        let mut buffer = vec![0; 70_000];
        loop {
            let count = range.read(&mut buffer).unwrap();
            if count == 0 {
                break;
            }
            got.extend_from_slice(&buffer[..count]);
        }
    }
    assert!(got == content);
    for at in [0, 4000] {
        let piece = download::piece(&server.client, "bucket", b"key", at, 5000).unwrap();
        assert!(piece == content[usize::try_from(at).unwrap()..][..5000]);
    }
    assert_eq!(server.connections(), 1);
}

#[test]
fn what_is_looked_at_in_part_comes_once_and_whole() {
    let content = content(17_000_001);
    let server = Server::start(content.clone(), &content);
    let mut body = server.open().body;
    let mut got = Vec::new();
    let mut small = [0; 1000];
    loop {
        let there = body.fill_buf().unwrap();
        let taken = there.len().min(100_003);
        got.extend_from_slice(&there[..taken]);
        body.consume(taken);
        let count = body.read(&mut small).unwrap();
        got.extend_from_slice(&small[..count]);
        if count == 0 {
            break;
        }
    }
    assert!(got == content);
    assert!(body.fill_buf().unwrap().is_empty());
}

#[test]
fn after_a_range_that_is_lost_nothing_comes_any_more() {
    let stored = content(17_000_001);
    let mut body = Server::refusing(stored.clone(), &stored, Some(8 << 20)).open().body;
    let mut got = Vec::new();
    body.read_to_end(&mut got).unwrap_err();
    assert_eq!(got.len(), 8 << 20);
    for _ in 0..3 {
        assert!(body.fill_buf().is_err(), "neither the next range nor an end");
    }
}

#[test]
fn a_flipped_byte_in_any_range_is_no_end() {
    let stored = content(17_000_001);
    for at in [0, (8 << 20) - 1, 8 << 20, 17_000_000] {
        let mut damaged = stored.clone();
        damaged[at] ^= 1;
        let mut got = Vec::new();
        let error = Server::start(damaged, &stored).open().body.read_to_end(&mut got).unwrap_err();
        assert!(error.to_string().contains("do not have the checksum"), "{error}");
    }
}
