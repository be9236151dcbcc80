//! The repository under judgment.
//!
//! git's own plumbing is the truth: configuration, lists of refs, lines that
//! differ and walks are always asked of git, with one process for a question and
//! never one for a commit. `git2`, at home only here, reads and writes objects by
//! id in process; what it cannot open goes through plumbing as well, so that its
//! refusal is never taken for an empty answer. Single refs are read from their
//! files, as far as those are as git writes them. Which files differ between two trees is told from the trees as far as
//! they are as git writes them. The hooks of a commit remember what git told of
//! its configuration, for as long as none of its files changes.

mod annotate;
mod commits;
mod config;
mod diff;
mod glance;
mod history;
mod hunks;
mod index;
mod landings;
mod merges;
mod notes;
mod objects;
mod one_hunk;
mod origin;
mod push;
mod ref_files;
mod refs;
mod remembered;
mod remote;
mod signed;
mod start;
mod tree;
mod trees;

use std::ffi::OsString;
use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};

// It is there to be linked.
use libz_sys as _;

pub use annotate::{Annotated, AnnotatedCommit, AnnotatedLine};
pub use commits::Revisions;
pub use config::Config;
pub use diff::Detail;
pub use glance::Glance;
pub use hunks::hunks;
pub(in crate::adapters) use index::cached_tree;
pub use index::{Dirty, dirty};
pub use objects::{Folder, Kind, Listed};
pub use push::{PushLine, ReceiveLine, parse_pre_push, parse_receive};
pub use remote::{PushedRef, RefOutcome};
pub use signed::CommitSignature;
pub use start::Start;
pub use tree::NewCommit;

use super::env::Env;
use super::fs::FsError;
use super::process::{Call, Output, ProcessError};
use crate::gate::change::Oid;

/// What could not be read from or written to the repository. Each names its object.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    File(#[from] FsError),
    #[error("`{command}` failed: {complaint}")]
    Failed { command: String, complaint: String },
    #[error("`{dir}` is not in a git repository")]
    NotARepository { dir: PathBuf },
    #[error("git refuses the repository at `{path}`, which another user owns")]
    ForeignOwner { path: String },
    #[error("`{command}` printed something unexpected: {what}")]
    Unexpected { command: String, what: String },
    #[error("`{0}` cannot name a revision")]
    NotARevision(String),
    #[error("`{0}` cannot be a file's path")]
    NotAPath(String),
    #[error("object `{0}` is not in this repository")]
    Missing(String),
    #[error("the history of this shallow clone ends before {0} can be told")]
    Shallow(String),
    #[error("{what} is larger than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    #[error("`{0}` was moved by somebody else meanwhile")]
    RefMoved(String),
    #[error("`{0}` has unresolved conflicts in the index")]
    Unmerged(String),
    #[error("git config `{key}` is `{value}`, which is neither true nor false")]
    NotABoolean { key: String, value: String },
    #[error("{what}, git {needs} or newer is needed, and here is `{printed}`")]
    TooOld { what: &'static str, needs: String, printed: String },
    #[error("line {line} of the refs that git sent is malformed")]
    PushLine { line: usize },
}

