//! The difference between two trees, read in process.
//!
//! A hook that starts one git less is felt at every commit, and a range of many
//! commits is read once for all of them. Only what cannot be read in two ways is
//! answered here; `None` always means "ask git".

use std::cmp::Ordering;
use std::sync::Mutex;

use super::Git;
use crate::gate::change::{Entry, FileChange, Oid, RepoPath};
use crate::gate::order;

/// As many trees are read for one difference, on both sides together: beyond,
/// git is faster.
const TREES: usize = 256;

/// The largest tree that is read, in bytes.
const TREE_LIMIT: usize = 8 << 20;

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
        let objects = self.engine().map(Mutex::lock)?.ok()?;
        let mut files = Vec::new();
        self.comparison(&objects)?.each(old, new, &mut |path, old, new| {
            let (old, new) = (side(old)?, side(new)?);
            let (path, added) = (RepoPath::new(path), Vec::new());
            files.push(FileChange { path, old, new, added, removed: 0, binary: false });
            Some(())
        })?;
        order::sort_by(&mut files, |one, other| one.path.cmp(&other.path));
        Some(files)
    }

    /// Returns the paths of the files that differ between each two trees; `None`
    /// for those that git has to compare, and where there are no trees.
    pub(super) fn paths_between(&self, pairs: &[Trees<'_>]) -> Vec<Option<Vec<RepoPath>>> {
        let objects = self.engine().and_then(|objects| objects.lock().ok());
        let comparison = objects.as_deref().and_then(|objects| self.comparison(objects));
        let paths = |(old, new)| comparison.as_ref()?.paths(old, new);
        pairs.iter().map(|pair| pair.and_then(paths)).collect()
    }

    fn comparison<'a>(&self, objects: &'a git2::Odb<'static>) -> Option<Comparison<'a>> {
        let empty = self.engine_id(&self.empty_tree())?;
        Some(Comparison { objects, empty, format: self.object_format() })
    }
}

/// Two trees, the old one first; `None`: they are not known.
pub(super) type Trees<'a> = Option<(&'a Oid, &'a Oid)>;

/// Reads and compares trees.
struct Comparison<'a> {
    objects: &'a git2::Odb<'static>,
    empty: git2::Oid,
    format: git2::ObjectFormat,
}

/// Takes the path of a file that differs, and what stands there on both sides.
type Each<'e> = dyn FnMut(&[u8], Option<RawEntry<'_>>, Option<RawEntry<'_>>) -> Option<()> + 'e;

impl Comparison<'_> {
    /// Returns the paths of the files that differ between two trees.
    fn paths(&self, old: &Oid, new: &Oid) -> Option<Vec<RepoPath>> {
        let mut paths = Vec::new();
        self.each(old, new, &mut |path, _, _| {
            paths.push(RepoPath::new(path));
            Some(())
        })?;
        Some(paths)
    }

    fn each(&self, old: &Oid, new: &Oid, each: &mut Each<'_>) -> Option<()> {
        if old == new {
            return Some(());
        }
        let id = |oid: &Oid| git2::Oid::from_str_ext(oid.as_str(), self.format).ok();
        let mut walk = Walk { comparison: self, left: TREES, path: Vec::new(), each };
        walk.folder(Some(id(old)?), Some(id(new)?))
    }

    /// Bytes of an id in a tree.
    fn hash(&self) -> usize {
        match self.format {
            git2::ObjectFormat::Sha256 => 32,
            git2::ObjectFormat::Sha1 => 20,
        }
    }

    fn read(&self, tree: git2::Oid) -> Option<git2::OdbObject<'_>> {
        let object = self.objects.read(tree).ok()?;
        let is_tree = object.kind() == git2::ObjectType::Tree && object.len() <= TREE_LIMIT;
        is_tree.then_some(object)
    }
}

struct Walk<'w, 'e> {
    comparison: &'w Comparison<'w>,
    /// As many trees may still be read.
    left: usize,
    /// Of the folder that is compared, with a `/` at its end; nothing for the root.
    path: Vec<u8>,
    each: &'w mut Each<'e>,
}

impl Walk<'_, '_> {
    /// Goes through both sides as git does: in step, as their names are sorted.
    fn folder(&mut self, old: Option<git2::Oid>, new: Option<git2::Oid>) -> Option<()> {
        let comparison = self.comparison;
        let hash = comparison.hash();
        let (old, new) = (self.tree(comparison, old)?, self.tree(comparison, new)?);
        let [mut old, mut new] =
            [&old, &new].map(|side| side.as_ref().map_or(&[][..], |it| it.data()));
        while !old.is_empty() || !new.is_empty() {
            let (there, after) = next_entry(new, hash)?;
            let same = new.len() - after.len();
            if same > 0 && old.get(..same) == new.get(..same) {
                (old, new) = (&old[same..], after);
                continue;
            }
            let (here, behind) = next_entry(old, hash)?;
            let order = match (&here, &there) {
                (Some(here), Some(there)) => here.order(there),
                (Some(_), None) => Ordering::Less,
                (None, _) => Ordering::Greater,
            };
            let (here, there) = (here.filter(|_| order.is_le()), there.filter(|_| order.is_ge()));
            self.entry(here, there)?;
            if order.is_le() {
                old = behind;
            }
            if order.is_ge() {
                new = after;
            }
        }
        Some(())
    }

