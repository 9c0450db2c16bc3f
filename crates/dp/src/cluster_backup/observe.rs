//! Reads, past the caches, whether a Cluster whose deletion was seen is gone.

use super::departures::Departure;
use super::plan::Proof;
use crate::cluster::{Cluster, crd_of};
use crate::error::Error;
use controller_kit::served::CrdMeta;
use controller_kit::writes::Writer;
use kube::ResourceExt;

/// The proof. A server that does not know the kind is an error, not a missing Cluster.
pub async fn observe(departure: &Departure, writer: &Writer) -> Result<Proof, Error> {
    let there = writer.find(&writer.namespaced::<Cluster>(&departure.namespace), &departure.name).await;
    let now = match there {
        Ok(there) => there.and_then(|cluster| cluster.uid()),
        // The CRD tells whether that is so.
        Err(error) if error.is_not_found() => {
            let kind_since = kind_since(writer).await?;
            return if kind_since.is_none() { Ok(Proof { now: None, kind_since }) } else { Err(error.into()) };
        }
        Err(error) => return Err(error.into()),
    };
    Ok(Proof { now, kind_since: kind_since(writer).await? })
}

async fn kind_since(writer: &Writer) -> Result<Option<jiff::Timestamp>, Error> {
    let crd = writer.find(&writer.cluster::<CrdMeta>(), &crd_of::<Cluster>()).await?;
    let lasting = crd.filter(|crd| crd.metadata.deletion_timestamp.is_none());
    Ok(lasting.and_then(|crd| crd.creation_timestamp()).map(|time| time.0))
}
