//! Kept checkouts ("slots") in which a policy's commands run: exactly the tree
//! that is judged, and never the developer's own files.
//!
//! A slot lies in the user's cache folder, below no `.git` (Jest and others
//! find no tests there), and is kept, so that build caches in ignored folders
//! stay warm. It is a repository of its own that borrows the objects of the
//! clone: nothing is registered in the clone, and a test that commits, tags or
//! configures does so in the slot alone.
//!
//! Two git folders serve one slot. `control` is ours: it is outside the
//! checkout, and what it says of the files is believed. `checkout/.git` is the
//! tests': it is made anew each time, so nothing that one test does to it (an
//! exclude file, an `assume-unchanged` bit, a filter) reaches the next.

mod standing;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use self::standing::{Noted, Standing};
use super::fs::{self, FsError};
use super::git::{Git, GitError, cached_tree};
use super::process::{Call, Output, ProcessError};
use crate::gate::change::{Entry, Oid, RepoPath, printable};
use crate::gate::order;
use crate::gate::record::canonical::sha256;

/// How many slots a repository can have at once.
const MAX_SLOTS: usize = 16;
/// How deep submodules may be nested.
const MAX_SUBMODULES: usize = 8;
/// Beyond this number, files that git calls modified are not read again one by one.
const MAX_COMPARED: usize = 2_000;
/// Beyond this length of their names, in bytes, git is asked of all files instead of some.
const MAX_NAMED: usize = 64 << 10;

