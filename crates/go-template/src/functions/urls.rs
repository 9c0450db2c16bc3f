//! `urlParse` and `urlJoin`, after `net/url`.

use std::collections::BTreeMap;

use super::Param::{Map as Dict, Text};
use super::{Args, Env, Function, Outcome, fixed};
use crate::error::Fault;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[fixed("urlParse", &[Text], url_parse), fixed("urlJoin", &[Dict], url_join)];

const BAD: &str = "unable to parse url";

/// Where a part of an address stands decides what must be escaped in it.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Path,
    Host,
    Zone,
    User,
    Fragment,
}

/// The parts of an address.
#[derive(Default)]
struct Url {
    scheme: String,
    opaque: String,
    user: Option<(Vec<u8>, Option<Vec<u8>>)>,
    host: Vec<u8>,
    path: Vec<u8>,
    raw_path: String,
    force_query: bool,
    query: String,
    fragment: Vec<u8>,
    raw_fragment: String,
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn should_escape(byte: u8, place: Place) -> bool {
    if byte.is_ascii_alphanumeric() {
        return false;
    }
    if matches!(place, Place::Host | Place::Zone) && b"!$&'()*+,;=:[]<>\"".contains(&byte) {
        return false;
    }
    match byte {
        b'-' | b'_' | b'.' | b'~' => false,
        b'$' | b'&' | b'+' | b',' | b'/' | b':' | b';' | b'=' | b'?' | b'@' => match place {
            Place::Path => byte == b'?',
            Place::User => matches!(byte, b'@' | b'/' | b'?' | b':'),
            Place::Fragment => false,
            Place::Host | Place::Zone => true,
        },
        b'!' | b'(' | b')' | b'*' => place != Place::Fragment,
        _ => true,
    }
}

fn escape(text: &[u8], place: Place) -> String {
    let mut out = String::new();
    for byte in text {
        if should_escape(*byte, place) {
            out.push_str(&format!("%{byte:02X}"));
        } else {
            out.push(char::from(*byte));
        }
    }
    out
}

fn unescape(text: &[u8], place: Place) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        if byte == b'%' {
            let digits = text.get(at + 1).copied().and_then(hex).zip(text.get(at + 2).copied().and_then(hex));
            let Some((high, low)) = digits else { return Err(BAD.into()) };
            let value = high << 4 | low;
            if place == Place::Host && high < 8 && value != b'%' {
                return Err(BAD.into());
            }
            if place == Place::Zone && value != b'%' && value != b' ' && should_escape(value, Place::Host) {
                return Err(BAD.into());
            }
            out.push(value);
            at += 3;
            continue;
        }
        if matches!(place, Place::Host | Place::Zone) && byte < 0x80 && should_escape(byte, place) {
            return Err(BAD.into());
        }
        out.push(byte);
        at += 1;
    }
    Ok(out)
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

