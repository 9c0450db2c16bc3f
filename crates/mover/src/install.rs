//! `install DIR`: puts this program where action containers find it (mover.md §1.7).
//!
//! Enters: the running executable. Leaves: `DIR/datasafed`, mode 0755, whole or not at all, and
//! `DIR/certs` if the executable has such a directory beside it.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::staging::Staged;

/// Name of the program, whatever the file we were started from is called.
const NAME: &str = "datasafed";
/// Certificates that the program trusts in addition lie beside it.
const CERTS: &str = "certs";

/// Copies this program and its certificates into a directory.
pub fn install(dir: &Path) -> Result<()> {
    let source = std::env::current_exe().map_err(|error| Error::io("find this program", error))?;
    copy(&source, dir, NAME, 0o755)?;
    let Some(certs) = source.parent().map(|parent| parent.join(CERTS)) else {
        return Ok(());
    };
    let listed = match fs::read_dir(&certs) {
        Ok(listed) => listed,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("read {}", certs.display()), error)),
    };
    for item in listed {
        let item = item.map_err(|error| Error::io(format!("read {}", certs.display()), error))?;
        let name = item.file_name();
        // Links count as what they lead to; mounted Secrets are made of links.
        let Some(name) = name.to_str().filter(|_| item.path().is_file()) else {
            continue;
        };
        copy(&item.path(), &dir.join(CERTS), name, 0o644)?;
    }
    Ok(())
}

/// Copies one file; `io::copy` between files uses a reflink or copies inside the kernel.
fn copy(source: &Path, dir: &Path, name: &str, mode: u32) -> Result<()> {
    let target = dir.join(name);
    let install = || -> io::Result<()> {
        let mut from = File::open(source)?;
        fs::create_dir_all(dir)?;
        let dir: OwnedFd = OpenOptions::new().read(true).open(dir)?.into();
        let staged = Staged::create(dir, mode)?;
        io::copy(&mut from, &mut staged.file())?;
        staged.file().set_permissions(Permissions::from_mode(mode))?;
        staged.commit(name.as_ref())
    };
    install().map_err(|error| Error::io(format!("copy {} to {}", source.display(), target.display()), error))
}