/// A checkout that could not be made or looked at.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error(transparent)]
    Process(#[from] ProcessError),
    #[error(transparent)]
    Fs(#[from] FsError),
    #[error("failed to {action}: {complaint}")]
    Git { action: String, complaint: String },
    #[error("the checkout of {commit} does not hold its tree {wanted}: {found}")]
    WrongTree { commit: String, wanted: String, found: String },
    #[error("the cache folder `{}` lies below a `.git` folder, where test tools find no tests", .0.display())]
    BelowGit(PathBuf),
    #[error("the submodule `{path}` needs commit {commit}, which this clone does not have")]
    Submodule { path: String, commit: String },
    #[error("interrupted")]
    Interrupted,
}

/// The clone whose commits are checked out.
#[derive(Clone, Debug)]
pub struct Origin {
    git_dir: PathBuf,
    common_dir: PathBuf,
    object_format: &'static str,
    /// The content filters that the clone has (`git lfs install --local`), as `key=value`.
    filters: Vec<String>,
}

impl Origin {
    /// The clone that was opened.
    pub fn of(git: &Git) -> Result<Origin, GitError> {
        let layout = git.layout();
        let config = git.config()?;
        let mut filters = Vec::new();
        for variable in ["clean", "smudge", "process", "required"] {
            for name in config.subsections("filter", variable) {
                let key = format!("filter.{name}.{variable}");
                filters.extend(config.get(&key).map(|value| format!("{key}={value}")));
            }
        }
        Ok(Origin {
            git_dir: layout.git_dir.clone(),
            common_dir: layout.common_dir.clone(),
            object_format: if layout.sha256 { "sha256" } else { "sha1" },
            filters,
        })
    }

    /// The clone of a submodule that lies in this one's `modules`, if it does.
    fn module(&self, name: &str) -> Option<Origin> {
        let safe = |it: Component<'_>| matches!(it, Component::Normal(_));
        if name.is_empty() || !Path::new(name).components().all(safe) {
            return None;
        }
        let candidates =
            [self.git_dir.join("modules").join(name), self.common_dir.join("modules").join(name)];
        let folder = candidates.into_iter().find(|it| it.join("objects").is_dir())?;
        Some(Origin {
            git_dir: folder.clone(),
            common_dir: folder,
            object_format: self.object_format,
            filters: self.filters.clone(),
        })
    }

    /// A name for this clone that two clones on one machine do not share.
    fn digest(&self) -> String {
        sha256(self.common_dir.as_os_str().as_encoded_bytes())[..16].to_owned()
    }
}

/// The slots of one clone.
#[derive(Clone, Debug)]
pub struct Slots {
    origin: Origin,
    root: PathBuf,
}

impl Slots {
    /// The slots of a clone below the user's cache folder; creates the folder,
    /// open to this user only.
    pub fn below(cache_home: &Path, origin: Origin) -> Result<Slots, CheckoutError> {
        let folder = cache_home.join("countersign");
        let root = folder.join(origin.digest());
        if root.components().any(|it| it.as_os_str() == ".git") {
            return Err(CheckoutError::BelowGit(root));
        }
        fs::create_folder(&root)?;
        fs::set_mode(&folder, 0o700)?;
        fs::set_mode(&root, 0o700)?;
        fs::create_folder(&root.join("logs"))?;
        Ok(Slots { origin, root })
    }

    /// Where the logs of runs are kept.
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// Takes a free slot; waits for one while all are in use by other runs.
    pub fn take(&self, interrupted: &AtomicBool) -> Result<Slot, CheckoutError> {
        loop {
            for number in 0..MAX_SLOTS {
                if let Some(lock) = fs::try_lock(&self.root.join(format!("{number}.lock")))? {
                    let folder = self.root.join(number.to_string());
                    fs::create_folder(&folder)?;
                    fs::set_mode(&folder, 0o700)?;
                    return Ok(Slot { number, folder, origin: self.origin.clone(), _lock: lock });
                }
            }
            if interrupted.load(Ordering::Relaxed) {
                return Err(CheckoutError::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// One checkout, locked for as long as the value lives.
#[derive(Debug)]
pub struct Slot {
    number: usize,
    folder: PathBuf,
    origin: Origin,
    _lock: fs::Lock,
}

impl Slot {
    /// Which of the slots it is.
    pub fn number(&self) -> usize {
        self.number
    }

    /// The root of the checked-out files.
    pub fn checkout(&self) -> PathBuf {
        self.folder.join("checkout")
    }

    /// A folder of this slot outside the checkout, for what must survive a clean.
    pub fn aside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Brings the slot to exactly this commit's tree. What is ignored stays;
    /// everything else that is not in the tree is removed.
    pub fn bring(
        &self,
        commit: &Oid,
        tree: &Oid,
        interrupted: &AtomicBool,
    ) -> Result<(), CheckoutError> {
        let Err(error) = self.attempt(commit, tree) else { return Ok(()) };
        // An interruption ends git, too: the slot is as good as before.
        if interrupted.load(Ordering::Relaxed) {
            return Err(CheckoutError::Interrupted);
        }
        // Caches are not thrown away for what a new slot could not do either.
        if !self.top().has_whole_tree(tree)? {
            return Err(error);
        }
        // Whatever an earlier run left that git could not clear away.
        for name in ["checkout", "control", "modules", "setup"] {
            fs::remove_tree(&self.folder.join(name))?;
        }
        self.attempt(commit, tree)
    }

    fn attempt(&self, commit: &Oid, tree: &Oid) -> Result<(), CheckoutError> {
        let top = self.top();
        let found = top.bring(commit)?;
        if found != tree.as_str() {
            let (commit, wanted) = (commit.to_string(), tree.to_string());
            return Err(CheckoutError::WrongTree { commit, wanted, found });
        }
        self.submodules(&top, 0)
    }

    /// The tracked files whose content is not the commit's, submodules' included.
    pub fn modified(&self) -> Result<Vec<RepoPath>, CheckoutError> {
        let mut paths = Vec::new();
        for part in self.parts()? {
            paths.extend(part.modified()?.into_iter().map(|path| part.below_top(&path)));
        }
        Ok(paths)
    }

    /// Whether there are files that are neither tracked nor ignored.
    pub fn has_untracked(&self) -> Result<bool, CheckoutError> {
        let arguments = ["ls-files", "--others", "--exclude-standard", "--directory", "-z"];
        Ok(!self.top().git(&arguments, "list untracked files")?.stdout.is_empty())
    }

    /// The files of the commit's tree that `wanted` picks, by path.
    pub fn entries(
        &self,
        wanted: impl Fn(&RepoPath) -> bool,
    ) -> Result<BTreeMap<RepoPath, Entry>, CheckoutError> {
        let listing = self.top().git(&["ls-files", "-s", "-z"], "list the tracked files")?;
        let mut entries = BTreeMap::new();
        for (path, entry) in listing.stdout.split(|byte| *byte == 0).filter_map(staged) {
            if wanted(&path) {
                entries.insert(path, entry);
            }
        }
        Ok(entries)
    }

    fn top(&self) -> Part<'_> {
        Part {
            slot: self,
            origin: self.origin.clone(),
            control: self.folder.join("control"),
            files: self.checkout(),
            prefix: Vec::new(),
        }
    }

    /// Brings the submodules that this clone has; what it does not have is an
    /// empty folder, as in a clone without it. Nothing is fetched.
    fn submodules(&self, part: &Part<'_>, depth: usize) -> Result<(), CheckoutError> {
        for module in part.modules(depth)? {
            let Some(inner) = module.part else {
                fs::remove_tree(&part.files.join(os_path(&module.path)))?;
                fs::create_folder(&part.files.join(os_path(&module.path)))?;
                continue;
            };
            inner.bring(&module.commit).map_err(|error| match error {
                CheckoutError::Git { .. } => CheckoutError::Submodule {
                    path: module.path.to_display(),
                    commit: module.commit.to_string(),
                },
                other => other,
            })?;
            self.submodules(&inner, depth + 1)?;
        }
        Ok(())
    }

    fn parts(&self) -> Result<Vec<Part<'_>>, CheckoutError> {
        let mut waiting = vec![(self.top(), 0)];
        let mut parts = Vec::new();
        while let Some((part, depth)) = waiting.pop() {
            let modules = part.modules(depth)?.into_iter().filter_map(|module| module.part);
            waiting.extend(modules.map(|module| (module, depth + 1)));
            parts.push(part);
        }
        Ok(parts)
    }
}

/// The checkout itself or one of its submodules.
struct Part<'a> {
    slot: &'a Slot,
    origin: Origin,
    control: PathBuf,
    files: PathBuf,
    /// Where it lies below the checkout's root; empty, or with a final slash.
    prefix: Vec<u8>,
}

/// A submodule that a commit has.
struct Module<'a> {
    path: RepoPath,
    commit: Oid,
    /// `None`: the clone does not have it.
    part: Option<Part<'a>>,
}

impl<'a> Part<'a> {
    /// Brings the files to the commit, and returns the tree that git has put there.
    fn bring(&self, commit: &Oid) -> Result<String, CheckoutError> {
        for folder in [&self.files, &self.control] {
            // A test may have put a link to anywhere in its place.
            if !folder.is_dir() || folder.is_symlink() {
                fs::remove_tree(folder)?;
                fs::create_folder(folder)?;
            }
        }
        self.write_repository(&self.control, "ref: refs/heads/none\n")?;
        // A killed git leaves its lock; the slot's lock says that nobody else is here.
        fs::remove_file(&self.control.join("index.lock"))?;
        fs::remove_file(&self.control.join("HEAD.lock"))?;
        let checkout = ["checkout", "-f", "-q", "--detach", "--end-of-options", commit.as_str()];
        self.git(&checkout, "check the commit out")?;
        let index = self.index()?;
        let standing = self.standing(&index);
        if !standing.as_ref().is_some_and(|it| self.are_ignored(&it.strays)) {
            self.git(&["clean", "-ffdq"], "clean the checkout")?;
        }
        if let Some(path) = self.modified_of(standing)?.first() {
            return Err(CheckoutError::WrongTree {
                commit: commit.to_string(),
                wanted: "exactly".to_owned(),
                found: format!("{} differs", path.to_display()),
            });
        }
        let visible = self.files.join(".git");
        fs::remove_tree(&visible)?;
        fs::create_folder(&visible)?;
        self.write_repository(&visible, &format!("{commit}\n"))?;
        fs::write(&visible.join("index"), &index)?;
        self.tree(&index)
    }

    /// The tree of what is checked out, as the index says, else the commit.
    fn tree(&self, index: &[u8]) -> Result<String, CheckoutError> {
        if let Some(tree) = cached_tree(index, self.hash()) {
            return Ok(tree.to_string());
        }
        let tree =
            self.git(&["rev-parse", "--verify", "HEAD^{tree}"], "read the checkout's tree")?;
        Ok(String::from_utf8_lossy(&tree.stdout).trim().to_owned())
    }

    fn index(&self) -> Result<Vec<u8>, CheckoutError> {
        Ok(fs::read(&self.control.join("index"), u64::MAX - 1)?.unwrap_or_default())
    }

    /// The length of an object's id in bytes.
    fn hash(&self) -> usize {
        if self.origin.object_format == "sha1" { 20 } else { 32 }
    }

    /// How the files stand beside what git noted of them; `None`: git has to say.
    fn standing(&self, index: &[u8]) -> Option<Standing> {
        let written = fs::modified(&self.control.join("index")).ok()??;
        let noted = Noted::parse(index, self.hash())?;
        noted.look(&self.files, written).ok()
    }

    /// Whether the clone has every object of a tree.
    fn has_whole_tree(&self, tree: &Oid) -> Result<bool, CheckoutError> {
        let words = ["rev-list", "--objects", "--no-object-names", "--missing=print"];
        let output = self.call().args(words).args(["--end-of-options", tree.as_str()]).run()?;
        Ok(output.success()
            && !output.stdout.split(|it| *it == b'\n').any(|it| it.starts_with(b"?")))
    }

    /// Writes an empty repository that borrows the clone's objects.
    fn write_repository(&self, folder: &Path, head: &str) -> Result<(), CheckoutError> {
        let mut config = String::from("[core]\n\tbare = false\n\thooksPath = /dev/null\n");
        if self.origin.object_format == "sha1" {
            config.push_str("\trepositoryformatversion = 0\n");
        } else {
            config.push_str("\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = ");
            config.push_str(self.origin.object_format);
            config.push('\n');
        }
        for name in ["objects/info", "refs/heads", "refs/tags"] {
            fs::create_folder(&folder.join(name))?;
        }
        let mut alternates = alternate(&self.origin.common_dir.join("objects"));
        alternates.push(b'\n');
        // It is written anew each time: nothing waits for the disk.
        let write = |name: &str, bytes: &[u8]| fs::replace(&folder.join(name), bytes, 0o600);
        write("objects/info/alternates", &alternates)?;
        write("config", config.as_bytes())?;
        write("HEAD", head.as_bytes())?;
        match fs::read(&self.origin.common_dir.join("shallow"), 64 << 20)? {
            Some(bytes) => write("shallow", &bytes)?,
            None => fs::remove_file(&folder.join("shallow"))?,
        }
        Ok(())
    }

    /// Runs git on this part through our own git folder.
    fn git(&self, arguments: &[&str], action: &str) -> Result<Output, CheckoutError> {
        checked(action, &self.call().args(arguments))
    }

    fn call(&self) -> Call {
        let mut call = Call::new("git", &self.files)
            .env("GIT_DIR", &self.control)
            .env("GIT_WORK_TREE", &self.files)
            .env("GIT_NO_LAZY_FETCH", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("LC_ALL", "C")
            .arg("--no-replace-objects");
        let storage = self.origin.common_dir.join("lfs");
        if storage.is_dir() {
            call = call.arg("-c").arg(format!("lfs.storage={}", storage.display()));
        }
        for setting in FIXED.iter().copied().chain(self.origin.filters.iter().map(String::as_str)) {
            call = call.args(["-c", setting]);
        }
        call
    }

    fn modified(&self) -> Result<Vec<RepoPath>, CheckoutError> {
        self.modified_of(self.standing(&self.index()?))
    }

    /// Whether git ignores each of these files and folders, so that there is
    /// nothing to clean; what cannot be told is none.
    fn are_ignored(&self, strays: &[RepoPath]) -> bool {
        if strays.is_empty() {
            return true;
        }
        let mut names = Vec::new();
        for stray in strays {
            names.extend_from_slice(stray.as_bytes());
            names.push(0);
        }
        let words = ["check-ignore", "-z", "--verbose", "--no-index", "--stdin"];
        let Ok(output) = self.call().args(words).stdin(names).run() else { return false };
        // Source, line, pattern and path each; a pattern may also take a name back.
        let fields: Vec<&[u8]> = output.stdout.split(|it| *it == 0).collect();
        let (rows, rest) = fields.as_chunks::<4>();
        output.success()
            && rest == [b""]
            && rows.iter().all(|row| !row[2].starts_with(b"!"))
            && rows.iter().map(|row| row[3]).eq(strays.iter().map(RepoPath::as_bytes))
    }

    /// The files of which git says that they are modified, among those of which
    /// it has to be asked.
    fn modified_of(&self, standing: Option<Standing>) -> Result<Vec<RepoPath>, CheckoutError> {
        let unsure = standing.map(|it| it.unsure);
        if unsure.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Vec::new());
        }
        let words = ["status", "--porcelain=v1", "-z", "--untracked-files=no"];
        let more = ["--ignore-submodules=all", "--no-renames", "--"];
        let mut call = self.call().args(words).args(more);
        let length =
            |paths: &[RepoPath]| paths.iter().map(|it| it.as_bytes().len() + 1).sum::<usize>();
        if let Some(paths) = unsure.filter(|it| length(it) <= MAX_NAMED) {
            call = call.args(paths.iter().map(os_path));
        }
        let output = checked("look for modified files", &call)?;
        let rows = output.stdout.split(|byte| *byte == 0).filter_map(|row| row.get(3..));
        let paths: Vec<_> = rows.map(RepoPath::new).collect();
        if paths.is_empty() || paths.len() > MAX_COMPARED {
            return Ok(paths);
        }
        self.really_modified(paths)
    }

    /// Drops the files that hold exactly their blob's bytes, with its mode,
    /// although git calls them modified: a file stored with carriage returns under `text=auto` is
    /// that from its checkout on.
    fn really_modified(&self, paths: Vec<RepoPath>) -> Result<Vec<RepoPath>, CheckoutError> {
        let mut modified = Vec::new();
        let mut candidates = Vec::new();
        let listing =
            self.call().args(["ls-files", "-s", "-z", "--"]).args(paths.iter().map(os_path));
        let listing = checked("list the modified files", &listing)?;
        let rows = listing.stdout.split(|byte| *byte == 0);
        let blobs: BTreeMap<_, _> = order::map(rows.filter_map(staged));
        for path in paths {
            let file = self.files.join(os_path(&path));
            // Through a link, in its own place or a folder's, another file is read.
            let place = os_path(&path);
            let linked = place.ancestors().any(|it| self.files.join(it).is_symlink());
            let plain = file.is_file() && !linked && !path.as_bytes().contains(&b'\n');
            let runs = fs::mode(&file).map(|it| it & 0o100 != 0);
            let has_mode = |entry: &Entry| match entry.mode {
                0o100_644 => runs != Some(true),
                0o100_755 => runs != Some(false),
                _ => false,
            };
            let blob = blobs.get(&path).filter(|it| plain && has_mode(it));
            match blob {
                Some(entry) => candidates.push((path, entry.oid.clone())),
                None => modified.push(path),
            }
        }
        if candidates.is_empty() {
            return Ok(modified);
        }
        let mut names = Vec::new();
        for (path, _) in &candidates {
            names.extend_from_slice(path.as_bytes());
            names.push(b'\n');
        }
        let hashes =
            self.call().args(["hash-object", "--no-filters", "--stdin-paths"]).stdin(names);
        let hashes = checked("read the modified files", &hashes)?;
        let hashes = String::from_utf8_lossy(&hashes.stdout).into_owned();
        let mut hashes = hashes.lines();
        for (path, oid) in candidates {
            if hashes.next() != Some(oid.as_str()) {
                modified.push(path);
            }
        }
        order::sort(&mut modified);
        Ok(modified)
    }

    /// The submodules of the commit.
    fn modules(&self, depth: usize) -> Result<Vec<Module<'a>>, CheckoutError> {
        let links = self.links()?;
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let names = if depth < MAX_SUBMODULES { self.module_names()? } else { BTreeMap::new() };
        let modules = links.into_iter().map(|(path, commit)| {
            let origin = names.get(&path).and_then(|name| self.origin.module(name));
            let part = origin.map(|origin| {
                let mut prefix = self.prefix.clone();
                prefix.extend_from_slice(path.as_bytes());
                prefix.push(b'/');
                let control = self.slot.folder.join("modules").join(sha256(&prefix));
                let files = self.files.join(os_path(&path));
                Part { slot: self.slot, origin, control, files, prefix }
            });
            Module { path, commit, part }
        });
        Ok(modules.collect())
    }

    /// Where submodules stand, and at which commits.
    fn links(&self) -> Result<Vec<(RepoPath, Oid)>, CheckoutError> {
        if let Some(noted) = Noted::parse(&self.index()?, self.hash()) {
            return Ok(noted.submodules().collect());
        }
        let listing = self.git(&["ls-files", "-s", "-z"], "list the submodules")?;
        let rows = listing.stdout.split(|byte| *byte == 0);
        let links = rows.filter(|row| row.starts_with(b"160000 ")).filter_map(staged);
        Ok(links.map(|(path, entry)| (path, entry.oid)).collect())
    }

    /// Path to name, as `.gitmodules` has them.
    fn module_names(&self) -> Result<BTreeMap<RepoPath, String>, CheckoutError> {
        let file = self.files.join(".gitmodules");
        if !file.is_file() || file.is_symlink() {
            return Ok(BTreeMap::new());
        }
        let call = self.call().args(["config", "--file", ".gitmodules", "-z", "--get-regexp"]);
        let listing = call.arg(r"^submodule\..*\.path$").run()?;
        let mut names = BTreeMap::new();
        for row in listing.stdout.split(|byte| *byte == 0) {
            let Some((key, path)) =
                std::str::from_utf8(row).ok().and_then(|it| it.split_once('\n'))
            else {
                continue;
            };
            let name = key.strip_prefix("submodule.").and_then(|it| it.strip_suffix(".path"));
            if let Some(name) = name {
                names.insert(RepoPath::new(path), name.to_owned());
            }
        }
        Ok(names)
    }

    fn below_top(&self, path: &RepoPath) -> RepoPath {
        let mut whole = self.prefix.clone();
        whole.extend_from_slice(path.as_bytes());
        RepoPath::new(whole)
    }
}

