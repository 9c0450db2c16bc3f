//! What tests of the data mover against real S3 servers need: the servers of `e2e/s3`, the binary
//! under test, and a proxy that breaks requests on purpose.
//!
//! Enters: programs that were built before. Leaves: real processes on free ports of the loopback,
//! which end with the test.

use std::time::{Duration, Instant};

mod fault_proxy;
mod moving;
mod server;
mod tunnel;

pub use fault_proxy::{Fault, FaultProxy, Rule, Seen as SeenRequest};
pub use moving::{Mover, Seen, feed, finish, random, signal};
pub use server::{
    BUCKET, FTP_PASSWORD, Server, azure, ftp, google, rclone, secret_of, versitygw, versitygw_with, versitygw_with_tls,
    webdav,
};
pub use tunnel::Tunnel;

/// Generous: the machine of a CI job may be busy.
const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for a condition, with a deadline instead of a fixed sleep.
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(begun.elapsed() < DEADLINE, "waited too long for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
