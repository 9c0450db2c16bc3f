//! Replies in XML: a walk that calls back with each element that has no children, and each end.
//!
//! Enters: a whole document. Leaves: calls; a document that is cut or malformed is an error, so
//! that a truncated reply is asked for again and never taken for a short one.

use std::io;

use quick_xml::Reader;
use quick_xml::events::Event;

/// What the walk meets, with the names of the elements from the root down.
pub enum Met<'a> {
    /// Text of an element, entities resolved.
    Text(&'a str),
    /// The end of an element.
    End,
}

/// Walks a document.
pub fn walk(text: &str, mut visit: impl FnMut(&[String], Met<'_>)) -> io::Result<()> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, format!("malformed XML: {why}"));
    let mut reader = Reader::from_str(text);
    let mut path: Vec<String> = Vec::new();
    let mut content = String::new();
    let mut closed = false;
    loop {
        match reader.read_event().map_err(|error| wrong(error.to_string()))? {
            Event::Start(start) => {
                path.push(local(start.name().as_ref()));
                content.clear();
            }
            Event::Empty(empty) => {
                path.push(local(empty.name().as_ref()));
                visit(&path, Met::Text(""));
                visit(&path, Met::End);
                path.pop();
                closed |= path.is_empty();
            }
            Event::Text(text) => content.push_str(&text.xml10_content()),
            Event::CData(text) => content.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => {
                let letter = match &*reference.xml10_content() {
                    "lt" => Some('<'),
                    "gt" => Some('>'),
                    "amp" => Some('&'),
                    "apos" => Some('\''),
                    "quot" => Some('"'),
                    _ => reference.resolve_char_ref().map_err(|error| wrong(error.to_string()))?,
                };
                content.push(letter.ok_or_else(|| wrong("unknown entity".to_owned()))?);
            }
            Event::End(_) => {
                visit(&path, Met::Text(&content));
                visit(&path, Met::End);
                content.clear();
                path.pop();
                closed |= path.is_empty();
            }
            Event::Eof if path.is_empty() && closed => return Ok(()),
            Event::Eof => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the reply is cut short")),
            _ => {}
        }
    }
}

/// A name without its prefix.
fn local(name: impl AsRef<str>) -> String {
    let name = name.as_ref();
    name.rsplit_once(':').map_or(name, |(_, local)| local).to_owned()
}

/// The text of an element that occurs once.
pub fn value(text: &str, name: &str) -> Option<String> {
    let mut found = None;
    walk(text, |path, met| {
        if let Met::Text(text) = met
            && path.last().is_some_and(|last| last == name)
            && found.is_none()
        {
            found = Some(text.to_owned());
        }
    })
    .ok()?;
    found
}

/// Text as the content of an element.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('\r', "&#13;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_found_and_cuts_are_noticed() {
        let text = "<?xml version=\"1.0\"?>\n<R xmlns=\"x\"><A>1 &lt;&amp;&#x20;2</A><B/><C><A>no</A></C></R>";
        assert_eq!(value(text, "A").as_deref(), Some("1 <& 2"));
        assert_eq!(value(text, "B").as_deref(), Some(""));
        let whole = text.len();
        for cut in 0..whole {
            assert!(walk(&text[..cut], |_, _| {}).is_err(), "cut at {cut}");
        }
    }
}
