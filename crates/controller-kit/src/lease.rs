//! Leader election on `coordination.k8s.io/v1` Leases.
//!
//! A holder that stops vacates its Lease; one that dies leaves it to run out. The same identity
//! takes its own Lease back at once, so a restarted container does not wait for itself.

use crate::error::{ApiError, chain};
use crate::writes::Writer;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Api;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long a Lease counts as held after its last renewal.
const DURATION: SignedDuration = SignedDuration::from_secs(15);
/// How often a holder renews.
const RENEW: Duration = Duration::from_secs(5);
/// How often a candidate looks.
const RETRY: Duration = Duration::from_secs(2);

/// One Lease and who wants it.
#[derive(Clone)]
pub struct Election {
    /// Namespace of the Lease.
    pub namespace: String,
    /// Name of the Lease.
    pub name: String,
    /// Who we are; the pod's name.
    pub identity: String,
    /// Calls.
    pub writer: Writer,
}

/// What one look at a Lease found.
#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Free,
    Ours,
    Held { by: String, for_another: SignedDuration },
}

fn standing(spec: Option<&LeaseSpec>, identity: &str, now: Timestamp) -> Standing {
    let Some(spec) = spec else {
        return Standing::Free;
    };
    let holder = spec.holder_identity.as_deref().unwrap_or_default();
    if holder == identity {
        return Standing::Ours;
    }
    let Some(renewed) = spec.renew_time.as_ref().filter(|_| !holder.is_empty()) else {
        return Standing::Free;
    };
    let lasts = spec.lease_duration_seconds.map_or(DURATION, |s| SignedDuration::from_secs(s.into()));
    let left = lasts - now.duration_since(renewed.0);
    if left <= SignedDuration::ZERO {
        return Standing::Free;
    }
    Standing::Held { by: holder.to_owned(), for_another: left }
}

impl Election {
    fn api(&self) -> Api<Lease> {
        self.writer.namespaced(&self.namespace)
    }

    /// Waits until the Lease is ours; says once who holds it.
    pub async fn acquire(&self) {
        let mut told = String::new();
        loop {
            match self.try_hold().await {
                Ok(Standing::Ours) => return,
                Ok(Standing::Held { by, for_another }) => {
                    if told != by {
                        tracing::info!(
                            lease = self.name,
                            holder = by,
                            "standing by: another holds the lease for {}s more",
                            for_another.as_secs()
                        );
                        told = by;
                    }
                }
                Ok(Standing::Free) => continue, // lost a race by a hair
                Err(error) => tracing::warn!(lease = self.name, "{}", chain(&error)),
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Renews until the Lease is lost (returns) or `stop` (vacates and returns).
    pub async fn keep(&self, stop: CancellationToken) {
        let mut last = tokio::time::Instant::now();
        let patience = Duration::from_secs(DURATION.as_secs().unsigned_abs()) - RETRY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return self.vacate().await,
                () = tokio::time::sleep(RENEW) => {}
            }
            match tokio::time::timeout(RENEW, self.try_hold()).await {
                Ok(Ok(Standing::Ours)) => last = tokio::time::Instant::now(),
                Ok(Ok(Standing::Held { by, .. })) => {
                    tracing::error!(lease = self.name, holder = by, "lost the lease");
                    return;
                }
                Ok(Ok(Standing::Free)) => {}
                Ok(Err(error)) => tracing::warn!(lease = self.name, "renewal: {}", chain(&error)),
                Err(_) => tracing::warn!(lease = self.name, "renewal took too long"),
            }
            if last.elapsed() > patience {
                tracing::error!(lease = self.name, "could not renew the lease in time");
                return;
            }
        }
    }

    #[allow(clippy::disallowed_methods)]
    async fn try_hold(&self) -> Result<Standing, ApiError> {
        let api = self.api();
        let now = Timestamp::now();
        let Some(mut lease) = self.writer.get(&api, &self.name).await? else {
            let fresh = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    namespace: Some(self.namespace.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.claim(now, None)),
            };
            return match self.writer.create(&api, &fresh).await {
                Ok(_) => Ok(Standing::Ours),
                Err(error) if error.is_already_exists() => Ok(Standing::Free),
                Err(error) => Err(error),
            };
        };
        let found = standing(lease.spec.as_ref(), &self.identity, now);
        if let Standing::Held { .. } = found {
            return Ok(found);
        }
        let previous = lease.spec.take();
        let claim = self.claim(now, previous.as_ref());
        let body = serde_json::json!({
            "metadata": {"resourceVersion": lease.metadata.resource_version, "uid": lease.metadata.uid},
            "spec": claim,
        });
        match self.writer.merge(&api, &self.name, &body).await {
            Ok(_) => Ok(Standing::Ours),
            Err(error) if error.is_conflict() => Ok(Standing::Free),
            Err(error) => Err(error),
        }
    }

    fn claim(&self, now: Timestamp, previous: Option<&LeaseSpec>) -> LeaseSpec {
        let kept = previous.filter(|p| p.holder_identity.as_deref() == Some(&self.identity));
        let transitions = previous.and_then(|p| p.lease_transitions).unwrap_or(0);
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
            acquire_time: kept.and_then(|p| p.acquire_time.clone()).or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions + i32::from(kept.is_none())),
            ..LeaseSpec::default()
        }
    }

    async fn vacate(&self) {
        let api = self.api();
        let current = match self.writer.get(&api, &self.name).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return,
            Err(error) => return tracing::warn!(lease = self.name, "vacate: {}", chain(&error)),
        };
        let ours = current.spec.as_ref().and_then(|s| s.holder_identity.as_deref()) == Some(&self.identity);
        if !ours {
            return;
        }
        let body = serde_json::json!({
            "metadata": {"resourceVersion": current.metadata.resource_version},
            "spec": {"holderIdentity": null, "renewTime": null},
        });
        if let Err(error) = self.writer.merge(&api, &self.name, &body).await {
            tracing::warn!(lease = self.name, "vacate: {}", chain(&error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: i64) -> Timestamp {
        Timestamp::from_second(s).unwrap()
    }

    fn held(by: &str, renewed: i64) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.into()),
            lease_duration_seconds: Some(15),
            renew_time: Some(MicroTime(at(renewed))),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_fresh_lease_of_another_keeps_us_passive() {
        let left = SignedDuration::from_secs(10);
        assert_eq!(
            standing(Some(&held("x", 100)), "me", at(105)),
            Standing::Held { by: "x".into(), for_another: left }
        );
        assert_eq!(standing(Some(&held("x", 100)), "me", at(115)), Standing::Free);
        assert_eq!(standing(Some(&held("me", 100)), "me", at(900)), Standing::Ours);
        assert_eq!(standing(Some(&held("", 100)), "me", at(101)), Standing::Free);
        assert_eq!(standing(None, "me", at(1)), Standing::Free);
    }
}
