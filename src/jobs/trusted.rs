//! The trusted policy: which ref it is read from, as whom we believe, and what stands there.
//!
//! The work tree and the change under judgment are never asked: a change could
//! rewrite its own rules.

use crate::adapters::git::Git;
use crate::gate::change::{Oid, RepoPath};
use crate::gate::obligation::POLICY_FILE;
use crate::gate::policy::Policy;

use super::ref_update::RefUpdate;
use super::world::World;
use super::{Error, ErrorKind};

/// The largest policy file that is read, in bytes.
const POLICY_LIMIT: u64 = 1 << 20;
/// The most nested policy files that are read.
const NESTED_LIMIT: usize = 1000;

/// From where the refs are seen.
#[derive(Clone, Copy, Debug)]
pub enum Vantage<'a> {
    /// A person's clone, or CI's.
    Clone,
    /// The same while a commit is made: a target that was never fetched is no
    /// reason to refuse a commit, since nothing can land without `check`.
    Commit,
    /// A push from a clone; whether it goes to the trusted remote is asked separately.
    Push { updates: &'a [RefUpdate], is_trusted: bool },
    /// The repository that receives: its own refs, as they stood before the push.
    Server { updates: &'a [RefUpdate] },
}

/// The policy that judges, and where it came from.
#[derive(Clone, Debug)]
pub struct Trusted {
    pub policy: Policy,
    /// The commit whose policy was read; `None` where nothing is there yet.
    pub commit: Option<Oid>,
    /// The name of the remote that is believed; `None` in a repository without remotes.
    pub remote: Option<String>,
    /// The trusted ref holds no policy: the built-in default observes.
    pub absent: bool,
}

impl Trusted {
    /// Reads the policy that judges changes seen from `vantage`.
    pub fn read(
        world: &World,
        policy_from: Option<&str>,
        vantage: Vantage<'_>,
    ) -> Result<Trusted, Error> {
        let remote = match vantage {
            Vantage::Server { .. } => None,
            Vantage::Clone | Vantage::Commit | Vantage::Push { .. } => trusted_remote(&world.git)?,
        };
        if let Some(revision) = policy_from {
            let commit = world
                .git
                .resolve_commit(revision)?
                .ok_or_else(|| unresolved(&world.git, revision, remote.as_deref()))?;
            return Trusted::at(world, Some(commit), remote);
        }
        let believer = Believer { git: &world.git, remote: remote.as_deref(), vantage };
        let (name, commit) = believer.policy_ref()?;
        let found = Trusted::at(world, commit, remote.clone())?;
        if found.absent {
            // Without a policy, changes land where one was looked for.
            return Ok(Trusted { policy: Policy::built_in_for(&name), ..found });
        }
        if found.policy.trust.target == name {
            return Ok(found);
        }
        let target = found.policy.trust.target.clone();
        let commit = match believer.tip(&target)? {
            Tip::At(commit) => Some(commit),
            Tip::Nothing => None,
            Tip::Unknown => {
                let error = unresolved(&world.git, &target, remote.as_deref());
                return Err(error.hint(format!(
                    "the policy on `{name}` names this target; if changes land on `{name}`, it needs `target = \"{name}\"` under [trust]"
                )));
            }
        };
        let final_policy = Trusted::at(world, commit, remote)?;
        if final_policy.policy.trust.target != target || final_policy.absent {
            return Err(Error::new(
                ErrorKind::Policy,
                format!("the policy on `{name}` names the target `{target}`, whose own policy does not name itself"),
            )
            .hint(format!("set `target = \"{target}\"` under [trust] in {POLICY_FILE} on `{target}`")));
        }
        Ok(final_policy)
    }

    /// Reads the policy that stands at a commit.
    pub fn at(
        world: &World,
        commit: Option<Oid>,
        remote: Option<String>,
    ) -> Result<Trusted, Error> {
        let Some(commit) = commit else {
            return Ok(Trusted { policy: Policy::built_in(), commit: None, remote, absent: true });
        };
        let Some(entry) = world.git.entry_at(&commit, &RepoPath::new(POLICY_FILE))? else {
            return Ok(Trusted {
                policy: Policy::built_in(),
                commit: Some(commit),
                remote,
                absent: true,
            });
        };
        // A folder, a symlink or a submodule of that name is no absence.
        if entry.mode & 0o170_000 != 0o100_000 {
            let message = format!("`{commit}:{POLICY_FILE}` is not a regular file");
            return Err(Error::new(ErrorKind::Policy, message));
        }
        let bytes = world.git.blob(&entry.oid, POLICY_LIMIT)?;
        let from = format!("{commit}:{POLICY_FILE}");
        let policy = Policy::parse(&text(bytes, &from)?, &from)?;
        let policy = with_nested(world, policy, &commit)?;
        Ok(Trusted { policy, commit: Some(commit), remote, absent: false })
    }

    /// Where a protected ref, or any branch, stands as the trusted remote knows it.
    pub fn tip(
        &self,
        world: &World,
        name: &str,
        vantage: Vantage<'_>,
    ) -> Result<Option<Oid>, Error> {
        let believer = Believer { git: &world.git, remote: self.remote.as_deref(), vantage };
        match believer.tip(name)? {
            Tip::At(commit) => Ok(Some(commit)),
            Tip::Nothing => Ok(None),
            Tip::Unknown
                if matches!(vantage, Vantage::Push { .. }) && believer.nothing_yet()? =>
            {
                Ok(None)
            }
            Tip::Unknown => Err(unresolved(&world.git, name, self.remote.as_deref())),
        }
    }
}

/// The remote that is believed: git config `countersign.remote`, else the
/// target's upstream remote, else `origin`, else the only one. Never one
/// merely because it is pushed to.
pub fn trusted_remote(git: &Git) -> Result<Option<String>, Error> {
    let config = git.config()?;
    let remotes = config.subsections("remote", "url");
    if let Some(name) = config.get("countersign.remote") {
        return if remotes.contains(&name) {
            Ok(Some(name.to_owned()))
        } else {
            Err(Error::repository(format!("git config countersign.remote names `{name}`, which is no remote here"))
                .hint("`git remote -v` lists the remotes; `git config countersign.remote NAME` sets the trusted one"))
        };
    }
    if remotes.is_empty() {
        return Ok(None);
    }
    let upstream = config
        .get("countersign.target")
        .map(|target| target.strip_prefix("refs/heads/").unwrap_or(target))
        .into_iter()
        .chain(["main", "master"])
        .find_map(|branch| config.get(&format!("branch.{branch}.remote")))
        .filter(|remote| remotes.contains(remote));
    if let Some(remote) = upstream {
        return Ok(Some(remote.to_owned()));
    }
    if remotes.contains(&"origin") {
        return Ok(Some("origin".to_owned()));
    }
    match remotes.as_slice() {
        [only] => Ok(Some((*only).to_owned())),
        several => Err(Error::repository(format!(
            "it is not known which remote to trust: {}",
            several.join(", ")
        ))
        .hint("`git config countersign.remote NAME` says which remote holds the trusted policy")),
    }
}

/// The ref in which the policy is looked for, and its tip if it has one yet.
pub fn policy_ref(
    git: &Git,
    remote: Option<&str>,
    vantage: Vantage<'_>,
) -> Result<(String, Option<Oid>), Error> {
    Believer { git, remote, vantage }.policy_ref()
}

/// Where a ref stands, as far as it is known.
enum Tip {
    At(Oid),
    /// It is known that there is no such ref.
    Nothing,
    Unknown,
}

struct Believer<'a> {
    git: &'a Git,
    remote: Option<&'a str>,
    vantage: Vantage<'a>,
}

