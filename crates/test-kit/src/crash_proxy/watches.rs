//! What becomes of watches: frozen, closed, or without their history.

use std::collections::{BTreeMap, BTreeSet};

use futures::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Bytes, Frame};
use tokio::sync::watch;

use super::request::Request;

/// The state of all watches, by plural resource.
#[derive(Debug, Default)]
pub(super) struct Watches {
    frozen: BTreeSet<String>,
    /// How often the watches of a resource were ended: one ends when this is no longer what it was at its beginning.
    ended: BTreeMap<String, usize>,
    /// How often their history expired.
    expired: BTreeMap<String, usize>,
    /// For each selection, how often the history of its resource had expired when it was last read anew.
    read: BTreeMap<String, usize>,
}

/// What a fault does to the watches of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WatchAct {
    Close,
    Freeze,
    Expire,
}

impl Watches {
    pub fn take(&mut self, act: WatchAct, resource: &str) {
        match act {
            WatchAct::Freeze => {
                self.frozen.insert(resource.to_owned());
            }
            WatchAct::Close => *self.ended.entry(resource.to_owned()).or_default() += 1,
            WatchAct::Expire => {
                *self.expired.entry(resource.to_owned()).or_default() += 1;
                *self.ended.entry(resource.to_owned()).or_default() += 1;
            }
        }
    }

    pub fn thaw(&mut self, resource: &str) {
        self.frozen.remove(resource);
    }

    /// Takes note of a list; `true` for a watch whose history is gone, so that it must be listed anew.
    pub fn is_too_old(&mut self, request: &Request) -> bool {
        let expired = self.expired.get(&request.resource).copied().unwrap_or_default();
        if request.begins_anew() {
            self.read.insert(request.selection(), expired);
        }
        request.is_watch() && self.read.get(&request.selection()).copied().unwrap_or_default() < expired
    }

    fn ended(&self, resource: &str) -> usize {
        self.ended.get(resource).copied().unwrap_or_default()
    }
}

/// A watch's body: it waits while its resource is frozen, and ends when its watches are ended.
pub(super) fn governed(
    body: UnsyncBoxBody<Bytes, kube::Error>,
    resource: String,
    watches: watch::Receiver<Watches>,
) -> UnsyncBoxBody<Bytes, kube::Error> {
    let begun = watches.borrow().ended(&resource);
    let frames = stream::unfold((body, watches, resource, begun), async |(mut body, mut watches, resource, begun)| {
        let mut ends = watches.clone();
        let frame = async {
            let frame: kube::Result<Frame<Bytes>> = body.frame().await?;
            // An error means that the proxy is gone; then nothing holds the frame back.
            let _ = watches.wait_for(|watches| !watches.frozen.contains(&resource)).await;
            Some(frame)
        };
        let frame = tokio::select! {
            biased;
            Ok(_) = ends.wait_for(|watches| watches.ended(&resource) != begun) => None,
            frame = frame => frame,
        };
        frame.map(|frame| (frame, (body, watches, resource, begun)))
    });
    StreamBody::new(Box::pin(frames)).boxed_unsync()
}

#[cfg(test)]
mod tests {
    use hyper::Method;

    use super::*;

    #[test]
    fn a_watch_is_too_old_until_its_own_selection_is_listed_anew() {
        let get = |query: &str| Request::new(&Method::GET, "/api/v1/pods", query, "");
        let mut watches = Watches::default();
        assert!(!watches.is_too_old(&get("watch=true&resourceVersion=7")));
        watches.take(WatchAct::Expire, "pods");
        for _ in 0..2 {
            assert!(watches.is_too_old(&get("watch=true&resourceVersion=7")));
        }
        assert!(!watches.is_too_old(&get("labelSelector=a")), "a list never is");
        assert!(!watches.is_too_old(&get("watch=true&labelSelector=a&resourceVersion=9")));
        assert!(watches.is_too_old(&get("watch=true&resourceVersion=7")), "of another selection");
        assert!(!watches.is_too_old(&get("watch=true&sendInitialEvents=true&resourceVersion=7")));
        assert!(!watches.is_too_old(&get("watch=true&resourceVersion=9")));
        let others = Request::new(&Method::GET, "/api/v1/secrets", "watch=true&resourceVersion=7", "");
        watches.take(WatchAct::Expire, "pods");
        assert!(!watches.is_too_old(&others));
    }
}
