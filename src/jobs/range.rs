//! Which commits a command is about: `A..B`, judged from their merge base.

use crate::adapters::git::{Git, Start};
use crate::gate::change::Oid;

use super::Error;

/// A range with its ends resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// From the merge base; from the empty tree where the histories are unrelated.
    pub start: Start,
    pub head: Oid,
    /// As a person would type it.
    pub text: String,
}

impl Range {
    /// Resolves `A..B`, `A...B` or `B` (from `target`); without a word, `target..HEAD`.
    pub fn resolve(
        git: &Git,
        word: Option<&str>,
        target: Option<&Oid>,
        target_name: &str,
    ) -> Result<Range, Error> {
        let (from, to) =
            match word.and_then(|word| word.split_once("...").or_else(|| word.split_once(".."))) {
                Some((from, to)) => (from, to),
                None => ("", word.unwrap_or("HEAD")),
            };
        let to = if to.is_empty() { "HEAD" } else { to };
        let head = commit(git, to)?;
        let short = target_name.strip_prefix("refs/heads/").unwrap_or(target_name);
        let text = word
            .filter(|word| word.contains(".."))
            .map_or_else(|| format!("{short}..{to}"), str::to_owned);
        let from = if from.is_empty() { target.cloned() } else { Some(beginning(git, from)?) };
        let start = match from {
            Some(from) if from != git.empty_tree() => git.start(&from, &head)?,
            Some(_) | None => Start::at(git.empty_tree()),
        };
        Ok(Range { start, head, text })
    }
}

/// A range may start at the empty tree, which is no commit.
fn beginning(git: &Git, revision: &str) -> Result<Oid, Error> {
    if revision == git.empty_tree().as_str() { Ok(git.empty_tree()) } else { commit(git, revision) }
}

fn commit(git: &Git, revision: &str) -> Result<Oid, Error> {
    if let Some(found) = git.resolve_commit(revision)? {
        return Ok(found);
    }
    let shown = crate::gate::change::printable(revision);
    let error = Error::repository(format!("failed to resolve `{shown}` to a commit"));
    let remotes = git.config()?.subsections("remote", "url");
    // CI's clones know one commit, and often one branch.
    let of_remote = revision
        .split_once('/')
        .filter(|(remote, _)| remotes.contains(remote))
        .map(|(remote, branch)| (remote, crate::gate::change::printable(branch)));
    let error = match (of_remote, remotes.as_slice()) {
        (Some((remote, branch)), _) => error.hint(format!(
            "`git fetch {remote} +refs/heads/{branch}:refs/remotes/{remote}/{branch}` fetches it"
        )),
        (None, [remote]) if Oid::parse(revision).is_some() => error
            .hint(format!("`git fetch {remote} {shown}` fetches it, if the server allows that")),
        (None, _) => error.hint("`git log --oneline -5` shows what is here"),
    };
    let shallow = "this clone is shallow: `git fetch --unshallow` gets the missing history";
    Err(if git.layout().shallow { error.hint(shallow) } else { error })
}
