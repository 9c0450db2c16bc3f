//! All accounts of a Cluster as annotation `kubeblocks.io/encrypted-system-accounts` holds them: JSON, component or
//! sharding to account to text (behaviour-apps §6). Pure.

use super::Secrecy;
use super::cipher::{CipherError, Ciphers, NonceBytes};
use crate::error::Error;
use std::collections::BTreeMap;

/// Component or sharding, account, password.
pub type Accounts = BTreeMap<String, BTreeMap<String, Secrecy<Vec<u8>>>>;

/// Why an annotation could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// Not the JSON of the wire.
    #[error("it is no JSON map of components to accounts to texts")]
    Json(#[source] serde_json::Error),
    /// One of its passwords.
    #[error("account {account} of {owner} can not be decrypted")]
    Account {
        /// Component or sharding.
        owner: String,
        /// Account.
        account: String,
        /// Why.
        source: CipherError,
    },
}

/// The annotation's value. `nonce` gives another one each time.
pub fn seal(
    accounts: &Accounts,
    ciphers: &Ciphers,
    mut nonce: impl FnMut() -> Result<NonceBytes, Error>,
) -> Result<String, Error> {
    let mut sealed: BTreeMap<&str, BTreeMap<&str, String>> = BTreeMap::new();
    for (owner, of_owner) in accounts {
        let texts = sealed.entry(owner).or_default();
        for (account, password) in of_owner {
            texts.insert(account, ciphers.seal(&password.0, nonce()?)?);
        }
    }
    serde_json::to_string(&sealed).map_err(|source| Error::Encode { what: "the accounts of a Cluster", source })
}

/// What the annotation's value holds; all of it, or why not.
pub fn open(text: &str, ciphers: &Ciphers) -> Result<Accounts, Unreadable> {
    let sealed: BTreeMap<String, BTreeMap<String, String>> = serde_json::from_str(text).map_err(Unreadable::Json)?;
    let mut accounts = Accounts::new();
    for (owner, texts) in sealed {
        let mut of_owner = BTreeMap::new();
        for (account, text) in texts {
            match ciphers.open(&text) {
                Ok(password) => of_owner.insert(account, Secrecy(password)),
                Err(source) => return Err(Unreadable::Account { owner, account, source }),
            };
        }
        accounts.insert(owner, of_owner);
    }
    Ok(accounts)
}

/// Whether the annotation's value holds any account, without a key.
pub fn is_empty(text: &str) -> bool {
    let parsed = serde_json::from_str::<BTreeMap<String, BTreeMap<String, String>>>(text);
    parsed.is_ok_and(|owners| owners.values().all(BTreeMap::is_empty))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::cipher::PUBLIC_DEFAULT;
    use proptest::prelude::*;

    fn ciphers(key: &str) -> Ciphers {
        let Ok(key) = key.parse();
        Ciphers::new(&key, &[]).unwrap()
    }

    fn sealed(accounts: &Accounts, key: &str) -> String {
        let mut count = 0_u8;
        let nonce = || {
            count += 1;
            Ok([count; 12])
        };
        seal(accounts, &ciphers(key), nonce).unwrap()
    }

    proptest! {
        #[test]
        fn accounts_come_back_as_they_were(
            accounts in prop::collection::btree_map(
                "[a-z]{1,8}", prop::collection::btree_map("[a-z_]{1,8}", prop::collection::vec(any::<u8>(), 0..20), 0..3), 0..3),
        ) {
            let secret = |of: BTreeMap<String, Vec<u8>>| of.into_iter().map(|(a, p)| (a, Secrecy(p))).collect();
            let accounts: Accounts = accounts.into_iter().map(|(o, of)| (o, secret(of))).collect();
            let text = sealed(&accounts, "key");
            prop_assert_eq!(is_empty(&text), accounts.values().all(BTreeMap::is_empty));
            prop_assert_eq!(open(&text, &ciphers("key")).unwrap(), accounts);
        }
    }

    #[test]
    fn restore_66_an_empty_password_stays_one_and_a_wrong_key_names_the_account() {
        let accounts = Accounts::from([("db".into(), BTreeMap::from([("root".into(), Secrecy(vec![]))]))]);
        let text = sealed(&accounts, PUBLIC_DEFAULT);
        assert_eq!(open(&text, &ciphers(PUBLIC_DEFAULT)).unwrap(), accounts);
        let refused = controller_kit::error::chain(&open(&text, &ciphers("other")).unwrap_err());
        assert_eq!(refused, "account root of db can not be decrypted: no known encryption key opens it");
        assert!(matches!(open("[]", &ciphers("other")), Err(Unreadable::Json(_))));
        assert!(!is_empty("[]"), "what can not be read is not nothing");
        assert!(is_empty("{}") && is_empty(r#"{"db":{}}"#));
    }
}
