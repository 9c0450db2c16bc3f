//! A directory of an FTP server, plain or over TLS.
//!
//! Enters: `[storage]` with `type = ftp`. Leaves: a [`Tree`]. One control connection per process,
//! made when it is first needed. The general store libraries upload to the final name, where a
//! cut connection leaves a truncated object; here a rename makes it visible.

use std::io;
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mover_protocol::Reason;
use suppaftp::list::{File, ListParser};
use suppaftp::types::FileType;
use suppaftp::{FtpError, FtpResult, Mode, RustlsConnector, RustlsFtpStream};

use super::settings::{Section, text_of};
use super::tree::{Sink, Tree};
use crate::error::{Class, Error, Result, plain, say};
use crate::ini::Ini;
use crate::store::s3::throttle::Throttled;
use crate::store::s3::tls;
use crate::store::{Entry, Object, buffered};

mod transfer;

use transfer::{Body, FtpSink};

const CONNECT: Duration = Duration::from_secs(20);
/// A connection on which nothing moves for so long is dead.
const IDLE: Duration = Duration::from_secs(120);
/// For a signal, which must not take long.
const HURRY: Duration = Duration::from_millis(900);

/// How the control connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    /// From the first byte.
    Implicit,
    /// Asked for with AUTH TLS.
    Explicit,
}

/// A directory of an FTP server.
pub struct Ftp {
    host: String,
    port: u16,
    user: String,
    password: String,
    root: String,
    security: Security,
    session: Mutex<Option<RustlsFtpStream>>,
    /// The connection that carries an upload, for a signal to cut.
    uploading: Arc<Mutex<Option<TcpStream>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ftp {
    /// Reads the section; connects to nothing yet.
    pub fn open(ini: &Ini) -> Result<Self> {
        let section = Section(ini);
        let security = match (section.flag("tls"), section.flag("explicit_tls")) {
            (true, true) => return Err(Error::Config("tls and explicit_tls exclude each other".to_owned())),
            (true, false) => Security::Implicit,
            (false, true) => Security::Explicit,
            (false, false) => Security::None,
        };
        if security != Security::None && section.flag("no_check_certificate") {
            return Err(Error::Config(
                "no_check_certificate is not served for type ftp: put the authority's certificate into SSL_CERT_FILE"
                    .to_owned(),
            ));
        }
        let standard = if security == Security::Implicit { 990 } else { 21 };
        let port = match section.get("port") {
            None => standard,
            Some(text) => text.parse().map_err(|_| Error::Config(format!("port = {text:?} is not a port")))?,
        };
        Ok(Self {
            host: section.need("host")?.to_owned(),
            port,
            user: section.get("user").unwrap_or("anonymous").to_owned(),
            password: section.secret("pass")?.unwrap_or_default(),
            root: section.get("root").unwrap_or_default().trim_end_matches('/').to_owned(),
            security,
            session: Mutex::default(),
            uploading: Arc::default(),
        })
    }

    /// The path as the server knows it.
    fn path(&self, key: &Path) -> Result<String> {
        let key = text_of(key)?;
        // A line break would begin another command.
        if key.contains(['\r', '\n']) {
            return Err(Error::InvalidPath { path: key.to_owned(), why: "FTP has no names with line breaks" });
        }
        Ok(match (self.root.is_empty(), key.is_empty()) {
            (true, true) => ".".to_owned(),
            (true, false) => key.to_owned(),
            (false, true) => format!("{}/", self.root),
            (false, false) => format!("{}/{key}", self.root),
        })
    }

    fn what(&self, doing: &str, key: &Path) -> String {
        format!("{doing} ftp://{}:{}/{}", self.host, self.port, key.display())
    }

    fn connect(&self, idle: Duration) -> FtpResult<RustlsFtpStream> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        let mut found = None;
        for address in (self.host.as_str(), self.port).to_socket_addrs().map_err(FtpError::ConnectionError)? {
            match TcpStream::connect_timeout(&address, CONNECT.min(idle)) {
                Ok(stream) => {
                    found = Some((stream, address));
                    break;
                }
                Err(error) => last = error,
            }
        }
        let Some((stream, address)) = found else { return Err(FtpError::ConnectionError(last)) };
        let timeouts = move |stream: &TcpStream| {
            stream.set_read_timeout(Some(idle))?;
            stream.set_write_timeout(Some(idle))
        };
        timeouts(&stream).map_err(FtpError::ConnectionError)?;
        let connector = || RustlsConnector::from(tls::client_config());
        let mut session = match self.security {
            Security::None => RustlsFtpStream::connect_with_stream(stream)?,
            Security::Explicit => RustlsFtpStream::connect_with_stream(stream)?.into_secure(connector(), &self.host)?,
            Security::Implicit => {
                drop(stream);
                let session = RustlsFtpStream::connect_secure_implicit(address, connector(), &self.host)?;
                timeouts(&session.get_ref()).map_err(FtpError::ConnectionError)?;
                session
            }
        }
        .passive_stream_builder(move |address| {
            let stream = TcpStream::connect_timeout(&address, CONNECT.min(idle)).map_err(FtpError::ConnectionError)?;
            timeouts(&stream).map_err(FtpError::ConnectionError)?;
            Ok(stream)
        });
        if address.is_ipv6() {
            session.set_mode(Mode::ExtendedPassive);
        }
        // Servers behind address translation announce an address that only they can reach.
        session.set_passive_nat_workaround(true);
        session.login(self.user.as_str(), self.password.as_str())?;
        if self.security == Security::Implicit {
            // Data connections are not protected by themselves.
            session.custom_command("PBSZ 0", &[suppaftp::Status::CommandOk])?;
            session.custom_command("PROT P", &[suppaftp::Status::CommandOk])?;
        }
        session.transfer_type(FileType::Binary)?;
        Ok(session)
    }

