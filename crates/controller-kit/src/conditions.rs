//! Conditions of type `metav1.Condition`.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// The three values of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It holds.
    True,
    /// It does not, and will not by itself.
    False,
    /// Not known yet.
    Unknown,
}

impl Status {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Puts one condition into `list`. The transition time moves only when the status changes, a new
/// message under the same reason is kept (behaviour-restore §17.73).
pub fn set(
    list: &mut Vec<Condition>,
    type_: &str,
    status: Status,
    reason: &str,
    message: impl Into<String>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let mut wanted = Condition {
        type_: type_.into(),
        status: status.as_str().into(),
        reason: reason.into(),
        message: message.into(),
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    match list.iter_mut().find(|c| c.type_ == type_) {
        None => list.push(wanted),
        Some(old) => {
            if old.status == wanted.status {
                wanted.last_transition_time = old.last_transition_time.clone();
            }
            *old = wanted;
        }
    }
}

/// The condition of that type.
pub fn get<'a>(list: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    list.iter().find(|c| c.type_ == type_)
}

/// Whether the condition of that type is there and True.
pub fn is_true(list: &[Condition], type_: &str) -> bool {
    get(list, type_).is_some_and(|c| c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transition_time_moves_with_the_status_only() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let mut list = vec![];
        set(&mut list, "Ready", Status::Unknown, "A", "one", None, at(1));
        set(&mut list, "Ready", Status::Unknown, "A", "two", None, at(2));
        assert_eq!((list[0].message.as_str(), list[0].last_transition_time.0), ("two", at(1)));
        set(&mut list, "Ready", Status::True, "B", "", None, at(3));
        assert_eq!(list[0].last_transition_time.0, at(3));
        assert!(is_true(&list, "Ready"));
    }
}
