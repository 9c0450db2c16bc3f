//! Copies the action's standard error to ours and keeps its end.
//!
//! Enters: the read end of a pipe. Leaves: the bytes on our standard error at once, and the last
//! [`KEPT`] of them for the result. A background process that outlives the action and still
//! holds the pipe must not keep us: after [`Tee::finish`] only what is already there is read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::OFlags;

/// How much of the end is kept.
pub const KEPT: usize = 2048;

/// A running copy.
pub struct Tee {
    copy: JoinHandle<VecDeque<u8>>,
    stop: PipeWriter,
}

impl Tee {
    /// Starts copying from `input` to `output`.
    pub fn start(input: PipeReader, mut output: impl Write + Send + 'static) -> io::Result<Self> {
        let (stopped, stop) = io::pipe()?;
        let copy =
            std::thread::Builder::new().name("stderr".into()).spawn(move || copy(input, &mut output, &stopped))?;
        Ok(Self { copy, stop })
    }

    /// Copies what is there and gives the end as text, whole lines where possible.
    pub fn finish(self) -> String {
        drop(self.stop);
        let kept: Vec<u8> = self.copy.join().unwrap_or_default().into();
        let text = String::from_utf8_lossy(&kept);
        let text = text.trim_end();
        if kept.len() < KEPT {
            return text.to_owned();
        }
        // The first line is most likely cut.
        match text.split_once('\n') {
            Some((_, rest)) if !rest.is_empty() => rest.to_owned(),
            _ => text.to_owned(),
        }
    }
}

fn copy(input: PipeReader, output: &mut dyn Write, stopped: &PipeReader) -> VecDeque<u8> {
    let mut input = File::from(OwnedFd::from(input));
    let mut kept = VecDeque::with_capacity(KEPT);
    let mut buffer = vec![0; 16 * 1024];
    let mut draining = false;
    loop {
        if !draining {
            let mut ready = [PollFd::new(&input, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
            if poll(&mut ready, None).is_err() {
                continue;
            }
            // Closing the other end wakes us with HUP.
            draining = ready.last().is_some_and(|stop| !stop.revents().is_empty());
            if draining && rustix::fs::fcntl_setfl(&input, OFlags::NONBLOCK).is_err() {
                return kept;
            }
        }
        let piece = match input.read(&mut buffer) {
            Ok(0) => return kept,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return kept,
        };
        // If nobody reads our standard error the action must still not fail.
        let _ = output.write_all(piece);
        kept.extend(piece);
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_although_a_writer_lives_on() {
        let (input, mut output) = io::pipe().unwrap();
        let tee = Tee::start(input, io::sink()).unwrap();
        for number in 0..2000 {
            writeln!(output, "line {number}").unwrap();
        }
        // `output` stays open, as in a background process.
        let text = tee.finish();
        assert!(text.starts_with("line "));
        assert!(text.ends_with("line 1999"));
        assert!(text.len() <= KEPT);
        drop(output);
    }
}
