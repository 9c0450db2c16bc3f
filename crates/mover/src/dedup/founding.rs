//! Opening a repository, and founding one.
//!
//! Enters: a root and a password. Leaves: an open repository. Stores have no "create if absent"
//! that all of them honour, so two pods may found the same repository at once. Everything that
//! must be unique in it (master key, identifier, chunker polynomial) is therefore derived from
//! password and root: whoever writes last writes the same, however late.

use std::path::Path;
use std::sync::Arc;

use aes256ctr_poly1305aes::aead::Aead;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use rustic_core::repofile::{ConfigFile, MasterKey};
use rustic_core::{
    Credentials, FileType, Id, KeyOptions, OpenStatus, ReadBackend, Repository, RepositoryBackends, RepositoryOptions,
    RusticResult,
};

use super::failure::repository_error;
use super::files::Files;
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::fill::random;

/// What makes a master key of a password differ from anything else made of it.
const CONTEXT: &[u8] = b"holdfast deduplicating repository 1\0";

/// scrypt: N = 2^15, r = 8, p = 1 takes 32 MiB; the library's own 128 MiB are more than a push
/// may use.
const LOG_N: u8 = 15;
const R: u32 = 8;
const P: u32 = 1;

/// A quarter of the size that restic cuts at: around a run of changed pages about two chunks are
/// stored again, so large ones make small changes dear. Small ones make the index large; it is in
/// memory, about 150 MiB for 1 TiB of distinct data.
const CHUNK: usize = 256 << 10;
const CHUNK_MIN: usize = 128 << 10;
const CHUNK_MAX: usize = 1 << 20;
/// Packs are in memory until they are stored, a few at a time.
const PACK: u32 = 8 << 20;
const PACK_LIMIT: u32 = 16 << 20;

/// Opens the repository of a store; `None` when there is none.
pub fn open(files: &Arc<Files>, settings: &Settings) -> Result<Option<Repository<OpenStatus>>> {
    let root = settings.root.display().to_string();
    let failed = |error: Box<rustic_core::RusticError>| repository_error(&root, &error);
    if files.list(FileType::Config).map_err(failed)?.is_empty() {
        return Ok(None);
    }
    closed(files)
        .and_then(|repository| repository.open(&Credentials::password(&settings.password)))
        .map(Some)
        .map_err(failed)
}

/// Opens the repository of a store, founding it if there is none.
pub fn open_or_found(files: &Arc<Files>, settings: &Settings) -> Result<Repository<OpenStatus>> {
    if let Some(repository) = open(files, settings)? {
        return Ok(repository);
    }
    let root = settings.root.display().to_string();
    let failed = |error: Box<rustic_core::RusticError>| repository_error(&root, &error);
    let seed = Seed::derive(&settings.password, &settings.root)?;
    // The key first: a repository without one would open for nobody.
    store_key(files, &settings.password, &seed)?;
    closed(files)
        .and_then(|repository| {
            let key = Credentials::Masterkey(seed.master_key()?);
            repository.init_with_config(&key, &KeyOptions::default(), seed.config())
        })
        .map_err(failed)?;
    // Another password may have founded it in the same moment; then ours must not go on.
    open(files, settings)?.ok_or_else(|| Error::Mismatch(format!("the repository {root} vanished while it was made")))
}

fn closed(files: &Arc<Files>) -> RusticResult<Repository<()>> {
    let backends = RepositoryBackends::new(Arc::<Files>::clone(files), None);
    // Nothing stays on local disks.
    Repository::new(&RepositoryOptions::default().no_cache(true), &backends)
}

/// What is unique in a repository.
struct Seed {
    encrypt: [u8; 32],
    mac_k: [u8; 16],
    mac_r: [u8; 16],
    id: [u8; 32],
    polynomial: [u8; 32],
}

impl Seed {
    fn derive(password: &str, root: &Path) -> Result<Self> {
        let salt = [CONTEXT, root.as_os_str().as_encoded_bytes()].concat();
        let mut bytes = [0u8; 128];
        scrypt_into(password, &salt, &mut bytes)?;
        let mut rest = bytes.as_slice();
        let mut seed = Self {
            encrypt: take(&mut rest),
            mac_k: take(&mut rest),
            mac_r: take(&mut rest),
            id: take(&mut rest),
            polynomial: take(&mut rest),
        };
        // Poly1305 wants these bits clear.
        for (at, byte) in seed.mac_r.iter_mut().enumerate() {
            *byte &= match at {
                3 | 7 | 11 | 15 => 15,
                4 | 8 | 12 => 252,
                _ => 255,
            };
        }
        Ok(seed)
    }

    fn master_json(&self) -> serde_json::Value {
        serde_json::json!({
            "mac": { "k": STANDARD.encode(self.mac_k), "r": STANDARD.encode(self.mac_r) },
            "encrypt": STANDARD.encode(self.encrypt),
        })
    }

    fn master_key(&self) -> RusticResult<MasterKey> {
        serde_json::from_value(self.master_json())
            .map_err(|error| rustic_core::RusticError::from(rustic_core::ErrorKind::Key, error))
    }