impl Believer<'_> {
    /// The ref in which the policy is looked for, and its tip.
    fn policy_ref(&self) -> Result<(String, Option<Oid>), Error> {
        self.look_up()?;
        let configured = self.git.config()?.get("countersign.target").map(full_name);
        let head = match configured {
            Some(_) => None,
            None => self.remote_head()?,
        };
        // The HEAD of a new server names a branch that nobody may ever push.
        let may_name_nothing = matches!(self.vantage, Vantage::Server { .. }) && head.is_some();
        if let Some(name) = configured.or(head) {
            match self.tip(&name)? {
                Tip::At(commit) => return Ok((name, Some(commit))),
                Tip::Nothing => return Ok((name, None)),
                Tip::Unknown if self.nothing_yet()? => return Ok((name, None)),
                Tip::Unknown if may_name_nothing => {}
                Tip::Unknown => return Err(unresolved(self.git, &name, self.remote)),
            }
        }
        for name in ["refs/heads/main", "refs/heads/master"] {
            if let Tip::At(commit) = self.tip(name)? {
                return Ok((name.to_owned(), Some(commit)));
            }
        }
        let main = "refs/heads/main".to_owned();
        if matches!(self.tip(&main)?, Tip::Nothing) || self.nothing_yet()? {
            return Ok((main, None));
        }
        Err(unresolved(self.git, &main, self.remote))
    }

    /// Asks for all refs at once that the policy may be read from.
    fn look_up(&self) -> Result<(), Error> {
        let mut names = Vec::new();
        let mut branches = vec!["refs/heads/main".to_owned(), "refs/heads/master".to_owned()];
        if let Some(target) = self.git.config()?.get("countersign.target") {
            branches = vec![full_name(target)];
        } else if let Some(remote) = self.remote {
            names.push(format!("refs/remotes/{remote}/HEAD"));
        }
        for branch in branches {
            match self.remote {
                Some(remote) => names.extend(tracking_ref(self.git, remote, &branch)?),
                None => names.push(branch),
            }
        }
        Ok(self.git.look_up(&names)?)
    }

    /// The trusted remote's HEAD, as last fetched; the server's own HEAD.
    fn remote_head(&self) -> Result<Option<String>, Error> {
        let Some(remote) = self.remote else {
            return match self.vantage {
                Vantage::Server { .. } => Ok(self.git.head_branch()?),
                Vantage::Clone | Vantage::Commit | Vantage::Push { .. } => Ok(None),
            };
        };
        let prefix = format!("refs/remotes/{remote}/");
        let head = self.git.symbolic(&format!("{prefix}HEAD"))?;
        Ok(head.and_then(|name| {
            name.strip_prefix(&prefix).map(|branch| format!("refs/heads/{branch}"))
        }))
    }

    fn tip(&self, name: &str) -> Result<Tip, Error> {
        let updates = match self.vantage {
            Vantage::Push { updates, is_trusted: true } | Vantage::Server { updates } => updates,
            Vantage::Push { .. } | Vantage::Clone | Vantage::Commit => &[],
        };
        if let Some(update) = updates.iter().find(|update| update.name == name) {
            return Ok(update.old.clone().map_or(Tip::Nothing, Tip::At));
        }
        let found = match self.remote {
            None => self.git.reference(name)?,
            Some(remote) => match tracking_ref(self.git, remote, name)? {
                Some(tracking) => self.git.reference(&tracking)?,
                None => None,
            },
        };
        Ok(found.map_or(Tip::Unknown, Tip::At))
    }

    /// Whether there is nothing that could have been read: no branch of the
    /// trusted remote (or, without remotes, of ours) was ever seen. That is
    /// how a new repository begins; `check` believes it only before the first commit.
    fn nothing_yet(&self) -> Result<bool, Error> {
        let prefix = match self.remote {
            Some(remote) => format!("refs/remotes/{remote}/"),
            None => "refs/heads/".to_owned(),
        };
        let lenient = match self.vantage {
            Vantage::Commit | Vantage::Push { .. } => true,
            Vantage::Clone | Vantage::Server { .. } => self.git.layout().head.is_none(),
        };
        if !lenient || !self.git.refs(&[prefix.as_str()])?.is_empty() {
            return Ok(false);
        }
        match (self.vantage, self.remote) {
            // What was never fetched looks the same as what is empty; a push can ask.
            (Vantage::Push { .. }, Some(remote)) => self.is_empty(remote),
            _ => Ok(true),
        }
    }

    /// Whether the remote holds none of the refs that a policy could be read from.
    fn is_empty(&self, remote: &str) -> Result<bool, Error> {
        let target = self.git.config()?.get("countersign.target").map(full_name);
        let mut names = vec!["HEAD", "refs/heads/main", "refs/heads/master"];
        names.extend(target.as_deref());
        Ok(self.git.remote_refs(remote, &names)?.is_empty())
    }
}

