//! System accounts and TLS issuers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lenient::null_default;
use crate::schema;

wire_enum! {
    /// Letters of a generated password.
    closed LetterCase = MixedCases {
        /// Small letters.
        LowerCases => "LowerCases",
        /// Capital letters.
        UpperCases => "UpperCases",
        /// Both.
        MixedCases => "MixedCases",
    }
}

wire_enum! {
    /// Who issues certificates.
    open IssuerName = KubeBlocks {
        /// The operator, self-signed.
        KubeBlocks => "KubeBlocks",
        /// The user, in a Secret.
        UserProvided => "UserProvided",
    }
}

/// How a password is generated.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PasswordConfig {
    /// Length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 8, max = 32), extend("default" = 16))]
    pub length: Option<i32>,
    /// Digits at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8), extend("default" = 4))]
    pub num_digits: Option<i32>,
    /// Symbols at least.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 8), extend("default" = 0))]
    pub num_symbols: Option<i32>,
    /// Symbols to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub symbol_characters: Option<String>,
    /// Letters to choose from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "MixedCases"))]
    pub letter_case: Option<LetterCase>,
    /// Makes the password repeatable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<String>,
}

impl PasswordConfig {
    /// Length; default 16.
    pub fn length(&self) -> i32 {
        self.length.unwrap_or(16)
    }

    /// Digits at least; default 4.
    pub fn num_digits(&self) -> i32 {
        self.num_digits.unwrap_or(4)
    }

    /// Symbols at least; default 0.
    pub fn num_symbols(&self) -> i32 {
        self.num_symbols.unwrap_or_default()
    }

    /// Letters; default both.
    pub fn letter_case(&self) -> LetterCase {
        self.letter_case.clone().unwrap_or_default()
    }
}

/// An account that a definition declares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SystemAccount {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Whether the database makes it on its first start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub init_account: Option<bool>,
    /// Statements that provision it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<AccountStatement>,
    /// How its password is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_config: Option<PasswordConfig>,
    /// Old name of `passwordConfig`, which wins; most addons still write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_generation_policy: Option<PasswordConfig>,
}

impl SystemAccount {
    /// Whether the database makes it on its first start; default false.
    pub fn init_account(&self) -> bool {
        self.init_account.unwrap_or_default()
    }

    /// How its password is generated: the new name wins over the old one.
    pub fn password_config(&self) -> Option<&PasswordConfig> {
        self.password_config.as_ref().or(self.password_generation_policy.as_ref())
    }
}

/// Statements of the database's language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountStatement {
    /// Makes the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create: Option<String>,
    /// Takes it away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<String>,
    /// Changes its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub update: Option<String>,
}

/// What a user changes about an account.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("x-kubernetes-validations" = schema::rule(REVISION_NEEDS_REF, REVISION_NEEDS_REF_MESSAGE)))]
pub struct ComponentSystemAccount {
    /// Name in the definition.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Whether it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub disabled: Option<bool>,
    /// How its password is generated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_config: Option<PasswordConfig>,
    /// Secret with the user's own password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<AccountSecretRef>,
    /// Revision of that Secret; a new one is applied again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref_revision: Option<String>,
}

/// A Secret with a password.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountSecretRef {
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Namespace; that of the Cluster if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Key of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "password"))]
    pub password: Option<String>,
}

impl AccountSecretRef {
    /// Key of the password; default `password`.
    pub fn password_key(&self) -> &str {
        self.password.as_deref().filter(|key| !key.is_empty()).unwrap_or("password")
    }
}

/// A revision without a Secret means nothing.
const REVISION_NEEDS_REF: &str =
    "!has(self.secretRefRevision) || size(self.secretRefRevision) == 0 || has(self.secretRef)";
const REVISION_NEEDS_REF_MESSAGE: &str = "secretRefRevision needs secretRef";

/// TLS of a component.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsConfig {
    /// Whether it is on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    pub enable: Option<bool>,
    /// Who issues certificates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<Issuer>,
}

/// Who issues certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Issuer {
    /// Operator or user.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default, extend("default" = "KubeBlocks"))]
    pub name: IssuerName,
    /// Secret of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<TlsSecretRef>,
}

/// A Secret with certificates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsSecretRef {
    /// Namespace; that of the Cluster if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub name: String,
    /// Key of the authority's certificate.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub ca: String,
    /// Key of the certificate.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub cert: String,
    /// Key of the private key.
    #[serde(default, deserialize_with = "null_default")]
    #[schemars(!default)]
    pub key: String,
}
