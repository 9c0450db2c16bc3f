//! `check RPATH`: reads objects to their end and says what that proves.
//!
//! Enters: an object, or a directory with all that is below it. Leaves: one line for each, path,
//! size of the content and what was verified; exit code 1 when anything is damaged. Nothing is
//! kept but one buffer.

use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::codec::{self, Codec};
use crate::config::Repository;
use crate::error::{Error, Result, one_line};
use crate::paths::RemotePath;
use crate::store::Entry;

const BUFFER: usize = 256 * 1024;

/// Checks a path; without a codec each object is read as what it starts like.
pub fn check(repository: &Repository, path: &RemotePath, codec: Option<Codec>) -> Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    let (mut checked, mut damaged) = (0u64, 0u64);
    let mut one = |key: &Path, shown: &Path| {
        checked += 1;
        let found = match read(repository, key, codec) {
            Ok((size, proof)) => format!("{size}\t{proof}"),
            Err(error) => {
                damaged += 1;
                format!("-\tdamaged: {}", one_line(&error.to_string()))
            }
        };
        let mut line = || {
            out.write_all(shown.as_os_str().as_bytes())?;
            writeln!(out, "\t{found}")?;
            out.flush()
        };
        line().map_err(Error::stdout)
    };
    let file = !path.slash && !path.shown.as_os_str().is_empty() && repository.store.object(&path.key)?.is_some();
    if file {
        one(&path.key, &path.shown)?;
    } else {
        let every = &mut |below: &Path, entry: &Entry| {
            if entry.is_dir { Ok(()) } else { one(&path.key.join(below), &path.shown.join(below)) }
        };
        repository
            .store
            .list(&path.key, None, every)
            .map_err(|error| error.during(format!("check {}", path.quoted())))?;
    }
    if damaged > 0 {
        return Err(Error::Mismatch(format!("check {}: {damaged} of {checked} objects are damaged", path.quoted())));
    }
    Ok(())
}

/// Reads one object to its end: the size of its content, and what was verified on the way.
fn read(repository: &Repository, key: &Path, codec: Option<Codec>) -> Result<(u64, String)> {
    let opened = codec::recognise(repository.store.open(key)?.body).map_err(Error::read)?;
    let codec = codec.or(opened.codec);
    let mut source = codec::decoder(opened.whole, codec).map_err(|error| codec::read_error(error, codec))?;
    let mut buffer = vec![0; BUFFER];
    let mut size = 0;
    loop {
        match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => size += count as u64,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(codec::read_error(error, codec)),
        }
    }
    let mut proof = Vec::new();
    if repository.authenticated {
        proof.push("authentic");
    }
    proof.extend(match (codec, opened.trailer) {
        (None, _) => None,
        (Some(_), true) => Some("integrity trailer"),
        (Some(codec), false) => Some(codec.proof()),
    });
    Ok((size, if proof.is_empty() { "readable".to_owned() } else { proof.join(", ") }))
}
