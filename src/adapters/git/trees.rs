//! The difference between two trees, read in process.
//!
//! A hook that starts one git less is felt at every commit. Only what cannot be
//! read in two ways is answered here; `None` always means "ask git".

use std::collections::BTreeMap;

use super::{Git, Kind};
use crate::gate::change::{Entry, FileChange, Oid, RepoPath};
use crate::gate::order;

/// As many trees are read, on both sides together: beyond, git is faster.
const TREES: usize = 256;

/// The largest tree that is read, in bytes.
const TREE_LIMIT: u64 = 8 << 20;

/// Modes as git writes them today; a history may hold others, which git rewrites.
const MODES: [(&[u8], u32); 4] = [
    (b"100644", 0o100_644),
    (b"100755", 0o100_755),
    (b"120000", 0o120_000),
    (b"160000", 0o160_000),
];

const FOLDER: &[u8] = b"40000";

/// An entry of a tree: `<mode> SP <name> NUL <raw id>` (gitformat-tree).
#[derive(Clone, Copy, PartialEq, Eq)]
struct RawEntry<'a> {
    mode: &'a [u8],
    name: &'a [u8],
    id: &'a [u8],
}

impl Git {
    /// Returns the files that differ between two trees, sorted by path.
    pub(super) fn compare_trees(&self, old: &Oid, new: &Oid) -> Option<Vec<FileChange>> {
        let mut comparison = Comparison { git: self, trees: 0, files: Vec::new() };
        if old != new {
            comparison.folder(&[], Some(old), Some(new))?;
        }
        order::sort_by(&mut comparison.files, |one, other| one.path.cmp(&other.path));
        Some(comparison.files)
    }
}

struct Comparison<'a> {
    git: &'a Git,
    trees: usize,
    files: Vec<FileChange>,
}

impl Comparison<'_> {
    fn folder(&mut self, path: &[u8], old: Option<&Oid>, new: Option<&Oid>) -> Option<()> {
        let sides = [self.read(old)?, self.read(new)?];
        let mut names: BTreeMap<&[u8], [Option<RawEntry<'_>>; 2]> = BTreeMap::new();
        for (side, bytes) in sides.iter().enumerate() {
            for entry in entries(bytes, self.git.layout().sha256)? {
                // A name that stands there twice, git reads in its own way.
                if names.entry(entry.name).or_default()[side].replace(entry).is_some() {
                    return None;
                }
            }
        }
        for (name, [old, new]) in names {
            if old != new {
                let path = if path.is_empty() { name.to_vec() } else { [path, name].join(&b'/') };
                self.entry(&path, old, new)?;
            }
        }
        Some(())
    }

    fn entry(
        &mut self,
        path: &[u8],
        old: Option<RawEntry<'_>>,
        new: Option<RawEntry<'_>>,
    ) -> Option<()> {
        let folder = |side: Option<RawEntry<'_>>| match side {
            Some(entry) if entry.mode == FOLDER => Some(Some(oid(entry.id)?)),
            Some(_) | None => Some(None),
        };
        let file = |side: Option<RawEntry<'_>>| match side {
            Some(entry) if entry.mode != FOLDER => {
                let (_, mode) = MODES.iter().find(|(text, _)| *text == entry.mode)?;
                Some(Some(Entry { mode: *mode, oid: oid(entry.id)? }))
            }
            Some(_) | None => Some(None),
        };
        let (old_folder, new_folder) = (folder(old)?, folder(new)?);
        if old_folder.is_some() || new_folder.is_some() {
            self.folder(path, old_folder.as_ref(), new_folder.as_ref())?;
        }
        let (old, new) = (file(old)?, file(new)?);
        if old.is_some() || new.is_some() {
            let (path, added) = (RepoPath::new(path), Vec::new());
            self.files.push(FileChange { path, old, new, added, removed: 0, binary: false });
        }
        Some(())
    }

    fn read(&mut self, tree: Option<&Oid>) -> Option<Vec<u8>> {
        let Some(tree) = tree.filter(|tree| **tree != self.git.empty_tree()) else {
            return Some(Vec::new());
        };
        self.trees += 1;
        if self.trees > TREES {
            return None;
        }
        match self.git.engine_object(tree, TREE_LIMIT).ok()?? {
            (Kind::Tree, bytes) => Some(bytes),
            (Kind::Blob | Kind::Commit | Kind::Tag, _) => None,
        }
    }
}

/// `None`: one of them is not as git writes it.
fn entries(mut bytes: &[u8], sha256: bool) -> Option<Vec<RawEntry<'_>>> {
    let hash = if sha256 { 32 } else { 20 };
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let space = memchr::memchr(b' ', bytes)?;
        let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
        let nul = memchr::memchr(0, rest)?;
        let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
        let (id, rest) = rest.split_at_checked(hash)?;
        if name.is_empty() || name.contains(&b'/') {
            return None;
        }
        found.push(RawEntry { mode, name, id });
        bytes = rest;
    }
    Some(found)
}

fn oid(id: &[u8]) -> Option<Oid> {
    Oid::parse(&super::objects::hex(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trees_as_git_writes_them_are_read() {
        let entry = |text: &str| [text.as_bytes(), b"\0", &[7; 20]].concat();
        let two = [entry("100644 a b"), entry("40000 c")].concat();
        let read = entries(&two, false).expect("two entries");
        assert_eq!((read[0].name, read[1].mode), (&b"a b"[..], FOLDER));
        for broken in ["100644 ", "100644 a/b", "100644a"] {
            assert!(entries(&entry(broken), false).is_none(), "{broken}");
        }
        assert!(entries(&two[..two.len() - 1], false).is_none());
        assert!(entries(&two, true).is_none());
    }
}
