//! Talking to a remote. Only here git may use the network, and only with refs
//! that are named one by one: configuration adds none.

use super::{Call, Git, GitError, unexpected};
use crate::gate::change::Oid;

/// What a remote answered for one pushed ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRef {
    /// The full name on the remote's side.
    pub reference: String,
    pub outcome: RefOutcome,
}

/// What became of a pushed ref.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefOutcome {
    /// It stands where it was to stand.
    Done,
    /// The remote has something that we do not: fetch, replay, push again.
    Moved,
    /// The remote refused; its reason.
    Refused(String),
}

impl Git {
    /// A call of git that may talk to a remote. It prompts nobody.
    fn network_call(&self) -> Call {
        self.surroundings.call(&self.dir).env_remove("GIT_NO_LAZY_FETCH")
    }

    /// Pushes refs (`<local>:<full remote name>`), never forced, and returns the
    /// remote's answer for each. Our own pre-push hook does not run again. A
    /// remote that cannot be reached is an error.
    pub fn push(&self, remote: &str, refspecs: &[String]) -> Result<Vec<PushedRef>, GitError> {
        let call = self
            .network_call()
            .args(["push", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed"])
            .args(["--no-mirror", "--no-force", "--recurse-submodules=no", "--no-progress", "--"])
            .arg(remote)
            .args(refspecs);
        self.forget_refs();
        let output = call.run()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let pushed: Vec<PushedRef> = text.lines().filter_map(parse_pushed).collect();
        match (output.success(), pushed.len() == refspecs.len()) {
            // git exits with 1 if the remote refused any ref; that is an answer.
            (_, true) => Ok(pushed),
            (true, false) => Err(unexpected(&call, text.clone())),
            (false, false) => Err(super::failed(&call, &output.complaint())),
        }
    }

    /// Fetches refs (`[+]<full remote name>:<local>`): no tags, nothing pruned,
    /// no `FETCH_HEAD`. In a partial clone all of their objects come.
    pub fn fetch(&self, remote: &str, refspecs: &[String]) -> Result<(), GitError> {
        let call = self
            .network_call()
            .args(["fetch", "--quiet", "--no-tags", "--no-prune", "--no-write-fetch-head"])
            .args(["--no-filter", "--no-auto-maintenance", "--no-recurse-submodules"])
            .args(["--no-progress", "--"])
            .arg(remote)
            .args(refspecs);
        self.forget_refs();
        self.output(call).map(|_| ())
    }

    /// Returns what refs (by their full names) stand on a remote now.
    pub fn remote_refs(
        &self,
        remote: &str,
        names: &[&str],
    ) -> Result<Vec<(String, Oid)>, GitError> {
        let call = self.network_call().args(["ls-remote", "--quiet", "--", remote]).args(names);
        let text = String::from_utf8_lossy(&self.output(call.clone())?).into_owned();
        let parse = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            Some((name.to_owned(), Oid::parse(id)?))
        };
        let refs: Option<Vec<_>> = text.lines().map(parse).collect();
        let refs = refs.ok_or_else(|| unexpected(&call, text))?;
        // git takes a name for the end of one: `refs/heads/a` finds `refs/x/refs/heads/a`.
        Ok(refs.into_iter().filter(|(name, _)| names.contains(&name.as_str())).collect())
    }
}

/// What git and its servers say when somebody else was faster.
const MOVED: [&str; 7] = [
    "non-fast-forward",
    "fetch first",
    "stale info",
    "failed to update ref",
    "cannot lock ref",
    "incorrect old value",
    "already exists",
];

/// Parses `<flag> TAB <from>:<to> TAB <summary>[ (<reason>)]`.
fn parse_pushed(line: &str) -> Option<PushedRef> {
    let mut columns = line.splitn(3, '\t');
    let (flag, names, summary) = (columns.next()?, columns.next()?, columns.next()?);
    let (_, reference) = names.rsplit_once(':')?;
    let outcome = match flag {
        "!" if MOVED.iter().any(|words| summary.contains(words)) => RefOutcome::Moved,
        "!" => RefOutcome::Refused(summary.to_owned()),
        " " | "*" | "=" | "+" | "-" => RefOutcome::Done,
        _ => return None,
    };
    Some(PushedRef { reference: reference.to_owned(), outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, expected: Option<RefOutcome>) {
        assert_eq!(parse_pushed(line).map(|it| it.outcome), expected, "{line}");
    }

    #[test]
    fn answers_of_a_remote() {
        check("To file:///x", None);
        check("Done", None);
        check(" \trefs/heads/a:refs/heads/a\t1..2", Some(RefOutcome::Done));
        check("*\trefs/heads/a:refs/heads/a\t[new branch]", Some(RefOutcome::Done));
        check("=\trefs/heads/a:refs/heads/a\t[up to date]", Some(RefOutcome::Done));
        check("!\ta:refs/heads/a\t[rejected] (fetch first)", Some(RefOutcome::Moved));
        check(
            "!\ta:refs/heads/a\t[remote rejected] (pre-receive hook declined)",
            Some(RefOutcome::Refused("[remote rejected] (pre-receive hook declined)".to_owned())),
        );
    }
}
