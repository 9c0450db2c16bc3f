//! Writes the account Secrets of one claim.

use super::secret::Step;
use crate::error::Error;
use controller_kit::writes::Writer;
use k8s_openapi::api::core::v1::Secret;
use kube::api::PropagationPolicy;
use kube::{Api, ResourceExt};

/// Carries out `steps`. Each may be the last before a crash: the next look finds what is done.
///
/// # Errors
/// Also when somebody else wrote or made the Secret meanwhile; the next look decides anew.
pub async fn apply(steps: &[Step], namespace: &str, writer: &Writer) -> Result<(), Error> {
    let api: Api<Secret> = writer.namespaced(namespace);
    for step in steps {
        match step {
            Step::Create(secret) => {
                writer.create(&api, secret.as_ref()).await?;
            }
            Step::Patch { name, body } => {
                writer.merge(&api, name, body).await?;
            }
            Step::Replace { uid, with } => {
                writer.delete(&api, &with.name_any(), uid, PropagationPolicy::Background).await?;
                writer.create(&api, with.as_ref()).await?;
            }
        }
    }
    Ok(())
}
