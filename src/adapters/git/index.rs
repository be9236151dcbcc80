//! The tree that the index would become, found without writing to the repository.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::{Git, GitError, unexpected};
use crate::adapters::fs;
use crate::adapters::process::Call;
use crate::gate::change::{Oid, RepoPath};

/// The largest index that is read (a million files take about 100 MB).
const INDEX_LIMIT: u64 = 2 << 30;

/// A file that differs from HEAD, in the index or in the work tree, or is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirty {
    pub path: RepoPath,
    /// It is not there any more.
    pub gone: bool,
    /// git does not know it yet.
    pub new: bool,
}

impl Dirty {
    /// The file itself, in the work tree with this top.
    pub fn file(&self, top: &Path) -> PathBuf {
        top.join(super::objects::os_path(self.path.as_bytes()))
    }
}

/// The files of the work tree with this top that differ from HEAD, and those
/// that are new and not ignored: one process, in whichever repository.
pub fn dirty(top: &Path) -> Result<Vec<Dirty>, GitError> {
    let call = Call::git_elsewhere(top).args([
        "status",
        "--porcelain=v1",
        "-z",
        "--untracked-files=all",
        "--no-renames",
        "--ignore-submodules=all",
    ]);
    let output = call.run()?;
    if !output.success() {
        return Err(super::failed(&call, &output.complaint()));
    }
    let entries = output.stdout.split(|&byte| byte == 0);
    Ok(entries
        .filter_map(|entry| {
            let (state, path) = entry.split_at_checked(3)?;
            let gone = state.get(1) == Some(&b'D') || state.starts_with(b"D ");
            // A folder is a repository of its own.
            let path = Some(path).filter(|it| !it.is_empty() && !it.ends_with(b"/"))?;
            Some(Dirty { path: RepoPath::new(path), gone, new: state == b"?? " })
        })
        .collect())
}

impl Git {
    /// Returns the tree of what is staged, whose id `git commit` leaves in the
    /// index before it calls hooks. `None`: no id is there, or it is out of date.
    pub(super) fn cached_tree(&self) -> Result<Option<Oid>, GitError> {
        let index = fs::read(&self.layout().index, INDEX_LIMIT)?;
        Ok(index.and_then(|index| cached_tree(&index, self.layout().sha256)))
    }

    /// Has `git write-tree` tell the tree of what is staged from a copy of the
    /// index, with a scratch folder for objects, so that neither the index nor
    /// the object store is written: the tree of an index that no `git commit`
    /// works on may be in no object store.
    pub(super) fn written_tree(&self) -> Result<Oid, GitError> {
        match fs::read(&self.layout().index, INDEX_LIMIT)? {
            Some(index) => self.write_tree_aside(&index),
            None => Ok(self.empty_tree()),
        }
    }

    /// Returns the paths of the index, from the top of the work tree.
    pub fn tracked(&self) -> Result<Vec<RepoPath>, GitError> {
        self.list_files(&["--cached"])
    }

    /// Returns the paths of the index and those of the work tree that git does
    /// not ignore, from the top of the work tree.
    pub fn tracked_and_new(&self) -> Result<Vec<RepoPath>, GitError> {
        self.list_files(&["--cached", "--others", "--exclude-standard"])
    }

    /// Returns the paths of the work tree that differ from the index, and those
    /// that are new and not ignored, from the top of the work tree.
    pub fn unstaged(&self) -> Result<Vec<RepoPath>, GitError> {
        self.list_files(&["--modified", "--others", "--exclude-standard"])
    }

    fn list_files(&self, which: &[&str]) -> Result<Vec<RepoPath>, GitError> {
        let call = self.call().args(["ls-files", "-z", "--full-name"]).args(which).arg("--");
        // From a folder, git lists only what is below it.
        let call = if self.up.is_empty() { call } else { call.arg(&self.up) };
        let bytes = self.output(call)?;
        Ok(bytes.split(|&byte| byte == 0).filter(|it| !it.is_empty()).map(RepoPath::new).collect())
    }

