//! Proposes a first policy and writes it.

use std::path::{Path, PathBuf};

use crate::adapters::fs;
use crate::adapters::git::Git;
use crate::gate::change::{Identity, RepoPath};
use crate::gate::order;
use crate::gate::policy::lint::lint;
use crate::gate::policy::{FILE_NAME, Policy};
use crate::gate::proposal::{Proposal, Seen, propose};
use crate::gate::verdict::Level;

use super::install::INSTALLED;
use super::{Env, Error, ErrorKind};

/// The largest file that is looked into, in bytes.
const LIMIT: u64 = 1 << 20;

/// Newer commits tell who works here.
const COMMITS: &str = "--max-count=10000";

/// Where a policy could be written, and what it could say.
#[derive(Clone, Debug)]
pub struct Prospect {
    pub path: PathBuf,
    pub proposal: Proposal,
    tracked: Vec<RepoPath>,
    /// The short name of the branch that is checked out.
    branch: Option<String>,
    remote: Option<String>,
    /// git has no key to sign with, and this one stands in the proposal.
    signing_key: Option<PathBuf>,
    installed: bool,
}

/// Looks at the repository. A policy that is there already is never touched.
pub fn look(env: &Env) -> Result<Prospect, Error> {
    let git = Git::open(&env.dir)?;
    let top = git
        .layout()
        .toplevel
        .clone()
        .ok_or_else(|| Error::usage("there is no work tree here to write a policy to"))?;
    let path = top.join(FILE_NAME);
    if fs::stands(&path) {
        return Err(Error::usage(format!(
            "there is a `{FILE_NAME}` already, which is left as it is"
        ))
        .hint("`countersign policy lint` checks it"));
    }
    let config = git.config()?;
    let me = Identity {
        name: config.get("user.name").unwrap_or_default().to_owned(),
        email: config.get("user.email").unwrap_or_default().to_owned(),
    };
    let keys = own_keys(env, &git)?;
    let tracked = git.tracked()?;
    let remote = remote(&git)?;
    let branch = git.head_branch()?;
    let seen = Seen {
        target: target(&git, remote.as_deref(), branch.as_deref())?,
        branches: branches(&git, remote.as_deref())?,
        name: name(
            config.get(&format!("remote.{}.url", remote.as_deref().unwrap_or_default())),
            &top,
        ),
        authors: authors(&git)?,
        me,
        my_keys: keys.iter().map(|(line, _)| line.clone()).collect(),
        allowed_signers: allowed_signers(env, &git)?,
        code_owners: code_owners(&top)?,
        package_json: text(&top.join("package.json"))?,
        makefile: text(&top.join("Makefile"))?,
        files: tracked.clone(),
    };
    let unset = config.get("user.signingkey").is_none();
    Ok(Prospect {
        path,
        proposal: propose(&seen),
        tracked,
        branch: branch.and_then(|it| it.strip_prefix("refs/heads/").map(str::to_owned)),
        remote,
        signing_key: keys.first().and_then(|(_, path)| path.clone()).filter(|_| unset),
        installed: config.get(INSTALLED).is_some(),
    })
}

/// Writes the policy, after it was read back and found clean.
pub fn write(prospect: &Prospect) -> Result<(), Error> {
    let text = prospect.proposal.write();
    let internal = |message: String| Error::new(ErrorKind::Internal, message);
    let policy = Policy::parse(&text, FILE_NAME)
        .map_err(|error| internal(format!("the proposed policy is not valid: {error}")))?;
    let mut tracked = prospect.tracked.clone();
    tracked.push(RepoPath::new(FILE_NAME));
    if let Some(wrong) = lint(&policy, &tracked).into_iter().find(|it| it.level > Level::Note) {
        return Err(internal(format!("the proposed policy has a mistake: {}", wrong.message)));
    }
    if fs::stands(&prospect.path) {
        return Err(Error::usage(format!(
            "a `{FILE_NAME}` was written meanwhile, and is left as it is"
        )));
    }
    Ok(fs::write_atomically(&prospect.path, text.as_bytes(), 0o644)?)
}

