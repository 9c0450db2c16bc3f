//! The only place that reads the clock; planners get `now` as an argument.

use jiff::Timestamp;

/// Now, cut to whole seconds, as Kubernetes stores instants.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}
