//! The smallest JSON merge patch between two states of an object.

use serde_json::{Map, Value};

/// What turns `old` into `new` as a merge patch; `None` when they are equal. Keys that `new` lacks
/// become `null`; lists are replaced whole, as merge patches do.
pub fn merge_diff(old: &Value, new: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (old, new) else {
        return (old != new).then(|| new.clone());
    };
    let mut patch = Map::new();
    for (key, value) in new {
        match old.get(key) {
            None if value.is_null() => {}
            None => {
                patch.insert(key.clone(), value.clone());
            }
            Some(before) => {
                if let Some(change) = merge_diff(before, value) {
                    patch.insert(key.clone(), change);
                }
            }
        }
    }
    for key in old.keys().filter(|key| !new.contains_key(*key)) {
        patch.insert(key.clone(), Value::Null);
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_what_changed_travels() {
        let old = json!({"a": 1, "b": {"c": 2, "d": 3}, "l": [1]});
        assert_eq!(merge_diff(&old, &old), None);
        let new = json!({"a": 1, "b": {"c": 4}, "l": [1, 2], "n": null});
        assert_eq!(merge_diff(&old, &new), Some(json!({"b": {"c": 4, "d": null}, "l": [1, 2]})));
    }
}