/// The remote-tracking ref of a remote's ref, by the remote's fetch refspecs.
pub fn tracking_ref(git: &Git, remote: &str, name: &str) -> Result<Option<String>, Error> {
    let config = git.config()?;
    let key = format!("remote.{remote}.fetch");
    let mapped = config.get_all(&key).find_map(|refspec| map_refspec(refspec, name));
    // A clone of one branch still has the place where `git fetch` would put the others.
    let usual =
        name.strip_prefix("refs/heads/").map(|branch| format!("refs/remotes/{remote}/{branch}"));
    Ok(mapped.or(usual))
}

fn map_refspec(refspec: &str, name: &str) -> Option<String> {
    let (source, destination) = refspec.trim_start_matches('+').split_once(':')?;
    match (source.split_once('*'), destination.split_once('*')) {
        (Some((head, tail)), Some((to_head, to_tail))) => {
            let middle = name.strip_prefix(head)?.strip_suffix(tail)?;
            Some(format!("{to_head}{middle}{to_tail}"))
        }
        (None, None) => (source == name).then(|| destination.to_owned()),
        (Some(_), None) | (None, Some(_)) => None,
    }
}

/// `main` means `refs/heads/main`.
pub fn full_name(name: &str) -> String {
    if name.starts_with("refs/") { name.to_owned() } else { format!("refs/heads/{name}") }
}