    fn config(&self) -> ConfigFile {
        let mut config = ConfigFile::new(2, Id::new(self.id).into(), irreducible(&self.polynomial));
        // What costs least; databases' pages compress well at any level.
        config.compression = Some(1);
        config.chunk_size = Some(CHUNK);
        config.chunk_min_size = Some(CHUNK_MIN);
        config.chunk_max_size = Some(CHUNK_MAX);
        config.datapack_size = Some(PACK);
        config.datapack_size_limit = Some(PACK_LIMIT);
        config.treepack_size_limit = Some(PACK_LIMIT);
        config
    }
}

/// Stores the master key, locked with the password, as restic reads it.
fn store_key(files: &Files, password: &str, seed: &Seed) -> Result<()> {
    let wrong = |why: &str| Error::Config(format!("the key of the repository cannot be made: {why}"));
    let (salt, nonce): ([u8; 64], [u8; 16]) = (random()?, random()?);
    let mut lock = [0; 64];
    scrypt_into(password, &salt, &mut lock)?;
    let master = serde_json::to_vec(&seed.master_json()).map_err(|error| wrong(&error.to_string()))?;
    let sealed = Aes256CtrPoly1305Aes::new(Key::from_slice(&lock))
        .encrypt(Nonce::from_slice(&nonce), master.as_slice())
        .map_err(|error| wrong(&error.to_string()))?;
    let text = serde_json::json!({
        "kdf": "scrypt",
        "N": 1u32 << LOG_N,
        "r": R,
        "p": P,
        "data": STANDARD.encode([&nonce[..], &sealed].concat()),
        "salt": STANDARD.encode(salt),
    })
    .to_string();
    let mut id = [0u8; 32];
    id.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    files.put(&files.key(FileType::Key, &Id::new(id)), &[text.into()])
}

fn scrypt_into(password: &str, salt: &[u8], output: &mut [u8]) -> Result<()> {
    let wrong = |why: String| Error::Config(format!("the password cannot be used: {why}"));
    let params = scrypt::Params::new(LOG_N, R, P).map_err(|error| wrong(error.to_string()))?;
    scrypt::scrypt(password.as_bytes(), salt, &params, output).map_err(|error| wrong(error.to_string()))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let mut taken = [0; N];
    if let Some((head, rest)) = bytes.split_at_checked(N) {
        taken.copy_from_slice(head);
        *bytes = rest;
    }
    taken
}

/// An irreducible polynomial of degree 53 over GF(2), as restic's chunker needs: the first one in
/// a sequence that the seed begins.
fn irreducible(seed: &[u8; 32]) -> u64 {
    let mut state = *seed;
    loop {
        let candidate = u64::from_le_bytes(take(&mut state.as_slice())) & ((1 << 53) - 1) | (1 << 53) | 1;
        if is_irreducible(candidate) {
            return candidate;
        }
        let next = digest(&SHA256, &state);
        state.copy_from_slice(next.as_ref());
    }
}

/// Rabin's test; 53 is prime, so it suffices that x^(2^53) = x and that neither 0 nor 1 is a root.
fn is_irreducible(polynomial: u64) -> bool {
    let has_root = polynomial & 1 == 0 || polynomial.count_ones().is_multiple_of(2);
    let mut power = 2;
    for _ in 0..53 {
        power = square(power, polynomial);
    }
    !has_root && power == 2
}

/// The square of a polynomial, modulo another of degree 53.
fn square(value: u64, modulus: u64) -> u64 {
    let mut product = 0u128;
    for bit in 0..53 {
        if value >> bit & 1 == 1 {
            product |= 1 << (2 * bit);
        }
    }
    for bit in (53..=104).rev() {
        if product >> bit & 1 == 1 {
            product ^= u128::from(modulus) << (bit - 53);
        }
    }
    u64::try_from(product).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_founders_make_the_same_repository() {
        let derive = |password, root| Seed::derive(password, Path::new(root)).unwrap();
        let (one, two) = (derive("pw", "a/kopia"), derive("pw", "a/kopia"));
        assert_eq!(one.config(), two.config());
        assert_eq!(one.master_json(), two.master_json());
        for other in [derive("pw", "b/kopia"), derive("px", "a/kopia")] {
            assert_ne!(one.master_json(), other.master_json());
            assert_ne!(one.config(), other.config());
        }
    }

    #[test]
    fn polynomials_are_irreducible() {
        // The one in restic's own tests, and the same with a factor.
        assert!(is_irreducible(0x003D_A335_8B4D_C173));
        assert!(!is_irreducible(0x003D_A335_8B4D_C172));
        assert!(!is_irreducible(0x003D_A335_8B4D_C171));
        for seed in 0..8u8 {
            let found = irreducible(&[seed; 32]);
            assert_eq!(found.ilog2(), 53);
            // Trial division by everything of degree up to 12.
            for divisor in 2u64..1 << 13 {
                assert_ne!(remainder(found, divisor), 0, "{found:x} by {divisor:x}");
            }
        }
    }

    fn remainder(mut value: u64, divisor: u64) -> u64 {
        let degree = divisor.ilog2();
        while value >= 1 << degree {
            value ^= divisor << (value.ilog2() - degree);
        }
        value
    }
}