/// One row of `git ls-files -s -z`.
fn staged(row: &[u8]) -> Option<(RepoPath, Entry)> {
    let tab = row.iter().position(|byte| *byte == b'\t')?;
    let mut words = std::str::from_utf8(&row[..tab]).ok()?.split(' ');
    let mode = u32::from_str_radix(words.next()?, 8).ok()?;
    let oid = Oid::parse(words.next()?)?;
    Some((RepoPath::new(&row[tab + 1..]), Entry { mode, oid }))
}

/// What a user's or a system's configuration must not change here.
const FIXED: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.untrackedCache=false",
    "core.excludesFile=/dev/null",
    "core.sparseCheckout=false",
    "core.splitIndex=false",
    "index.version=2",
    "submodule.recurse=false",
    "gc.auto=0",
    "maintenance.auto=false",
];

/// A line of `objects/info/alternates`; git unquotes one that begins with a
/// double quote, and takes `#` for a comment.
fn alternate(path: &Path) -> Vec<u8> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let path = RepoPath::new(bytes);
    let plain =
        bytes.iter().all(|byte| (0x20..0x7f).contains(byte) && !matches!(byte, b'"' | b'\\'));
    if plain { bytes.to_vec() } else { quoted(&path) }
}

fn quoted(path: &RepoPath) -> Vec<u8> {
    let mut text = vec![b'"'];
    for byte in path.as_bytes() {
        text.extend_from_slice(format!("\\{byte:03o}").as_bytes());
    }
    text.push(b'"');
    text
}

#[cfg(unix)]
pub(super) fn os_path(path: &RepoPath) -> PathBuf {
    use std::os::unix::ffi::OsStrExt;
    PathBuf::from(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

#[cfg(not(unix))]
pub(super) fn os_path(path: &RepoPath) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(path.as_bytes()).into_owned())
}

/// Runs a call that must succeed.
fn checked(action: &str, call: &Call) -> Result<Output, CheckoutError> {
    let output = call.run()?;
    if output.success() {
        return Ok(output);
    }
    let complaint = printable(&output.complaint());
    Err(CheckoutError::Git { action: action.to_owned(), complaint })
}
