//! What a hook can see of its repository without starting git.
//!
//! Only of the plain kind: a git directory where git's documentation puts it
//! (gitrepository-layout), refs as files, a branch that was just written. Every
//! answer that is not certain is `None`, which means "ask git"; nothing here is
//! ever an error.

use std::path::{Path, PathBuf};

use crate::adapters::env::Env;
use crate::adapters::fs;
use crate::gate::change::Oid;

/// The longest content of a ref's file.
const REF_LIMIT: u64 = 4 << 10;

/// A repository, seen from a hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// This work tree's own git directory.
    pub git_dir: PathBuf,
    /// The git directory that all work trees share.
    pub common_dir: PathBuf,
    /// The index that is in force.
    pub index: PathBuf,
}

impl Glance {
    /// Looks for the repository as git does for its hooks: `GIT_DIR`, else `.git`
    /// in the directory in which git starts them.
    pub fn new(env: &Env) -> Option<Glance> {
        let set = |name: &str| env.get_os(name).filter(|value| !value.is_empty());
        let git_dir = env.dir.join(set("GIT_DIR").map_or(Path::new(".git"), Path::new));
        if set("GIT_COMMON_DIR").is_some() || !is_file(&git_dir.join("HEAD")) {
            return None;
        }
        let common_dir = match fs::read(&git_dir.join("commondir"), REF_LIMIT).ok()? {
            Some(bytes) => git_dir.join(std::str::from_utf8(&bytes).ok()?.trim_end_matches('\n')),
            None => git_dir.clone(),
        };
        let index = match set("GIT_INDEX_FILE") {
            Some(index) => env.dir.join(index),
            None => git_dir.join("index"),
        };
        let whole = common_dir.join("objects").is_dir() && common_dir.join("refs").is_dir();
        whole.then_some(Glance { git_dir, common_dir, index })
    }

    /// The repository that a folder lies in, and the top of its work tree, found
    /// upwards as git finds it; variables are not asked, since an agent's edits
    /// go wherever its files are.
    pub fn above(folder: &Path) -> Option<(Glance, PathBuf)> {
        let top = folder.ancestors().find(|it| fs::stands(&it.join(".git")))?;
        let link = top.join(".git");
        let git_dir = match fs::is_folder_itself(&link) {
            true => link,
            false => top.join(first_line(&link)?.strip_prefix("gitdir: ")?),
        };
        if !is_file(&git_dir.join("HEAD")) {
            return None;
        }
        let common_dir = match first_line(&git_dir.join("commondir")) {
            Some(line) => git_dir.join(line),
            None => git_dir.clone(),
        };
        let index = git_dir.join("index");
        common_dir
            .join("objects")
            .is_dir()
            .then(|| (Glance { git_dir, common_dir, index }, top.to_owned()))
    }

    /// The repository whose main work tree is the working directory, and the
    /// commit on which HEAD stands: `.git` is a folder of its own there, with a
    /// complete history, and no variable says otherwise.
    pub fn plain(env: &Env) -> Option<(Glance, Oid)> {
        const LEADING: [&str; 3] = ["GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_SHALLOW_FILE"];
        let elsewhere = LEADING.iter().any(|name| env.get_os(name).is_some())
            || env.get_os("GIT_DIR").is_some_and(|value| value != ".git");
        let dir = env.dir.join(".git");
        if elsewhere || !fs::is_folder_itself(&dir) || fs::stands(&dir.join("shallow")) {
            return None;
        }
        let glance = Glance::new(env).filter(|it| it.common_dir == dir && it.git_dir == dir)?;
        let head = glance.head()?;
        Some((glance, head))
    }

    /// The commit on which HEAD stands, where its branch is a file of its own,
    /// as it is right after a commit.
    pub fn head(&self) -> Option<Oid> {
        let head = first_line(&self.git_dir.join("HEAD"))?;
        let Some(name) = head.strip_prefix("ref: ") else { return Oid::parse(&head) };
        let plain = name.starts_with("refs/heads/") && !name.contains("..");
        Oid::parse(&first_line(&self.common_dir.join(name))?).filter(|_| plain)
    }

    /// The tree of a commit.
    pub fn tree_of(&self, commit: &Oid) -> Option<Oid> {
        let format = match commit.as_str().len() {
            40 => git2::ObjectFormat::Sha1,
            _ => git2::ObjectFormat::Sha256,
        };
        let objects = git2::Odb::new_ext(format).ok()?;
        objects.add_disk_alternate(self.common_dir.join("objects").to_str()?).ok()?;
        let id = git2::Oid::from_str_ext(commit.as_str(), format).ok()?;
        let object = objects.read(id).ok()?;
        let line = object.data().split(|&byte| byte == b'\n').next()?;
        let tree = std::str::from_utf8(line.strip_prefix(b"tree ")?).ok()?;
        Oid::parse(tree).filter(|_| object.kind() == git2::ObjectType::Commit)
    }
}

fn is_file(path: &Path) -> bool {
    path.is_file()
}

fn first_line(path: &Path) -> Option<String> {
    let text = String::from_utf8(fs::read(path, REF_LIMIT).ok()??).ok()?;
    text.strip_suffix('\n').filter(|line| !line.contains('\n')).map(str::to_owned)
}