    /// Does something in the session; a session that the server has closed meanwhile is made anew.
    fn within<T>(&self, mut run: impl FnMut(&mut RustlsFtpStream) -> FtpResult<T>) -> FtpResult<T> {
        let mut held = lock(&self.session);
        let used = held.is_some();
        let mut session = match held.take() {
            Some(session) => session,
            None => self.connect(IDLE)?,
        };
        let mut outcome = run(&mut session);
        if used && broken(&outcome) {
            session = self.connect(IDLE)?;
            outcome = run(&mut session);
        }
        if !broken(&outcome) {
            *held = Some(session);
        }
        outcome
    }

    fn failed(&self, doing: &str, key: &Path) -> impl FnOnce(FtpError) -> Error {
        let what = self.what(doing, key);
        move |error| explain(what, error)
    }
}

fn broken<T>(outcome: &FtpResult<T>) -> bool {
    match outcome {
        Err(FtpError::ConnectionError(_)) => true,
        Err(error) => status(error) == 421,
        Ok(_) => false,
    }
}

fn status(error: &FtpError) -> u32 {
    if let FtpError::UnexpectedResponse(response) = error { response.status.code() } else { 0 }
}

/// The server refuses because the thing is not there, or for a reason it does not tell apart.
fn refused(error: &FtpError) -> bool {
    matches!(status(error), 550 | 450)
}

/// The server does not know the command.
fn unknown(error: &FtpError) -> bool {
    matches!(status(error), 500 | 501 | 502 | 504)
}

fn explain(what: String, error: FtpError) -> Error {
    let (why, reason, class) = match error {
        FtpError::ConnectionError(error) => (plain(&error), Reason::Network, Class::Transient),
        FtpError::SecureError(why) => (why, Reason::Tls, Class::Terminal),
        other => {
            let (reason, class) = match status(&other) {
                430 | 530 | 532 => (Reason::AuthFailed, Class::Terminal),
                452 | 552 => (Reason::NoSpace, Class::Transient),
                400..=499 => (Reason::Network, Class::Transient),
                _ => (Reason::Internal, Class::Terminal),
            };
            (crate::error::one_line(&other.to_string()), reason, class)
        }
    };
    Error::Remote { what, why, reason, class }
}

/// An entry of a listing; `None` for the directory itself and its parent.
fn entry(line: &str, machine: bool) -> Option<Entry> {
    let line = line.trim_end_matches(['\r', '\n']);
    let facts = line.split(' ').next().unwrap_or_default().to_ascii_lowercase();
    if machine && (facts.contains("type=cdir") || facts.contains("type=pdir")) {
        return None;
    }
    let file = if machine {
        ListParser::parse_mlsd(line).ok()?
    } else {
        ListParser::parse_posix(line).or_else(|_| ListParser::parse_dos(line)).ok()?
    };
    from(&file).filter(|entry| entry.name != "." && entry.name != ".." && !entry.name.is_empty())
}

fn from(file: &File) -> Option<Entry> {
    let name = file.name().rsplit('/').next()?;
    let is_dir = file.is_directory();
    Some(Entry {
        name: name.into(),
        size: if is_dir { 0 } else { file.size() as u64 },
        modified: file.modified(),
        is_dir,
    })
}

impl Tree for Ftp {
    fn describe(&self) -> String {
        format!("FTP store ftp://{}:{}/{}", self.host, self.port, self.root.trim_start_matches('/'))
    }

