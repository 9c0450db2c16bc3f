//! What an ActionSet's status says. Pure.

use api_types::dp::{ActionSet, ActionSetStatus, Phase};

/// Available, or Unavailable with the field that is wrong.
pub fn status(actions: &ActionSet) -> ActionSetStatus {
    let problem = problem(actions);
    ActionSetStatus {
        phase: Some(if problem.is_none() { Phase::Available } else { Phase::Unavailable }),
        message: problem,
        observed_generation: actions.metadata.generation,
    }
}

fn problem(actions: &ActionSet) -> Option<String> {
    let spec = &actions.spec;
    let schema = spec.parameters_schema.as_ref().and_then(|s| s.open_api_v3_schema.as_ref());
    let properties = schema.and_then(|s| s.get("properties")).and_then(serde_json::Value::as_object);
    let backup = spec.backup.as_ref().map(|b| ("spec.backup.withParameters", &b.with_parameters));
    let restore = spec.restore.as_ref().map(|r| ("spec.restore.withParameters", &r.with_parameters));
    for (field, names) in backup.into_iter().chain(restore) {
        for name in names {
            if properties.is_none_or(|p| !p.contains_key(name)) {
                return Some(format!("{field}: {name} is not a property of spec.parametersSchema.openAPIV3Schema"));
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_without_property_is_named() {
        let set = |schema: serde_json::Value| -> ActionSet {
            serde_json::from_value(serde_json::json!({
                "metadata": {"name": "a"},
                "spec": {"backupType": "Full", "parametersSchema": {"openAPIV3Schema": schema},
                    "restore": {"withParameters": ["p"]}}
            }))
            .unwrap()
        };
        assert!(status(&set(serde_json::json!({"properties": {"p": {}}}))).message.is_none());
        let bad = status(&set(serde_json::json!({"properties": {}})));
        assert_eq!(bad.phase, Some(Phase::Unavailable));
        assert!(bad.message.unwrap().contains("spec.restore.withParameters: p"));
    }
}
