//! The end of a push: the snapshot, with the size that only now is known.
//!
//! Enters: a tree in which the library has noted a stream, whose size it does not know and leaves
//! at 0; `restic restore` would make an empty file of it. Leaves: a tree with the size, and the
//! snapshot. Before that, every chunk is looked up in the index as it is stored now.

use aes256ctr_poly1305aes::aead::Aead;
use aes256ctr_poly1305aes::{Aes256CtrPoly1305Aes, Key, Nonce};
use jiff::Timestamp;
use ring::digest::{SHA256, digest};
use rustic_core::repofile::{MasterKey, SnapshotFile, Tree};
use rustic_core::{FileType, Id, IndexedIdsStatus, Repository, TreeId};

use super::failure::repository_error;
use super::files::Files;
use crate::clock;
use crate::error::{Error, Result};
use crate::fill::random;

/// A compressed tree, in the header of a pack.
const COMPRESSED_TREE: u8 = 3;

/// Stores the snapshot of a stream of `size` bytes; gives its identifier.
pub fn seal(
    repository: Repository<IndexedIdsStatus>,
    files: &Files,
    root: &str,
    mut snapshot: SnapshotFile,
    size: u64,
) -> Result<String> {
    let failed = |error: Box<rustic_core::RusticError>| repository_error(root, &error);
    let repository = repository.drop_index().to_indexed().map_err(failed)?;
    let mut tree = repository.get_tree(&snapshot.tree).map_err(failed)?;
    let mut stored = 0;
    for chunk in tree.nodes.iter().filter_map(|node| node.content.as_ref()).flatten() {
        stored += u64::from(repository.get_index_entry(chunk).map_err(failed)?.data_length());
    }
    let Some(node) = tree.nodes.first_mut().filter(|_| stored == size) else {
        return Err(Error::Mismatch(format!("{stored} of {size} bytes arrived in the repository {root}")));
    };
    node.meta.size = size;
    snapshot.tree = store_tree(files, &repository.key(), &tree)?;
    files.allow_snapshot();
    repository.save_snapshots(vec![snapshot]).map_err(failed)?;
    files.snapshot().ok_or_else(|| Error::Mismatch(format!("no snapshot was stored in the repository {root}")))
}

/// Stores a tree in a pack of its own, and the index of that.
fn store_tree(files: &Files, key: &MasterKey, tree: &Tree) -> Result<TreeId> {
    let wrong = |why: String| Error::Mismatch(format!("the tree of the snapshot cannot be stored: {why}"));
    let mut text = serde_json::to_vec(tree).map_err(|error| wrong(error.to_string()))?;
    text.push(b'\n');
    let id = sha256(&text);
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(|error| wrong(error.to_string()));
    let packed = zstd::bulk::compress(&text, 1).map_err(|error| wrong(error.to_string()))?;
    let blob = encrypt(key, &packed)?;
    let mut header = vec![COMPRESSED_TREE];
    header.extend(length(&blob)?.to_le_bytes());
    header.extend(length(&text)?.to_le_bytes());
    header.extend(id);
    let header = encrypt(key, &header)?;
    let pack = [&blob[..], &header, &length(&header)?.to_le_bytes()].concat();
    let pack_id = sha256(&pack);
    let index = serde_json::json!({ "packs": [{
        "id": hex::encode(pack_id),
        "time": Timestamp::try_from(clock::now()).map(|now| now.to_string()).unwrap_or_default(),
        "blobs": [{
            "id": hex::encode(id),
            "type": "tree",
            "offset": 0,
            "length": blob.len(),
            "uncompressed_length": text.len(),
        }],
    }] });
    // First the pack, then what names it.
    put(files, FileType::Pack, pack)?;
    put(files, FileType::Index, encrypt(key, index.to_string().as_bytes())?)?;
    Ok(TreeId::from(Id::new(id)))
}

fn put(files: &Files, kind: FileType, content: Vec<u8>) -> Result<()> {
    let id = Id::new(sha256(&content));
    files.put(&files.key(kind, &id), &[content.into()])
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut id = [0; 32];
    id.copy_from_slice(digest(&SHA256, bytes).as_ref());
    id
}

/// AES-256-CTR with Poly1305-AES, the nonce in front, as everything in a restic repository.
fn encrypt(key: &MasterKey, plain: &[u8]) -> Result<Vec<u8>> {
    let wrong = || Error::Mismatch("the key of the repository cannot be used".to_owned());
    let whole = [&key.encrypt[..], &key.mac.k, &key.mac.r].concat();
    let whole = Some(whole).filter(|whole| whole.len() == 64).ok_or_else(wrong)?;
    let nonce: [u8; 16] = random()?;
    let sealed = Aes256CtrPoly1305Aes::new(Key::from_slice(&whole)).encrypt(Nonce::from_slice(&nonce), plain);
    Ok([&nonce[..], &sealed.map_err(|_| wrong())?].concat())
}
