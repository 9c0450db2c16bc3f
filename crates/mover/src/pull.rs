//! `pull RPATH LPATH`: one object to a local file, whole or not at all, or to standard output.
//!
//! Enters: an object. Leaves: a file that replaces the old one only when every byte was read and
//! decoded (MD3), or a stream; a reader that closes our standard output ends us quietly.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Gid, OFlags, Uid};

use crate::codec::{self, Codec, NotThisCodec};
use crate::config::Repository;
use crate::error::{Error, Result};
use crate::paths::RemotePath;
use crate::progress;
use crate::resume::Resumable;
use crate::staging::Staged;

/// Room between us and a consumer that reads from a pipe, as between a producer and [`crate::push`].
const PIPE: usize = 1 << 20;

/// Fetches one object.
pub fn pull(repository: &Repository, path: &RemotePath, lpath: &OsStr, codec: Option<Codec>) -> Result<()> {
    checked(lpath)?;
    fetch(repository, path, lpath, codec).map_err(|error| error.during(format!("pull {}", path.quoted())))
}

/// Fetches one object into a file, going on where an earlier call with this `state` ended.
pub fn resume(repository: &Repository, path: &RemotePath, lpath: &OsStr, state: &Path) -> Result<()> {
    checked(lpath)?;
    if repository.unauthenticated || repository.authenticated {
        return Err(Error::Usage("--resume cannot go on inside of an encrypted object".to_owned()));
    }
    fetch_on(repository, path, lpath, state).map_err(|error| error.during(format!("pull {}", path.quoted())))
}

fn fetch_on(repository: &Repository, path: &RemotePath, lpath: &OsStr, state: &Path) -> Result<()> {
    let open = |error| Error::io(format!("open {}", lpath.to_string_lossy()), error);
    let target = if lpath == "-" { None } else { Some(Target::choose(Path::new(lpath)).map_err(open)?) };
    let Some(Target::Replace { path: target, old, .. }) = target else {
        return Err(Error::Usage("--resume needs a local file: a stream cannot go back to where it was".to_owned()));
    };
    Resumable::new(repository.store.as_ref(), path.as_file()?, state, &target)
        .fetch(|file| old.as_ref().map_or(Ok(()), |old| keep_ownership(file, old)))
}

fn checked(lpath: &OsStr) -> Result<()> {
    if lpath.is_empty() || lpath.as_bytes().ends_with(b"/") {
        return Err(Error::Usage(format!("invalid local path {:?}", lpath.to_string_lossy())));
    }
    Ok(())
}

fn fetch(repository: &Repository, path: &RemotePath, lpath: &OsStr, codec: Option<Codec>) -> Result<()> {
    // The object is opened first: without it nothing local changes.
    let (object, codec) = repository.store.open_encoded(path.as_file()?, codec)?;
    let mut input = codec::decoder(object.body, codec).map_err(|error| explain(repository, error, codec))?;
    if lpath == "-" {
        // Not as `Stdout`, which looks for the last line's end and writes the rest apart.
        let mut out = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(Error::stdout)?);
        // Not a pipe, or not allowed: as it is then.
        let _ = rustix::pipe::fcntl_setpipe_size(&out, PIPE);
        return copy(&mut *input, &mut out, codec, Error::stdout);
    }
    let shown = lpath.to_string_lossy().into_owned();
    let failed = |what: &str, error: io::Error| Error::io(format!("{what} {shown}"), error);
    match Target::choose(Path::new(lpath)).map_err(|error| failed("open", error))? {
        Target::Stream(mut stream) => copy(&mut *input, &mut stream, codec, |error| failed("write", error)),
        Target::Replace { dir, name, old, .. } => {
            let mut staged = Staged::create(dir, 0o644).map_err(|error| failed("create", error))?;
            copy(&mut *input, &mut staged, codec, |error| failed("write", error))?;
            if let Some(old) = old {
                keep_ownership(staged.file(), &old).map_err(|error| failed("chmod", error))?;
            }
            staged.commit(&name).map_err(|error| failed("commit", error))
        }
    }
}

/// MD7: the encryption of the reference decrypts to garbage with a wrong pass phrase, which does
/// not start as a compressed object does.
fn explain(repository: &Repository, error: io::Error, codec: Option<Codec>) -> Error {
    if repository.unauthenticated
        && error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<NotThisCodec>)
    {
        return Error::Encrypt(format!(
            "wrong pass phrase in {} or corrupt object: {error}",
            mover_protocol::env::ENCRYPTION_PASS_PHRASE
        ));
    }
    codec::read_error(error, codec)
}

/// What a local path is.
enum Target {
    /// A FIFO or a device: written as it is.
    Stream(File),
    /// A regular file, existing or not: replaced at the end.
    Replace { dir: OwnedFd, name: OsString, path: PathBuf, old: Option<Box<fs::Metadata>> },
}

impl Target {
    fn choose(path: &Path) -> io::Result<Self> {
        let old = match fs::metadata(path) {
            Ok(found) => Some(found),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some(found) = &old {
            if found.is_dir() {
                return Err(io::ErrorKind::IsADirectory.into());
            }
            if !found.is_file() {
                return OpenOptions::new().write(true).open(path).map(Self::Stream);
            }
        }
        // A link to a file stays a link; its target is replaced.
        let path = if old.is_some() { fs::canonicalize(path)? } else { std::path::absolute(path)? };
        let name = path.file_name().unwrap_or_default().to_owned();
        let parent = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&parent)?;
        let dir = OpenOptions::new().read(true).custom_flags(OFlags::DIRECTORY.bits().cast_signed()).open(&parent)?;
        Ok(Self::Replace { dir: dir.into(), name, path, old: old.map(Box::new) })
    }
}

/// The new file gets mode and owner of the one it replaces, as if it had been overwritten.
fn keep_ownership(file: &File, old: &fs::Metadata) -> io::Result<()> {
    // Only root may give files away; for others the owner is their own already.
    let _ = rustix::fs::fchown(file, Some(Uid::from_raw(old.uid())), Some(Gid::from_raw(old.gid())));
    file.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

fn copy(
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    codec: Option<Codec>,
    write_error: impl Fn(io::Error) -> Error,
) -> Result<()> {
    loop {
        let count = match input.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(bytes) => {
                output.write_all(bytes).map_err(&write_error)?;
                progress::moved(bytes);
                bytes.len()
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(codec::read_error(error, codec)),
        };
        input.consume(count);
    }
}
