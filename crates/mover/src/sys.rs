//! The one system call that no crate wraps: how a process ended, asked through its pidfd.
//!
//! Enters: a pidfd. Leaves: the wait status, once the process is gone. Needs Linux 6.15; older
//! kernels answer "unknown", which callers treat as the reference treats every producer.

#![allow(
    unsafe_code,
    reason = "PIDFD_GET_INFO has no safe wrapper; this is the only file with system calls of its own"
)]

use std::os::fd::BorrowedFd;

use rustix::ioctl::{self, Updater, opcode};

/// The first published version of the kernel's `struct pidfd_info` (64 bytes); the kernel fills
/// as much as the size encoded in the request allows.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ids: [u32; 8],
    exit_code: i32,
}

const INFO_EXIT: u64 = 1 << 3;
const GET_INFO: ioctl::Opcode = opcode::read_write::<PidfdInfo>(0xFF, 11);

/// How a process ended, as `wait(2)` encodes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStatus(pub i32);

impl WaitStatus {
    /// The signal that killed the process.
    pub fn signal(self) -> Option<i32> {
        Some(self.0 & 0x7f).filter(|signal| *signal != 0)
    }

    /// The exit code, when no signal killed it.
    pub fn code(self) -> Option<i32> {
        self.signal().is_none().then_some((self.0 >> 8) & 0xff)
    }
}

/// The status of a process that has ended and been waited for; `None` when it has not, or the
/// kernel does not tell.
pub fn exit_status(pidfd: BorrowedFd<'_>) -> Option<WaitStatus> {
    let mut info = PidfdInfo { mask: INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the opcode belongs to pidfds and encodes the size of `PidfdInfo`, so the kernel
    // reads and writes no further than `info`, which outlives the call; any bit pattern is a
    // valid `PidfdInfo`. On another kind of descriptor the call fails with ENOTTY.
    let asked = unsafe { ioctl::ioctl(pidfd, Updater::<GET_INFO, PidfdInfo>::new(&mut info)) };
    (asked.is_ok() && info.mask & INFO_EXIT != 0).then_some(WaitStatus(info.exit_code))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_the_kernels_first_version() {
        assert_eq!(std::mem::size_of::<PidfdInfo>(), 64);
        assert_eq!(WaitStatus(9).signal(), Some(9));
        assert_eq!(WaitStatus(3 << 8).code(), Some(3));
        assert_eq!(WaitStatus(0).code(), Some(0));
    }
}
