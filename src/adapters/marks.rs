//! The marks seen when commits were made, kept on this machine below the git
//! common directory: first for the commit being made, then by its id.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::ancestors::ProcessId;
use super::fs::{self, FsError};
use crate::gate::change::{Change, Entry, FileChange, Identity, Oid, RepoPath};
use crate::gate::recorded::RecordedLines;
use crate::gate::signal::{Signal, Strength};

/// The most that is kept and read, in bytes; beyond it the older half goes.
const LIMIT: u64 = 4 << 20;

/// The most that is read of what one commit left pending, in bytes.
const PENDING_LIMIT: u64 = 64 << 20;

/// What pre-commit saw, until the commit has an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The tree that was judged.
    pub tree: Oid,
    pub signals: Vec<Signal>,
    /// What agents recorded of the staged lines.
    pub lines: Vec<RecordedLines>,
    /// The trailers that commit-msg wrote into the message.
    pub written: Vec<String>,
    /// A person's key is to sign what is recorded of the commit.
    pub signs: bool,
    /// The git that makes the commit; `None` where it cannot be told from a later one.
    pub process: Option<ProcessId>,
    /// `None`: commit-msg judges.
    pub foreseen: Option<Foreseen>,
    /// What is staged; `None`: too much to be kept here.
    pub staged: Option<Staged>,
}

/// The staged files as pre-commit judged them, by names and ids alone. It holds
/// for the same run of git and the same index only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Staged {
    /// The index as it was judged, see [`fs::stamp`].
    index: String,
    base: String,
    files: Vec<StagedFile>,
}

/// Path (see [`RepoPath::to_text`]), what stood there, what stands there.
type StagedFile = (String, Option<StagedEntry>, Option<StagedEntry>);

/// Mode and object id.
type StagedEntry = (u32, String);

/// As many files are kept; more are asked for again.
const STAGED_FILES: usize = 100;

impl Staged {
    /// Keeps the files of a staged change; `None` for too many, and for a
    /// change whose lines were read.
    pub fn of(change: &Change, index: &str) -> Option<Staged> {
        let plain = |file: &FileChange| file.added.is_empty() && file.removed == 0 && !file.binary;
        if change.files.len() > STAGED_FILES || !change.files.iter().all(plain) {
            return None;
        }
        let side = |entry: &Option<Entry>| {
            entry.as_ref().map(|entry| (entry.mode, entry.oid.as_str().to_owned()))
        };
        let file = |file: &FileChange| (file.path.to_text(), side(&file.old), side(&file.new));
        let files = change.files.iter().map(file).collect();
        Some(Staged { index: index.to_owned(), base: change.base.to_string(), files })
    }

    /// The change to this tree, if the index is still the same; `None` also for
    /// what cannot be read.
    pub fn change(&self, tree: &Oid, index: &str) -> Option<Change> {
        if self.index != index {
            return None;
        }
        let side = |kept: &Option<StagedEntry>| match kept {
            Some((mode, oid)) => Some(Some(Entry { mode: *mode, oid: Oid::parse(oid)? })),
            None => Some(None),
        };
        let file = |(path, old, new): &StagedFile| {
            Some(FileChange {
                path: RepoPath::from_text(path)?,
                old: side(old)?,
                new: side(new)?,
                added: Vec::new(),
                removed: 0,
                binary: false,
            })
        };
        Some(Change {
            base: Oid::parse(&self.base)?,
            head: tree.clone(),
            head_tree: tree.clone(),
            commits: Vec::new(),
            files: self.files.iter().map(file).collect::<Option<_>>()?,
        })
    }
}

/// What pre-commit could tell of commit-msg's answer. It holds for the same
/// run of git and the same index only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Foreseen {
    /// The index as it was judged, see [`fs::stamp`].
    pub index: String,
    pub messages: Messages,
}

/// Which messages pass.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Messages {
    /// The policy asks nothing of messages.
    All,
    /// Those in which nothing, by these people, is a mark of an agent.
    Unmarked { author: Identity, committer: Identity },
}

