//! What an action says about itself: the JSON file that scripts of addons write.
//!
//! Enters: the bytes of `DP_BACKUP_INFO_FILE`, a fragment of `Backup.status`. Leaves: an
//! [`ActionInfo`] with the three fields that may pass (behaviour-backup D5), and what was dropped
//! and why. One bad field does not lose the others, nor the backup.

use std::collections::BTreeMap;

use jiff::Timestamp;
use mover_protocol::{ActionInfo, TimeRange};
use serde_json::{Map, Value};

/// What could be read, with remarks about the rest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reported {
    /// The allowed fields.
    pub info: ActionInfo,
    /// One remark per allowed field that was dropped or malformed.
    pub remarks: Vec<String>,
}

/// Reads an info file; the error says why nothing of it could be used.
pub fn parse(content: &[u8]) -> Result<Reported, String> {
    let fields: Map<String, Value> =
        serde_json::from_slice(content).map_err(|error| format!("is not a JSON object: {error}"))?;
    let mut reported = Reported::default();
    let Reported { info, remarks } = &mut reported;
    match fields.get("totalSize") {
        None | Some(Value::Null) => {}
        Some(size) => match text(size) {
            Some(size) => info.total_size = Some(size),
            None => remarks.push("totalSize is no text".to_owned()),
        },
    }
    match fields.get("timeRange") {
        None | Some(Value::Null) => {}
        Some(Value::Object(range)) => {
            let range = TimeRange {
                start: instant(range, "start", remarks),
                end: instant(range, "end", remarks),
                time_zone: range.get("timeZone").and_then(text),
            };
            info.time_range = Some(range).filter(|range| *range != TimeRange::default());
        }
        Some(_) => remarks.push("timeRange is no object".to_owned()),
    }
    match fields.get("extras") {
        None | Some(Value::Null) => {}
        Some(Value::Array(maps)) => {
            for map in maps {
                match map {
                    Value::Object(map) => info.extras.push(flat(map, remarks)),
                    _ => remarks.push("an item of extras is no object".to_owned()),
                }
            }
        }
        Some(_) => remarks.push("extras is no array".to_owned()),
    }
    Ok(reported)
}

/// Text, or a number or boolean as text; scripts forget the quotes.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

/// An instant the API server will take; one it refuses would take the other fields with it.
fn instant(range: &Map<String, Value>, key: &str, remarks: &mut Vec<String>) -> Option<String> {
    let value = range.get(key).filter(|value| !value.is_null())?;
    let instant = value.as_str().filter(|text| text.parse::<Timestamp>().is_ok());
    if instant.is_none() {
        remarks.push(format!("timeRange.{key} is no RFC 3339 time"));
    }
    instant.map(str::to_owned)
}

fn flat(map: &Map<String, Value>, remarks: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut flat = BTreeMap::new();
    for (key, value) in map {
        match text(value) {
            Some(value) => {
                flat.insert(key.clone(), value);
            }
            None if value.is_null() => {}
            None => remarks.push(format!("extras item {key:?} is no text")),
        }
    }
    flat
}

/// Whether there is anything to report.
pub fn is_empty(info: &ActionInfo) -> bool {
    *info == ActionInfo::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bd5_only_the_allowed_fields_pass() {
        let reported = parse(
            br#"{"totalSize":"7","phase":"Completed","path":"/x","extras":[{"a":"b"}],
                "timeRange":{"start":"2024-01-01T00:00:00Z","end":null,"timeZone":"+08:00"}}"#,
        )
        .unwrap();
        assert!(reported.remarks.is_empty());
        assert_eq!(
            serde_json::to_value(&reported.info).unwrap(),
            serde_json::json!({"totalSize":"7","extras":[{"a":"b"}],
                "timeRange":{"start":"2024-01-01T00:00:00Z","timeZone":"+08:00"}})
        );
    }

    #[test]
    fn one_bad_field_does_not_lose_the_others() {
        let reported =
            parse(br#"{"totalSize":7,"extras":[{"a":1,"b":{}},3],"timeRange":{"start":"yesterday"}}"#).unwrap();
        assert_eq!(reported.info.total_size.as_deref(), Some("7"));
        assert_eq!(reported.info.time_range, None);
        assert_eq!(reported.info.extras, [BTreeMap::from([("a".into(), "1".into())])]);
        assert_eq!(reported.remarks.len(), 3);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for bad in ["", "[]", "{", "7"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(is_empty(&parse(b"{}").unwrap().info));
    }
}