impl Prospect {
    /// The commands that bring the policy to where it counts, in order.
    pub fn next(&self) -> Vec<String> {
        let mut commands = Vec::new();
        if let Some(path) = &self.signing_key {
            commands.push(format!("git config user.signingkey {}", word(&path.to_string_lossy())));
        }
        commands.push(format!("git add {FILE_NAME}"));
        commands.push("git commit -m \"Add the countersign policy\"".to_owned());
        if !self.installed {
            commands.push("countersign install".to_owned());
        }
        if let Some(remote) = &self.remote {
            let branch = self.branch.as_deref().unwrap_or("HEAD");
            commands.push(format!("git push {} {}", word(remote), word(branch)));
        }
        commands
    }

    /// Whether the commit would be made on the branch where policies count.
    pub fn is_on_target(&self) -> bool {
        let branch = self.branch.as_deref().unwrap_or_default();
        self.proposal.target.strip_prefix("refs/heads/") == Some(branch)
    }
}

fn word(text: &str) -> String {
    shlex::try_quote(text).map_or_else(|_| text.to_owned(), |it| it.into_owned())
}

fn remote(git: &Git) -> Result<Option<String>, Error> {
    let config = git.config()?;
    let remotes = config.subsections("remote", "url");
    let configured = config.get("countersign.remote").filter(|it| remotes.contains(it));
    let origin = || remotes.contains(&"origin").then_some("origin");
    Ok(configured.or_else(origin).or_else(|| remotes.first().copied()).map(str::to_owned))
}

/// The remote's HEAD, else a branch of the usual name, else where we stand.
fn target(git: &Git, remote: Option<&str>, branch: Option<&str>) -> Result<String, Error> {
    if let Some(name) = git.config()?.get("countersign.target") {
        let short = name.strip_prefix("refs/heads/").unwrap_or(name);
        return Ok(format!("refs/heads/{short}"));
    }
    if let Some(remote) = remote {
        let prefix = format!("refs/remotes/{remote}/");
        let head = git.symbolic(&format!("{prefix}HEAD"))?;
        if let Some(short) = head.as_deref().and_then(|it| it.strip_prefix(&prefix)) {
            return Ok(format!("refs/heads/{short}"));
        }
    }
    for name in ["refs/heads/main", "refs/heads/master"] {
        if branch == Some(name) || git.reference(name)?.is_some() {
            return Ok(name.to_owned());
        }
    }
    Ok(branch.unwrap_or("refs/heads/main").to_owned())
}

fn branches(git: &Git, remote: Option<&str>) -> Result<Vec<String>, Error> {
    let prefix = remote.map(|it| format!("refs/remotes/{it}/"));
    let mut prefixes = vec!["refs/heads/"];
    prefixes.extend(prefix.as_deref());
    let short = |name: &str| {
        let remote = prefix.as_deref().and_then(|it| name.strip_prefix(it));
        remote.map_or_else(|| name.to_owned(), |it| format!("refs/heads/{it}"))
    };
    Ok(git.refs(&prefixes)?.iter().map(|(name, _)| short(name)).collect())
}

/// The remote's last word, else the folder's name.
fn name(url: Option<&str>, top: &Path) -> String {
    let last =
        |text: &str| text.trim_end_matches('/').rsplit(['/', ':', '\\']).next().map(str::to_owned);
    let folder = || top.file_name().map(|it| it.to_string_lossy().into_owned());
    let name = url.and_then(last).or_else(folder).unwrap_or_default();
    name.strip_suffix(".git").unwrap_or(&name).to_owned()
}

fn authors(git: &Git) -> Result<Vec<(Identity, u64)>, Error> {
    let Some(head) = git.layout().head.clone() else { return Ok(Vec::new()) };
    let call = git.call().args(["shortlog", "-s", "-n", "-e", COMMITS, head.as_str(), "--"]);
    let bytes = git.output(call)?;
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(author).collect())
}