/// The place of one work tree's marks.
#[derive(Clone, Debug)]
pub struct Marks {
    folder: PathBuf,
    pending: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Line {
    /// The tree of the pending commit, or the id of a commit.
    object: String,
    checked: bool,
    signals: Vec<Signal>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lines: Vec<RecordedLines>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    written: Vec<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    signs: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    process: Option<ProcessId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    foreseen: Option<Foreseen>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<Staged>,
}

impl Marks {
    /// The marks of the work tree whose git directory this is.
    pub fn open(common_dir: &Path, git_dir: &Path) -> Marks {
        let folder = common_dir.join("countersign");
        let name = match git_dir.strip_prefix(common_dir) {
            Ok(rest) if rest.as_os_str().is_empty() => "pending".to_owned(),
            Ok(_) | Err(_) => {
                let name = git_dir.file_name().unwrap_or_default().to_string_lossy();
                format!("pending-{name}")
            }
        };
        let pending = folder.join(name);
        Marks { folder, pending }
    }

    /// Keeps what was seen of the commit being made.
    pub fn keep_pending(&self, pending: &Pending) -> Result<(), FsError> {
        fs::create_private_folder(&self.folder)?;
        let Pending { tree, signals, lines, written, signs, process, foreseen, staged } =
            pending.clone();
        let object = tree.to_string();
        let line = Line {
            object,
            checked: true,
            signals,
            lines,
            written,
            signs,
            process,
            foreseen,
            staged,
        };
        fs::overwrite(&self.pending, text(&line).as_bytes(), 0o600)
    }

    /// Returns what was kept of the commit being made. What cannot be parsed counts as absent.
    pub fn pending(&self) -> Result<Option<Pending>, FsError> {
        let Some(bytes) = fs::read(&self.pending, PENDING_LIMIT)? else { return Ok(None) };
        let line: Option<Line> = serde_json::from_slice(&bytes).ok();
        Ok(line.and_then(|line| {
            Some(Pending {
                tree: Oid::parse(&line.object)?,
                signals: line.signals,
                lines: line.lines,
                written: line.written,
                signs: line.signs,
                process: line.process,
                foreseen: line.foreseen,
                staged: line.staged,
            })
        }))
    }

    /// Tells the shim of post-commit, which reads this itself, that nothing is left
    /// to do in this run of git. Only the main work tree's shim looks.
    pub fn settle(&self, run: ProcessId) -> Result<(), FsError> {
        fs::overwrite(&self.folder.join("settled"), format!("{run}\n").as_bytes(), 0o600)
    }

    /// Forgets what was kept of the commit being made.
    pub fn forget_pending(&self) -> Result<(), FsError> {
        fs::remove_file(&self.pending)
    }

    /// Keeps the marks of a commit that now has an id. `checked` says whether
    /// pre-commit saw its tree. A commit with neither news is not kept.
    pub fn bind(&self, commit: &Oid, signals: &[Signal], checked: bool) -> Result<(), FsError> {
        if signals.is_empty() && checked {
            return Ok(());
        }
        fs::create_private_folder(&self.folder)?;
        self.make_room()?;
        let line = Line {
            object: commit.to_string(),
            checked,
            signals: signals.to_vec(),
            lines: Vec::new(),
            written: Vec::new(),
            signs: false,
            process: None,
            foreseen: None,
            staged: None,
        };
        fs::append(&self.list(), text(&line).as_bytes(), 0o600)
    }

    /// Returns the marks by commit. They were ambient when the commit was made;
    /// bound to it, they are a record of it. A line that is cut off costs only itself.
    pub fn by_commit(&self) -> Result<BTreeMap<Oid, Vec<Signal>>, FsError> {
        let mut marks: BTreeMap<Oid, Vec<Signal>> = BTreeMap::new();
        for line in self.lines()? {
            if let Some(commit) = Oid::parse(&line.object) {
                let recorded = line
                    .signals
                    .into_iter()
                    .map(|it| Signal { strength: Strength::Recorded, ..it });
                marks.entry(commit).or_default().extend(recorded);
            }
        }
        Ok(marks)
    }

    /// Returns the commits that were made without the commit hooks.
    pub fn unchecked(&self) -> Result<Vec<Oid>, FsError> {
        let lines = self.lines()?;
        Ok(lines
            .iter()
            .filter(|line| !line.checked)
            .filter_map(|line| Oid::parse(&line.object))
            .collect())
    }

    fn list(&self) -> PathBuf {
        self.folder.join("marks.jsonl")
    }

