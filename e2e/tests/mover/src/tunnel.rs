//! A proxy of the environment (`HTTPS_PROXY`), which leads every host to one server: names that no
//! resolver knows then have an address, and what the mover asked for is seen.
//!
//! Enters: `CONNECT host:port`. Leaves: a connection to the server, whatever the host is.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// A running proxy; ends with the process.
pub struct Tunnel {
    address: String,
    hosts: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// Starts a proxy that leads to a server.
    pub fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
        let (server, seen) = (server.to_owned(), Arc::clone(&hosts));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, seen) = (server.clone(), Arc::clone(&seen));
                std::thread::spawn(move || lead(&client, &server, &seen));
            }
        });
        Self { address, hosts }
    }

    /// What `HTTPS_PROXY` says.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Hosts that were asked for, each once, sorted.
    pub fn hosts(&self) -> Vec<String> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        hosts.sort();
        hosts.dedup();
        hosts
    }
}

fn lead(mut client: &TcpStream, server: &str, seen: &Mutex<Vec<String>>) -> io::Result<()> {
    // The client waits for the answer, so nothing behind the head is read by accident.
    let mut reader = BufReader::new(client);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    let host = first.split_whitespace().nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap_or_else(PoisonError::into_inner).push(host);
    let upstream = TcpStream::connect(server)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = io::copy(&mut &*client, &mut &upstream);
            let _ = upstream.shutdown(Shutdown::Write);
        });
        let _ = io::copy(&mut &upstream, &mut client);
        let _ = client.shutdown(Shutdown::Both);
    });
    Ok(())
}