    fn entries(&self, dir: &Path) -> Result<Option<Vec<Entry>>> {
        let path = self.path(dir)?;
        let failed = self.failed("list", dir);
        match self.within(|session| session.mlsd(Some(&path))) {
            Ok(lines) => return Ok(Some(lines.iter().filter_map(|line| entry(line, true)).collect())),
            Err(error) if refused(&error) => return Ok(None),
            Err(error) if unknown(&error) => {}
            Err(error) => return Err(failed(error)),
        }
        match self.within(|session| session.list(Some(&path))) {
            Ok(lines) => Ok(Some(lines.iter().filter_map(|line| entry(line, false)).collect())),
            Err(error) if refused(&error) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn stat(&self, key: &Path) -> Result<Option<Entry>> {
        let Some(name) = key.file_name() else {
            return Ok(Some(Entry { name: "".into(), size: 0, modified: SystemTime::UNIX_EPOCH, is_dir: true }));
        };
        let path = self.path(key)?;
        match self.within(|session| session.mlst(Some(&path))) {
            Ok(line) => {
                let file = ListParser::parse_mlst(&line).ok();
                return Ok(file.and_then(|file| from(&file)).map(|entry| Entry { name: name.to_owned(), ..entry }));
            }
            Err(error) if refused(&error) => return Ok(None),
            Err(error) if unknown(&error) || matches!(error, FtpError::BadResponse) => {}
            Err(error) => return Err(self.failed("stat", key)(error)),
        }
        let parent = key.parent().unwrap_or(Path::new(""));
        Ok(self.entries(parent)?.unwrap_or_default().into_iter().find(|entry| entry.name == name))
    }

    fn read(&self, key: &Path) -> Result<Object> {
        let path = self.path(key)?;
        let size = self.within(|session| session.size(&path)).ok().map(|size| size as u64);
        let stream = match self.within(|session| session.retr_as_stream(&path)) {
            Ok(stream) => stream,
            Err(error) if refused(&error) => return Err(Error::NotFound),
            Err(error) => return Err(self.failed("read", key)(error)),
        };
        let body = Body { stream: Some(Throttled::new(stream)), size, at: 0, what: self.what("read", key) };
        Ok(Object { body: buffered(body), size, tag: None })
    }

    fn write(&self, key: &Path) -> Result<Box<dyn Sink>> {
        let path = self.path(key)?;
        let stream = self.within(|session| session.put_with_stream(&path)).map_err(self.failed("write", key))?;
        *lock(&self.uploading) = stream.get_ref().get_ref().try_clone().ok();
        let cut = Arc::clone(&self.uploading);
        Ok(Box::new(FtpSink { stream: Some(stream), cut, what: self.what("write", key) }))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let (old, new) = (self.path(from)?, self.path(to)?);
        let error = match self.within(|session| session.rename(&old, &new)) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        // The reply may have been lost.
        if self.stat(from)?.is_none() && self.stat(to)?.is_some() {
            return Ok(());
        }
        if self.stat(to)?.is_none_or(|entry| entry.is_dir) {
            return Err(self.failed("rename to", to)(error));
        }
        // A server that does not replace: for a moment there is neither, and the new one is whole.
        say!("Warning: this server does not replace files; {:?} is removed first", to.display().to_string());
        self.remove_file(to)?;
        self.within(|session| session.rename(&old, &new)).map_err(self.failed("rename to", to))
    }

    fn remove_file(&self, key: &Path) -> Result<()> {
        let path = self.path(key)?;
        match self.within(|session| session.rm(&path)) {
            Ok(()) => Ok(()),
            Err(error) if refused(&error) && self.stat(key)?.is_none() => Ok(()),
            Err(error) => Err(self.failed("remove", key)(error)),
        }
    }

    fn remove_empty(&self, key: &Path) -> Result<()> {
        let path = self.path(key)?;
        self.within(|session| session.rmdir(&path)).map_err(self.failed("remove", key))
    }

    fn make_one(&self, key: &Path) -> Result<()> {
        let path = self.path(key)?;
        match self.within(|session| session.mkdir(&path)) {
            Ok(()) => Ok(()),
            Err(error) => match self.stat(key)? {
                Some(entry) if entry.is_dir => Ok(()),
                _ => Err(self.failed("mkdir", key)(error)),
            },
        }
    }

    fn discard(&self, key: &Path) {
        if let Some(stream) = lock(&self.uploading).take() {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // The session may be waiting for a reply in another thread.
        if let (Ok(path), Ok(mut session)) = (self.path(key), self.connect(HURRY)) {
            let _ = session.rm(path);
        }
    }
}
