//! Refs as git's files hold them (gitrepository-layout): one file each, or a
//! line of `packed-refs`.
//!
//! Only what cannot be read in two ways is answered; `None` always means "ask git".

use std::path::{Path, PathBuf};

use crate::adapters::fs;
use crate::gate::change::Oid;

/// The longest content of a ref's file.
const REF_LIMIT: u64 = 4 << 10;

/// Beyond as many bytes of `packed-refs`, git is asked.
const PACKED_LIMIT: u64 = 32 << 20;

/// As many symbolic refs may lead to each other, as in git.
const DEPTH: usize = 5;

/// These lie in each work tree's own git directory.
const OF_A_WORK_TREE: [&str; 3] = ["refs/bisect/", "refs/rewritten/", "refs/worktree/"];

/// The refs of a repository, while several of them are asked for.
pub(super) struct RefFiles<'a> {
    common_dir: &'a Path,
    packed: Option<Vec<u8>>,
}

/// Where a ref leads: the last ref's name, and the object that it names.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) name: String,
    pub(super) names: Oid,
}

enum Content {
    Id(Oid),
    LeadsTo(String),
}

impl<'a> RefFiles<'a> {
    pub(super) fn below(common_dir: &'a Path) -> RefFiles<'a> {
        RefFiles { common_dir, packed: None }
    }

    /// Where this ref (by its full name) leads; `Some(None)`: there is no such ref.
    pub(super) fn follow(&mut self, name: &str) -> Option<Option<End>> {
        let mut last = name.to_owned();
        for _ in 0..DEPTH {
            match self.read(&last)? {
                Some(Content::Id(names)) => return Some(Some(End { name: last, names })),
                Some(Content::LeadsTo(next)) => last = next,
                None if last == name => return Some(None),
                None => return None,
            }
        }
        None
    }

    fn read(&mut self, name: &str) -> Option<Option<Content>> {
        let file = self.file(name)?;
        if fs::is_folder_itself(&file) {
            return self.read_packed(name);
        }
        if fs::is_link_itself(&file) {
            return None;
        }
        let Some(bytes) = fs::read(&file, REF_LIMIT).ok()? else { return self.read_packed(name) };
        let line = std::str::from_utf8(&bytes).ok()?.strip_suffix('\n')?;
        let content = match line.strip_prefix("ref: ") {
            Some(target) => Content::LeadsTo(target.to_owned()),
            None => Content::Id(Oid::parse(line)?),
        };
        Some(Some(content))
    }

    /// The file of an ordinary ref that all work trees share.
    fn file(&self, name: &str) -> Option<PathBuf> {
        let plain = |part: &str| !part.is_empty() && !part.starts_with('.');
        let ordinary = name.starts_with("refs/")
            && name.split('/').all(plain)
            && !name.contains(|it: char| it == '\\' || it == ':' || it.is_ascii_control())
            && !OF_A_WORK_TREE.iter().any(|folder| name.starts_with(folder));
        ordinary.then(|| self.common_dir.join(name))
    }

    /// Lines `<id> SP <name>`, and others that begin with `#` or `^`.
    fn read_packed(&mut self, name: &str) -> Option<Option<Content>> {
        let packed = match &self.packed {
            Some(packed) => packed,
            None => {
                let file = self.common_dir.join("packed-refs");
                self.packed.insert(fs::read(&file, PACKED_LIMIT).ok()?.unwrap_or_default())
            }
        };
        if packed.last().is_some_and(|&last| last != b'\n') {
            return None;
        }
        let rest = format!(" {name}\n");
        // A ref's name holds no space: in front of the first one stands the id.
        let Some(space) = memchr::memmem::find(packed, rest.as_bytes()) else {
            return Some(None);
        };
        let start = packed[..space].iter().rposition(|&it| it == b'\n').map_or(0, |it| it + 1);
        let id = std::str::from_utf8(&packed[start..space]).ok()?;
        Some(Some(Content::Id(Oid::parse(id)?)))
    }
}