/// Reads a line of `git shortlog -sne`: `   12\tName <address>`.
fn author(line: &str) -> Option<(Identity, u64)> {
    let (commits, identity) = line.trim_start().split_once('\t')?;
    let (name, email) = identity.rsplit_once('<')?;
    let email = email.strip_suffix('>')?;
    let identity = Identity { name: name.trim().to_owned(), email: email.to_owned() };
    Some((identity, commits.parse().ok()?))
}

/// This person's public keys with their files, the one that git signs with first.
fn own_keys(env: &Env, git: &Git) -> Result<Vec<(String, Option<PathBuf>)>, Error> {
    let config = git.config()?;
    let mut keys = Vec::new();
    if let Some(value) = config.get("user.signingkey") {
        let literal = value.strip_prefix("key::").unwrap_or(value);
        if literal.starts_with("ssh-")
            || literal.starts_with("sk-")
            || literal.starts_with("ecdsa-")
        {
            keys.push((literal.to_owned(), None));
        } else {
            // A path; what else it may be (an OpenPGP key's id) names no file.
            let path = expand(env, value);
            let public = PathBuf::from(format!("{}.pub", path.display()));
            let public = if path.extension().is_some_and(|it| it == "pub") { path } else { public };
            keys.push((text(&public)?, Some(public)));
        }
    }
    let folder = env.home().map(|home| home.join(".ssh"));
    let mut files = folder.map(|it| fs::list(&it)).transpose()?.unwrap_or_default();
    files.retain(|it| it.extension().is_some_and(|extension| extension == "pub"));
    let mut found = Vec::new();
    for path in files {
        found.push((text(&path)?, Some(path)));
    }
    let kinds = ["sk-ssh-ed25519", "ssh-ed25519", "sk-ecdsa", "ecdsa", "ssh-rsa"];
    keys.retain(|(line, _)| kinds.iter().any(|kind| line.starts_with(kind)));
    let rank = |line: &str| kinds.iter().position(|kind| line.starts_with(kind));
    found.retain(|(line, _)| rank(line).is_some());
    order::sort_by_key(&mut found, |(line, _)| rank(line));
    keys.extend(found);
    Ok(keys)
}

fn allowed_signers(env: &Env, git: &Git) -> Result<String, Error> {
    match git.config()?.get("gpg.ssh.allowedsignersfile") {
        Some(path) => text(&expand(env, path)),
        None => Ok(String::new()),
    }
}

fn expand(env: &Env, path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env.home()) {
        (Some(rest), Some(home)) => home.join(rest),
        (Some(_) | None, _) => env.dir.join(path),
    }
}

fn code_owners(top: &Path) -> Result<String, Error> {
    for place in ["CODEOWNERS", ".github/CODEOWNERS", ".gitlab/CODEOWNERS", "docs/CODEOWNERS"] {
        let found = text(&top.join(place))?;
        if !found.is_empty() {
            return Ok(found);
        }
    }
    Ok(String::new())
}

/// A file's text; what is not there, or too large to be read for a hint, is empty.
fn text(path: &Path) -> Result<String, Error> {
    match fs::read(path, LIMIT) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()),
        Err(fs::FsError::TooLarge { .. }) => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shortlog_and_urls_are_read() {
        let (identity, commits) = author("    12\tAna <b> <ana@example.com>").unwrap();
        assert_eq!(
            (identity.name.as_str(), identity.email.as_str(), commits),
            ("Ana <b>", "ana@example.com", 12)
        );
        for (url, expected) in [
            (Some("git@example.com:org/shop.git"), "shop"),
            (Some("https://example.com/org/shop/"), "shop"),
            (None, "folder"),
        ] {
            assert_eq!(name(url, Path::new("/x/folder")), expected);
        }
    }
}
