//! Types and kinds.

use super::Param::{Any, Text};
use super::{Function, fixed};
use crate::compare::deep_equal;
use crate::value::Value;

pub(super) const ALL: &[Function] = &[
    fixed("typeOf", &[Any], |_, a| Ok(Value::text(a.any(0).type_name()))),
    fixed("typeIs", &[Text, Any], |_, a| Ok(Value::Bool(a.text(0) == a.any(1).type_name().as_bytes()))),
    fixed("typeIsLike", &[Text, Any], |_, a| {
        let (wanted, found) = (a.utf8(0), a.any(1).type_name());
        Ok(Value::Bool(found == wanted || found.strip_prefix('*') == Some(&wanted)))
    }),
    fixed("kindOf", &[Any], |_, a| Ok(Value::text(a.any(0).kind_name()))),
    fixed("kindIs", &[Text, Any], |_, a| Ok(Value::Bool(a.text(0) == a.any(1).kind_name().as_bytes()))),
    fixed("deepEqual", &[Any, Any], |env, a| Ok(Value::Bool(deep_equal(&env.budget, a.any(0), a.any(1), 0)?))),
];