fn unresolved(git: &Git, name: &str, remote: Option<&str>) -> Error {
    let error = Error::repository(format!("failed to resolve the trusted ref `{name}`"));
    match remote {
        Some(remote) => error.hint(format!("`{}` fetches it, if that is where it lands", fetch_command(git, name, remote)))
            .hint(format!("`git config countersign.target refs/heads/NAME` names another target (the trusted remote is `{remote}`)")),
        None => error.hint("`git config countersign.target refs/heads/NAME` names the branch that changes land on"),
    }
}

/// The command after which the remote-tracking ref is there: a clone of one
/// branch, as CI makes, fetches others to nowhere unless it is told.
pub fn fetch_command(git: &Git, name: &str, remote: &str) -> String {
    match tracking_ref(git, remote, name) {
        Ok(Some(tracking)) => format!("git fetch {remote} +{name}:{tracking}"),
        Ok(None) | Err(_) => format!("git fetch {remote} {name}"),
    }
}

fn text(bytes: Vec<u8>, from: &str) -> Result<String, Error> {
    String::from_utf8(bytes)
        .map_err(|_| Error::new(ErrorKind::Policy, format!("`{from}` is not UTF-8")))
}

fn with_nested(world: &World, policy: Policy, commit: &Oid) -> Result<Policy, Error> {
    if policy.nested.is_none() {
        return Ok(policy);
    }
    let mut files = Vec::new();
    for (path, entry) in world.git.list(commit, &RepoPath::new(""))? {
        if path.as_bytes() == POLICY_FILE.as_bytes() || !policy.is_nested_file(&path) {
            continue;
        }
        if files.len() == NESTED_LIMIT {
            return Err(Error::new(
                ErrorKind::Policy,
                format!("more than {NESTED_LIMIT} nested policies match [nested]"),
            ));
        }
        if entry.mode & 0o170_000 != 0o100_000 {
            return Err(Error::new(
                ErrorKind::Policy,
                format!("the nested policy `{}` is not a regular file", path.to_display()),
            ));
        }
        let bytes = world.git.blob(&entry.oid, POLICY_LIMIT)?;
        let from = format!("{commit}:{}", path.to_display());
        files.push((path, text(bytes, &from)?));
    }
    Ok(policy.with_nested(&files)?)
}
