//! Accounts of a Cluster's databases: saved with a Backup under the operator's key, put back before a restored
//! database starts (behaviour-apps §6, behaviour-restore §12; design D12, D21).
//!
//! | file | what |
//! |---|---|
//! | `cipher` | one password as text of the wire, and back; pure |
//! | `keyring` | the key: given, or made once and kept in a Secret |
//! | `sealed` | all accounts as the annotation of a Backup holds them; pure |
//! | `snapshot` | the Cluster as the other annotation holds it, and what fits on a Backup; pure |
//! | `collect` | reads which accounts a Cluster has, and their Secrets by name |
//! | `secret` | what one restored Secret must become; pure |
//! | `observe`, `apply` | reads and writes for the Secrets of one claim |

pub mod apply;
pub mod cipher;
pub mod collect;
pub mod keyring;
pub mod observe;
pub mod sealed;
pub mod secret;
pub mod snapshot;

use api_types::contract::names;
use std::fmt;

/// A password, or a key: never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrecy<T>(pub T);

impl<T> fmt::Debug for Secrecy<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Of one component, by its name.
    Component(&'a str),
    /// Shared by all components of a sharding, by its name.
    Sharding(&'a str),
}

impl Scope<'_> {
    /// Name of the Secret of an account. Account names may have `_`, which names of Secrets may not.
    pub fn secret_name(&self, cluster: &str, account: &str) -> String {
        match self {
            Self::Component(name) => names::account_secret(cluster, name, account),
            Self::Sharding(name) => names::sharding_account_secret(cluster, name, account),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn apps_27_secret_names_have_no_underscore() {
        assert_eq!(Scope::Component("db").secret_name("c", "kb_admin"), "c-db-account-kb-admin");
        assert_eq!(Scope::Sharding("shard").secret_name("c", "kb_admin"), "c-shard-kb-admin");
    }

    #[test]
    fn what_is_secret_is_not_shown() {
        assert_eq!(format!("{:?}", Secrecy("pass")), "***");
    }
}