    /// Takes what differs under one name: folders on both sides, or files.
    fn entry(&mut self, old: Option<RawEntry<'_>>, new: Option<RawEntry<'_>>) -> Option<()> {
        let entry = new.or(old)?;
        if entry.name.is_empty() || entry.name.contains(&b'/') {
            return None;
        }
        let length = self.path.len();
        self.path.extend(entry.name);
        if entry.mode == FOLDER {
            self.path.push(b'/');
            let id = |side: Option<RawEntry<'_>>| side.map(|it| git2::Oid::from_bytes(it.id));
            let (old, new) = (id(old).transpose().ok()?, id(new).transpose().ok()?);
            if old != new {
                self.folder(old, new)?;
            }
        } else {
            // A mode that git does not write, it reads as one that it does.
            let _ = (side(old)?, side(new)?);
            (self.each)(&self.path, old, new)?;
        }
        self.path.truncate(length);
        Some(())
    }

    /// Reads one side; nothing stands in the empty tree, nor where there is none.
    fn tree<'c>(
        &mut self,
        comparison: &'c Comparison<'_>,
        tree: Option<git2::Oid>,
    ) -> Option<Option<git2::OdbObject<'c>>> {
        let Some(tree) = tree.filter(|tree| *tree != comparison.empty) else { return Some(None) };
        self.left = self.left.checked_sub(1)?;
        comparison.read(tree).map(Some)
    }
}

impl RawEntry<'_> {
    /// git's order in a tree: a folder's name as if it ended in `/`.
    fn order(&self, other: &RawEntry<'_>) -> Ordering {
        let key = |it: &RawEntry<'_>| (it.mode == FOLDER).then_some(b'/');
        self.name.iter().copied().chain(key(self)).cmp(other.name.iter().copied().chain(key(other)))
    }
}

/// What stands on one side of a file that differs: `Some(None)` for nothing.
fn side(entry: Option<RawEntry<'_>>) -> Option<Option<Entry>> {
    let Some(entry) = entry else { return Some(None) };
    let (_, mode) = MODES.iter().find(|(text, _)| *text == entry.mode)?;
    Some(Some(Entry { mode: *mode, oid: Oid::from_raw(entry.id)? }))
}

/// Returns the first entry, none at the end, and what stands behind it; `None`:
/// it is not as git writes it.
fn next_entry(bytes: &[u8], hash: usize) -> Option<(Option<RawEntry<'_>>, &[u8])> {
    if bytes.is_empty() {
        return Some((None, bytes));
    }
    let space = memchr::memchr(b' ', bytes)?;
    let (mode, rest) = (&bytes[..space], &bytes[space + 1..]);
    let nul = memchr::memchr(0, rest)?;
    let (name, rest) = (&rest[..nul], &rest[nul + 1..]);
    let (id, rest) = rest.split_at_checked(hash)?;
    Some((Some(RawEntry { mode, name, id }), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_as_git_writes_them_are_read() {
        let entry = |text: &str| [text.as_bytes(), b"\0", &[7; 20]].concat();
        let two = [entry("100644 a b"), entry("40000 c")].concat();
        let (first, rest) = next_entry(&two, 20).expect("two entries");
        assert_eq!(first.map(|it| it.name), Some(&b"a b"[..]));
        assert_eq!(next_entry(rest, 20).and_then(|it| it.0).map(|it| it.mode), Some(FOLDER));
        for broken in ["100644", "100644a"] {
            assert!(next_entry(&entry(broken), 20).is_none(), "{broken}");
        }
        assert!(next_entry(&rest[..rest.len() - 1], 20).is_none());
        assert!(next_entry(rest, 32).is_none());
    }

    #[test]
    fn names_are_ordered_as_in_a_tree() {
        let entry = |mode, name| RawEntry { mode, name, id: &[] };
        let file = |name| entry(b"100644", name);
        let folder = |name| entry(FOLDER, name);
        let sorted =
            [file(b"a"), file(b"a.b"), folder(b"a"), file(b"a0"), file(b"b"), folder(b"b")];
        for pair in sorted.windows(2) {
            assert_eq!(pair[0].order(&pair[1]), Ordering::Less, "{:?}", pair[0].name);
            assert_eq!(pair[1].order(&pair[0]), Ordering::Greater, "{:?}", pair[0].name);
            assert_eq!(pair[0].order(&pair[0]), Ordering::Equal, "{:?}", pair[0].name);
        }
    }
}
