//! Chains of backups that build on each other: they live and go as one (BD22). Pure.

use api_types::dp::{Backup, BackupPhase};
use kube::ResourceExt;
use std::collections::{BTreeMap, BTreeSet};

/// Who builds on whom, among the backups of one policy.
pub struct Chains {
    parents: BTreeMap<String, Vec<String>>,
    roots: BTreeMap<String, String>,
}

impl Chains {
    /// Of these backups. One that failed holds nothing it was to build on.
    pub fn of<'a>(backups: impl IntoIterator<Item = &'a Backup> + Clone) -> Self {
        let names: BTreeSet<String> = backups.clone().into_iter().map(ResourceExt::name_any).collect();
        let mut parents = BTreeMap::new();
        for backup in backups {
            let own = backup.name_any();
            if backup.phase() == BackupPhase::Failed {
                parents.insert(own, Vec::new());
                continue;
            }
            let status = backup.status.as_ref();
            let said = [
                backup.spec.parent_backup_name.as_ref(),
                status.and_then(|s| s.parent_backup_name.as_ref()),
                status.and_then(|s| s.base_backup_name.as_ref()),
            ];
            let there: Vec<String> =
                said.into_iter().flatten().filter(|p| **p != own && names.contains(*p)).cloned().collect();
            parents.insert(own, there);
        }
        let mut chains = Chains { parents, roots: BTreeMap::new() };
        chains.roots = chains.parents.keys().map(|name| (name.clone(), chains.top(name))).collect();
        chains.join();
        chains
    }

    /// Backups of one root are one chain.
    pub fn root(&self, name: &str) -> String {
        self.roots.get(name).cloned().unwrap_or_else(|| name.to_owned())
    }

    /// Backups that name this one as what they build on.
    pub fn children<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a String> {
        self.parents.iter().filter(move |(_, parents)| parents.iter().any(|p| p == name)).map(|(child, _)| child)
    }

    fn top(&self, name: &str) -> String {
        let mut seen = BTreeSet::from([name]);
        let mut at = name;
        while let Some(next) = self.parents.get(at).and_then(|p| p.iter().find(|p| !seen.contains(p.as_str()))) {
            seen.insert(next);
            at = next;
        }
        // A circle, which nobody should make, has no top: its least name stands for it.
        let circle = self.parents.get(at).is_some_and(|p| !p.is_empty());
        if circle { seen.first().map_or(name, |n| *n).to_owned() } else { at.to_owned() }
    }

    /// One that names two others of different roots makes them one chain.
    fn join(&mut self) {
        let links: Vec<(String, String)> =
            self.parents.iter().flat_map(|(child, all)| all.iter().map(|p| (child.clone(), p.clone()))).collect();
        for (child, parent) in links {
            let (one, other) = (self.root(&child), self.root(&parent));
            if one != other {
                let (kept, lost) = if one < other { (one, other) } else { (other, one) };
                for root in self.roots.values_mut().filter(|r| **r == lost) {
                    root.clone_from(&kept);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn backup(name: &str, parent: Option<&str>, base: Option<&str>, phase: &str) -> Backup {
        serde_json::from_value(json!({"metadata": {"name": name},
            "status": {"phase": phase, "parentBackupName": parent, "baseBackupName": base}}))
        .unwrap()
    }

    #[test]
    fn backups_that_build_on_each_other_have_one_root() {
        let all = vec![
            backup("f1", None, None, "Completed"),
            backup("i1", Some("f1"), Some("f1"), "Completed"),
            backup("i2", Some("i1"), Some("f1"), "Running"),
            backup("i3", Some("i2"), Some("f1"), "Failed"),
            backup("f2", None, None, "Completed"),
            backup("orphan", Some("gone"), Some("gone"), "Completed"),
            backup("x", Some("y"), None, "Completed"),
            backup("y", Some("x"), None, "Completed"),
            backup("self", Some("self"), None, "Completed"),
        ];
        let chains = Chains::of(&all);
        let root = |n: &str| chains.root(n);
        assert_eq!([root("f1"), root("i1"), root("i2")], ["f1", "f1", "f1"].map(String::from));
        assert_eq!(
            [root("f2"), root("orphan"), root("i3"), root("self")],
            ["f2", "orphan", "i3", "self"].map(String::from)
        );
        assert_eq!(root("x"), root("y"));
        assert_eq!(chains.children("f1").collect::<Vec<_>>(), ["i1", "i2"]);
    }

    #[test]
    fn one_that_names_two_others_makes_them_one_chain() {
        let all = [
            backup("f", None, None, "Completed"),
            backup("i1", None, None, "Completed"),
            backup("i2", Some("i1"), Some("f"), "Completed"),
            backup("bad", None, None, "Failed"),
            backup("on-bad", Some("bad"), Some("f"), "Running"),
        ];
        let chains = Chains::of(&all);
        assert_eq!(chains.root("bad"), chains.root("on-bad"));
        assert!(chains.root("f") == chains.root("i1") && chains.root("i1") == chains.root("i2"));
    }

    #[test]
    fn a_chain_whose_middle_is_gone_is_still_one() {
        let all = [backup("f1", None, None, "Completed"), backup("i2", Some("i1"), Some("f1"), "Completed")];
        assert_eq!(Chains::of(&all).root("i2"), "f1");
    }
}