impl GitError {
    /// What the person can do, each with the exact command.
    pub fn hints(&self) -> Vec<String> {
        match self {
            GitError::ForeignOwner { path } => vec![format!(
                "if you trust it: `git config --global --add safe.directory {}`",
                shell_word(path)
            )],
            GitError::Shallow(_) => vec!["fetch the rest: `git fetch --unshallow`".to_owned()],
            GitError::Missing(object) => vec![
                "in a shallow clone: `git fetch --unshallow`".to_owned(),
                format!("in a partial clone: `git cat-file -e {object}` fetches it"),
                "else: `git fetch`".to_owned(),
            ],
            GitError::Unmerged(_) => {
                vec!["resolve the conflicts, then `git add` the files".to_owned()]
            }
            GitError::TooOld { .. } => vec![
                "bring git up to date, or leave `on = \"merge\"` out of the policy's tests"
                    .to_owned(),
            ],
            GitError::NotARepository { .. } => {
                vec!["go to a clone, or name one with `countersign -C DIR`".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

fn shell_word(path: &str) -> String {
    shlex::try_quote(path).map_or_else(|_| path.to_owned(), |quoted| quoted.into_owned())
}

/// What kind of repository this is, and where its parts lie. All paths are absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The top of the work tree; `None` in a bare repository and inside `.git`.
    pub toplevel: Option<PathBuf>,
    /// This work tree's own git directory.
    pub git_dir: PathBuf,
    /// The git directory that all work trees share.
    pub common_dir: PathBuf,
    /// The index that is in force (`GIT_INDEX_FILE` is honoured); it need not exist.
    pub index: PathBuf,
    pub sha256: bool,
    pub reftable: bool,
    pub shallow: bool,
    pub bare: bool,
    /// What HEAD stands on; `None` before the first commit.
    pub head: Option<Oid>,
}

/// Which variables git sees.
#[derive(Clone, Debug)]
enum Surroundings {
    /// This process's: a hook's index and quarantine live there.
    Inherited,
    /// This process's without those of git, and then these.
    Own(Vec<(OsString, OsString)>),
}

/// The repository, opened once a job.
pub struct Git {
    dir: PathBuf,
    surroundings: Surroundings,
    layout: Layout,
    /// From `dir` up to the top of the work tree: empty or `../../`.
    up: String,
    config: OnceLock<Config>,
    /// Refs that were asked for by name, until we move one.
    known: Mutex<refs::Known>,
    /// The range that was walked last, until somebody takes its commits.
    walk: Mutex<Option<start::Walk>>,
    /// Blobs that were read and are read again.
    kept: Mutex<objects::Kept>,
    /// Reads objects in process.
    objects: OnceLock<Option<Mutex<git2::Odb<'static>>>>,
    /// Writes them.
    writer: OnceLock<Option<Mutex<git2::Repository>>>,
}

impl std::fmt::Debug for Git {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Git").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl Git {
    /// Opens the repository that git finds from `dir`: one process, and all else
    /// only when asked.
    pub fn open(dir: &Path) -> Result<Git, GitError> {
        Git::open_in(dir, Surroundings::Inherited)
    }

    /// Opens another repository than the one under judgment (a demonstration's,
    /// a test's): git's variables are removed, then these set.
    pub fn open_elsewhere(
        dir: &Path,
        variables: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Git, GitError> {
        Git::open_in(dir, Surroundings::Own(variables.into_iter().collect()))
    }

    /// Opens the repository from one of a commit's hooks: where it is of the
    /// plain kind, its configuration is all that git is asked for, and not even
    /// that where an earlier hook asked and nothing has changed since.
    pub fn open_in_hook(env: &Env) -> Result<Git, GitError> {
        match Git::at_a_glance(env)? {
            Some(git) => Ok(git),
            None => Git::open(&env.dir),
        }
    }

    /// `None`: whatever is not as `git init` and `git clone` make it.
    fn at_a_glance(env: &Env) -> Result<Option<Git>, GitError> {
        let Some((glance, head)) = Glance::plain(env) else { return Ok(None) };
        let surroundings = Surroundings::Inherited;
        let config = match remembered::recall(env, &glance.common_dir) {
            Some(config) => config,
            None => match surroundings.read_only(&env.dir).args(remembered::LIST).run()? {
                Output { code: Some(0), stdout, .. } => {
                    remembered::remember(env, &glance.common_dir, &stdout);
                    let Some(config) = remembered::read(&stdout) else { return Ok(None) };
                    config
                }
                _ => return Ok(None),
            },
        };
        let sha256 = head.as_str().len() == 64;
        if !config.is_plain() || sha256 != config.says_sha256() {
            return Ok(None);
        }
        let layout = Layout {
            toplevel: Some(env.dir.clone()),
            git_dir: glance.git_dir,
            common_dir: glance.common_dir,
            index: glance.index,
            sha256,
            reftable: false,
            shallow: false,
            bare: false,
            head: Some(head),
        };
        Ok(Some(Git {
            dir: env.dir.clone(),
            surroundings,
            layout,
            up: String::new(),
            config: OnceLock::from(config),
            known: Mutex::default(),
            walk: Mutex::default(),
            kept: Mutex::default(),
            objects: OnceLock::new(),
            writer: OnceLock::new(),
        }))
    }

    fn open_in(dir: &Path, surroundings: Surroundings) -> Result<Git, GitError> {
        // Whatever cannot fail stands before what can: without a commit, `HEAD`
        // ends the call, and by then everything else is printed. A git before
        // 2.44 repeats `--show-ref-format`, which then means "files".
        let call = surroundings.read_only(dir).args([
            "rev-parse",
            "--path-format=absolute",
            "--is-bare-repository",
            "--is-inside-work-tree",
            "--show-object-format",
            "--is-shallow-repository",
            "--show-ref-format",
            "--absolute-git-dir",
            "--git-common-dir",
            "--git-path",
            "index",
            "--show-cdup",
            "HEAD",
        ]);
        let output = call.run()?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = printed.trim_end_matches('\n').split('\n').collect();
        let [bare, inside, format, shallow, refs, git_dir, common_dir, index, ref rest @ ..] =
            lines[..]
        else {
            return Err(refused(dir, &output, &printed));
        };
        // `--show-cdup` prints nothing at all in a bare repository.
        let (up, head) = match (bare, rest) {
            ("true", [head]) => ("", *head),
            ("false", [up, head]) => (*up, *head),
            _ => return Err(refused(dir, &output, &printed)),
        };
        if std::str::from_utf8(&output.stdout).is_err() {
            return Err(unexpected(&call, "paths that are not UTF-8"));
        }
        let toplevel = match (inside, up) {
            ("true", _) => Some(dir.join(up)),
            (_, up) if Path::new(up).is_absolute() => Some(PathBuf::from(up)),
            _ => None,
        };
        let layout = Layout {
            toplevel: toplevel.map(|path| path.canonicalize().unwrap_or(path)),
            git_dir: PathBuf::from(git_dir),
            common_dir: PathBuf::from(common_dir),
            index: PathBuf::from(index),
            sha256: format == "sha256",
            reftable: refs == "reftable",
            shallow: shallow == "true",
            bare: bare == "true",
            head: Oid::parse(head),
        };
        Ok(Git {
            dir: dir.to_owned(),
            surroundings,
            layout,
            up: up.to_owned(),
            config: OnceLock::new(),
            known: Mutex::default(),
            walk: Mutex::default(),
            kept: Mutex::default(),
            objects: OnceLock::new(),
            writer: OnceLock::new(),
        })
    }

    /// What kind of repository this is.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The directory in which git was asked.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The id of the tree without entries, which every repository knows.
    pub fn empty_tree(&self) -> Oid {
        let text = if self.layout.sha256 {
            "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
        } else {
            "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
        };
        Oid::parse(text).expect("both are full ids in lower case")
    }

    /// git's "no object".
    pub fn zero(&self) -> String {
        "0".repeat(if self.layout.sha256 { 64 } else { 40 })
    }

    /// A call of git that reads: replace refs, grafts and lazy fetches are off.
    pub fn call(&self) -> Call {
        self.surroundings.read_only(&self.dir)
    }

    /// Runs a call and returns what it printed; an exit status other than 0 is an error.
    pub fn output(&self, call: Call) -> Result<Vec<u8>, GitError> {
        let output = call.run()?;
        match output.code {
            Some(0) => Ok(output.stdout),
            _ => Err(failed(&call, &output.complaint())),
        }
    }

    /// Runs a call that answers by its exit status: `Ok(None)` for 1.
    fn answer(&self, call: Call) -> Result<Option<Vec<u8>>, GitError> {
        let output = call.run()?;
        match output.code {
            Some(0) => Ok(Some(output.stdout)),
            Some(1) => Ok(None),
            _ => Err(failed(&call, &output.complaint())),
        }
    }

    /// Runs a call while `read` consumes what it prints. git's own failure
    /// wins over the reader's, which only saw the output end early.
    fn stream(
        &self,
        call: Call,
        read: impl FnOnce(&mut dyn BufRead) -> Result<(), GitError>,
    ) -> Result<(), GitError> {
        let mut result = Ok(());
        let ended = call.stream(|pipe| {
            let mut reader = std::io::BufReader::with_capacity(64 << 10, pipe);
            result = read(&mut reader);
            match result.is_err() && !reader.fill_buf()?.is_empty() {
                true => Err(std::io::Error::other("stopped reading")),
                false => Ok(()),
            }
        });
        match ended {
            Ok((Some(0), _)) => result,
            Ok((code, stderr)) => {
                Err(failed(&call, &Output { code, stdout: Vec::new(), stderr }.complaint()))
            }
            Err(error) => result.and(Err(error.into())),
        }
    }
}

impl Surroundings {
    fn call(&self, dir: &Path) -> Call {
        match self {
            Surroundings::Inherited => Call::git(dir),
            Surroundings::Own(variables) => variables
                .iter()
                .fold(Call::git_elsewhere(dir), |call, (name, value)| call.env(name, value)),
        }
    }

    /// Switches off what lets local state change the answer: replace refs and
    /// lazy fetches (`Call::git`), grafts, and literal paths read as patterns. A
    /// git before 2.44 does not know `GIT_NO_LAZY_FETCH`; without an allowed
    /// protocol it cannot fetch either.
    fn read_only(&self, dir: &Path) -> Call {
        // Variables that shape what git prints; `GIT_DIFF_OPTS` wins over `-U0`.
        const SHAPING: [&str; 6] = [
            "GIT_DIFF_OPTS",
            "GIT_EXTERNAL_DIFF",
            "GIT_GLOB_PATHSPECS",
            "GIT_NOGLOB_PATHSPECS",
            "GIT_ICASE_PATHSPECS",
            "GIT_REF_PARANOIA",
        ];
        SHAPING
            .iter()
            .fold(self.call(dir), |call, name| call.env_remove(name))
            .env("GIT_ALLOW_PROTOCOL", "none")
            .env("GIT_GRAFT_FILE", "/dev/null")
            .env("GIT_LITERAL_PATHSPECS", "1")
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        match self {
            Surroundings::Inherited => super::env::variable(name),
            Surroundings::Own(variables) => {
                variables.iter().find(|(it, _)| it == name).map(|(_, value)| value.clone())
            }
        }
    }
}

fn unexpected(call: &Call, what: impl Into<String>) -> GitError {
    GitError::Unexpected { command: call.name(), what: what.into() }
}

fn failed(call: &Call, complaint: &str) -> GitError {
    if let Some(path) = foreign(complaint) {
        return GitError::ForeignOwner { path };
    }
    if let Some(object) = missing(complaint) {
        return GitError::Missing(object);
    }
    GitError::Failed { command: call.name(), complaint: complaint.to_owned() }
}

fn refused(dir: &Path, output: &Output, printed: &str) -> GitError {
    let complaint = output.complaint();
    if let Some(path) = foreign(&complaint) {
        return GitError::ForeignOwner { path };
    }
    if complaint.contains("not a git repository") {
        return GitError::NotARepository { dir: dir.to_owned() };
    }
    let command = "git rev-parse".to_owned();
    if complaint.is_empty() {
        let what = crate::gate::change::printable(printed);
        return GitError::Unexpected { command, what };
    }
    GitError::Failed { command, complaint }
}

/// The repository that git's `detected dubious ownership in repository at '…'` names.
fn foreign(complaint: &str) -> Option<String> {
    let (_, rest) = complaint.split_once("detected dubious ownership in repository at '")?;
    rest.split_once('\'').map(|(path, _)| path.to_owned())
}

/// The object that git says it could not read: `unable to read <oid>`, `could
/// not fetch <oid> from promisor remote`, `bad object <oid>`.
fn missing(complaint: &str) -> Option<String> {
    const WORDS: [&str; 6] = [
        "unable to read",
        "could not fetch",
        "bad object",
        "missing",
        "could not get",
        "not allowed",
    ];
    let known = WORDS.iter().any(|words| complaint.contains(words));
    let mut words = complaint.split(|character: char| !character.is_ascii_alphanumeric());
    known.then(|| words.find(|word| Oid::parse(word).is_some()).map(str::to_owned)).flatten()
}
