//! Paths with slashes; the operators run on Linux, so the `os` functions are the same.

use super::Param::Text;
use super::strings::text;
use super::{Function, fixed};
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("base", &[Text], |_, a| text(base(a.text(0)))),
    fixed("osBase", &[Text], |_, a| text(base(a.text(0)))),
    fixed("dir", &[Text], |_, a| text(dir(a.text(0)))),
    fixed("osDir", &[Text], |_, a| text(dir(a.text(0)))),
    fixed("clean", &[Text], |_, a| text(clean(a.text(0)))),
    fixed("osClean", &[Text], |_, a| text(clean(a.text(0)))),
    fixed("ext", &[Text], |_, a| text(ext(a.text(0)))),
    fixed("osExt", &[Text], |_, a| text(ext(a.text(0)))),
    fixed("isAbs", &[Text], |_, a| Ok(Value::Bool(a.text(0).starts_with(b"/")))),
    fixed("osIsAbs", &[Text], |_, a| Ok(Value::Bool(a.text(0).starts_with(b"/")))),
];

fn base(path: &[u8]) -> &[u8] {
    if path.is_empty() {
        return b".";
    }
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let last = path.get(..end).unwrap_or_default().rsplit(|b| *b == b'/').next().unwrap_or_default();
    if last.is_empty() { b"/" } else { last }
}

fn dir(path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    clean(path.get(..end).unwrap_or_default())
}

fn ext(path: &[u8]) -> &[u8] {
    let last = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    last.iter().rposition(|b| *b == b'.').and_then(|at| last.get(at..)).unwrap_or_default()
}

fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut kept: Vec<&[u8]> = Vec::new();
    for part in path.split(|b| *b == b'/') {
        match part {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            b".." if rooted => {}
            part => kept.push(part),
        }
    }
    let joined = kept.join(&b'/');
    match (rooted, joined.is_empty()) {
        (true, _) => [b"/", joined.as_slice()].concat(),
        (false, true) => b".".to_vec(),
        (false, false) => joined,
    }
}
