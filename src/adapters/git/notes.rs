//! Notes on commits (gitnotes layout: paths are the commit's id, split into
//! folders of two digits to any depth).

use std::collections::{BTreeMap, BTreeSet};

use super::{Git, GitError};
use crate::gate::change::Oid;

impl Git {
    /// Returns the blobs of the notes that a notes ref holds on these commits;
    /// none where the ref is not there. Only the folders that these commits
    /// lead to are read.
    pub fn notes(
        &self,
        name: &str,
        commits: &BTreeSet<&Oid>,
    ) -> Result<BTreeMap<Oid, Oid>, GitError> {
        self.look_up(&[name.to_owned()])?;
        let Some(tip) = self.reference(name)? else { return Ok(BTreeMap::new()) };
        // In order, as the set is: where a folder's commits begin is found by halving.
        let ids: Vec<&str> = commits.iter().map(|it| it.as_str()).collect();
        let leads = |prefix: &str| {
            let at = ids.partition_point(|id| *id < prefix);
            ids.get(at).is_some_and(|id| id.starts_with(prefix))
        };
        let mut found = BTreeMap::new();
        let mut open = vec![(self.tree_of(&tip)?, String::new())];
        while let Some((tree, prefix)) = open.pop() {
            for (part, entry) in self.tree_entries(&tree)? {
                let Ok(part) = std::str::from_utf8(&part) else { continue };
                let name = format!("{prefix}{part}");
                match entry.mode {
                    0o040000 if part.len() == 2 && leads(&name) => {
                        open.push((entry.oid, name));
                    }
                    0o100644 | 0o100755 => {
                        if let Some(commit) = Oid::parse(&name).filter(|it| commits.contains(it)) {
                            found.insert(commit, entry.oid);
                        }
                    }
                    _ => {}
                }
            }
        }
        Ok(found)
    }
}
