//! The restore intent of a Cluster, written onto claim templates and taken off again (behaviour-apps §1, §2.1). Pure.
//!
//! It goes onto the templates of Components only, never back into the Cluster's spec. The namespace of the source
//! travels in an annotation only: the API server drops the data source of a claim that names a namespace in it.

use super::fold::is_marked;
use api_types::apps::{ClusterRestore, VolumeClaimTemplate};
use api_types::contract::annotations::{
    RESTORE_COMPONENT, RESTORE_MARKERS, RESTORE_PARAMETERS, RESTORE_PITR, RESTORE_SOURCE_API_GROUP,
    RESTORE_SOURCE_KIND, RESTORE_SOURCE_NAME, RESTORE_SOURCE_NAMESPACE, RESTORE_VOLUME_TEMPLATE,
};
use k8s_openapi::api::core::v1::TypedObjectReference;

/// What one component is to be restored from.
pub struct Intent<'a> {
    /// `spec.restore` of the Cluster.
    pub restore: &'a ClusterRestore,
    /// Namespace of the Cluster: that of the source too where it names none.
    pub namespace: &'a str,
    /// Name of the component.
    pub component: &'a str,
}

/// Whether a template brings a data source of its own, without our marks: it is the user's and stays.
pub fn has_own_source(template: &VolumeClaimTemplate) -> bool {
    let spec = template.spec.as_ref();
    !is_marked(&template.annotations) && spec.is_some_and(|s| s.data_source.is_some() || s.data_source_ref.is_some())
}

/// Marks a template for the restore; one with a data source of its own is left alone.
pub fn mark(template: &mut VolumeClaimTemplate, intent: &Intent<'_>) {
    if has_own_source(template) {
        return;
    }
    unmark(template);
    let source = &intent.restore.source;
    let namespace = source.namespace.clone().filter(|n| !n.is_empty()).unwrap_or_else(|| intent.namespace.to_owned());
    let mut marks = vec![
        (RESTORE_SOURCE_API_GROUP, source.api_group.clone()),
        (RESTORE_SOURCE_KIND, source.kind.clone()),
        (RESTORE_SOURCE_NAME, source.name.clone()),
        (RESTORE_SOURCE_NAMESPACE, namespace),
        (RESTORE_COMPONENT, intent.component.to_owned()),
        (RESTORE_VOLUME_TEMPLATE, template.name.clone()),
    ];
    if let Some(at) = intent.restore.pitr.clone().filter(|at| !at.is_empty()) {
        marks.push((RESTORE_PITR, at));
    }
    if !intent.restore.parameters.is_empty() {
        // A map of texts is always JSON; its keys are sorted.
        let json = serde_json::to_string(&intent.restore.parameters).unwrap_or_default();
        marks.push((RESTORE_PARAMETERS, json));
    }
    template.annotations.extend(marks.into_iter().map(|(key, value)| (key.to_owned(), value)));
    template.spec.get_or_insert_default().data_source_ref = Some(TypedObjectReference {
        api_group: Some(source.api_group.clone()),
        kind: source.kind.clone(),
        name: source.name.clone(),
        namespace: None,
    });
}

/// Takes the marks off, with the data source that came with them; a template without marks is left alone.
pub fn unmark(template: &mut VolumeClaimTemplate) {
    let before = template.annotations.len();
    template.annotations.retain(|key, _| !RESTORE_MARKERS.contains(&key.as_str()));
    if template.annotations.len() < before
        && let Some(spec) = &mut template.spec
    {
        spec.data_source = None;
        spec.data_source_ref = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn restore(extra: &Value) -> ClusterRestore {
        let mut all = json!({"source": {"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b"}});
        for (key, value) in extra.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn template(spec: &Value) -> VolumeClaimTemplate {
        serde_json::from_value(json!({"name": "data", "spec": spec, "annotations": {"own": "1"}})).unwrap()
    }

    fn marked(restore: &ClusterRestore, mut template: VolumeClaimTemplate) -> Value {
        mark(&mut template, &Intent { restore, namespace: "here", component: "c" });
        serde_json::to_value(template).unwrap()
    }

    #[test]
    fn apps_1_2_3_the_namespace_is_in_the_annotation_only() {
        let plain = json!({"accessModes": ["ReadWriteOnce"]});
        for (given, told) in [(None, "here"), (Some(""), "here"), (Some("here"), "here"), (Some("there"), "there")] {
            let mut source = json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b"});
            if let Some(namespace) = given {
                source["namespace"] = json!(namespace);
            }
            let out = marked(&restore(&json!({"source": source})), template(&plain));
            assert_eq!(out["annotations"][RESTORE_SOURCE_NAMESPACE], told);
            let reference = json!({"apiGroup": "dataprotection.kubeblocks.io", "kind": "Backup", "name": "b"});
            assert_eq!(out["spec"]["dataSourceRef"], reference, "without a namespace");
        }
    }

    #[test]
    fn apps_4_absent_pitr_and_parameters_leave_nothing_behind() {
        let mut old = template(&json!({}));
        old.annotations.extend([(RESTORE_PITR.into(), "x".into()), (RESTORE_PARAMETERS.into(), "{}".into())]);
        let out = marked(&restore(&json!({})), old);
        assert_eq!((out["annotations"].get(RESTORE_PITR), out["annotations"].get(RESTORE_PARAMETERS)), (None, None));
    }

    #[test]
    fn apps_5_parameters_are_one_sorted_object() {
        let out = marked(&restore(&json!({"parameters": {"b": "2", "a": "1"}, "pitr": "t"})), template(&json!({})));
        assert_eq!(out["annotations"][RESTORE_PARAMETERS], r#"{"a":"1","b":"2"}"#);
        assert_eq!(out["annotations"][RESTORE_PITR], "t");
    }

    #[test]
    fn apps_13_a_source_of_the_users_own_stays_through_marking_and_cleaning() {
        let own = json!({"dataSourceRef": {"kind": "PersistentVolumeClaim", "name": "x"}});
        let before = serde_json::to_value(template(&own)).unwrap();
        assert!(has_own_source(&template(&own)));
        assert_eq!(marked(&restore(&json!({})), template(&own)), before);
        let mut cleaned = template(&own);
        unmark(&mut cleaned);
        assert_eq!(serde_json::to_value(cleaned).unwrap(), before);
    }

    #[test]
    fn cleaning_is_the_inverse_of_marking() {
        let before = template(&json!({"accessModes": ["ReadWriteOnce"]}));
        let mut after = before.clone();
        let restore = restore(&json!({"pitr": "t", "parameters": {"a": "1"}}));
        mark(&mut after, &Intent { restore: &restore, namespace: "n", component: "c" });
        unmark(&mut after);
        assert_eq!(serde_json::to_value(after).unwrap(), serde_json::to_value(before).unwrap());
    }
}
