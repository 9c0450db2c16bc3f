//! Deterministic names of children: the wire name where it fits, else a readable prefix and a hash.

use sha2::{Digest, Sha256};

/// Longest name of a Job, a label value and a DNS label.
pub const LIMIT: usize = 63;
const HASH_DIGITS: usize = 10;

/// `wire` where it has at most [`LIMIT`] characters, else its beginning, a dash and 10 hex digits of
/// `identity` (design D8; behaviour-backup D7, behaviour-restore §18.7: a cut name is not unique).
///
/// `identity` holds all that makes the child different from its siblings: owner UID, stage, indices.
pub fn child(wire: &str, identity: &[&str]) -> String {
    child_within(LIMIT, wire, identity)
}

/// As [`child`], for names that may have at most `limit` characters.
pub fn child_within(limit: usize, wire: &str, identity: &[&str]) -> String {
    if wire.len() <= limit {
        return wire.to_owned();
    }
    let mut hash = Sha256::new();
    for part in identity {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let digest = hex::encode(hash.finalize());
    let digest = digest.get(..HASH_DIGITS).unwrap_or(&digest);
    format!("{}-{digest}", cut(wire, limit.saturating_sub(HASH_DIGITS + 1)))
}

/// At most `limit` bytes of an ASCII name, without a separator at the end.
pub fn cut(name: &str, limit: usize) -> &str {
    let end = name.char_indices().map(|(i, c)| i + c.len_utf8()).take_while(|end| *end <= limit).last().unwrap_or(0);
    name.get(..end).unwrap_or_default().trim_end_matches(['-', '.'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn bd7_long_names_fit_and_differ_by_identity(a in "[a-z][a-z0-9-]{0,90}", b in "[a-z0-9]{8}") {
            let one = child(&a, &[&b, "0"]);
            let two = child(&a, &[&b, "1"]);
            prop_assert!(one.len() <= LIMIT);
            prop_assert!(!one.ends_with('-') || a.len() <= LIMIT);
            prop_assert_eq!(one == two, a.len() <= LIMIT);
        }
    }

    #[test]
    fn short_name_stays_as_the_wire_has_it() {
        assert_eq!(child("dp-backup-0-f1-9f214f22", &["x"]), "dp-backup-0-f1-9f214f22");
    }
}
