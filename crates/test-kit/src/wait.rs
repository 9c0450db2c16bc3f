//! Waiting in tests: until something holds, or that it never does. Each failure says what was last seen.

use std::fmt::Debug;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

const POLL: Duration = Duration::from_millis(25);

/// Asks `check` every 25 ms until it gives `Ok`, and gives that. Panics after `deadline` with `what` and the last
/// reason. A check that is running when the deadline passes is abandoned.
///
/// ```no_run
/// # async fn example(pods: kube::Api<k8s_openapi::api::core::v1::Pod>) {
/// use std::time::Duration;
/// let pod = test_kit::wait::eventually(Duration::from_secs(5), "a pod", async || {
///     pods.get("a").await.map_err(|e| e.to_string())
/// })
/// .await;
/// # }
/// ```
pub async fn eventually<T>(deadline: Duration, what: &str, mut check: impl AsyncFnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + deadline;
    let mut last = "the first check did not end".to_owned();
    loop {
        match tokio::time::timeout_at(end.into(), check()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(reason)) => last = reason,
            Err(elapsed) => {
                panic!("not within {deadline:?}: {what}\nlast: {last} (and a check was still running: {elapsed})")
            }
        }
        assert!(Instant::now() < end, "not within {deadline:?}: {what}\nlast: {last}");
        tokio::time::sleep(POLL).await;
    }
}

/// Asks `check` every 25 ms for the whole of `duration`; panics as soon as it gives a reason. For proving that
/// something does not happen.
pub async fn stays(duration: Duration, what: &str, mut check: impl AsyncFnMut() -> Result<(), String>) {
    let start = Instant::now();
    while start.elapsed() < duration {
        if let Err(reason) = check().await {
            panic!("did not stay so for {duration:?} (after {:?}): {what}\n{reason}", start.elapsed());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Watches one object until `predicate` holds and gives it; it need not exist yet. Panics after `deadline` with the
/// object as last seen. Reacts to every change: nothing that holds for a moment is missed by polling.
pub async fn watch_until<K>(api: &Api<K>, name: &str, deadline: Duration, predicate: impl Fn(&K) -> bool) -> K
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let mut last = None;
    let found = watch_states(api, name, deadline, |object| match object {
        Some(object) if predicate(object) => true,
        seen => {
            last = seen.cloned();
            false
        }
    })
    .await;
    match found {
        Some(Some(object)) => object,
        _ => panic!("not within {deadline:?}: {name} as wanted\nlast seen: {}", shown(last.as_ref())),
    }
}

/// Watches one object until it does not exist. Panics after `deadline` with the object as last seen.
pub async fn watch_until_gone<K>(api: &Api<K>, name: &str, deadline: Duration)
where
    K: Resource + Clone + DeserializeOwned + Serialize + Debug + Send + 'static,
{
    let mut last = None;
    let gone = watch_states(api, name, deadline, |object| {
        last = object.cloned();
        object.is_none()
    })
    .await;
    assert!(gone.is_some(), "not within {deadline:?}: {name} gone\nlast seen: {}", shown(last.as_ref()));
}

/// Feeds each state to `enough`; gives the one it took, `None` at the deadline.
async fn watch_states<K>(
    api: &Api<K>,
    name: &str,
    deadline: Duration,
    mut enough: impl FnMut(Option<&K>) -> bool,
) -> Option<Option<K>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let end = Instant::now() + deadline;
    let mut states = Box::pin(watch_object(api.clone(), name));
    loop {
        match tokio::time::timeout_at(end.into(), states.next()).await {
            Ok(Some(Ok(state))) if enough(state.as_ref()) => return Some(state),
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_))) => tokio::time::sleep(POLL).await,
            Ok(None) | Err(_) => return None,
        }
    }
}

fn shown<K: Serialize>(object: Option<&K>) -> String {
    object.map_or_else(
        || "nothing".to_owned(),
        |object| {
            let mut value = serde_json::to_value(object).unwrap_or_default();
            if let Some(metadata) = value.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
                metadata.remove("managedFields");
            }
            serde_json::to_string_pretty(&value).unwrap_or_default()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(panic: Box<dyn std::any::Any + Send>) -> String {
        *panic.downcast::<String>().unwrap()
    }

    #[tokio::test]
    async fn eventually_gives_the_value_or_the_last_reason() {
        let mut left = 3;
        let value = eventually(Duration::from_secs(1), "three checks", async || {
            left -= 1;
            if left == 0 { Ok(7) } else { Err(format!("{left} left")) }
        });
        assert_eq!(value.await, 7);
        let never = async || {
            eventually::<()>(Duration::ZERO, "a thing", async || Err("no reason".to_owned())).await;
        };
        let panic = tokio::spawn(never()).await.unwrap_err().into_panic();
        assert_eq!(message(panic), "not within 0ns: a thing\nlast: no reason");
    }

    #[tokio::test]
    async fn stays_fails_at_once() {
        let breaks = async || {
            stays(Duration::from_secs(60), "calm", async || Err("noise".to_owned())).await;
        };
        let panic = message(tokio::spawn(breaks()).await.unwrap_err().into_panic());
        assert!(panic.contains("calm") && panic.ends_with("noise"), "{panic}");
        stays(Duration::from_millis(1), "calm", async || Ok(())).await;
    }
}