    fn write_tree_aside(&self, index: &[u8]) -> Result<Oid, GitError> {
        let scratch = fs::scratch_folder()?;
        let copy = scratch.path().join("index");
        let objects = scratch.path().join("objects");
        fs::create_folder(&objects)?;
        fs::write_atomically(&copy, index, 0o600)?;
        let mut alternates = OsString::from(quoted(&self.object_folder()?));
        if let Some(more) = self.surroundings.variable("GIT_ALTERNATE_OBJECT_DIRECTORIES") {
            alternates.push(":");
            alternates.push(more);
        }
        let call = self
            .call()
            .env("GIT_INDEX_FILE", &copy)
            .env("GIT_OBJECT_DIRECTORY", &objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", alternates)
            .args(["write-tree", "--missing-ok"]);
        let text = String::from_utf8_lossy(&self.output(call.clone())?).into_owned();
        Oid::parse(text.trim_end()).ok_or_else(|| unexpected(&call, text))
    }

    fn object_folder(&self) -> Result<String, GitError> {
        let call =
            self.call().args(["rev-parse", "--path-format=absolute", "--git-path", "objects"]);
        let text = String::from_utf8_lossy(&self.output(call)?).into_owned();
        Ok(text.trim_end_matches('\n').to_owned())
    }
}

/// Quotes a folder's name for git's list of alternates, where `:` separates.
fn quoted(path: &str) -> String {
    match path.contains([':', '"', '\\']) {
        true => format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\"")),
        false => path.to_owned(),
    }
}

/// Reads the root of the index's cache tree, if there is one and it is valid
/// (<https://git-scm.com/docs/index-format>). `None` means "ask git", also for
/// whatever is not understood.
fn cached_tree(index: &[u8], sha256: bool) -> Option<Oid> {
    let hash = if sha256 { 32 } else { 20 };
    let mut rest = index.strip_prefix(b"DIRC")?;
    let version = number(&mut rest)?;
    let entries = number(&mut rest)?;
    let end = rest.len().checked_sub(hash)?;
    rest = &rest[..end];
    for _ in 0..entries {
        rest = match version {
            2 | 3 => skip_entry(rest, hash)?,
            4 => skip_packed_entry(rest, hash)?,
            _ => return None,
        };
    }
    while rest.len() >= 8 {
        let (signature, after) = rest.split_at(4);
        rest = after;
        let size = usize::try_from(number(&mut rest)?).ok()?;
        let content = rest.get(..size)?;
        if signature == b"TREE" {
            return root_of(content, hash);
        }
        rest = &rest[size..];
    }
    None
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, after) = rest.split_first_chunk::<4>()?;
    *rest = after;
    Some(u32::from_be_bytes(*bytes))
}

/// The length of what stands before an entry's name: ten numbers, the object
/// id, the flags, and further flags where a bit says so.
fn before_name(entry: &[u8], hash: usize) -> Option<usize> {
    let flags = *entry.get(40 + hash)?;
    Some(40 + hash + if flags & 0x40 == 0 { 2 } else { 4 })
}

/// Versions 2 and 3: the name ends in one to eight NULs, so that entries are multiples of eight long.
fn skip_entry(entry: &[u8], hash: usize) -> Option<&[u8]> {
    let start = before_name(entry, hash)?;
    let name = entry.get(start..)?.iter().position(|&byte| byte == 0)?;
    entry.get((start + name + 8) & !7..)
}

/// Version 4: how many bytes of the last name to drop, then the rest, ended by one NUL.
fn skip_packed_entry(entry: &[u8], hash: usize) -> Option<&[u8]> {
    let start = before_name(entry, hash)?;
    let after = entry.get(start..)?;
    let dropped = after.iter().position(|&byte| byte & 0x80 == 0)? + 1;
    let name = after.get(dropped..)?.iter().position(|&byte| byte == 0)?;
    entry.get(start + dropped + name + 1..)
}

/// `<path> NUL <entries> SP <subtrees> LF <oid>`; the root's path is empty, and
/// a negative number of entries means that the tree is out of date.
fn root_of(tree: &[u8], hash: usize) -> Option<Oid> {
    let rest = tree.strip_prefix(b"\0")?;
    let line = rest.iter().position(|&byte| byte == b'\n')?;
    let count = std::str::from_utf8(&rest[..line]).ok()?.split(' ').next()?;
    count.parse::<u64>().ok()?;
    let id = rest.get(line + 1..line + 1 + hash)?;
    Oid::parse(&id.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