    fn lines(&self) -> Result<Vec<Line>, FsError> {
        let bytes = fs::read(&self.list(), 2 * LIMIT)?.unwrap_or_default();
        Ok(bytes
            .split(|&byte| byte == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect())
    }

    fn make_room(&self) -> Result<(), FsError> {
        if fs::size(&self.list())? < LIMIT {
            return Ok(());
        }
        let bytes = fs::read(&self.list(), 2 * LIMIT)?.unwrap_or_default();
        let middle = bytes.len() / 2;
        let cut = bytes[middle..]
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(bytes.len(), |at| middle + at + 1);
        fs::replace(&self.list(), &bytes[cut..], 0o600)
    }
}

fn text(line: &Line) -> String {
    let text = serde_json::to_string(line).expect("plain strings and enums always serialise");
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gate::signal::SignalKind;

    fn oid(digit: &str) -> Oid {
        Oid::parse(&digit.repeat(40)).expect("40 digits")
    }

    fn signal() -> Signal {
        Signal {
            agent: "codex".to_owned(),
            kind: SignalKind::Environment,
            strength: Strength::Ambient,
            value: "A=1".to_owned(),
            model: None,
            in_trailer_block: None,
        }
    }

    #[test]
    fn marks_are_pending_for_each_work_tree_and_then_bound_to_a_commit() {
        let folder = fs::scratch_folder().expect("a scratch folder");
        let common = folder.path();
        let (main, linked) =
            (Marks::open(common, common), Marks::open(common, &common.join("worktrees/w")));
        let file = |path: &[u8], old: Option<&str>| FileChange {
            path: RepoPath::new(path),
            old: old.map(|id| Entry { mode: 0o100_644, oid: oid(id) }),
            new: Some(Entry { mode: 0o120_000, oid: oid("f") }),
            added: Vec::new(),
            removed: 0,
            binary: false,
        };
        let change = Change {
            base: oid("9"),
            head: oid("a"),
            head_tree: oid("a"),
            commits: Vec::new(),
            files: vec![file(b"a", None), file(b"\"\xff\n", Some("e"))],
        };
        let pending = Pending {
            tree: oid("a"),
            signals: vec![signal()],
            lines: Vec::new(),
            written: vec!["Assisted-by: codex".to_owned()],
            signs: true,
            process: None,
            foreseen: None,
            staged: Staged::of(&change, "1 2 3"),
        };
        let staged = pending.staged.as_ref().expect("few files");
        assert_eq!(staged.change(&oid("a"), "1 2 3").as_ref(), Some(&change));
        assert_eq!(staged.change(&oid("a"), "1 2 4"), None);
        let lines = vec![crate::gate::change::LineRange { start: 1, end: 1 }];
        let read = FileChange { added: lines, ..file(b"a", None) };
        assert_eq!(Staged::of(&Change { files: vec![read], ..change }, ""), None);
        main.keep_pending(&pending).expect("keeps");
        assert_eq!(main.pending().expect("reads"), Some(pending.clone()));
        // It is written over the longer one, and a crash may leave some of that.
        let longer = fs::read(&main.pending, 4096).expect("reads").expect("is there");
        let shorter = Pending { staged: None, written: Vec::new(), ..pending };
        main.keep_pending(&shorter).expect("keeps");
        assert_eq!(main.pending().expect("reads").as_ref(), Some(&shorter));
        let length = fs::read(&main.pending, 4096).expect("reads").expect("is there").len();
        fs::append(&main.pending, &longer[length..], 0o600).expect("what stood there before");
        assert_eq!(main.pending().expect("reads"), None);
        assert_eq!(linked.pending().expect("reads"), None);
        main.bind(&oid("b"), &[signal()], true).expect("binds");
        main.bind(&oid("c"), &[], false).expect("binds");
        main.bind(&oid("d"), &[], true).expect("binds");
        fs::append(&main.list(), b"{\"object\":\"ee", 0o600).expect("a line that a crash cut off");
        let kept = linked.by_commit().expect("reads");
        assert_eq!(kept[&oid("b")][0].strength, Strength::Recorded);
        assert_eq!(kept.get(&oid("d")), None);
        assert_eq!(main.unchecked().expect("reads"), [oid("c")]);
        main.forget_pending().expect("forgets");
        assert_eq!(main.pending().expect("reads"), None);
    }
}
