//! Writing: objects, trees that extend a tree, commits, and moving a ref. The
//! index and the work tree are never touched.

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::{Git, GitError, Kind, Surroundings, unexpected};
use crate::gate::change::{Entry, Oid, RepoPath};
use crate::gate::order;
use crate::gate::time::Timestamp;

/// A commit that countersign makes on its own behalf, on the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewCommit {
    pub tree: Oid,
    pub parents: Vec<Oid>,
    pub message: String,
    pub at: Timestamp,
}

/// Who the author and committer of those are. What a record says of a person is
/// in the record, signed; a name on the commit would only look like it.
const IDENTITY: &str = "countersign <countersign@localhost>";

const FOLDER: u32 = 0o040000;

impl Git {
    /// Writes an object and returns its id.
    pub fn write_object(&self, kind: Kind, bytes: &[u8]) -> Result<Oid, GitError> {
        match self.engine_write(kind, bytes) {
            Some(oid) => Ok(oid),
            None => self.plumbing_write(kind, bytes),
        }
    }

    /// `None`: the engine cannot open this repository, or not write there.
    fn engine_write(&self, kind: Kind, bytes: &[u8]) -> Option<Oid> {
        let writer = self.writer.get_or_init(|| self.open_writer().map(Mutex::new));
        let id = writer.as_ref()?.lock().ok()?.odb().ok()?.write(kind.engine(), bytes).ok()?;
        Oid::parse(&id.to_string())
    }

    fn open_writer(&self) -> Option<git2::Repository> {
        // A quarantine is known only from the environment. Else the environment
        // is left alone: libgit2 would read the whole index that a hook's names,
        // and fail on the kinds it does not know.
        let quarantine = match self.surroundings {
            Surroundings::Inherited => self.surroundings.variable("GIT_OBJECT_DIRECTORY"),
            Surroundings::Own(_) => None,
        };
        let flags = match quarantine {
            Some(_) => git2::RepositoryOpenFlags::FROM_ENV,
            None => git2::RepositoryOpenFlags::NO_SEARCH,
        };
        let none: [&std::ffi::OsStr; 0] = [];
        git2::Repository::open_ext(&self.layout().git_dir, flags, none).ok()
    }

    fn plumbing_write(&self, kind: Kind, bytes: &[u8]) -> Result<Oid, GitError> {
        let call = self.call().args(["hash-object", "-w", "-t", kind.as_str(), "--stdin"]);
        let call = call.stdin(bytes);
        let text = String::from_utf8_lossy(&self.output(call.clone())?).into_owned();
        Oid::parse(text.trim_end()).ok_or_else(|| unexpected(&call, text))
    }

    /// Writes a tree that holds all of `tree` (or of a commit's) and these files, and returns its
    /// id. A file that stands there already is replaced.
    pub fn write_files(&self, tree: &Oid, files: &[(RepoPath, Vec<u8>)]) -> Result<Oid, GitError> {
        let mut entries = BTreeMap::new();
        for (path, bytes) in files {
            let ordinary = |name: &[u8]| !matches!(name, b"" | b"." | b".." | b".git");
            if !path.as_bytes().split(|&byte| byte == b'/').all(ordinary) {
                return Err(GitError::NotAPath(path.to_display()));
            }
            let oid = self.write_object(Kind::Blob, bytes)?;
            entries.insert(path.as_bytes(), Entry { mode: 0o100644, oid });
        }
        self.extend_tree(&self.tree_of(tree)?, entries)
    }

    fn extend_tree(&self, tree: &Oid, files: BTreeMap<&[u8], Entry>) -> Result<Oid, GitError> {
        let mut entries: BTreeMap<Vec<u8>, Entry> = order::map(self.tree_entries(tree)?);
        let mut folders: BTreeMap<&[u8], BTreeMap<&[u8], Entry>> = BTreeMap::new();
        for (path, entry) in files {
            match path.iter().position(|&byte| byte == b'/') {
                Some(slash) => {
                    let folder = folders.entry(&path[..slash]).or_default();
                    folder.insert(&path[slash + 1..], entry);
                }
                None => {
                    entries.insert(path.to_vec(), entry);
                }
            }
        }
        for (name, files) in folders {
            let below = match entries.get(name) {
                Some(entry) if entry.mode == FOLDER => entry.oid.clone(),
                Some(_) | None => self.empty_tree(),
            };
            let oid = self.extend_tree(&below, files)?;
            entries.insert(name.to_vec(), Entry { mode: FOLDER, oid });
        }
        self.write_object(Kind::Tree, &tree_bytes(&entries))
    }

    /// Writes a commit and returns its id.
    pub fn write_commit(&self, commit: &NewCommit) -> Result<Oid, GitError> {
        let parents: String = commit.parents.iter().map(|id| format!("parent {id}\n")).collect();
        let (tree, at, message) = (&commit.tree, commit.at.0, &commit.message);
        let text = format!(
            "tree {tree}\n{parents}author {IDENTITY} {at} +0000\ncommitter {IDENTITY} {at} +0000\n\n{message}"
        );
        self.write_object(Kind::Commit, text.as_bytes())
    }

    /// Moves a ref (by its full name) to `new`, if it stands on `expected`
    /// (`None`: if it is not there yet); [`GitError::RefMoved`] if it does not.
    pub fn update_ref(
        &self,
        name: &str,
        new: &Oid,
        expected: Option<&Oid>,
    ) -> Result<(), GitError> {
        let expected = expected.map_or_else(|| self.zero(), |oid| oid.to_string());
        let call = self
            .call()
            .args(["update-ref", "--no-deref", "-m", "countersign", "--"])
            .args([name, new.as_str(), &expected]);
        self.forget_refs();
        let output = call.run()?;
        let complaint = output.complaint();
        const MOVED: [&str; 4] =
            ["but expected", "already exists", "unable to resolve", "File exists"];
        match output.success() {
            true => Ok(()),
            false if MOVED.iter().any(|words| complaint.contains(words)) => {
                Err(GitError::RefMoved(name.to_owned()))
            }
            false => Err(super::failed(&call, &complaint)),
        }
    }
}

/// git's bytes of a tree: sorted by name, a folder's as if it ended in `/`.
fn tree_bytes(entries: &BTreeMap<Vec<u8>, Entry>) -> Vec<u8> {
    let mut sorted: Vec<_> = entries.iter().collect();
    let key = |(name, entry): &(&Vec<u8>, &Entry)| {
        let mut key = (*name).clone();
        key.extend((entry.mode == FOLDER).then_some(b'/'));
        key
    };
    order::sort_by_key(&mut sorted, key);
    let mut bytes = Vec::new();
    for (name, entry) in sorted {
        bytes.extend_from_slice(format!("{:o} ", entry.mode).as_bytes());
        bytes.extend_from_slice(name);
        bytes.push(0);
        let digit = |byte: u8| char::from(byte).to_digit(16).expect("an id is hexadecimal") as u8;
        let id = entry.oid.as_str().as_bytes();
        bytes.extend(id.chunks(2).map(|pair| digit(pair[0]) * 16 + digit(pair[1])));
    }
    bytes
}
