//! The one place of the kit that reads the clock.

use jiff::Timestamp;

/// The time for statuses, in whole seconds as Kubernetes keeps it.
#[allow(clippy::disallowed_methods, reason = "the fakes stand for a kubelet and a provisioner, which read theirs")]
pub fn now() -> Timestamp {
    Timestamp::from_second(Timestamp::now().as_second()).expect("whole seconds of a time are a time")
}
