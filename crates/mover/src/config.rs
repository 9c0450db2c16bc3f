//! Which repository: environment first, else the configuration file (mover.md §1.5, §1.6).
//!
//! Enters: `DATASAFED_*` variables and `/etc/datasafed/datasafed.conf`. Leaves: a
//! [`Repository`]. What this build cannot honour (another backend) is an error,
//! never ignored: data must not land in the clear or in the wrong place.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use mover_protocol::env as names;

use crate::cipher::Cipher;
use crate::dedup;
use crate::error::{Error, Result, plain};
use crate::ini::Ini;
use crate::paths::{BasePath, RemotePath};
use crate::store::Store;
use crate::store::encrypted::EncryptedStore;
use crate::store::local::LocalStore;
use crate::store::remote;

/// A store and the base path of this invocation.
pub struct Repository {
    /// The backend.
    pub store: Box<dyn Store>,
    /// Prefix of every path.
    pub base: BasePath,
    /// Set when objects are encrypted in a way that does not notice a wrong pass phrase.
    pub unauthenticated: bool,
    /// Set when every byte that is read was authenticated.
    pub authenticated: bool,
}

impl Repository {
    /// Opens what the environment or the file names, with the base path of the environment.
    pub fn open(file: &Path) -> Result<Self> {
        let base = env::var_os(names::BACKEND_BASE_PATH).unwrap_or_default();
        Self::open_at(file, &trimmed(&base))
    }

    /// Opens the same repository at another base path.
    pub fn open_at(file: &Path, base: &OsStr) -> Result<Self> {
        let mounted = env::var_os(names::LOCAL_BACKEND_PATH).filter(|root| !root.is_empty());
        let settings = if mounted.is_some() { None } else { Some(parse(file)?) };
        let base = BasePath::parse(base)?;
        let store: Box<dyn Store> = match (mounted, settings) {
            (Some(root), _) => Box::new(LocalStore::open_root(Path::new(&root), names::LOCAL_BACKEND_PATH)?),
            (None, settings) => open_store(&settings.unwrap_or_default(), file)?,
        };
        if let Some(settings) = dedup::Settings::from_env()? {
            // It encrypts below its chunks: encrypted above, no two would be equal.
            let store = dedup::layered(store, settings)?;
            return Ok(Self { store, base, unauthenticated: false, authenticated: true });
        }
        Ok(match Cipher::from_env()? {
            None => Self { store, base, unauthenticated: false, authenticated: false },
            Some(cipher) => {
                let authenticated = cipher.authenticates();
                let store = Box::new(EncryptedStore::new(store, cipher));
                Self { store, base, unauthenticated: !authenticated, authenticated }
            }
        })
    }

    /// Opens the repository at a place: a directory, or a configuration file. Objects are as they
    /// are stored, encrypted ones under their names with the suffix.
    pub fn as_stored(place: &Path) -> Result<Self> {
        let base = BasePath::parse(&trimmed(&env::var_os(names::BACKEND_BASE_PATH).unwrap_or_default()))?;
        let store: Box<dyn Store> = if place.is_dir() {
            Box::new(LocalStore::open_root(place, "the command line")?)
        } else {
            open_store(&parse(place)?, place)?
        };
        Ok(Self { store, base, unauthenticated: false, authenticated: false })
    }

    /// A path of this repository.
    pub fn locate(&self, path: &OsStr) -> Result<RemotePath> {
        self.base.locate(path)
    }
}

fn open_store(settings: &Ini, file: &Path) -> Result<Box<dyn Store>> {
    Ok(match settings.get("storage", "type").unwrap_or_default() {
        "local" => Box::new(open_local(settings, file)?),
        _ => remote::open(settings)?,
    })
}

fn open_local(settings: &Ini, file: &Path) -> Result<LocalStore> {
    let root = settings.get("storage", "root").unwrap_or_default();
    if root.is_empty() {
        return Err(Error::Config(format!("{} has no root for its local storage", file.display())));
    }
    LocalStore::open_root(Path::new(root), "the configuration")
}

/// The settings in force; `getconf` reads them.
pub fn load(file: &Path) -> Result<Ini> {
    if let Some(root) = env::var_os(names::LOCAL_BACKEND_PATH).filter(|root| !root.is_empty()) {
        let root = std::path::absolute(&root).map_err(|error| Error::io(names::LOCAL_BACKEND_PATH, error))?;
        let mut settings = Ini::default();
        settings.set("storage", "type", "local");
        settings.set("storage", "copy_links", "true");
        settings.set("storage", "root", &root.to_string_lossy());
        return Ok(settings);
    }
    parse(file)
}

fn parse(file: &Path) -> Result<Ini> {
    let text =
        std::fs::read(file).map_err(|error| Error::Config(format!("open {}: {}", file.display(), plain(&error))))?;
    Ini::parse(&String::from_utf8_lossy(&text))
        .map_err(|line| Error::Config(format!("{}: line {line} is not KEY = VALUE", file.display())))
}

/// The value of `SECTION.KEY`.
pub fn get(file: &Path, item: &str) -> Result<String> {
    let Some((section, key)) = item.split_once('.') else {
        return Err(Error::Usage(format!("invalid config item name {item:?}")));
    };
    load(file)?
        .get(section, key)
        .map(str::to_owned)
        .ok_or_else(|| Error::Config(format!("config item {item:?} not found")))
}

/// The reference trims blanks around the base path.
fn trimmed(text: &OsStr) -> OsString {
    text.to_str().map_or_else(|| text.to_owned(), |text| text.trim().into())
}