fn scheme(text: &str) -> Result<(&str, &str), Fault> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err(BAD.into()),
            ':' => return Ok((text.get(..i).unwrap_or_default(), text.get(i + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok(("", text))
}

impl Url {
    fn parse(text: &str) -> Result<Self, Fault> {
        let (whole, fragment) = split(text, '#');
        let mut url = Self::default();
        if whole.bytes().any(|b| b < 0x20 || b == 0x7f) {
            return Err(BAD.into());
        }
        if whole == "*" {
            url.path = b"*".to_vec();
        } else {
            url.parse_rest(whole)?;
        }
        if let Some(fragment) = fragment.filter(|f| !f.is_empty()) {
            url.fragment = unescape(fragment.as_bytes(), Place::Fragment)?;
            if escape(&url.fragment, Place::Fragment) != fragment {
                fragment.clone_into(&mut url.raw_fragment);
            }
        }
        Ok(url)
    }

    fn parse_rest(&mut self, whole: &str) -> Result<(), Fault> {
        let (scheme, mut rest) = scheme(whole)?;
        self.scheme = scheme.to_ascii_lowercase();
        if rest.ends_with('?') && rest.matches('?').count() == 1 {
            self.force_query = true;
            rest = rest.strip_suffix('?').unwrap_or(rest);
        } else {
            let (before, query) = split(rest, '?');
            query.unwrap_or_default().clone_into(&mut self.query);
            rest = before;
        }
        if !rest.starts_with('/') {
            if !self.scheme.is_empty() {
                rest.clone_into(&mut self.opaque);
                return Ok(());
            }
            if split(rest, '/').0.contains(':') {
                return Err(BAD.into());
            }
        }
        let has_authority = !self.scheme.is_empty() || !rest.starts_with("///");
        if has_authority && let Some(after) = rest.strip_prefix("//") {
            let end = after.find('/').unwrap_or(after.len());
            let (authority, path) = after.split_at(end);
            self.parse_authority(authority)?;
            rest = path;
        }
        self.path = unescape(rest.as_bytes(), Place::Path)?;
        if escape(&self.path, Place::Path) != rest {
            rest.clone_into(&mut self.raw_path);
        }
        Ok(())
    }

    fn parse_authority(&mut self, authority: &str) -> Result<(), Fault> {
        let (user, host) = match authority.rfind('@') {
            Some(at) => (authority.get(..at), authority.get(at + 1..).unwrap_or_default()),
            None => (None, authority),
        };
        self.host = parse_host(host)?;
        let Some(user) = user else { return Ok(()) };
        if !user.chars().all(|c| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c)) {
            return Err(BAD.into());
        }
        let (name, password) = split(user, ':');
        let password = password.map(|p| unescape(p.as_bytes(), Place::User)).transpose()?;
        self.user = Some((unescape(name.as_bytes(), Place::User)?, password));
        Ok(())
    }

    fn userinfo(&self) -> String {
        let Some((name, password)) = &self.user else { return String::new() };
        let mut out = escape(name, Place::User);
        if let Some(password) = password {
            out.push(':');
            out.push_str(&escape(password, Place::User));
        }
        out
    }

    fn hostname(&self) -> Vec<u8> {
        let host = &self.host;
        if let Some(inner) = host.strip_prefix(b"[") {
            return inner.iter().position(|b| *b == b']').and_then(|end| inner.get(..end)).unwrap_or(host).to_vec();
        }
        let colon = host.iter().rposition(|b| *b == b':');
        let port = colon.filter(|at| host.iter().skip(at + 1).all(u8::is_ascii_digit));
        port.and_then(|at| host.get(..at)).unwrap_or(host).to_vec()
    }

    fn escaped_path(&self) -> String {
        if !self.raw_path.is_empty() {
            return self.raw_path.clone();
        }
        if self.path == b"*" { "*".into() } else { escape(&self.path, Place::Path) }
    }

    fn join(&self) -> String {
        let mut out = String::new();
        if !self.scheme.is_empty() {
            out.push_str(&self.scheme);
            out.push(':');
        }
        if self.opaque.is_empty() {
            let authority = !self.host.is_empty() || self.user.is_some();
            if authority || !self.scheme.is_empty() {
                if authority || !self.path.is_empty() {
                    out.push_str("//");
                }
                if self.user.is_some() {
                    out.push_str(&self.userinfo());
                    out.push('@');
                }
                out.push_str(&escape(&self.host, Place::Host));
            }
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with('/') && !self.host.is_empty() {
                out.push('/');
            }
            if out.is_empty() && split(&path, '/').0.contains(':') {
                out.push_str("./");
            }
            out.push_str(&path);
        } else {
            out.push_str(&self.opaque);
        }
        if self.force_query || !self.query.is_empty() {
            out.push('?');
            out.push_str(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push('#');
            out.push_str(&escape(&self.fragment, Place::Fragment));
        }
        out
    }
}

fn parse_host(host: &str) -> Result<Vec<u8>, Fault> {
    let port_is_valid =
        |port: &str| port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    if host.starts_with('[') {
        let Some(end) = host.rfind(']') else { return Err(BAD.into()) };
        if !port_is_valid(host.get(end + 1..).unwrap_or_default()) {
            return Err(BAD.into());
        }
        if let Some(zone) = host.get(..end).and_then(|inner| inner.find("%25")) {
            let (address, rest) = host.split_at(zone);
            let (zone, port) = rest.split_at(rest.rfind(']').unwrap_or(rest.len()));
            let parts = [
                unescape(address.as_bytes(), Place::Host)?,
                unescape(zone.as_bytes(), Place::Zone)?,
                unescape(port.as_bytes(), Place::Host)?,
            ];
            return Ok(parts.concat());
        }
    } else if let Some(at) = host.rfind(':')
        && !port_is_valid(host.get(at..).unwrap_or_default())
    {
        return Err(BAD.into());
    }
    unescape(host.as_bytes(), Place::Host)
}

fn url_parse(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let Ok(text) = std::str::from_utf8(args.text(0)) else { return Fault::new(BAD) };
    let url = Url::parse(text)?;
    let entries: [(&str, Vec<u8>); 8] = [
        ("scheme", url.scheme.clone().into()),
        ("host", url.host.clone()),
        ("hostname", url.hostname()),
        ("path", url.path.clone()),
        ("query", url.query.clone().into()),
        ("opaque", url.opaque.clone().into()),
        ("fragment", url.fragment.clone()),
        ("userinfo", url.userinfo().into()),
    ];
    let entries: BTreeMap<_, _> =
        entries.into_iter().map(|(key, part)| (key.as_bytes().into(), Value::text(part))).collect();
    Ok(Value::map(entries))
}

fn url_join(_: &Env<'_>, args: &Args<'_>) -> Outcome {
    let dict = args.map(0);
    let part = |key: &str| match dict.get(key.as_bytes()) {
        None => Ok(Vec::new()),
        Some(Value::Text(text)) => Ok(text.to_vec()),
        Some(other) => Err(Fault::Message(format!("{key} must be of type string, but {} found", other.kind_name()))),
    };
    let text = |key: &str| part(key).map(|part| String::from_utf8_lossy(&part).into_owned());
    let mut url = Url {
        scheme: text("scheme")?,
        host: part("host")?,
        path: part("path")?,
        query: text("query")?,
        opaque: text("opaque")?,
        fragment: part("fragment")?,
        ..Url::default()
    };
    let userinfo = text("userinfo")?;
    if !userinfo.is_empty() {
        url.user = Url::parse(&format!("proto://{userinfo}@host"))?.user;
    }
    Ok(Value::text(url.join()))
}
