//! The tree that the index would become, found without writing to the repository.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
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
        let hash = if self.layout().sha256 { 32 } else { 20 };
        // An index of many files is long, and is not held: the id stands behind them.
        let Some((file, length)) = fs::open(&self.layout().index)? else { return Ok(None) };
        let mut index = BufReader::with_capacity(64 << 10, file.take(length.saturating_sub(hash)));
        Ok(root_tree(&mut index, hash as usize))
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

/// The tree of what is in an index, where that is noted in it; `hash` is the
/// length of an id in bytes.
pub(in crate::adapters) fn cached_tree(index: &[u8], hash: usize) -> Option<Oid> {
    let mut body = index.get(..index.len().checked_sub(hash)?)?;
    root_tree(&mut body, hash)
}

/// Reads the root of the index's cache tree, if there is one and it is valid
/// (<https://git-scm.com/docs/index-format>). `index` ends before the hash at
/// the file's end. `None` means "ask git", also for whatever is not understood.
fn root_tree(index: &mut dyn BufRead, hash: usize) -> Option<Oid> {
    let signature = bytes::<4>(index)?;
    let (version, entries) = (number(index)?, number(index)?);
    if signature != *b"DIRC" || !(2..=4).contains(&version) {
        return None;
    }
    for _ in 0..entries {
        skip_entry(index, version, hash)?;
    }
    loop {
        let (signature, size) = (bytes::<4>(index)?, number(index)?);
        let mut content = (&mut *index).take(u64::from(size));
        if signature == *b"TREE" {
            return root_of(&mut content, hash);
        }
        skip(&mut content, usize::try_from(size).ok()?)?;
    }
}

fn bytes<const COUNT: usize>(from: &mut dyn BufRead) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    from.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn number(from: &mut dyn BufRead) -> Option<u32> {
    bytes(from).map(u32::from_be_bytes)
}

fn skip(from: &mut dyn BufRead, mut count: usize) -> Option<()> {
    while count > 0 {
        let ready = from.fill_buf().ok()?.len().min(count);
        if ready == 0 {
            return None;
        }
        from.consume(ready);
        count -= ready;
    }
    Some(())
}

/// An entry: ten numbers, the object id, the flags with the length of the name,
/// further flags where a bit says so, and the name. It ends in one to eight
/// NULs, so that entries are multiples of eight long; in version 4 it begins
/// with how many bytes of the last name to drop, and ends in one.
fn skip_entry(index: &mut dyn BufRead, version: u32, hash: usize) -> Option<()> {
    skip(index, 40 + hash)?;
    let flags = u16::from_be_bytes(bytes(index)?);
    let is_extended = flags & 0x4000 != 0;
    if is_extended {
        bytes::<2>(index)?;
    }
    if version == 4 {
        while bytes::<1>(index)?[0] & 0x80 != 0 {}
        return index.skip_until(0).ok().map(|_| ());
    }
    let start = 40 + hash + if is_extended { 4 } else { 2 };
    let end = |name: usize| ((start + name + 8) & !7) - start;
    match usize::from(flags & LONG_NAME) {
        name if name < usize::from(LONG_NAME) => skip(index, end(name)),
        _ => {
            let name = index.skip_until(0).ok()?.checked_sub(1)?;
            skip(index, end(name) - (name + 1))
        }
    }
}

/// The length of a name that does not fit into the flags, and their part for it.
const LONG_NAME: u16 = 0xfff;

/// `<path> NUL <entries> SP <subtrees> LF <oid>`; the root's path is empty, and
/// a negative number of entries means that the tree is out of date.
fn root_of(tree: &mut dyn BufRead, hash: usize) -> Option<Oid> {
    let (mut path, mut line) = (Vec::new(), Vec::new());
    (&mut *tree).take(1).read_until(0, &mut path).ok()?;
    (&mut *tree).take(64).read_until(b'\n', &mut line).ok()?;
    let count = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?.split(' ').next()?;
    count.parse::<u64>().ok().filter(|_| path == [0])?;
    let mut id = Vec::new();
    tree.take(hash as u64).read_to_end(&mut id).ok().filter(|length| *length == hash)?;
    Oid::parse(&id.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}
