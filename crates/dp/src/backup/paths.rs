//! Where a backup lies in its repository (behaviour-backup §3.9).

use api_types::dp::{BackupStatusTarget, PodSelectionStrategy};

/// `/<repo prefix>/<namespace>/<policy prefix>`, cleaned.
pub fn root(repo_prefix: Option<&str>, namespace: &str, policy_prefix: Option<&str>) -> String {
    join(&[repo_prefix.unwrap_or_default(), namespace, policy_prefix.unwrap_or_default()])
}

/// The backup's own directory: root and name.
pub fn base(root: &str, backup: &str) -> String {
    join(&[root, backup])
}

/// The root that the backup at `path` lies in.
pub fn root_of(path: &str) -> &str {
    path.rsplit_once('/').map(|(root, _)| root).filter(|root| !root.is_empty()).unwrap_or("/")
}

/// Directory of the deduplicating repository of a policy.
pub fn deduplicated(root: &str) -> String {
    join(&[root, "kopia"])
}

/// Directory of the manifests of the backup at `path` (design D22): beside all backups of its root, where the keys of
/// its namespace reach it (ADR 0019).
pub fn manifests(path: &str, uid: &str) -> String {
    join(&[root_of(path), "_manifests/v1", uid])
}

/// Part of the path below the backup's directory: target name and, with strategy All, pod name. No
/// leading slash; may be empty.
pub fn relative(target: &BackupStatusTarget, pod: &str) -> String {
    let pod = if target.strategy() == PodSelectionStrategy::All { pod } else { "" };
    join(&[target.name(), pod]).trim_start_matches('/').to_owned()
}

/// Joins parts with single slashes, a leading one and none at the end; `.` and empty segments go.
pub fn join(parts: &[&str]) -> String {
    let segments = parts.iter().flat_map(|part| part.split('/'));
    let mut out = String::new();
    for segment in segments.filter(|s| !s.is_empty() && *s != ".") {
        out.push('/');
        out.push_str(segment);
    }
    if out.is_empty() { "/".into() } else { out }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_as_the_reference_lays_them_out() {
        let root = root(Some("a/b/"), "demo", Some("/demo/app"));
        assert_eq!(root, "/a/b/demo/demo/app");
        assert_eq!(base(&root, "f1"), "/a/b/demo/demo/app/f1");
        assert_eq!(super::root(None, "demo", None), "/demo");
        assert_eq!(root_of("/a/b/demo/demo/app/f1"), root);
        assert_eq!(root_of("/f1"), "/");
        assert_eq!(manifests("/a/b/demo/demo/app/f1", "u"), "/a/b/demo/demo/app/_manifests/v1/u");
        assert_eq!(manifests("/f1", "u"), "/_manifests/v1/u");
        assert_eq!(deduplicated(&root), "/a/b/demo/demo/app/kopia");
        let mut target = BackupStatusTarget::default();
        assert_eq!(relative(&target, "app-0"), "");
        target.name = Some("t".into());
        assert_eq!(relative(&target, "app-0"), "t");
    }
}
