//! Objects at rest in few bytes.
//!
//! What has ended and waits only for its expiry is most of a cache and is hardly ever read, and a decoded object takes
//! many times the bytes of what it says. Objects of one kind look alike: LZ4 with one of them as its dictionary leaves
//! little more than what tells them apart.

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::{Arc, OnceLock};

/// An object as a cache holds it.
pub(super) enum Entry<K> {
    Active(Arc<K>),
    AtRest(Box<[u8]>),
}

/// The first object that was packed, as it was before.
type Dictionary = OnceLock<Vec<u8>>;
type Pack<K> = fn(&K, &Dictionary) -> Option<Box<[u8]>>;

/// Which objects of a kind are held as bytes, and how.
pub(super) struct Packing<K> {
    at_rest: fn(&K) -> bool,
    pack: Pack<K>,
    unpack: fn(&[u8], &Dictionary) -> Option<K>,
    dictionary: Dictionary,
}

impl<K> Packing<K> {
    /// Every object is held as it is.
    pub fn none() -> Self {
        Packing { at_rest: |_| false, pack: |_, _| None, unpack: |_, _| None, dictionary: OnceLock::new() }
    }

    /// As the cache is to hold it.
    pub fn hold(&self, object: Arc<K>) -> Entry<K> {
        let packed = (self.at_rest)(&object).then(|| (self.pack)(&object, &self.dictionary)).flatten();
        packed.map_or(Entry::Active(object), Entry::AtRest)
    }

    /// The object of an entry of this cache.
    pub fn open(&self, entry: &Entry<K>) -> Option<Arc<K>> {
        match entry {
            Entry::Active(object) => Some(Arc::clone(object)),
            // Packed only after it was unpacked once: see `pack`.
            Entry::AtRest(bytes) => (self.unpack)(bytes, &self.dictionary).map(Arc::new),
        }
    }
}

impl<K: Resource + Serialize + DeserializeOwned + PartialEq> Packing<K> {
    /// Objects for which `at_rest` holds are held as bytes.
    pub fn of(at_rest: fn(&K) -> bool) -> Self {
        Packing { at_rest, pack, unpack, dictionary: OnceLock::new() }
    }
}

/// Nothing if what would come out is not what went in: a cache must not change what it holds.
fn pack<K: Serialize + DeserializeOwned + PartialEq>(object: &K, dictionary: &Dictionary) -> Option<Box<[u8]>> {
    let text = serde_json::to_vec(object).ok()?;
    let like = dictionary.get_or_init(|| text.clone());
    let bytes = lz4_flex::block::compress_prepend_size_with_dict(&text, like);
    (unpack::<K>(&bytes, dictionary).as_ref() == Some(object)).then(|| bytes.into_boxed_slice())
}

fn unpack<K: DeserializeOwned>(bytes: &[u8], dictionary: &Dictionary) -> Option<K> {
    let text = lz4_flex::block::decompress_size_prepended_with_dict(bytes, dictionary.get()?).ok()?;
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    fn config_map(name: &str, at_rest: bool) -> Arc<ConfigMap> {
        let value = json!({"metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "holdfast"}}, "immutable": at_rest});
        Arc::new(serde_json::from_value(value).expect("a ConfigMap"))
    }

    #[test]
    fn what_is_at_rest_comes_back_equal_and_takes_few_bytes() {
        let packing = Packing::of(|m: &ConfigMap| m.immutable == Some(true));
        for name in ["one", "two"] {
            let object = config_map(name, true);
            let entry = packing.hold(Arc::clone(&object));
            let Entry::AtRest(bytes) = &entry else { panic!("{name} is at rest") };
            assert!(name == "one" || bytes.len() < 60, "{} bytes", bytes.len());
            assert_eq!(packing.open(&entry), Some(object));
        }
        let object = config_map("three", false);
        assert!(matches!(packing.hold(Arc::clone(&object)), Entry::Active(held) if Arc::ptr_eq(&held, &object)));
    }

    #[test]
    fn what_would_not_come_back_equal_is_held_as_it_is() {
        // A field that its own text does not tell: absent and empty are one in a list that is left out when empty.
        let packing = Packing::of(|_: &ConfigMap| true);
        let mut object = ConfigMap::default();
        object.metadata.managed_fields = Some(vec![]);
        object.metadata.name = Some("odd".into());
        let held = packing.hold(Arc::new(object.clone()));
        assert_eq!(packing.open(&held).as_deref(), Some(&object));
    }
}
