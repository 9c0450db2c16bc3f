//! What the pushes of one action stored, for the action's manifest.
//!
//! Enters: the object of a push that is committed. Leaves: one line of JSON in the file that
//! `DATASAFED_MOVER_JOURNAL` names, and the last of each object when it is read back.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use mover_protocol::{Content, MANIFEST_OBJECTS, Pushed};

use crate::error::{plain, say};
use crate::progress;
use crate::tuning::tuning;

/// Tells the journal, where there is one. An object that it misses is in the manifest without its checksum.
pub fn tell(key: &Path) {
    let (Some(file), Some(crc)) = (&tuning().journal, progress::moved_crc64()) else { return };
    let content = Content { bytes: progress::transfer().bytes, crc64: format!("{crc:016x}") };
    let pushed = Pushed { path: key.to_string_lossy().into_owned(), content };
    let line = serde_json::to_string(&pushed).unwrap_or_default() + "\n";
    // Appended in one call: pushes of one action run side by side.
    let told =
        File::options().append(true).create(true).open(file).and_then(|mut file| file.write_all(line.as_bytes()));
    if let Err(error) = told {
        say!("Warning: {}: {}", file.display(), plain(&error));
    }
}

/// The last that was pushed under each path below `base`.
pub fn read(file: &Path, base: &Path) -> HashMap<String, Content> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return HashMap::new(),
        Err(error) => {
            say!("Warning: {}: {}", file.display(), plain(&error));
            return HashMap::new();
        }
    };
    let mut last = HashMap::new();
    for pushed in text.lines().filter_map(|line| serde_json::from_str::<Pushed>(line).ok()) {
        let Ok(below) = Path::new(&pushed.path).strip_prefix(base) else { continue };
        let below = below.to_string_lossy().into_owned();
        if last.len() < MANIFEST_OBJECTS || last.contains_key(&below) {
            last.insert(below, pushed.content);
        }
    }
    last
}
