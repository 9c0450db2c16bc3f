//! Functions that give nothing, and functions that are an error.
//!
//! `env`, `expandenv` and `getHostByName` would let a template read the operator's environment and
//! network. Certificates and ciphers would make secrets that differ at each rendering.

use super::Param::{Any, Int, Text};
use super::{Args, Env, Function, Outcome, fixed, open};
use crate::error::Fault;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("env", &[Text], empty),
    fixed("expandenv", &[Text], empty),
    fixed("getHostByName", &[Text], empty),
    fixed("bcrypt", &[Text], refuse),
    fixed("htpasswd", &[Text, Text], refuse),
    fixed("genPrivateKey", &[Text], refuse),
    fixed("derivePassword", &[Any, Text, Text, Text, Text], refuse),
    fixed("buildCustomCert", &[Text, Text], refuse),
    fixed("genCA", &[Text, Int], refuse),
    fixed("genCAWithKey", &[Text, Int, Text], refuse),
    open("genSelfSignedCert", &[], Any, refuse),
    open("genSelfSignedCertWithKey", &[], Any, refuse),
    open("genSignedCert", &[], Any, refuse),
    open("genSignedCertWithKey", &[], Any, refuse),
    fixed("encryptAES", &[Text, Text], refuse),
    fixed("decryptAES", &[Text, Text], refuse),
];

fn empty(env: &Env<'_>, _: &Args<'_>) -> Outcome {
    env.lookups.set(env.lookups.get() + 1);
    Ok(Value::text(""))
}

fn refuse(_: &Env<'_>, _: &Args<'_>) -> Outcome {
    Fault::new("not supported: certificates and ciphers are made outside of templates")
}
