//! Stores of the second tier: what a configuration may name besides `local` and `s3`.
//!
//! Enters: `[storage]` with another type. Leaves: a store, or one clear error that names what is
//! served. Types of which only the S3 dialect is spoken are the S3 store.

use super::Store;
use super::s3::S3Store;
use crate::error::{Error, Result};
use crate::ini::Ini;

mod bridge;
mod ftp;
mod objects;
mod objects_upload;
mod settings;
mod transport;
mod tree;
mod webdav;
mod webdav_upload;

use tree::TreeStore;

/// Opens the store that the configuration names.
pub fn open(ini: &Ini) -> Result<Box<dyn Store>> {
    let kind = ini.get("storage", "type").unwrap_or_default().trim();
    Ok(match kind {
        "s3" => Box::new(S3Store::open(ini)?),
        "oss" => dialect(ini, "Alibaba")?,
        "cos" => dialect(ini, "TencentCOS")?,
        "obs" => dialect(ini, "HuaweiOBS")?,
        "azureblob" => Box::new(objects::ObjectStore::azure(ini)?),
        "google cloud storage" => Box::new(objects::ObjectStore::google(ini)?),
        "ftp" => Box::new(TreeStore::new(ftp::Ftp::open(ini)?)),
        "webdav" => Box::new(TreeStore::new(webdav::WebDav::open(ini)?)),
        "sftp" => {
            return Err(Error::Config(
                "storage type \"sftp\" is not served: export the directory over ftp, webdav or as a volume".to_owned(),
            ));
        }
        "b2" => {
            return Err(Error::Config(
                "storage type \"b2\" is not served: use type s3 with the bucket's S3 endpoint".to_owned(),
            ));
        }
        other => {
            return Err(Error::Config(format!(
                "unsupported storage type {other:?}: this build serves the types local, s3, oss, cos, obs, \
                 azureblob, google cloud storage, ftp and webdav"
            )));
        }
    })
}

/// The native names of stores that speak the S3 dialect of one provider.
fn dialect(ini: &Ini, provider: &str) -> Result<Box<dyn Store>> {
    let mut ini = ini.clone();
    ini.set("storage", "provider", provider);
    Ok(Box::new(S3Store::open(&ini)?))
}
