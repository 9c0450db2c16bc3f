//! Go's `text/template` with sprig's functions, for the templates users of KubeBlocks and Cozystack have.
//!
//! Enters the text of a template, a [`Data`] and a [`Flavour`]; leaves the bytes Go would write, or
//! an [`Error`] where Go errs. Nothing is read from the machine: the clock is an argument, the
//! environment is empty, randomness comes from [`World`].
//!
//! ```
//! use go_template::{Data, Flavour, World, render};
//!
//! let context = Data::Struct(vec![("Parameters".into(), Data::texts([("bucket", "b")]))]);
//! let world = World::at(jiff::Timestamp::UNIX_EPOCH);
//! let text = "root = {{ index .Parameters \"bucket\" }}/{{ index .Parameters \"absent\" }}";
//! let rendered = render("conf", text, &context, Flavour::Sprig, &world)?;
//! assert_eq!(rendered.into_text()?, "root = b/");
//! # Ok::<(), go_template::Error>(())
//! ```
//!
//! # What differs from Go
//! - Certificate and cipher functions (`genCA`, `encryptAES`, `htpasswd`, …) are an error.
//! - `env`, `expandenv` and `getHostByName` give the empty text; [`Rendered::lookups`] counts them.
//! - `Local` is UTC.
//! - `keys` and `values` are sorted by key where Go's order is random.
//! - `sortAlpha` does not sort the list it is given in place.
//! - Complex numbers, and the verbs `%b %x %X` of floats and `%p`, are an error.
//! - `.` methods exist only of times and versions, and only those without surprises.
//! - A dictionary that would contain itself is an error (Go overflows its stack when it prints one).
//! - Patterns: see `regexes.rs`; JSON with lone surrogates is refused.
//! - [`Limits`].
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "numbers are converted as Go converts them"
)]
#![allow(clippy::unnecessary_wraps, reason = "functions of templates share one type")]
#![allow(clippy::format_push_string, reason = "short texts; what is lost is a copy of a few bytes")]
#![allow(clippy::float_cmp, reason = "Go's equality of floats is exact")]

mod ast;
mod budget;
mod compare;
mod data;
mod duration;
mod error;
mod escape;
mod exec;
mod fields;
mod functions;
mod layout;
mod lex;
mod literal;
mod moment;
mod numbers;
mod parse;
mod print;
mod printf;
mod quote;
mod runes;
mod value;
mod version;

use std::cell::Cell;

use jiff::Timestamp;

pub use budget::Limits;
pub use data::Data;
pub use error::Error;

use budget::Budget;
use exec::Execution;
use functions::Env;

/// Which functions a template has, and what an absent key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavour {
    /// StorageProviders: sprig, an absent key is no value.
    Sprig,
    /// Component configs: sprig, an absent key is an error.
    SprigStrict,
    /// Cozystack's strategies: slim-sprig, an absent key is no value. On an error the caller leaves
    /// the text as it was.
    SlimSprig,
}

/// What `.name` gives when a map lacks the key (`missingkey=`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKey {
    /// No value, printed as `<no value>`.
    Default,
    /// The zero value of the map's members.
    Zero,
    /// An error.
    Error,
}

impl Flavour {
    /// The flavour's own choice.
    pub fn missing_key(self) -> MissingKey {
        match self {
            Self::SprigStrict => MissingKey::Error,
            Self::Sprig | Self::SlimSprig => MissingKey::Default,
        }
    }
}

/// A source of random bytes.
pub trait Random {
    /// Fills `bytes`; false when there is no randomness, which fails the template.
    fn fill(&self, bytes: &mut [u8]) -> bool;
}

/// The operating system's.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> bool {
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), bytes).is_ok()
    }
}

/// What a template may know besides its context.
#[derive(Clone, Copy)]
pub struct World<'a> {
    /// What `now` gives.
    pub now: Timestamp,
    /// Where random functions draw from.
    pub random: &'a dyn Random,
    /// What it may use.
    pub limits: Limits,
    /// Instead of the flavour's own.
    pub missing_key: Option<MissingKey>,
}

impl World<'static> {
    /// System randomness, default limits, the flavour's missing-key mode.
    pub fn at(now: Timestamp) -> Self {
        Self { now, random: &SystemRandom, limits: Limits::DEFAULT, missing_key: None }
    }
}

/// A rendered template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Name of the template.
    pub name: String,
    /// The result, byte for byte Go's.
    pub bytes: Vec<u8>,
    /// Calls of `env`, `expandenv` and `getHostByName`, all answered with the empty text.
    pub lookups: u64,
}

impl Rendered {
    /// The result as text.
    ///
    /// # Errors
    /// [`Error::NotText`]: functions such as `trunc` count bytes and can cut a character apart.
    pub fn into_text(self) -> Result<String, Error> {
        let name = self.name;
        String::from_utf8(self.bytes).map_err(|_| Error::NotText { name })
    }
}

/// Renders `text` with `context` as its dot.
///
/// # Errors
/// [`Error::Parse`] when the text is no template, [`Error::Execute`] when an action fails,
/// [`Error::Limit`] when it needs more than [`World::limits`].
pub fn render(name: &str, text: &str, context: &Data, flavour: Flavour, world: &World<'_>) -> Result<Rendered, Error> {
    let limit = world.limits.source;
    if text.len() > limit {
        let limit = format!("more than {limit} bytes of template");
        return Err(Error::Limit { name: name.into(), line: 1, action: String::new(), limit });
    }
    let known = |function: &str| flavour.function(function).is_some();
    let templates = parse::parse(name, text, &known).map_err(|wrong| Error::Parse {
        name: name.into(),
        line: wrong.line,
        message: wrong.message,
    })?;
    let env = Env {
        budget: Budget::new(world.limits),
        now: world.now,
        random: world.random,
        lookups: Cell::new(0),
        slim: flavour == Flavour::SlimSprig,
    };
    let missing = world.missing_key.unwrap_or(flavour.missing_key());
    let bytes = Execution::new(text, name, &templates, flavour, missing, &env).run(&context.value())?;
    Ok(Rendered { name: name.into(), bytes, lookups: env.lookups.get() })
}
