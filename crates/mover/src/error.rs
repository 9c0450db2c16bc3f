//! What can go wrong, once: every failure has a sentence for people, a [`Reason`] for the
//! operator and a [`Class`] that says whether trying again can help.
//!
//! Enters: I/O errors with the words that say what was tried. Leaves: one `Error: …` line (see
//! [`Error::report`]); the pre-check and people quote that line, so it must explain itself.

use std::io;

use mover_protocol::Reason;

use crate::cipher::CipherError;

/// Prints one line on standard error. Unlike `eprintln!` it does not panic when nobody listens.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($text)*);
    }};
}
pub(crate) use say;

/// Result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Whether a second try can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The same call fails again until somebody changes something.
    Terminal,
    /// Storage or network may recover by itself.
    Transient,
}

/// A failure, in the words of the reference tool where scripts may know them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No such file in the repository.
    #[error("object not found")]
    NotFound,
    /// No such directory in the repository.
    #[error("directory not found")]
    DirNotFound,
    /// A directory where a file was expected.
    #[error("is a directory not a file")]
    IsDirectory,
    /// A file where a directory was expected.
    #[error("is a file not a directory")]
    IsFile,
    /// A path that is malformed or leads outside the repository.
    #[error("invalid path {path:?}: {why}")]
    InvalidPath {
        /// The path as given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Wrong command line.
    #[error("{0}")]
    Usage(String),
    /// Wrong or missing configuration, or something this build does not serve.
    #[error("{0}")]
    Config(String),
    /// The command that produced the data, or an action, failed.
    #[error("{0}")]
    Producer(String),
    /// The object is not in the expected codec, or cut short.
    #[error("decompression error: {0}")]
    Decode(io::Error),
    /// A key is missing or wrong, or an encrypted object is damaged.
    #[error("{0}")]
    Encrypt(String),
    /// What was read back is not what was written.
    #[error("{0}")]
    Mismatch(String),
    /// An operating-system call failed.
    #[error("{what}: {}", plain(.source))]
    Io {
        /// What was tried, with the path.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// The storage behind a network refused, or could not be reached.
    #[error("{what}: {why}")]
    Remote {
        /// What was tried, with the object.
        what: String,
        /// What the server or the network said.
        why: String,
        /// What that means.
        reason: Reason,
        /// Whether a second try can help.
        class: Class,
    },
    /// Who visits a listing has seen enough of it.
    #[error("the listing was left early")]
    SeenEnough,
    /// The reader of our standard output went away; nobody is left to tell.
    #[error("standard output was closed")]
    StdoutClosed,
    /// A failure with the operation it belongs to.
    #[error("{what}: {source}")]
    During {
        /// The operation.
        what: String,
        /// What failed in it.
        source: Box<Error>,
    },
}

impl From<CipherError> for Error {
    fn from(error: CipherError) -> Self {
        Self::Encrypt(error.to_string())
    }
}

impl Error {
    /// An I/O failure while doing `what`.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        // A failure of ours that passed through a stream of bytes is itself again.
        match source.into().downcast::<Self>() {
            Ok(ours) => ours,
            Err(source) => Self::Io { what: what.into(), source },
        }
    }

    /// A failure to read from the store, or what the decryption above it found.
    pub fn read(error: io::Error) -> Self {
        match error.downcast::<CipherError>() {
            Ok(found) => found.into(),
            Err(error) => Self::io("read", error),
        }
    }

    /// A failure to write to standard output; a closed one is quiet.
    pub fn stdout(source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::BrokenPipe {
            Self::StdoutClosed
        } else {
            Self::io("write to standard output", source)
        }
    }

    /// The same failure, saying what it belongs to.
    pub fn during(self, what: impl Into<String>) -> Self {
        match self {
            quiet @ Self::StdoutClosed => quiet,
            other => Self::During { what: what.into(), source: Box::new(other) },
        }
    }

    /// The closed set of reasons that the operator and metrics know.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NotFound | Self::DirNotFound => Reason::NotFound,
            Self::IsDirectory => Reason::IsDirectory,
            Self::IsFile | Self::InvalidPath { .. } => Reason::InvalidPath,
            Self::Usage(_) | Self::Config(_) => Reason::Config,
            Self::Producer(_) => Reason::Producer,
            Self::Decode(_) => Reason::Decode,
            Self::Encrypt(_) => Reason::Encrypt,
            Self::Mismatch(_) => Reason::ChecksumMismatch,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Reason::NoSpace,
                io::ErrorKind::NotFound => Reason::NotFound,
                io::ErrorKind::PermissionDenied => Reason::AuthFailed,
                _ => Reason::Internal,
            },
            Self::Remote { reason, .. } => *reason,
            Self::SeenEnough | Self::StdoutClosed => Reason::Internal,
            Self::During { source, .. } => source.reason(),
        }
    }

    /// Whether a second try can help.
    pub fn class(&self) -> Class {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename => Class::Terminal,
                _ => Class::Transient,
            },
            Self::During { source, .. } => source.class(),
            Self::Remote { class, .. } => *class,
            Self::Mismatch(_) => Class::Transient,
            _ => Class::Terminal,
        }
    }

    /// Prints the one line of a failure, unless nobody listens, and gives the exit code.
    pub fn report(&self) -> i32 {
        if !matches!(self, Self::StdoutClosed) {
            say!("Error: {}", one_line(&self.to_string()));
        }
        1
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        Self::other(error)
    }
}

/// The message of an I/O error in lower case and without "(os error N)", as Go prints it.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split_once(" (os error").map_or(text.as_str(), |(message, _)| message);
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        // "I/O error" and the like keep their capital.
        (Some(first), Some(second)) if second.is_lowercase() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

/// A message without line breaks: one failure is one line.
pub fn one_line(text: &str) -> String {
    text.split(['\n', '\r']).map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_read_like_the_reference() {
        let missing = io::Error::from_raw_os_error(2);
        assert_eq!(plain(&missing), "no such file or directory");
        let made = io::Error::other("EOF came early");
        assert_eq!(plain(&made), "EOF came early");
    }

    #[test]
    fn reasons_and_classes_survive_context() {
        let full = Error::io("write", io::Error::from(io::ErrorKind::StorageFull));
        let full = full.during("push to \"x\"");
        assert_eq!(full.reason(), Reason::NoSpace);
        assert_eq!(full.class(), Class::Transient);
        assert_eq!(Error::IsDirectory.class(), Class::Terminal);
    }
}
