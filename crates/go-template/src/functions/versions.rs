//! Versions.

use std::rc::Rc;

use super::Param::Text;
use super::{Function, fixed};
use crate::value::Value;
use crate::version::{Version, compare};

pub(super) const ALL: &[Function] = &[
    fixed("semver", &[Text], |_, a| Ok(Value::Version(Rc::new(Version::parse(&a.utf8(0))?)))),
    fixed("semverCompare", &[Text, Text], |_, a| Ok(Value::Bool(compare(&a.utf8(0), &a.utf8(1))?))),
];
